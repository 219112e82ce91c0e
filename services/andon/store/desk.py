"""A desk's open work in a database (core.work.DeskStore)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, select, text

from andon.core.digest import Digest
from andon.core.event import Home
from andon.core.reason import Reason
from andon.core.stored import Stored
from andon.core.work import LOWERED_S, Closed, Entry, Holding, Item, Known, Note, Write
from andon.store import ledger, moved
from andon.store.database import Database
from andon.store.rows import Rows
from andon.store.tables import LASTING, LASTING_S, attempt, item, lease, memo, outbox
from andon.store.vault import SqlVault

_CHANGING = ("due", "redrive", "hop", "part", "parts", "carried", "marked", "expires")
_REDRIVEN = tuple(column.name for column in item.columns if column.name != "id")
_RESULT = ("ended", "reason", "ambiguous", "until", "reach", "reference")
_headers = msgspec.json.Decoder(tuple[tuple[str, bytes], ...])
_carried = Stored(Digest)
_encode = msgspec.json.encode
_TAKE = text(
    'INSERT INTO "lease" ("topic", "partition", "epoch", "owner") VALUES (:topic, :partition, 1, :owner) '
    'ON CONFLICT ("topic", "partition") DO UPDATE SET "epoch" = "lease"."epoch" + 1, "owner" = excluded."owner" '
    'RETURNING "epoch", "offset"'
)
_FORGET = 'DELETE FROM "outbox" WHERE "topic"=? AND "partition"=? AND "id"<=?'


class SqlDeskStore:
    """One desk's database; shared by all processes of the desk on this host (SQLite) or on several (PostgreSQL)."""

    def __init__(self, url: str, name: str) -> None:
        self._database = Database(url, name)

    def vault(self) -> SqlVault:
        """What the desk's processes share beside its work; it ends with the store."""
        return SqlVault(self._database)

    def acquire(self, home: Home, owner: str, since: float, people: float | None = None) -> Holding:
        # What it holds is read once the lease is ours: from then on nobody else changes it, and a busy home has so many
        # attempts that every process of the desk would stand still behind one that read them under the write lock.
        epoch, offset = self._database.run(partial(self._lease, home, owner))
        return self._database.look(partial(self._held, home, epoch, offset, since, people))

    def _held(
        self, home: Home, epoch: int, offset: int | None, since: float, people: float | None, connection: Connection
    ) -> Holding:
        items = {found.id: found for found in self._open(connection, home)}
        elsewhere = moved.records(connection, (one.id.bytes for one in items.values() if one.offset < 0))
        for id_, record in elsewhere.items():
            items[UUID(bytes=id_)].moved = record
        recent = self._entries(connection, home, since, people)
        for entry in recent:
            found = items.get(entry.item)
            if found is not None and (found.redrive, found.hop) == (entry.redrive, entry.hop):
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

    def _lease(self, home: Home, owner: str, connection: Connection) -> tuple[int, int | None]:
        """Counted up in one statement: two who want the same lease wait for each other, also for one that is new."""
        values = {"topic": home.topic, "partition": home.partition, "owner": owner}
        held = connection.execute(_TAKE, values).one()
        return held.epoch, held.offset

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
                batch=row.batch,
                expires=inf if row.expires is None else row.expires,
            )

    def _entries(self, connection: Connection, home: Home, since: float, people: float | None) -> list[Entry]:
        wanted = [_of(item, home) & item.c.closed_at.is_(None)]
        wanted += (_of(attempt, home) & counts for counts in _counts(since))
        if people is not None and people < since:
            reached = _of(attempt, home) & attempt.c.reach.is_not(None)
            wanted += (reached & counts for counts in _counts(people))
        # One query each: for an `or` of them a database goes through the whole ledger, which is kept for weeks.
        read = (one for each in wanted for one in ledger.read(connection, each))
        found = {one.key: one for one in read if one.home == home}
        return sorted(found.values(), key=lambda one: (one.started, one.number))

    def known(self, ids: Iterable[UUID]) -> Mapping[UUID, Known]:
        wanted = [(one.bytes,) for one in ids]
        columns = ("id", "content", "redrive", "closed_at", "hop")
        found = self._database.rows(lambda by: by.select(item, columns, ("id",), wanted)) if wanted else []
        return {
            UUID(bytes=id_): Known(content, redrive, end is not None, hop) for id_, content, redrive, end, hop in found
        }

    def commit(self, writes: Sequence[Write]) -> set[tuple[Home, int]]:
        return self._database.rows(partial(self._commit, writes))

    def _commit(self, writes: Sequence[Write], by: Rows) -> set[tuple[Home, int]]:
        moved = self._moved(by, {(write.home, write.epoch) for write in writes})
        self._apply(by, [write for write in writes if (write.home, write.epoch) not in moved])
        return moved

    def _moved(self, by: Rows, held: set[tuple[Home, int]]) -> set[tuple[Home, int]]:
        homes = {(home.topic, home.partition) for home, _ in held}
        found = by.select(lease, ("topic", "partition", "epoch"), ("topic", "partition"), homes, lock=True)
        now = {Home(topic, partition): epoch for topic, partition, epoch in found}
        return {(home, epoch) for home, epoch in held if now.get(home) != epoch}

    def _apply(self, by: Rows, writes: Sequence[Write]) -> None:
        offsets = {w.home: w.offset for w in writes if w.offset is not None}
        moved_on = ((home.topic, home.partition, offset) for home, offset in offsets.items())
        by.update(lease, ("topic", "partition"), ("offset",), moved_on)
        # A redriven item takes the place of its closed self. An open one stays: should two processes take in the same
        # id at one moment, the second one's first intent fails. In one order, so that neither waits for the other.
        taken: dict[UUID, Item] = {}
        for one in (one for w in writes for one in w.taken):
            taken.setdefault(one.id, one)
        rows = (_item_row(taken[which]) for which in sorted(taken))
        by.insert(item, rows, update=_REDRIVEN, only='"item"."closed_at" IS NOT NULL')
        by.insert(attempt, (_entry_row(one) for w in writes for one in w.began))
        # Twice in one commit only the last state counts; PostgreSQL refuses to touch a row twice.
        ended = {one.key: one for w in writes for one in w.ended}
        by.insert(attempt, map(_entry_row, ended.values()), update=_RESULT)
        changed = {one.id: one for w in writes for one in w.changed}
        by.update(item, ("id",), _CHANGING, map(_changed_row, changed.values()))
        closed = {one.id: one for w in writes for one in w.closed}
        by.update(item, ("id",), ("outcome", "closed_at", "body"), map(_closed_row, closed.values()))
        memos = {(w.home, key): body for w in writes for key, body in w.memos.items()}
        by.insert(memo, ((h.topic, h.partition, key, b) for (h, key), b in memos.items() if b), update=("body",))
        forgotten = ((h.topic, h.partition, key) for (h, key), b in memos.items() if not b)
        by.delete(memo, ("topic", "partition", "key"), forgotten)
        by.insert(outbox, (_note_row(w.home, n, note) for w in writes for n, note in w.notes))
        published = {w.home: w.published for w in writes if w.published is not None}
        for home, last in published.items():
            by.run(_FORGET, (home.topic, home.partition, last))

    def prune(self, before: float, most: int) -> int:
        return self._database.run(partial(self._prune, before, most))

    def _prune(self, before: float, most: int, connection: Connection) -> int:
        # What another process prunes or opens again just now is left to it.
        wanted = select(item.c.id).where(item.c.closed_at < before).limit(most).with_for_update(skip_locked=True)
        old = connection.execute(wanted).scalars().all()
        connection.execute(delete(attempt).where(attempt.c.item.in_(old)))
        connection.execute(delete(item).where(item.c.id.in_(old)))
        moved.forget(connection, old)
        return len(old)

    def check(self) -> None:
        self._database.run(lambda connection: connection.execute(select(lease.c.epoch).limit(1)).first())

    def close(self) -> None:
        self._database.close()


def _of(table: Table, home: Home) -> ColumnElement[bool]:
    return (table.c.topic == home.topic) & (table.c.partition == home.partition)


def _counts(since: float) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What counts after `since`: of the attempts that began lately, and of those that last. Each has an index."""
    lowers = (attempt.c.reason == str(Reason.THROTTLED)) & (attempt.c.ended > since - LOWERED_S)
    counts = (attempt.c.started > since) | (attempt.c.ended > since) | (attempt.c.until > since) | lowers
    return (attempt.c.started > since - LOWERED_S - LASTING_S) & counts, LASTING & counts


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
        one.batch,
        _expires(one),
    )


def _changed_row(one: Item) -> tuple[Any, ...]:
    carried = _encode(one.carried) if one.carried else None
    return (one.id.bytes, one.due, one.redrive, one.hop, one.part, one.parts, carried, one.marked, _expires(one))


def _expires(one: Item) -> float | None:
    return None if one.expires == inf else one.expires


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
        None if one.reach is None else _encode(one.reach),
        one.reference or None,
    )


def _note_row(home: Home, number: int, note: Note) -> tuple[Any, ...]:
    return (home.topic, home.partition, number, note.topic, note.key, note.value, _encode(note.headers))
