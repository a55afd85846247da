"""Steps: planned, listed, sent, reopened. How one is claimed and saved is in services/claims.py.

Every function that changes a step locks its job first (`lock_job`), because a job's `advance` locks the
job and then its steps: two orders would deadlock. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased

from core.errors import NotFound
from core.ids import new_id
from db.work import ENDED_STEP, Attempt, Job, JobState, Step, StepState

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
    weight: float = 1.0
    """Seconds it is expected to take."""

    @property
    def key(self) -> tuple[str, UUID | None, str]:
        return (self.kind, self.subject_id, self.variant)


def lock_job(session: Session, job_id: UUID) -> Job:
    job = session.get(Job, job_id, with_for_update={"key_share": True})
    if job is None:
        raise NotFound("There is no such job.", field="job_id")
    return job


def plan_steps(session: Session, job: Job, phase: str, plans: Sequence[StepPlan]) -> None:
    """Write the rows a phase promises; those that are there already keep what they are and have made.

    Only their place is brought up to date: shots may have come, gone and moved since.
    """
    known = {
        (row.kind, row.subject_id, row.variant): row
        for row in session.execute(
            select(
                Step.id, Step.kind, Step.subject_id, Step.variant, Step.label, Step.position, Step.needs
            ).where(Step.job_id == job.id)
        )
    }
    ids = {key: row.id for key, row in known.items()}
    fresh = []
    for position, plan in enumerate(plans):
        row = known.get(plan.key)
        ids.setdefault(plan.key, new_id())
        place = {"label": plan.label, "position": position, "needs": [ids[key] for key in plan.needs]}
        if row is None:
            fresh.append(
                {
                    "id": ids[plan.key],
                    "workspace_id": job.workspace_id,
                    "job_id": job.id,
                    "phase": phase,
                    "kind": plan.kind,
                    "subject_id": plan.subject_id,
                    "variant": plan.variant,
                    "weight": plan.weight,
                    "state": StepState.READY,
                    **place,
                }
            )
        elif place != {"label": row.label, "position": row.position, "needs": row.needs}:
            session.execute(
                update(Step)
                .where(Step.id == row.id)
                .values(**place)
                .execution_options(synchronize_session=False)
            )
    if fresh:
        session.execute(upsert(Step).on_conflict_do_nothing(), fresh)


def find_equal(
    session: Session, workspace_id: UUID, kind: str, input_hash: str, *, own: UUID | None = None
) -> Step | None:
    """The latest succeeded step of this kind with equal inputs, in any job of the workspace.

    `own` is the step that asks: what it made before counts too, and first.
    """
    return session.scalar(
        select(Step)
        .where(
            Step.workspace_id == workspace_id,
            Step.kind == kind,
            Step.input_hash == input_hash,
            (Step.state == StepState.SUCCEEDED) | (Step.id == own),
        )
        .order_by((Step.id == own).desc(), Step.finished_at.desc())
        .limit(1)
    )


def list_steps(session: Session, job_id: UUID) -> list[Step]:
    return list(session.scalars(select(Step).where(Step.job_id == job_id).order_by(Step.id)))


def list_attempts(session: Session, job_id: UUID) -> dict[UUID, list[Attempt]]:
    """Every try of every step of a job, first tries first."""
    found: dict[UUID, list[Attempt]] = {}
    for attempt in session.scalars(
        select(Attempt)
        .join(Step, Step.id == Attempt.step_id)
        .where(Step.job_id == job_id)
        .order_by(Attempt.number)
    ):
        found.setdefault(attempt.step_id, []).append(attempt)
    return found


def lost_messages(session: Session, *, quiet_seconds: float, limit: int = 200) -> list[Step]:
    """Steps that could be claimed now and whose last message is `quiet_seconds` old, or was never sent."""
    need = aliased(Step)
    open_needs = (
        select(need.id).where(need.id == func.any(Step.needs), need.state.not_in(ENDED_STEP)).exists()
    )
    quiet = func.now() - timedelta(seconds=quiet_seconds)
    lately = need.finished_at.between(quiet, func.now())  # what lies ahead was before the clock was set back
    recent_need = select(need.id).where(need.id == func.any(Step.needs), lately).exists()
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
            short_amount=None,
            short_currency=None,
            finished_at=None,
            seconds=None,
            error_code=None,
            error_message=None,
            reused_from=None,
            **asked,
        )
        .execution_options(synchronize_session=False)
    )
