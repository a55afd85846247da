"""What processes without another trace said of themselves, and the counts an operator watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.work import Heartbeat, Job, Step, StepState


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


def oldest_ready(session: Session) -> dict[str, float]:
    """Seconds the longest-waiting due step of each kind has waited."""
    rows = session.execute(
        select(Step.kind, func.extract("epoch", func.now() - func.min(Step.not_before)))
        .where(Step.state == StepState.READY, Step.not_before <= func.now())
        .group_by(Step.kind)
    )
    return {kind: float(age) for kind, age in rows}
