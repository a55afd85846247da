"""Keyset pagination: the next page starts after a key, so page 10,000 costs what page 1 does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")


@dataclass(frozen=True)
class Window:
    """Which rows of a list are wanted; `after` is the key of the last row already seen."""

    limit: int = 50
    after: UUID | None = None
    descending: bool = True


@dataclass(frozen=True)
class Page(Generic[Row]):
    """`next_after` is the key to go on from, or None on the last page."""

    items: Sequence[Row]
    next_after: UUID | None


def read_page(
    session: Session, statement: Select[Row], key: InstrumentedAttribute[UUID], window: Window
) -> Page[Row]:
    """Read one page of `statement`, ordered by `key`: UUIDv7, hence by the time of creation."""
    if window.after is not None:
        statement = statement.where(key < window.after if window.descending else key > window.after)
    statement = statement.order_by(key.desc() if window.descending else key.asc()).limit(window.limit + 1)
    rows: Sequence[Any] = session.scalars(statement).all()
    if len(rows) <= window.limit:
        return Page(rows, None)
    kept = rows[: window.limit]
    return Page(kept, getattr(kept[-1], key.key))
