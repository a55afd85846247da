"""How sources stand: what they failed at, for a month, and a word to people when one fails on and on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.redact import redact
from db.sources import SourceError, SourceStanding
from services import events
from services.paging import Page, Window, read_page

FAILURES_TO_TELL = 5
"""In a row; then an event is recorded, and another when it answers again."""
KEPT_DAYS = 30
_FRESH = timedelta(minutes=1)
"""An answer that is younger says the same as another one; rows of busy sources are left alone."""
_LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Asker:
    """Who asked a source: the step of a job."""

    workspace_id: UUID
    job_id: UUID
    step: str


def note_failure(
    session: Session, asker: Asker, source: str, *, code: str, message: str, counts: bool = True
) -> None:
    """Log a failure; `counts` where it is the source's own, and not that it may not be asked now."""
    text = redact(message)[:_LONGEST_MESSAGE]
    standing = _hold(session, asker.workspace_id, source)
    standing.failed_at = func.now()
    standing.failures += counts
    session.add(
        SourceError(
            workspace_id=asker.workspace_id,
            source=source,
            code=code[:64],
            message=text,
            job_id=asker.job_id,
            step=asker.step[:140],
        )
    )
    if standing.failures >= FAILURES_TO_TELL and not standing.alerted:
        standing.alerted = True
        _tell(
            session,
            asker,
            "source.failing",
            source=source,
            failures=standing.failures,
            code=code,
            message=text,
        )


def note_answer(session: Session, asker: Asker, source: str) -> None:
    """Note that a source answers."""
    fresh = session.scalar(
        select(SourceStanding.failures == 0).where(
            SourceStanding.workspace_id == asker.workspace_id,
            SourceStanding.source == source,
            SourceStanding.answered_at > func.now() - _FRESH,
        )
    )
    if fresh:
        return
    standing = _hold(session, asker.workspace_id, source)
    if standing.alerted:
        _tell(session, asker, "source.answering", source=source, failures=standing.failures)
    standing.failures, standing.alerted, standing.answered_at = 0, False, func.now()


def read_standings(session: Session, workspace_id: UUID) -> dict[str, SourceStanding]:
    rows = session.scalars(select(SourceStanding).where(SourceStanding.workspace_id == workspace_id))
    return {row.source: row for row in rows}


def last_errors(session: Session, workspace_id: UUID) -> dict[str, SourceError]:
    """The newest failure of each source."""
    rows = session.scalars(
        select(SourceError)
        .where(SourceError.workspace_id == workspace_id)
        .ext(distinct_on(SourceError.source))
        .order_by(SourceError.source, SourceError.id.desc())
    )
    return {row.source: row for row in rows}


def list_errors(session: Session, workspace_id: UUID, source: str, window: Window) -> Page[SourceError]:
    statement = select(SourceError).where(
        SourceError.workspace_id == workspace_id, SourceError.source == source
    )
    return read_page(session, statement, SourceError.id, window)


def forget_errors(session: Session) -> int:
    """Delete what is older than a month; returns how many."""
    old = SourceError.created_at < func.now() - timedelta(days=KEPT_DAYS)
    return len(session.scalars(delete(SourceError).where(old).returning(SourceError.id)).all())


def _hold(session: Session, workspace_id: UUID, source: str) -> SourceStanding:
    """Lock the source's row, made at need: two steps that see its fifth failure tell of it once."""
    key = {"workspace_id": workspace_id, "source": source}
    session.execute(upsert(SourceStanding).values(**key).on_conflict_do_nothing())
    return session.get_one(SourceStanding, key, with_for_update=True, populate_existing=True)


def _tell(session: Session, asker: Asker, kind: str, **payload: object) -> None:
    events.record(
        session, workspace_id=asker.workspace_id, job_id=asker.job_id, kind=kind, payload=dict(payload)
    )
