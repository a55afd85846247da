"""Steps: claimed under a lease, saved behind a fence, tried again by decision.

Every function that changes a step locks its job first (`lock_job`), because a job's `advance` locks the
job and then its steps: two orders would deadlock. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased

from core.errors import NotFound
from core.ids import new_id
from db.work import ENDED_STEP, Attempt, Job, JobState, Step, StepState
from services.events import record

WORKABLE = (JobState.QUEUED, JobState.RUNNING, JobState.WAITING)
"""Job states in which its steps may be claimed."""


@dataclass(frozen=True)
class StepPlan:
    """A step that a phase promises. `key` is how other plans of the same phase need it."""

    kind: str
    subject_id: UUID | None = None
    variant: str = ""
    label: str = ""
    needs: tuple[tuple[str, UUID | None, str], ...] = ()

    @property
    def key(self) -> tuple[str, UUID | None, str]:
        return (self.kind, self.subject_id, self.variant)


@dataclass(frozen=True)
class Claim:
    """What a worker holds while it works: the row's identity and the fence."""

    step_id: UUID
    job_id: UUID
    workspace_id: UUID
    phase: str
    kind: str
    subject_id: UUID | None
    variant: str
    label: str
    params: dict[str, Any]
    attempt: int
    failures: int


def lock_job(session: Session, job_id: UUID) -> Job:
    job = session.get(Job, job_id, with_for_update={"key_share": True})
    if job is None:
        raise NotFound("There is no such job.", field="job_id")
    return job


def plan_steps(session: Session, job: Job, phase: str, plans: Sequence[StepPlan]) -> None:
    """Write the rows a phase promises; rows that are there already stay as they are."""
    ids = {
        (kind, subject, variant): step_id
        for step_id, kind, subject, variant in session.execute(
            select(Step.id, Step.kind, Step.subject_id, Step.variant).where(Step.job_id == job.id)
        )
    }
    rows = []
    for position, plan in enumerate(plans):
        if plan.key in ids:
            continue
        ids[plan.key] = new_id()
        rows.append(
            {
                "id": ids[plan.key],
                "workspace_id": job.workspace_id,
                "job_id": job.id,
                "phase": phase,
                "kind": plan.kind,
                "subject_id": plan.subject_id,
                "variant": plan.variant,
                "label": plan.label,
                "position": position,
                "needs": [ids[key] for key in plan.needs],
                "state": StepState.READY,
            }
        )
    for row in rows:
        session.execute(upsert(Step).values(**row).on_conflict_do_nothing())


def claim(session: Session, step_id: UUID, *, worker: str, task_id: str, lease: timedelta) -> Claim | None:
    """Take one step for work, or return None: ended, running elsewhere, not due, or its job has stopped.

    A job that went back a phase has open steps ahead of it; their turn comes with their phase.
    """
    job_id = session.scalar(select(Step.job_id).where(Step.id == step_id))
    if job_id is None:
        return None
    job = lock_job(session, job_id)
    if job.state not in WORKABLE:
        return None
    need = aliased(Step)
    open_needs = (
        select(need.id).where(need.id == func.any(Step.needs), need.state.not_in(ENDED_STEP)).exists()
    )
    row = session.execute(
        update(Step)
        .where(
            Step.id == step_id,
            Step.phase == job.phase,
            Step.state == StepState.READY,
            Step.not_before <= func.now(),
            ~open_needs,
        )
        .values(
            state=StepState.RUNNING,
            sent_at=func.now(),
            attempt=Step.attempt + 1,
            lease_until=func.now() + lease,
            worker=worker,
            task_id=task_id,
            started_at=func.now(),
            finished_at=None,
            progress=0.0,
            error_code=None,
            error_message=None,
        )
        .returning(
            Step.id,
            Step.job_id,
            Step.workspace_id,
            Step.phase,
            Step.kind,
            Step.subject_id,
            Step.variant,
            Step.label,
            Step.params,
            Step.attempt,
            Step.failures,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    held = Claim(*tuple[Any, ...](row))
    session.execute(
        insert(Attempt).values(
            step_id=step_id, number=held.attempt, worker=worker, task_id=task_id, started_at=func.now()
        )
    )
    _announce(session, held, "step.started", {})
    return held


def failed_needs(session: Session, step_id: UUID) -> list[Row[tuple[str, str, str | None, str | None]]]:
    """Kind, label, error code and message of every need that did not succeed."""
    needs = select(func.unnest(Step.needs)).where(Step.id == step_id).scalar_subquery()
    return list(
        session.execute(
            select(Step.kind, Step.label, Step.error_code, Step.error_message)
            .where(Step.id.in_(needs), Step.state != StepState.SUCCEEDED)
            .order_by(Step.position)
        )
    )


def extend_lease(session: Session, held: Claim, *, lease: timedelta, progress: float | None) -> bool:
    """Say that the work goes on. False: the claim is lost or the job is being stopped; stop working."""
    values: dict[str, Any] = {"lease_until": func.now() + lease}
    if progress is not None:
        values["progress"] = progress
    alive = session.execute(
        update(Step)
        .where(
            _fenced(held),
            Step.job_id == Job.id,
            Job.state.in_(WORKABLE),
        )
        .values(**values)
        .returning(Step.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return alive is not None


def hold_fence(session: Session, held: Claim) -> bool:
    """Lock job and step for saving. False: another attempt owns the step now, or the job has stopped."""
    job = lock_job(session, held.job_id)
    if job.state not in WORKABLE:
        return False
    return session.scalar(select(Step.id).where(_fenced(held)).with_for_update()) is not None


def finish(
    session: Session,
    held: Claim,
    *,
    result: dict[str, Any],
    input_hash: str | None,
    reused_from: UUID | None,
    figures: dict[str, Any],
) -> None:
    """Mark a held step succeeded; call after `hold_fence` in the same transaction."""
    session.execute(
        update(Step)
        .where(_fenced(held))
        .values(
            state=StepState.SUCCEEDED,
            result=result,
            input_hash=input_hash,
            reused_from=reused_from,
            progress=1.0,
            lease_until=None,
            finished_at=func.now(),
            seconds=func.extract("epoch", func.clock_timestamp() - Step.started_at),
        )
        .execution_options(synchronize_session=False)
    )
    _close_attempt(session, held, "succeeded", figures=figures)
    _announce(session, held, "step.succeeded", {"reused": reused_from is not None})


def give_back(
    session: Session,
    held: Claim,
    *,
    state: StepState,
    outcome: str,
    code: str,
    message: str,
    delay: float = 0.0,
    blame: bool = True,
) -> None:
    """End an attempt without success: `ready` to try again after `delay` seconds, else an end state.

    `blame` counts it towards the step's limit of failures.
    """
    changed = session.execute(
        update(Step)
        .where(_fenced(held))
        .values(
            state=state,
            lease_until=None,
            not_before=func.now() + timedelta(seconds=delay),
            sent_at=func.now(),
            failures=Step.failures + (1 if blame else 0),
            finished_at=None if state is StepState.READY else func.now(),
            error_code=code,
            error_message=message[:2000],
        )
        .returning(Step.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if changed is None:
        return
    _close_attempt(session, held, outcome, code=code, message=message)
    _announce(session, held, f"step.{outcome}", {"code": code, "message": message[:500], "delay": delay})


def find_equal(session: Session, workspace_id: UUID, kind: str, input_hash: str) -> Step | None:
    """The latest succeeded step of this kind with equal inputs, in any job of the workspace."""
    return session.scalar(
        select(Step)
        .where(
            Step.workspace_id == workspace_id,
            Step.kind == kind,
            Step.input_hash == input_hash,
            Step.state == StepState.SUCCEEDED,
        )
        .order_by(Step.finished_at.desc())
        .limit(1)
    )


def reclaim_expired(session: Session, *, limit: int = 50, failures_allowed: int = 5) -> list[UUID]:
    """Take back steps whose worker went silent; returns the jobs concerned.

    A step that loses its worker again and again ends as failed: it probably kills them.
    """
    rows = session.execute(
        select(Step.id, Step.job_id)
        .where(Step.state == StepState.RUNNING, Step.lease_until < func.now())
        .order_by(Step.lease_until)
        .limit(limit)
    ).all()
    jobs = []
    for step_id, job_id in rows:
        lock_job(session, job_id)
        row = session.scalar(
            select(Step)
            .where(Step.id == step_id, Step.state == StepState.RUNNING, Step.lease_until < func.now())
            .with_for_update()
        )
        if row is None:
            continue
        held = Claim(
            row.id,
            row.job_id,
            row.workspace_id,
            row.phase,
            row.kind,
            row.subject_id,
            row.variant,
            row.label,
            row.params,
            row.attempt,
            row.failures,
        )
        final = row.failures + 1 >= failures_allowed
        give_back(
            session,
            held,
            state=StepState.FAILED if final else StepState.READY,
            outcome="lost",
            code="worker_lost",
            message=f"Its worker ({row.worker}) went silent; "
            + ("given up." if final else "it will be tried again."),
        )
        jobs.append(job_id)
    return jobs


def list_steps(session: Session, job_id: UUID) -> list[Step]:
    return list(session.scalars(select(Step).where(Step.job_id == job_id).order_by(Step.id)))


def lost_messages(session: Session, *, quiet_seconds: float, limit: int = 200) -> list[Step]:
    """Steps that could be claimed now and whose last message is `quiet_seconds` old, or was never sent."""
    need = aliased(Step)
    open_needs = (
        select(need.id).where(need.id == func.any(Step.needs), need.state.not_in(ENDED_STEP)).exists()
    )
    quiet = func.now() - timedelta(seconds=quiet_seconds)
    recent_need = select(need.id).where(need.id == func.any(Step.needs), need.finished_at > quiet).exists()
    return list(
        session.scalars(
            select(Step)
            .join(Job, Job.id == Step.job_id)
            .where(
                Job.state.in_(WORKABLE),
                Job.phase == Step.phase,
                Step.state == StepState.READY,
                Step.not_before <= quiet,
                (Step.sent_at.is_(None)) | (Step.sent_at <= quiet),
                ~open_needs,
                ~recent_need,
            )
            .order_by(Job.priority.desc(), Step.not_before)
            .limit(limit)
            .with_for_update(of=Step, skip_locked=True)
        )
    )


def claimable(session: Session, job_id: UUID) -> list[Step]:
    """Ready steps of a job that could be claimed now."""
    need = aliased(Step)
    open_needs = (
        select(need.id).where(need.id == func.any(Step.needs), need.state.not_in(ENDED_STEP)).exists()
    )
    return list(
        session.scalars(
            select(Step)
            .join(Job, Job.id == Step.job_id)
            .where(
                Step.job_id == job_id,
                Step.phase == Job.phase,
                Step.state == StepState.READY,
                Step.not_before <= func.now(),
                ~open_needs,
            )
            .order_by(Step.position)
        )
    )


def mark_sent(session: Session, step_ids: Sequence[UUID]) -> None:
    session.execute(
        update(Step)
        .where(Step.id.in_(step_ids))
        .values(sent_at=func.now())
        .execution_options(synchronize_session=False)
    )


def reopen(
    session: Session, job: Job, step_ids: Sequence[UUID], *, params: dict[str, Any] | None = None
) -> None:
    """Have ended steps done again; their history stays in `attempts`."""
    asked = {} if params is None else {"params": params}
    session.execute(
        update(Step)
        .where(Step.job_id == job.id, Step.id.in_(step_ids), Step.state.in_(ENDED_STEP))
        .values(
            state=StepState.READY,
            failures=0,
            progress=0.0,
            not_before=func.now(),
            sent_at=None,
            finished_at=None,
            seconds=None,
            error_code=None,
            error_message=None,
            reused_from=None,
            **asked,
        )
        .execution_options(synchronize_session=False)
    )


def _fenced(held: Claim) -> Any:
    return (Step.id == held.step_id) & (Step.attempt == held.attempt) & (Step.state == StepState.RUNNING)


def _close_attempt(
    session: Session,
    held: Claim,
    outcome: str,
    *,
    code: str | None = None,
    message: str | None = None,
    figures: dict[str, Any] | None = None,
) -> None:
    session.execute(
        update(Attempt)
        .where(Attempt.step_id == held.step_id, Attempt.number == held.attempt)
        .values(
            finished_at=func.now(),
            outcome=outcome,
            error_code=code,
            error_message=message[:2000] if message else None,
            figures=figures or {},
        )
        .execution_options(synchronize_session=False)
    )


def _announce(session: Session, held: Claim, kind: str, more: dict[str, Any]) -> None:
    record(
        session,
        workspace_id=held.workspace_id,
        job_id=held.job_id,
        kind=kind,
        asset_id=held.subject_id,
        payload={
            "step_id": str(held.step_id),
            "kind": held.kind,
            "label": held.label,
            "variant": held.variant,
            "attempt": held.attempt,
            **more,
        },
    )
