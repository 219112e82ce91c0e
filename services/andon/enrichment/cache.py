"""A connector behind a cache: asked once per key and time, never twice at once, and left alone while it fails."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from andon.core.failure import Failure
from andon.core.ports import Clock, Connector, Facts
from andon.enrichment.mapping import RESERVED, Answer, Missing, answer_of
from andon.runtime.breaker import Breaker

_LOG = logging.getLogger("andon.enrichment")
_NOT_FOUND = Answer(missing=Missing.NOT_FOUND)
# A key is whatever an event has in its place, which may be a text of a megabyte.
_LONGEST_KEY = 256
# An event has four times as much, for what it brings itself and for its other facts.
_LARGEST_ANSWER = 1 << 20


class CachePolicy(msgspec.Struct, frozen=True):
    """How long answers serve and what one connector may cost. Times in seconds.

    An answer serves for `fresh`, a "not found" for at most `negative`. When the source fails, an older answer serves
    until it is `stale` old. At most `size` answers are kept, those asked for least recently leave first, and as many
    keys that were not found, none longer than that serves; of a key of over 256 letters nothing is. A call is given up
    after `deadline`, and at most `in_flight` run at one time.
    """

    fresh: float = 60.0
    negative: float = 5.0
    stale: float = 86_400.0
    size: int = 10_000
    deadline: float = 5.0
    in_flight: int = 4


class _Entry(msgspec.Struct, frozen=True):
    values: Mapping[str, Any]
    learnt: float


class _Flight:
    """One call that is under way, or has just ended. `late` once somebody waited for it in vain."""

    __slots__ = ("answers", "failed", "late", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.late = False
        self.answers: Mapping[str, Facts] = {}
        self.failed: str = Missing.TIMEOUT


class CachedConnector:
    """Answers for the keys of a batch within a given wait, from the cache or by one call of the connector.

    Never raises for what the connector does. A call that outlasts the wait goes on until its own deadline, and its
    answer serves the next batch; nobody waits for it a second time. Belongs to one event loop.
    """

    def __init__(self, name: str, connector: Connector, clock: Clock, policy: CachePolicy | None = None) -> None:
        self.name = name
        self.breaker = Breaker(clock)
        self._connector = connector
        self._clock = clock
        self._policy = policy or CachePolicy()
        self._negative = min(self._policy.fresh, self._policy.negative)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # when it was not found, the oldest first
        self._flights: dict[str, _Flight] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._lookups: set[asyncio.Future[list[Facts]]] = set()

    async def answers(self, keys: Iterable[str], wait: float) -> Mapping[str, Answer]:
        """An answer for each distinct key, after at most `wait` seconds."""
        known = {key: self._fresh(key) for key in dict.fromkeys(keys)}
        unknown = [key for key, answer in known.items() if answer is None]
        refused = self._ask([key for key in unknown if key not in self._flights], wait)
        flights = {key: self._flights[key] for key in unknown if key in self._flights}
        if pending := {flight for flight in flights.values() if not flight.late}:
            await self._until_landed(pending, wait)
        return {key: answer or self._learnt(key, flights.get(key), refused) for key, answer in known.items()}

    async def close(self) -> None:
        """Ends the calls under way and closes the connector. May be repeated."""
        under_way: set[asyncio.Future[Any]] = {*self._calls, *self._lookups}
        for future in under_way:
            future.cancel()
        if under_way:
            await asyncio.wait(under_way)
        await self._connector.close()

    def _fresh(self, key: str) -> Answer | None:
        if key in self._unknown and self._age(self._unknown[key]) < self._negative:
            return _NOT_FOUND
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return Answer(entry.values) if self._age(entry.learnt) < self._policy.fresh else None

    def _age(self, learnt: float) -> float:
        """With the clock set back, as old as its time is ahead: it does not serve until the clock has caught up."""
        return abs(self._clock.now() - learnt)

    def _ask(self, keys: Sequence[str], wait: float) -> str:
        """Begins one call for these keys, or says why not; "" when it was begun or there is nothing to ask."""
        if not keys:
            return ""
        if len(self._lookups) >= self._policy.in_flight:
            return Missing.BUSY
        if not self.breaker.allows():
            return Missing.BREAKER_OPEN
        flight = _Flight()
        self._flights.update(dict.fromkeys(keys, flight))
        lookup = asyncio.ensure_future(self._lookup(keys))
        self._lookups.add(lookup)
        lookup.add_done_callback(self._landed)
        flight.task = asyncio.create_task(self._watch(flight, lookup, keys, wait), name=f"lookup {self.name}")
        self._calls.add(flight.task)
        flight.task.add_done_callback(self._calls.discard)
        return ""

    async def _lookup(self, keys: Sequence[str]) -> list[Facts]:
        return list(await self._connector.lookup(keys))

    def _landed(self, lookup: asyncio.Future[list[Facts]]) -> None:
        self._lookups.discard(lookup)
        if not lookup.cancelled():
            lookup.exception()  # a call given up long ago may still fail; its exception counts as seen

    async def _watch(
        self, flight: _Flight, lookup: asyncio.Future[list[Facts]], keys: Sequence[str], wait: float
    ) -> None:
        """One call from its beginning to the cache. An answer that came later than `wait` counts as a failure."""
        began = self._clock.now()
        alarm = asyncio.ensure_future(self._clock.sleep(self._policy.deadline))
        try:
            await asyncio.wait((lookup, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            lookup.cancel()
            for key in keys:
                del self._flights[key]
        failure = _failure(lookup, len(keys)) if lookup.done() else (Missing.TIMEOUT, "")
        if failure is None:
            answers = dict(zip(keys, lookup.result(), strict=True))
            if unfit := {key: why for key, facts in answers.items() if (why := _unfit(facts))}:
                fields = {"connector": self.name, "answers": len(unfit), "detail": next(iter(unfit.values()))}
                _LOG.warning("answers that no event can hold", extra=fields)
            flight.failed = Missing.WRONG_ANSWER  # of a key that is not among the answers
            flight.answers = {key: facts for key, facts in answers.items() if key not in unfit}
            self._remember(flight.answers)
        else:
            flight.failed = str(failure[0])
            fields = {"connector": self.name, "reason": flight.failed, "detail": failure[1]}
            _LOG.warning("lookup failed", extra=fields)
        if failure is None and self._clock.now() - began <= wait:
            self.breaker.succeeded()
        else:
            self.breaker.failed()

    def _remember(self, answers: Mapping[str, Facts]) -> None:
        now = self._clock.now()
        for key, facts in answers.items():
            self._entries.pop(key, None)
            self._unknown.pop(key, None)
            if len(key) > _LONGEST_KEY:
                continue
            if facts.found:
                self._entries[key] = _Entry(facts.values, now)
            else:
                self._unknown[key] = now
        while len(self._entries) > self._policy.size:
            self._entries.popitem(last=False)
        while self._unknown and self._is_too_much(next(iter(self._unknown.values()))):
            self._unknown.popitem(last=False)

    def _is_too_much(self, oldest: float) -> bool:
        return len(self._unknown) > self._policy.size or self._age(oldest) >= self._negative

    async def _until_landed(self, flights: Iterable[_Flight], wait: float) -> None:
        alarm = asyncio.ensure_future(self._clock.sleep(wait))
        calls: set[asyncio.Future[Any]] = {flight.task for flight in flights if flight.task}
        try:
            while calls and not alarm.done():
                done, _ = await asyncio.wait({*calls, alarm}, return_when=asyncio.FIRST_COMPLETED)
                calls -= done
        finally:
            alarm.cancel()
        for flight in flights:
            flight.late = flight.task in calls

    def _learnt(self, key: str, flight: _Flight | None, refused: str) -> Answer:
        """The answer of the call, else an older one with its age, else the reason why there is none."""
        if flight and key in flight.answers:
            return answer_of(flight.answers[key])
        entry = self._entries.get(key)
        if entry and self._age(entry.learnt) < self._policy.stale:
            return Answer(entry.values, age=self._age(entry.learnt))
        return Answer(missing=flight.failed if flight else refused)


def _unfit(facts: Facts) -> str:
    """Why no event can hold this answer; "" if one can. Written into one, it would keep the event from going on."""
    try:
        size = len(msgspec.json.encode(dict(facts.values)))
    except Exception as error:  # noqa: BLE001 - the values are the connector's, and so is what becomes of them
        return f"JSON has no such value ({type(error).__name__})"
    return f"{size:,} bytes, and {_LARGEST_ANSWER:,} is the most" if size > _LARGEST_ANSWER else ""


def _failure(lookup: asyncio.Future[list[Facts]], keys: int) -> tuple[str, str] | None:
    """Why an ended call has no usable answer, with a detail for the log; None if it has one."""
    if lookup.cancelled():
        return Missing.UNEXPECTED, "CancelledError"
    error = lookup.exception()
    if isinstance(error, Failure):
        return error.reason, error.detail
    if error is not None:
        return Missing.UNEXPECTED, type(error).__name__
    answers = lookup.result()
    if len(answers) != keys or not all(isinstance(answer, Facts) for answer in answers):
        return Missing.WRONG_ANSWER, f"{len(answers)} answers to {keys} keys, or answers that are no Facts"
    if taken := {name for answer in answers for name in RESERVED.intersection(answer.values)}:
        return Missing.WRONG_ANSWER, f"values with the reserved names {sorted(taken)}"
    return None
