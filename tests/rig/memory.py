"""How much memory every service holds: its peak, sampled from outside. Imports nothing of Andon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.rig.watch import Looker

_MB = 1 << 20


class Memory(Looker):
    """The highest resident size of each service since `forget`, in MB. `processes` gives name and process id; slots and
    nicknames (`egress-1`, `egress-older`) count for their service."""

    every_s = 0.25

    def __init__(self, processes: Callable[[], Iterable[tuple[str, int]]]) -> None:
        super().__init__()
        self._processes = processes
        self._peak: dict[str, float] = {}

    def look(self) -> None:
        for name, pid in self._processes():
            service = name.partition("-")[0]
            self._peak[service] = max(self._peak.get(service, 0.0), resident_mb(pid))

    def forget(self) -> None:
        """Begins anew."""
        self._peak.clear()

    def peak(self) -> Mapping[str, float]:
        return dict(self._peak)


def resident_mb(pid: int) -> float:
    """The resident size of a process, 0 when it is gone (Linux)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB
