"""Routing by known cases (test_naive.py has the generated ones)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from andon.config.settings import Settings
from andon.core.delivery import Delivery, Fallback, delivery_id
from andon.core.event import Event
from andon.core.outcome import Skipped
from andon.core.policy import Pace, Storm
from andon.core.reason import Reason
from andon.routing import Router, RoutingStage, explain
from tests.unit.routing.events import TUESDAY_NOON, event, receivers, settings

INTERVALS = {
    "day": [{"times": ["08:00-20:00"]}],
    "night": [{"times": ["20:00-08:00"]}],
    "tuesday": [{"days": ["tuesday"]}],
}


def router(given: Settings, version: int = 7) -> Router:
    return Router(given, version, {name: f"domain-of-{name}" for name in given.receivers})


PLANT = settings(
    {
        "receiver": "it",
        "routes": [
            {
                "matchers": ['type="machine.fault"', 'severity="critical"'],
                "receiver": "oncall",
                "urgent": True,
                "continue": True,
            },
            {"matchers": ['type="machine.fault"', 'line="L3"'], "receiver": "l3", "mute_time_intervals": ["night"]},
            {"matchers": ["data.temperature > 90"], "receiver": "leader"},
            {
                "matchers": ["data.quantity < data.safety_stock"],
                "receiver": "buyers",
                "active_time_intervals": ["day", "tuesday"],
            },
            {"matchers": ['type="robot"'], "receiver": "oncall", "routes": [{"matchers": ["line=L3"], "urgent": True}]},
        ],
    },
    receivers=receivers(
        "it",
        oncall={"to": ["zhang", "li", "zhang"]},
        l3={"merge": {"over": "10/m", "by": ["line", "code"]}},
        leader={"to": ["fact:machine.leader", "boss"], "merge": "none"},
        buyers={"to": ["fact:stock.buyers"]},
    ),
    calendar={"time_intervals": INTERVALS},
    episodes={"fault": {"matchers": ['type="machine.fault"'], "key": ["subject", "code"], "ticket_system": "t"}},
)
ROUTER = router(PLANT)


def route(given: Event) -> tuple[Delivery, ...]:
    return ROUTER.route(given).outputs


def test_a_delivery_is_complete() -> None:
    given = event(labels={"line": "L3"}, data={"code": "E1"}, traceparent="00-1-2-01")
    assert route(given) == (
        Delivery(
            id=delivery_id(given, "l3"),
            event=given,
            receiver="l3",
            domain="domain-of-l3",
            recipients=("l3",),
            route="0.1",
            config_version=7,
            group="L3/E1",
            urgent=False,
            episode="line-3/M-07/E1",
            origin=given.origin,
        ),
    )


def test_continue_reaches_a_second_receiver() -> None:
    found = route(event(labels={"line": "L3", "severity": "critical"}))
    assert [(d.receiver, d.route, d.urgent, d.recipients) for d in found] == [
        ("oncall", "0.0", True, ("zhang", "li")),
        ("l3", "0.1", False, ("l3",)),
    ]


def test_what_no_route_takes_goes_to_the_first_receiver() -> None:
    (only,) = route(event("unheard.of"))
    assert (only.receiver, only.route, only.group, only.episode) == ("it", "0", "", None)


def test_urgent_is_inherited_and_set() -> None:
    assert [d.urgent for d in route(event("robot")) + route(event("robot", labels={"line": "L3"}))] == [False, True]


def test_recipients_come_from_facts() -> None:
    def leaders(facts: Any) -> tuple[str, ...]:
        (only,) = route(event("heat", data={"temperature": 91}, facts=facts))
        assert only.group is None
        return only.recipients

    assert leaders({"machine": {"leader": "wang"}}) == ("wang", "boss")
    assert leaders({"machine": {"leader": ["wang", "zhao", "", None, "boss"]}}) == ("wang", "zhao", "boss")
    assert leaders({"machine": {"leader": 123}}) == ("123", "boss")
    nothing: dict[str, Any]
    for nothing in ({}, {"machine": {"missing": "timeout"}}, {"machine": {"leader": {}}}, {"machine": {"leader": ""}}):
        assert leaders(nothing) == ("boss",)


SHORT = {"quantity": 1, "safety_stock": 2}


def test_nobody_to_tell_is_named() -> None:
    result = ROUTER.route(event("stock", data=SHORT))
    assert (result.outputs, result.ended) == ((), Skipped(Reason.NO_RECIPIENTS, "buyers"))


def test_muted_and_inactive_name_the_rule() -> None:
    midnight = TUESDAY_NOON + timedelta(hours=12)
    muted = ROUTER.route(event(labels={"line": "L3"}, at=midnight))
    assert (muted.outputs, muted.ended) == ((), Skipped(Reason.MUTED, "0.1 night"))
    inactive = ROUTER.route(event("stock", data=SHORT, at=midnight))
    assert (inactive.outputs, inactive.ended) == ((), Skipped(Reason.INACTIVE, "0.3 day, tuesday"))


def test_a_muted_route_does_not_mute_the_others() -> None:
    found = route(event(labels={"line": "L3", "severity": "critical"}, at=TUESDAY_NOON + timedelta(hours=12)))
    assert [d.receiver for d in found] == ["oncall"]


def test_the_time_is_that_of_acceptance() -> None:
    given = event(labels={"line": "L3"}, at=TUESDAY_NOON)
    late = msgspec.structs.replace(given, time=TUESDAY_NOON + timedelta(hours=12))
    assert [d.receiver for d in route(late)] == ["l3"]
    unlogged = msgspec.structs.replace(late, origin=())
    assert ROUTER.route(unlogged).ended == Skipped(Reason.MUTED, "0.1 night")


def test_one_receiver_hears_once_and_urgently_if_any_route_says_so() -> None:
    root = {"receiver": "a", "routes": [{"continue": True}, {"continue": True, "urgent": True}, {}]}
    (only,) = router(settings(root, receivers=receivers("a"))).route(event()).outputs
    assert (only.route, only.urgent) == ("0.0", True)


def test_first_of_several_endings_is_nobody_to_tell() -> None:
    root = {
        "receiver": "a",
        "routes": [
            {"mute_time_intervals": ["day"], "continue": True},
            {"receiver": "b", "continue": True},
            {"receiver": "c"},
        ],
    }
    people = receivers("a", b={"to": ["fact:x.y"]}, c={"to": ["fact:x.z"]})
    given = settings(root, receivers=people, calendar={"time_intervals": INTERVALS})
    assert router(given).route(event()).ended == Skipped(Reason.NO_RECIPIENTS, "b")


@pytest.mark.parametrize("said", ["all", "@all", "所有人"])
def test_no_fact_calls_everybody(said: str) -> None:
    people = router(settings({"receiver": "a"}, receivers=receivers(a={"to": ["fact:list.people", "boss"]})))
    (found,) = people.route(event(facts={"list": {"people": [said, "wang"]}})).outputs
    assert found.recipients == ("wang", "boss")
    own = router(settings({"receiver": "a"}, receivers=receivers(a={"to": ["all"]})))
    assert own.route(event()).outputs[0].recipients == ("all",)


def test_a_long_list_becomes_several_deliveries() -> None:
    everybody = router(
        settings({"receiver": "all"}, receivers=receivers(all={"to": ["fact:list.people"], "at_most": 5_000}))
    )
    names = [f"p{number}" for number in range(2_500)]
    given = event(facts={"list": {"people": [*names, *names]}})
    found = everybody.route(given).outputs
    assert [len(d.recipients) for d in found] == [1_000, 1_000, 500]
    assert [name for d in found for name in d.recipients] == names
    assert [d.id for d in found] == [delivery_id(given, name) for name in ("all", "all#2", "all#3")]
    assert {d.receiver for d in found} == {"all"}
    assert len(everybody.route(event(facts={"list": {"people": names[:1_000]}})).outputs) == 1


def test_groups() -> None:
    def group(labels: dict[str, str], data: dict[str, Any] | None = None) -> str | None:
        return route(event(labels={"line": "L3", **labels}, data=data or {}))[0].group

    assert group({}) == "L3/"
    assert group({"code": "E/1"}) == "L3/E%2F1"
    assert group({}, {"code": "E2"}) == "L3/E2"


def test_an_episode_needs_every_field_of_its_key() -> None:
    assert [route(event(**parts))[0].episode for parts in ({}, {"data": {"code": 7}}, {"labels": {"code": "E"}})] == [
        None,
        "line-3/M-07/7",
        "line-3/M-07/E",
    ]


def test_a_replay_is_byte_equal() -> None:
    batch = [event(labels={"line": line, "severity": "critical"}, data={"code": line}) for line in ("L1", "L2", "L3")]
    once, again = (msgspec.json.encode(asyncio.run(RoutingStage(router(PLANT))(batch))) for _ in range(2))
    assert once == again
    assert len(msgspec.json.decode(once)) == 3


@pytest.mark.parametrize(
    ("route_", "domains", "problem"),
    [
        ({"receiver": "nobody"}, {"it": "d"}, "receiver nobody, which does not exist"),
        ({"receiver": "it", "routes": [{"receiver": "x"}]}, {"it": "d"}, "receiver x, which"),
        ({"receiver": "it"}, {}, "it has no limit domain"),
        ({}, {"it": "d"}, "needs a receiver"),
    ],
)
def test_a_router_that_cannot_be(route_: dict[str, Any], domains: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Router(settings(route_, receivers=receivers("it")), 1, domains)


def test_explanation_shows_what_was_seen() -> None:
    explanation = explain(ROUTER, event(labels={"line": "L3"}, at=TUESDAY_NOON + timedelta(hours=12)))
    shown = [
        (visit.path, [(seen.matcher, seen.value, seen.held) for seen in visit.matchers], visit.taken)
        for visit in explanation.visits
    ]
    assert shown == [
        ("0", [], False),
        ("0.0", [('type="machine.fault"', "machine.fault", True), ('severity="critical"', "", False)], False),
        ("0.1", [('type="machine.fault"', "machine.fault", True), ('line="L3"', "L3", True)], True),
    ]
    assert explanation.visits[-1].silenced == explanation.ended == Skipped(Reason.MUTED, "0.1 night")
    assert explanation.receivers == ()


# ---- groups and fallbacks


def test_groups_are_inherited_and_belong_to_the_route_that_was_taken() -> None:
    below = [{"matchers": ['line="L3"'], "group_wait": "0s"}, {"matchers": ['line="L4"'], "group_by": ["code"]}]
    route = {"receiver": "r0", "group_by": ["line"], "group_wait": "5s", "group_interval": "1m", "routes": below}
    of = router(settings(route, receivers=receivers("r0")))
    third, fourth, other = (
        of.route(event(labels={"line": line, "code": "E/1"})).outputs[0] for line in ("L3", "L4", "L5")
    )
    assert [one.batch for one in (third, fourth, other)] == ["0.0 L3", "0.1 E/1", "0 L5"]
    assert [one.pace for one in (third, fourth, other)] == [Pace(0, 60), Pace(5, 60), Pace(5, 60)]


def test_without_group_by_there_are_no_groups() -> None:
    (one,) = router(settings({"receiver": "r0", "group_wait": "5s"}, receivers=receivers("r0"))).route(event()).outputs
    assert (one.batch, one.pace) == (None, None)


def test_different_labels_are_different_groups_whatever_is_in_them() -> None:
    of = router(settings({"receiver": "r0", "group_by": ["..."]}, receivers=receivers("r0")))
    given = [{"a": "b"}, {"a": "b", "c": ""}, {"a": 'b"'}, {"a": "b,c"}, {"a": "b", "c": "d"}]
    assert len({of.route(event(labels=labels)).outputs[0].batch for labels in given}) == len(given)


def test_a_delivery_says_what_it_would_be_a_storm_of() -> None:
    limits = {"storm": {"over": "200/m", "by": ["line", "code"]}}
    never = {"channel": "robot", "merge": "none"}
    route = {"receiver": "r0", "routes": [{"matchers": ['line="L9"'], "receiver": "never"}]}
    of = router(settings(route, receivers=receivers("r0", never=never), limits=limits))
    labels = ({"line": "L3", "code": "E/1"}, {"line": "L3"}, {"line": "L9"})
    storms = [of.route(event(labels=one, data={})).outputs[0].storm for one in labels]
    assert storms == [Storm("L3/E%2F1", 200, 60.0), Storm("L3/", 200, 60.0), None]


def test_a_delivery_knows_who_is_told_instead() -> None:
    fallback = [{"receiver": "r1", "after": "2m"}, {"receiver": "people", "reasons": ["gone", "rejected"]}]
    told = receivers("r1", r0={"fallback": fallback}, people={"to": ["fact:machine.leader"]})
    of = router(settings({"receiver": "r0"}, receivers=told))
    (one,) = of.route(event(facts={"machine": {"leader": ["wang", "li"]}})).outputs
    assert one.fallback == (
        Fallback("r1", "domain-of-r1", ("r1",), "", 120.0),
        Fallback("people", "domain-of-people", ("wang", "li"), "", None, (Reason.GONE, Reason.REJECTED)),
    )
    (nobody,) = of.route(event()).outputs
    assert nobody.fallback[1].recipients == ()


def test_a_fallback_of_more_people_than_a_delivery_holds_has_none() -> None:
    told = receivers(r0={"fallback": [{"receiver": "all"}]}, all={"to": ["fact:m.all"], "at_most": 5_000})
    of = router(settings({"receiver": "r0"}, receivers=told))
    sizes = [
        len(of.route(event(facts={"m": {"all": [f"p{n}" for n in range(count)]}})).outputs[0].fallback[0].recipients)
        for count in (1_000, 1_001)
    ]
    assert sizes == [1_000, 0]
