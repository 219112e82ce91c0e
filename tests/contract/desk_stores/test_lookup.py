"""A look into a desk's store from outside, while the desk runs: `andon trace`, `andon topics offsets --restore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete

from andon.cli.asking.stores import stores
from andon.core.event import Home
from andon.core.outcome import Delivered, Evidence, Outcome
from andon.core.reason import Reason
from andon.core.work import Closed, Entry, StoreFailure, Write
from andon.store import ledger
from andon.store.desk import SqlDeskStore
from andon.store.lookup import look_into
from andon.store.tables import item as items
from tests.contract.desk_stores.conftest import entry
from tests.rig.postgres import PASSWORD, Postgres
from tests.unit.desk.items import HOME, OTHER, START, item

OUTCOME: Outcome = Delivered(Evidence.VENDOR_ACCEPTED)


def test_what_the_desk_keeps_is_seen_while_it_runs(url: str) -> None:
    with closing(SqlDeskStore(url, "desk")) as store:
        store.acquire(HOME, "x", 0.0)
        store.acquire(OTHER, "x", 0.0)
        done, waiting = item(1), item(2)
        ended = msgspec.structs.replace(entry(done), ended=START + 1, reason=Reason.DELIVERED)
        write = Write(HOME, 1, offset=3, taken=[done, waiting], began=[ended], memos={"a\0b": b"m"})
        write.closed = [Closed(done.id, msgspec.json.encode(OUTCOME), START + 2)]
        store.commit([write])
        found = look_into(url, "desk")
        assert found is not None
        with closing(found):
            kept = found.items([done.id, waiting.id])
            assert (kept[done.id].outcome, kept[done.id].closed, kept[done.id].entries) == (
                OUTCOME,
                START + 2,
                (ended,),
            )
            assert (kept[waiting.id].outcome, kept[waiting.id].entries) == (None, ())
            assert found.memo(HOME, "a\0b") == b"m"
            assert found.offsets(HOME.topic) == {Home(HOME.topic, HOME.partition): 3}


def test_all_of_a_look_is_of_one_moment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqlDeskStore(url, "desk")) as store:
        store.acquire(HOME, "x", 0.0)
        one, read = item(1), ledger.read
        store.commit([Write(HOME, 1, offset=2, taken=[one])])

        def later(*wanted: Any) -> Iterator[Entry]:
            store.commit([Write(HOME, 1, began=[entry(one)], closed=[Closed(one.id, b"{}", START)])])
            return read(*wanted)

        monkeypatch.setattr(ledger, "read", later)
        found = look_into(url, "desk")
        assert found is not None
        with closing(found):
            kept = found.items([one.id])[one.id]
            assert (kept.closed, kept.entries) == (None, ())


def test_a_look_changes_nothing(url: str) -> None:
    with closing(SqlDeskStore(url, "desk")) as store:
        store.acquire(HOME, "x", 0.0)
        found = look_into(url, "desk")
        assert found is not None
        with closing(found):
            with pytest.raises(StoreFailure, match=r"read-?only"), found._reading() as connection:
                connection.execute(delete(items))
            assert store.acquire(HOME, "x", 0.0).epoch == 2


def test_a_store_that_is_not_there_is_none_and_is_not_made(url: str) -> None:
    assert look_into(url, "desk") is None
    assert look_into(url, "desk") is None


def test_a_trace_goes_on_without_an_index_that_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As without the right to write beside one, which a door has left that is not run any more."""
    (tmp_path / "requests-0.sqlite").touch()
    (tmp_path / "requests-1.sqlite").write_text("no database", encoding="utf-8")
    with ExitStack() as stack:
        indexes, *_ = stores(f"sqlite:///{tmp_path / 'nowhere'}", tmp_path, stack)
        assert len(indexes) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"andon: the index of accepted requests {tmp_path / 'requests-1.sqlite'} cannot be used: ")


def test_a_trace_goes_on_without_a_database_that_is_away(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requests-0.sqlite").touch()
    away = postgres.url("nowhere")
    with ExitStack() as stack:
        assert list(stores(away, tmp_path, stack))[1:] == [None, None]
    told = capsys.readouterr().err
    assert "andon: the store egress cannot be read: " in told
    assert 'database "nowhere" does not exist' in told
    assert PASSWORD not in told
