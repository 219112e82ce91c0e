"""Keeps programs running, each in a process of its own. Knows nothing of Kafka, HTTP or Andon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from andon.core.ports import Clock
from andon.runtime.command import CannotStart, Child, bound, last_words

USAGE, STOPPED_BY_LAW = 2, 3  # exit codes of every command of ours
POLL_STARTING, POLL_READY = 0.1, 1.0  # seconds between two looks at a program's readiness

_log = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818 - a decision of the program, told to the person at the terminal
    """A program said at its first start that it can't run as it is set up; trying again would change nothing.

    `exit_code` is what whoever supervises should leave with: 2 when the program named wrong usage or configuration.
    """

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Program:
    """What is to run. `after` names programs that must be ready first; `ready` says whether it is, and never raises.

    One that runs `once` is not started again after exit 0. `stop_timeout` (seconds) lies between asking it to end and
    killing it. `words` are its last ones, where these are not the last line of its log. `rest` gives what of it still
    runs while it has no child, where that can be: it is ended with all the others.
    `ports` is only told on.
    """

    name: str
    spawn: Callable[[], Awaitable[Child]]
    log: Path
    ready: Callable[[], Awaitable[bool]] | None = None
    after: tuple[str, ...] = ()
    once: bool = False
    stop_timeout: float = 10.0
    ports: Mapping[str, int] = field(default_factory=dict)
    words: Callable[[], str] | None = None
    rest: Callable[[], Child | None] | None = None


class State(StrEnum):
    WAITING = "waiting"  # for another program
    STARTING = "starting"
    READY = "ready"
    UNREADY = "not ready"
    RESTARTING = "restarting"
    DONE = "done"
    FAILED = "failed"  # refused to run as it is set up
    STOPPED = "stopped"


@dataclass
class Status:
    """What is known of a program. `exit` and `note` (its last words) are of its latest end, `since` of its start."""

    name: str
    log: Path
    ports: Mapping[str, int]
    state: State = State.WAITING
    pid: int | None = None
    restarts: int = 0
    since: float | None = None
    exit: int | None = None
    note: str = ""


class Backoff:
    """How long to wait before the next start: not at all the first time, then 0.5 s, doubled up to 10 s.

    A program that stopped by law L4 (exit 3) is given 5 s, doubled up to 60 s: its disk or its store needs a person.
    Thirty seconds alive make it new again, and so does a clock that was set back meanwhile.
    """

    ALIVE = 30.0

    def __init__(self) -> None:
        self._failures = 0

    def after(self, lived: float, code: int) -> float:
        self._failures = self._failures + 1 if 0 <= lived < self.ALIVE else 1
        if code == STOPPED_BY_LAW:
            return float(min(5 * 2 ** min(self._failures - 1, 6), 60))
        return 0.0 if self._failures == 1 else float(min(0.5 * 2 ** min(self._failures - 2, 8), 10))


class Supervisor:
    """Starts programs, restarts those that die without touching the others, and ends them in reverse order.

    Used as `async with`: on leaving, however that comes about, no process of it is left. `changed` is called with
    every program's status after each change.
    """

    def __init__(self, clock: Clock, changed: Callable[[Sequence[Status]], None] = lambda _: None) -> None:
        self._clock = clock
        self._changed = changed
        self._kept: dict[str, _Kept] = {}
        self._failure: BaseException | None = None
        self._pulse = asyncio.Event()

    @property
    def statuses(self) -> Sequence[Status]:
        return [kept.status for kept in self._kept.values()]

    def start(self, program: Program) -> None:
        """Begins to keep a program; returns at once."""
        kept = _Kept(program, Status(program.name, program.log, program.ports))
        self._kept[program.name] = kept
        kept.task = asyncio.create_task(self._keep(kept), name=program.name)
        kept.task.add_done_callback(self._given_up)
        self._tell()

    async def ready(self, names: Iterable[str]) -> None:
        """Returns when all of these are ready at one time. Raises Refused when a program refused to run."""
        wanted = tuple(names)
        await self._until(lambda: all(self._kept[name].status.state is State.READY for name in wanted))

    async def done(self, name: str) -> None:
        """Returns when a program that runs `once` has come to its end. Raises Refused."""
        await self._until(lambda: self._kept[name].status.state is State.DONE)

    async def refused(self) -> None:
        """Never returns; raises Refused when a program refused to run."""
        await self._until(lambda: False)

    async def stop(self) -> None:
        """Ends everything, last started first; when this is cancelled, at once."""
        try:
            for kept in reversed(list(self._kept.values())):
                await self._end(kept)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kills every process at once, without waiting."""
        for kept in self._kept.values():
            if child := kept.runs():
                child.kill()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _keep(self, kept: _Kept) -> None:
        program, backoff = kept.program, Backoff()
        await self.ready(program.after)
        while True:
            began = self._clock.now()
            code = await self._once(kept)
            # What ran here can run: what it misses now may come back, and is no reason to end all the others.
            ran = kept.was_ready and program.ready is not None
            if (code == USAGE and not ran) or (code is None and not kept.was_ready):
                self._move(kept, State.FAILED)
                raise Refused(f"{program.name}: {kept.status.note}", code or 1)
            if program.once and code == 0:
                self._move(kept, State.DONE)
                return
            delay = backoff.after(self._clock.now() - began, code or 0)
            kept.status.restarts += 1
            self._move(kept, State.RESTARTING)
            _log.warning(
                "a program ended and is started again",
                extra={"program": program.name, "exit": code, "after_s": delay, "note": kept.status.note},
            )
            await self._clock.sleep(delay)

    async def _once(self, kept: _Kept) -> int | None:
        """One life of a program: its exit code, or None when it could not be started."""
        program, status = kept.program, kept.status
        self._move(kept, State.STARTING)
        try:
            child = kept.child = await program.spawn()
        except CannotStart as failure:
            status.note = str(failure)
            return None
        status.pid, status.since = child.pid, self._clock.now()
        self._tell()
        follow = asyncio.create_task(self._follow(kept))
        try:
            status.exit = await child.wait()
        finally:
            follow.cancel()
        child.kill()  # what it may have started itself
        kept.child = status.pid = None
        status.note = _note(status.exit, program)
        return status.exit

    async def _follow(self, kept: _Kept) -> None:
        program = kept.program
        while True:
            ready = program.ready is None or await program.ready()
            if ready:
                kept.was_ready = True
                self._move(kept, State.READY)
            elif kept.status.state is State.READY:
                self._move(kept, State.UNREADY)
            bound(program.log)
            await self._clock.sleep(POLL_READY if ready else POLL_STARTING)

    async def _end(self, kept: _Kept) -> None:
        if kept.task:
            kept.task.cancel()
            await asyncio.wait([kept.task])
        if child := kept.runs():
            await child.end(kept.program.stop_timeout)
        kept.child = kept.status.pid = None
        if kept.status.state not in (State.DONE, State.FAILED):
            self._move(kept, State.STOPPED)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            if self._failure:
                raise self._failure
            await self._pulse.wait()

    def _given_up(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() and not self._failure:
            self._failure = task.exception()
            self._tell()

    def _move(self, kept: _Kept, state: State) -> None:
        if kept.status.state is not state:
            kept.status.state = state
            self._tell()

    def _tell(self) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()
        self._changed(self.statuses)


def _note(code: int, program: Program) -> str:
    if code < 0:
        return f"ended by signal {-code}"
    if not code:
        return ""
    return program.words() if program.words else last_words(program.log)


@dataclass
class _Kept:
    program: Program
    status: Status
    task: asyncio.Task[None] | None = None
    child: Child | None = None
    was_ready: bool = False

    def runs(self) -> Child | None:
        """What of the program runs now."""
        return self.child or (self.program.rest() if self.program.rest else None)
