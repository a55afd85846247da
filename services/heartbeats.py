"""What processes without another trace said of themselves, and the counts an operator watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select, text
from sqlalchemy.orm import Session, aliased

from db.submissions import OPEN_SUBMISSION, Submission
from db.work import (
    ENDED_STEP,
    Heartbeat,
    Job,
    JobState,
    Step,
    StepState,
    WaitsFor,
)
from services.steps import WORKABLE


@dataclass(frozen=True)
class Beat:
    """`age` is in seconds of the database's clock."""

    name: str
    age: float
    facts: dict[str, Any]


def read_beats(session: Session) -> list[Beat]:
    rows = session.execute(
        select(
            Heartbeat.name, func.extract("epoch", func.now() - Heartbeat.beaten_at), Heartbeat.facts
        ).order_by(Heartbeat.name)
    )
    return [Beat(name, float(age), facts) for name, age, facts in rows]


def ping_database(session: Session) -> str:
    """The server's version; raises what the driver raises when there is none."""
    version: str = session.execute(text("SHOW server_version")).scalar_one()
    return version


def count_jobs(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(
        select(Job.kind, Job.state, func.count())
        .where(Job.deleted_at.is_(None))
        .group_by(Job.kind, Job.state)
    )
    return {(kind.value, state.value): count for kind, state, count in rows}


def count_steps(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(select(Step.kind, Step.state, func.count()).group_by(Step.kind, Step.state))
    return {(kind, state.value): count for kind, state, count in rows}


@dataclass(frozen=True)
class Load:
    """Steps of one kind that could be claimed now or are worked on; `oldest` is in seconds."""

    kind: str
    state: str
    count: int
    oldest: float


def measure_load(session: Session) -> list[Load]:
    """Steps that wait for nothing but a worker, and steps at work."""
    need = aliased(Step)
    blocked = select(need.id).where(need.id == func.any(Step.needs), need.state.not_in(ENDED_STEP)).exists()
    due = (
        (Step.state == StepState.READY)
        & (Step.not_before <= func.now())
        & Job.state.in_(WORKABLE)
        & (Job.phase == Step.phase)
        & ~blocked
    )
    since = case((Step.state == StepState.READY, Step.not_before), else_=Step.started_at)
    rows = session.execute(
        select(Step.kind, Step.state, func.count(), func.extract("epoch", func.now() - func.min(since)))
        .join(Job, Job.id == Step.job_id)
        .where(due | (Step.state == StepState.RUNNING))
        .group_by(Step.kind, Step.state)
    )
    return [Load(kind, state.value, count, float(age or 0)) for kind, state, count, age in rows]


def count_expired_leases(session: Session) -> int:
    """Steps whose worker went silent and which no sweeper has taken back yet."""
    expired = (Step.state == StepState.RUNNING) & (Step.lease_until < func.now())
    return session.scalar(select(func.count()).select_from(Step).where(expired)) or 0


def count_waiting(session: Session) -> dict[str, int]:
    """Waiting jobs by what they wait for; every reason is there, so that a zero is seen."""
    rows = session.execute(
        select(Job.waits_for, func.count()).where(Job.state == JobState.WAITING).group_by(Job.waits_for)
    )
    return {what.value: 0 for what in WaitsFor} | {what.value: count for what, count in rows if what}


def count_open_submissions(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(
        select(Submission.provider, Submission.state, func.count())
        .where(Submission.state.in_(OPEN_SUBMISSION))
        .group_by(Submission.provider, Submission.state)
    )
    return {(provider, state.value): count for provider, state, count in rows}


def oldest_ready(session: Session) -> dict[str, float]:
    """Seconds the longest-waiting due step of each kind has waited."""
    rows = session.execute(
        select(Step.kind, func.extract("epoch", func.now() - func.min(Step.not_before)))
        .where(Step.state == StepState.READY, Step.not_before <= func.now())
        .group_by(Step.kind)
    )
    return {kind: float(age) for kind, age in rows}
