"""Approvals: a question to a person, answered by a verb."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey, Workspace, choice


class Gate(StrEnum):
    """Where a film can wait for a person, and before which phase."""

    SCRIPT = "script"
    TAKES = "takes"
    CUT = "cut"


class ApprovalState(StrEnum):
    PENDING = "pending"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Verb(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    EDIT = "edit"
    RETRY = "retry"


class Approval(Base):
    __tablename__ = "approvals"
    __table_args__ = (
        Index(
            "uq_approvals_pending_gate",
            "job_id",
            "gate",
            unique=True,
            postgresql_where=text("state = 'pending' AND gate IS NOT NULL"),
        ),
        Index(
            "ix_approvals_pending",
            "workspace_id",
            "priority",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "job_id"),
        CheckConstraint("(response IS NOT NULL) = (state = 'answered')", name="answer_when_answered"),
        CheckConstraint("(gate IS NULL) OR (job_id IS NOT NULL)", name="gate_has_job"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    gate: Mapped[Gate | None] = mapped_column(choice(Gate, "gate"))
    asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(300))
    priority: Mapped[int] = mapped_column(SmallInteger, default=0)
    requested_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    state: Mapped[ApprovalState] = mapped_column(
        choice(ApprovalState, "state"), default=ApprovalState.PENDING
    )
    response: Mapped[Verb | None] = mapped_column(choice(Verb, "response"))
    instructions: Mapped[str] = mapped_column(default="")
    edit: Mapped[dict[str, Any] | None]
    expires_at: Mapped[datetime | None]
    responded_at: Mapped[datetime | None]
    responded_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[CreatedAt]


class Activity(Base):
    """The audit log: who did what to which asset or job."""

    __tablename__ = "activities"
    __table_args__ = (Index(None, "workspace_id", "id"),)

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(64))
    subject_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created_at: Mapped[CreatedAt]


class Comment(Base):
    __tablename__ = "comments"
    __table_args__ = (Index(None, "asset_id", "id"),)

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    take_time: Mapped[float | None]
    region: Mapped[dict[str, Any] | None]
    text: Mapped[str]
    created_at: Mapped[CreatedAt]
