"""The sliding log: no window of any cut holds more than the limit, and a restart forgets nothing."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from andon.core.policy import Limit
from andon.runtime.desk.limiter import Line

ROBOT = (Limit(20, 62.0),)
# Eighths of a second are exact in binary, so that sums and differences agree to the last bit.
times = st.integers(0, 8 * 200).map(lambda n: n / 8)
limits = st.lists(st.builds(Limit, st.integers(1, 6), st.sampled_from([1.0, 5.0, 62.0, 90.0])), min_size=1, max_size=3)


def call(line: Line, began: float, ended: float) -> None:
    line.begin()
    line.end(ended, counts=True)


def test_twenty_calls_may_begin_at_once_and_the_next_one_period_after_the_first_result() -> None:
    line = Line()
    for n in range(20):
        assert line.free(ROBOT, 0.0) == 20 - n
        line.begin()
    assert (line.free(ROBOT, 0.0), line.next_free(ROBOT, 0.0)) == (0, inf)
    for n in range(20):
        line.end(1.0 + n, counts=True)
    assert line.next_free(ROBOT, 20.0) == 63.0
    assert (line.free(ROBOT, 62.9), line.free(ROBOT, 63.0), line.free(ROBOT, 64.0)) == (0, 1, 2)


def test_a_token_bucket_would_let_39_through_one_minute_and_this_lets_20() -> None:
    line, now, began = Line(), 0.0, []
    while now < 300:
        if line.free(ROBOT, now):
            call(line, now, now)
            began.append(now)
        now += 0.5
    assert max(sum(1 for one in began if start <= one < start + 60) for start in began) == 20


def test_a_call_that_never_left_gives_its_slot_back() -> None:
    line = Line()
    for _ in range(20):
        line.begin()
    line.end(1.0, counts=False)
    assert line.free(ROBOT, 1.0) == 1


def test_what_another_limit_of_the_account_counts_is_remembered_and_no_more_of_it_than_it_can_count() -> None:
    line, hourly, often = Line(), Limit(100, 3_600.0), (Limit(1_000, 60.0),)
    for n in range(20_000):
        assert line.free(often, n / 10, (hourly,))
        call(line, n / 10, n / 10)
    assert line.free((hourly,), 2_000.0) == 0
    assert line.next_free((hourly,), 2_000.0) == (20_000 - 100) / 10 + 3_600.0
    assert len(line._ended) < 2_200, "the largest counts a thousand"


def test_a_slot_is_held_while_no_answer_comes() -> None:
    line = Line()
    for _ in range(20):
        line.begin()
    assert line.free(ROBOT, 10_000.0) == 0


def test_without_limits_only_a_block_holds_back() -> None:
    line = Line()
    line.begin()
    assert line.free((), 0.0) > 1_000
    line.block(9.0)
    line.block(3.0)
    assert (line.free((), 8.9), line.next_free((), 2.0)) == (0, 9.0)
    assert line.free((), 9.0) > 1_000


def test_a_receiver_without_limits_does_not_make_the_account_forget() -> None:
    line = Line()
    for n in range(100):
        call(line, 0.0, n / 100)
    assert line.free((Limit(200, 62.0),), 1.0) == 100
    assert line.free((), 1.0) > 1_000
    assert line.free((Limit(1, 0.5),), 60.0) == 1
    assert line.free((Limit(200, 62.0),), 60.0) == 100


def test_the_log_does_not_grow_without_end() -> None:
    line = Line()
    for n in range(10_000):
        call(line, float(n), float(n))
        line.free(ROBOT, float(n))
        line.free((), float(n))
    assert len(line._ended) < 200


def test_results_that_come_out_of_order_count_all_the_same() -> None:
    line = Line()
    for at in (5.0, 1.0, 3.0):
        line.past(at)
    assert line.next_free((Limit(3, 10.0),), 5.0) == 11.0


@given(st.lists(times, max_size=30), st.integers(0, 4), limits, times)
def test_free_is_a_naive_count(ended: list[float], in_flight: int, limits: list[Limit], now: float) -> None:
    line = Line()
    for at in ended:
        line.past(at)
    for _ in range(in_flight):
        line.begin()
    room = min(limit.count - sum(1 for at in ended if at > now - limit.period) for limit in limits)
    assert line.free(limits, now) == max(0, room - in_flight)


@given(st.lists(times, max_size=30), st.integers(0, 4), limits, times, times)
def test_next_free_is_the_first_moment_that_is_free(
    ended: list[float], in_flight: int, limits: list[Limit], now: float, blocked: float
) -> None:
    line = Line()
    for at in ended:
        line.past(at)
    for _ in range(in_flight):
        line.begin()
    line.block(blocked)
    moments = sorted({now, blocked, *(at + limit.period for at in ended for limit in limits)})
    free = [at for at in moments if at >= now and line.free(limits, at)]
    assert line.next_free(limits, now) == min(free, default=inf)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=80),
    st.builds(Limit, st.integers(1, 5), st.sampled_from([5.0, 10.0])),
    st.integers(0, 80),
)
def test_no_window_of_the_vendor_holds_too_many_whenever_in_the_call_it_counts(
    calls: list[tuple[int, int]], limit: Limit, restart: int
) -> None:
    """The vendor may count a call anywhere between intent and result; a restart in between rebuilds the log."""
    line, now = Line(), 0.0
    under_way: list[tuple[float, float]] = []
    done: list[tuple[float, float]] = []
    for index, (wait, lasts) in enumerate(calls):
        now += wait / 8
        for one in [one for one in under_way if one[1] <= now]:
            under_way.remove(one)
            line.end(one[1], counts=True)
            done.append(one)
        if index == restart:
            line = Line()
            for _ in under_way:
                line.begin()
            for _, ended in done:
                line.past(ended)
        if line.free((limit,), now):
            line.begin()
            under_way.append((now, now + lasts / 8))
    spans = sorted((*done, *under_way))
    for index, (began, _) in enumerate(spans):
        # Any earlier call that the vendor may have seen within one period of this one.
        near = [ended for _, ended in spans[:index] if ended > began - limit.period]
        assert len(near) < limit.count


# ---- a vendor that throttles all the same


def refused(line: Line, at: float) -> None:
    line.begin()
    line.throttled(at, at)
    line.end(at, counts=True)


def test_a_throttle_halves_what_is_used_and_time_gives_it_back() -> None:
    line = Line()
    refused(line, 0.0)
    assert [line.free(ROBOT, at) for at in (63.0, 180.0, 240.0, 299.0, 300.0)] == [12, 16, 18, 19, 20]


def test_calls_that_began_before_the_answer_tell_nothing_new() -> None:
    line = Line()
    for _ in range(4):
        line.begin()
    for _ in range(4):
        line.throttled(0.0, 1.0)
        line.end(1.0, counts=True)
    assert line.share(1.0, 62.0) == 0.5


def test_a_short_limit_recovers_in_a_few_of_its_periods() -> None:
    line, short = Line(), (Limit(10, 2.0),)
    for at in (0.0, 2.0, 4.0):
        refused(line, at)
    assert line.free(short, 6.0) == 2
    assert line.free(short, 24.0) == 10


def test_what_a_throttle_took_comes_back_before_the_calls_of_a_long_period_run_out() -> None:
    line, hourly = Line(), (Limit(200, 3_600.0),)
    for n in range(169):
        call(line, n / 2, n / 2)
    refused(line, 85.0)
    line.block(145.0)
    when = line.next_free(hourly, 86.0)
    assert (line.free(hourly, when - 1.0), line.free(hourly, when)) == (0, 1)
    assert 85.0 + 3 * 60.0 < when < 85.0 + 4 * 60.0
    assert [line.free(hourly, 85.0 + minutes * 60.0) for minutes in (4, 5)] == [10, 30]


@given(st.integers(1, 30), st.lists(times, max_size=40), st.integers(0, 3), st.integers(0, 4_000))
def test_after_a_throttle_next_free_is_the_first_moment_that_is_free(
    count: int, calls: list[float], in_flight: int, now: int
) -> None:
    """To a hundredth of a second: calls run out while a part of the limit comes back."""
    line, limits = Line(), (Limit(count, 3_600.0),)
    for at in calls:
        call(line, at, at)
    refused(line, 200.0)
    for _ in range(in_flight):
        line.begin()
    when = line.next_free(limits, 200.0 + now)
    if when == inf:
        assert not line.free(limits, 1e6)
        return
    assert line.free(limits, when)
    assert when == 200.0 + now or not line.free(limits, when - 0.01)


def test_it_never_stops_altogether() -> None:
    line, few = Line(), (Limit(1, 62.0),)
    for turn in range(10):
        refused(line, 1.0 * turn)
    assert line.share(9.0, 62.0) >= 0.125
    assert line.free(few, 9.0) == 0
    assert line.free(few, 71.0) == 1


@given(st.integers(1, 60), st.floats(0.3, 1.0))
def test_it_finds_the_rate_of_a_vendor_that_allows_less(seconds: int, allows: float) -> None:
    """A vendor that lets through a part of what we take for its limit: throttles become rare, little is left unused."""
    limit = Limit(20, 60.0)
    allowed, line, now = max(1, int(20 * allows)), Line(), 0.0
    through: list[float] = []
    throttles: list[float] = []
    while now < 3_600:
        if line.free((limit,), now):
            line.begin()
            if sum(1 for at in through if at > now - 60) < allowed:
                through.append(now)
            else:
                throttles.append(now)
                line.throttled(now, now)
                line.block(now + seconds)
            line.end(now, counts=True)
        now = max(now + 0.5, min(line.next_free((limit,), now), now + 60))
    late = [at for at in throttles if at > 600]
    assert len(late) <= 3_000 / 120, "more than one throttle in two minutes"
    assert sum(1 for at in through if at > 600) >= 0.5 * allowed * 50
