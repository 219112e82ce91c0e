"""Group commits: one thread writes what many tasks decide, in the order they decided it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import sleep
from typing import Any, TypeVar, cast

from andon.core.work import DeskStore, StoreFailure, Write

T = TypeVar("T")

_LINGER_S = 0.005
_ROWS = 256
_ENOUGH = 8


class GroupWriter:
    """Commits writes together: what came while the last commit lasted or, if that is little, within `_LINGER_S` of the
    first; about `_ROWS` rows at most.

    After a failure nothing more is written: every waiting and later caller gets a StoreFailure (law L4).
    """

    def __init__(self, store: DeskStore, name: str) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._failure: StoreFailure | None = None
        self._thread = threading.Thread(target=self._serve, name=f"{name}-store", daemon=True)
        self._thread.start()

    def commit(self, write: Write) -> asyncio.Future[bool]:
        """Resolves True when the write is durable, False when the lease had moved. Raises StoreFailure."""
        return cast("asyncio.Future[bool]", self._ask(write))

    def ask(self, question: Callable[[], T]) -> asyncio.Future[T]:
        """Runs a question to the store between two commits."""
        return cast("asyncio.Future[T]", self._ask(question))

    def _ask(self, what: Write | Callable[[], Any]) -> asyncio.Future[Any]:
        asked = _Asked(what, self._loop.create_future())
        self._queue.put(asked)
        return asked.future

    def _serve(self) -> None:
        while (asked := self._queue.get()) is not None:
            if not isinstance(asked.what, Write):
                self._answer(asked)
                continue
            group, after = self._gather(asked)
            self._commit(group)
            if after is not None and after.what is None:
                return
            if after is not None:
                self._answer(after)

    def _gather(self, first: _Asked) -> tuple[list[_Asked], _Asked | None]:
        """The writes of one commit, and the question or end that came behind them, if one did."""
        group, rows = [first], first.what.rows()
        if self._queue.qsize() < _ENOUGH:
            # Asleep, not waiting on the queue: being woken by every single write would take the interpreter's lock
            # from the event loop as often.
            sleep(_LINGER_S)
        while rows < _ROWS:
            try:
                asked = self._queue.get_nowait()
            except Empty:
                return group, None
            if asked is None or not isinstance(asked.what, Write):
                return group, asked or _END
            group.append(asked)
            rows += asked.what.rows()
        return group, None

    def _commit(self, group: list[_Asked]) -> None:
        moved = self._try(lambda: self._store.commit([asked.what for asked in group]))
        if isinstance(moved, StoreFailure):
            self._tell([(asked, moved) for asked in group])
        else:
            self._tell([(asked, (asked.what.home, asked.what.epoch) not in moved) for asked in group])

    def _answer(self, asked: _Asked) -> None:
        self._tell([(asked, self._try(asked.what))])

    def _try(self, question: Callable[[], Any]) -> Any:
        if self._failure is None:
            try:
                return question()
            except StoreFailure as error:
                self._failure = error
            except Exception as error:  # noqa: BLE001 - in a thread of its own it would end unheard, and work would wait
                self._failure = StoreFailure(f"the store failed in a way nobody foresaw: {error!r}")
        return self._failure

    def _tell(self, answers: list[tuple[_Asked, Any]]) -> None:
        def tell() -> None:
            for asked, answer in answers:
                if asked.future.done():
                    continue
                if isinstance(answer, StoreFailure):
                    asked.future.set_exception(answer)
                else:
                    asked.future.set_result(answer)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)

    async def close(self) -> None:
        """Writes what was asked for before, then stops."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)


class _Asked:
    __slots__ = ("future", "what")

    def __init__(self, what: Any, future: asyncio.Future[Any]) -> None:
        self.what = what
        self.future = future


_END: Any = _Asked(None, cast("asyncio.Future[Any]", None))
