"""How long a plug-in keeps everything else in its process waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOKS = 10
LONGEST = 0.04
"""In seconds: who waits as long as this is not let in by another call either."""
_TICK = 0.005


async def blocks(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether each of some calls kept the event loop to itself for `LONGEST`. A busy machine makes some of them seem to
    block, and never all. Raises what a call raises."""
    for _ in range(LOOKS):
        if await _stood_still(call()) < LONGEST:
            return False
    return True


async def _stood_still(call: Awaitable[object]) -> float:
    """The longest time, in seconds, in which the event loop did nothing else than this."""
    loop, asking, longest = asyncio.get_running_loop(), asyncio.ensure_future(call), 0.0
    while not asking.done():
        before = loop.time()
        await asyncio.wait({asking}, timeout=_TICK)
        longest = max(longest, loop.time() - before - _TICK)
    await asking
    return longest
