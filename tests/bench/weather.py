"""Faults that come and go at the stand-ins of a benchmark, drawn from a seed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any, Self

from tests.bench.vendor import Vendor

EVERY_S = 0.2
BLOCKED_AFTER = 25  # turns


class Weather:
    """Robots and an application whose vendor fails: answers are late, connections break after the body was read, 45009
    is said, pages of a proxy are shown. It begins with the block and clears up with `clear` or the block's end.

    A block of the application (`blocked`) comes once, because the channel then leaves its vendor alone for a minute.
    """

    def __init__(self, robots: Vendor, app: Vendor, seed: int, *, blocked: bool) -> None:
        self.counted: Counter[str] = Counter()
        self._robots = robots
        self._app = app
        self._blocked = blocked
        self._chance = random.Random(seed)
        self._accounts = sorted(robots.counts())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Ends all faults; returns when there is none."""
        self._stop.set()
        self._thread.join()
        for vendor in (self._robots, self._app):
            vendor.well()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(EVERY_S):
            turn += 1
            self._strike(self._robots, self._chance.choice([*self._accounts, "*"]), blocks=True)
            if turn % 4 == 0:
                self._strike(self._app, "send", blocks=False)
            if turn == BLOCKED_AFTER and self._blocked:
                self._fail(self._app, kind="errcode", key="send", code=45009, times=2)

    def _strike(self, vendor: Vendor, key: str, *, blocks: bool) -> None:
        chance = self._chance
        seen = chance.random() < 0.5
        faults: list[dict[str, Any]] = [
            {"kind": "delay", "seconds": chance.uniform(0.05, 0.4), "times": 20},
            {"kind": "reset", "seen": seen, "times": 2},
            {"kind": "html", "code": chance.choice([200, 502]), "seen": seen, "times": 2},
        ]
        if blocks:
            faults.append({"kind": "errcode", "code": 45009, "times": 1})
        self._fail(vendor, key=key, **chance.choice(faults))

    def _fail(self, vendor: Vendor, **fault: Any) -> None:
        vendor.fail(**fault)
        self.counted[f"faults_{fault['kind']}"] += 1
