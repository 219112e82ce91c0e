"""The group an item leaves with, and when it is given up for somebody else to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    op.add_column("item", sa.Column("batch", sa.Text))
    op.add_column("item", sa.Column("expires", sa.Float))
