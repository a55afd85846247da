"""Jobs that take too long: stopped as if somebody had cancelled them, and failed with a reason."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.settings import get_settings
from db.review import Approval, ApprovalState
from db.work import Job, JobKind, JobState, Step, StepState
from services import progress
from services.events import record
from services.steps import WORKABLE, lock_job

TIMED_OUT = "timed_out"


def seconds_for(kind: JobKind, minutes: float | None) -> int | None:
    """How long a job may take: what its client said, else this installation's limit; films have none.

    A film waits for people, for whom there is a time limit of its own at each gate.
    """
    if minutes is not None:
        return max(1, ceil(minutes * 60))
    hours = get_settings().job_timeout_hours
    return None if kind is JobKind.FILM or not hours else ceil(hours * 3600)


def renew(job: Job) -> None:
    """Give a job that is taken up again its whole time."""
    seconds = job.timeout_seconds
    job.deadline_at = None if seconds is None else func.now() + timedelta(seconds=seconds)


def overdue_jobs(session: Session, *, limit: int = 100) -> list[UUID]:
    return list(
        session.scalars(
            select(Job.id).where(Job.deadline_at < func.now(), Job.state.in_(WORKABLE)).limit(limit)
        )
    )


def time_out(session: Session, job_id: UUID) -> bool:
    """Stop an overdue job and write down why; False when it has ended or got more time meanwhile.

    `advance` fails it as soon as none of its steps runs any more.
    """
    job = lock_job(session, job_id)
    late = session.scalar(select(Job.deadline_at < func.now()).where(Job.id == job_id))
    if job.state not in WORKABLE or not late:
        return False
    job.error_code, job.error_message = TIMED_OUT, _why(session, job)
    stop(session, job)
    payload: dict[str, Any] = {"message": job.error_message}
    record(session, workspace_id=job.workspace_id, job_id=job.id, kind="job.timed_out", payload=payload)
    return True


def stop(session: Session, job: Job) -> None:
    """Begin a locked job's end: what nobody has begun is called off, what runs is told within seconds."""
    job.progress = progress.measure(session, job)["progress"] or 0.0
    job.state = JobState.CANCELLING
    job.waits_for = None
    job.waits_reason = None
    session.execute(
        update(Step)
        .where(Step.job_id == job.id, Step.state == StepState.READY)
        .values(state=StepState.CANCELLED, finished_at=func.now())
    )
    session.execute(
        update(Approval)
        .where(Approval.job_id == job.id, Approval.state == ApprovalState.PENDING)
        .values(state=ApprovalState.WITHDRAWN)
    )


def _why(session: Session, job: Job) -> str:
    """What it was at when its time was over, for people."""
    took = f"It was not done within {_span(job.timeout_seconds or 0)}"
    if job.waits_for is not None:
        return f"{took}: it waited for {_WAITED[job.waits_for.value]}. {job.waits_reason or ''}".strip()
    running = session.scalars(
        select(Step).where(Step.job_id == job.id, Step.state == StepState.RUNNING).order_by(Step.started_at)
    ).first()
    if running is None:
        return f"{took}: no worker was free for its next step. Retry it, or give it more time."
    doing = f"{running.kind} {running.label}".strip()
    return f"{took}: {doing} was {running.progress:.0%} done. Give it more time, or send a shorter clip."


_WAITED = {"provider": "a provider", "reviewer": "a person's answer", "budget": "money"}


def _span(seconds: int) -> str:
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds} s"
