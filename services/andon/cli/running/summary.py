"""What a run came to: counted from the topics, and held against what was sent and what was seen outside."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Figures(Protocol):
    """What andon.runtime.tally counts from the topics; latencies in milliseconds, None before the first delivery."""

    @property
    def accepted(self) -> int: ...
    @property
    def deliveries(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def merged(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def parked(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def tickets_opened(self) -> int: ...
    @property
    def tickets_closed(self) -> int: ...
    @property
    def latency_ms_p50(self) -> float | None: ...
    @property
    def latency_ms_p99(self) -> float | None: ...
    @property
    def lost(self) -> int: ...


@dataclass(frozen=True)
class Outside:
    """What others wrote down: the ids the door answered 202 to, and when the stand-in took a call (s since 1970)."""

    sent: Collection[str] = ()
    calls: Collection[float] = ()


def lost(figures: Figures, outside: Outside, accepted: Collection[str], *, recorded: bool) -> int:
    """Events and deliveries that are nowhere.

    Accepted events with neither delivery nor outcome (counted from the topics), ids answered 202 that are not in
    `andon.events`, and, where a stand-in recorded its calls, deliveries said to have arrived for which it took none.
    """
    unseen = max(0, figures.delivered - len(outside.calls)) if recorded else 0
    return figures.lost + len(set(outside.sent).difference(accepted)) + unseen


def summary(
    figures: Figures, outside: Outside, accepted: Collection[str], *, recorded: bool, started: float
) -> dict[str, Any]:
    """The JSON of `--summary`. Times in milliseconds, `first_delivery_s` in seconds from `started`, else null."""
    calls = [at - started for at in outside.calls if at >= started]
    return {
        "accepted": figures.accepted,
        "deliveries": figures.deliveries,
        "delivered": figures.delivered,
        "merged": figures.merged,
        "skipped": figures.skipped,
        "parked": figures.parked,
        "waiting": figures.waiting,
        "lost": lost(figures, outside, accepted, recorded=recorded),
        "tickets_opened": figures.tickets_opened,
        "tickets_closed": figures.tickets_closed,
        "latency_ms_p50": figures.latency_ms_p50,
        "latency_ms_p99": figures.latency_ms_p99,
        "first_delivery_s": round(min(calls), 3) if calls else None,
    }


def drained(figures: Figures, outside: Outside, accepted: Collection[str]) -> bool:
    """Whether all that was sent has come to an end: an outcome each, and no ticket left open."""
    return (
        set(outside.sent).issubset(accepted)
        and figures.lost == figures.waiting == 0
        and figures.tickets_opened == figures.tickets_closed
    )


def outside(sent: Path, record: Path) -> Outside:
    """Reads the plant's list of accepted ids and the stand-in's record, as far as they are written."""
    return Outside(
        sent=tuple(line["id"] for line in _lines(sent)),
        calls=tuple(line["at"] for line in _lines(record)),
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # the last one may be half written
                yield json.loads(line)


def process_started() -> float:
    """When this process began, in seconds since 1970: before Python was up (Linux), elsewhere the time of asking."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return time.time()
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
