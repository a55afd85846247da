"""Approvals: questions to people, and their answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import IDEMPOTENCY_PARAMETER, answer_once
from app.schemas.house import ApprovalOut, ApprovalPage, RespondIn
from app.wakeups import advance_after
from db.session import reading
from services import approvals
from services.activities import record_activity
from services.idempotency import Answer
from services.paging import Page

blp = Blueprint("approvals", __name__, url_prefix="/api/v1", description="Requests to a person.")


@blp.get("/approvals/pending")
@blp.arguments(PageArgs(exclude=("sort",)), location="query")
@blp.response(200, ApprovalPage)
def show_pending(args: dict[str, Any]) -> Response:
    """List approvals that wait for an answer, oldest first."""
    window, _ = window_of({**args, "sort": "created"})
    with reading() as session:
        rows = approvals.list_pending(
            session, identity().workspace_id, limit=window.limit + 1, after=window.after
        )
        more = rows[window.limit - 1].id if len(rows) > window.limit else None
        return page_reply(ApprovalOut, Page(rows[: window.limit], more), {**args, "sort": "created"})


@blp.post("/approvals/<uuid:approval_id>/respond")
@blp.arguments(RespondIn)
@blp.response(200, ApprovalOut)
@blp.doc(parameters=[IDEMPOTENCY_PARAMETER])
def respond(data: dict[str, Any], approval_id: UUID) -> Response:
    """Answer: approve, reject, edit, or retry with instructions."""
    caller = identity()

    def work(session: Session) -> Answer:
        approval = approvals.respond(
            session,
            workspace_id=caller.workspace_id,
            approval_id=approval_id,
            user_id=caller.user_id,
            **data,
        )
        record_activity(
            session, caller.workspace_id, caller.user_id, "approval.answered", approval.id, verb=data["verb"]
        )
        session.flush()
        session.refresh(approval)
        if approval.job_id is not None:
            advance_after(session, approval.job_id)
        return Answer(200, ApprovalOut().dump(approval))

    return answer_once(work, body=data)
