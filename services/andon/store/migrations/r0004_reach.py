"""Whom an attempt was to reach, where the vendor counts that, and what the vendor calls it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    op.add_column("attempt", sa.Column("reach", sa.LargeBinary))
    op.add_column("attempt", sa.Column("reference", sa.Text))
    counted = sa.text("reach IS NOT NULL")
    op.create_index(
        "attempt_people",
        "attempt",
        ["topic", "partition", "started"],
        sqlite_where=counted,
        postgresql_where=counted,
    )
