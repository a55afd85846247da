"""Who may act: workspaces, users, memberships, API keys, answers kept for repeated requests."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, PrimaryKey, Sha256, Workspace, choice


class Role(StrEnum):
    OWNER = "owner"
    PRODUCER = "producer"
    REVIEWER = "reviewer"
    VIEWER = "viewer"


class Scope(StrEnum):
    """What a key may do; `admin` includes the others."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class WorkspaceRow(Base):
    """A tenant: everything owned carries its id, and another tenant's ids do not exist."""

    __tablename__ = "workspaces"

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[CreatedAt]


class User(Base):
    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_email_lower", text("lower(email)"), unique=True),
        CheckConstraint("position('@' in email) > 1", name="email_has_at"),
    )

    id: Mapped[PrimaryKey]
    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[CreatedAt]


class Membership(Base):
    __tablename__ = "memberships"

    workspace_id: Mapped[UUID] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[Role] = mapped_column(choice(Role, "role"))
    created_at: Mapped[CreatedAt]


class ApiKey(Base):
    """A key is shown once; only its SHA-256 is kept. 256 random bits need no slow hash."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("key_sha256"), Index(None, "workspace_id", "created_at"))

    id: Mapped[PrimaryKey]
    workspace_id: Mapped[Workspace]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(16))
    """The first characters, shown in lists so that people can tell keys apart."""
    key_sha256: Mapped[Sha256]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """The first answer to a POST, kept in the same transaction as what the POST did."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "created_at"),)

    workspace_id: Mapped[UUID] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[Sha256]
    """Over method, path and body: the same key with another request is refused."""
    status: Mapped[int]
    location: Mapped[str | None]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
