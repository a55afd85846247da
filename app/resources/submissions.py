"""Submissions: what was asked of vendors, and what became of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session

from app.api import Blueprint
from app.auth import identity
from app.paging import page_reply, window_of
from app.reply import IDEMPOTENCY_PARAMETER, answer_once, reply
from app.schemas.submissions import ResolveIn, SubmissionListArgs, SubmissionOut, SubmissionPage
from app.wakeups import advance_after
from db.session import reading
from services import outcomes
from services.activities import record_activity
from services.idempotency import Answer

blp = Blueprint("submissions", __name__, url_prefix="/api/v1", description="Paid requests to vendors.")


@blp.get("/submissions")
@blp.arguments(SubmissionListArgs, location="query")
@blp.response(200, SubmissionPage)
def show_submissions(args: dict[str, Any]) -> Response:
    """List submissions to vendors, newest first."""
    window, filters = window_of(args)
    with reading() as session:
        page = outcomes.list_submissions(session, identity().workspace_id, window, **filters)
        return page_reply(SubmissionOut, page, args)


@blp.get("/submissions/<uuid:submission_id>")
@blp.response(200, SubmissionOut)
def show_submission(submission_id: UUID) -> Response:
    """Show a submission."""
    with reading() as session:
        row = outcomes.find_submission(session, identity().workspace_id, submission_id)
        return reply(SubmissionOut, row)


@blp.post("/submissions/<uuid:submission_id>/resolve")
@blp.arguments(ResolveIn)
@blp.response(200, SubmissionOut)
@blp.doc(parameters=[IDEMPOTENCY_PARAMETER])
def resolve_submission(data: dict[str, Any], submission_id: UUID) -> Response:
    """Say what became of a submission whose outcome nobody knows."""
    caller = identity()

    def work(session: Session) -> Answer:
        row = outcomes.resolve(session, caller.workspace_id, submission_id, **data)
        record_activity(session, caller.workspace_id, caller.user_id, "submission.resolved", row.id, **data)
        advance_after(session, row.job_id)
        body: dict[str, Any] = SubmissionOut().dump(row)
        return Answer(200, body)

    return answer_once(work, body=data)
