"""What `andon up` tells others about itself: DATA/run.json, and a lock that says whether it is still true."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.runtime.supervisor import Status


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
        aside.write_text(json.dumps(whole, default=str, indent=1), encoding="utf-8")
        aside.replace(self._path)


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Holds the data directory, which it makes, against every other `andon up`. Raises AlreadyRuns."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "up.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns(f"another `andon up` runs on {data}; `andon status` shows it") from None
        yield


def read(data: Path) -> dict[str, Any] | None:
    """The last published state, and as `alive` whether its `andon up` still runs; None when there never was one."""
    try:
        whole: dict[str, Any] = json.loads((data / "run.json").read_bytes())
    except FileNotFoundError:
        return None
    try:
        with held(data):
            return {**whole, "alive": False}
    except AlreadyRuns:
        return {**whole, "alive": True}
