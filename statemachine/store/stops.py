"""Stops: no call of a run, a machine, a tool, or at all, is made until it is started again."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from statemachine.store.rows import Scope, Stop
from statemachine.store.schema import stops

_COLUMNS = [stops.c[name] for name in Stop.__slots__]


def add(connection: Connection, stop: Stop) -> None:
    """Store a stop; what was stopped already stays so, for the newer reason."""
    remove(connection, stop.scope, stop.name)
    connection.execute(insert(stops).values({name: getattr(stop, name) for name in Stop.__slots__}))


def remove(connection: Connection, scope: Scope, name: str) -> bool:
    """Lift a stop; return whether there was one."""
    this = (stops.c.scope == scope) & (stops.c.name == name)
    return connection.execute(delete(stops).where(this)).rowcount > 0


ALL = select(*_COLUMNS).order_by(stops.c.at)
"""Every stop, the oldest first."""
