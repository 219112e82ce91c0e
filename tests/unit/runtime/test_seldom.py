"""What may be said again, and when."""

from andon.runtime.seldom import Seldom
from andon.testing.clock import ManualClock


def test_each_is_said_at_once_and_again_after_its_time() -> None:
    clock = ManualClock(1_000.0)
    seldom = Seldom(60.0, clock)
    assert seldom.due("a")
    clock.advance(30)
    assert seldom.due("b")
    assert not seldom.due("a")
    clock.advance(30)
    assert seldom.due("a")
    assert not seldom.due("b")


def test_after_a_clock_was_set_back_nothing_is_kept_quiet_for_hours() -> None:
    clock = ManualClock(10_000.0)
    seldom = Seldom(60.0, clock)
    assert seldom.due()
    clock.advance(-7_200)
    assert seldom.due()
    assert not seldom.due()
