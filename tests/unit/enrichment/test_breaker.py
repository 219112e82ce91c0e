"""The circuit breaker."""

from __future__ import annotations

from andon.runtime.breaker import Breaker, State
from andon.testing.clock import ManualClock


def opened(clock: ManualClock) -> Breaker:
    breaker = Breaker(clock, failures=3, cool=10.0)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(ManualClock(), failures=3)
    for failing in (True, True, False, True, True):
        breaker.failed() if failing else breaker.succeeded()
    assert (breaker.state, breaker.allows()) == (State.CLOSED, True)
    breaker.failed()
    assert (breaker.state, breaker.allows()) == (State.OPEN, False)


def test_one_call_tries_after_a_while() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(9.9)
    assert not breaker.allows()
    clock.advance(0.1)
    assert breaker.allows()
    assert breaker.state is State.HALF_OPEN
    assert not breaker.allows()


def test_a_clock_that_is_set_back_keeps_no_breaker_open() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(-8 * 3_600)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()


def test_the_trial_decides() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(10)
    assert breaker.allows()
    breaker.failed()
    assert (breaker.state, breaker.allows()) == (State.OPEN, False)
    clock.advance(10)
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    breaker.failed()
    assert breaker.state is State.CLOSED


def test_a_trial_that_never_reports_is_given_up() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(10)
    assert breaker.allows()
    clock.advance(9)
    assert not breaker.allows()
    clock.advance(1)
    assert breaker.allows()


def test_a_late_failure_does_not_prolong_the_pause() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(9)
    breaker.failed()
    clock.advance(1)
    assert breaker.allows()
