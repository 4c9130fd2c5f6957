"""Runs as they were now and then, so that going back in a long one is quick."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table; runs that are there already have no checkpoints, and are replayed from their start."""
    op.create_table(
        "checkpoints",
        sa.Column("run", sa.String, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("snapshot", sa.Text, nullable=False),
    )
