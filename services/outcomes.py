"""What becomes of submissions: for the job that waits, and for the person who is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select, true, update
from sqlalchemy.orm import Session, aliased

from core.errors import Conflict, Invalid, NotFound
from db.submissions import AT_VENDOR, OPEN_SUBMISSION, Submission, SubmissionState
from db.work import Attempt, Job, JobState, Step, StepState, WaitsFor
from services import unwanted
from services.paging import Page, Window, read_page
from services.purchases import AT_ONCE, spend_lost
from services.slots import in_seconds
from services.steps import reopen
from services.submissions import announce, asked_for, close, lock_submission

FETCHES = ("fetch_take", "fetch_clip")
"""Kinds of the steps that bring home what a vendor made."""

# -- for a job -------------------------------------------------------------------------------------


def follow(session: Session, job: Job) -> None:
    """Turn answers into work: what no provider made yet is asked of the next one.

    Call under the job's lock. What was made is fetched by a step of its own, see `to_fetch`.
    """
    fetch = aliased(Step)
    lost = (
        select(fetch.id)
        .where(
            fetch.job_id == job.id,
            fetch.kind.in_(FETCHES),
            fetch.variant == cast(Submission.id, Text),
            fetch.state.in_((StepState.FAILED, StepState.SKIPPED)),
        )
        .exists()
    )
    rows = session.scalars(
        select(Submission)
        .join(Step, Step.id == Submission.step_id)
        .where(
            Submission.job_id == job.id,
            Step.state == StepState.SUCCEEDED,
            asked_for(),
            (Submission.state.in_((SubmissionState.FAILED, SubmissionState.CANCELLED)))
            | Submission.given_up_at.is_not(None)
            | ((Submission.state == SubmissionState.ANSWERED) & lost),
        )
        .with_for_update(of=Submission)
    ).all()
    for row in rows:
        if row.state is SubmissionState.ANSWERED and row.given_up_at is None:
            row.state = SubmissionState.FAILED
            row.error_code, row.error_message = (
                "not_fetched",
                "It was made and paid; its file could not be had.",
            )
            row.next_poll_at = None
            row.finished_at = func.now()
        if row.state is not SubmissionState.CANCELLED:
            why = row.error_message or "It did not answer in time."
            job.warnings = [*job.warnings, {"provider": row.provider, "code": row.error_code, "message": why}]
    reopen(session, job, [row.step_id for row in rows if row.step_id is not None])


def to_fetch(session: Session, job_id: UUID) -> list[tuple[UUID, UUID]]:
    """Submission and subject of everything that was made for a job and is not kept yet."""
    rows = session.execute(
        select(Submission.id, Step.subject_id)
        .join(Step, Step.id == Submission.step_id)
        .where(
            Submission.job_id == job_id,
            Submission.state == SubmissionState.ANSWERED,
            Submission.given_up_at.is_(None),
            Step.subject_id.is_not(None),
            asked_for(),
        )
        .order_by(Submission.id)
    )
    return [(row.id, row.subject_id) for row in rows]


def tried_providers(session: Session, step_id: UUID, seed: int | None = None) -> dict[tuple[str, str], str]:
    """Providers with their models that could not make this since somebody last asked anew, and why.

    `seed` tells the takes of one step apart.
    """
    same = Submission.request["seed"].as_integer() == seed if seed is not None else true()
    asked_anew = (
        select(func.max(Attempt.finished_at))
        .where(Attempt.step_id == step_id, Attempt.outcome.in_(("failed", "cancelled")))
        .scalar_subquery()
    )
    rows = session.execute(
        select(Submission.provider, Submission.model, Submission.error_message)
        .where(
            Submission.step_id == step_id,
            (Submission.state == SubmissionState.FAILED) | Submission.given_up_at.is_not(None),
            same,
            Submission.created_at > func.coalesce(asked_anew, "-infinity"),
        )
        .order_by(Submission.created_at)
    )
    late = "It did not answer in time."
    return {(row.provider, row.model): row.error_message or late for row in rows}


def why_waiting(session: Session, job_id: UUID) -> tuple[WaitsFor, str] | None:
    """Whom a job waits for because of its submissions, and what to tell people; None: for nobody."""
    rows = session.execute(
        select(
            Submission.id,
            Submission.provider,
            Submission.state,
            Submission.next_poll_at,
            Submission.error_message,
        ).where(
            Submission.job_id == job_id,
            Submission.state.in_((*AT_VENDOR, SubmissionState.SENDING, SubmissionState.UNCONFIRMED))
            | ((Submission.state == SubmissionState.INTENDED) & Submission.deadline_at.is_not(None)),
            Submission.given_up_at.is_(None),
        )
    ).all()
    if not rows:
        return None
    parked = [r for r in rows if r.state is SubmissionState.UNCONFIRMED and r.next_poll_at is None]
    if len(parked) == len(rows):
        ids = ", ".join(str(row.id) for row in parked[:3])
        return (
            WaitsFor.REVIEWER,
            (
                f"Nobody knows whether {parked[0].provider} accepted a request. See the vendor's own list "
                f"and say so at POST /submissions/{{id}}/resolve, for: {ids}."
            ),
        )
    held_back = [r for r in rows if r.state is SubmissionState.INTENDED and r.error_message]
    if len(held_back) == len(rows):
        return WaitsFor.PROVIDER, f"{rows[0].provider} takes no more now: {held_back[0].error_message}"
    return WaitsFor.PROVIDER, "Waits for a provider's answer."


def withdraw_unsent(session: Session, job: Job) -> None:
    """Let go of what a job that ended never sent; what a vendor has goes on, and its take is kept.

    Unless the job was cancelled, and the vendor can stop.
    """
    if job.state is JobState.CANCELLED:
        unwanted.want_no_more(session, job.id)
    rows = session.scalars(
        select(Submission)
        .where(Submission.job_id == job.id, Submission.state == SubmissionState.INTENDED)
        .with_for_update()
    )
    for row in rows:
        close(session, row, SubmissionState.CANCELLED, "cancelled", "Its job ended before it was sent.")


def note_result(session: Session, submission: Submission, result: dict[str, Any]) -> None:
    """Have the step that asked for it show what came of it, so that an equal step can take it over."""
    session.execute(
        update(Step)
        .where(Step.id == submission.step_id, Step.state == StepState.SUCCEEDED, asked_for(submission.id))
        .values(result=result, input_hash=Step.result["inputs"].as_string())
        .execution_options(synchronize_session=False)
    )


# -- for a person ----------------------------------------------------------------------------------


def list_submissions(
    session: Session,
    workspace_id: UUID,
    window: Window,
    *,
    state: str | None = None,
    job_id: UUID | None = None,
    provider: str | None = None,
) -> Page[Submission]:
    """Submissions to vendors; what this machine made itself is none."""
    statement = select(Submission).where(
        Submission.workspace_id == workspace_id,
        Submission.deadline_at.is_not(None) | Submission.purpose.in_(AT_ONCE),
    )
    if state is not None:
        statement = statement.where(Submission.state == SubmissionState(state))
    if job_id is not None:
        statement = statement.where(Submission.job_id == job_id)
    if provider is not None:
        statement = statement.where(Submission.provider == provider)
    return read_page(session, statement, Submission.id, window)


def open_submissions(session: Session, job_id: UUID) -> list[Submission]:
    """What a vendor may still answer for a job."""
    return list(
        session.scalars(
            select(Submission)
            .where(
                Submission.job_id == job_id,
                Submission.state.in_(OPEN_SUBMISSION),
                Submission.deadline_at.is_not(None),
            )
            .order_by(Submission.id)
        )
    )


@dataclass(frozen=True)
class Ended:
    """How many submissions to one provider ended well and how many did not."""

    succeeded: int = 0
    failed: int = 0


def count_ended(session: Session, workspace_id: UUID) -> dict[str, Ended]:
    """By provider, what became of a workspace's submissions within a day."""
    rows = session.execute(
        select(
            Submission.provider,
            func.count().filter(Submission.state == SubmissionState.SUCCEEDED),
            func.count().filter(Submission.state == SubmissionState.FAILED),
        )
        .where(Submission.workspace_id == workspace_id, Submission.finished_at > in_seconds(-86_400.0))
        .group_by(Submission.provider)
    )
    return {provider: Ended(succeeded, failed) for provider, succeeded, failed in rows}


def find_submission(session: Session, workspace_id: UUID, submission_id: UUID) -> Submission:
    row = session.scalar(
        select(Submission).where(Submission.id == submission_id, Submission.workspace_id == workspace_id)
    )
    if row is None:
        raise NotFound("There is no such submission.", field="submission_id")
    return row


def resolve(
    session: Session,
    workspace_id: UUID,
    submission_id: UUID,
    *,
    outcome: str,
    vendor_id: str | None,
    cost: int | None = None,
) -> Submission:
    """Write down what a person found out about an unconfirmed submission.

    `accepted`: the vendor has it, under `vendor_id`. `not_accepted`: it is sent again. `abandoned`: nobody
    waits for it, and its hold is released. What would have been answered in the call itself is lost: where
    the vendor billed it, `cost` (or the quote) is spent, and whoever wants it made retries the job.
    """
    find_submission(session, workspace_id, submission_id)
    row = lock_submission(session, submission_id)
    assert row is not None
    if row.state is not SubmissionState.UNCONFIRMED:
        raise Conflict(
            f"The submission is {row.state.value}; only one that is unconfirmed can be resolved.",
            field="state",
        )
    if (outcome == "accepted") != (vendor_id is not None):
        raise Invalid(
            "`accepted` needs the vendor's id of it, and nothing else takes one.", field="vendor_id"
        )
    if cost is not None and (outcome != "accepted" or row.purpose not in AT_ONCE):
        raise Invalid(
            "Only what was accepted and answers at once takes a cost; others are asked about.", field="cost"
        )
    if outcome == "accepted":
        taken = session.scalar(
            select(Submission.id).where(
                Submission.provider == row.provider, Submission.vendor_id == vendor_id
            )
        )
        if taken is not None:
            raise Conflict(f"The submission {taken} has this vendor id.", field="vendor_id")
        row.vendor_id = vendor_id
        if row.purpose in AT_ONCE:
            spend_lost(session, row, cost)
        else:
            row.state = SubmissionState.SUBMITTED
            row.submitted_at = row.sent_at
            row.next_poll_at = in_seconds(0)
            row.error_code = row.error_message = None
            announce(session, row, "submitted", vendor_id=vendor_id)
    elif outcome == "not_accepted" and row.purpose in AT_ONCE:
        close(session, row, SubmissionState.FAILED, "not_accepted", "The vendor never had it.")
    elif outcome == "not_accepted":
        row.state = SubmissionState.INTENDED
        row.next_poll_at = in_seconds(0)
        announce(session, row, "not_accepted")
    else:
        close(session, row, SubmissionState.FAILED, "abandoned", "A person gave it up.")
    session.flush()
    session.refresh(row)
    return row
