"""The audit log: who did what to which asset or job."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.ids import new_id
from db.prepared import Call, Prepared, run_together
from db.review import Activity
from services.paging import Page, Window, read_page

_RECORD = Prepared(
    "record_activity",
    "id uuid, workspace uuid, user uuid, action text, subject uuid, details jsonb",
    """
INSERT INTO activities (id, workspace_id, user_id, action, subject_id, details)
VALUES ($id, $workspace, $user, $action, $subject, $details)
""",
)


def record_activity(
    session: Session,
    workspace_id: UUID,
    user_id: UUID | None,
    action: str,
    subject_id: UUID | None = None,
    **details: Any,
) -> None:
    """Add one line; `action` reads `<noun>.<past participle>`, as in `script.restored`."""
    run_together(session, plan_activity(workspace_id, user_id, action, subject_id, **details))


def plan_activity(
    workspace_id: UUID, user_id: UUID | None, action: str, subject_id: UUID | None = None, **details: Any
) -> Call:
    """The statement that adds one line, for a message that carries more."""
    return _RECORD.call(
        id=new_id(),
        workspace=workspace_id,
        user=user_id,
        action=action,
        subject=subject_id,
        details=json.dumps(details),
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
