"""What the judge calls a violation when a desk ends and its calls come again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine

from andon.store.tables import metadata
from tests.rig.record import MARK, RESULT_S, STORE_S, Closed, Move, Record
from tests.rig.topics import DELIVERIES, OUTCOMES, Stored, Topics
from tests.rig.verdict import Case, judge
from tests.rig.watch import look_at

OLD, NEW = 100, 200
KILLED = 1_000.0


class Run:
    """One delivery: the old desk calls, is killed at 1000, and the new one calls again or does not."""

    def __init__(self, folder: Path) -> None:
        self.delivery, self.other = str(uuid4()), str(uuid4())
        self.closed = Closed()
        self.moves: list[Move] = []
        self._file = folder / "sink.jsonl"
        self._lines: list[dict[str, object]] = []

    def call(self, pid: int, at: float, answered: float | None, *, marked: bool = False, receiver: str = "r1") -> None:
        number = len(self._lines)
        text = f"{MARK if marked else ''}one|e-1|{receiver}|1|0"
        call = {"what": "got", "call": number, "connection": pid, "pid": pid, "at": at, "text": text}
        self._lines += [call, {"what": "told" if answered else "cut", "call": number, "at": answered or KILLED}]

    def violations(self) -> list[str]:
        """Those about effects."""
        self._lines.append({"what": "gone", "connection": OLD, "at": KILLED + 0.01})
        self._file.write_text("".join(f"{json.dumps(line)}\n" for line in self._lines))
        topics = Topics("nowhere")
        topics.records[DELIVERIES] = [
            stored(DELIVERIES, id=number, event={"id": "e-1"}, receiver=receiver)
            for number, receiver in ((self.delivery, "r1"), (self.other, "r2"))
        ]
        end = {"delivery": self.delivery, "outcome": {"outcome": "delivered"}}
        topics.records[OUTCOMES] = [stored(OUTCOMES, id="o", event="e-1", receiver="r1", **end)]
        found = judge(Case("e-", [], topics, Record(self._file, moves=self.moves, closed=self.closed)), {})
        return [one for one in found.violations if "I2" in one]


def stored(topic: str, **value: object) -> Stored:
    return Stored(topic, 0, 0, b"", json.dumps(value).encode(), {})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_an_answer_that_was_not_stored_may_come_again_with_its_mark(run: Run) -> None:
    run.call(OLD, 996.0, 996.1)
    run.closed.seen([], KILLED + 0.05, OLD)
    run.call(NEW, 1_002.0, 1_002.1, marked=True)
    run.closed.seen([run.delivery], 1_010.0, NEW)
    assert not run.violations(), "its commit may have stood still for 4 s"


def test_nothing_comes_again_without_its_mark(run: Run) -> None:
    run.call(OLD, 999.0, None)
    run.call(NEW, 1_002.0, 1_002.1)
    (found,) = run.violations()
    assert "without its mark" in found


def test_what_stood_closed_when_its_desk_ended_never_comes_again(run: Run) -> None:
    run.call(OLD, 999.98, 999.99)
    run.closed.seen([run.delivery], KILLED + 0.05, OLD)
    run.call(NEW, 1_002.0, 1_002.1, marked=True)
    answered, late = run.violations()
    assert "was answered and came again" in answered, "not 10 ms excuse it"
    assert "stood closed in the store" in late


def test_an_unanswered_call_of_what_stood_closed_is_no_excuse_either(run: Run) -> None:
    """As after a resend that was answered and stored, or one that was given up and parked."""
    run.call(OLD, 980.0, None)
    run.closed.seen([run.delivery], KILLED + 0.05, OLD)
    run.call(NEW, 1_002.0, 1_002.1, marked=True)
    (late,) = run.violations()
    assert "stood closed in the store" in late


def test_a_first_effect_after_the_end_is_one_too_many(run: Run) -> None:
    run.closed.seen([run.delivery], KILLED + 0.05, OLD)
    run.call(NEW, 1_002.0, 1_002.1)
    (late,) = run.violations()
    assert "stood closed in the store" in late


def test_results_are_stored_within_reasonable_time(run: Run) -> None:
    """Whatever the store says: what nobody wrote down is not excused for ever."""
    run.call(OLD, KILLED - STORE_S - 1.1, KILLED - STORE_S - 1.0)
    run.closed.seen([], KILLED + 0.05, OLD)
    run.call(NEW, 1_002.0, 1_002.1, marked=True)
    (answered,) = run.violations()
    assert "was answered and came again" in answered


def test_a_store_that_stood_still_until_the_end_kept_every_result_back(run: Run) -> None:
    run.call(OLD, KILLED - RESULT_S - 1.1, KILLED - RESULT_S - 1.0)
    run.call(OLD, KILLED - 5.0, KILLED - 4.9, receiver="r2")
    run.closed.seen([], KILLED + 0.05, OLD)
    run.call(NEW, 1_002.0, 1_002.1, marked=True)
    run.call(NEW, 1_002.2, 1_002.3, marked=True, receiver="r2")
    run.closed.seen([run.delivery, run.other], 1_010.0)
    assert not run.violations()


@pytest.mark.parametrize("alone", [True, False])
def test_who_stored_a_later_answer_had_stored_the_one_before(run: Run, alone: bool) -> None:
    run.call(OLD, KILLED - RESULT_S - 1.1, KILLED - RESULT_S - 1.0)
    run.call(OLD, KILLED - 5.0, KILLED - 4.9, receiver="r2")
    if alone:
        run.closed.seen([run.other], KILLED + 0.05, OLD)
    else:
        run.closed.seen([run.other], KILLED - 1.0)
    run.call(NEW, 1_002.0, 1_002.1, marked=True)
    (answered,) = run.violations()
    assert "was answered and came again" in answered


@pytest.mark.parametrize("well", [True, False])
def test_a_lease_that_moves_takes_with_it_only_what_the_store_kept_back(run: Run, well: bool) -> None:
    moved = KILLED - 2.0
    run.moves.append(Move(0, moved - 0.1, moved))
    run.call(OLD, moved - RESULT_S - 1.1, moved - RESULT_S - 1.0)
    run.call(OLD, moved - 4.0, moved - 3.9, receiver="r2")
    run.closed.seen([run.other] if well else [], moved + 0.1)
    run.call(NEW, moved + 0.2, moved + 0.3, marked=True)
    run.closed.seen([run.delivery, run.other], KILLED + 5.0, OLD)
    assert len(run.violations()) == well


def test_what_another_desk_stored_later_says_nothing_of_the_one_that_ended(run: Run) -> None:
    run.call(OLD, 999.0, 999.1)
    run.call(NEW, 1_000.5, 1_000.6, marked=True)
    run.closed.seen([run.delivery], 1_001.0)  # a look at a time when the new one was there already
    assert not run.violations()


def test_a_look_at_a_store_sees_what_is_closed_and_when_it_was_first(tmp_path: Path) -> None:
    store, closed = tmp_path / "egress.sqlite", Closed()
    look_at(store, closed, OLD)
    assert not closed.after, "there is no store to look at"
    engine = create_engine(f"sqlite:///{store}")
    metadata.create_all(engine)
    engine.dispose()
    ids = [uuid4(), uuid4()]
    with closing(sqlite3.connect(store)) as database:
        put(database, ids[0], 5.0)
        put(database, ids[1], None)
        look_at(store, closed, OLD)
        first = closed.after[OLD]
        assert closed.first == {str(ids[0]): first}
        database.execute("update item set closed_at = 6.0")
        database.commit()
        look_at(store, closed, NEW)
    assert closed.first == {str(ids[0]): first, str(ids[1]): closed.after[NEW]}
    assert closed.since([str(ids[1]), str(ids[0])]) == first < closed.after[NEW]


def put(database: sqlite3.Connection, number: UUID, closed_at: float | None) -> None:
    """An item of the present schema, which may have more columns one day."""
    columns = database.execute("select name, type from pragma_table_info('item') where \"notnull\"").fetchall()
    row = {name: b"" if kind == "BLOB" else 0 for name, kind in columns} | {"id": number.bytes, "closed_at": closed_at}
    names = ", ".join(f'"{name}"' for name in row)
    database.execute(f"insert into item ({names}) values ({', '.join('?' * len(row))})", list(row.values()))
    database.commit()
