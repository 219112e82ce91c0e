"""The same request twice is one event: what the door remembers, in memory and in the index."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from andon.core.event import Position
from andon.core.fate import Fate, Undecided
from andon.core.ports import Clock
from andon.core.work import StoreFailure
from andon.ingress.bloom import Bloom
from andon.ingress.bodies.draft import Draft
from andon.store.requests import Request

KEEP = 3 * 86_400.0 + 3_600.0
LINGER = 0.25
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
    never waits for the index: entries stay in memory until a group commit, some 250 ms later, has written
    them. A Bloom filter over all keys of the index spares a new id the look into it. Belongs to one event loop.

    A failing index is reported once to `fatal`; from then on `available` is False (law L4).
    """

    def __init__(self, index: Index, clock: Clock, fatal: Callable[[BaseException], None]) -> None:
        self._index = index
        self._clock = clock
        self._fatal = fatal
        # What is claimed, what waits for the index, and what was written to it last.
        self._memory: dict[bytes, Entry] = {}
        self._unwritten: list[Entry] = []
        self._written: deque[Sequence[Entry]] = deque()
        self._recent = 0
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
        return not self._broken and len(self._memory) - self._recent < UNWRITTEN

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

    def strangers(self, drafts: Iterable[Draft]) -> list[bytes]:
        """The drafts' keys that memory does not know and the index may: `recall` those, if any."""
        memory = self._memory
        maybe = self._filter.among([key for draft in drafts for key in draft.keys])
        return [key for key in maybe if key not in memory]

    async def recall(self, drafts: Iterable[Draft], strangers: Sequence[bytes]) -> dict[bytes, Request]:
        """What is known under the drafts' keys. Raises StoreFailure."""
        # What memory has now may have left it when the index has answered.
        memory = self._memory
        known: dict[bytes, Request] = {key: memory[key] for draft in drafts for key in draft.keys if key in memory}
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._reader, self._index.read, strangers)
        except StoreFailure as error:
            self._break(error)
            raise
        return known | {request.key: request for request in found}

    def claim(self, drafts: Iterable[Draft], known: Mapping[bytes, Request]) -> list[Request | None]:
        """Per draft None: it is new, and yours to settle. Otherwise the request it repeats.

        `known` is what `recall` found.
        """
        memory = self._memory
        firsts: list[Request | None] = []
        for draft in drafts:
            first: Request | None = None
            for key in draft.keys:
                first = memory.get(key) or known.get(key)
                if first is not None:
                    break
            else:
                for key in draft.keys:
                    memory[key] = Entry(key, draft.digest)
            firsts.append(first)
        return firsts

    def settle(self, drafts: Sequence[Draft], fates: Sequence[Fate | None]) -> int:
        """Ends the claims on these drafts, and tells how many of them the log has: those whose fate is a position.

        Any other was not appended, or nobody knows: the next request with its keys is a new one. The claim on a draft
        that is Undecided stands, to be settled later.
        """
        memory, unwritten = self._memory, self._unwritten
        taken = 0
        for draft, fate in zip(drafts, fates, strict=True):
            if isinstance(fate, Undecided):
                continue
            position = fate if isinstance(fate, Position) else None
            if position is not None:
                taken += 1
            for key in draft.keys:
                if position is not None:
                    entry = memory[key]
                    entry.position = position
                    unwritten.append(entry)
                else:
                    entry = memory.pop(key)
                    entry.failed = True
                if entry.turn is not None:
                    entry.turn.set_result(None)
        if unwritten:
            self._wake.set()
        return taken

    def join(self, draft: Draft, first: Request, known: Mapping[bytes, Request]) -> None:
        """The draft repeats this accepted request: those of its keys that name nothing yet name the same from now on.

        `known` is what `recall` found.
        """
        for key in draft.keys:
            if key not in self._memory and key not in known:
                self._memory[key] = entry = Entry(key, draft.digest, first.position)
                self._unwritten.append(entry)
                self._wake.set()

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

    def _remember(self, group: Sequence[Entry]) -> None:
        """Keeps what was just written for a while; the oldest groups leave memory."""
        self._written.append(group)
        self._recent += len(group)
        while self._recent > RECENT:
            oldest = self._written.popleft()
            self._recent -= len(oldest)
            for entry in oldest:
                del self._memory[entry.key]

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        if not self._broken:
            self._broken = True
            self._fatal(error)
