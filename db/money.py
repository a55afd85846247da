"""Money: a double-entry ledger in integer micro-units, holds with a time to live, caps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Micros, PrimaryKey, Workspace, choice


class AccountKind(StrEnum):
    CREDITS = "credits"
    """What the workspace has paid in; its balance is what may still be spent."""
    SPENT = "spent"
    """What went to vendors."""
    FUNDING = "funding"
    """The outside: where top-ups come from."""


class HoldState(StrEnum):
    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"


class BudgetScope(StrEnum):
    JOB = "job"
    PROJECT = "project"
    WORKSPACE_DAY = "workspace_day"


class LedgerAccount(Base):
    __tablename__ = "ledger_accounts"
    __table_args__ = (UniqueConstraint("workspace_id", "kind", "currency"),)

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    kind: Mapped[AccountKind] = mapped_column(choice(AccountKind, "kind"))
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[CreatedAt]


class LedgerEntry(Base):
    """One immutable line. The lines of one `transfer_id` sum to zero (constraint trigger)."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        UniqueConstraint("account_id", "idempotency_key"),
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        Index(None, "transfer_id"),
        Index(None, "workspace_id", "id"),
        Index(None, "job_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workspace_id: Mapped[Workspace]
    transfer_id: Mapped[UUID]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_accounts.id"))
    amount: Mapped[Micros]
    currency: Mapped[str] = mapped_column(String(3))
    reason: Mapped[str] = mapped_column(String(64))
    idempotency_key: Mapped[str] = mapped_column(String(200))
    job_id: Mapped[UUID | None]
    submission_id: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]


class Hold(Base):
    """Money set aside before anything is bought."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("captured >= 0 AND captured <= amount", name="captured_within"),
        CheckConstraint("captured = 0 OR state = 'captured'", name="captured_when_captured"),
        Index("ix_holds_open", "expires_at", postgresql_where=text("state = 'open'")),
        Index(None, "job_id"),
        Index(None, "workspace_id", "created_at"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    amount: Mapped[Micros]
    captured: Mapped[Micros] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(String(3))
    state: Mapped[HoldState] = mapped_column(choice(HoldState, "state"), default=HoldState.OPEN)
    expires_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    closed_at: Mapped[datetime | None]


class Budget(Base):
    """A cap. Checked inside the transaction that places a hold."""

    __tablename__ = "budgets"
    __table_args__ = (
        Index(
            "uq_budgets_scope",
            "workspace_id",
            "scope",
            "scope_id",
            "currency",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("limit_amount >= 0", name="limit_not_negative"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    scope: Mapped[BudgetScope] = mapped_column(choice(BudgetScope, "scope"))
    scope_id: Mapped[UUID | None]
    """The job or the project; null for the workspace's day."""
    limit_amount: Mapped[Micros]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[CreatedAt]
