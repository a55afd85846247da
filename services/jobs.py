"""Jobs: submitted, listed, cancelled, taken up again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from core.briefs import FILM_PHASES, GATES
from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from db.assets import Asset, AssetKind, Shot, Take, Validation
from db.money import Budget, BudgetScope
from db.prepared import Call, Prepared, run_together, take_in
from db.work import ENDED_JOB, Job, JobKind, JobState, Step, StepState
from services import deadlines, progress
from services.activities import plan_activity
from services.events import record
from services.films import film_name, find_project, plan_film
from services.steps import list_steps, lock_job, reopen

_SUBMIT = Prepared(
    "submit_job",
    "id uuid, workspace uuid, kind text, name text, params jsonb, gates text[], stop_after text,"
    " priority int, film uuid, project uuid, user uuid, request text, timeout int, payload jsonb",
    """
WITH job AS (
    INSERT INTO jobs (id, workspace_id, kind, display_name, params, state, progress, gates, stop_after,
        priority, film_id, project_id, requested_by, request_id, event_seq, timeout_seconds, deadline_at)
    VALUES ($id, $workspace, $kind, $name, $params, 'queued', 0, $gates, $stop_after, $priority, $film,
        $project, $user, $request, 1, $timeout, now() + make_interval(secs => $timeout))
    RETURNING workspace_id, id, created_at, advanced_at, deadline_at
),
event AS (
    INSERT INTO events (workspace_id, job_id, seq, type, payload)
    SELECT workspace_id, id, 1, 'job.queued', $payload FROM job
)
SELECT created_at, advanced_at, deadline_at FROM job
""",
)


def submit_job(
    session: Session,
    *,
    workspace_id: UUID,
    user_id: UUID | None,
    kind: str,
    params: dict[str, Any],
    project_id: UUID | None = None,
    gates: Sequence[str] = (),
    stop_after: str | None = None,
    budget: dict[str, Any] | None = None,
    priority: int = 0,
    display_name: str | None = None,
    timeout_minutes: float | None = None,
    request_id: str | None = None,
    schedule: tuple[UUID, UUID | None] | None = None,
) -> Job:
    """Write down a job and its line of the audit log, all in one message to the database.

    The caller has `pipeline.advance` called once this is committed. `schedule` has the id of one that asks
    for it, and of the person who ran it by hand.
    `params` must come from `core.briefs.load_params`. Raises NotFound for a project or asset of another
    workspace, Invalid for gates or phases that the kind does not have.
    """
    job_kind = JobKind(kind)
    check_job(session, workspace_id, kind, params, project_id, gates, stop_after)
    columns: dict[str, Any] = {
        "id": new_id(),
        "gates": list(dict.fromkeys(gates)),
        "stop_after": stop_after,
        "priority": priority,
        "project_id": project_id,
        "film_id": None,
        "requested_by": user_id,
        "request_id": request_id,
        "display_name": display_name or _name_after(session, kind, params),
        "timeout_seconds": deadlines.seconds_for(job_kind, timeout_minutes),
    }
    before: list[Call] = []
    if job_kind is JobKind.FILM:
        columns["film_id"], film = plan_film(
            workspace_id=workspace_id, user_id=user_id, project_id=project_id, params=params
        )
        before.append(film)
    actor, details = (user_id, {}) if schedule is None else (schedule[1], {"schedule": str(schedule[0])})
    before.append(plan_activity(workspace_id, actor, "job.submitted", columns["id"], kind=kind, **details))
    job_call = _SUBMIT.call(
        id=columns["id"],
        workspace=workspace_id,
        kind=kind,
        name=columns["display_name"],
        params=json.dumps(params),
        gates=columns["gates"],
        stop_after=stop_after,
        priority=priority,
        film=columns["film_id"],
        project=project_id,
        user=user_id,
        request=request_id,
        timeout=columns["timeout_seconds"],
        payload=json.dumps({"kind": kind}),
    )
    row = run_together(session, *before, job_call).one()
    columns |= row._asdict() | {"workspace_id": workspace_id, "kind": job_kind, "params": params}
    job = take_in(session, Job(**_untouched(), **columns))
    if budget is not None:
        session.add(
            Budget(
                workspace_id=workspace_id,
                scope=BudgetScope.JOB,
                scope_id=job.id,
                limit_amount=budget["amount"],
                currency=budget.get("currency", "USD"),
            )
        )
    return job


def _name_after(session: Session, kind: str, params: dict[str, Any]) -> str:
    """What a job is called where nobody said: after its clip's file, its film, or what is searched for."""
    if kind == JobKind.TEXT_REMOVAL:
        return session.get_one(Asset, UUID(params["asset_id"])).name
    return film_name(params) if kind == JobKind.FILM else ", ".join(params["words"])[:300]


def _untouched() -> dict[str, Any]:
    """The columns that `_SUBMIT` leaves to their defaults, which it would take time to read back."""
    empty = ("phase", "waits_for", "waits_reason", "error_code", "error_message", "started_at", "finished_at")
    return {
        **dict.fromkeys((*empty, "deleted_at")),
        "state": JobState.QUEUED,
        "progress": 0.0,
        "event_seq": 1,
        "remaking": False,
        "course": {},
        "result": {},
        "warnings": [],
    }


def check_job(
    session: Session,
    workspace_id: UUID,
    kind: str,
    params: dict[str, Any],
    project_id: UUID | None,
    gates: Sequence[str],
    stop_after: str | None,
) -> None:
    """Refuse what `submit_job` would refuse, and write nothing."""
    if kind != JobKind.FILM and (gates or stop_after):
        raise Invalid(
            "Only films have gates and phases to stop after.", field="gates" if gates else "stop_after"
        )
    if bad := [gate for gate in gates if gate not in GATES]:
        raise Invalid(f"Unknown gate {bad[0]!r}; allowed: {', '.join(GATES)}.", field="gates")
    if stop_after is not None and stop_after not in FILM_PHASES:
        raise Invalid(f"Unknown phase {stop_after!r}; allowed: {', '.join(FILM_PHASES)}.", field="stop_after")
    if project_id is not None:
        find_project(session, workspace_id, project_id)
    if kind == JobKind.TEXT_REMOVAL:
        _find_asset(session, workspace_id, UUID(params["asset_id"]), AssetKind.CLIP)
    music = params.get("music") or {"from": "none"}
    if music["from"] == "asset":
        _find_asset(session, workspace_id, _uuid(music["id"], "params.music.id"), AssetKind.AUDIO)


_GET = select(Job).where(
    Job.id == bindparam("job"), Job.workspace_id == bindparam("workspace"), Job.deleted_at.is_(None)
)


def get_job(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    job = session.scalar(_GET, {"job": job_id, "workspace": workspace_id})
    if job is None:
        raise NotFound("There is no such job.", field="job_id")
    return job


def cancel_job(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    """Ask a job to stop. Running steps are told within seconds; `advance` ends it when none is left."""
    job = _locked(session, workspace_id, job_id)
    if job.state in (JobState.CANCELLING, JobState.CANCELLED):
        return job
    if job.state in ENDED_JOB:
        raise Conflict(f"The job has {job.state.value} already; there is nothing to cancel.", field="state")
    deadlines.stop(session, job)
    _announce(session, job, "job.cancelling", {})
    return job


def retry_job(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    """Continue a failed or cancelled job with what is missing; what succeeded stays.

    The job goes back to the first phase in which something is missing, and what was made without that
    is made again.
    """
    job = _locked(session, workspace_id, job_id)
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        raise Conflict(
            f"The job is {job.state.value}; only a failed or cancelled job can be retried.", field="state"
        )
    missing = _missing(session, job)
    with progress.kept(session, job):
        if missing:
            job.phase = missing[0].phase
        reopen(session, job, [row.id for row in missing])
        unselect(session, [row.subject_id for row in missing if row.kind == "submit_take"])
    job.state = JobState.RUNNING
    job.error_code = None
    job.error_message = None
    job.finished_at = None
    deadlines.renew(job)
    _announce(session, job, "job.retried", {"steps": len(missing)})
    return job


def resume_job(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    """Continue a job that stopped after the phase it was asked to stop after, or that failed."""
    job = _locked(session, workspace_id, job_id)
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        return retry_job(session, workspace_id, job_id)
    if job.state is JobState.SUCCEEDED and job.stop_after and job.phase == job.stop_after:
        with progress.kept(session, job):
            job.stop_after = None
        job.state = JobState.RUNNING
        job.finished_at = None
        deadlines.renew(job)
        _announce(session, job, "job.resumed", {})
        return job
    raise Conflict(
        f"The job is {job.state.value}; only one that failed, was cancelled or stopped after a phase "
        "can be resumed.",
        field="state",
    )


def delete_job(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    """Take an ended job out of sight; its film and takes stay."""
    job = _locked(session, workspace_id, job_id)
    if job.state not in ENDED_JOB:
        raise Conflict(f"The job is {job.state.value}; cancel it before deleting it.", field="state")
    job.deleted_at = func.now()
    return job


def _missing(session: Session, job: Job) -> list[Step]:
    """Steps that ended without success, and those that succeeded without them, in the order of phases."""
    rows = list_steps(session, job.id)
    phases = list(dict.fromkeys(row.phase for row in rows))
    missing: dict[UUID, Step] = {}
    subjects: set[UUID | None] = {None}
    for row in rows:
        first = next(iter(missing.values()), row)
        later = phases.index(row.phase) > phases.index(first.phase)
        if (
            row.state in (StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED)
            or not missing.keys().isdisjoint(row.needs)
            or (later and row.subject_id in subjects)
        ):
            missing[row.id] = row
            subjects.add(row.subject_id)
    return list(missing.values())


def unselect(session: Session, shots: list[UUID | None]) -> None:
    """Let the take that is made again be selected, unless a person chose another."""
    for shot in session.scalars(select(Shot).where(Shot.id.in_(shots))):
        take = session.get(Take, shot.selected_take_id) if shot.selected_take_id else None
        if take is not None and take.validation is not Validation.APPROVED:
            shot.selected_take_id = None


def _locked(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    get_job(session, workspace_id, job_id)
    return lock_job(session, job_id)


def _find_asset(session: Session, workspace_id: UUID, asset_id: UUID, kind: AssetKind) -> Asset:
    asset = session.scalar(
        select(Asset).where(
            Asset.id == asset_id, Asset.workspace_id == workspace_id, Asset.deleted_at.is_(None)
        )
    )
    if asset is None:
        raise NotFound(f"There is no such {kind.value}.", field="asset_id")
    if asset.kind is not kind:
        raise Invalid(f"The asset is a {asset.kind.value}; a {kind.value} is needed.", field="asset_id")
    return asset


def _uuid(value: str, field: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise Invalid(f"{value!r} is not an asset id.", field=field) from error


def _announce(session: Session, job: Job, kind: str, payload: dict[str, Any]) -> None:
    record(session, workspace_id=job.workspace_id, job_id=job.id, kind=kind, payload=payload)
