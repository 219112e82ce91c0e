"""Runs suites, and says what became of each test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import inf
from time import perf_counter

import msgspec

from andon.config.mistakes import Place
from andon.core.event import Event
from andon.core.mute import Mute
from andon.rehearsal.compare import Comparison
from andon.rehearsal.given import events, names
from andon.rehearsal.moments import beginning, moment
from andon.rehearsal.rehearsal import Rehearsal
from andon.rehearsal.rules import Rules
from andon.rehearsal.suites import ReadSuite
from andon.rehearsal.vendor import Outage
from andon.rehearsal.written import Case
from andon.routing.explain import Explanation, explain
from andon.routing.router import Router


class Failure(msgspec.Struct, frozen=True):
    """An expectation that was not met, with its line and column, and the ways of events that explain it."""

    line: int
    column: int
    expected: str
    came: str
    paths: dict[str, Explanation] = {}


class Verdict(msgspec.Struct, frozen=True):
    """What became of a test."""

    name: str
    file: str
    line: int
    column: int
    seconds: float
    failures: tuple[Failure, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures


def run(rules: Rules, suites: Sequence[ReadSuite], named: str = "") -> Iterator[Verdict]:
    """Runs the tests whose names contain `named`, whatever its case, in the order of files and of each file."""
    for suite in suites:
        for number, case in enumerate(suite.suite.tests):
            if named.casefold() in case.name.casefold():
                yield _verdict(rules, suite, number, case)


def _verdict(rules: Rules, suite: ReadSuite, number: int, case: Case) -> Verdict:
    began = perf_counter()
    begins = beginning(case.at, rules.zone)
    until = moment(case.until, begins, rules.zone) if case.until is not None else None
    router = rules.muted(list(_mutes(case, begins, rules)))
    rehearsal = Rehearsal(rules, router, list(_outages(case, begins, rules)))
    came = rehearsal.run(events(case, suite.suite.events, begins, rules.zone), until)
    comparison = Comparison(came, names(case), begins, rules.zone)
    failures = tuple(
        Failure(
            *suite.place("tests", number, *one.place),
            one.expected,
            one.came,
            _paths(router, [came.events[event] for event in one.events]),
        )
        for one in comparison.differences(case.expect)
    )
    place: Place = suite.place("tests", number, "name")
    return Verdict(case.name, str(suite.file), *place, perf_counter() - began, failures)


def _outages(case: Case, begins: float, rules: Rules) -> Iterator[Outage]:
    for one in case.answers:
        ends = moment(one.until, begins, rules.zone) if one.until is not None else inf
        yield Outage(one.receiver, one.reason, moment(one.at, begins, rules.zone), ends)


def _mutes(case: Case, begins: float, rules: Rules) -> Iterator[Mute]:
    for number, one in enumerate(case.mutes, 1):
        first, last = (datetime.fromtimestamp(moment(text, begins, rules.zone), UTC) for text in (one.at, one.until))
        yield Mute(f"m{number}", one.matchers, first, last, "test", "test", one.then)


def _paths(router: Router, some: Sequence[Event]) -> dict[str, Explanation]:
    return {event.id: explain(router, event) for event in some}
