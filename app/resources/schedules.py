"""Schedules: jobs that are submitted again and again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, g
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import IDEMPOTENCY_PARAMETER, IF_MATCH_PARAMETER, answer_once, expected_revision, reply
from app.resources.jobs import accepted
from app.schemas.jobs import JobOut
from app.schemas.schedules import (
    ScheduleIn,
    ScheduleItemOut,
    ScheduleOut,
    SchedulePage,
    SchedulePatchIn,
    ScheduleRunOut,
    ScheduleRunPage,
)
from app.wakeups import check
from core.cron import next_times
from db.schedules import Schedule
from db.session import reading, transaction
from services import schedules
from services.activities import record_activity
from services.idempotency import Answer

blp = Blueprint("schedules", __name__, url_prefix="/api/v1", description="Jobs submitted by the clock.")
SHOWN_TIMES = 5


@blp.post("/schedules")
@blp.arguments(ScheduleIn)
@blp.response(201, ScheduleOut, headers={"Location": {"schema": {"type": "string"}}})
def make_schedule(data: dict[str, Any]) -> Response:
    """Have a job submitted by the clock."""
    caller = identity()
    with transaction() as session:
        row = schedules.create_schedule(session, caller.workspace_id, caller.user_id, data, check)
        return _shown(session, row, 201)


@blp.get("/schedules")
@blp.arguments(PageArgs, location="query")
@blp.response(200, SchedulePage)
def show_schedules(args: dict[str, Any]) -> Response:
    """List schedules."""
    window, _ = window_of(args)
    with reading() as session:
        page = schedules.list_schedules(session, identity().workspace_id, window)
        return page_reply(ScheduleItemOut, page, args, [_with_job(row) for row in page.items])


@blp.get("/schedules/<uuid:schedule_id>")
@blp.response(200, ScheduleOut)
def show_schedule(schedule_id: UUID) -> Response:
    """Show a schedule and when it falls due next."""
    with reading() as session:
        return _shown(session, schedules.find_schedule(session, identity().workspace_id, schedule_id))


@blp.patch("/schedules/<uuid:schedule_id>")
@blp.arguments(SchedulePatchIn)
@blp.response(200, ScheduleOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def change_schedule(data: dict[str, Any], schedule_id: UUID) -> Response:
    """Change a schedule; `job` is replaced as a whole."""
    with transaction() as session:
        row = _held(session, schedule_id)
        schedules.update_schedule(session, identity().user_id, row, data, check)
        return _shown(session, row)


@blp.delete("/schedules/<uuid:schedule_id>")
@blp.response(204)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def remove_schedule(schedule_id: UUID) -> Response:
    """Delete a schedule; its jobs stay."""
    with transaction() as session:
        schedules.delete_schedule(session, identity().user_id, _held(session, schedule_id))
    return Response(status=204)


@blp.post("/schedules/<uuid:schedule_id>/pause")
@blp.response(200, ScheduleOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def pause_schedule(schedule_id: UUID) -> Response:
    """Let nothing fall due until it is resumed."""
    with transaction() as session:
        row = _held(session, schedule_id)
        schedules.pause_schedule(session, identity().user_id, row)
        return _shown(session, row)


@blp.post("/schedules/<uuid:schedule_id>/resume")
@blp.response(200, ScheduleOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def resume_schedule(schedule_id: UUID) -> Response:
    """Go on with the next time to come; nothing of the pause is caught up."""
    with transaction() as session:
        row = _held(session, schedule_id)
        schedules.resume_schedule(session, identity().user_id, row)
        return _shown(session, row)


@blp.post("/schedules/<uuid:schedule_id>/run")
@blp.response(202, JobOut, headers={"Location": {"schema": {"type": "string"}}})
@blp.doc(parameters=[IDEMPOTENCY_PARAMETER])
def run_schedule(schedule_id: UUID) -> Response:
    """Submit the job now, out of turn; the next time stays as it is, and a paused schedule paused."""

    def work(session: Session) -> Answer:
        caller = identity()
        row = schedules.find_schedule(session, caller.workspace_id, schedule_id, lock=True)
        run = schedules.ask_run(session, row)
        job = schedules.submit_run(session, row, run, check, user_id=caller.user_id, request_id=g.request_id)
        record_activity(session, caller.workspace_id, caller.user_id, "schedule.run", row.id, job=str(job.id))
        return accepted(session, job)

    return answer_once(work, body=None)


@blp.get("/schedules/<uuid:schedule_id>/runs")
@blp.arguments(PageArgs, location="query")
@blp.response(200, ScheduleRunPage)
def show_runs(args: dict[str, Any], schedule_id: UUID) -> Response:
    """List each time it fell due or was asked for, newest first."""
    window, _ = window_of(args)
    with reading() as session:
        row = schedules.find_schedule(session, identity().workspace_id, schedule_id)
        return page_reply(ScheduleRunOut, schedules.list_runs(session, row, window), args)


def _held(session: Session, schedule_id: UUID) -> Schedule:
    return schedules.find_schedule(
        session, identity().workspace_id, schedule_id, lock=True, expected=expected_revision()
    )


def _shown(session: Session, row: Schedule, status: int = 200) -> Response:
    """Answer one schedule. Its ETag is for edits alone: what falls due changes the answer, not the tag."""
    now = session.execute(select(func.now())).scalar_one()
    times = next_times(row.cron, row.time_zone, now, SHOWN_TIMES)
    where = f"/api/v1/schedules/{row.id}" if status == 201 else None
    response = reply(ScheduleOut, _with_job(row) | {"next_times": times}, status, location=where)
    response.set_etag(str(row.revision))
    return response


def _with_job(row: Schedule) -> dict[str, Any]:
    """A schedule as people see it: what the job is made of stands apart from when."""
    return {name: getattr(row, name) for name in Schedule.__table__.columns.keys()} | {"job": row}  # noqa: SIM118
