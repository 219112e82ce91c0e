"""Where the cache lies, and locks between processes."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_AGAIN_S = 0.05


def cache_dir() -> Path:
    """`$ANDON_CACHE`, else `$XDG_CACHE_HOME/andon`, else `~/.cache/andon`. Whose account has neither a name nor a home,
    as in a container, has `/` for it, which Docker gives too; where that cannot be written, the user is told so."""
    if own := os.environ.get("ANDON_CACHE"):
        return Path(own).expanduser().absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "andon"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
    return home / ".cache" / "andon"


def wait_on() -> None:
    """What is called while something is waited for that nobody gives up."""


@contextmanager
def locked(path: Path, go_on: Callable[[], None] = wait_on) -> Iterator[None]:
    """Holds the lock file `path` against all other processes and threads, waiting for as long as it takes, or until
    `go_on`, which is called again and again, raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        while not _taken(file):
            go_on()
            time.sleep(_AGAIN_S)
        yield


@contextmanager
def locked_now(path: Path) -> Iterator[bool]:
    """Like `locked`, but never waits: yields whether the lock was free and is now held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield _taken(file)


def _taken(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
