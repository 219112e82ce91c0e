"""What the rounds of a soak come to: the table, and whether memory stays flat. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PARTS = 4
COMPARED = (2, PARTS)
FLAT = 1.05
COLUMNS = ("fault", "seed", "rounds", "injections", "violations", "worst recovery", "bound (95 %)")


class Line(NamedTuple):
    """One round, as it is written down. `void` says why it shows nothing; `peak_mb` is of each service."""

    fault: str
    seed: int
    round: int
    part: int
    injections: int
    violations: Sequence[str]
    void: Sequence[str]
    recovery_s: float
    peak_mb: Mapping[str, float]
    figures: Mapping[str, float]
    lasted_s: float


def markdown(lines: Sequence[Line]) -> str:
    """A row for each fault, then one for each service's memory."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(name, mine) for name, mine in _by_fault(lines).items())]
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return text + "".join(f"\n{sentence}\n" for sentence in memory(lines))


def _row(name: str, mine: Sequence[Line]) -> tuple[str, ...]:
    broken = sum(1 for one in mine if one.violations)
    injections = sum(one.injections for one in mine)
    shown = [one for one in mine if not one.void]
    bound = f"{min(1.0, 3 / injections):.1%}" if injections and not broken else ""
    void = len(mine) - len(shown)
    return (
        f"`{name}`",
        str(mine[0].seed),
        f"{len(mine)}" + (f" ({void} void)" if void else ""),
        str(injections),
        str(broken),
        f"{worst:.1f} s" if (worst := max((one.recovery_s for one in shown), default=0.0)) else "–",
        bound,
    )


def _by_fault(lines: Iterable[Line]) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for one in lines:
        groups.setdefault(one.fault, []).append(one)
    return groups


def peaks(lines: Iterable[Line], part: int) -> dict[str, float]:
    """The most memory each service held in one part of a soak, in MB."""
    found: dict[str, float] = {}
    for one in lines:
        if one.part == part:
            for service, size in one.peak_mb.items():
                found[service] = max(found.get(service, 0.0), size)
    return found


def growing(lines: Sequence[Line]) -> list[str]:
    """The services whose peak in the last quarter is above 1.05 × that of the second one."""
    second, last = (peaks(lines, part) for part in COMPARED)
    return sorted(name for name in second.keys() & last.keys() if last[name] > FLAT * second[name])


def memory(lines: Sequence[Line]) -> list[str]:
    """A sentence for each service."""
    quarters = [peaks(lines, part) for part in range(1, PARTS + 1)]
    rising = growing(lines)
    names = sorted({name for quarter in quarters for name in quarter})
    return [
        f"Peak memory of {name} in each quarter: "
        + " · ".join(f"{quarter[name]:.0f}" if name in quarter else "–" for quarter in quarters)
        + " MB"
        + (", **not flat**." if name in rising else ".")
        for name in names
    ]


def sound(lines: Sequence[Line]) -> bool:
    """Whether nothing was violated, every fault was hit, and memory is flat."""
    hit = all(any(not one.void for one in mine) for mine in _by_fault(lines).values())
    return hit and not any(one.violations for one in lines) and not growing(lines)
