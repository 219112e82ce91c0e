"""Looks at a running plant again and again, from outside, and keeps what it saw."""

from __future__ import annotations

import http.client
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from tests.rig.record import Closed, Move
from tests.rig.topics import DELIVERIES


def get(
    port: int, path: str, method: str = "GET", body: bytes | None = None, *, host: str = "127.0.0.1"
) -> tuple[int, bytes]:
    """Status and body; status 0 when nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def pid_gone(pid: int) -> bool:
    """Whether there is no such process, or only its remains."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def stopped(pid: int) -> bool:
    """Whether every thread of a process stands still: after SIGSTOP one in the kernel first ends what it does there,
    and may so take a lock."""
    files = list(Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(file.read_text().rpartition(")")[2].split()[0] in "TZX" for file in files)


Store = Path | str
"""The store of egress: the file of a SQLite database, or the address of a PostgreSQL one as libpq reads it."""

_AWAY = (psycopg.OperationalError, psycopg.errors.UndefinedTable)


def ask(store: Store, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a question with `?` for each value."""
    if isinstance(store, Path):
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(question, values).fetchall()
    with psycopg.connect(store, options="-c search_path=andon_egress", connect_timeout=5) as connection:
        return connection.execute(question.replace("?", "%s").encode(), values).fetchall()


def epochs(store: Store) -> dict[int, int]:
    """The epoch of the lease of each partition of `andon.deliveries`."""
    return dict(ask(store, "select partition, epoch from lease where topic = ?", (DELIVERIES,)))


def look_at(store: Store, closed: Closed, ended: int | None = None, since: float = 0.0) -> None:
    """Adds what stands closed in the store of egress now, if it was closed after `since`; `ended` is the process whose
    end is the reason to look."""
    if isinstance(store, Path) and not (
        store.exists() and ask(store, "select 1 from sqlite_master where name = 'item'")
    ):
        return
    with suppress(*_AWAY):  # the server may be what a fault takes away
        found = ask(store, "select id from item where closed_at >= ?", (since,))
        # The time of after the read: what others closed while we read is closed by then.
        closed.seen((str(UUID(bytes=one)) for (one,) in found), time.time(), ended)


class Looker(ABC):
    """A thread that looks every so many seconds, until it is closed."""

    every_s: float

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self.every_s):
            self.look()

    @abstractmethod
    def look(self) -> None:
        """One look."""

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


class Watch(Looker):
    """Asks every service for its metrics and keeps the highest value of each bounded figure. `ports` names them."""

    every_s = 0.5

    def __init__(self, ports: Callable[[], Mapping[str, int]], queue_cap: float = 500.0) -> None:
        super().__init__()
        self._ports = ports
        self._queue_cap = queue_cap
        self._highest: dict[str, float] = {}
        self._caps: dict[str, float] = {}

    def look(self) -> None:
        for port in self._ports().values():
            self._take(get(port, "/metrics")[1].decode(errors="replace"))

    def _take(self, text: str) -> None:
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("andon_window_cap{"):
                self._caps[name.replace("_cap{", "_in_flight{")] = float(value)
            elif name.startswith(("andon_window_in_flight{", "andon_queue_depth{")):
                self._highest[name] = max(self._highest.get(name, 0.0), float(value))

    def forget(self) -> None:
        """Begins anew."""
        self._highest.clear()

    def highest(self) -> dict[str, tuple[float, float]]:
        """Highest value and cap of each."""
        return {name: (most, self._caps.get(name, self._queue_cap)) for name, most in dict(self._highest).items()}


class Leases(Looker):
    """Keeps when the lease of each partition moved, and what stood closed then."""

    every_s = 0.1

    def __init__(self, store: Callable[[], Store]) -> None:
        super().__init__()
        self.moves: list[Move] = []
        self.closed = Closed()
        self._store = store
        self._known: dict[int, int] = {}
        self._last = time.time()

    def look(self) -> None:
        began = time.time()
        with suppress(sqlite3.OperationalError, *_AWAY):  # there is no store yet, or none now
            seen = epochs(self._store())
            now = time.time()
            moved = [p for p, epoch in seen.items() if self._known.get(p, epoch) != epoch]
            self.moves += [Move(p, self._last, now) for p in moved]
            self._known, self._last = seen, began
            if moved:
                look_at(self._store(), self.closed)
