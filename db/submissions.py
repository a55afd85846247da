"""Submissions: paid requests to vendors, from the intention to the take."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Micros, PrimaryKey, Sha256, Workspace, choice


class SubmissionState(StrEnum):
    INTENDED = "intended"
    """Written down, its price held; certainly not accepted by the vendor."""
    SENDING = "sending"
    """One sender has it on the wire, or died with it there."""
    UNCONFIRMED = "unconfirmed"
    """Nobody knows whether the vendor accepted it."""
    SUBMITTED = "submitted"
    RUNNING = "running"
    ANSWERED = "answered"
    """The vendor made it and its price is captured; the file is not copied yet."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_SUBMISSION = (
    SubmissionState.INTENDED,
    SubmissionState.SENDING,
    SubmissionState.UNCONFIRMED,
    SubmissionState.SUBMITTED,
    SubmissionState.RUNNING,
    SubmissionState.ANSWERED,
)
AT_VENDOR = (SubmissionState.SUBMITTED, SubmissionState.RUNNING)
_OPEN = "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered')"


class Submission(Base):
    """One paid request to a vendor and its life; what is needed to poll is frozen here."""

    __tablename__ = "submissions"
    __table_args__ = (
        Index(
            "uq_submissions_open",
            "shot_id",
            "purpose",
            "input_hash",
            unique=True,
            postgresql_where=text(_OPEN),
        ),
        Index(
            "uq_submissions_open_step",
            "step_id",
            "purpose",
            "input_hash",
            unique=True,
            postgresql_where=text(f"shot_id IS NULL AND {_OPEN}"),
        ),
        Index(
            "uq_submissions_vendor_id",
            "provider",
            "vendor_id",
            unique=True,
            postgresql_where=text("vendor_id IS NOT NULL"),
        ),
        Index(
            "ix_submissions_due",
            "next_poll_at",
            postgresql_where=text("state IN ('sending', 'unconfirmed', 'answered')"),
        ),
        Index(
            "ix_submissions_polls",
            "provider",
            "endpoint",
            "next_poll_at",
            postgresql_where=text("state IN ('submitted', 'running')"),
        ),
        Index(
            "ix_submissions_unsent",
            "provider",
            "endpoint",
            "next_poll_at",
            postgresql_where=text("state = 'intended' AND deadline_at IS NOT NULL"),
        ),
        Index(
            "ix_submissions_deadlines",
            "deadline_at",
            postgresql_where=text(f"{_OPEN} AND given_up_at IS NULL"),
        ),
        Index(
            "ix_submissions_given_up",
            "given_up_at",
            postgresql_where=text(f"{_OPEN} AND given_up_at IS NOT NULL"),
        ),
        Index("ix_submissions_unwanted", "cancel_at", postgresql_where=text("cancel_at IS NOT NULL")),
        Index(None, "job_id"),
        Index(None, "workspace_id", "id"),
        CheckConstraint(
            "state NOT IN ('submitted', 'running', 'answered', 'succeeded') OR vendor_id IS NOT NULL",
            name="accepted_has_vendor_id",
        ),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    step_id: Mapped[UUID | None] = mapped_column(ForeignKey("steps.id", ondelete="SET NULL"))
    shot_id: Mapped[UUID | None] = mapped_column(ForeignKey("shots.id", ondelete="SET NULL"))
    purpose: Mapped[str] = mapped_column(String(32))
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(100))
    endpoint: Mapped[str] = mapped_column(default="")
    routing: Mapped[dict[str, Any]] = mapped_column(default=lambda: {"policy": "fixed", "considered": []})
    """Why it went to this provider: the brief's policy, and what was found of every provider it names."""
    request: Mapped[dict[str, Any]]
    input_hash: Mapped[Sha256]
    client_token: Mapped[str] = mapped_column(String(64), unique=True)
    """Our own name for the request, sent where the vendor takes one."""
    state: Mapped[SubmissionState] = mapped_column(
        choice(SubmissionState, "state"), default=SubmissionState.INTENDED
    )
    vendor_id: Mapped[str | None] = mapped_column(String(300))
    receipt: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What its adapter wants back with every question: addresses the vendor named when it accepted."""
    sends: Mapped[int] = mapped_column(default=0)
    """How often it went out on the wire; more than once only when it was certainly not accepted before."""
    sent_at: Mapped[datetime | None]
    next_poll_at: Mapped[datetime | None]
    """When something is due: to send, look up, poll or fetch it. Null: nothing, or a person must say."""
    polls: Mapped[int] = mapped_column(default=0)
    deadline_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]
    """Past its deadline: the job waits no longer, and what still comes is kept as one more take."""
    cancel_at: Mapped[datetime | None]
    """When its vendor is to be asked to stop, because its job was cancelled; null: it is not."""
    quote: Mapped[Micros] = mapped_column(default=0)
    actual_cost: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3), default="USD")
    hold_id: Mapped[UUID | None] = mapped_column(ForeignKey("holds.id", ondelete="SET NULL"))
    take_id: Mapped[UUID | None] = mapped_column(ForeignKey("takes.id", ondelete="SET NULL"))
    answer: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    submitted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
