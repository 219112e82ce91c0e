"""What is typical of a time in which the machine may have stood still once. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import inf
from statistics import median

Sample = tuple[float, float]  # when it began, and how long it took


def p99(lengths: Iterable[float]) -> float:
    """Infinity when there are none."""
    ordered = sorted(lengths)
    return ordered[int(0.99 * (len(ordered) - 1))] if ordered else inf


def typical_p99(samples: Iterable[Sample]) -> float:
    """The p99 of the typical second: the median over all seconds of the p99 of what began in each.

    A machine that stands still spoils all of a second or two, and no other. What holds every call back spoils all.
    """
    seconds: dict[int, list[float]] = defaultdict(list)
    for began, took in samples:
        seconds[int(began)].append(took)
    return median(map(p99, seconds.values())) if seconds else inf


def slower(before: float, meanwhile: float, floor: float) -> bool:
    """Whether it takes more than twice as long as before; what is within `floor` seconds is noise."""
    return meanwhile > max(2 * before, before + floor)
