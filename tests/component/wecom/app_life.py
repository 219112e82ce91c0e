"""One life of the desk as a process of its own, on the true clock, to be killed: `python -m … FOLDER URL COUNT`.

It takes in COUNT notices for one member, as often as it is started, and ends when all have ended.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from andon.web.wire import HttpWire
from tests.component.wecom.app_plant import Process, notices

MEMBER = "6/1100ms"


class TrueClock:
    """Passes by itself."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        time.sleep(seconds)


async def live(folder: Path, url: str, count: int) -> None:
    wire, clock, vendor = HttpWire(), TrueClock(), SimpleNamespace(url=url)
    given: tuple[Path, Any, HttpWire, Any] = (folder, vendor, wire, clock)
    receivers = {"office": {"channel": "app", "to": ["wang"], "merge": "none"}}
    desk = Process(*given, deadline=1.0, receivers=receivers, per_member=[MEMBER])
    desk.take(notices(count))
    while desk.desk.items:
        await desk.run(0.2)
    desk.kill()
    await wire.close()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
