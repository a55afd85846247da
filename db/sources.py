"""How stock sites answer: every failure for a while, and how each site stands with a workspace."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey, Workspace


class SourceError(Base):
    """One search or fetch that a source failed at; the message has no secrets in it."""

    __tablename__ = "source_errors"
    __table_args__ = (
        Index("ix_source_errors_list", "workspace_id", "source", "id"),
        Index(None, "created_at"),
        Index(None, "job_id"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    source: Mapped[str] = mapped_column(String(64))
    code: Mapped[str] = mapped_column(String(64))
    message: Mapped[str]
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    step: Mapped[str | None] = mapped_column(String(140))
    """Kind and label of the step that asked."""
    created_at: Mapped[CreatedAt]


class SourceStanding(Base):
    """Whether a source answers a workspace; one row for each that was ever asked."""

    __tablename__ = "source_standings"
    __table_args__ = (CheckConstraint("failures >= 0", name="failures_not_negative"),)

    workspace_id: Mapped[UUID] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """In a row, since it last answered."""
    alerted: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether people were told of them."""
    failed_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
