"""Tables are made, and brought to the version of this code, once and by one process."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, column, inspect, select, table

from statemachine.errors import StoreUnusable
from statemachine.store.database import WRITING
from statemachine.store.schema import VERSION_TABLE, VERSIONS

# Alembic keeps the migration that is under way in globals.
_one_at_a_time = Lock()


def bring_up_to_date(engine: Engine, name: str) -> None:
    """Make the tables or upgrade them, unless they already are what this code writes.

    Args:
        engine: The database.
        name: Its name, for messages.

    Raises:
        StoreUnusable: The tables are those of newer code.
    """
    with engine.connect() as connection:
        if stored_version(connection, name) == VERSIONS[-1]:
            return
    # The write lock keeps every other process out; whoever comes second finds the work done.
    with _one_at_a_time, engine.execution_options(**{WRITING: True}).begin() as connection:
        if stored_version(connection, name) != VERSIONS[-1]:
            from alembic import command
            from alembic.config import Config

            config = Config()
            folder = str(Path(__file__).with_name("migrations"))
            config.set_main_option("script_location", folder.replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def stored_version(connection: Connection, name: str) -> str | None:
    """Return the version of the stored tables, or None when there are no tables yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    if version not in VERSIONS:
        raise StoreUnusable(
            f"{name} was written by a newer version (tables {version}, known up to {VERSIONS[-1]}); "
            "upgrade agent-statemachine"
        )
    return str(version)
