"""The same request twice is one event: what the door remembers, in memory and in the index."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from andon.core.event import Position
from andon.core.ports import Clock
from andon.core.work import StoreFailure
from andon.ingress.bloom import Bloom
from andon.ingress.sources.http import Draft
from andon.store.requests import Request

KEEP = 3 * 86_400.0 + 3_600.0
LINGER = 0.1
PRUNE_EVERY = 600.0
RECENT = 16_384
UNWRITTEN = 50_000


class Index(Protocol):
    """What `store.requests.RequestIndex` does; every call blocks and may raise StoreFailure."""

    def write(self, requests: Sequence[Request], now: float, /) -> None: ...

    def read(self, keys: Sequence[bytes], /) -> Sequence[Request]: ...

    def all_keys(self) -> Iterator[list[bytes]]: ...

    def count(self) -> int: ...

    def prune(self, before: float, /) -> None: ...


class Entry(Request, gc=False):
    """A request from its claim on. `turn` is there while others wait for its outcome."""

    turn: asyncio.Future[None] | None = None
    failed: bool = False


class Requests:
    """Idempotency over the scope of a key, at least 3 days, across restarts.

    A draft's keys are claimed before its event is appended, then settled with the position or released. An answer
    never waits for the index: entries stay in memory until a group commit, some 100 ms later, has written
    them. A Bloom filter over all keys of the index spares a new id the look into it. Belongs to one event loop.

    A failing index is reported once to `fatal`; from then on `available` is False (law L4).
    """

    def __init__(self, index: Index, clock: Clock, fatal: Callable[[BaseException], None]) -> None:
        self._index = index
        self._clock = clock
        self._fatal = fatal
        self._open: dict[bytes, Entry] = {}
        self._recent: OrderedDict[bytes, Request] = OrderedDict()
        self._unwritten: list[Entry] = []
        self._filter = Bloom()
        self._wake = asyncio.Event()
        self._closing = False
        self._broken = False
        self._writer = ThreadPoolExecutor(1, "requests-write")
        self._reader = ThreadPoolExecutor(1, "requests-read")
        self._task: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether new requests may be claimed: the index works, and keeps up."""
        return not self._broken and len(self._open) < UNWRITTEN

    async def start(self) -> None:
        """Forgets what is too old and reads the kept keys. Raises StoreFailure."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._tidy, self._clock.now(), True)
        self._task = loop.create_task(self._write())
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Writes what is not written yet."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._writer.shutdown()
        self._reader.shutdown()

    def look(self, drafts: Iterable[Draft]) -> tuple[dict[bytes, Request], list[bytes]]:
        """What memory has under the drafts' keys, and the keys that only the index may have: `recall` those.

        What memory has now is handed out, because it may have left memory when the index has answered.
        """
        known: dict[bytes, Request] = {}
        strangers: list[bytes] = []
        for draft in drafts:
            for key in draft.keys:
                if (request := self._open.get(key) or self._recent.get(key)) is not None:
                    known[key] = request
                elif key in self._filter:
                    strangers.append(key)
        return known, strangers

    async def recall(self, keys: Sequence[bytes]) -> dict[bytes, Request]:
        """What the index has under these keys. Raises StoreFailure."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._reader, self._index.read, keys)
        except StoreFailure as error:
            self._break(error)
            raise
        return {request.key: request for request in found}

    def claim(self, draft: Draft, known: Mapping[bytes, Request]) -> Request | None:
        """None: the draft is new, and yours to settle or release. Otherwise the request it repeats.

        `known` is what `look` and `recall` found.
        """
        for key in draft.keys:
            request = self._open.get(key) or known.get(key) or self._recent.get(key)
            if request is not None:
                return request
        for key in draft.keys:
            self._open[key] = Entry(key, draft.digest)
        return None

    def settle(self, draft: Draft, position: Position) -> None:
        """The log has it."""
        for key in draft.keys:
            entry = self._open[key]
            entry.position = position
            self._unwritten.append(entry)
            if entry.turn is not None:
                entry.turn.set_result(None)
        if draft.keys:
            self._wake.set()

    def release(self, draft: Draft) -> None:
        """It was not appended, or nobody knows: the next request with its keys is a new one."""
        for key in draft.keys:
            entry = self._open.pop(key)
            entry.failed = True
            if entry.turn is not None:
                entry.turn.set_result(None)

    async def accepted(self, known: Request) -> bool:
        """Whether the request known under this key was accepted; waits for the outcome of one under way."""
        if known.position is not None or not isinstance(known, Entry):
            return True
        if not known.failed:
            if known.turn is None:
                known.turn = asyncio.get_running_loop().create_future()
            await asyncio.shield(known.turn)
        return not known.failed

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        prune_at = self._clock.now() + PRUNE_EVERY
        while not (self._closing and not self._unwritten):
            await self._wake.wait()
            self._wake.clear()
            group, self._unwritten = self._unwritten, []
            now = self._clock.now()
            if group:
                await loop.run_in_executor(self._writer, self._keep, group, now)
                for entry in group:
                    del self._open[entry.key]
                self._remember(group)
            if now >= prune_at:
                await loop.run_in_executor(self._writer, self._tidy, now)
                prune_at = now + PRUNE_EVERY
            if not self._closing:
                await self._clock.sleep(LINGER)

    # The filter is changed by the writer's thread alone, and after the index: until then the key is in memory.

    def _keep(self, group: Sequence[Entry], now: float) -> None:
        self._index.write(group, now)
        self._filter.update([entry.key for entry in group])

    def _tidy(self, now: float, force: bool = False) -> None:
        self._index.prune(now - KEEP)
        if force or self._filter.full:
            rebuilt = Bloom(2 * self._index.count())
            for keys in self._index.all_keys():
                rebuilt.update(keys)
            self._filter = rebuilt

    def _remember(self, requests: Iterable[Request]) -> None:
        recent = self._recent
        for request in requests:
            recent[request.key] = request
        while len(recent) > RECENT:
            recent.popitem(last=False)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        if not self._broken:
            self._broken = True
            self._fatal(error)
