"""The event log: what long-polls, streams and webhooks are fed from."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from core.errors import NotFound
from db.work import Event, Job


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


def latest_seq(session: Session, workspace_id: UUID, job_id: UUID) -> int:
    """Number of the job's last event; 0 before the first. Cheap enough to ask several times a second."""
    seq = session.scalar(select(Job.event_seq).where(Job.workspace_id == workspace_id, Job.id == job_id))
    if seq is None:
        raise NotFound("There is no such job.", field="job_id")
    return seq
