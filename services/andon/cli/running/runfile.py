"""What `andon up` tells others about itself: DATA/run.json, and a lock that says whether it is still true."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.runtime.supervisor import Status


_LOOKED_S = 0.5
"""How long who only looks may hold the lock, at the very most."""
_AGAIN_S = 0.02


class AlreadyRuns(Exception):  # noqa: N818 - a state of the machine, read by people
    """Another `andon up` works on this data directory."""

    exit_code = 1


class RunFile:
    """run.json of one `andon up`: always whole, replaced at every change."""

    def __init__(self, data: Path, facts: Mapping[str, Any]) -> None:
        self._path = data / "run.json"
        self._facts = {"pid": os.getpid(), **facts}

    def write(self, state: str, programs: Sequence[Status]) -> None:
        """Publishes the state of all programs. Raises OSError."""
        whole = {**self._facts, "state": state, "programs": [asdict(program) for program in programs]}
        aside = self._path.with_name(f".run.json.{os.getpid()}")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(whole, file, default=str, indent=1)
            file.flush()
            os.fsync(file.fileno())  # else an empty one may stand there after a power cut
        aside.replace(self._path)


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Holds the data directory, which it makes, against every other `andon up`. Raises AlreadyRuns."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "up.lock").open("ab") as lock:
        until = time.monotonic() + _LOOKED_S
        while not _locked(lock, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise AlreadyRuns(f"another `andon up` runs on {data}; `andon status` shows it")
            time.sleep(_AGAIN_S)
        yield


def read(data: Path, *needed: str) -> dict[str, Any] | None:
    """The last published state, and as `alive` whether its `andon up` still runs; None when there never was one, or it
    is damaged, or lacks something `needed`."""
    try:
        whole = json.loads((data / "run.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not (isinstance(whole, dict) and whole.keys() >= set(needed)):
        return None
    return {**whole, "alive": _is_held(data)}


def _is_held(data: Path) -> bool:
    """Looks without being taken for an `andon up` by another who looks."""
    try:
        with (data / "up.lock").open("rb") as lock:
            return not _locked(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _locked(lock: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
