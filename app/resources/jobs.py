"""Jobs: start, watch, stop, take up again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, current_app, g, jsonify, redirect, request, stream_with_context
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from app.api import Blueprint
from app.auth import identity
from app.job_view import read_job, show_job, show_jobs, show_new_job, show_plan
from app.paging import page_reply, window_of
from app.reply import IDEMPOTENCY_PARAMETER, answer_once, reply
from app.schemas.base import shared
from app.schemas.jobs import (
    DownloadArgs,
    EventArgs,
    EventsOut,
    JobIn,
    JobItemOut,
    JobListArgs,
    JobOut,
    JobPage,
    PlanOut,
    WaitArgs,
)
from app.streams import stream_events, wait_for_change
from app.wakeups import advance_after, check, plan, remake, wake_after
from core.errors import Conflict, Invalid, NotFound
from db.session import glancing, reading, transaction
from db.work import ENDED_JOB, Job
from services import jobs
from services.activities import record_activity
from services.events import list_events
from services.idempotency import Answer
from services.manifest import render_manifest
from services.overview import list_jobs

blp = Blueprint("jobs", __name__, url_prefix="/api/v1", description="One run of a pipeline.")
IDEMPOTENT = {"parameters": [IDEMPOTENCY_PARAMETER]}


@blp.post("/jobs")
@blp.arguments(JobIn)
@blp.response(202, JobOut, headers={"Location": {"schema": {"type": "string"}}})
@blp.doc(**IDEMPOTENT)
def submit_job(data: dict[str, Any]) -> Response:
    """Start a job."""
    return start_job(data, body=data)


@blp.post("/jobs/submit")
@blp.arguments(JobIn)
@blp.response(202, JobOut)
@blp.doc(**IDEMPOTENT)
def submit_job_kept(data: dict[str, Any]) -> Response:
    """Start a job (kept address of POST /jobs)."""
    return start_job(data, body=data)


@blp.get("/jobs")
@blp.arguments(JobListArgs, location="query")
@blp.response(200, JobPage)
def show_job_list(args: dict[str, Any]) -> Response:
    """List jobs, newest first."""
    window, filters = window_of(args)
    with glancing() as session:
        page = list_jobs(session, identity().workspace_id, window, **filters)
        return page_reply(JobItemOut, page, args, show_jobs(session, page.items))


@blp.get("/jobs/<uuid:job_id>")
@blp.arguments(WaitArgs, location="query")
@blp.response(200, JobOut)
def show_one_job(args: dict[str, Any], job_id: UUID) -> Response:
    """Show a job; with `wait`, when it changes.

    The ETag changes with the job: `wait` together with If-None-Match answers at once when something
    happened since, and 304 when nothing did in the time.
    """
    workspace_id = identity().workspace_id
    if args["wait"]:
        _wait(workspace_id, job_id, args["wait"])
    with glancing() as session:
        shown = read_job(session, workspace_id, job_id)
        response = reply(JobOut, shown)
    response.set_etag(f"{job_tag(shown)}", weak=True)
    response.make_conditional(request)
    return response


def _wait(workspace_id: UUID, job_id: UUID, seconds: float) -> None:
    """Wait until the job changes, unless it has ended or has changed since the caller's ETag."""
    with glancing() as session:
        job = jobs.get_job(session, workspace_id, job_id)
    tags = request.if_none_match.as_set(include_weak=True)
    behind = bool(tags) and not any(tag.split("-")[0] == str(job.event_seq) for tag in tags)
    if job.state in ENDED_JOB or behind:
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's way
    wait_for_change(app, workspace_id, job_id, seen=job.event_seq, seconds=seconds)


def job_tag(shown: dict[str, Any]) -> str:
    """Changes whenever something a person would notice does."""
    return f"{shown['last_event']}-{shown['state']}-{round((shown['progress'] or 0) * 1000)}"


@blp.get("/jobs/<uuid:job_id>/events")
@blp.arguments(EventArgs, location="query")
@blp.response(200, EventsOut)
@blp.alt_response(
    200, schema={"type": "string"}, content_type="text/event-stream", description="The events as a stream"
)
def show_events(args: dict[str, Any], job_id: UUID) -> Response:
    """List what happened to a job after `after_id`; stream it for `Accept: text/event-stream`."""
    caller = identity()
    after = args["after_id"] if args["after_id"] is not None else _last_event_id()
    with reading() as session:
        jobs.get_job(session, caller.workspace_id, job_id)
        if (
            request.accept_mimetypes.best_match(["application/json", "text/event-stream"])
            != "text/event-stream"
        ):
            events = list_events(session, caller.workspace_id, job_id, after_seq=after, limit=args["limit"])
            last = events[-1].seq if events else after
            return reply(EventsOut, {"items": events, "after_id": last})
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's way
    app.extensions["places"].take(caller.workspace_id)
    stream = stream_events(app, caller.workspace_id, job_id, after)
    response = Response(stream_with_context(stream), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-cache"
    return response


@blp.post("/jobs/<uuid:job_id>/cancel")
@blp.response(202, JobOut)
def cancel_job(job_id: UUID) -> Response:
    """Ask a job to stop."""
    with transaction() as session:
        return _changed(session, jobs.cancel_job(session, identity().workspace_id, job_id), "job.cancelled")


@blp.post("/jobs/<uuid:job_id>/retry")
@blp.response(202, JobOut)
@blp.doc(**IDEMPOTENT)
def retry_job(job_id: UUID) -> Response:
    """Continue a failed or cancelled job with what is missing."""
    return _continue(jobs.retry_job, job_id, "job.retried")


@blp.post("/jobs/<uuid:job_id>/resume")
@blp.response(202, JobOut)
@blp.doc(**IDEMPOTENT)
def resume_job(job_id: UUID) -> Response:
    """Continue a job that stopped after a phase, failed or was cancelled."""
    return _continue(jobs.resume_job, job_id, "job.resumed")


@blp.get("/jobs/<uuid:job_id>/plan")
@blp.response(200, PlanOut)
def show_job_plan(job_id: UUID) -> Response:
    """Show which steps are current, stale (and why), missing or blocked."""
    with reading() as session:
        job = jobs.get_job(session, identity().workspace_id, job_id)
        return reply(PlanOut, show_plan(job, plan(session, job)))


@blp.post("/jobs/<uuid:job_id>/remake")
@blp.response(202, JobOut)
@blp.doc(**IDEMPOTENT)
def remake_job(job_id: UUID) -> Response:
    """Make again what has gone stale in an ended job, and what is missing; nothing else."""
    return _continue(remake, job_id, "job.remade")


@blp.delete("/jobs/<uuid:job_id>")
@blp.response(204)
def delete_job(job_id: UUID) -> Response:
    """Delete an ended job; its film and takes stay."""
    caller = identity()
    with transaction() as session:
        jobs.delete_job(session, caller.workspace_id, job_id)
        record_activity(session, caller.workspace_id, caller.user_id, "job.deleted", job_id)
    return Response(status=204)


@blp.get("/jobs/<uuid:job_id>/download")
@blp.arguments(DownloadArgs, location="query")
@blp.response(302, headers={"Location": {"schema": {"type": "string"}}})
def download_result(args: dict[str, Any], job_id: UUID) -> BaseResponse:
    """Go to the signed link of a file that the job made: its master, or its clean clip."""
    with glancing() as session:
        shown = read_job(session, identity().workspace_id, job_id)
    made = shown["downloads"]
    wanted = args["file"] or next((name for name in ("master", "cleaned") if name in made), "")
    if wanted in made:
        return redirect(made[wanted])
    if shown["state"] not in {state.value for state in ENDED_JOB}:
        raise Conflict(f"The job is {shown['state']}; wait until it has ended.", field="state")
    there = f"it made {', '.join(made)}" if made else "it made none"
    raise NotFound(f"The job has no such file: {there}.", field="file")


@blp.get("/jobs/<uuid:job_id>/manifest")
@blp.response(
    200, {"type": "object"}, description="Every input hash, asset, licence, provider, model, seed, tool"
)
def show_manifest(job_id: UUID) -> Response:
    """Show the render manifest of a job."""
    with reading() as session:
        return jsonify(render_manifest(session, jobs.get_job(session, identity().workspace_id, job_id)))


def start_job(data: dict[str, Any], *, body: Any) -> Response:
    """Submit a job from loaded JobIn data, once per Idempotency-Key."""
    return answer_once(lambda session: submit(session, data), body=body)


def submit(session: Session, data: dict[str, Any]) -> Answer:
    caller = identity()
    check(data["kind"], data["params"])
    job = jobs.submit_job(
        session,
        workspace_id=caller.workspace_id,
        user_id=caller.user_id,
        kind=data["kind"],
        params=data["params"],
        project_id=data["project_id"],
        gates=data.get("gates", ()),
        stop_after=data.get("stop_after"),
        budget=data["budget"],
        priority=data["priority"],
        display_name=data["display_name"],
        timeout_minutes=data["timeout_minutes"],
        request_id=g.request_id,
    )
    wake_after(session, job.id)
    return _answer(show_new_job(job))


def _continue(change: Any, job_id: UUID, action: str) -> Response:
    def work(session: Session) -> Answer:
        job = change(session, identity().workspace_id, job_id)
        record_activity(session, identity().workspace_id, identity().user_id, action, job.id)
        return accepted(session, job)

    return answer_once(work, body=None)


def _changed(session: Session, job: Job, action: str) -> Response:
    record_activity(session, identity().workspace_id, identity().user_id, action, job.id)
    answer = accepted(session, job)
    response = jsonify(answer.body)
    response.status_code = answer.status
    response.headers["Location"] = answer.location or ""
    return response


def accepted(session: Session, job: Job) -> Answer:
    """Answer 202 with the job as it is, and have it moved on once this is committed."""
    session.flush()
    session.refresh(job)
    advance_after(session, job.id)
    return _answer(show_job(session, job))


def _answer(shown: dict[str, Any]) -> Answer:
    body: dict[str, Any] = shared(JobOut).dump(shown)
    return Answer(202, body, f"/api/v1/jobs/{shown['id']}")


def _last_event_id() -> int:
    given = request.headers.get("Last-Event-ID", "0")
    if not (given.isascii() and given.isdecimal() and len(given) < 16):
        raise Invalid("It is the number of an event.", field="Last-Event-ID")
    return int(given)
