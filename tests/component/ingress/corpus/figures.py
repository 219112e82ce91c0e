"""What a corpus came to: how many of each class, and how sure one can be of the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

COLUMNS = "| class | cases | misses |\n|---|---:|---:|\n"


def lower_bound(hits: int, of: int, confidence: float = 0.95) -> float:
    """The one-sided lower bound of a share (Clopper and Pearson, Biometrika 26, 1934): the least share that shows so
    many hits or more with the probability that is left."""
    if not hits:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_least(hits, of, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def _at_least(hits: int, of: int, share: float) -> float:
    if share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    fixed, yes, no = math.lgamma(of + 1), math.log(share), math.log1p(-share)
    return math.fsum(
        math.exp(fixed - math.lgamma(n + 1) - math.lgamma(of - n + 1) + n * yes + (of - n) * no)
        for n in range(hits, of + 1)
    )


def table(cases: Mapping[str, int], misses: Iterable[str]) -> str:
    """A row for each class, and one for all of them; `misses` are the classes of what was missed."""
    missed = list(misses)
    rows = [f"| {name} | {count} | {missed.count(name)} |" for name, count in sorted(cases.items())]
    whole = sum(cases.values())
    bound = lower_bound(whole - len(missed), whole)
    rows.append(f"| all: right with 95 % confidence in at least {bound:.2%} | {whole} | {len(missed)} |")
    return COLUMNS + "\n".join(rows)
