"""Engine, sessions, and the one transaction shape: commit, then send messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session, sessionmaker

from core.embedded import database_url
from core.settings import get_settings

_AFTER_COMMIT = "after_commit"
IDLE_SECONDS = 2.0
"""A pooled connection that rested longer is asked whether it still lives before it is used again."""


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The process's engine. A forked child must call `dispose_after_fork` before its first query."""
    return _connectable()


@lru_cache(maxsize=1)
def _single_engine() -> Engine:
    """Like `engine`, with each statement a transaction of its own: no BEGIN, no COMMIT to send."""
    return _connectable(isolation_level="AUTOCOMMIT")


def _connectable(**options: Any) -> Engine:
    url = make_url(database_url(get_settings()))
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg2")
    made = create_engine(
        url,
        pool_recycle=1800,
        pool_size=10,
        max_overflow=20,
        pool_timeout=10,
        connect_args={
            "connect_timeout": 5,
            "application_name": "callsheet",
            "options": "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000"
            " -c idle_in_transaction_session_timeout=60000",
        },
        **options,
    )
    event.listen(made, "checkin", _note_rest)
    event.listen(made, "checkout", _ping_after_rest)
    return made


@lru_cache(maxsize=1)
def _sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@lru_cache(maxsize=1)
def _glances() -> sessionmaker[Session]:
    made = sessionmaker(_single_engine(), autoflush=False)
    event.listen(made, "do_orm_execute", _refuse_change)
    event.listen(made, "before_flush", _refuse_flush)
    return made


def reset() -> None:
    """Forget the engines, so that the next use reads the settings again."""
    for made in (engine, _single_engine):
        if made.cache_info().currsize:
            made().dispose()
        made.cache_clear()
    _sessions.cache_clear()
    _glances.cache_clear()


def dispose_after_fork() -> None:
    """Drop connections inherited from the parent without closing them under its feet."""
    for made in (engine, _single_engine):
        if made.cache_info().currsize:
            made().dispose(close=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """Open one transaction; commit at the end, then run what `after_commit` collected.

    The callbacks run outside the transaction, in order, and only when the commit went through.
    SQLAlchemy's own `after_commit` event also fires when a savepoint is released, so it can't be used.
    """
    with _sessions()() as session:
        with session.begin():
            yield session
        callbacks: list[Callable[[], None]] = session.info.pop(_AFTER_COMMIT, [])
    for callback in callbacks:
        callback()


@contextmanager
def reading() -> Iterator[Session]:
    """Open a session whose work is rolled back; what it loaded can be read on, detached."""
    with _sessions()() as session:
        try:
            yield session
        finally:
            session.expunge_all()  # a rollback would expire the rows
            session.rollback()


@contextmanager
def glancing() -> Iterator[Session]:
    """Open a session for what is read many times a second; what it loaded can be read on, detached.

    Each statement sees what is committed when it runs, as in `reading`, but there is no transaction: no BEGIN
    and no ROLLBACK is sent, and no cursor can be streamed. A change would stay, so the session refuses it.
    """
    with _glances()() as session:
        try:
            yield session
        finally:
            session.expunge_all()


@contextmanager
def single() -> Iterator[Connection]:
    """Open a connection on which each statement is a transaction of its own."""
    with _single_engine().connect() as connection:
        yield connection


def after_commit(session: Session, callback: Callable[[], None]) -> None:
    """Have `transaction()` call this once the commit went through; never when it did not."""
    session.info.setdefault(_AFTER_COMMIT, []).append(callback)


def _refuse_change(asked: Any) -> None:
    if asked.is_insert or asked.is_update or asked.is_delete:
        raise RuntimeError("glancing() changes nothing; use transaction().")


def _refuse_flush(*_: Any) -> None:
    raise RuntimeError("glancing() changes nothing; use transaction().")


def _note_rest(_: Any, record: Any) -> None:
    record.info["rested_at"] = time.monotonic()


def _ping_after_rest(connection: Any, record: Any, _: Any) -> None:
    """Ping only after a rest: steps use a connection many times a second, and a ping costs as much as a read.

    Raises InvalidatePoolError for a dead one, whereupon the pool makes new ones of all.
    """
    if time.monotonic() - record.info.get("rested_at", 0.0) < IDLE_SECONDS:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except Exception as error:
        raise InvalidatePoolError("the server closed this connection while it rested") from error
