"""Every No of the door: counted by its reason, and told in `andon.actions`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import uuid4

from andon.core.action import REFUSE, Action
from andon.core.ports import Clock
from andon.core.reason import Reason

log = logging.getLogger(__name__)

EVERY = 10.0
MOST = 1_000
OTHERS = "others"


class Counted(Protocol):
    """The metric."""

    def refused(self, reason: str, /) -> None: ...


class Actions(Protocol):
    """Where records go."""

    async def append(self, actions: Sequence[Action], lost: Callable[[int], None], /) -> Sequence[bool]:
        """Whether each is kept, or may be yet; of one that is not after all `lost` hears, by its number."""


class Refusal(NamedTuple):
    """What is counted as one: why, to whom (a client's name, an address or its network), at which of our addresses."""

    reason: Reason
    who: str
    on: str
    client: str | None = None


class Refusals:
    """One record in 10 s for all equal refusals, and at most 1,000 records: an attack floods neither the topic nor
    memory. What exceeds that is told as of `others`. A record that could not be written is written with the next ones;
    no request waits for it, or fails. Belongs to one event loop."""

    def __init__(self, metrics: Counted, actions: Actions, clock: Clock) -> None:
        self._metrics = metrics
        self._actions = actions
        self._clock = clock
        # How many, and since when.
        self._open: dict[Refusal, tuple[int, float]] = {}
        self._failing = False

    def note(self, refusal: Refusal) -> None:
        """Counts one."""
        self._metrics.refused(refusal.reason)
        self._add(refusal, 1, self._clock.now())

    async def run(self) -> None:
        """Writes records until it is cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Writes what was counted; what cannot be written is kept for the next time."""
        told, self._open = list(self._open.items()), {}
        if not told:
            return

        def lost(number: int) -> None:
            refusal, (count, since) = told[number]
            self._add(refusal, count, since)
            self._tell(written=False)

        kept = await self._actions.append([_action(refusal, *rest) for refusal, rest in told], lost)
        for number in (number for number, is_kept in enumerate(kept) if not is_kept):
            lost(number)
        if all(kept):
            self._tell(written=True)

    def _add(self, refusal: Refusal, count: int, since: float) -> None:
        if refusal not in self._open and len(self._open) >= MOST:
            refusal = Refusal(refusal.reason, OTHERS, OTHERS)
        before, first = self._open.get(refusal, (0, since))
        self._open[refusal] = (before + count, min(first, since))

    def _tell(self, *, written: bool) -> None:
        if written == self._failing:
            self._failing = not written
            log.warning("refusals are %s andon.actions", "told again in" if written else "counted, but not told in")


def _action(refusal: Refusal, count: int, since: float) -> Action:
    why = str(refusal.reason) if count == 1 else f"{refusal.reason}, {count} times"
    at = datetime.fromtimestamp(since, UTC)
    return Action(uuid4(), at, refusal.who, REFUSE, False, refusal.on, why, client=refusal.client)
