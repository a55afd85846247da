"""A job as people see it: the row, its steps, its files, what it waits for, where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy.orm import Session

from app.store import signed_url
from core.settings import Settings
from db.work import ENDED_JOB, Attempt, Job, Step
from services.outcomes import open_submissions
from services.overview import Overview, overview, overviews
from services.plans import Planned, PlanState, name_step
from services.progress import measure
from services.steps import list_attempts, list_steps

_API = "/api/v1"


def read_job(session: Session, workspace_id: UUID, job_id: UUID) -> dict[str, Any]:
    """Everything about one job, in the shape of JobOut, as it is now. Raises NotFound."""
    return _show_whole(session, *overview(session, workspace_id, job_id))


def show_job(session: Session, job: Job) -> dict[str, Any]:
    """Everything about a job that was read already, in the shape of JobOut."""
    return _show_whole(session, job, overviews(session, [job])[job.id])


def _show_whole(session: Session, job: Job, overview: Overview) -> dict[str, Any]:
    shown = _show(job, overview, measure(session, job))
    shown["steps"] = _show_steps(session, job) if overview.has_steps else []
    shown["submissions"] = open_submissions(session, job.id) if overview.has_submissions else []
    return shown


def show_new_job(job: Job) -> dict[str, Any]:
    """A job that was written a moment ago: nothing hangs on it yet, so nothing more is read."""
    return _show(job, Overview(), {"progress": 0.0, "eta_seconds": None}) | {"steps": [], "submissions": []}


def show_jobs(session: Session, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Jobs in the shape of JobItemOut; progress is what the job last noted."""
    found = overviews(session, jobs)
    return [_show(job, found[job.id], {"progress": job.progress, "eta_seconds": None}) for job in jobs]


def show_plan(job: Job, lines: Sequence[Planned]) -> dict[str, Any]:
    """A job's plan in the shape of PlanOut."""
    counts = {state.value: sum(1 for line in lines if line.state is state) for state in PlanState}
    return {
        "job_id": job.id,
        "counts": counts,
        "items": [
            {
                "step": name_step(line.promise.plan),
                "step_id": line.row.id if line.row is not None else None,
                "phase": line.promise.phase,
                "kind": line.promise.plan.kind,
                "label": line.promise.plan.label,
                "variant": line.promise.plan.variant,
                "subject_id": line.promise.plan.subject_id,
                "state": line.state.value,
                "why": line.why,
                "kept": line.kept,
            }
            for line in lines
        ],
    }


def _show(job: Job, overview: Overview, progress: dict[str, float | None]) -> dict[str, Any]:
    here = f"{_API}/jobs/{job.id}"
    return {
        "id": job.id,
        "kind": job.kind.value,
        "display_name": job.display_name,
        "state": job.state.value,
        "phase": job.phase,
        "waits_for": job.waits_for.value if job.waits_for else None,
        "waits_reason": job.waits_reason,
        **progress,
        "gates": job.gates,
        "stop_after": job.stop_after,
        "priority": job.priority,
        "cost": overview.cost,
        "estimated_credits": _estimate(job, overview.cost),
        "actual_credits_used": overview.cost["captured"],
        "warnings": job.warnings or [],
        "error": _fault(job.error_code, job.error_message),
        "film_id": job.film_id,
        "project_id": job.project_id,
        "approvals": [
            {
                "id": approval.id,
                "gate": approval.gate.value if approval.gate else None,
                "title": approval.title,
                "respond_url": f"{_API}/approvals/{approval.id}/respond",
            }
            for approval in overview.approvals
        ],
        "downloads": {
            name: signed_url(rendition, blob, filename=saved_as)
            for name, (rendition, blob, saved_as) in overview.files.items()
        },
        "result": job.result or {},
        "params": job.params,
        "phase_seconds": overview.phase_seconds,
        "last_event": job.event_seq,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "timeout_minutes": None if job.timeout_seconds is None else job.timeout_seconds / 60,
        "deadline_at": job.deadline_at,
        "links": _links(job, overview, here),
    }


def _estimate(job: Job, cost: dict[str, Any]) -> int | None:
    """What it is expected to cost; None while a vendor that it may come to has not been priced."""
    quoted: int = cost["quoted"]
    may_buy = {*job.params.get("providers", ()), job.params.get("method", "local")} - {"local", "auto"}
    return None if may_buy and not quoted and job.state not in ENDED_JOB else quoted


def _links(job: Job, overview: Overview, here: str) -> dict[str, str]:
    links = {name: f"{here}/{name}" for name in ("events", "ws", "manifest", "plan")} | {"self": here}
    if overview.files:
        links["download"] = f"{here}/download"
    action = "remake" if job.state in ENDED_JOB else "cancel"
    links[action] = f"{here}/{action}"
    if job.film_id is not None:
        links["film"] = f"{_API}/films/{job.film_id}"
        links["credits"] = f"{_API}/films/{job.film_id}/credits"
    if job.project_id is not None:
        links["project"] = f"{_API}/projects/{job.project_id}"
    return links


def _show_steps(session: Session, job: Job) -> list[dict[str, Any]]:
    tried = list_attempts(session, job.id)
    return [_show_step(step, tried.get(step.id, [])) for step in list_steps(session, job.id)]


def _show_step(step: Step, attempts: Sequence[Attempt]) -> dict[str, Any]:
    return {
        "id": step.id,
        "phase": step.phase,
        "kind": step.kind,
        "label": step.label,
        "variant": step.variant,
        "subject_id": step.subject_id,
        "state": step.state.value,
        "attempt": step.attempt,
        "progress": step.progress,
        "seconds": step.seconds,
        "error": _fault(step.error_code, step.error_message),
        "reused": step.reused_from is not None,
        "task_id": step.task_id,
        "flower_url": _flower_url(step.task_id),
        "attempts": [
            {
                "number": attempt.number,
                "outcome": attempt.outcome,
                "worker": attempt.worker,
                "started_at": attempt.started_at,
                "finished_at": attempt.finished_at,
                "error": _fault(attempt.error_code, attempt.error_message),
                "task_id": attempt.task_id,
                "flower_url": _flower_url(attempt.task_id),
            }
            for attempt in attempts
        ],
    }


def _flower_url(task_id: str | None) -> str | None:
    """Where Flower shows a task; None when nobody said how people reach it."""
    settings: Settings = current_app.config["SETTINGS"]
    if task_id is None:
        return None
    if settings.flower_url:
        return f"{settings.flower_url.rstrip('/')}/task/{task_id}"
    if settings.callsheet_env == "production" or not settings.flower_port:
        return None
    host = "127.0.0.1" if settings.api_host in {"0.0.0.0", "::"} else settings.api_host  # noqa: S104 - comparison
    return f"http://{host}:{settings.flower_port}/task/{task_id}"


def _fault(code: str | None, message: str | None) -> dict[str, str] | None:
    return {"code": code, "message": message or ""} if code else None
