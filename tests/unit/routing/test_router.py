"""Routing against a second, deliberately naive implementation, and by known cases."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.config.settings import Settings
from andon.core.delivery import Delivery, Fallback, delivery_id
from andon.core.event import Event
from andon.core.matchers import label_value
from andon.core.outcome import Skipped
from andon.core.policy import Pace
from andon.core.reason import Reason
from andon.routing import Router, RoutingStage, explain, tree
from tests.unit.routing.events import TUESDAY_NOON, event, receivers, settings

LABELS = ("type", "line", "severity", "code")
WORDS = ("", "a", "b", "ab")
PATTERNS = ("a|b", "a.*", ".*", "", "b+")
NAMES = ("r0", "r1", "r2", "r3")
INTERVALS = {
    "day": [{"times": ["08:00-20:00"]}],
    "night": [{"times": ["20:00-08:00"]}],
    "tuesday": [{"days": ["tuesday"]}],
}


def router(given: Settings, version: int = 7) -> Router:
    return Router(given, version, {name: f"domain-of-{name}" for name in given.receivers})


# The naive implementation: reads the written configuration anew for every event.


def naive_holds(text: str, given: Event) -> bool:
    match = re.fullmatch(r'(\S+?) ?(=~|!~|!=|=|>) ?"?(.*?)"?', text)
    assert match
    name, sign, value = match.groups()
    if sign == ">":
        found = given.data.get(name.removeprefix("data."))
        return isinstance(found, int) and found > int(value)
    seen = given.type if name == "type" else given.labels.get(name, "")
    positive = re.fullmatch(value, seen) is not None if sign.endswith("~") else seen == value
    return positive is not sign.startswith("!")


def naive_interval(name: str, given: Event) -> bool:
    local = datetime.fromtimestamp(given.origin[0].at / 1000, ZoneInfo("Asia/Shanghai"))
    return {"day": 8 <= local.hour < 20, "night": not 8 <= local.hour < 20, "tuesday": local.weekday() == 1}[name]


def naive_routes(node: dict[str, Any], given: Event, receiver: str, urgent: bool, path: str) -> list[tuple[str, ...]]:
    """(path, receiver, urgent, verdict) of every route taken."""
    receiver, urgent = node.get("receiver") or receiver, node.get("urgent", urgent)
    taken: list[tuple[str, ...]] = []
    for number, child in enumerate(node.get("routes", [])):
        if all(naive_holds(text, given) for text in child.get("matchers", [])):
            taken += naive_routes(child, given, receiver, urgent, f"{path}.{number}")
            if not child.get("continue"):
                break
    if taken:
        return taken
    active, mute = node.get("active_time_intervals", []), node.get("mute_time_intervals", [])
    if active and not any(naive_interval(name, given) for name in active):
        return [(path, receiver, str(urgent), "inactive")]
    return [(path, receiver, str(urgent), "muted" if any(naive_interval(name, given) for name in mute) else "")]


def naive(root: dict[str, Any], given: Event) -> tuple[list[tuple[str, str, bool]], str]:
    """(receiver, path, urgent) of every delivery, or the reason why there is none."""
    taken = naive_routes(root, given, "", False, "0")
    found: dict[str, tuple[str, str, bool]] = {}
    for path, receiver, urgent, verdict in taken:
        if not verdict:
            _, first, before = found.get(receiver, (receiver, path, False))
            found[receiver] = (receiver, first, before or urgent == "True")
    return list(found.values()), "" if found else taken[0][3]


def actual(subject: Router, given: Event) -> tuple[list[tuple[str, str, bool]], str]:
    result = subject.route(given)
    assert bool(result.outputs) is (result.ended is None)
    return [(d.receiver, d.route, d.urgent) for d in result.outputs], result.ended.reason if result.ended else ""


# Generated trees and events, driven by a seeded generator or by Hypothesis.


def some_matcher(random: Random) -> str:
    name = random.choice(LABELS)
    if name == "code":
        return f"data.code > {random.randrange(3)}"
    sign = random.choice(("=", "=", "=", "!=", "=~", "!~"))
    value = random.choice(PATTERNS if "~" in sign else WORDS)
    return f'{name}{sign}"{value}"' if random.random() < 0.8 or not value else f"{name}{sign}{value}"


def some_route(random: Random, depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"matchers": [some_matcher(random) for _ in range(random.randrange(3))]}
    if random.random() < 0.7:
        node["receiver"] = random.choice(NAMES)
    if random.random() < 0.4:
        node["continue"] = True
    if random.random() < 0.3:
        node["urgent"] = random.random() < 0.5
    for key in ("mute_time_intervals", "active_time_intervals"):
        if random.random() < 0.2:
            node[key] = random.sample(sorted(INTERVALS), random.randrange(1, 3))
    if depth:
        node["routes"] = [some_route(random, depth - 1) for _ in range(random.randrange(5))]
    return node


def some_tree(random: Random) -> dict[str, Any]:
    return {"receiver": "r0", "routes": [some_route(random, 2) for _ in range(random.randrange(1, 6))]}


def some_event(random: Random) -> Event:
    labels = {name: random.choice(WORDS) for name in ("line", "severity") if random.random() < 0.8}
    data: dict[str, Any] = {"code": random.choice((0, 1, 2, 3, "x", None))}
    at = TUESDAY_NOON + timedelta(hours=random.randrange(7 * 24))
    return event(random.choice(WORDS), labels=labels, data=data, at=at)


def built(root: dict[str, Any]) -> Router:
    return router(settings(root, receivers=receivers(*NAMES), calendar={"time_intervals": INTERVALS}))


def differences(seed: int, trees: int = 60, events: int = 20) -> int:
    random = Random(seed)
    count = 0
    for _ in range(trees):
        root = some_tree(random)
        subject = built(root)
        for _ in range(events):
            given = some_event(random)
            count += actual(subject, given) != naive(root, given)
    return count


@given(st.randoms(use_true_random=False))
def test_agrees_with_the_naive_one(random: Random) -> None:
    root, given = some_tree(random), some_event(random)
    assert actual(built(root), given) == naive(root, given)


@given(st.randoms(use_true_random=False))
def test_explains_what_it_does(random: Random) -> None:
    root, given = some_tree(random), some_event(random)
    subject = built(root)
    result, explanation = subject.route(given), explain(subject, given)
    assert explanation.receivers == tuple(delivery.receiver for delivery in result.outputs)
    assert explanation.ended == result.ended
    taken = [(visit.path, visit.silenced is not None) for visit in explanation.visits if visit.taken]
    assert taken == [(path, bool(verdict)) for path, _, _, verdict in naive_routes(root, given, "", False, "0")]
    msgspec.json.encode(explanation)


def test_agrees_on_a_thousand_seeded_cases() -> None:
    assert differences(20_261_122) == 0


def test_the_index_changes_nothing_in_wide_trees() -> None:
    random = Random(5)
    for _ in range(20):
        root = {"receiver": "r0", "routes": [some_route(random, 0) for _ in range(60)]}
        subject = built(root)
        for _ in range(20):
            given = some_event(random)
            assert actual(subject, given) == naive(root, given)


def _ignores_continue(self: tree.Node, given: Event, found: list[tree.Node]) -> None:
    for _, child, tests in self._index.candidates(given):
        if all(test(given) for test in tests):
            child.collect(given, found)
            return
    found.append(self)


def _always_adds_itself(self: tree.Node, given: Event, found: list[tree.Node]) -> None:
    matching = [child for _, child, tests in self._index.candidates(given) if all(test(given) for test in tests)]
    for child in matching:
        child.collect(given, found)
        if not child.goes_on:
            return
    found.append(self)


def _unsorted(self: Any, given: Event) -> list[Any]:
    return [*self._always, *(entry for read, entries in self._tables for entry in entries(read(given)) or ())]


def _forgets_the_missing(name: str) -> Callable[[Event], str]:
    read = label_value(name)
    return lambda given: read(given) or "none"


@pytest.mark.parametrize(
    ("where", "name", "mistake"),
    [
        (tree.Node, "collect", _ignores_continue),
        (tree.Node, "collect", _always_adds_itself),
        (tree.Node, "silenced", lambda self, given: None),
        (tree._Index, "candidates", _unsorted),
        (tree, "label_value", _forgets_the_missing),
        (tree, "all_hold", lambda tests, given: any(test(given) for test in tests) or not tests),
        (tree, "accepted_at", lambda given: TUESDAY_NOON.timestamp()),
    ],
)
def test_a_seeded_mistake_is_found(where: Any, name: str, mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, name, mistake)
    assert differences(20_261_122) > 0


# Known cases.

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
    everybody = router(settings({"receiver": "all"}, receivers=receivers(all={"to": ["fact:list.people"]})))
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
    told = receivers(r0={"fallback": [{"receiver": "all"}]}, all={"to": ["fact:m.all"]})
    of = router(settings({"receiver": "r0"}, receivers=told))
    sizes = [
        len(of.route(event(facts={"m": {"all": [f"p{n}" for n in range(count)]}})).outputs[0].fallback[0].recipients)
        for count in (1_000, 1_001)
    ]
    assert sizes == [1_000, 0]
