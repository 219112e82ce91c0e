"""The rate of a client: against the definition, and against an independent leaky bucket."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.core.policy import Limit
from andon.ingress.entry.gcra import Meter, Meters

START = 1_760_000_000
MICRO = 1_000_000
limits = st.builds(Limit, st.integers(1, 60), st.sampled_from([0.5, 1.0, 7.0, 60.0, 3_600.0]))
# Steps of 1/64 s are exact in floats, so that the test says nothing of rounding.
arrivals = st.lists(st.tuples(st.integers(0, 640), st.integers(1, 80)), min_size=1, max_size=80)


def times(steps: list[tuple[int, int]]) -> list[tuple[Fraction, int]]:
    now, found = Fraction(START), []
    for step, events in steps:
        now += Fraction(step, 64)
        found.append((now, events))
    return found


@given(limits, arrivals)
def test_no_span_of_time_holds_more_than_the_rate_and_one_burst(limit: Limit, steps: list[tuple[int, int]]) -> None:
    meter, let_in = Meter(limit), []
    for now, events in times(steps):
        if events <= limit.count and meter.spend(float(now), events) == 0:
            let_in.append((now, events))
    for first in range(len(let_in)):
        for last in range(first, len(let_in)):
            span = let_in[last][0] - let_in[first][0] + Fraction(1, MICRO)  # the clock counts whole ones
            most = limit.count * (1 + span / Fraction(limit.period))
            assert sum(events for _, events in let_in[first : last + 1]) <= most


@given(limits, arrivals)
def test_exactly_what_a_leaky_bucket_holds_is_let_in(limit: Limit, steps: list[tuple[int, int]]) -> None:
    """The same rule in the standard's other form, with nothing of ours in it: a bucket of `count`, which leaks
    `count` in a period. Whatever is refused would have made it flow over."""
    meter, level, before = Meter(limit), Fraction(0), Fraction(START)
    for now, events in times(steps):
        level = max(level - (now - before) * limit.count / Fraction(limit.period), Fraction(0))
        before = now
        room = limit.count - level
        fits = events <= room or (events > limit.count and level == 0)
        over = Fraction(0) if fits else min(events, limit.count) - room
        if abs(over) * Fraction(limit.period) / limit.count <= Fraction(3, MICRO) and not fits:
            return  # less than the clock can tell
        assert (meter.spend(float(now), events) == 0) == fits
        level += events if fits else 0


@given(limits, arrivals, st.floats(0, 0.999))
def test_who_waits_as_long_as_he_is_told_is_let_in_and_not_sooner(
    limit: Limit, steps: list[tuple[int, int]], fraction: float
) -> None:
    meter, now = Meter(limit), START + fraction
    for step, events in steps:
        now += step / 640
        after = meter.spend(now, events)
        if after:
            assert meter.spend(now + after - 1, events) >= 1, "whole seconds, rounded up"
            now += after
            assert meter.spend(now, events) == 0


def test_a_rate_as_it_is_written() -> None:
    meter = Meter(Limit(50, 1.0))
    assert [meter.spend(START) for _ in range(51)] == [0] * 50 + [1]
    assert meter.spend(START + 1.0, 50) == 0
    slow = Meter(Limit(5, 600.0))
    assert [slow.spend(START) for _ in range(6)] == [0] * 5 + [120]
    assert slow.spend(START + 119.0) == 1
    assert slow.spend(START + 120.0) == 0
    assert slow.spend(START + 120.0, 2) == 240


def test_what_is_larger_than_a_burst_comes_once_nothing_is_owed_and_is_paid_off() -> None:
    meter = Meter(Limit(10, 10.0))
    assert meter.spend(START, 1) == 0
    assert meter.spend(START, 100) == 1
    assert meter.spend(START + 1, 100) == 0
    assert meter.spend(START + 1, 1) == 91
    assert meter.spend(START + 92, 1) == 0


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    meter = Meter(Limit(2, 2.0))
    assert [meter.spend(START, 2), meter.spend(START, 1)] == [0, 1]
    assert meter.spend(START - 86_400, 1) == 1
    assert meter.spend(START - 86_399, 1) == 0


@pytest.mark.parametrize("most", [1, 3])
def test_many_keys_take_a_bounded_memory_and_who_was_silent_longest_is_forgotten(most: int) -> None:
    meters = Meters(Limit(1, 60.0), most)
    for number in range(100):
        assert meters.spend("loud", START) == (0 if number == 0 or most == 1 else 60)
        assert meters.spend(f"key {number}", START) == 0
    assert len(meters) == most
