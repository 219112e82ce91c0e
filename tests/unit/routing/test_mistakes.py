"""Mistakes in the routing part of a configuration are found with their place."""

from __future__ import annotations

import pytest

from andon.routing import check
from tests.unit.routing.events import receivers, settings


def test_every_mistake_has_its_place() -> None:
    given = settings(
        {
            "receiver": "it",
            "matchers": ["line=L3"],
            "mute_time_intervals": ["night"],
            "repeat_interval": "2h",
            "routes": [
                {
                    "matchers": ["a=b", "a=~(", "a="],
                    "group_by": ["data..x"],
                    "routes": [{"matchers": ["data.x > y"], "group_wait": "5s"}],
                }
            ],
        },
        receivers=receivers(
            **{"it": {"to": ["a", "fact:machine..x"], "fallback": [{"receiver": "a#2"}, {"receiver": "it"}]}, "a#2": {}}
        ),
        calendar={
            "time_intervals": {
                "night": [{"days": ["monday", "workday"], "times": ["20:00"]}],
                "day": [{}, {"days": ["x"]}],
            }
        },
        episodes={"f": {"matchers": ["=1"], "key": ["data..x"], "ticket_system": "t"}},
        inhibit_rules=[
            {"source_matchers": ["data.x > 1"], "target_matchers": [], "equal": ["data..x"]},
            {"source_matchers": ["a="], "target_matchers": ["b=1"]},
        ],
    )
    found = dict(check(given))
    assert list(found) == [
        ("calendar", "time_intervals", "night", 0, "days", 1),
        ("calendar", "time_intervals", "night", 0, "times", 0),
        ("calendar", "time_intervals", "day", 1, "days", 0),
        ("route", "matchers"),
        ("route", "mute_time_intervals"),
        ("route", "repeat_interval"),
        ("route", "routes", 0, "matchers", 1),
        ("route", "routes", 0, "matchers", 2),
        ("route", "routes", 0, "group_by"),
        ("route", "routes", 0, "routes", 0, "matchers", 0),
        ("episodes", "f", "matchers", 0),
        ("episodes", "f", "key"),
        ("inhibit_rules", 0, "target_matchers"),
        ("inhibit_rules", 0, "source_matchers", 0),
        ("inhibit_rules", 0, "equal"),
        ("inhibit_rules", 1, "source_matchers", 0),
        ("receivers", "it", "fallback", 1),
        ("receivers", "it", "to", 1),
        ("receivers", "a#2"),
    ]
    assert "`calendar.holidays: china`" in found["calendar", "time_intervals", "night", 0, "days", 1]
    assert "column 3" in found["route", "routes", 0, "matchers", 2]


def test_nothing_stands_beside_all_labels() -> None:
    given = settings({"receiver": "it", "group_by": ["line", "..."]}, receivers=receivers("it"))
    ((place, text),) = check(given)
    assert (place, "nothing stands beside it" in text) == (("route", "group_by"), True)


@pytest.mark.parametrize("name", ["", "data.", "labels.", "facts.x..y"])
def test_a_field_that_digests_go_by_must_name_a_value(name: str) -> None:
    given = settings(
        {"receiver": "it"},
        receivers=receivers("b", it={"merge": {"over": "10/m", "by": ["line", name]}}, c={"merge": "none"}),
        limits={"storm": {"over": "10/m", "by": [name]}},
    )
    found = dict(check(given))
    assert list(found) == [("receivers", "it", "merge", "by"), ("limits", "storm", "by")]
    assert all("names no value" in text for text in found.values())


def test_causes_need_episodes() -> None:
    rules = [{"source_matchers": ["a=1"], "target_matchers": ["b=1"]}]
    given = settings({"receiver": "it"}, receivers=receivers("it"), inhibit_rules=rules)
    ((place, text),) = check(given)
    assert place == ("inhibit_rules", 0)
    assert "`episodes` has no rule" in text


@pytest.mark.parametrize(
    "text",
    [
        "data.x > 1",
        'code="A", data.x > 1',
        "{data.x > 1}",
        "{a=b, facts.m exists}",
        "a=b,data.x in [1]",
        "\u3000data.x=~a",
    ],
)
def test_of_a_cause_no_values_are_known_wherever_in_a_text_they_stand(text: str) -> None:
    rules = [{"source_matchers": ["a=1", text], "target_matchers": ["b=1", text]}]
    given = settings(
        {"receiver": "it"}, receivers=receivers("it"), episodes={"f": {"key": ["subject"]}}, inhibit_rules=rules
    )
    ((place, said),) = check(given)
    assert place == ("inhibit_rules", 0, "source_matchers", 1)
    assert "only type, subject, source and labels are known" in said


@pytest.mark.parametrize("text", ['code="A", type=x', '"data.x"="1"', "subject exists", "line in [data.x]"])
def test_labels_of_a_cause_are_known_whatever_they_are_called(text: str) -> None:
    rules = [{"source_matchers": [text], "target_matchers": ["b=1"]}]
    given = settings(
        {"receiver": "it"}, receivers=receivers("it"), episodes={"f": {"key": ["subject"]}}, inhibit_rules=rules
    )
    assert check(given) == []


def test_a_good_configuration_has_none() -> None:
    given = settings(
        {"receiver": "it", "routes": [{"matchers": ["a=b"], "mute_time_intervals": ["night"]}]},
        receivers=receivers(it={"to": ["a", "fact:machine.leader"]}),
        calendar={"time_intervals": {"night": [{"times": ["20:00-08:00"]}]}},
    )
    assert check(given) == []
