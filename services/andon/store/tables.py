"""The tables of a desk. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

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

SCHEMA_VERSION = 1

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
    Column("queue", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("born", Float, nullable=False),
    Column("body", LargeBinary),
    Column("urgent", Boolean, nullable=False),
    Column("merge", Text),
    Column("due", Float, nullable=False),
    Column("redrive", Integer, nullable=False),
    Column("hop", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("parts", LargeBinary),
    Column("carried", LargeBinary),
    Column("marked", Boolean, nullable=False),
    Column("outcome", LargeBinary),
    Column("closed_at", Float),
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
    Column("domain", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("started", Float, nullable=False),
    Column("marked", Boolean, nullable=False),
    Column("ended", Float),
    Column("reason", Text, nullable=False),
    Column("ambiguous", Boolean, nullable=False),
    Column("until", Float, nullable=False),
    PrimaryKeyConstraint("item", "redrive", "hop", "number"),
)
# The limiter's log is read by partition and time when a new owner takes over, and at no other time.
Index("attempt_recent", attempt.c.topic, attempt.c.partition, attempt.c.started)

memo = Table(
    "memo",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("key", Text, nullable=False),
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
