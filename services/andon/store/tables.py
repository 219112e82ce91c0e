"""The tables of a desk. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 6


class Words(TypeDecorator[str]):
    """Text that others wrote. PostgreSQL keeps no NUL in a text; SQLite does."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return storable(value) if dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return _as_it_was(value) if dialect.name == "postgresql" else value


_MARK = "\ue000"  # of Unicode's private use: hardly ever written, and doubled where it is


def storable(value: str | None) -> str | None:
    """A text without NUL, from which the original can be had again."""
    if value is None or ("\0" not in value and _MARK not in value):
        return value
    return value.replace(_MARK, _MARK * 2).replace("\0", f"{_MARK}0")


def _as_it_was(value: str | None) -> str | None:
    if value is None or _MARK not in value:
        return value
    return f"{_MARK}".join(part.replace(f"{_MARK}0", "\0") for part in value.split(_MARK * 2))


metadata = MetaData()

schema = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

lease = Table(
    "lease",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("offset", BigInteger),
    PrimaryKeyConstraint("topic", "partition"),
)

item = Table(
    "item",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("queue", Words, nullable=False),
    Column("domain", Words, nullable=False),
    Column("lane", Words, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("born", Float, nullable=False),
    Column("body", LargeBinary),
    Column("urgent", Boolean, nullable=False),
    Column("merge", Words),
    Column("due", Float, nullable=False),
    Column("redrive", Integer, nullable=False),
    Column("hop", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("parts", LargeBinary),
    Column("carried", LargeBinary),
    Column("marked", Boolean, nullable=False),
    Column("outcome", LargeBinary),
    Column("closed_at", Float),
    Column("batch", Words),
    Column("expires", Float),
)
_OPEN, _CLOSED = text("closed_at IS NULL"), text("closed_at IS NOT NULL")
Index("item_open", item.c.topic, item.c.partition, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("item_closed", item.c.closed_at, sqlite_where=_CLOSED, postgresql_where=_CLOSED)

attempt = Table(
    "attempt",
    metadata,
    Column("item", LargeBinary(16), nullable=False),
    Column("redrive", Integer, nullable=False),
    Column("hop", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("domain", Words, nullable=False),
    Column("line", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("started", Float, nullable=False),
    Column("marked", Boolean, nullable=False),
    Column("ended", Float),
    Column("reason", Text, nullable=False),
    Column("ambiguous", Boolean, nullable=False),
    Column("until", Float, nullable=False),
    Column("reach", LargeBinary),
    Column("reference", Words),
    PrimaryKeyConstraint("item", "redrive", "hop", "number"),
)
# The limiter's log is read by partition and time when a new owner takes over, and at no other time. What is counted by
# people is looked for a day back, and has an index of its own, so that a day of other calls is not gone through. So has
# what counts for longer than an hour after its beginning: there is hardly any, and it can be of any age.
Index("attempt_recent", attempt.c.topic, attempt.c.partition, attempt.c.started)
_COUNTED = text("reach IS NOT NULL")
Index(
    "attempt_people",
    attempt.c.topic,
    attempt.c.partition,
    attempt.c.started,
    sqlite_where=_COUNTED,
    postgresql_where=_COUNTED,
)
LASTING_S = 3_600
LASTING = text(f"(until > started + {LASTING_S} OR ended > started + {LASTING_S})")
Index(
    "attempt_lasting",
    attempt.c.topic,
    attempt.c.partition,
    sqlite_where=LASTING,
    postgresql_where=LASTING,
)

memo = Table(
    "memo",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("key", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("topic", "partition", "key"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("to_topic", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary),
    Column("headers", LargeBinary, nullable=False),
    PrimaryKeyConstraint("topic", "partition", "id"),
)

# What holds of the store as a whole: `machine` (the one a SQLite store belongs to), `moved` (where it went).
about = Table(
    "about",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# What a vendor gave for a secret, sealed with that secret, and who is fetching a new one until when.
vault = Table(
    "vault",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("holder", Text, nullable=False),
    Column("held_until", Float, nullable=False),
)
