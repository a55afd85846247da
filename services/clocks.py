"""After the database's clock was set back: what is due in a future that nothing is put off to is due now.

Times are the database's. When its clock goes back by an hour, whatever was put off a minute before is an
hour away, and a message sent then seems to be on its way for an hour.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.callbacks import CallbackEvent
from db.submissions import AT_VENDOR, Submission, SubmissionState
from db.work import Job, JobState, Step, StepState

_PAST = timedelta(minutes=1)
"""Of times that are always past: more than two servers' clocks differ."""
_POLL = timedelta(minutes=15)
_READY = Step.state == StepState.READY
_ALIVE = Job.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.WAITING, JobState.CANCELLING))
_UNKNOWN = (SubmissionState.SENDING, SubmissionState.UNCONFIRMED)
_UNSENT = (Submission.state == SubmissionState.INTENDED) & Submission.deadline_at.is_not(None)
_Bound = tuple[type[Any], InstrumentedAttribute[Any], timedelta, ColumnElement[bool]]
_FURTHEST: tuple[_Bound, ...] = (
    (Step, Step.not_before, timedelta(minutes=5), _READY & (Step.not_before < text("'infinity'"))),
    (Step, Step.sent_at, _PAST, _READY),
    (Job, Job.advanced_at, _PAST, _ALIVE),
    (Submission, Submission.next_poll_at, _POLL, Submission.state.in_(AT_VENDOR)),
    (Submission, Submission.next_poll_at, _POLL, Submission.state.in_((*_UNKNOWN, SubmissionState.ANSWERED))),
    (Submission, Submission.next_poll_at, _POLL, _UNSENT),
    (Submission, Submission.sent_at, _PAST, Submission.state.in_(_UNKNOWN)),
    (Submission, Submission.cancel_at, timedelta(minutes=5), Submission.cancel_at.is_not(None)),
    (CallbackEvent, CallbackEvent.next_try_at, timedelta(minutes=5), CallbackEvent.next_try_at.is_not(None)),
)
"""What may lie in the future, and how far at the most; each in the words of an index, for tables grow."""


def bounds(lease: timedelta) -> tuple[_Bound, ...]:
    """What is looked at where steps are held for so long."""
    return (*_FURTHEST, (Step, Step.lease_until, 2 * lease + _PAST, Step.state == StepState.RUNNING))


def heed_clock(session: Session, *, lease: timedelta, limit: int = 1000) -> int:
    """Make due what lies too far ahead; returns how many times that was. Waits for nobody's locks.

    `lease` is for how long steps are held; the holder of one that ends too early is fenced off.
    """
    found = 0
    for kind, column, furthest, where in bounds(lease):
        mine = (
            select(kind.id)
            .where(where, column > func.now() + furthest)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("mine")
        )
        found += len(
            session.execute(
                update(kind)
                .where(kind.id == mine.c.id)
                .values({column: func.now()})
                .returning(kind.id)
                .execution_options(synchronize_session=False)
            ).all()
        )
    return found
