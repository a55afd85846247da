"""Submissions of cancelled jobs: their vendors are asked to stop, where they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.submissions import AT_VENDOR, Submission, SubmissionState
from db.work import Job, JobState
from services.slots import in_seconds
from services.submissions import close, lock_submission

LEASE = 60.0
"""A vendor that could not be asked is asked again after this."""
STOPPED = (JobState.CANCELLING, JobState.CANCELLED)


@dataclass(frozen=True)
class Unwanted:
    """What asking needs, frozen when it was accepted; not `wanted` again since."""

    id: UUID
    provider: str
    model: str
    endpoint: str
    vendor_id: str
    receipt: dict[str, Any]


def want_no_more(session: Session, job_id: UUID) -> None:
    """Have the vendors of a cancelled job be asked to stop; what is accepted later is asked about then."""
    session.execute(
        update(Submission)
        .where(Submission.job_id == job_id, Submission.state.in_(AT_VENDOR))
        .values(cancel_at=func.now())
        .execution_options(synchronize_session=False)
    )


def claim_unwanted(session: Session, *, limit: int = 20) -> list[Unwanted]:
    """Take submissions whose vendor is to be asked; those whose job goes on after all are let be."""
    mine = (
        select(Submission.id)
        .where(Submission.cancel_at <= func.now())
        .order_by(Submission.cancel_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("mine")
    )
    rows = session.execute(
        update(Submission)
        .where(Submission.id == mine.c.id)
        .values(cancel_at=in_seconds(LEASE))
        .returning(
            Submission.id, Submission.provider, Submission.model, Submission.endpoint,
            Submission.vendor_id, Submission.receipt, Submission.job_id, Submission.state,
        )
        .execution_options(synchronize_session=False)
    ).all()  # fmt: skip
    stopped = set(
        session.scalars(select(Job.id).where(Job.id.in_({r.job_id for r in rows}), Job.state.in_(STOPPED)))
    )
    unwanted = [row for row in rows if row.job_id in stopped and row.state in AT_VENDOR]
    for_nothing = {row.id for row in rows} - {row.id for row in unwanted}
    for submission_id in for_nothing:
        let_be(session, submission_id)
    return [Unwanted(*tuple[Any, ...](row)[:6]) for row in unwanted]


def mark_released(session: Session, submission_id: UUID) -> UUID | None:
    """The vendor has stopped and charges nothing; returns the job, None when it had answered before."""
    row = lock_submission(session, submission_id)
    if row is None or row.state not in AT_VENDOR:
        return None
    row.cancel_at = None
    close(session, row, SubmissionState.CANCELLED, "cancelled", "Its job was cancelled; the vendor stopped.")
    return row.job_id


def let_be(session: Session, submission_id: UUID) -> None:
    """It goes on at the vendor, and what comes of it is kept."""
    session.execute(
        update(Submission)
        .where(Submission.id == submission_id)
        .values(cancel_at=None)
        .execution_options(synchronize_session=False)
    )
