"""Claims: a step taken under a lease, kept alive, saved behind a fence.

This is what every step pays, so each part is one statement that locks the job first and then the step, as
`advance` does: two orders would deadlock. Events are numbered under the job's row lock; it is held for no
longer than the statement and its commit. All times are the database's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from db.prepared import Prepared
from db.work import Job, JobKind, Step, StepState

WORKABLE = "('queued', 'running', 'waiting')"
"""Job states in which its steps may be claimed and saved."""


@dataclass(frozen=True)
class HeldJob:
    """What a step's work may know of its job; read with the claim, never changed by it."""

    id: UUID
    workspace_id: UUID
    kind: JobKind
    params: dict[str, Any]
    film_id: UUID | None
    project_id: UUID | None
    request_id: str | None


@dataclass(frozen=True)
class FailedNeed:
    """A step that this one needs and that did not succeed."""

    kind: str
    label: str
    code: str | None
    message: str | None


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
    failed_needs: tuple[FailedNeed, ...] = ()


_JOB = f"""
job AS MATERIALIZED (
    SELECT * FROM jobs
    WHERE id = %s AND state IN {WORKABLE}
    FOR NO KEY UPDATE
)"""

_EVENT = """
numbered AS (
    UPDATE jobs SET event_seq = event_seq + 1 FROM step WHERE jobs.id = step.job_id RETURNING event_seq
),
event AS (
    INSERT INTO events (workspace_id, job_id, seq, asset_id, type, payload)
    SELECT step.workspace_id, step.job_id, numbered.event_seq, step.subject_id, $event,
        jsonb_build_object('step_id', step.id, 'kind', step.kind, 'label', step.label,
            'variant', step.variant, 'attempt', step.attempt) || $more
    FROM step, numbered
)"""

# A claim may be lost with the database's last fifth of a second: the step is then simply claimed again,
# and the fence keeps the first holder from saving. So its commit waits for no disk.
_CLAIM = Prepared(
    "claim",
    "step uuid, lease interval, worker text, task text, event text, more jsonb",
    f"""
WITH {_JOB % "(SELECT job_id FROM steps WHERE id = $step)"},
step AS (
    UPDATE steps SET state = 'running', sent_at = now(), attempt = steps.attempt + 1,
        lease_until = now() + $lease, worker = $worker, task_id = $task, started_at = now(),
        finished_at = NULL, error_code = NULL, error_message = NULL
    FROM job
    WHERE steps.id = $step AND steps.phase = job.phase AND steps.state = 'ready' AND steps.not_before <= now()
        AND NOT EXISTS (
            SELECT FROM steps AS need WHERE need.id = ANY (steps.needs) AND need.state IN ('ready', 'running')
        )
    RETURNING steps.*
),
attempt AS (
    INSERT INTO attempts (step_id, number, worker, task_id) SELECT id, attempt, worker, task_id FROM step
),
{_EVENT}
SELECT set_config('synchronous_commit', 'off', true),
    step.id, step.job_id, step.workspace_id, step.phase, step.kind, step.subject_id, step.variant, step.label,
    step.params, step.attempt, step.failures,
    job.kind AS job_kind, job.params AS job_params, job.film_id, job.project_id, job.request_id,
    CASE WHEN step.needs = '{{}}' THEN NULL ELSE (
        SELECT jsonb_agg(jsonb_build_object('kind', need.kind, 'label', need.label,
            'code', need.error_code, 'message', need.error_message) ORDER BY need.position)
        FROM steps AS need WHERE need.id = ANY (step.needs) AND need.state <> 'succeeded'
    ) END AS failed
FROM step, job
""",
)

_FENCE = Prepared(
    "fence",
    "job uuid, step uuid, attempt int",
    f"""
WITH {_JOB % "$job"}
SELECT steps.id FROM steps, job
WHERE steps.id = $step AND steps.attempt = $attempt AND steps.state = 'running'
FOR UPDATE OF steps
""",
)

_FINISH = Prepared(
    "finish",
    "job uuid, result jsonb, input_hash text, inputs jsonb, reused_from uuid, step uuid, attempt int, "
    "figures jsonb, event text, more jsonb",
    f"""
WITH {_JOB % "$job"},
step AS (
    UPDATE steps SET state = 'succeeded', result = $result, input_hash = $input_hash, inputs = $inputs,
        reused_from = $reused_from, progress = 1, lease_until = NULL, finished_at = now(),
        seconds = greatest(0, extract(epoch FROM clock_timestamp() - steps.started_at))
    FROM job
    WHERE steps.id = $step AND steps.attempt = $attempt AND steps.state = 'running'
    RETURNING steps.*
),
attempt AS (
    UPDATE attempts SET finished_at = now(), outcome = 'succeeded', figures = $figures
    FROM step WHERE attempts.step_id = step.id AND attempts.number = step.attempt
),
{_EVENT}
SELECT id FROM step
""",
)

_GIVE_BACK = Prepared(
    "give_back",
    "job uuid, state text, delay interval, blame int, code text, message text, step uuid, "
    "attempt int, outcome text, event text, more jsonb",
    f"""
WITH {(_JOB % "$job").replace(f" AND state IN {WORKABLE}", "")},
step AS (
    UPDATE steps SET state = $state, lease_until = NULL, not_before = now() + $delay, sent_at = now(),
        failures = failures + $blame, error_code = $code, error_message = $message,
        finished_at = CASE WHEN $state = 'ready' THEN NULL ELSE now() END
    FROM job
    WHERE steps.id = $step AND steps.attempt = $attempt AND steps.state = 'running'
    RETURNING steps.*
),
attempt AS (
    UPDATE attempts SET finished_at = now(), outcome = $outcome, error_code = $code, error_message = $message
    FROM step WHERE attempts.step_id = step.id AND attempts.number = step.attempt
),
{_EVENT}
SELECT id FROM step
""",
)

_EXTEND = Prepared(
    "extend",
    "lease interval, ids uuid[], attempts int[], shares float[]",
    f"""
UPDATE steps SET lease_until = now() + $lease, progress = greatest(steps.progress, held.progress)
FROM jobs, unnest($ids, $attempts, $shares)
    AS held (id, attempt, progress)
WHERE steps.id = held.id AND steps.attempt = held.attempt AND steps.state = 'running'
    AND jobs.id = steps.job_id AND jobs.state IN {WORKABLE}
RETURNING steps.id
""",
)

_LEFT = Prepared(
    "left",
    "job uuid, phase text",
    """
SELECT count(*) AS rest, count(*) FILTER (WHERE state = 'ready' AND sent_at IS NULL) AS unsent
FROM steps
WHERE job_id = $job AND phase = $phase AND state IN ('ready', 'running') AND not_before < 'infinity'
""",
)


def claim(
    session: Session | Connection, step_id: UUID, *, worker: str, task_id: str, lease: timedelta
) -> tuple[Claim, HeldJob] | None:
    """Take one step for work, or return None: ended, running elsewhere, not due, or its job has stopped.

    A job that went back a phase has open steps ahead of it; their turn comes with their phase.
    """
    asked = {
        "step": step_id,
        "worker": worker,
        "task": task_id,
        "lease": lease,
        "event": "step.started",
        "more": "{}",
    }
    row = _CLAIM.run(session, **asked).one_or_none()
    if row is None:
        return None
    held = replace(claim_of(row), failed_needs=tuple(FailedNeed(**need) for need in row.failed or ()))
    job = HeldJob(
        row.job_id,
        row.workspace_id,
        JobKind(row.job_kind),
        row.job_params,
        row.film_id,
        row.project_id,
        row.request_id,
    )
    return held, job


def extend_leases(
    session: Session | Connection, held: Sequence[tuple[Claim, float | None]], *, lease: timedelta
) -> set[UUID]:
    """Say that the work on these steps goes on, with the share done of each where it is known.

    Returns the steps still held. One that is missing was taken over, or its job is being stopped: stop
    working on it.
    """
    asked = {
        "ids": [claim.step_id for claim, _ in held],
        "attempts": [claim.attempt for claim, _ in held],
        "shares": [share for _, share in held],
        "lease": lease,
    }
    return set(_EXTEND.run(session, **asked).scalars())


def hold_fence(session: Session, held: Claim) -> bool:
    """Lock job and step for saving. False: another attempt owns the step now, or the job has stopped."""
    asked = {"job": held.job_id, "step": held.step_id, "attempt": held.attempt}
    return _FENCE.run(session, **asked).one_or_none() is not None


def finish(
    session: Session | Connection,
    held: Claim,
    *,
    result: dict[str, Any],
    input_hash: str | None,
    reused_from: UUID | None,
    figures: dict[str, Any],
    inputs: dict[str, str] | None = None,
) -> bool:
    """Mark a held step succeeded. False: the claim is lost, and whatever else was written must not stay."""
    asked = {
        "job": held.job_id,
        "step": held.step_id,
        "attempt": held.attempt,
        "result": json.dumps(result),
        "input_hash": input_hash,
        "inputs": json.dumps(inputs or {}),
        "reused_from": reused_from,
        "figures": json.dumps(figures),
        "event": "step.succeeded",
        "more": json.dumps({"reused": reused_from is not None}),
    }
    return _FINISH.run(session, **asked).one_or_none() is not None


def steps_left(session: Session | Connection, held: Claim) -> tuple[int, int]:
    """How many steps of the claim's phase have not ended, and how many of those were never sent.

    Those that wait for money (not due before `infinity`) are left out: nothing of theirs is under way.
    Ask after `finish`: of steps that end at once, at least one sees none left.
    """
    row = _LEFT.run(session, job=held.job_id, phase=held.phase).one()
    return row.rest, row.unsent


def give_back(
    session: Session | Connection,
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

    `blame` counts it towards the step's limit of failures. Does nothing when the claim is lost.
    """
    asked = {
        "job": held.job_id,
        "step": held.step_id,
        "attempt": held.attempt,
        "state": state.value,
        "outcome": outcome,
        "code": code,
        "message": message[:2000],
        "delay": timedelta(seconds=delay),
        "blame": int(blame),
        "event": f"step.{outcome}",
        "more": json.dumps({"code": code, "message": message[:500], "delay": delay}),
    }
    _GIVE_BACK.run(session, **asked)


def reclaim_expired(session: Session, *, limit: int = 50, failures_allowed: int = 5) -> list[UUID]:
    """Take back steps whose worker went silent; returns the jobs concerned.

    A step that loses its worker again and again ends as failed: it probably kills them. Never waits for a
    lock, so it may hold many: what somebody else has is left for the next time.
    """
    rows = session.scalars(
        select(Step)
        .join(Job, Job.id == Step.job_id)
        .where(Step.state == StepState.RUNNING, Step.lease_until < func.now())
        .order_by(Step.lease_until)
        .limit(limit)
        .with_for_update(of=[Job, Step], key_share=True, skip_locked=True)
    ).all()
    for row in rows:
        final = row.failures + 1 >= failures_allowed
        give_back(
            session,
            claim_of(row),
            state=StepState.FAILED if final else StepState.READY,
            outcome="lost",
            code="worker_lost",
            message=f"Its worker ({row.worker}) went silent; "
            + ("given up." if final else "it will be tried again."),
        )
    return [row.job_id for row in rows]


def claim_of(row: Any) -> Claim:
    """The claim under which a running step is held, from its row."""
    return Claim(
        row.id, row.job_id, row.workspace_id, row.phase, row.kind, row.subject_id, row.variant, row.label,
        row.params, row.attempt, row.failures,
    )  # fmt: skip
