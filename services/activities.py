"""The audit log: who did what to which asset or job."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.review import Activity
from services.paging import Page, Window, read_page


def record_activity(
    session: Session,
    workspace_id: UUID,
    user_id: UUID | None,
    action: str,
    subject_id: UUID | None = None,
    **details: Any,
) -> None:
    """Add one line; `action` reads `<noun>.<past participle>`, as in `script.restored`."""
    session.add(
        Activity(
            workspace_id=workspace_id, user_id=user_id, action=action, subject_id=subject_id, details=details
        )
    )


def list_activities(
    session: Session,
    workspace_id: UUID,
    window: Window,
    *,
    subject_id: UUID | None = None,
    action: str | None = None,
) -> Page[Activity]:
    statement = select(Activity).where(Activity.workspace_id == workspace_id)
    if subject_id is not None:
        statement = statement.where(Activity.subject_id == subject_id)
    if action is not None:
        statement = statement.where(Activity.action == action)
    return read_page(session, statement, Activity.id, window)
