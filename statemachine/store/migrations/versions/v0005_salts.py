"""Salts of records, so that nobody can try out what an erased one held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; records that are there already have no salt, and stay as they are."""
    op.add_column("records", sa.Column("salt", sa.String, nullable=False, server_default=""))
