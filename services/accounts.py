"""Workspaces, their people and API keys."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from db.identity import ApiKey, Membership, Role, Scope, User, WorkspaceRow
from db.prepared import Prepared
from services.paging import Page, Window, read_page

_BOOTSTRAP_LOCK = 0x43414C4C
_KEY_MARK = "cs"


@dataclass(frozen=True)
class Identity:
    """Who asks, and what the key allows."""

    workspace_id: UUID
    user_id: UUID
    scopes: frozenset[str]
    key_id: UUID
    key_prefix: str

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


def bootstrap(session: Session) -> str | None:
    """Make the first workspace, its owner and an admin key; return the key, which is never shown again.

    None when a workspace exists. Two first starts at once make one workspace (advisory lock).
    """
    session.execute(select(func.pg_advisory_xact_lock(_BOOTSTRAP_LOCK)))
    if session.scalar(select(WorkspaceRow.id).limit(1)) is not None:
        return None
    workspace, user = create_workspace(session, "Studio", "owner@localhost", "Owner")
    _, key = create_key(session, workspace.id, user.id, name="first key", scopes=[Scope.ADMIN])
    return key


def admit(session: Session, *, name: str) -> str:
    """Make an admin key for the oldest workspace's owner, making both where there are none yet.

    For whoever runs this installation, at its command line; return the key, which is never shown again.
    """
    first = bootstrap(session)
    if first is not None:
        return first
    owner = session.scalars(
        select(Membership)
        .join(WorkspaceRow, WorkspaceRow.id == Membership.workspace_id)
        .where(Membership.role == Role.OWNER)
        .order_by(WorkspaceRow.created_at, WorkspaceRow.id)
        .limit(1)
    ).one()
    return create_key(session, owner.workspace_id, owner.user_id, name=name, scopes=[Scope.ADMIN])[1]


def create_workspace(session: Session, name: str, email: str, user_name: str) -> tuple[WorkspaceRow, User]:
    workspace = WorkspaceRow(name=name)
    user = User(email=email, name=user_name)
    session.add_all([workspace, user])
    session.flush()
    session.add(Membership(workspace_id=workspace.id, user_id=user.id, role=Role.OWNER))
    session.flush()
    return workspace, user


_AUTHENTICATE = Prepared(
    "authenticate",
    "sha256 text",
    """
SELECT workspace_id, user_id, scopes, id, prefix FROM api_keys
WHERE key_sha256 = $sha256 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
""",
)


def authenticate(session: Session | Connection, key: str) -> Identity | None:
    """Look a plain key up by its SHA-256; None if it is unknown, expired or revoked.

    Asked anew with every request: a key that is revoked opens nothing from then on.
    """
    row = _AUTHENTICATE.run(session, sha256=_sha256(key)).one_or_none()
    if row is None:
        return None
    return Identity(row.workspace_id, row.user_id, frozenset(row.scopes), row.id, row.prefix)


def create_key(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; the plain text is in the answer and nowhere else."""
    wanted = sorted({Scope(scope) for scope in scopes})
    if not wanted:
        raise Invalid("A key needs at least one scope: read, write or admin.", field="scopes")
    prefix = secrets.token_hex(4)
    plain = f"{_KEY_MARK}_{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey(
        workspace_id=workspace_id,
        user_id=user_id,
        name=name,
        prefix=f"{_KEY_MARK}_{prefix}",
        key_sha256=_sha256(plain),
        scopes=wanted,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, plain


def list_keys(session: Session, workspace_id: UUID, window: Window) -> Page[ApiKey]:
    return read_page(session, select(ApiKey).where(ApiKey.workspace_id == workspace_id), ApiKey.id, window)


def revoke_key(session: Session, workspace_id: UUID, key_id: UUID) -> ApiKey:
    """End a key at once; ending it twice is fine."""
    row = session.scalar(
        select(ApiKey).where(ApiKey.id == key_id, ApiKey.workspace_id == workspace_id).with_for_update()
    )
    if row is None:
        raise NotFound("There is no such API key.")
    if row.revoked_at is None:
        row.revoked_at = session.scalar(select(func.now()))
    return row


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
