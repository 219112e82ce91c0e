"""What each recipient gets: never more than the limit in any window, never less than is free, also after a restart."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from andon.core.policy import Limit, Per
from andon.core.work import Reach
from andon.runtime.desk.meter import Meter

EACH = (Limit(3, 62.0, Per.RECIPIENT), Limit(5, 200.0, Per.RECIPIENT))
DAY = Limit(10, 86_400.0, Per.PERSON, 57_600.0, 2.0)
MIDNIGHT = 19_675 * 86_400.0 + 57_600.0  # one of China's
NAMES = ("p", "q", "r", "s")
EVERYBODY = "everybody"


def reach(*names: str) -> Reach:
    return Reach("app", names, {EVERYBODY: 4} if EVERYBODY in names else {})


def call(meter: Meter, to: Reach, began: float, ended: float, *, counts: bool = True) -> None:
    meter.begin(to)
    meter.end(to, ended, counts=counts)


def test_who_is_over_the_limit_is_left_out_and_told_when_there_is_room() -> None:
    meter = Meter()
    for second in (0.0, 1.0, 2.0):
        call(meter, reach("p"), second, second)
    assert meter.open(reach("p", "q"), EACH, 3.0) == (("q",), 3.0)
    assert meter.open(reach("p"), EACH, 3.0) == ((), 62.0)
    assert meter.open(reach("p"), EACH, 62.0) == (("p",), 62.0)


def test_what_is_under_way_holds_its_place_until_its_result() -> None:
    meter = Meter()
    for _ in range(3):
        meter.begin(reach("p"))
    assert meter.open(reach("p"), EACH, 10_000.0) == ((), inf)
    meter.end(reach("p"), 10_000.0, counts=False)
    assert meter.open(reach("p"), EACH, 10_000.0) == (("p",), 10_000.0)
    meter.end(reach("p"), 10_000.0, counts=True)
    meter.end(reach("p"), 10_000.0, counts=True)
    assert meter.open(reach("p"), EACH, 10_000.0) == (("p",), 10_000.0)


def test_what_may_be_for_anyone_counts_for_everyone() -> None:
    meter = Meter()
    for second in (0.0, 1.0):
        call(meter, reach(EVERYBODY), second, second)
    call(meter, reach("p"), 2.0, 2.0)
    assert meter.open(reach("p", "q"), EACH, 3.0) == (("q",), 3.0)
    assert meter.open(reach(EVERYBODY), EACH, 3.0) == ((), 62.0), "p would get a fourth"
    assert meter.open(reach(EVERYBODY), EACH, 62.0) == ((EVERYBODY,), 62.0)


def test_a_day_of_people_ends_at_midnight_in_china_whatever_our_clock_says() -> None:
    meter, limits = Meter(), (DAY,)
    call(meter, reach("p", "q", EVERYBODY), MIDNIGHT - 4_000, MIDNIGHT - 4_000)
    for name in ("a", "b", "c"):
        call(meter, reach(name), MIDNIGHT - 3_600, MIDNIGHT - 3_600)
    told, _ = meter.open(reach("p", "q", "r"), limits, MIDNIGHT - 3_500)
    assert told == ("p",), "one of ten is left"
    call(meter, reach("p"), MIDNIGHT - 3_500, MIDNIGHT - 3_500)
    assert meter.open(reach("r"), limits, MIDNIGHT - 3_400) == ((), MIDNIGHT + 2)
    assert meter.open(reach("r"), limits, MIDNIGHT + 1) == ((), MIDNIGHT + 2)
    assert meter.open(reach("r"), limits, MIDNIGHT + 2) == (("r",), MIDNIGHT + 2)


def test_a_call_over_midnight_counts_in_both_days() -> None:
    meter = Meter()
    for second in range(10):
        call(meter, reach(f"m{second}"), MIDNIGHT - 10, MIDNIGHT - 1.5)
    assert meter.open(reach("p"), (DAY,), MIDNIGHT + 60)[0] == ()


def test_more_people_than_a_day_may_have_go_once_a_day() -> None:
    big = Reach("app", ("@all",), {"@all": 50})
    meter = Meter()
    assert meter.open(big, (DAY,), MIDNIGHT + 60)[0] == ("@all",)
    call(meter, big, MIDNIGHT + 60, MIDNIGHT + 60)
    assert meter.open(big, (DAY,), MIDNIGHT + 7_200) == ((), MIDNIGHT + 86_402)


def test_logs_that_say_nothing_more_are_let_go() -> None:
    meter = Meter()
    for number in range(5_000):
        meter.open(reach(f"m{number}"), EACH, float(number))
        call(meter, reach(f"m{number}"), number, number)
    assert len(meter._lines) < 1_500


moments = st.integers(0, 8 * 30).map(lambda n: n / 8)


@given(
    st.lists(
        st.tuples(
            moments,
            st.one_of(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True), st.just([EVERYBODY])),
            st.integers(0, 40).map(lambda n: n / 8),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_no_window_of_any_member_holds_too_many_and_none_waits_without_need(
    script: list[tuple[float, list[str], float, bool]],
) -> None:
    meter, now = Meter(), 0.0
    ledger: list[tuple[Reach, float]] = []
    seen: dict[str, list[float]] = {name: [] for name in NAMES}
    for wait, names, lasts, restart in script:
        now += wait
        whole = reach(*names)
        told, when = meter.open(whole, EACH, now)
        for name in NAMES:
            fits = all(sum(1 for ended in seen[name] if ended > now - one.period) < one.count for one in EACH)
            if name in told or EVERYBODY in told:
                assert fits, f"{name} gets too many"
            elif name in names:
                assert not fits, f"{name} waits without need"
        if told:
            some = whole.only(told)
            meter.begin(some)
            now += lasts
            meter.end(some, now, counts=True)
            ledger.append((some, now))
            for name in NAMES:
                if name in told or EVERYBODY in told:
                    seen[name].append(now)
        else:
            assert when > now
        if restart:
            meter = Meter()
            for to, ended in ledger:
                meter.past(to, ended)
