"""Which store this is; an index to find who owns runs."""

from __future__ import annotations

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Name the store by chance."""
    table = op.create_table("identity", sa.Column("store", sa.String, primary_key=True))
    op.bulk_insert(table, [{"store": token_hex(16)}])
    op.create_index("ix_runs_owner", "runs", ["owner"])
