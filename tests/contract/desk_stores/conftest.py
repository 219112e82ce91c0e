"""Every desk store keeps the port's promises: the one in memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from andon.core.event import Home
from andon.core.work import DeskStore, Entry, Item
from andon.store.desk import SqlDeskStore
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.items import HOME, START

Open = Callable[[], DeskStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}"
    address: str = request.getfixturevalue("postgres_url")
    return address


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store, again and again: each time as another process would."""
    stores: list[DeskStore] = []
    shared = MemoryDeskStore()
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}"

    def open_it() -> DeskStore:
        stores.append(shared if request.param == "memory" else SqlDeskStore(url, "desk"))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def entry(of: Item, number: int = 1, **changes: object) -> Entry:
    whole = Entry(of.id, of.redrive, of.hop, number, of.home, of.domain, 0, 0, 1, START, of.queue)
    return msgspec.structs.replace(whole, **changes)


def owned(opened: Open, *homes: Home) -> DeskStore:
    store = opened()
    for home in homes or (HOME,):
        store.acquire(home, "egress-0", 0.0)
    return store
