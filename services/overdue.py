"""Submissions that nobody waits for any longer, and jobs that wait although there is an answer."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.submissions import AT_VENDOR, OPEN_SUBMISSION, Submission, SubmissionState
from db.work import Job, JobState, Step, StepState, WaitsFor
from services.slots import in_seconds
from services.submissions import announce, asked_for, close, lock_submission

LATE_HOURS = 24
"""How long what nobody waits for any more is still asked about and fetched."""
_UNKNOWN = (SubmissionState.SENDING, SubmissionState.UNCONFIRMED)


def overdue(session: Session, *, limit: int = 100) -> list[UUID]:
    """Submissions past their deadline. What a person is asked about has none."""
    return list(
        session.scalars(
            select(Submission.id)
            .where(
                Submission.state.in_((SubmissionState.INTENDED, *_UNKNOWN, *AT_VENDOR)),
                Submission.deadline_at < func.now(),
                Submission.given_up_at.is_(None),
                (Submission.state != SubmissionState.UNCONFIRMED) | Submission.next_poll_at.is_not(None),
            )
            .limit(limit)
        )
    )


def give_up(session: Session, submission_id: UUID) -> set[UUID]:
    """Have a job wait no longer for an overdue take; returns the job to move on, if there is one.

    What was never sent is let go. What the vendor has may still be made and charged: it is asked about on,
    its hold stays, and its take is kept when it comes.
    """
    row = lock_submission(session, submission_id)
    if row is None or row.given_up_at is not None or row.state not in OPEN_SUBMISSION:
        return set()
    if row.state is SubmissionState.INTENDED:
        why = row.error_message or "It was never taken."
        close(session, row, SubmissionState.FAILED, "too_slow", why)
    elif row.state is not SubmissionState.ANSWERED:
        row.given_up_at = func.now()
        announce(session, row, "given_up", message="The provider did not answer in time.")
    return {row.job_id}


def hopeless(session: Session, *, limit: int = 100) -> list[UUID]:
    """What a vendor never answered, or whose file could not be had, a day after anybody wanted it."""
    old = func.now() - timedelta(hours=LATE_HOURS)
    given_up = select(Submission.id).where(
        Submission.state.in_(OPEN_SUBMISSION),
        Submission.state != SubmissionState.INTENDED,
        Submission.given_up_at < old,
    )
    unfetched = (
        select(Submission.id)
        .join(Job, Job.id == Submission.job_id)
        .where(Submission.state == SubmissionState.ANSWERED, Job.finished_at < old)
    )
    return list(session.scalars(given_up.union(unfetched).limit(limit)))


def end_hopeless(session: Session, submission_id: UUID) -> None:
    row = lock_submission(session, submission_id)
    if row is not None and row.state in OPEN_SUBMISSION:
        close(session, row, SubmissionState.FAILED, "never_answered", "No take came of it within a day.")


def jobs_to_advance(session: Session, *, limit: int = 100) -> list[UUID]:
    """Jobs that wait for a provider, or meanwhile for money, although the provider has answered.

    Whoever wrote the answer down died before it could say so.
    """
    answered = (
        select(Submission.id)
        .join(Step, Step.id == Submission.step_id)
        .where(
            Submission.job_id == Job.id,
            Step.state == StepState.SUCCEEDED,
            asked_for(),
            Submission.state.not_in(
                (*AT_VENDOR, *_UNKNOWN, SubmissionState.INTENDED, SubmissionState.SUCCEEDED)
            )
            | Submission.given_up_at.is_not(None),
        )
        .exists()
    )
    expected = (
        select(Submission.id)
        .where(Submission.job_id == Job.id, Submission.state.in_(OPEN_SUBMISSION))
        .where(Submission.given_up_at.is_(None))
        .exists()
    )
    return list(
        session.scalars(
            select(Job.id)
            .where(
                Job.state == JobState.WAITING,
                Job.advanced_at < in_seconds(-3),
                or_(
                    Job.waits_for.in_((WaitsFor.PROVIDER, WaitsFor.BUDGET)) & answered,
                    (Job.waits_for == WaitsFor.PROVIDER) & ~expected,
                ),
            )
            .limit(limit)
        )
    )
