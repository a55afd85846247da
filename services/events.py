"""The event log: what long-polls, streams and webhooks are fed from."""

from __future__ import annotations

from collections import deque
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from db.work import ENDED_JOB, Event, Job


def record(
    session: Session,
    *,
    workspace_id: UUID,
    job_id: UUID,
    kind: str,
    payload: dict[str, Any] | None = None,
    asset_id: UUID | None = None,
) -> int:
    """Append one event of a job; returns its number.

    The number is taken under the job's row lock, so a job's events become visible in order and
    without gaps: a reader that asks for what came after `n` misses nothing.
    """
    seq: int = session.execute(
        update(Job).where(Job.id == job_id).values(event_seq=Job.event_seq + 1).returning(Job.event_seq)
    ).scalar_one()
    session.execute(
        insert(Event).values(
            workspace_id=workspace_id,
            job_id=job_id,
            seq=seq,
            asset_id=asset_id,
            type=kind,
            payload=payload or {},
        )
    )
    return seq


def list_events(
    session: Session, workspace_id: UUID, job_id: UUID, *, after_seq: int = 0, limit: int = 200
) -> list[Event]:
    rows = session.scalars(
        select(Event)
        .where(Event.workspace_id == workspace_id, Event.job_id == job_id, Event.seq > after_seq)
        .order_by(Event.seq)
        .limit(limit)
    )
    return list(rows)


def list_project_events(
    session: Session, workspace_id: UUID, project_id: UUID, after: int, upto: int, *, limit: int = 200
) -> list[Event]:
    """What happened to a project's jobs, by the numbers that all events share: after one, up to another."""
    rows = session.scalars(
        select(Event)
        .join(Job, Job.id == Event.job_id)
        .where(Event.workspace_id == workspace_id, Event.id > after, Event.id <= upto)
        .where(Job.project_id == project_id)
        .order_by(Event.id)
        .limit(limit)
    )
    return list(rows)


def jobs_at_work(session: Session, project_id: UUID, *, limit: int = 20) -> list[Job]:
    """The jobs of a project that have not ended, the newest."""
    alive = Job.state.not_in(ENDED_JOB) & Job.deleted_at.is_(None)
    newest = select(Job).where(Job.project_id == project_id, alive).order_by(Job.id.desc())
    return list(session.scalars(newest.limit(limit)))


class Settled:
    """Up to which number events are complete, for a reader who goes on after the last that it saw.

    Numbers are given when an event is written and events show when they are committed, so a lower number may
    show after a higher one. What was seen is complete once every transaction that was open then has ended.
    """

    def __init__(self) -> None:
        self._upto = 0
        self._seen: deque[tuple[int, int]] = deque()

    def upto(self, session: Session) -> int:
        newest, oldest_open, next_one = session.execute(_HORIZON).one()
        self._seen.append((newest, next_one))
        while self._seen and self._seen[0][1] <= oldest_open:
            self._upto = self._seen.popleft()[0]
        return self._upto


_HORIZON = text(
    "SELECT coalesce((SELECT max(id) FROM events), 0), pg_snapshot_xmin(now_)::text::bigint,"
    " pg_snapshot_xmax(now_)::text::bigint FROM pg_current_snapshot() AS now_"
)
