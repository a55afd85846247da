"""Submissions: one paid request to a vendor each, written down before the wire and after every answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.hashing import digest
from db.work import OPEN_SUBMISSION, Job, Submission, SubmissionState
from services.money import place_hold


def intend(
    session: Session,
    job: Job,
    *,
    step_id: UUID,
    shot_id: UUID,
    purpose: str,
    provider: str,
    model: str,
    request: dict[str, Any],
    quote: int,
    currency: str,
) -> Submission:
    """Write down what is about to be asked, and hold its price; commit before the wire.

    An open submission of the same inputs is returned as it is: its request may be on its way already.
    Raises OverBudget when a cap forbids it; then nothing was written.
    """
    input_hash = digest({"provider": provider, "model": model, "request": request})
    existing = session.scalar(
        select(Submission).where(
            Submission.shot_id == shot_id,
            Submission.purpose == purpose,
            Submission.input_hash == input_hash,
            Submission.state.in_(OPEN_SUBMISSION),
        )
    )
    if existing is not None:
        return existing
    hold = place_hold(session, job, amount=quote, currency=currency)
    submission = Submission(
        workspace_id=job.workspace_id,
        job_id=job.id,
        step_id=step_id,
        shot_id=shot_id,
        purpose=purpose,
        provider=provider,
        model=model,
        request=request,
        input_hash=input_hash,
        client_token=digest({"step": str(step_id), "input": input_hash})[:40],
        quote=quote,
        currency=currency,
        hold_id=hold.id if hold is not None else None,
    )
    session.add(submission)
    session.flush()
    return submission


def mark_succeeded(
    submission: Submission,
    *,
    vendor_id: str,
    take_id: UUID,
    actual_cost: int,
    answer: dict[str, Any],
) -> None:
    submission.state = SubmissionState.SUCCEEDED
    submission.vendor_id = vendor_id
    submission.take_id = take_id
    submission.actual_cost = actual_cost
    submission.answer = answer
    submission.next_poll_at = None
    submission.finished_at = func.now()


def count_open(session: Session, job_id: UUID) -> int:
    """Requests of a job that a vendor may still answer."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Submission)
            .where(
                Submission.job_id == job_id,
                Submission.state.in_(
                    (SubmissionState.SUBMITTED, SubmissionState.RUNNING, SubmissionState.UNCONFIRMED)
                ),
            )
        )
        or 0
    )
