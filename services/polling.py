"""What of the submissions is due: claimed in batches with SKIP LOCKED, asked about with no transaction open.

`next_poll_at` is both the time of the next question and, while one is being asked, the lease: a poller
that dies costs one lease. Two pollers at once divide the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, TextClause, case, func, select, text, update
from sqlalchemy.orm import Session

from db.submissions import AT_VENDOR, OPEN_SUBMISSION, Submission, SubmissionState
from db.work import ENDED_JOB, Job
from services.slots import in_seconds
from services.submissions import (
    MESSAGE_SECONDS,
    WIRE_SECONDS,
    announce,
    lock_submission,
)

POLL_LEASE = 90.0
LONGEST_INTERVAL = 60.0
SHARE_OF_AGE = 0.1
"""A take is asked about again after a tenth of the time it has taken so far."""
FIRST_BACKSTOP, LONGEST_BACKSTOP, BACKSTOP_SHARE = 60.0, 300.0, 0.5
"""The same for a vendor that calls back by itself."""
_UNKNOWN = (SubmissionState.SENDING, SubmissionState.UNCONFIRMED)


@dataclass(frozen=True)
class Due:
    """One submission to ask about; everything that asking needs is frozen here."""

    id: UUID
    job_id: UUID
    provider: str
    model: str
    endpoint: str
    vendor_id: str | None
    receipt: dict[str, Any]
    client_token: str
    certain: bool
    """Sent so long ago that a vendor which does not find it did not accept it."""


def vendors_to_ask(session: Session) -> list[tuple[str, str]]:
    """Provider and endpoint wherever a take should be asked about now."""
    return [(row.provider, row.endpoint) for row in session.execute(_TO_ASK)]


def vendors_to_send_to(session: Session) -> list[tuple[str, str]]:
    """Provider and endpoint wherever an intended submission should go out now."""
    return [(row.provider, row.endpoint) for row in session.execute(_TO_SEND_TO)]


def _vendors(rows: str) -> TextClause:
    """Hop from one vendor's first entry in an index to the next one's: what is not due costs nothing."""
    return text(
        f"""
        WITH RECURSIVE vendors AS (
            (SELECT provider, endpoint FROM submissions WHERE {rows} ORDER BY provider, endpoint LIMIT 1)
            UNION ALL
            SELECT further.provider, further.endpoint FROM vendors, LATERAL (
                SELECT s.provider, s.endpoint FROM submissions s
                WHERE {rows} AND (s.provider, s.endpoint) > (vendors.provider, vendors.endpoint)
                ORDER BY s.provider, s.endpoint LIMIT 1
            ) further
        )
        SELECT provider, endpoint FROM vendors WHERE EXISTS (
            SELECT 1 FROM submissions s
            WHERE {rows} AND s.next_poll_at <= now()
                AND s.provider = vendors.provider AND s.endpoint = vendors.endpoint
        )
        """  # noqa: S608 (our own constants)
    )


_TO_ASK = _vendors("state IN ('submitted', 'running')")
_TO_SEND_TO = _vendors("state = 'intended' AND deadline_at IS NOT NULL")


def claim_polls(
    session: Session, provider: str, endpoint: str, *, limit: int, batch: int = 1, ahead: float = 0.0
) -> list[Due]:
    """Take up to `limit` takes of one vendor to ask about, the longest due first.

    Calls of `batch` takes are filled up with some that are due within `ahead` seconds: one call is one call.
    """
    theirs = (
        Submission.state.in_(AT_VENDOR),
        Submission.provider == provider,
        Submission.endpoint == endpoint,
    )
    due = select(Submission.id).where(*theirs, Submission.next_poll_at <= func.now()).limit(limit).subquery()
    full_calls = select((func.count() + batch - 1) // batch * batch).select_from(due).scalar_subquery()
    return _claim(
        session,
        *theirs,
        Submission.next_poll_at <= in_seconds(ahead if batch > 1 else 0),
        limit=func.least(limit, full_calls),
        lease=POLL_LEASE,
    )


def claim_lookups(session: Session, *, grace: float, limit: int = 50) -> list[Due]:
    """Take submissions of which nobody knows whether the vendor accepted them.

    A sender may still be on the wire with one: it is certain only after the longest such wait.
    """
    return _claim(session, _due(*_UNKNOWN), limit=limit, lease=POLL_LEASE, grace=grace)


def claim_late(session: Session, *, limit: int = 20) -> list[Due]:
    """Take what was made and paid for a job that waits no longer, to be fetched all the same."""
    late = Submission.given_up_at.is_not(None) | (
        select(Job.id).where(Job.id == Submission.job_id, Job.state.in_(ENDED_JOB)).exists()
    )
    return _claim(session, _due(SubmissionState.ANSWERED), late, limit=limit, lease=600.0)


def claim_unsent(session: Session, provider: str, endpoint: str, *, limit: int) -> list[Due]:
    """Take intended submissions whose time has come: their message was lost, or they were held back."""
    return _claim(
        session,
        Submission.state == SubmissionState.INTENDED,
        Submission.deadline_at.is_not(None),
        Submission.next_poll_at <= func.now(),
        Submission.provider == provider,
        Submission.endpoint == endpoint,
        limit=limit,
        lease=MESSAGE_SECONDS,
    )


def note_running(session: Session, ids: Sequence[UUID], *, shortest: float, heard: bool = False) -> None:
    """The vendor is still at it: ask again after a tenth of its age, within bounds, spread by a fifth.

    One that calls back is asked rarely: only for what gets lost.
    """
    age = func.extract("epoch", func.now() - Submission.submitted_at)
    wait: Any = func.greatest(shortest, func.least(LONGEST_INTERVAL, age * SHARE_OF_AGE))
    if heard:
        wait = func.greatest(FIRST_BACKSTOP, func.least(LONGEST_BACKSTOP, age * BACKSTOP_SHARE))
    wait = case((Submission.given_up_at.is_not(None), 600.0), else_=wait) * (0.8 + 0.4 * func.random())
    session.execute(
        update(Submission)
        .where(Submission.id.in_(ids), Submission.state.in_(AT_VENDOR))
        .values(
            state=SubmissionState.RUNNING,
            next_poll_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, wait),
        )
        .execution_options(synchronize_session=False)
    )


def expect_callback(session: Session, submission_id: UUID) -> None:
    """Leave a submission that has just been accepted to its vendor, which calls back."""
    session.execute(
        update(Submission)
        .where(Submission.id == submission_id, Submission.state == SubmissionState.SUBMITTED)
        .values(next_poll_at=in_seconds(FIRST_BACKSTOP))
        .execution_options(synchronize_session=False)
    )


def put_off(session: Session, ids: Sequence[UUID], *, seconds: float) -> None:
    """Ask about these later: the vendor did not answer, or wants to be left alone."""
    session.execute(
        update(Submission)
        .where(Submission.id.in_(ids), Submission.state.in_(OPEN_SUBMISSION))
        .values(next_poll_at=in_seconds(seconds) + func.random() * timedelta(seconds=seconds * 0.2))
        .execution_options(synchronize_session=False)
    )


def send_again(session: Session, submission_id: UUID) -> None:
    """The vendor certainly never accepted it: it may go out once more, under the same token."""
    row = lock_submission(session, submission_id)
    if row is not None and row.state in _UNKNOWN:
        row.state = SubmissionState.INTENDED
        row.next_poll_at = in_seconds(0)
        announce(session, row, "not_accepted")


def _due(*states: SubmissionState) -> ColumnElement[bool]:
    return Submission.state.in_(states) & (Submission.next_poll_at <= func.now())


def _claim(
    session: Session,
    *conditions: ColumnElement[bool],
    limit: int | ColumnElement[int],
    lease: float,
    grace: float = 0.0,
) -> list[Due]:
    """Take rows and put their next time off by the lease; the rows are read back as they were sent."""
    mine = (
        select(Submission.id)
        .where(*conditions)
        .order_by(Submission.next_poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("mine")
    )
    patience: Any = case((Submission.state == SubmissionState.SENDING, max(grace, WIRE_SECONDS)), else_=grace)
    rows = session.execute(
        update(Submission)
        .where(Submission.id == mine.c.id)
        .values(next_poll_at=in_seconds(lease), polls=Submission.polls + 1)
        .returning(
            Submission.id,
            Submission.job_id,
            Submission.provider,
            Submission.model,
            Submission.endpoint,
            Submission.vendor_id,
            Submission.receipt,
            Submission.client_token,
            (func.now() - Submission.sent_at > func.make_interval(0, 0, 0, 0, 0, 0, patience)),
        )
        .execution_options(synchronize_session=False)
    )
    return [Due(*tuple[Any, ...](row)) for row in rows]
