"""Schedules: jobs that are submitted again and again, and each time that one fell due."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey, Workspace, choice
from db.work import JobKind


class CatchUp(StrEnum):
    """What becomes of times that fell due while nobody looked: nothing, or one late job for all."""

    SKIP = "skip"
    ONCE = "once"


class RunOutcome(StrEnum):
    SUBMITTED = "submitted"
    MISSED = "missed"
    REFUSED = "refused"


class Schedule(Base):
    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("NOT (paused AND next_run_at IS NOT NULL)", name="nothing_due_while_paused"),
        Index("ix_schedules_due", "next_run_at", postgresql_where=text("next_run_at IS NOT NULL")),
        Index(None, "workspace_id", "id"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    name: Mapped[str] = mapped_column(String(300))
    cron: Mapped[str] = mapped_column(String(100))
    time_zone: Mapped[str] = mapped_column(String(64))
    catch_up: Mapped[CatchUp] = mapped_column(choice(CatchUp, "catch_up"), default=CatchUp.SKIP)
    paused: Mapped[bool] = mapped_column(default=False, server_default="false")
    kind: Mapped[JobKind] = mapped_column(choice(JobKind, "kind"))
    params: Mapped[dict[str, Any]]
    """The brief of every job to come, validated when it was written and looked at again each time."""
    gates: Mapped[list[str]] = mapped_column(ARRAY(String(32)), default=list)
    stop_after: Mapped[str | None] = mapped_column(String(32))
    budget: Mapped[dict[str, Any] | None]
    priority: Mapped[int] = mapped_column(SmallInteger, default=0)
    display_name: Mapped[str | None] = mapped_column(String(300))
    timeout_minutes: Mapped[float | None] = mapped_column(Float)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    """Counts edits by people; falling due is none."""
    next_run_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    last_job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    last_outcome: Mapped[RunOutcome | None] = mapped_column(choice(RunOutcome, "last_outcome"))
    last_error: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class ScheduleRun(Base):
    """One time that a schedule fell due. The key over it and the time is what makes it happen once."""

    __tablename__ = "schedule_runs"
    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        CheckConstraint("job_id IS NULL OR outcome = 'submitted'", name="job_when_submitted"),
        Index(None, "schedule_id", "id"),
        Index(None, "job_id"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    schedule_id: Mapped[UUID] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    due_at: Mapped[datetime | None]
    """Null when a person asked for it out of turn."""
    outcome: Mapped[RunOutcome] = mapped_column(choice(RunOutcome, "outcome"))
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    error: Mapped[str | None]
    created_at: Mapped[CreatedAt]
