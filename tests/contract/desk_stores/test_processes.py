"""Several processes on one store, SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from andon.core.event import Home
from andon.core.work import Entry, Write
from andon.store import ledger
from andon.store.desk import SqlDeskStore
from tests.unit.desk.items import HOME, OTHER, item


def test_processes_make_a_new_store_at_once(url: str) -> None:
    program = (
        "import sys; from andon.store.desk import SqlDeskStore; from andon.core.event import Home\n"
        "store = SqlDeskStore(sys.argv[1], 'desk'); print(store.acquire(Home('t', 0), 'x', 0.0).epoch); store.close()"
    )
    command = [sys.executable, "-c", program, url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(one.communicate(timeout=60)[0].strip() for one in running) == ["1", "2", "3"]


def test_a_lease_that_is_new_has_one_first_owner(url: str) -> None:
    stores = [SqlDeskStore(url, "desk") for _ in range(2)]
    epochs: list[int] = []
    for _ in range(10):
        home = Home(HOME.topic, 100 + len(epochs))
        threads = [
            threading.Thread(target=lambda one=one, home=home: epochs.append(one.acquire(home, "x", 0.0).epoch))
            for one in stores
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(epochs[-2:]) == [1, 2]
    for store in stores:
        store.close()


def test_nobody_waits_for_one_who_takes_a_home_over(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taking, other = SqlDeskStore(url, "desk"), SqlDeskStore(url, "desk")
    epoch = other.acquire(OTHER, "x", 0.0).epoch
    reading, stored = ledger.read, []

    def read(*question: Any) -> Iterator[Entry]:
        writing = threading.Thread(
            target=lambda: stored.append(other.commit([Write(OTHER, epoch, taken=[item(1, home=OTHER)])]))
        )
        writing.start()
        writing.join(10)  # a writer that must wait gives up after 30 s
        return reading(*question)

    monkeypatch.setattr(ledger, "read", read)
    taking.acquire(HOME, "y", 0.0)
    assert stored == [set()] * 3, "one while each question is read"
    for store in (taking, other):
        store.close()


def test_two_writers_lose_nothing(url: str) -> None:
    stores = [SqlDeskStore(url, "desk") for _ in range(2)]
    homes = [HOME, OTHER]
    for store, home in zip(stores, homes, strict=True):
        store.acquire(home, "x", 0.0)

    def write(store: SqlDeskStore, home: Home, first: int) -> None:
        for n in range(50):
            store.commit([Write(home, 1, offset=n + 1, taken=[item(first + n, home=home)])])

    threads = [
        threading.Thread(target=write, args=(store, home, 1_000 * index))
        for index, (store, home) in enumerate(zip(stores, homes, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store, home in zip(stores, homes, strict=True):
        found = store.acquire(home, "x", 0.0)
        assert (found.offset, len(found.items)) == (50, 50)
        store.close()


def test_two_writers_of_the_same_ids_in_opposite_orders_both_end(url: str) -> None:
    """An item redriven into another partition, or a conflict: nobody waits for the other for ever."""
    stores = [SqlDeskStore(url, "desk") for _ in range(2)]
    homes = [HOME, OTHER]
    for store, home in zip(stores, homes, strict=True):
        store.acquire(home, "x", 0.0)

    def write(store: SqlDeskStore, home: Home, order: int) -> None:
        for n in range(20):
            numbers = list(range(n * 50 + 1, n * 50 + 51))[::order]
            store.commit([Write(home, 1, offset=n + 1, taken=[item(one, home=home) for one in numbers])])

    threads = [
        threading.Thread(target=write, args=(store, home, order))
        for store, home, order in zip(stores, homes, (1, -1), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [store.acquire(home, "x", 0.0) for store, home in zip(stores, homes, strict=True)]
    assert [one.offset for one in found] == [20, 20]
    assert sum(len(one.items) for one in found) == 1_000
    for store in stores:
        store.close()


def test_what_was_committed_survives_a_kill(url: str) -> None:
    program = (
        "import os, sys; from andon.store.desk import SqlDeskStore; from andon.core.work import Write\n"
        "from tests.unit.desk.items import HOME, item\n"
        "store = SqlDeskStore(sys.argv[1], 'desk'); store.acquire(HOME, 'x', 0.0)\n"
        "store.commit([Write(HOME, 1, offset=2, taken=[item(1)])]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, url], check=False, timeout=60)
    store = SqlDeskStore(url, "desk")
    found = store.acquire(HOME, "x", 0.0)
    assert (found.epoch, found.offset, found.items) == (2, 2, [item(1)])
    store.close()


def test_two_desks_in_one_place_share_nothing(url: str) -> None:
    egress, ticketing = SqlDeskStore(url, "egress"), SqlDeskStore(url, "ticketing")
    egress.acquire(HOME, "x", 0.0)
    egress.commit([Write(HOME, 1, offset=2, taken=[item(1)], memos={"m": b"1"})])
    found = ticketing.acquire(HOME, "x", 0.0)
    assert (found.epoch, found.offset, found.items, found.memos) == (1, None, [], {})
    assert ticketing.known([item(1).id]) == {}
    egress.close()
    ticketing.close()
