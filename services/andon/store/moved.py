"""Open work that a repartition has given to other homes, where the records of that work stand, and where a desk reads
on.

A topic grows to a multiple of its partitions, so all that one new partition holds comes from one old one. What moves
keeps its order, before everything that is taken in later: its offsets become negative, all by the same step. The
limiter's log and the memos move along with their keys, in the same transaction, and every lease counts on: who held
one before writes nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, func, select, update

from andon.core.event import Home
from andon.store.tables import attempt, item, lease, memo, outbox

_RECORDS = "moved"
"""The topic under which memos say where the record of an item stands: `partition:offset` under the item's id."""
_MANY = 500


class Keys(Protocol):
    """How a desk's work is found again by the keys of its topic."""

    domains: bool
    """Whether the key is the limit domain, so that the whole log of a domain goes with it."""

    def of_item(self, domain: str, lane: str, body: bytes, memos: Mapping[str, bytes], /) -> bytes:
        """The key of an open item's record; `memos` are those of its home."""

    def of_memo(self, body: bytes, /) -> bytes:
        """The key of the records that a memo is about."""


def records(connection: Connection, ids: Iterable[bytes]) -> dict[bytes, tuple[int, int]]:
    """Item id → partition and offset of its record, for those that were moved."""
    wanted = [one.hex() for one in ids]
    found: dict[bytes, tuple[int, int]] = {}
    for start in range(0, len(wanted), _MANY):
        chosen = (memo.c.topic == _RECORDS) & memo.c.key.in_(wanted[start : start + _MANY])
        for row in connection.execute(select(memo.c.key, memo.c.body).where(chosen)):
            partition, _, offset = row.body.decode().partition(":")
            found[bytes.fromhex(row.key)] = (int(partition), int(offset))
    return found


def forget(connection: Connection, ids: Sequence[bytes]) -> None:
    """Forgets where the records of these items stand."""
    for start in range(0, len(ids), _MANY):
        keys = [one.hex() for one in ids[start : start + _MANY]]
        connection.execute(memo.delete().where((memo.c.topic == _RECORDS) & memo.c.key.in_(keys)))


def unpublished(connection: Connection, topic: str) -> int:
    """How many records of the desk wait to be published."""
    return int(connection.execute(select(func.count()).where(outbox.c.topic == topic)).scalar_one())


def offsets(connection: Connection, topic: str) -> dict[Home, int]:
    """Where the desk reads on, for each partition of which it has taken anything in."""
    where = (lease.c.topic == topic) & lease.c.offset.is_not(None)
    found = connection.execute(select(lease.c.partition, lease.c.offset).where(where)).all()
    return {Home(topic, row.partition): row.offset for row in found}


def read_on(homes: Mapping[Home, int], connection: Connection) -> None:
    """Sets where the desk reads on; who held a lease before writes nothing any more."""
    rows = [{"t": home.topic, "p": home.partition, "o": offset} for home, offset in homes.items()]
    where = (lease.c.topic == bindparam("t")) & (lease.c.partition == bindparam("p"))
    _each(connection, update(lease).where(where).values(offset=bindparam("o"), epoch=lease.c.epoch + 1), rows)


def move(topic: str, place: Callable[[bytes], int], keys: Keys, connection: Connection) -> int:
    """Gives everything open to the homes in which `place` says that its keys live; how many items changed theirs.

    Done again it changes nothing more.
    """
    kept = _memos(connection, topic)
    moving = list(_moving(connection, topic, place, keys, kept))
    last = connection.execute(select(func.max(item.c.offset)).where(_open(topic))).scalar() or 0
    _move_items(connection, topic, moving, last + 1)
    gone = [
        {"p": partition, "k": key, "to": to}
        for partition, memos in kept.items()
        for key, body in memos.items()
        if (to := place(keys.of_memo(body))) != partition
    ]
    where = (memo.c.topic == topic) & (memo.c.partition == bindparam("p")) & (memo.c.key == bindparam("k"))
    _each(connection, update(memo).where(where).values(partition=bindparam("to")), gone)
    if keys.domains:
        told = connection.execute(select(attempt.c.domain).where(attempt.c.topic == topic).distinct()).scalars()
        homes = [{"d": domain, "to": place(domain.encode())} for domain in told.all()]
        of = (attempt.c.topic == topic) & (attempt.c.domain == bindparam("d"))
        _each(connection, update(attempt).where(of).values(partition=bindparam("to")), homes)
    connection.execute(update(lease).where(lease.c.topic == topic).values(epoch=lease.c.epoch + 1))
    return len(moving)


def _open(topic: str) -> Any:
    return (item.c.topic == topic) & item.c.closed_at.is_(None)


def _memos(connection: Connection, topic: str) -> dict[int, dict[str, bytes]]:
    found = connection.execute(
        select(memo.c.partition, memo.c.key, memo.c.body).where(memo.c.topic == topic).order_by(memo.c.partition)
    )
    return {partition: {row.key: row.body for row in rows} for partition, rows in groupby(found, lambda r: r.partition)}


def _moving(
    connection: Connection, topic: str, place: Callable[[bytes], int], keys: Keys, memos: Mapping[int, dict[str, bytes]]
) -> Iterator[dict[str, Any]]:
    columns = (item.c.id, item.c.partition, item.c.offset, item.c.domain, item.c.lane, item.c.body)
    for row in connection.execute(select(*columns).where(_open(topic))):
        to = place(keys.of_item(row.domain, row.lane, row.body, memos.get(row.partition, {})))
        if to != row.partition:
            yield {"i": row.id, "to": to, "partition": row.partition, "offset": row.offset}


def _move_items(connection: Connection, topic: str, moving: list[dict[str, Any]], step: int) -> None:
    first = [one for one in moving if one["offset"] >= 0]  # what was moved before has its place kept already
    stood = [
        {"topic": _RECORDS, "partition": 0, "key": one["i"].hex(), "body": b"%d:%d" % (one["partition"], one["offset"])}
        for one in first
    ]
    forget(connection, [one["i"] for one in first])  # of an earlier life of the item, before it was redriven
    _each(connection, memo.insert(), stood)
    changes = [{"i": one["i"], "to": one["to"], "o": one["offset"] - step} for one in moving]
    placed = update(item).where(item.c.id == bindparam("i"))
    _each(connection, placed.values(partition=bindparam("to"), offset=bindparam("o")), changes)
    tried = update(attempt).where((attempt.c.topic == topic) & (attempt.c.item == bindparam("i")))
    _each(connection, tried.values(partition=bindparam("to")), [{"i": c["i"], "to": c["to"]} for c in changes])


def _each(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)
