"""Where the cache lies, and locks between processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """`$ANDON_CACHE`, else `$XDG_CACHE_HOME/andon`, else `~/.cache/andon`."""
    if own := os.environ.get("ANDON_CACHE"):
        return Path(own).expanduser().absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "andon"
    return Path.home() / ".cache" / "andon"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` against all other processes and threads, waiting for as long as it takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_now(path: Path) -> Iterator[bool]:
    """Like `locked`, but never waits: yields whether the lock was free and is now held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
