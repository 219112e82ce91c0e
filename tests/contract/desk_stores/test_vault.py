"""Every vault keeps the port's promises: the one in memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from andon.core.ports import Vault
from andon.store.desk import SqlDeskStore
from andon.store.sealing import opened, sealed
from andon.testing.vault import MemoryVault

NAME, SECRET, VALUE = "app:1", "s3cret-of-the-app", b"a token of the vendor"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Vault]]:
    """The same vault, again and again: each time as another process would open it."""
    shared, stores = MemoryVault(), []
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}"

    def open_it() -> Vault:
        if request.param == "memory":
            return shared
        stores.append(SqlDeskStore(url, "desk"))
        return stores[-1].vault()

    yield open_it
    for store in stores:
        store.close()


def test_what_one_process_keeps_another_finds_with_the_secret(another: Callable[[], Vault]) -> None:
    async def scene() -> None:
        one, two = another(), another()
        assert await two.find(NAME, SECRET) is None
        await one.keep(NAME, SECRET, VALUE)
        assert await two.find(NAME, SECRET) == VALUE
        assert await two.find(NAME, "another secret") is None
        assert await two.find("app:2", SECRET) is None
        await two.keep(NAME, SECRET, b"newer")
        assert await one.find(NAME, SECRET) == b"newer"

    asyncio.run(scene())


def test_one_of_many_holds_a_name(another: Callable[[], Vault]) -> None:
    async def scene() -> None:
        vaults = [another() for _ in range(4)]
        told = await asyncio.gather(*(one.claim(NAME, f"p{n}", 100.0, 120.0) for n, one in enumerate(vaults)))
        assert sorted(told) == [False, False, False, True]
        assert await vaults[0].claim("another", "p0", 100.0, 120.0)
        await vaults[0].release(NAME, "nobody")
        assert not await vaults[0].claim(NAME, "p9", 119.0, 140.0)
        await vaults[0].release(NAME, f"p{told.index(True)}")
        assert await vaults[1].claim(NAME, "p1", 119.0, 140.0)
        assert await vaults[2].claim(NAME, "p2", 140.0, 160.0), "a holder that died holds no longer than it said"
        await vaults[2].keep(NAME, SECRET, VALUE)
        assert await vaults[3].claim(NAME, "p3", 141.0, 160.0), "what was fetched ends the claim"
        assert await vaults[3].find(NAME, SECRET) == VALUE, "a claim takes nothing away"

    asyncio.run(scene())


def test_the_database_alone_reveals_nothing(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    asyncio.run(store.vault().keep(NAME, SECRET, VALUE))
    store.close()
    data = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert VALUE not in data
    assert SECRET.encode() not in data


def test_a_seal_holds_for_its_name_and_its_bytes() -> None:
    data = sealed(VALUE, NAME, SECRET)
    assert opened(data, NAME, SECRET) == VALUE
    assert data != sealed(VALUE, NAME, SECRET)
    assert opened(data, "app:2", SECRET) is None
    for at in range(len(data)):
        assert opened(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], NAME, SECRET) is None
        assert opened(data[:at], NAME, SECRET) is None
