"""The first schema: leases, items, attempts, memos, the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    op.bulk_insert(sa.table("schema_version", sa.column("version", sa.Integer)), [{"version": 1}])
    op.create_table(
        "lease",
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("offset", sa.BigInteger),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("born", sa.Float, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("merge", sa.Text),
        sa.Column("due", sa.Float, nullable=False),
        sa.Column("redrive", sa.Integer, nullable=False),
        sa.Column("hop", sa.Integer, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("parts", sa.LargeBinary),
        sa.Column("carried", sa.LargeBinary),
        sa.Column("marked", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.LargeBinary),
        sa.Column("closed_at", sa.Float),
    )
    for name, columns, where in (
        ("item_open", ["topic", "partition"], sa.text("closed_at IS NULL")),
        ("item_closed", ["closed_at"], sa.text("closed_at IS NOT NULL")),
    ):
        op.create_index(name, "item", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "attempt",
        sa.Column("item", sa.LargeBinary(16), nullable=False),
        sa.Column("redrive", sa.Integer, nullable=False),
        sa.Column("hop", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("marked", sa.Boolean, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ambiguous", sa.Boolean, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("item", "redrive", "hop", "number"),
    )
    op.create_index("attempt_recent", "attempt", ["topic", "partition", "started"])
    op.create_table(
        "memo",
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "key"),
    )
    op.create_table(
        "outbox",
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("to_topic", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "id"),
    )
