"""Steps that wait for money: parked without blame, woken when what they need has become affordable.

A short step is `ready` and not due before `infinity`, so nobody claims it and no sweeper sends it again.
What was woken keeps its amount until it ends: it is promised, and not promised to another step as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, literal_column, select, update
from sqlalchemy.orm import Session

from core.money import say_money
from db.work import Job, JobState, Step, StepState, WaitsFor
from services.caps import Cap, Payer, caps_in_force, caps_of, explain, refusing
from services.claims import Claim
from services.events import record
from services.steps import WORKABLE, lock_job

NEVER: ColumnElement[datetime] = literal_column("'infinity'::timestamptz")
_PARKED: ColumnElement[bool] = (
    (Step.state == StepState.READY) & Step.short_amount.is_not(None) & (Step.not_before == NEVER)
)
_JOBS_AT_ONCE = 500


def park_short(session: Session, held: Claim, *, amount: int, currency: str) -> None:
    """Have a step that was just given back wait until `amount` is affordable."""
    session.execute(
        update(Step)
        .where(Step.id == held.step_id, Step.attempt == held.attempt, Step.state == StepState.READY)
        .values(not_before=NEVER, short_amount=amount, short_currency=currency)
        .execution_options(synchronize_session=False)
    )


def is_short(row: Step) -> bool:
    return row.state is StepState.READY and row.short_amount is not None and row.not_before.year == 9999


def stopped_by_money(rows: Iterable[Step]) -> list[Step]:
    """The short steps of a phase, if nothing else of it can go on: all that is open waits for them."""
    unfinished = [row for row in rows if row.state in (StepState.READY, StepState.RUNNING)]
    stopped = {row.id for row in unfinished if is_short(row)}
    while more := [row for row in unfinished if row.id not in stopped and not stopped.isdisjoint(row.needs)]:
        stopped |= {row.id for row in more}
    return [row for row in unfinished if is_short(row)] if len(stopped) == len(unfinished) else []


def explain_shortage(session: Session, job: Job, short: Sequence[Step]) -> str:
    """Say which step needs how much, which caps stand in its way, and what to do about each."""
    first = min(short, key=lambda row: (row.position, row.id))
    amount, currency = first.short_amount or 0, first.short_currency or "USD"
    caps = caps_in_force(session, Payer(job.workspace_id, job.project_id, job.id), currency)
    why = explain(refusing(caps, amount), amount) or "It has become affordable, and goes on within seconds."
    more = f" {len(short) - 1} more wait with it." if len(short) > 1 else ""
    return f"{f'{first.kind} {first.label}'.strip()} needs {say_money(amount, currency)}. {why}{more}"


def short_workspaces(session: Session) -> list[UUID]:
    """Workspaces in which something waits for money."""
    return list(session.scalars(select(Step.workspace_id).where(_PARKED).distinct()))


def find_affordable(session: Session, workspace_id: UUID) -> dict[UUID, list[UUID]]:
    """The short steps that could be paid for now, all together, by job; the most important job first."""
    rows = session.execute(
        select(Step.id, Step.job_id, Job.project_id, Step.short_amount, Step.short_currency)
        .join(Job, Job.id == Step.job_id)
        .where(Step.workspace_id == workspace_id, _PARKED, Job.state.in_(WORKABLE))
        .order_by(Job.priority.desc(), Job.id, Step.position, Step.id)
        .limit(_JOBS_AT_ONCE)
    ).all()
    found: dict[UUID, list[UUID]] = {}
    for currency in dict.fromkeys(row.short_currency for row in rows):
        wanting = [row for row in rows if row.short_currency == currency]
        rooms = _Rooms(session, workspace_id, currency or "USD", wanting)
        for row in wanting:
            if rooms.take(Payer(workspace_id, row.project_id, row.job_id), row.short_amount or 0):
                found.setdefault(row.job_id, []).append(row.id)
    return found


class _Rooms:
    """What is left under each cap, less what was promised to steps that have been woken."""

    def __init__(
        self, session: Session, workspace_id: UUID, currency: str, wanting: Sequence[Row[*tuple[Any, ...]]]
    ) -> None:
        payers = {Payer(workspace_id, row.project_id, row.job_id) for row in wanting}
        self._caps = caps_of(session, workspace_id, list(payers), currency)
        self._promised: dict[tuple[str, UUID | None], int] = {}
        for job_id, project_id, amount in session.execute(
            select(Step.job_id, Job.project_id, func.sum(Step.short_amount))
            .join(Job, Job.id == Step.job_id)
            .where(
                Step.workspace_id == workspace_id,
                Step.short_currency == currency,
                Step.short_amount.is_not(None),
                Step.state.in_((StepState.READY, StepState.RUNNING)),
                Step.not_before != NEVER,
                Job.state.in_(WORKABLE),
            )
            .group_by(Step.job_id, Job.project_id)
        ):
            self._promise(Payer(workspace_id, project_id, job_id), int(amount or 0))

    def take(self, payer: Payer, amount: int) -> bool:
        """Promise `amount` if it fits under every cap of `payer`."""
        if any(amount > cap.room - self._promised.get(_pool(cap, payer), 0) for cap in self._caps[payer]):
            return False
        self._promise(payer, amount)
        return True

    def _promise(self, payer: Payer, amount: int) -> None:
        pools = (
            ("job", payer.job_id),
            ("project", payer.project_id),
            ("workspace_day", None),
            ("wallet", None),
        )
        for pool in pools:
            self._promised[pool] = self._promised.get(pool, 0) + amount


def _pool(cap: Cap, payer: Payer) -> tuple[str, UUID | None]:
    return (cap.scope, {"job": payer.job_id, "project": payer.project_id}.get(cap.scope))


def wake(session: Session, job_id: UUID, step_ids: Sequence[UUID]) -> None:
    """Make short steps due; `advance` sends them. Those that ended meanwhile stay ended."""
    job = lock_job(session, job_id)
    if job.state not in WORKABLE:
        return
    woken = session.scalars(
        update(Step)
        .where(Step.id.in_(step_ids), _PARKED)
        .values(not_before=func.now(), sent_at=None, error_code=None, error_message=None)
        .returning(Step.id)
        .execution_options(synchronize_session=False)
    ).all()
    if woken:
        record(
            session,
            workspace_id=job.workspace_id,
            job_id=job.id,
            kind="budget.available",
            payload={"steps": [str(step_id) for step_id in woken]},
        )


def waiting_jobs(session: Session, workspace_id: UUID, *, limit: int = 100) -> list[UUID]:
    """Jobs of a workspace that wait for money."""
    return list(
        session.scalars(
            select(Job.id)
            .where(Job.workspace_id == workspace_id, Job.waits_for == WaitsFor.BUDGET)
            .order_by(Job.id)
            .limit(limit)
        )
    )


def refresh_reason(session: Session, job_id: UUID) -> None:
    """Have a waiting job say what is missing now, after a person changed a cap or topped up."""
    job = lock_job(session, job_id)
    short = session.scalars(select(Step).where(Step.job_id == job_id, _PARKED)).all()
    if job.waits_for is WaitsFor.BUDGET and short:
        job.waits_reason = explain_shortage(session, job, short)


def unsettled_jobs(session: Session, *, limit: int = 100) -> list[UUID]:
    """Running jobs with short steps that nobody has looked at for a while: they may have to wait."""
    short = select(Step.id).where(Step.job_id == Job.id, _PARKED).exists()
    return list(
        session.scalars(
            select(Job.id)
            .where(
                Job.state == JobState.RUNNING,
                Job.advanced_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 3),
                short,
            )
            .limit(limit)
        )
    )
