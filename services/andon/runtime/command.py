"""One process of another program: how it is started, asked to end, and what it said last."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from andon.runtime import launch
from andon.runtime.logs import safe

LOG_BYTES = 10 << 20


class CannotStart(Exception):  # noqa: N818 - as above
    """A spawn that failed, in one sentence. Final while the program has never been ready; after that, tried again."""


class Child(Protocol):
    """A running process."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """The exit code, negative for a signal; may be awaited again."""

    async def end(self, timeout: float) -> None:
        """Asks it to end and, `timeout` seconds later, makes it end."""

    def kill(self) -> None:
        """Ends it and all it started, at once."""


@dataclass(frozen=True)
class Command:
    """Spawns `argv` in a session of its own, its output appended to `log`.

    On Linux the kernel kills it when the thread that spawned it ends, so it is called from the main thread.
    """

    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None

    async def __call__(self) -> Child:
        launcher = (sys.executable, "-I", "-S", launch.__file__, str(os.getpid()))
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            bound(self.log)
            with self.log.open("ab") as out:
                process = await asyncio.create_subprocess_exec(
                    *launcher,
                    *self.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=self.env,
                    start_new_session=True,
                )
        except OSError as error:
            raise CannotStart(f"{self.argv[0]} cannot be started: {error}") from error
        return _Process(process)


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def wait(self) -> int:
        return await self._process.wait()

    async def end(self, timeout: float) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), timeout)
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def bound(log: Path, size: int = LOG_BYTES) -> None:
    """Keeps a log that others append to below `size` bytes: a full one is copied to `<name>.1` and emptied.

    Copied, because the writer has it open; a line written in between is lost, which a log may do and a topic may not.
    """
    with suppress(OSError):
        if log.stat().st_size > size:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def last_words(log: Path) -> str:
    """The last line of a log as a sentence: of a JSON line, the text of its event."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    if not lines:
        return f"it ended and said nothing in {log}"
    with suppress(ValueError, KeyError, TypeError):
        return safe(str(json.loads(lines[-1])["event"]))
    return safe(lines[-1].strip())
