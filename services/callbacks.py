"""Vendors' callbacks: each kept once, found its submission, forgotten after a while."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.ids import new_id
from db.callbacks import CallbackEvent
from db.submissions import AT_VENDOR, Submission, SubmissionState
from services.slots import in_seconds

MESSAGE_SECONDS = 10.0
PATIENCE_SECONDS = 600.0
"""How long news may be about a submission that nobody here knows: its sender writes the vendor's id first."""
TRY_AGAIN_SECONDS = 2.0
KEPT_DAYS = 7
"""Longer than any vendor repeats itself, or lets a signature be old."""
HEARD_SECONDS = 3600.0
"""A vendor that called back within this is taken to do so again."""


def keep(
    session: Session,
    provider: str,
    event_id: str,
    *,
    answers: Sequence[Any],
    ask: Sequence[str],
    token: str | None = None,
) -> UUID | None:
    """Write a vendor's news down, with the token of the address it came to; None: it is a replay."""
    return session.scalar(
        insert(CallbackEvent)
        .values(
            id=new_id(),
            provider=provider,
            event_id=event_id[:300],
            answers=list(answers),
            ask=list(ask),
            client_token=token,
            next_try_at=in_seconds(MESSAGE_SECONDS),
        )
        .on_conflict_do_nothing(index_elements=["provider", "event_id"])
        .returning(CallbackEvent.id)
    )


def claim_due(session: Session, *, limit: int = 200) -> list[CallbackEvent]:
    """Take news that nobody has dealt with: its message was lost, or it came too early."""
    return _claim(session, CallbackEvent.next_try_at <= func.now(), limit=limit)


def claim(session: Session, event: UUID) -> list[CallbackEvent]:
    """Take one piece of news, unless it is done with or somebody has it."""
    return _claim(session, CallbackEvent.id == event, CallbackEvent.next_try_at.is_not(None), limit=1)


def _claim(session: Session, *conditions: Any, limit: int) -> list[CallbackEvent]:
    mine = (
        select(CallbackEvent.id)
        .where(*conditions)
        .order_by(CallbackEvent.next_try_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("mine")
    )
    return list(
        session.scalars(
            update(CallbackEvent)
            .where(CallbackEvent.id == mine.c.id)
            .values(next_try_at=in_seconds(MESSAGE_SECONDS))
            .returning(CallbackEvent)
            .execution_options(synchronize_session=False)
        )
    )


def find_submissions(session: Session, provider: str, vendor_ids: Collection[str]) -> dict[str, UUID]:
    rows = session.execute(
        select(Submission.vendor_id, Submission.id).where(
            Submission.provider == provider, Submission.vendor_id.in_(vendor_ids)
        )
    )
    return {str(vendor_id): submission_id for vendor_id, submission_id in rows}


def find_unconfirmed(session: Session, provider: str, token: str | None) -> UUID | None:
    """The submission of this token, if nobody knows whether its vendor accepted it and its sender is gone."""
    if token is None:
        return None
    return session.scalar(
        select(Submission.id).where(
            Submission.client_token == token,
            Submission.provider == provider,
            Submission.state == SubmissionState.UNCONFIRMED,
        )
    )


def ask_soon(session: Session, ids: Collection[UUID]) -> None:
    """Have these be asked about by the next poll."""
    session.execute(
        update(Submission)
        .where(Submission.id.in_(ids), Submission.state.in_(AT_VENDOR))
        .values(next_poll_at=func.now())
        .execution_options(synchronize_session=False)
    )


def settle(session: Session, event_id: UUID, *, complete: bool) -> None:
    """Be done with a piece of news; one that is not about ours is tried again until it never will be."""
    too_old = CallbackEvent.received_at < func.now() - timedelta(seconds=PATIENCE_SECONDS)
    done = update(CallbackEvent).where(CallbackEvent.id == event_id)
    if complete:
        session.execute(done.values(next_try_at=None, outcome="taken"))
        return
    session.execute(done.where(too_old).values(next_try_at=None, outcome="unknown"))
    session.execute(done.where(~too_old).values(next_try_at=in_seconds(TRY_AGAIN_SECONDS)))


def is_heard(session: Session, provider: str) -> bool:
    """Whether a vendor calls back: then it is asked only in case a callback gets lost."""
    lately = CallbackEvent.received_at > func.now() - timedelta(seconds=HEARD_SECONDS)
    return bool(session.scalar(select(select(1).where(CallbackEvent.provider == provider, lately).exists())))


def forget(session: Session) -> None:
    """Delete callbacks that no vendor will repeat any more."""
    session.execute(
        delete(CallbackEvent).where(CallbackEvent.received_at < func.now() - timedelta(days=KEPT_DAYS))
    )
