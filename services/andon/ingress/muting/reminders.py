"""A mute that is about to end is an event like any other: it is routed, told and kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from andon.core.event import TELLER, Event, Position
from andon.core.mute import Mute
from andon.core.ports import Clock
from andon.ingress.acceptance import Log
from andon.ingress.bodies.draft import draft_of

log = logging.getLogger(__name__)

TYPE = "andon.mute"
_EVERY_S = 10.0


class Reminders:
    """Tells once of each mute that it will be over.

    `mutes` gives those of the newest version, `ahead` how many seconds before the end, None when nobody wants to know.
    Who muted for less than twice that knows it still, and is not reminded. What is told of a mute says the same after
    a restart and by every door, with one id, so that everybody who hears of it hears once.
    """

    def __init__(
        self, mutes: Callable[[], Sequence[Mute]], ahead: Callable[[], float | None], log: Log, clock: Clock
    ) -> None:
        self._mutes = mutes
        self._ahead = ahead
        self._log = log
        self._clock = clock
        self._told: set[tuple[str, datetime]] = set()

    async def run(self) -> None:
        """Looks every ten seconds until cancelled; what the log did not take is tried again."""
        while True:
            await self.tell()
            await self._clock.sleep(_EVERY_S)

    async def tell(self) -> None:
        """Appends what is due."""
        mutes, ahead, now = self._mutes(), self._ahead(), self._clock.now()
        self._told &= {(one.id, one.ends) for one in mutes}
        due = [one for one in mutes if ahead is not None and _is_due(one, ahead, now)]
        due = [one for one in due if (one.id, one.ends) not in self._told]
        if not due or ahead is None:
            return
        events = [_event(one, ahead) for one in due]
        answers = await self._log.append([draft_of(event, TELLER) for event in events])
        for one, answer in zip(due, answers, strict=False):
            if isinstance(answer, Position):
                self._told.add((one.id, one.ends))
            else:
                log.warning("a reminder is not known to be told", extra={"mute": one.id, "problem": str(answer)})


def _is_due(mute: Mute, ahead: float, now: float) -> bool:
    ends = mute.ends.timestamp()
    return ends - ahead <= now < ends and ends - mute.begins.timestamp() >= 2 * ahead


def _event(mute: Mute, ahead: float) -> Event:
    return Event(
        id=f"mute-{mute.id}-{mute.ends.astimezone(UTC):%Y%m%dT%H%M%S}",
        source=TELLER,
        type=TYPE,
        subject=f"mute/{mute.id}",
        time=mute.ends - timedelta(seconds=ahead),
        data={
            "mute": mute.id,
            "matchers": ", ".join(mute.matchers),
            "begins": mute.begins.isoformat(),
            "ends": mute.ends.isoformat(),
            "creator": mute.creator,
            "why": mute.why,
            "then": mute.then,
        },
        labels={"mute": mute.id, "creator": mute.creator},
        facts={"mute": {"creator": mute.creator}},
    )
