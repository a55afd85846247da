"""What vendors told us unasked: every callback once, kept until it is history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey


class CallbackEvent(Base):
    """One piece of a vendor's news whose signature was right; its id tells it from a replay."""

    __tablename__ = "callback_events"
    __table_args__ = (
        Index(None, "provider", "event_id", unique=True),
        Index(None, "provider", "received_at"),
        Index("ix_callback_events_open", "next_try_at", postgresql_where=text("next_try_at IS NOT NULL")),
        Index(None, "received_at"),
    )

    id: Mapped[PrimaryKey]
    provider: Mapped[str] = mapped_column(String(64))
    event_id: Mapped[str] = mapped_column(String(300))
    answers: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    ask: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Vendor ids that it only points at."""
    client_token: Mapped[str | None] = mapped_column(String(64))
    """Of the address it came to: names a submission whose vendor's id was lost."""
    received_at: Mapped[CreatedAt]
    next_try_at: Mapped[datetime | None]
    """When it is looked at again; null: it is done with."""
    outcome: Mapped[str | None] = mapped_column(String(32))
    """`taken`, or `unknown`: of no submission here."""
