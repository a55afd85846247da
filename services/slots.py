"""Room at a vendor that works on so many submissions at once: the rows are the slots."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from db.submissions import AT_VENDOR, Submission, SubmissionState


def in_seconds(seconds: float) -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=seconds)


def free_slots(session: Session, provider: str, at_once: int) -> int:
    """How many more submissions a vendor takes; what a person must find out about counts no more."""
    taken = (
        select(Submission.id)
        .where(
            Submission.provider == provider,
            Submission.state.in_((SubmissionState.SENDING, SubmissionState.UNCONFIRMED, *AT_VENDOR)),
            Submission.given_up_at.is_(None),
            (Submission.state != SubmissionState.UNCONFIRMED) | Submission.next_poll_at.is_not(None),
        )
        .limit(at_once)
        .subquery()
    )
    return at_once - (session.scalar(select(func.count()).select_from(taken)) or 0)


def take_slot(session: Session, row: Submission, at_once: int) -> bool:
    """Whether an intended submission, locked, may go out now; if not, it is held back.

    One sender counts at a time, until its transaction ends: two cannot both take the last slot.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"slots {row.provider}"))))
    if free_slots(session, row.provider, at_once) > 0:
        return True
    hold_back(row, wait=1.0, code="no_slot", message=f"It works on {at_once} at once.")
    return False


def hold_back(row: Submission, *, wait: float, code: str, message: str) -> None:
    """Leave an intended submission, locked, where it is for a while: it may not go out now."""
    row.next_poll_at = in_seconds(wait)
    row.error_code, row.error_message = code, message
