"""A desk's open work in a database (core.work.DeskStore)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from andon.core.digest import Digest
from andon.core.event import Home
from andon.core.work import Closed, Entry, Holding, Item, Known, Note, StoreFailure, Write
from andon.store import ledger, rows
from andon.store.database import open_database, plain
from andon.store.tables import attempt, item, lease, memo, outbox

_CHANGING = ("due", "redrive", "hop", "part", "parts", "carried", "marked")
_REDRIVEN = tuple(column.name for column in item.columns if column.name != "id")
_RESULT = ("ended", "reason", "ambiguous", "until")
_headers = msgspec.json.Decoder(tuple[tuple[str, bytes], ...])
_carried = msgspec.json.Decoder(Digest)
_encode = msgspec.json.encode


class SqlDeskStore:
    """One desk's database; shared by all processes of the desk on this host (SQLite) or on several (PostgreSQL)."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._engine: Engine = open_database(url, name)
        self._failures = (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except self._failures as error:
            raise StoreFailure(f"the store {self._name} failed: {plain(error)}") from None

    def acquire(self, home: Home, owner: str, since: float) -> Holding:
        with self._transaction() as connection:
            epoch, offset = self._lease(connection, home, owner)
            items = {found.id: found for found in self._open(connection, home)}
            recent = list(self._entries(connection, home, since))
            for entry in recent:
                found = items.get(entry.item)
                if found is not None and found.redrive == entry.redrive:
                    found.entries.append(entry)
            memos = connection.execute(select(memo.c.key, memo.c.body).where(_of(memo, home))).all()
            notes = connection.execute(select(outbox).where(_of(outbox, home)).order_by(outbox.c.id)).all()
            return Holding(
                home,
                epoch,
                offset,
                list(items.values()),
                recent,
                {row.key: row.body for row in memos},
                [(n.id, Note(n.to_topic, n.key, n.value, _headers.decode(n.headers))) for n in notes],
            )

    def _lease(self, connection: Connection, home: Home, owner: str) -> tuple[int, int | None]:
        where = _of(lease, home)
        held = connection.execute(select(lease.c.epoch, lease.c.offset).where(where).with_for_update()).first()
        if held:
            connection.execute(update(lease).where(where).values(epoch=held.epoch + 1, owner=owner))
            return held.epoch + 1, held.offset
        values = {"topic": home.topic, "partition": home.partition, "epoch": 1, "owner": owner}
        connection.execute(lease.insert().values(**values))
        return 1, None

    def _open(self, connection: Connection, home: Home) -> Iterator[Item]:
        columns = [column for column in item.columns if column.name not in ("outcome", "closed_at")]
        is_open = _of(item, home) & item.c.closed_at.is_(None)
        for row in connection.execute(select(*columns).where(is_open).order_by(item.c.offset)):
            yield Item(
                id=UUID(bytes=row.id),
                home=home,
                offset=row.offset,
                queue=row.queue,
                domain=row.domain,
                lane=row.lane,
                content=row.content,
                born=row.born,
                body=row.body,
                urgent=bool(row.urgent),
                group=row.merge,
                due=row.due,
                redrive=row.redrive,
                hop=row.hop,
                part=row.part,
                parts=row.parts,
                carried=_carried.decode(row.carried) if row.carried else None,
                marked=bool(row.marked),
            )

    def _entries(self, connection: Connection, home: Home, since: float) -> Iterator[Entry]:
        still_open = select(item.c.id).where(_of(item, home) & item.c.closed_at.is_(None)).correlate(None)
        wanted = _of(attempt, home) & ((attempt.c.started > since) | attempt.c.item.in_(still_open))
        return ledger.read(connection, wanted, (attempt.c.started, attempt.c.number))

    def known(self, ids: Iterable[UUID]) -> Mapping[UUID, Known]:
        columns = ("id", "content", "redrive", "closed_at")
        with self._transaction() as connection:
            found = rows.select(rows.driver(connection), item, columns, "id", (one.bytes for one in ids))
        return {UUID(bytes=id_): Known(content, redrive, end is not None) for id_, content, redrive, end in found}

    def commit(self, writes: Sequence[Write]) -> set[tuple[Home, int]]:
        with self._transaction() as connection:
            moved = self._moved(connection, {(write.home, write.epoch) for write in writes})
            valid = [write for write in writes if (write.home, write.epoch) not in moved]
            offsets = {write.home: write.offset for write in valid if write.offset is not None}
            for home, offset in offsets.items():
                connection.execute(update(lease).where(_of(lease, home)).values(offset=offset))
            self._apply(connection, valid)
        return moved

    def _moved(self, connection: Connection, held: set[tuple[Home, int]]) -> set[tuple[Home, int]]:
        # Locked until the end, where a database lets others write meanwhile (SQLite has one writer).
        lock = "" if connection.dialect.name == "sqlite" else " FOR UPDATE"
        topics = {home.topic for home, _ in held}
        found = rows.select(rows.driver(connection), lease, ("topic", "partition", "epoch"), "topic", topics, lock)
        now = {Home(topic, partition): epoch for topic, partition, epoch in found}
        return {(home, epoch) for home, epoch in held if now.get(home) != epoch}

    def _apply(self, connection: Connection, writes: Sequence[Write]) -> None:
        by = rows.driver(connection)
        # A redriven item takes the place of its closed self. An open one stays: should two processes take in the same
        # id at one moment, the second one's first intent fails.
        taken = (_item_row(one) for w in writes for one in w.taken)
        rows.insert(by, item, taken, update=_REDRIVEN, only='"item"."closed_at" IS NOT NULL')
        rows.insert(by, attempt, (_entry_row(one) for w in writes for one in w.began))
        rows.insert(by, attempt, (_entry_row(one) for w in writes for one in w.ended), update=_RESULT)
        # Twice in one commit only the last state of an item counts; PostgreSQL refuses to touch a row twice.
        changed = {one.id: one for w in writes for one in w.changed}
        rows.update(by, item, "id", _CHANGING, (_changed_row(one) for one in changed.values()))
        closed = (_closed_row(one) for w in writes for one in w.closed)
        rows.update(by, item, "id", ("outcome", "closed_at", "body"), closed)
        memos = {(w.home, key): body for w in writes for key, body in w.memos.items()}
        rows.insert(by, memo, ((h.topic, h.partition, key, b) for (h, key), b in memos.items()), update=("body",))
        rows.insert(by, outbox, (_note_row(w.home, n, note) for w in writes for n, note in w.notes))
        published = {w.home: w.published for w in writes if w.published is not None}
        for home, last in published.items():
            connection.execute(delete(outbox).where(_of(outbox, home) & (outbox.c.id <= last)))

    def prune(self, before: float, most: int) -> int:
        with self._transaction() as connection:
            old = connection.execute(select(item.c.id).where(item.c.closed_at < before).limit(most)).scalars().all()
            connection.execute(delete(attempt).where(attempt.c.item.in_(old)))
            connection.execute(delete(item).where(item.c.id.in_(old)))
        return len(old)

    def check(self) -> None:
        with self._transaction() as connection:
            connection.execute(select(lease.c.epoch).limit(1)).first()

    def close(self) -> None:
        self._engine.dispose()


def _of(table: Table, home: Home) -> ColumnElement[bool]:
    return (table.c.topic == home.topic) & (table.c.partition == home.partition)


def _item_row(one: Item) -> tuple[Any, ...]:
    return (
        one.id.bytes,
        one.home.topic,
        one.home.partition,
        one.offset,
        one.queue,
        one.domain,
        one.lane,
        one.content,
        one.born,
        one.body,
        one.urgent,
        one.group,
        one.due,
        one.redrive,
        one.hop,
        one.part,
        one.parts,
        _encode(one.carried) if one.carried else None,
        one.marked,
        None,
        None,
    )


def _changed_row(one: Item) -> tuple[Any, ...]:
    carried = _encode(one.carried) if one.carried else None
    return (one.id.bytes, one.due, one.redrive, one.hop, one.part, one.parts, carried, one.marked)


def _closed_row(one: Closed) -> tuple[Any, ...]:
    return (one.id.bytes, one.outcome, one.at, None)


def _entry_row(one: Entry) -> tuple[Any, ...]:
    return (
        one.item.bytes,
        one.redrive,
        one.hop,
        one.number,
        one.home.topic,
        one.home.partition,
        one.domain,
        one.line,
        one.part,
        one.epoch,
        one.started,
        one.marked,
        one.ended,
        str(one.reason),
        one.ambiguous,
        one.until,
    )


def _note_row(home: Home, number: int, note: Note) -> tuple[Any, ...]:
    return (home.topic, home.partition, number, note.topic, note.key, note.value, _encode(note.headers))
