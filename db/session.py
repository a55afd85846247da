"""Engine, sessions, and the one transaction shape: commit, then send messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from core.embedded import database_url
from core.settings import get_settings

_AFTER_COMMIT = "after_commit"


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The process's engine. A forked child must call `dispose_after_fork` before its first query."""
    url = make_url(database_url(get_settings()))
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg2")
    return create_engine(
        url,
        pool_pre_ping=True,
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
    )


@lru_cache(maxsize=1)
def _sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


def reset() -> None:
    """Forget the engine, so that the next use reads the settings again."""
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    _sessions.cache_clear()


def dispose_after_fork() -> None:
    """Drop connections inherited from the parent without closing them under its feet."""
    if engine.cache_info().currsize:
        engine().dispose(close=False)


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


def after_commit(session: Session, callback: Callable[[], None]) -> None:
    """Have `transaction()` call this once the commit went through; never when it did not."""
    session.info.setdefault(_AFTER_COMMIT, []).append(callback)
