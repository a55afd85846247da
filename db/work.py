"""Jobs, their steps and attempts, and the event log.

Job states                              Step states
  queued ─▶ running ⇄ waiting             ready ─▶ running ─▶ succeeded
     │         │         │                  ▲         │  ├──▶ failed
     └────┬────┴────┬────┘                  └─────────┘  └──▶ skipped
          ▼         ▼                     (retry, lost lease)   cancelled
      cancelling  failed ⇄ (retry) running
          ▼         succeeded
      cancelled
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey, Workspace, choice


class JobKind(StrEnum):
    FILM = "film"
    TEXT_REMOVAL = "text_removal"
    SCRAPE = "scrape"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


ENDED_JOB = (JobState.CANCELLED, JobState.FAILED, JobState.SUCCEEDED)


class WaitsFor(StrEnum):
    PROVIDER = "provider"
    REVIEWER = "reviewer"
    BUDGET = "budget"


class StepState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


ENDED_STEP = (StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED)


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("(waits_for IS NOT NULL) = (state = 'waiting')", name="waits_only_when_waiting"),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress_is_share"),
        CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('cancelled', 'failed', 'succeeded'))",
            name="finished_when_ended",
        ),
        Index("ix_jobs_list", "workspace_id", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_jobs_list_state", "workspace_id", "state", "id"),
        Index("ix_jobs_list_kind", "workspace_id", "kind", "id"),
        Index(
            "ix_jobs_alive",
            "advanced_at",
            postgresql_where=text("state IN ('queued', 'running', 'waiting', 'cancelling')"),
        ),
        Index(
            "ix_jobs_deadline",
            "deadline_at",
            postgresql_where=text("deadline_at IS NOT NULL AND state IN ('queued', 'running', 'waiting')"),
        ),
        Index(None, "film_id"),
        Index(None, "project_id"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    kind: Mapped[JobKind] = mapped_column(choice(JobKind, "kind"))
    display_name: Mapped[str] = mapped_column(String(300), default="", server_default="")
    params: Mapped[dict[str, Any]]
    """The validated brief; never edited after submission."""
    state: Mapped[JobState] = mapped_column(choice(JobState, "state"), default=JobState.QUEUED)
    phase: Mapped[str | None] = mapped_column(String(32))
    waits_for: Mapped[WaitsFor | None] = mapped_column(choice(WaitsFor, "waits_for"))
    waits_reason: Mapped[str | None]
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    course: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """The line along which its phase moves progress (`from`, `to`), and seconds of work `later`."""
    remaking: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether a person asked to make again what is stale; until the job ends."""
    priority: Mapped[int] = mapped_column(SmallInteger, default=0)
    gates: Mapped[list[str]] = mapped_column(ARRAY(String(32)), default=list)
    stop_after: Mapped[str | None] = mapped_column(String(32))
    film_id: Mapped[UUID | None] = mapped_column(ForeignKey("films.id", ondelete="SET NULL"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    requested_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    request_id: Mapped[str | None] = mapped_column(String(100))
    result: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    warnings: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    event_seq: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Number of the last event; handed out under the row's lock, so a job's events have no gaps."""
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    advanced_at: Mapped[datetime] = mapped_column(server_default=func.now())
    timeout_seconds: Mapped[int | None]
    deadline_at: Mapped[datetime | None]
    """It fails when it has not ended by then; a person's retry gives it `timeout_seconds` again."""
    deleted_at: Mapped[datetime | None]


class Step(Base):
    """One named unit of work on one subject; `attempt` is the fence that a late worker fails at."""

    __tablename__ = "steps"
    __table_args__ = (
        Index(
            "uq_steps_job_kind_subject_variant",
            "job_id",
            "kind",
            "subject_id",
            "variant",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("(lease_until IS NOT NULL) = (state = 'running')", name="lease_while_running"),
        CheckConstraint("attempt >= 0", name="attempt_not_negative"),
        CheckConstraint(
            "(short_amount IS NULL) = (short_currency IS NULL)", name="short_amount_has_currency"
        ),
        Index(
            "ix_steps_short",
            "workspace_id",
            postgresql_where=text("state IN ('ready', 'running') AND short_amount IS NOT NULL"),
        ),
        Index("ix_steps_ready", "not_before", postgresql_where=text("state = 'ready'")),
        Index("ix_steps_leases", "lease_until", postgresql_where=text("state = 'running'")),
        Index(
            "ix_steps_reuse",
            "workspace_id",
            "input_hash",
            postgresql_where=text("input_hash IS NOT NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    phase: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[UUID | None]
    """The asset it works on: mostly a shot; null = the job itself."""
    variant: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Tells steps of one kind on one subject apart, as the kind of an export."""
    label: Mapped[str] = mapped_column(String(100), default="")
    position: Mapped[int] = mapped_column(default=0)
    needs: Mapped[list[UUID]] = mapped_column(ARRAY(PGUUID(as_uuid=True)), default=list)
    """Steps that must have ended before this one can be claimed."""
    state: Mapped[StepState] = mapped_column(choice(StepState, "state"), default=StepState.READY)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What a reviewer asked of it: `retake` (a count) and `instructions`; part of its inputs."""
    input_hash: Mapped[str | None] = mapped_column(String(64))
    """Of the inputs that `result` was made from; both stay while the step is done again."""
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """A short digest of each input by name, so that a plan can say which one has changed."""
    result: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    reused_from: Mapped[UUID | None] = mapped_column(ForeignKey("steps.id", ondelete="SET NULL"))
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    """Tries that ended in an error or a lost lease since the last person's retry."""
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    """When a message for it was last published; the sweeper sends again only after a while."""
    short_amount: Mapped[int | None] = mapped_column(BigInteger)
    """What it could not hold for want of money; while it waits for that, `not_before` is `infinity`."""
    short_currency: Mapped[str | None] = mapped_column(String(3))
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(200))
    task_id: Mapped[str | None] = mapped_column(String(64))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    """Share done, 0..1; a new attempt does not take it back."""
    weight: Mapped[float] = mapped_column(Float, default=1.0, server_default="1")
    """Seconds it was expected to take when it was planned."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    seconds: Mapped[float | None] = mapped_column(Float)
    """How long the successful attempt worked."""
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class Attempt(Base):
    """Append-only: every try of every step."""

    __tablename__ = "attempts"

    step_id: Mapped[UUID] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str | None] = mapped_column(String(200))
    task_id: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(32))
    """`succeeded`, `retry`, `failed`, `lost` (its lease ran out), `cancelled`, `parked`,
    `waits` (for money)."""
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class Pace(Base):
    """How long a unit of one kind of step takes in this installation; see `services.progress`."""

    __tablename__ = "paces"
    __table_args__ = (CheckConstraint("seconds >= 0", name="seconds_not_negative"),)

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    variant: Mapped[str] = mapped_column(String(64), primary_key=True)
    seconds: Mapped[float] = mapped_column(Float)
    jobs: Mapped[int] = mapped_column(default=1)
    """How many jobs it was learnt from."""


class Event(Base):
    """What happened, for long-poll, SSE and webhooks. `seq` numbers one job's events without gaps."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("job_id", "seq"),
        Index("ix_events_workspace", "workspace_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workspace_id: Mapped[Workspace]
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    seq: Mapped[int | None] = mapped_column(BigInteger)
    asset_id: Mapped[UUID | None]
    type: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created_at: Mapped[CreatedAt]


class Heartbeat(Base):
    """When a process that has no other trace last did its duty: beat, each worker."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    beaten_at: Mapped[datetime] = mapped_column(server_default=func.now())
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
