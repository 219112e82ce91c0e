"""What doors do about `expect`: they tell each other what they hear, and each judges what all of them know.

Every few seconds a door writes the last sign of each source, then its beat, into `andon.sources`. It judges when it
reads its own beat back: whatever stands before it in the topic is known by then, at whichever door it came in, and
without Kafka nobody judges. So a verdict follows from the topic alone, its event has the same id and the same content
at whichever door and after whichever restart it is made, and by that id every reader takes it once. The event is in the
log before the topic says that it was told, so a crash in between tells it again, and never not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec

from andon.config.published import Published
from andon.config.units import duration_text
from andon.core.event import CLEAR, RAISE, SEVERITY, STATE, TELLER, Event, Position
from andon.core.ports import Clock
from andon.core.silence import UNWATCHED, WATCHED, WORDS
from andon.ingress.expected.expecting import Expected, Gap, due, expected_of, with_gap
from andon.ingress.expected.signs import Beat, Key, Lost, Seen, Signs, beat_record, lost_record, seen_record
from andon.kafka.codecs import encode
from andon.kafka.records import Outgoing
from andon.kafka.topics import EVENTS

log = logging.getLogger(__name__)

BEAT_S = 10.0
GAP_S = 60.0
"""A door that knows of no beat for longer, of its own neither: none was there in between."""
_LEAST_BEAT_S = 0.5
_BACK_S = 15.0
_LATE_BEATS = 2.0  # so many beats after its time a sign may still be on its way from another door
_HEARD_BEATS = 3  # for so many of its own beats a door counts on another one: whose comes first may change

Links = Mapping[str, Callable[[], Awaitable[bool]]]
"""Source → whether its connection stands now."""


class Writes(Protocol):
    """What `kafka.producer.Publisher` does."""

    async def append(self, records: Sequence[Outgoing], /) -> Sequence[Position | str]: ...


class Expectations:
    """One door's part. `take` is called on the event loop with each record of `andon.sources`, and `read` once all that
    was there has been read; until then nothing is written or judged. Belongs to one event loop."""

    def __init__(self, writes: Writes, clock: Clock, links: Callable[[], Links] = dict) -> None:
        self._writes = writes
        self._clock = clock
        self._links = links
        self._door = uuid4().hex
        self._signs = Signs()
        self._own = Beat(0.0, "")
        self._there = 0.0  # when its own last beat stood in the topic, by its clock: that of another door may be wrong
        self._behind: dict[str, tuple[float, int]] = {}  # other doors: how far their clocks are, for how many beats
        self._heard: dict[Key, float] = {}  # of what is expected, and only what the topic does not say yet
        self._not_before: dict[Key, tuple[float, float]] = {}
        self._refused = False
        self._known = asyncio.Event()
        self._back = asyncio.Event()
        self._wanted = asyncio.Event()
        self._zone = ZoneInfo("UTC")
        self._expected: dict[Key, Expected] = {}
        self._published: Published | None = None

    def follow(self, published: Published, connections: Mapping[str, str]) -> None:
        """Brings a configuration into force; `connections` says what sources are connected to. Raises IntervalError,
        and nothing has changed."""
        expected = {Key(one.sign, one.source): one for one in expected_of(published, connections)}
        self._zone = ZoneInfo(published.settings.site.zone)
        self._expected = expected
        self._heard = {key: at for key, at in self._heard.items() if key in expected}
        self._published = published
        self._not_before.clear()
        if expected:
            self._wanted.set()

    def heard(self, source: str) -> None:
        """The log has taken an event of a source. One that nobody expects is forgotten."""
        key = Key("event", source)
        if key in self._expected:
            self._heard[key] = self._clock.now()

    def take(self, key: bytes | None, value: bytes) -> None:
        """A record of the topic."""
        before = self._signs.beat
        self._signs.take(key, value)
        # What any door takes out of the topic again, this one must not put back: it would be told under its old id.
        self._heard = {sign: at for sign, at in self._heard.items() if not self._signs.says(sign, at)}
        if self._signs.beat == self._own:
            self._there = self._own.at
            self._back.set()
        elif (beat := self._signs.beat) is not None and beat is not before and beat.door != self._door:
            self._behind[beat.door] = self._clock.now() - beat.at, _HEARD_BEATS

    def read(self) -> None:
        """All that was there when this door started has been taken in."""
        self._behind = {door: (by, 1) for door, (by, _) in self._behind.items()}  # and may be of doors long gone
        self._known.set()

    @property
    def beat_s(self) -> float:
        """How long between two beats: short enough for the shortest time in which something is expected."""
        shortest = min((one.within for one in self._expected.values()), default=6 * BEAT_S)
        return max(_LEAST_BEAT_S, min(BEAT_S, shortest / 6))

    async def wanted(self) -> None:
        """Returns once something is expected."""
        await self._wanted.wait()

    async def run(self) -> None:
        """Works until it is cancelled."""
        await self._known.wait()
        while True:
            if self._expected or self._signs.keys:
                await self.beat()
            await self._clock.sleep(self.beat_s)

    async def beat(self) -> None:
        """Tells the other doors what this one has heard, and judges what all of them have."""
        standing = await self._standing()
        beat = self._own = self._next_beat(self._clock.now())
        self._heard = {key: min(at, beat.at) for key, at in self._heard.items()}  # the clock may have been set back
        self._back.clear()
        if not await self._written([*self._news(beat.at, standing), beat_record(beat)]):
            return
        for key in self._signs.keys - self._expected.keys():
            await self._forget(key)
        try:
            async with asyncio.timeout(_BACK_S):
                await self._back.wait()
        except TimeoutError:
            log.warning("what the doors know of the sources is not read now; nothing is judged")
            return
        until = self._until(beat.at)
        for key, expected in list(self._expected.items()):
            await self._judge(key, expected, beat.gaps, until)

    async def close(self) -> None:
        """Leaves the last signs to the other doors, and to the next start."""
        if self._known.is_set() and self._expected:
            await self._written(list(self._news(self._clock.now(), set())))

    # ---- what this door knows

    def _next_beat(self, now: float) -> Beat:
        last = self._signs.beat
        gaps = last.gaps if last else ()
        if last and now - max(last.at, self._there) > max(GAP_S, 3 * self.beat_s):
            oldest = min((seen.at for seen in self._signs.seen.values()), default=now)
            gaps = with_gap(gaps, (last.at, now), oldest)
        return Beat(now, self._door, gaps)

    async def _standing(self) -> set[str]:
        """The sources whose connection stands at this door."""
        asked = {name: link for name, link in self._links().items() if Key("connection", name) in self._expected}
        answers = await asyncio.gather(*(link() for link in asked.values()))
        return {name for name, stands in zip(asked, answers, strict=True) if stands}

    def _news(self, now: float, standing: set[str]) -> Iterator[Outgoing]:
        """What this door has seen later than the topic says."""
        for key in self._expected:
            at = self._heard.get(key) if key.sign == "event" else now if key.source in standing else None
            if at is not None and not self._signs.says(key, at):
                yield seen_record(key, Seen(at))
            elif (seen := self._signs.seen.get(key)) is None or self._signs.ahead(seen.at):
                yield seen_record(key, Seen(now, first=True))

    # ---- what all of them know

    def _until(self, now: float) -> float:
        """Up to when all is known that was heard: by the clock of the door that is furthest behind, for each dates what
        it hears by its own."""
        behind = max((0.0, *(by for by, _ in self._behind.values())))
        self._behind = {door: (by, left - 1) for door, (by, left) in self._behind.items() if left > 1}
        return now - behind - _LATE_BEATS * self.beat_s

    async def _judge(self, key: Key, expected: Expected, gaps: Sequence[Gap], until: float) -> None:
        seen, lost = self._signs.seen.get(key), self._signs.lost.get(key)
        if seen is None:
            return
        if lost is None:
            if (at := self._overdue(key, expected, seen, gaps, until)) is not None:
                await self._tell_lost(key, expected, Lost(seen.at, at, seen.first))
        elif lost.found is not None or (not seen.first and self._is_later(seen, lost)):
            await self._tell_found(key, expected, lost, seen)

    def _is_later(self, seen: Seen, lost: Lost) -> bool:
        return seen.at > lost.since or (seen.at < lost.since and self._signs.ahead(lost.since))

    def _overdue(self, key: Key, expected: Expected, seen: Seen, gaps: Sequence[Gap], until: float) -> float | None:
        """When the next sign was due, if it did not come."""
        since, not_before = self._not_before.get(key, (seen.at, seen.at + expected.within))
        if since == seen.at and until < not_before:
            return None
        at = due(expected, seen.at, until, gaps)
        self._not_before[key] = (seen.at, at)
        return at if at <= until else None

    async def _tell_lost(self, key: Key, expected: Expected, lost: Lost) -> None:
        if await self._told(_event(key, lost, WORDS[key.sign].lost, lost.due, self._said(expected, lost))):
            await self._written([lost_record(key, lost)])

    async def _tell_found(self, key: Key, expected: Expected, lost: Lost, seen: Seen) -> None:
        """First it is written down which sign it was, so that it is the same when it is told again after a crash."""
        found = lost.found
        if found is None:
            found = seen.at
            if not await self._written([lost_record(key, msgspec.structs.replace(lost, found=found))]):
                return
        until = found if found > lost.since else lost.due  # so long at least, where the clock was set back
        data = self._said(expected, lost) | {"silent_for": duration_text(round(until - lost.since))}
        if await self._told(_event(key, lost, WORDS[key.sign].found, found, data, ends=CLEAR)):
            await self._written([lost_record(key, None)])

    async def _forget(self, key: Key) -> None:
        """What nobody expects any more; what was told of it ends then. Every door says the same, by the version in
        which that is so."""
        lost, now = self._signs.lost.get(key), self._published
        if lost is not None and now is not None:
            data = {"source": key.source, "version": now.version}
            ended = _event(key, lost, UNWATCHED, now.at.timestamp(), data, ends=f"v{now.version}")
            if not await self._told(ended):
                return
        await self._written([seen_record(key, None), lost_record(key, None)])

    def _said(self, expected: Expected, lost: Lost) -> dict[str, str]:
        last = datetime.fromtimestamp(int(lost.since), self._zone).isoformat()
        said = {
            "source": expected.source,
            "waiting_since" if lost.first else "last": last,
            "expected_within": duration_text(expected.within),
        }
        if expected.during is not None:
            said["during"] = expected.during.name
        if expected.connection:
            said["connection"] = expected.connection
        return said

    async def _told(self, event: Event) -> bool:
        told = await self._written([Outgoing(EVENTS, event.subject.encode(), encode(event))])
        if told:
            log.warning("told of a source", extra={"type": event.type, "subject": event.subject})
        return told

    async def _written(self, records: Sequence[Outgoing]) -> bool:
        fates = await self._writes.append(records) if records else ()
        refused = next((fate for fate in fates if isinstance(fate, str)), None)
        if refused is not None and not self._refused:
            log.warning("what is expected of sources is not judged until Kafka answers", extra={"problem": refused})
        self._refused = refused is not None
        return not self._refused


def _event(key: Key, lost: Lost, kind: str, at: float, data: Mapping[str, Any], *, ends: str = "") -> Event:
    """What is told of a sign: that it is lost, or, with the mark of what `ends` that, that it is over."""
    since, state = datetime.fromtimestamp(lost.since, UTC), CLEAR if ends else RAISE
    code = WORDS[key.sign].code
    return Event(
        id=f"{code}-{key.source}-{since:%Y%m%dT%H%M%S.%f}-{ends or RAISE}",
        source=TELLER,
        type=kind,
        subject=f"source/{key.source}",
        time=datetime.fromtimestamp(at, UTC),
        data=dict(data),
        labels={STATE: state, SEVERITY: "major", "code": code, WATCHED: key.source},
    )
