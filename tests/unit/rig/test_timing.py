"""One second in which the machine stood still is no finding; a delay in every second is one."""

import random

from tests.rig.timing import Sample, p99, slower, typical_p99

FLOOR_S = 0.15


def path(seconds: range, usual: float = 0.1) -> list[Sample]:
    """Fifty calls a second, most of them about as long as is usual, some twice as long."""
    chance = random.Random(1)
    return [(s + n / 50, usual * chance.choice((1, 1, 1, 1.2, 2))) for s in seconds for n in range(50)]


def stalled(samples: list[Sample], at: float, lasting: float) -> list[Sample]:
    """Nothing went on for so long: what was under way then came after it."""
    return [(b, max(b + took, at + lasting) - b if at - took < b < at + lasting else took) for b, took in samples]


def test_one_stalled_second_is_no_finding() -> None:
    usual, meanwhile = path(range(6)), stalled(path(range(6, 24)), 10.5, 1.5)
    assert slower(p99(s for _, s in usual), p99(s for _, s in meanwhile), FLOOR_S), "the old rule found one"
    assert not slower(typical_p99(usual), typical_p99(meanwhile), FLOOR_S)
    assert not slower(typical_p99(stalled(usual, 2.2, 1.5)), typical_p99(path(range(6, 24))), FLOOR_S)


def test_a_stall_before_hides_nothing_after() -> None:
    usual = stalled(path(range(6)), 2.2, 1.5)
    assert slower(typical_p99(usual), typical_p99(path(range(6, 24), usual=0.3)), FLOOR_S)


def test_what_is_always_slow_is_found() -> None:
    usual = typical_p99(path(range(6)))
    assert slower(usual, typical_p99(path(range(6, 24), usual=0.21)), FLOOR_S)


def test_a_few_that_wait_in_every_second_are_found() -> None:
    """Such as those that stand behind a sick receiver."""
    usual = path(range(6))
    meanwhile = [(b, 3.0 if n % 25 == 0 else took) for n, (b, took) in enumerate(path(range(6, 24)))]
    assert slower(typical_p99(usual), typical_p99(meanwhile), FLOOR_S)


def test_a_little_more_of_little_is_noise() -> None:
    assert not slower(0.02, 0.16, FLOOR_S)
    assert slower(0.02, 0.18, FLOOR_S)
    assert slower(1.0, 2.1, FLOOR_S)


def test_nothing_at_all_is_infinitely_late() -> None:
    assert slower(0.1, typical_p99([]), FLOOR_S)
    assert slower(0.1, p99([]), FLOOR_S)
