"""Statements that each connection plans once; for the few that every step pays.

Planning one of them costs PostgreSQL as much as running it. A plan belongs to a session of the server:
a pooler between here and there must hand out whole sessions (PgBouncer: `pool_mode = session`).
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult
from sqlalchemy.orm import Session, make_transient_to_detached

from db.base import Base

Row = TypeVar("Row", bound=Base)


class Prepared:
    """One statement. `parameters` are names with types, "step uuid, lease interval"; the text has `$step`."""

    def __init__(self, name: str, parameters: str, statement: str) -> None:
        self._name = f"callsheet_{name}"
        named = [parameter.split() for parameter in parameters.split(",")]
        for number, (parameter, _) in enumerate(named, start=1):
            statement = re.sub(rf"\${parameter}\b", f"${number}", statement)
        self._prepare = f"PREPARE {self._name} ({', '.join(kind for _, kind in named)}) AS {statement}"
        self._execute = f"EXECUTE {self._name} ({', '.join(f'%({parameter})s' for parameter, _ in named)})"

    def run(self, session: Session | Connection, **arguments: Any) -> CursorResult[Any]:
        """Execute it with these arguments, all of them; the first time on a connection, plan it there."""
        connection = session.connection() if isinstance(session, Session) else session
        known: set[str] = connection.connection.info.setdefault("prepared", set())
        if self._name not in known:
            connection.exec_driver_sql(self._prepare)
            known.add(self._name)
        return connection.exec_driver_sql(self._execute, arguments)


def take_in(session: Session, row: Row) -> Row:
    """Make an object of a row that a statement has just written one that the session has loaded."""
    make_transient_to_detached(row)
    session.add(row)
    return row
