"""A look into a desk's store from outside: it takes no lease, changes nothing, and works while the desk runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, create_engine, event, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from andon.core.event import Home
from andon.core.outcome import Outcome
from andon.core.work import Entry, StoreFailure
from andon.store import ledger, moved
from andon.store.database import plain
from andon.store.postgresql import postgres_engine
from andon.store.sqlite import file_of
from andon.store.tables import attempt, item, memo

_outcome: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Outcome)


class Kept(msgspec.Struct, frozen=True):
    """An item as it stands in the store, with its attempts. `home` and `offset` are where its record stands,
    `outcome` and `closed` are None while it is open."""

    id: UUID
    home: Home
    offset: int
    queue: str
    due: float
    redrive: int
    part: int
    outcome: Outcome | None
    closed: float | None
    entries: tuple[Entry, ...]


class Lookup:
    """One desk's database, read only. Every method is one transaction and raises StoreFailure."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    def items(self, ids: Iterable[UUID]) -> dict[UUID, Kept]:
        """Those of these items the store has."""
        wanted = [one.bytes for one in ids]
        with self._reading() as connection:
            found = connection.execute(select(item).where(item.c.id.in_(wanted))).mappings().all()
            entries: dict[UUID, list[Entry]] = {}
            order = (attempt.c.redrive, attempt.c.hop, attempt.c.number)
            for entry in ledger.read(connection, attempt.c.item.in_(wanted), order):
                entries.setdefault(entry.item, []).append(entry)
            stood = moved.records(connection, (row["id"] for row in found if row["offset"] < 0))
        kept = [_kept(row, entries.get(UUID(bytes=row["id"]), []), stood.get(row["id"])) for row in found]
        return {one.id: one for one in kept}

    def memo(self, home: Home, key: str) -> bytes | None:
        """What the desk remembers under a key of a home."""
        where = (memo.c.topic == home.topic) & (memo.c.partition == home.partition) & (memo.c.key == key)
        with self._reading() as connection:
            return connection.execute(select(memo.c.body).where(where)).scalar()

    def offsets(self, topic: str) -> dict[Home, int]:
        """Where the desk reads on, for each partition of which it has taken anything in."""
        with self._reading() as connection:
            return moved.offsets(connection, topic)

    def is_there(self) -> bool:
        """Whether the desk has ever had a store here."""
        with self._reading() as connection:
            return inspect(connection).has_table(item.name)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreFailure(f"the store {self._name} cannot be read: {plain(error)}") from None


def look_into(url: str, name: str) -> Lookup | None:
    """The store of the desk `name` under the store's URL; None when it is not there. Raises StoreFailure."""
    if not url.startswith("sqlite:"):
        return _in_postgresql(url, name)
    file = file_of(url, name)
    if not file.is_file():
        return None
    address = f"sqlite:///file:{file.absolute().as_uri().removeprefix('file://')}?mode=ro&uri=true"
    engine = create_engine(address, connect_args={"timeout": 5.0})
    event.listen(engine, "begin", _begin)
    return Lookup(engine, name)


def _begin(connection: Connection) -> None:
    """Or each statement would see the store at another moment: the driver begins nothing for one that reads."""
    connection.exec_driver_sql("BEGIN")


def _in_postgresql(url: str, name: str) -> Lookup | None:
    try:
        found = Lookup(postgres_engine(url, name, looking=True), name)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise StoreFailure(f"the store {name} cannot be read: {plain(error)}") from None
    try:
        there = found.is_there()
    except StoreFailure:
        found.close()
        raise
    if there:
        return found
    found.close()
    return None


def _kept(row: RowMapping, entries: list[Entry], stood: tuple[int, int] | None) -> Kept:
    partition, offset = stood or (row["partition"], row["offset"])
    return Kept(
        id=UUID(bytes=row["id"]),
        home=Home(row["topic"], partition),
        offset=offset,
        queue=row["queue"],
        due=row["due"],
        redrive=row["redrive"],
        part=row["part"],
        outcome=_outcome.decode(row["outcome"]) if row["outcome"] else None,
        closed=row["closed_at"],
        entries=tuple(entries),
    )
