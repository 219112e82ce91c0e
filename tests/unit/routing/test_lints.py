"""Doubts about routes: none is a false alarm, and each kind is found where it was put."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from random import Random
from typing import Any

import pytest

from andon.config.calendar import intervals
from andon.config.settings import Settings
from andon.core.event import Event
from andon.core.workdays import Workdays
from andon.routing.lints import check
from andon.routing.tree import Node, compile_tree
from tests.unit.routing.events import event, receivers, settings

LABELS = ("x", "y", "z")
TEXTS = ("", "a", "b", "ab", "c")
EVENTS = [event(labels=dict(zip(LABELS, texts, strict=True))) for texts in product(TEXTS, repeat=len(LABELS))]
INTERVALS = {
    "day": [{"times": ["08:00-20:00"]}],
    "night": [{"times": ["20:00-08:00"]}],
    "noon": [{"days": ["monday:friday"], "times": ["11:00-13:00"]}],
    "week": [{"days": ["monday:sunday"]}],
    "never": [],
}


def plant(root: dict[str, Any], *times: str, **sections: Any) -> Settings:
    """`times` names the intervals there are; each has to be worked out for a year."""
    calendar = {"time_intervals": {name: INTERVALS[name] for name in times}}
    return settings({"receiver": "r0", **root}, receivers=receivers("r0", "r1", "r2"), calendar=calendar, **sections)


def said(given: Settings) -> dict[str, str]:
    """Lints of routes by the route's path; a place in a list stands for its line."""
    found = check(given, Workdays(), 2026, lambda place: int(place[-1]) if place[-1] != "route" else 0)
    return {path_of(place): text for place, text in found if place[0] == "route"}


def path_of(place: tuple[str | int, ...]) -> str:
    return ".".join(["0", *(str(step) for step in place if isinstance(step, int))])


def random_matcher(random: Random) -> str:
    name, sign = random.choice(LABELS), random.choice(("=", "=", "=", "!=", "=~", "!~"))
    value = random.choice(("a|b", "a.*", "ab|c", "")) if sign.endswith("~") else random.choice(TEXTS)
    return f'{name}{sign}"{value}"'


def random_route(random: Random, depth: int) -> dict[str, Any]:
    route: dict[str, Any] = {"matchers": [random_matcher(random) for _ in range(random.choice((1, 1, 2)))]}
    if random.random() < 0.4:
        route["continue"] = True
    if random.random() < 0.6:
        route["receiver"] = random.choice(("r0", "r1", "r2"))
    if random.random() < 0.3:
        route["urgent"] = random.random() < 0.5
    if depth and random.random() < 0.6:
        route["routes"] = [random_route(random, depth - 1) for _ in range(random.randint(1, 3))]
    return route


def random_tree(random: Random) -> dict[str, Any]:
    return {"routes": [random_route(random, 2) for _ in range(random.randint(1, 4))]}


def taken(root: Node, given: Event) -> list[str]:
    found: list[Node] = []
    root.collect(given, found)
    return [node.path for node in found]


def compiled(given: Settings) -> Node:
    return compile_tree(given.route, intervals(given.calendar.time_intervals, given.site.zone))


@pytest.mark.parametrize("seed", range(12))
def test_no_false_alarm(seed: int) -> None:
    """A route that is called unreachable is never come to; two that are called a pair are taken by one event."""
    random = Random(seed)
    for _ in range(4):
        given = plant(random_tree(random))
        ways = [taken(compiled(given), one) for one in EVENTS]
        come_to = {path[:end] for way in ways for path in way for end in range(1, len(path) + 1)}
        for path, text in said(given).items():
            if text.startswith("never taken"):
                assert path not in come_to, (path, text, given.route)
            elif text.startswith(("conflict", "the same as")):
                other = text.partition("route ")[2].partition(" ")[0]
                assert any(path in way and other in way for way in ways), (path, text, given.route)


SEEDED: dict[str, Callable[[list[str]], list[list[str]]]] = {
    "equal": lambda own: [own],
    "equality implies pattern": lambda own: [["x=~a.*"], ["x=ab"]],
    "a subset of conditions": lambda own: [own, [*own, "q=1"]],
    "words among more words": lambda own: [['x=~"a|b|c"'], ["x in [b, a]"]],
    "an exclusion": lambda own: [["x!=a"], ["x=b"]],
}


@pytest.mark.parametrize("kind", SEEDED)
@pytest.mark.parametrize("seed", range(4))
def test_each_shadow_is_found(kind: str, seed: int) -> None:
    random = Random(seed)
    own = random_route(random, 0)["matchers"]
    first, *second = SEEDED[kind](own)
    root = random_tree(random)
    place = random.randint(0, len(root["routes"]))
    root["routes"][place:place] = [{"matchers": first, "receiver": "r1"}, {"matchers": second[0] if second else own}]
    found = said(plant(root))[f"0.{place + 1}"]
    assert found.startswith("never taken")


def test_the_kinds_of_routes() -> None:
    found = said(
        plant(
            {
                "routes": [
                    {"matchers": ["x=a"], "receiver": "r1", "routes": [{"matchers": ["y=b"]}, {"matchers": ["x=b"]}]},
                    {"matchers": ["x=a", "y=c"]},
                    {"matchers": ["z=a", "z=b"], "routes": [{"matchers": ["y=a"]}]},
                    {"matchers": ["x=b"], "receiver": "r1", "urgent": True, "continue": True},
                    {"matchers": ["y=b"], "receiver": "r1", "urgent": False, "continue": True},
                    {"matchers": ["x=c"], "receiver": "r2", "mute_time_intervals": ["night"], "continue": True},
                    {"matchers": ["y=c"], "receiver": "r2", "continue": True},
                    {"matchers": ["z=c"], "receiver": "r0", "continue": True},
                    {"matchers": ["z=c"], "receiver": "r0", "continue": True},
                    {"matchers": ["z=~c.+"], "mute_time_intervals": ["week"]},  # by itself: somebody meant it
                    {"matchers": ["z=d"], "mute_time_intervals": ["day"], "active_time_intervals": ["noon"]},
                    {"matchers": ["z=e"], "active_time_intervals": ["never"]},
                    {"matchers": ["z=f"], "mute_time_intervals": ["day", "night"], "continue": True},
                ]
            },
            *INTERVALS,
        )
    )
    assert {path: text.partition(":")[0] for path, text in found.items()} == {
        "0.0.1": "never taken",
        "0.1": "never taken",
        "0.2": "never taken",
        "0.4": "conflict",
        "0.6": "conflict",
        "0.8": "the same as route 0.7 (line 7)",
        "0.10": "never speaks",
        "0.11": "never speaks",
        "0.12": "never speaks",
    }
    assert found["0.1"] == (
        "never taken: route 0.0 (line 0) takes all of it before and has no `continue`; "
        "move this route before that one, or delete it"
    )
    assert found["0.0.1"].startswith("never taken: `x=a` and `x=b` cannot hold together, and one stands in route 0.0 ")
    assert "another `urgent`: it is urgent where either says so" in found["0.4"]
    assert "what one of them mutes the other tells" in found["0.6"]


def test_continue_on_the_last_route() -> None:
    given = plant({"routes": [{"matchers": ["x=a"], "continue": True}, {"matchers": ["x=b"], "continue": True}]})
    ((place, text),) = [lint for lint in check(given, Workdays(), 2026, lambda _: 0) if lint[0][0] == "route"]
    assert place == ("route", "routes", 1, "continue")
    assert text.startswith("no effect")


@pytest.mark.parametrize(
    "routes",
    [
        [{"active_time_intervals": ["day"], "continue": True}, {"active_time_intervals": ["night"]}],
        [
            {"active_time_intervals": ["day"], "urgent": False, "continue": True},
            {"active_time_intervals": ["night"], "urgent": True},
        ],
        [{"matchers": ["x=a"], "urgent": True}, {"matchers": ["y=a"]}],
        [{"matchers": ["x=a"], "urgent": True, "continue": True}, {"matchers": ["x=b"]}],
        [{"matchers": ["x=a"], "receiver": "r1", "urgent": True, "continue": True}, {"matchers": ["x=a", "y=a"]}],
        [
            {"matchers": ["x=a"], "continue": True},
            {"matchers": ["x=a", "y=a"], "receiver": "r1"},
            {"matchers": ["y=a"]},
        ],
        [{"matchers": ["data.t > 9"], "continue": True}, {"matchers": ["data.t > 8"], "urgent": True}],
    ],
)
def test_what_may_be_meant_is_not_doubted(routes: list[dict[str, Any]]) -> None:
    assert said(plant({"routes": routes}, "day", "night")) == {}


def test_groups_of_two_routes_to_one_receiver() -> None:
    routes = [
        {"matchers": ['type=~"mes\\\\.fault\\\\..*"'], "group_by": ["line"], "continue": True},
        {"matchers": ['line="L3"'], "group_by": ["code"], "group_wait": "5s"},
    ]
    text = said(plant({"routes": routes}))["0.1"]
    assert "another `group_by` and `group_wait`: the first one's groups count" in text


def test_times_episodes_and_inhibition() -> None:
    rules = [
        {"source_matchers": ["a=1", "a=2"], "target_matchers": ["b=1"]},
        {"source_matchers": ["a=1"], "target_matchers": ["b=1", "state=clear"]},
        {"source_matchers": ["type=report"], "target_matchers": ["b=1"]},
        {"source_matchers": ["code=A"], "target_matchers": ["code=~B|C"], "equal": ["line", "code"]},
        {"source_matchers": ["code=A", "state=clear"], "target_matchers": ["b=1"]},
        {"source_matchers": ["code=A"], "target_matchers": ["code=~A|B"], "equal": ["line", "code"]},
    ]
    faults = {"fault": {"matchers": ["type=fault"], "ticket_system": "t"}}
    odd = {"odd": {"matchers": ["type=fault", "type=report"], "ticket_system": "t"}}
    more = {
        "enrich": [{"matchers": ["type=a", "type=b"], "connector": "c"}],
        "maintenance": {"weekly": {"matchers": ["line=L1", "line!~L.*"]}},
    }
    given = plant({}, "day", "never", inhibit_rules=rules, episodes={**faults, **odd}, **more)
    found = check(given, Workdays(), 2026, lambda _: 0)
    assert [place for place, _ in found] == [
        ("calendar", "time_intervals", "never"),
        ("enrich", 0),
        ("episodes", "odd"),
        ("maintenance", "weekly"),
        ("inhibit_rules", 0, "source_matchers"),
        ("inhibit_rules", 1, "target_matchers"),
        ("inhibit_rules", 2, "source_matchers"),
        ("inhibit_rules", 3, "equal", 1),
        ("inhibit_rules", 4, "source_matchers"),
    ]
    assert all(";" in text for _, text in found), "each says what to do"


@pytest.mark.parametrize(
    ("matchers", "key", "doubted"),
    [
        ([], ["labels.line", "code"], True),
        (["subject=~M-.*"], ["code"], True),
        (["subject in [M-1, M-2]"], ["code"], True),
        (["subject=M-1"], ["code"], False),
        ([], ["subject"], False),
        ([], ["labels.line", "subject"], False),
    ],
)
def test_a_fault_that_different_subjects_share(matchers: list[str], key: list[str], doubted: bool) -> None:
    given = plant({}, episodes={"fault": {"matchers": matchers, "key": key, "ticket_system": "t"}})
    found = [place for place, _ in check(given, Workdays(), 2026, lambda _: 0)]
    assert found == ([("episodes", "fault", "key")] if doubted else [])


@pytest.mark.parametrize(
    ("entry", "opens"),
    [
        ({"years": ["2020:2025"]}, False),
        ({"years": ["2031"]}, True),
        ({"months": ["february"], "days_of_month": ["30:31"]}, False),
        ({"months": ["february"], "days_of_month": ["29"]}, True),
        ({"months": ["may"], "years": ["2020:2040"], "location": "America/New_York"}, True),
        ({"days": ["workday"]}, True),
    ],
)
def test_times_of_other_years(entry: dict[str, Any], opens: bool) -> None:
    """Of a day that no calendar knows nothing is said: it may be a workday."""
    time_intervals = {"some": [entry]}
    given = settings({"receiver": "r0"}, receivers=receivers("r0"), calendar={"time_intervals": time_intervals})
    found = [place for place, _ in check(given, Workdays(), 2026, lambda _: 0)]
    assert found == ([] if opens else [("calendar", "time_intervals", "some")])


def test_two_zones_meet_to_the_minute() -> None:
    """In Shanghai it is 08:00 when it is midnight in UTC."""

    def given(end: str) -> Settings:
        times = {
            "site": [{"times": ["08:00-09:00"]}],
            "utc": [{"times": [f"00:00-{end}"], "location": "UTC"}],
        }
        route = {"matchers": ["x=a"], "active_time_intervals": ["site"], "mute_time_intervals": ["utc"]}
        calendar = {"time_intervals": times}
        return settings({"receiver": "r0", "routes": [route]}, receivers=receivers("r0"), calendar=calendar)

    assert said(given("00:59")) == {}
    assert list(said(given("01:00"))) == ["0.0"]


def test_a_large_tree_is_read_in_time() -> None:
    """Three hundred routes, each with `continue`, to two receivers: no pair of them is met in vain."""
    routes = [{"matchers": [f"x=v{number}"], "receiver": f"r{number % 2}", "continue": True} for number in range(300)]
    assert list(said(plant({"routes": [*routes, {"matchers": ["x=v3"], "receiver": "r1"}]}))) == ["0.300"]
