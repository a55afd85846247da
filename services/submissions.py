"""Submissions: one paid request to a vendor each, written down before the wire and after every answer.

    intended ─▶ sending ─▶ submitted ─▶ running ─▶ answered ─▶ succeeded
       ▲  │        │ ▲         │           │           └──────▶ failed (its file cannot be had)
       │  ▼        ▼ │         └───────────┴──────────────────▶ failed (hold released)
  cancelled   unconfirmed ──▶ submitted (found), intended (certainly not there), failed (a person says so)

Whoever changes one that a job waits for locks the job first, as for steps. Only `take_to_send` leads to
the wire, and of two senders one gets the row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, select, update
from sqlalchemy.orm import Session

from core.hashing import digest
from db.money import Hold
from db.submissions import AT_VENDOR, OPEN_SUBMISSION, Submission, SubmissionState
from db.work import Job, Step
from services import slots
from services.events import record
from services.money import capture_hold, place_hold, release_hold
from services.slots import in_seconds
from services.steps import WORKABLE, lock_job

MESSAGE_SECONDS = 10.0
"""How long a message may take to bring an intended submission to a sender before another is sent."""
WIRE_SECONDS = 60.0
"""No sender waits longer for the vendor's answer."""


@dataclass(frozen=True)
class Outgoing:
    """What a sender needs, frozen when it was intended. `sends` counts this time too."""

    id: UUID
    job_id: UUID
    purpose: str
    provider: str
    model: str
    endpoint: str
    request: dict[str, Any]
    client_token: str
    sends: int


def intend(
    session: Session,
    job: Job,
    *,
    step_id: UUID,
    shot_id: UUID | None,
    purpose: str,
    provider: str,
    model: str,
    request: dict[str, Any],
    quote: int,
    currency: str,
    routing: dict[str, Any] | None = None,
    endpoint: str = "",
    deadline: timedelta | None = None,
) -> Submission:
    """Write down what is about to be asked, and hold its price; commit before the wire.

    An open submission of the same inputs is returned as it is: its request may be on its way already. With
    a `deadline` it goes to a vendor, and is due to be sent. Raises OverBudget when a cap forbids it; then
    nothing was written.
    """
    input_hash = digest({"provider": provider, "model": model, "request": request})
    existing = session.scalar(
        select(Submission).where(
            Submission.shot_id == shot_id if shot_id is not None else Submission.step_id == step_id,
            Submission.purpose == purpose,
            Submission.input_hash == input_hash,
            Submission.state.in_(OPEN_SUBMISSION),
        )
    )
    if existing is not None:
        if existing.given_up_at is not None and deadline is not None:
            existing.given_up_at = None
            existing.deadline_at = func.now() + deadline
        return existing
    earlier = session.scalar(
        select(func.count())
        .select_from(Submission)
        .where(Submission.step_id == step_id, Submission.input_hash == input_hash)
    )
    hold = place_hold(session, job, amount=quote, currency=currency)
    submission = Submission(
        workspace_id=job.workspace_id,
        job_id=job.id,
        step_id=step_id,
        shot_id=shot_id,
        purpose=purpose,
        provider=provider,
        model=model,
        endpoint=endpoint,
        **({"routing": routing} if routing is not None else {}),
        request=request,
        input_hash=input_hash,
        client_token=digest({"step": str(step_id), "input": input_hash, "number": earlier or 0})[:40],
        quote=quote,
        currency=currency,
        hold_id=hold.id if hold is not None else None,
        deadline_at=func.now() + deadline if deadline is not None else None,
        next_poll_at=in_seconds(MESSAGE_SECONDS) if deadline is not None else None,
    )
    session.add(submission)
    session.flush()
    return submission


def take_to_send(session: Session, submission_id: UUID, *, at_once: int = 0) -> Outgoing | None:
    """Put one intended submission on the wire; commit, then send. None: it is not ours to send.

    One whose job has stopped is withdrawn instead, and one too many for a vendor that works on so many
    `at_once` is held back.
    """
    row = lock_submission(session, submission_id)
    if row is None or row.state is not SubmissionState.INTENDED or row.deadline_at is None:
        return None
    if session.get_one(Job, row.job_id).state not in WORKABLE:
        close(session, row, SubmissionState.CANCELLED, "cancelled", "Its job had stopped before it was sent.")
        return None
    if at_once and not slots.take_slot(session, row, at_once):
        return None
    row.state = SubmissionState.SENDING
    row.sends += 1
    row.sent_at = func.now()
    row.next_poll_at = in_seconds(MESSAGE_SECONDS)
    session.flush()
    return Outgoing(**{field.name: getattr(row, field.name) for field in fields(Outgoing)})


def mark_submitted(
    session: Session, submission_id: UUID, vendor_id: str, *, receipt: dict[str, Any], first_poll: float
) -> bool:
    """Write down the vendor's id; locks nothing but this row, so that nothing can stand in the way.

    False: the row has this id already, or another one, which a caller must not pass over in silence.
    """
    changed = session.execute(
        update(Submission)
        .where(
            Submission.id == submission_id,
            Submission.vendor_id.is_(None),
            Submission.state.in_(OPEN_SUBMISSION),
        )
        .values(
            state=SubmissionState.SUBMITTED,
            vendor_id=vendor_id,
            receipt=receipt,
            submitted_at=func.now(),
            next_poll_at=in_seconds(first_poll),
            error_code=None,
            error_message=None,
        )
        .returning(Submission.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return changed is not None


def mark_unsent(session: Session, sent: Outgoing, *, wait: float, code: str, message: str) -> None:
    """The vendor certainly did not accept it: it goes out again after `wait` seconds, and so do the others.

    Whatever else this vendor is to be sent would be refused as well.
    """
    row = lock_submission(session, sent.id)
    if row is None or row.state is not SubmissionState.SENDING or row.sends != sent.sends:
        return
    row.state = SubmissionState.INTENDED
    row.next_poll_at = in_seconds(wait)
    row.error_code, row.error_message = code, message[:2000]
    if code != "throttled":
        return
    session.flush()
    others = (
        select(Submission.id)
        .where(
            Submission.provider == sent.provider,
            Submission.state == SubmissionState.INTENDED,
            Submission.next_poll_at < in_seconds(wait),
        )
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(Submission)
        .where(Submission.id.in_(others))
        .values(next_poll_at=in_seconds(wait * 0.9) + func.random() * timedelta(seconds=wait * 0.4))
        .execution_options(synchronize_session=False)
    )


def mark_unconfirmed(session: Session, sent: Outgoing, *, message: str, can_look_up: bool) -> None:
    """Nobody knows whether the vendor accepted it: look it up, or have a person say."""
    row = lock_submission(session, sent.id)
    if row is None or row.state is not SubmissionState.SENDING or row.sends != sent.sends:
        return
    row.state = SubmissionState.UNCONFIRMED
    row.next_poll_at = in_seconds(0) if can_look_up else None
    row.error_code, row.error_message = "unconfirmed", message[:2000]
    announce(session, row, "unconfirmed")


def park(session: Session, submission_id: UUID) -> None:
    """Only a person can find out what became of it: its vendor knows no token of ours."""
    row = lock_submission(session, submission_id)
    if row is None or row.state not in (SubmissionState.SENDING, SubmissionState.UNCONFIRMED):
        return
    row.state = SubmissionState.UNCONFIRMED
    row.next_poll_at = None
    row.error_code = "unconfirmed"
    row.error_message = row.error_message or "Its sender died before the vendor's answer was written down."
    announce(session, row, "unconfirmed")


def mark_failed(session: Session, submission_id: UUID, *, code: str, message: str) -> UUID | None:
    """The vendor refused it or could not make it: nothing is owed. Returns the job to move on."""
    row = lock_submission(session, submission_id)
    if row is None or row.state not in OPEN_SUBMISSION or row.state is SubmissionState.ANSWERED:
        return None
    close(session, row, SubmissionState.FAILED, code, message)
    return row.job_id


def mark_answered(
    session: Session, submission_id: UUID, *, cost: int | None, answer: dict[str, Any]
) -> tuple[UUID, int] | None:
    """The vendor has made it: spend the hold, whatever becomes of the file. Returns job and overrun.

    The vendor's bill follows its own success and not our luck with the download, so the ledger does too.
    A vendor that names no cost charged what it quoted.
    """
    row = lock_submission(session, submission_id)
    if row is None or row.state not in AT_VENDOR:
        return None
    row.state = SubmissionState.ANSWERED
    row.actual_cost = row.quote if cost is None else cost
    row.answer = answer
    row.next_poll_at = in_seconds(0)
    session.flush()
    overrun = 0
    if row.hold_id is not None:
        hold = session.get_one(Hold, row.hold_id)
        overrun = capture_hold(session, hold, actual=row.actual_cost, submission_id=row.id)
    announce(session, row, "answered", cost=row.actual_cost)
    return row.job_id, overrun


def mark_succeeded(
    session: Session,
    submission: Submission,
    *,
    take_id: UUID | None,
    actual_cost: int,
    vendor_id: str | None = None,
) -> None:
    """Its bytes are kept, as a take or as a cleaned clip."""
    submission.state = SubmissionState.SUCCEEDED
    submission.vendor_id = vendor_id or submission.vendor_id
    submission.take_id = take_id
    submission.actual_cost = actual_cost
    submission.next_poll_at = None
    submission.finished_at = func.now()
    if submission.hold_id is not None:
        hold = session.get_one(Hold, submission.hold_id)
        capture_hold(session, hold, actual=actual_cost, submission_id=submission.id)


def announce(session: Session, row: Submission, what: str, **more: Any) -> None:
    """Put a submission's news among its job's events; locks the job's row."""
    record(
        session,
        workspace_id=row.workspace_id,
        job_id=row.job_id,
        kind=f"submission.{what}",
        asset_id=row.shot_id,
        payload={"submission_id": str(row.id), "provider": row.provider, "model": row.model, **more},
    )


def lock_submission(session: Session, submission_id: UUID) -> Submission | None:
    job_id = session.scalar(select(Submission.job_id).where(Submission.id == submission_id))
    if job_id is None:
        return None
    lock_job(session, job_id)
    return session.scalar(
        select(Submission)
        .where(Submission.id == submission_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def close(session: Session, row: Submission, state: SubmissionState, code: str, message: str) -> None:
    """End a submission for which nothing is owed."""
    row.state = state
    row.error_code, row.error_message = code, message[:2000]
    row.next_poll_at = None
    row.finished_at = func.now()
    if row.hold_id is not None:
        release_hold(session, row.hold_id)
    if row.deadline_at is not None:
        announce(session, row, state.value, code=code, message=message[:500])


def asked_for(submission_id: UUID | None = None) -> ColumnElement[bool]:
    """Whether the latest word of a step is this submission (or the one it is joined with)."""
    named = cast(Submission.id, Text) if submission_id is None else str(submission_id)
    named_by: ColumnElement[bool] = Step.result["submission_id"].as_string() == named
    return named_by
