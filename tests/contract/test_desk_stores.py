"""Every desk store keeps the port's promises: the one in memory, and SQLite with two processes on one file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid5

import msgspec
import pytest

from andon.core.digest import Digest, Line
from andon.core.event import Home
from andon.core.reason import Reason
from andon.core.work import Closed, DeskStore, Entry, Item, Note, StoreFailure, Write
from andon.store.desk import SqlDeskStore
from andon.testing.desk_store import MemoryDeskStore
from tests.unit.desk.items import HOME, NAMESPACE, OTHER, START, item

Open = Callable[[], DeskStore]


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store, again and again: each time as another process would."""
    stores: list[DeskStore] = []
    shared = MemoryDeskStore()

    def open_it() -> DeskStore:
        stores.append(shared if request.param == "memory" else SqlDeskStore(f"sqlite:///{tmp_path}", "desk"))
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


# ---- leases


def test_a_lease_counts_up_and_begins_without_an_offset(opened: Open) -> None:
    store = opened()
    first = store.acquire(HOME, "egress-0", 0.0)
    assert (first.epoch, first.offset, first.items, first.recent) == (1, None, [], [])
    assert store.acquire(HOME, "egress-1", 0.0).epoch == 2
    assert store.acquire(OTHER, "egress-1", 0.0).epoch == 1


def test_nothing_of_an_old_epoch_is_applied(opened: Open) -> None:
    zombie, owner = owned(opened), opened()
    zombie.commit([Write(HOME, 1, offset=5, taken=[item(1)])])
    owner.acquire(HOME, "egress-1", 0.0)
    late = Write(
        HOME,
        1,
        offset=9,
        taken=[item(2)],
        began=[entry(item(1))],
        changed=[item(1, due=START + 9)],
        closed=[Closed(item(1).id, b"{}", START)],
        memos={"m": b"1"},
        notes=[(1 << 32, Note("t", b"k", b"v"))],
    )
    assert zombie.commit([late]) == {(HOME, 1)}
    now = owner.acquire(HOME, "egress-2", 0.0)
    assert now.offset == 5
    assert [(one.id, one.due, one.entries) for one in now.items] == [(item(1).id, 0.0, [])]
    assert (now.memos, now.notes, now.recent) == ({}, [], [])


def test_a_refused_write_takes_no_other_with_it(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.acquire(HOME, "egress-1", 0.0)
    moved = store.commit([Write(HOME, 1, offset=3), Write(OTHER, 1, offset=4), Write(HOME, 2, offset=5)])
    assert moved == {(HOME, 1)}
    assert store.acquire(HOME, "x", 0.0).offset == 5
    assert store.acquire(OTHER, "x", 0.0).offset == 4


def test_a_home_nobody_acquired_takes_no_write(opened: Open) -> None:
    store = opened()
    assert store.commit([Write(HOME, 1, offset=3)]) == {(HOME, 1)}


# ---- what comes back


def test_an_item_comes_back_as_it_was(opened: Open) -> None:
    store = owned(opened)
    at = datetime(2026, 11, 22, 6, 3, 5, tzinfo=UTC)
    whole = item(
        7,
        lane="线 3/M-07",
        urgent=True,
        group="g",
        due=START + 0.25,
        redrive=2,
        part=1,
        parts=b"\x00parts",
        carried=Digest(3, at, at, (Line("线 3", "停机", at),), 2),
        marked=True,
        body=bytes(range(256)),
    )
    store.commit([Write(HOME, 1, offset=8, taken=[whole])])
    found = opened().acquire(HOME, "egress-1", 0.0)
    assert found.items == [whole]
    assert found.offset == 8


def test_items_come_in_the_order_of_their_offsets_and_only_while_open(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, taken=[item(3), item(1), item(2)]), Write(OTHER, 1, taken=[item(9, home=OTHER)])])
    store.commit([Write(HOME, 1, closed=[Closed(item(2).id, b"{}", START)])])
    assert [one.offset for one in store.acquire(HOME, "x", 0.0).items] == [1, 3]


def test_an_item_taken_and_closed_in_one_write_is_closed(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1)], closed=[Closed(item(1).id, b"{}", START)])])
    assert store.acquire(HOME, "x", 0.0).items == []
    assert store.known([item(1).id])[item(1).id].closed


def test_the_last_change_of_a_commit_counts(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1)])])
    store.commit([Write(HOME, 1, changed=[item(1, part=1)]), Write(HOME, 1, changed=[item(1, part=2, parts=b"p")])])
    (found,) = store.acquire(HOME, "x", 0.0).items
    assert (found.part, found.parts) == (2, b"p")


def test_entries_come_back_with_their_results(opened: Open) -> None:
    store = owned(opened)
    one = item(1)
    begun = entry(one, line=2, part=1, marked=True)
    ended = msgspec.structs.replace(begun, ended=START + 1, reason=Reason.THROTTLED, ambiguous=True, until=START + 60.5)
    store.commit([Write(HOME, 1, taken=[one], began=[begun])])
    assert store.acquire(HOME, "x", START + 99).items[0].entries == [begun]
    store.commit([Write(HOME, 2, ended=[ended], began=[entry(one, 2, started=START + 2, epoch=2)])])
    found = store.acquire(HOME, "x", START + 99)
    assert found.items[0].entries == [ended, entry(one, 2, started=START + 2, epoch=2)]
    assert found.recent == found.items[0].entries


def test_recent_holds_what_began_since_and_everything_of_open_items(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    done, old, still = item(1), item(2), item(3)
    foreign = item(4, home=OTHER)
    write = Write(HOME, 1, taken=[done, old, still])
    write.began = [entry(still, started=START - 9_000), entry(done, started=START), entry(old, started=START - 8_000)]
    write.closed = [Closed(done.id, b"{}", START), Closed(old.id, b"{}", START)]
    store.commit([write, Write(OTHER, 1, taken=[foreign], began=[entry(foreign)])])
    recent = store.acquire(HOME, "x", START - 3_600).recent
    assert [one.item for one in recent] == [still.id, done.id]


def test_memos_are_kept_per_home_and_replaced(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, memos={"a": b"1", "b": b"2"}), Write(OTHER, 1, memos={"a": b"9"})])
    store.commit([Write(HOME, 1, memos={"a": b"3"}), Write(HOME, 1, memos={"a": b"4"})])
    assert store.acquire(HOME, "x", 0.0).memos == {"a": b"4", "b": b"2"}
    assert store.acquire(OTHER, "x", 0.0).memos == {"a": b"9"}


def test_the_outbox_keeps_its_order_until_it_is_published(opened: Open) -> None:
    store = owned(opened)
    notes = [(2**32 + n, Note("t", b"k%d" % n, None if n == 3 else b"v", (("h", b"\xff"),))) for n in range(1, 6)]
    store.commit([Write(HOME, 1, notes=notes[3:]), Write(HOME, 1, notes=notes[:3])])
    assert store.acquire(HOME, "x", 0.0).notes == notes
    store.commit([Write(HOME, 2, published=notes[0][0]), Write(HOME, 2, published=notes[2][0])])
    assert store.acquire(HOME, "x", 0.0).notes == notes[3:]


def test_forgetting_a_note_twice_is_nothing(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, notes=[(1, Note("t", b"k", b"v"))])])
    store.commit([Write(OTHER, 1, notes=[(1, Note("t", b"k", b"v"))])])
    assert store.commit([Write(HOME, 1, published=1)]) == set()
    assert store.commit([Write(HOME, 1, published=77)]) == set()
    assert store.acquire(HOME, "x", 0.0).notes == []
    assert len(store.acquire(OTHER, "x", 0.0).notes) == 1


def test_many_rows_of_each_kind_fit_in_one_commit(opened: Open) -> None:
    store = owned(opened)
    items = [item(n) for n in range(1, 1_001)]
    store.commit([Write(HOME, 1, offset=1_001, taken=items, began=[entry(one) for one in items])])
    ended = [entry(one, ended=START + 1) for one in items]
    closed = [Closed(one.id, b"{}", START) for one in items[:900]]
    store.commit([Write(HOME, 1, ended=ended, changed=[item(n, due=5.0) for n in range(901, 1_001)], closed=closed)])
    found = store.acquire(HOME, "x", 0.0)
    assert len(found.items) == 100
    assert all(one.due == 5.0 and one.entries[0].ended == START + 1 for one in found.items)
    assert len(store.known([one.id for one in items])) == 1_000


# ---- repeats, conflicts, redrives


def test_known_tells_content_redrive_and_end(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1), item(2, redrive=3)])])
    store.commit([Write(HOME, 1, closed=[Closed(item(2).id, b"{}", START)])])
    known = store.known([item(1).id, item(2).id, uuid5(NAMESPACE, "nobody")])
    assert {one: (k.content, k.redrive, k.closed) for one, k in known.items()} == {
        item(1).id: (b"c1", 0, False),
        item(2).id: (b"c2", 3, True),
    }
    assert store.known([]) == {}


def test_a_redriven_item_takes_the_place_of_its_closed_self(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    first = item(1, part=1, parts=b"p", marked=True)
    began = [entry(first, ended=START + 1)]
    store.commit([Write(HOME, 1, taken=[first], began=began, closed=[Closed(first.id, b"{}", START)])])
    again = item(1, home=OTHER, offset=44, redrive=1, body=b"another")
    store.commit([Write(OTHER, 1, taken=[again])])
    assert store.acquire(HOME, "x", 0.0).items == []
    assert store.acquire(OTHER, "x", 0.0).items == [again]
    assert not store.known([first.id])[first.id].closed


def test_a_redriven_item_does_not_see_its_earlier_attempts(opened: Open) -> None:
    store = owned(opened)
    closed = [Closed(item(1).id, b"{}", START)]
    store.commit([Write(HOME, 1, taken=[item(1)], began=[entry(item(1), ended=START + 1)], closed=closed)])
    again = item(1, redrive=1)
    store.commit([Write(HOME, 1, taken=[again], began=[entry(again, started=START + 5)])])
    found = store.acquire(HOME, "x", 0.0)
    assert [one.redrive for one in found.items[0].entries] == [1]
    assert [one.redrive for one in found.recent] == [0, 1]


def test_an_open_item_is_not_replaced(opened: Open) -> None:
    store = owned(opened, HOME, OTHER)
    store.commit([Write(HOME, 1, taken=[item(1)])])
    store.commit([Write(OTHER, 1, taken=[item(1, home=OTHER, offset=9)])])
    assert store.acquire(HOME, "x", 0.0).items == [item(1)]
    assert store.acquire(OTHER, "x", 0.0).items == []


def test_an_attempt_begins_once(opened: Open) -> None:
    store = owned(opened)
    store.commit([Write(HOME, 1, taken=[item(1)], began=[entry(item(1))])])
    with pytest.raises(StoreFailure):
        store.commit([Write(HOME, 1, offset=9, began=[entry(item(1))])])
    assert store.acquire(HOME, "x", 0.0).offset is None


# ---- pruning and life


def test_prune_forgets_old_ends_in_portions_and_nothing_open(opened: Open) -> None:
    store = owned(opened)
    items = [item(n) for n in range(1, 6)]
    write = Write(HOME, 1, taken=items, began=[entry(one) for one in items])
    write.closed = [Closed(one.id, b"{}", START + one.offset) for one in items[:4]]
    store.commit([write])
    assert store.prune(START + 4, 2) == 2
    assert store.prune(START + 4, 2) == 1
    assert store.prune(START + 4, 2) == 0
    assert store.known([one.id for one in items]).keys() == {items[3].id, items[4].id}
    assert [one.item for one in store.acquire(HOME, "x", 0.0).recent] == [items[3].id, items[4].id]


def test_check_is_silent_while_the_store_answers(opened: Open) -> None:
    opened().check()


# ---- SQLite alone


def test_two_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from andon.store.desk import SqlDeskStore; from andon.core.event import Home\n"
        "store = SqlDeskStore(sys.argv[1], 'desk'); print(store.acquire(Home('t', 0), 'x', 0.0).epoch); store.close()"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(one.communicate(timeout=30)[0].strip() for one in running) == ["1", "2", "3"]


def test_two_writers_on_one_file_lose_nothing(tmp_path: Path) -> None:
    stores = [SqlDeskStore(f"sqlite:///{tmp_path}", "desk") for _ in range(2)]
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


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, sys; from andon.store.desk import SqlDeskStore; from andon.core.work import Write\n"
        "from tests.unit.desk.items import HOME, item\n"
        "store = SqlDeskStore(sys.argv[1], 'desk'); store.acquire(HOME, 'x', 0.0)\n"
        "store.commit([Write(HOME, 1, offset=2, taken=[item(1)])]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, f"sqlite:///{tmp_path}"], check=False, timeout=30)
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    found = store.acquire(HOME, "x", 0.0)
    assert (found.epoch, found.offset, found.items) == (2, 2, [item(1)])
    store.close()


def test_a_full_disk_is_a_store_failure_and_applies_nothing(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    store.acquire(HOME, "x", 0.0)
    with store._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count={pages + 8}")
    big = [item(n, body=b"x" * 4_000) for n in range(1, 100)]
    with pytest.raises(StoreFailure, match="full"):
        store.commit([Write(HOME, 1, offset=100, taken=big)])
    store.close()
    after = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    found = after.acquire(HOME, "x", 0.0)
    assert (found.offset, found.items) == (None, [])
    after.close()


def test_a_file_that_is_no_database_is_a_store_failure(tmp_path: Path) -> None:
    (tmp_path / "desk.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreFailure, match="desk cannot be opened"):
        SqlDeskStore(f"sqlite:///{tmp_path}", "desk")


def test_a_folder_that_cannot_be_made_is_a_store_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailure, match="desk cannot be opened"):
        SqlDeskStore(f"sqlite:///{tmp_path / 'file' / 'store'}", "desk")


def test_a_store_that_became_read_only_is_a_store_failure(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    store.acquire(HOME, "x", 0.0)
    with store._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreFailure, match="readonly"):
        store.commit([Write(HOME, 1, offset=1)])
    store.close()


def test_another_schema_version_is_refused_by_number(tmp_path: Path) -> None:
    SqlDeskStore(f"sqlite:///{tmp_path}", "desk").close()
    with sqlite3.connect(tmp_path / "desk.sqlite") as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    with pytest.raises(StoreFailure, match="has schema 99, this version needs"):
        SqlDeskStore(f"sqlite:///{tmp_path}", "desk")


def test_every_commit_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    with store._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        settings = [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]
    store.close()


def test_an_unknown_driver_is_a_store_failure_that_shows_no_address() -> None:
    with pytest.raises(StoreFailure) as failure:
        SqlDeskStore("nosuch://user:hidden@host/db", "desk")
    assert "hidden" not in str(failure.value)


def test_a_failing_memory_store_fails_in_every_method() -> None:
    store = MemoryDeskStore()
    store.failure = StoreFailure("gone")
    for use in (
        lambda: store.acquire(HOME, "x", 0.0),
        lambda: store.known([]),
        lambda: store.commit([]),
        lambda: store.prune(0.0, 1),
        store.check,
    ):
        with pytest.raises(StoreFailure, match="gone"):
            use()
