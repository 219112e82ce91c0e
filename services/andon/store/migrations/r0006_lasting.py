"""An index on the few attempts that count for longer than an hour after their beginning."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    lasting = sa.text("(until > started + 3600 OR ended > started + 3600)")
    op.create_index(
        "attempt_lasting", "attempt", ["topic", "partition"], sqlite_where=lasting, postgresql_where=lasting
    )
