"""Paid calls that answer at once: written down before the wire like any submission, settled by the answer.

    intended ─▶ sending ─▶ succeeded         captured, its result kept on the row
       ▲           ├─────▶ intended          certainly not accepted: the step tries again
       └───────────├─────▶ failed            refused: nothing is owed
                   └─────▶ unconfirmed       nobody knows, or the caller died: a person says

Nothing polls, sends or gives up such a row by itself: it has no time at which something is due.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import Unconfirmed
from db.money import Hold
from db.submissions import Submission, SubmissionState
from db.work import Job
from services.money import capture_hold
from services.submissions import announce, close, intend, lock_submission, mark_succeeded

AT_ONCE = ("narration", "moderation", "script")
"""Of submissions whose vendor answers in the call itself."""


def bought(session: Session, step_id: UUID, request_hash: str) -> dict[str, Any] | None:
    """What an earlier attempt of the step was sold for the same request."""
    return session.scalar(
        select(Submission.answer).where(
            Submission.step_id == step_id,
            Submission.state == SubmissionState.SUCCEEDED,
            Submission.input_hash == request_hash,
        )
    )


def begin(session: Session, job: Job, **order: Any) -> UUID:
    """Hold the price and put the call on the wire, see `submissions.intend`; commit, then call.

    Raises OverBudget when a cap forbids it. A call that was on the wire before and was not settled is not
    made again, see `why_not`.
    """
    row = intend(session, job, **order)
    if row.state is SubmissionState.INTENDED:
        row.state = SubmissionState.SENDING
        row.sends += 1
        row.sent_at = func.now()
    elif row.state is SubmissionState.SENDING:
        unknown(
            session, row.id, "unconfirmed", "Its caller died before the vendor's answer was written down."
        )
    return row.id


def why_not(session: Session, purchase_id: UUID) -> Unconfirmed | None:
    """Why a purchase that was begun must not be called for; None: go on."""
    row = session.get_one(Submission, purchase_id)
    if row.state is SubmissionState.SENDING:
        return None
    return Unconfirmed(
        f"Nobody knows whether {row.provider} was paid for this: {row.error_message} See its list of usage, "
        f"say so at POST /submissions/{row.id}/resolve, and retry the job."
    )


def done(session: Session, purchase_id: UUID, *, cost: int, made: dict[str, Any]) -> None:
    """Spend the hold, and keep what was made so that no later attempt buys it again."""
    row = lock_submission(session, purchase_id)
    assert row is not None
    row.answer = made
    mark_succeeded(session, row, take_id=None, actual_cost=cost, vendor_id=f"{row.purpose}:{row.id}")


def not_accepted(session: Session, purchase_id: UUID, code: str, message: str) -> None:
    """The vendor certainly did nothing: the same purchase may be called for again."""
    row = lock_submission(session, purchase_id)
    if row is not None and row.state is SubmissionState.SENDING:
        row.state = SubmissionState.INTENDED
        row.error_code, row.error_message = code, message[:2000]


def refused(session: Session, purchase_id: UUID, code: str, message: str) -> None:
    """The vendor will not do it: nothing is owed."""
    row = lock_submission(session, purchase_id)
    if row is not None and row.state is SubmissionState.SENDING:
        close(session, row, SubmissionState.FAILED, code, message)


def spent(session: Session, purchase_id: UUID, cost: int, code: str, message: str) -> None:
    """The vendor took money for answers that are of no use: so much is spent, and it may be bought anew."""
    row = lock_submission(session, purchase_id)
    if row is not None and row.state is SubmissionState.SENDING:
        _spend(session, row, cost, code, message)


def spend_lost(session: Session, row: Submission, cost: int | None = None) -> None:
    """A person found it billed, and nobody has it: `cost`, or the quote, is spent; it may be bought anew."""
    cost = row.quote if cost is None else cost
    _spend(session, row, cost, "lost", "It was billed, and its answer was lost.")


def _spend(session: Session, row: Submission, cost: int, code: str, message: str) -> None:
    row.actual_cost = cost
    if row.hold_id is not None:
        hold = session.get_one(Hold, row.hold_id)
        capture_hold(session, hold, actual=cost, submission_id=row.id)
    close(session, row, SubmissionState.FAILED, code, message)


def unknown(session: Session, purchase_id: UUID, code: str, message: str) -> None:
    """Nobody knows whether it was billed: its hold stays until a person says."""
    row = lock_submission(session, purchase_id)
    if row is not None and row.state is SubmissionState.SENDING:
        row.state = SubmissionState.UNCONFIRMED
        row.error_code, row.error_message = code, message[:2000]
        announce(session, row, "unconfirmed")
