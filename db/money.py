"""Money: a double-entry ledger in integer micro-units, holds with a time to live, caps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
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
    """What was paid in and is neither held nor spent: with a wallet, what may still be spent."""
    HELD = "held"
    """What is set aside by open holds."""
    SPENT = "spent"
    """What went to vendors."""
    FUNDING = "funding"
    """The outside: where top-ups come from. The workspace has a wallet once this account exists."""


class Posting(StrEnum):
    """Why money moved, and so between which accounts."""

    TOP_UP = "top_up"
    """funding -> credits"""
    OPENING = "opening"
    """funding -> credits: what was spent before there was a wallet, booked as paid directly."""
    HOLD = "hold"
    """credits -> held"""
    CAPTURE = "capture"
    """held -> spent, and the rest back to credits"""
    RELEASE = "release"
    """held -> credits"""
    REFUND = "refund"
    """spent -> credits"""


class HoldState(StrEnum):
    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"


class BudgetScope(StrEnum):
    JOB = "job"
    PROJECT = "project"
    WORKSPACE_DAY = "workspace_day"


class LedgerAccount(Base):
    """`balance` is kept by a trigger on the entries; no other statement can change it."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint("workspace_id", "kind", "currency"),
        UniqueConstraint("id", "workspace_id", "currency"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    kind: Mapped[AccountKind] = mapped_column(choice(AccountKind, "kind"))
    currency: Mapped[str] = mapped_column(String(3))
    balance: Mapped[Micros] = mapped_column(default=0, server_default="0")
    created_at: Mapped[CreatedAt]


class LedgerTransfer(Base):
    """One posting: what its lines have in common. Immutable, and unique by its key."""

    __tablename__ = "ledger_transfers"
    __table_args__ = (
        UniqueConstraint("workspace_id", "idempotency_key"),
        Index(None, "workspace_id", "id"),
        Index(None, "job_id"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    posting: Mapped[Posting] = mapped_column(choice(Posting, "posting"))
    amount: Mapped[Micros]
    """What was asked for, in whole; the lines say where it went."""
    currency: Mapped[str] = mapped_column(String(3))
    idempotency_key: Mapped[str] = mapped_column(String(300))
    hold_id: Mapped[UUID | None]
    job_id: Mapped[UUID | None]
    submission_id: Mapped[UUID | None]
    note: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[CreatedAt]


class LedgerEntry(Base):
    """One immutable line. The lines of one transfer sum to zero (constraint trigger)."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "workspace_id", "currency"],
            ["ledger_accounts.id", "ledger_accounts.workspace_id", "ledger_accounts.currency"],
            name="fk_ledger_entries_account",
        ),
        UniqueConstraint("transfer_id", "account_id"),
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        Index(None, "account_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workspace_id: Mapped[Workspace]
    transfer_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_transfers.id"))
    account_id: Mapped[UUID]
    amount: Mapped[Micros]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[CreatedAt]


class Hold(Base):
    """Money set aside before anything is bought; `captured` and `refunded` of it went out and came back."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("captured >= 0 AND captured <= amount", name="captured_within"),
        CheckConstraint("captured = 0 OR state = 'captured'", name="captured_when_captured"),
        CheckConstraint("refunded >= 0 AND refunded <= captured", name="refunded_within"),
        CheckConstraint("overrun >= 0", name="overrun_not_negative"),
        CheckConstraint("(closed_at IS NULL) = (state = 'open')", name="closed_when_not_open"),
        Index("ix_holds_open", "expires_at", postgresql_where=text("state = 'open'")),
        Index("uq_holds_key", "workspace_id", "key", unique=True),
        Index(None, "job_id"),
        Index(None, "project_id"),
        Index(None, "workspace_id", "created_at"),
    )

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    key: Mapped[str | None] = mapped_column(String(200))
    """The asker's own name for the purchase: asked twice, it is held once."""
    amount: Mapped[Micros]
    captured: Mapped[Micros] = mapped_column(default=0)
    refunded: Mapped[Micros] = mapped_column(default=0, server_default="0")
    overrun: Mapped[Micros] = mapped_column(default=0, server_default="0")
    """What the vendor took beyond what was held; never booked, always reported."""
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
