"""Statements that each connection plans once; for the few that every step pays.

Planning one of them costs PostgreSQL as much as running it. A plan belongs to a session of the server:
a pooler between here and there must hand out whole sessions (PgBouncer: `pool_mode = session`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult
from sqlalchemy.orm import Session, make_transient_to_detached

from db.base import Base

Row = TypeVar("Row", bound=Base)


class Prepared:
    """One statement. `parameters` are names with types, "step uuid, lease interval"; the text has `$step`."""

    def __init__(self, name: str, parameters: str, statement: str) -> None:
        self.name = f"callsheet_{name}"
        named = [parameter.split() for parameter in parameters.split(",")]
        for number, (parameter, _) in enumerate(named, start=1):
            statement = re.sub(rf"\${parameter}\b", f"${number}", statement)
        self.plan = f"PREPARE {self.name} ({', '.join(kind for _, kind in named)}) AS {statement}"
        self._parameters = tuple(parameter for parameter, _ in named)

    def run(self, session: Session | Connection, **arguments: Any) -> CursorResult[Any]:
        """Execute it with these arguments, all of them; the first time on a connection, plan it there."""
        return run_together(session, self.call(**arguments))

    def call(self, **arguments: Any) -> Call:
        """This statement with its arguments, for `run_together`."""
        return Call(self, arguments)

    def execution(self, at: int) -> str:
        """The text that executes it as number `at` of one message."""
        return f"EXECUTE {self.name} ({', '.join(f'%({name}_{at})s' for name in self._parameters)})"


@dataclass(frozen=True)
class Call:
    statement: Prepared
    arguments: dict[str, Any]


def run_together(session: Session | Connection, *calls: Call) -> CursorResult[Any]:
    """Execute statements in one message to the server, all or none; the result is the last one's."""
    connection = session.connection() if isinstance(session, Session) else session
    known: set[str] = connection.connection.info.setdefault("prepared", set())
    for call in calls:
        if call.statement.name not in known:
            connection.exec_driver_sql(call.statement.plan)
            known.add(call.statement.name)
    named = {f"{name}_{at}": value for at, call in enumerate(calls) for name, value in call.arguments.items()}
    return connection.exec_driver_sql(_message(tuple(call.statement for call in calls)), named)


@lru_cache(maxsize=256)
def _message(statements: tuple[Prepared, ...]) -> str:
    return "; ".join(statement.execution(at) for at, statement in enumerate(statements))


def take_in(session: Session, row: Row) -> Row:
    """Make an object of a row that a statement has just written one that the session has loaded."""
    make_transient_to_detached(row)
    session.add(row)
    return row
