"""What Andon tells of a source goes to the receiver the source names, whatever the routes say."""

from __future__ import annotations

from typing import Any

import pytest

from andon.config.settings import Settings
from andon.core.event import Event
from andon.core.silence import WORDS
from andon.rehearsal.coverage import Coverage
from andon.routing import Router, explain
from andon.routing.kinds import Kinds
from andon.routing.whatif import WhatIf
from tests.unit.routing.events import event, receivers, settings

ODD = 'a "quoted" \\ 源'
TYPES = [word for words in WORDS.values() for word in (words.lost, words.found)]


def plant(*routes: dict[str, Any], receiver: str = "it") -> Settings:
    def source(expect: dict[str, Any] | None) -> dict[str, Any]:
        return {"kind": "http", "token": "env:T", **({} if expect is None else {"expect": expect})}

    return settings(
        {"receiver": "root", "routes": list(routes)},
        receivers=receivers("root", "it", "sre", "other"),
        sources={
            "mes": source({"event_within": "2h", "receiver": receiver}),
            ODD: source({"event_within": "2h", "receiver": "other"}),
            "plain": source(None),
        },
    )


def router(given: Settings, version: int = 1) -> Router:
    return Router(given, version, dict.fromkeys(given.receivers, "d"))


def told(source: str = "mes", kind: str = TYPES[0], teller: str = "andon") -> Event:
    labels = {"state": "raise", "severity": "major", "watched": source}
    return Event("e-9", teller, kind, f"source/{source}", event().time, {}, labels, origin=event().origin)


def heard_by(one: Router, given: Event) -> list[tuple[str, str]]:
    return [(delivery.receiver, delivery.route) for delivery in one.route(given).outputs]


@pytest.mark.parametrize("kind", TYPES)
def test_it_goes_to_the_receiver_and_not_to_the_default(kind: str) -> None:
    assert heard_by(router(plant()), told(kind=kind)) == [("it", "0.expect.mes")]
    assert heard_by(router(plant()), told(ODD, kind)) == [("other", f"0.expect.{ODD}")]


def test_routes_that_match_are_told_too_and_take_nothing_from_it() -> None:
    all_of_it = plant({"matchers": ['type=~"andon.*"'], "receiver": "sre"}, {"matchers": [], "receiver": "root"})
    assert heard_by(router(all_of_it), told()) == [("it", "0.expect.mes"), ("sre", "0.0")]
    assert heard_by(router(all_of_it), event()) == [("root", "0.1")]


def test_what_is_not_andons_own_or_of_no_source_that_is_watched_goes_by_the_routes() -> None:
    one = router(plant())
    for given in (told(teller="mes"), told("plain"), told("gone"), told(kind="andon.quota"), event()):
        assert heard_by(one, given) == [("root", "0")]


def test_it_is_explained_compared_and_counted_like_every_route() -> None:
    before, after = router(plant(), 1), router(plant(receiver="sre"), 2)
    visits = {visit.path: visit for visit in explain(after, told()).visits}
    assert (visits["0.expect.mes"].taken, visits["0.expect.mes"].receiver) == (True, "sre")
    assert not visits[f"0.expect.{ODD}"].matched
    known = Kinds(before)
    assert [known.decide(one).sides[0][0].receiver for one in (told(), told(ODD), told())] == ["it", "other", "it"]
    compared = WhatIf()
    compared.take(told(), before, after)
    rules = {(rule.route, rule.receiver): (rule.gained, rule.lost) for rule in compared.difference().rules}
    assert rules == {("0.expect.mes", "sre"): (1, 0), ("0.expect.mes", "it"): (0, 1)}
    given = plant({"matchers": ['line="L3"'], "receiver": "sre"})
    coverage = Coverage(router(given), given)
    coverage.routed(told(), router(given).route(told()))
    assert [branch.place for branch in coverage.branches if "matchers" in branch.place] == [
        ("route", "routes", 0, "matchers", 0)
    ] * 2
