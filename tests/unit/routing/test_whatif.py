"""What other rules would change: the same figures as when every event is routed twice and compared by hand."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from andon.cli.shown.whatifpage import page
from andon.core.event import Event
from andon.core.mute import Mute
from andon.core.people import Person
from andon.core.tables import Tables
from andon.routing import Router, kinds, whatif
from andon.routing.kinds import Kinds
from andon.routing.once import Account
from andon.routing.whatif import Difference, WhatIf
from tests.unit.routing import sides
from tests.unit.routing.events import TUESDAY_NOON, event, receivers, settings
from tests.unit.routing.generated import some_tree

RECEIVERS = receivers(
    "r0",
    r1={"to": ["wang", "li"]},
    r2={"to": ["fact:machine.leader", "role:班长 & shift:{labels.line}"], "at_most": 2_000},
    r3={"to": ["fact:machine.leader"], "send_resolved": False, "if_nobody": "r4"},
    r4={"to": ["role:{labels.line}"], "if_nobody": "r1"},
)
PEOPLE = Tables(
    people=(Person("qian", roles=("班长", "a"), shifts=("a",)), Person("sun", roles=("班长",), shifts=("b",)))
)


def built(root: dict[str, Any], version: int) -> Router:
    given = settings(root, receivers=RECEIVERS, calendar={"time_intervals": sides.INTERVALS})
    one_account = {name: Account("app", lambda _name: True) for name in ("r1", "r2")}
    return Router(given, version, dict.fromkeys(RECEIVERS, "d"), PEOPLE, accounts=one_account)


def some_event(random: Random, number: int) -> Event:
    leader = random.choice(("wang", "韩梅", ["wang", "zhao"], None))
    one = sides.some_event(random)
    labels = {**one.labels, "state": random.choice(("raise", "clear"))}
    return msgspec.structs.replace(
        one, id=f"e-{number}", labels=labels, facts={**one.facts, "machine": {"leader": leader}}
    )


def by_hand(events: list[Event], old: Router, new: Router) -> dict[str, Any]:
    """Each event routed twice, and counted one by one."""
    of, people, found = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[str]()
    for one in events:
        before, after = ({d.receiver: d for d in by.route(one).outputs} for by in (old, new))
        for name in {*before, *after}:
            word = "gained" if name not in before else "lost" if name not in after else "kept"
            if word == "kept":
                a, b = before[name], after[name]
                word = "kept" if (set(a.recipients), a.urgent) == (set(b.recipients), b.urgent) else "changed"
            of[name, word] += 1
            found[word] += 1
            found["different"] += word != "kept" and not found[f"seen {one.id}"]
            found[f"seen {one.id}"] += word != "kept"
        found["silent"] += bool(before) and not after
        found["heard"] += bool(after) and not before
        was, will = ({name for d in side.values() for name in d.recipients} for side in (before, after))
        people.update((name, "gained") for name in will - was)
        people.update((name, "lost") for name in was - will)
    told = {word: found[word] for word in ("different", "silent", "heard")}
    return {"events": len(events), **told, "receivers": dict(of), "people": dict(people)}


def summed(found: Difference) -> dict[str, Any]:
    words = ("kept", "gained", "lost", "changed")
    of = {(one.receiver, word): getattr(one, word) for one in found.receivers for word in words}
    people = {(one.person, word): getattr(one, word) for one in found.people for word in ("gained", "lost")}
    return {
        "events": found.events,
        **{word: getattr(found, word) for word in ("different", "silent", "heard")},
        "receivers": {key: count for key, count in of.items() if count},
        "people": {key: count for key, count in people.items() if count},
    }


@pytest.mark.parametrize("small", [False, True])
def test_counts_as_by_hand(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if small:  # what is remembered is forgotten all the time, and nothing changes
        monkeypatch.setattr(kinds, "_MOST", 2)
        monkeypatch.setattr(whatif, "_MOST_KINDS", 2)
    random = Random(20_261_126)
    for _ in range(40):
        old, new = (built(some_tree(random, own=True), version) for version in (1, 0))
        events = [some_event(random, number) for number in range(40)]
        compared = WhatIf()
        for one in events:
            compared.take(one, old, new)
        found = compared.difference()
        assert summed(found) == by_hand(events, old, new)
        assert found.notices == sum(one.gained + one.lost + one.changed for one in found.receivers)
        assert sum(one.gained for one in found.rules) == sum(one.gained for one in found.receivers)
        assert sum(one.lost for one in found.rules) == sum(one.lost for one in found.receivers)
        assert all(len(one.gains) <= whatif.EXAMPLES >= len(one.losses) for one in found.receivers)


def test_a_rehearsal_decides_as_the_router_even_with_very_many_conditions() -> None:
    random = Random(7)
    routes = [{"matchers": [f"data.code == {number}"], "receiver": "r1"} for number in range(70)]
    subject = built({"receiver": "r0", "routes": routes}, 1)
    once = Kinds(subject)
    for number in range(50):
        one = some_event(random, number)
        heard = [(d.receiver, d.route, d.urgent, d.recipients) for d in subject.route(one).outputs]
        assert [tuple(each) for each in once.decide(one).sides[0]] == heard


def test_mutes_and_maintenance_are_looked_at() -> None:
    begins, ends = TUESDAY_NOON, TUESDAY_NOON + timedelta(hours=1)
    mutes = (
        Mute("m1", ('line="a"',), begins, ends, "wang", "换模", "drop"),
        Mute("m2", ('line=~"b|c"',), begins, ends, "wang", "换模", "digest"),
    )
    given = settings({"receiver": "r1", "urgent": True}, receivers=RECEIVERS)
    subject = Router(given, 1, dict.fromkeys(RECEIVERS, "d"), mutes=mutes)
    once = Kinds(subject)
    for minutes in (-1, 0, 59, 60):
        for line in "abcd":
            one = event(labels={"line": line}, at=TUESDAY_NOON + timedelta(minutes=minutes))
            heard = [(d.receiver, d.route, d.urgent, d.recipients) for d in subject.route(one).outputs]
            assert [tuple(each) for each in once.decide(one).sides[0]] == heard
            assert bool(heard) is not (line == "a" and minutes in (0, 59))


def test_equal_events_are_routed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = built({"receiver": "r0", "routes": [{"matchers": ['line="a"'], "receiver": "r1"}]}, 1)
    asked = Counter[str]()
    route = Router.route
    monkeypatch.setattr(Router, "route", lambda self, one: asked.update(["x"]) or route(self, one))
    once = Kinds(subject)
    for number in range(100):
        once.decide(event(labels={"line": "ab"[number % 2], "n": str(number)}))
    assert asked["x"] == 2


def test_long_lists_of_people_are_one_decision() -> None:
    many = [f"p{number}" for number in range(1_500)]
    subject = built({"receiver": "r2"}, 1)
    ((heard,),) = Kinds(subject).decide(event(facts={"machine": {"leader": many}})).sides
    assert heard.names == tuple(many)


def test_names_the_rules_and_some_of_the_events() -> None:
    old = built({"receiver": "r0", "routes": [{"matchers": ['line="a"'], "receiver": "r1"}]}, 3)
    new = built({"receiver": "r0", "routes": [{"matchers": ['line=~"a|b"'], "receiver": "r1"}]}, 0)
    compared = WhatIf()
    for number in range(30):
        one = event(labels={"line": "ab"[number % 2]})
        compared.take(msgspec.structs.replace(one, id=f"e-{number}"), old, new)
    found = compared.difference()
    assert [(one.version, one.route, one.receiver, one.matchers, one.gained, one.lost) for one in found.rules] == [
        (0, "0.0", "r1", ('line=~"a|b"',), 15, 0),
        (3, "0", "r0", (), 0, 15),
    ]
    gains = {one.receiver: [each.event for each in one.gains] for one in found.receivers}
    assert gains == {"r0": [], "r1": ["e-1", "e-3", "e-5", "e-7", "e-9"]}
    assert (found.events, found.different, found.notices) == (30, 15, 30)


def test_an_event_that_two_doors_took_is_one() -> None:
    old, new = built({"receiver": "r0"}, 3), built({"receiver": "r1"}, 0)
    compared = WhatIf()
    for one in (event(), event(), msgspec.structs.replace(event(), source="wms")):
        compared.take(one, old, new)
    assert (compared.difference().events, compared.difference().notices) == (2, 4)


def test_the_page_loads_nothing_and_escapes_everything() -> None:
    evil = "<script>alert(1)</script>"
    only = {"receiver": "r0", "routes": [{"matchers": [f'line="{"x"}"'], "receiver": "r1"}]}
    compared = WhatIf()
    one = event(evil, subject=evil, labels={"line": "x"}, facts={"machine": {"leader": evil}})
    compared.take(msgspec.structs.replace(one, id=evil), built({"receiver": "r2"}, 1), built(only, 0))
    whole = msgspec.to_builtins(compared.difference())
    shown = page({"since": "a", "until": "b", "old": evil, "new": evil, **whole})
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 5
    assert not [word for word in ("http:", "https:", "src=", "href=", "url(", "@import") if word in shown]
