"""What a desk does by the clock: its gauges, its quotas, what can be forgotten, and a look at the clock itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from andon.core.ports import Clock
from andon.core.work import Note, Write
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.gauges import DeskGauges
from andon.runtime.desk.meter import Quota
from andon.runtime.desk.set_back import TOLERANCE_S
from andon.runtime.desk.standing import Standing

Watch = Callable[[str, Quota, float], Sequence[Note]]
"""Channel, its quota and the time → what is to be published of it."""

_MORE_S = 3_600.0
"""What the ledger must remember beyond what limits look back on: attempts count from their end, and end late."""

_KEEP_S = 30 * 86_400.0
_PRUNE = 1_000
_MINUTE_S = 60.0
_HOUR_S = 3_600.0


class Upkeep:
    """Once a second the gauges, once a minute the quotas; once an hour the pruning and a commit of every offset.

    `pass_marks` takes offsets past marks of transactions; `looks_back` tells for how long, in seconds, limits look
    back; `prune` forgets up to so many items that ended before a time, and tells how many it was; `submit` hands a
    write to the store; `set_back` hears by how many seconds the clock went back, when that is more than a desk can wait
    out.
    """

    def __init__(
        self,
        desk: Desk,
        standing: Standing,
        gauges: DeskGauges,
        clock: Clock,
        *,
        pass_marks: Callable[[], Awaitable[None]],
        looks_back: Callable[[], float],
        prune: Callable[[float, int], Awaitable[int]],
        submit: Callable[[Write], object],
        set_back: Callable[[float], None],
        watch: Watch | None = None,
    ) -> None:
        self._desk = desk
        self._standing = standing
        self._gauges = gauges
        self._clock = clock
        self._pass_marks = pass_marks
        self._looks_back = looks_back
        self._prune = prune
        self._submit = submit
        self._set_back = set_back
        self._watch = watch

    async def run(self) -> None:
        """Works until cancelled. Raises StoreFailure."""
        latest = last = watched = self._clock.now()
        while True:
            await self._clock.sleep(1.0)
            now = self._clock.now()
            latest = max(latest, now)
            if latest - now > TOLERANCE_S:
                self._set_back(latest - now)
            self._gauges.refresh(now)
            if self._watch is not None and now - watched > _MINUTE_S:
                watched = now
                self._look(self._watch, now)
            if now - last > _HOUR_S:
                last = now
                await self._pass_marks()
                self._standing.repeat()
                await self._forget(now - max(_KEEP_S, self._looks_back() + _MORE_S))

    def _look(self, watch: Watch, now: float) -> None:
        for home, channel, quota in list(self._desk.quotas(now)):
            if notes := watch(channel, quota, now):
                write = Write(home, self._desk.epochs[home])
                self._desk.note(write, notes)
                self._submit(write)

    async def _forget(self, before: float) -> None:
        """In portions, so that the work of the desk comes in between."""
        while await self._prune(before, _PRUNE) == _PRUNE:
            continue
