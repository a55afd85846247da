"""Schedules: written by people, claimed when they fall due, and each time written down once.

The row of `schedule_runs`, the job and the next time are one transaction. Its key over schedule and time
is what lets a time be had once only; the claim's lock just spares two who look at once the trouble.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.briefs import load_params
from core.cron import check_cron, check_time_zone, next_time
from core.errors import Conflict, Invalid, NotFound, PipelineError
from core.ids import new_id
from db.schedules import CatchUp, RunOutcome, Schedule, ScheduleRun
from db.work import Job, JobKind
from services.activities import record_activity
from services.jobs import check_job, submit_job
from services.paging import Page, Window, read_page

LATE_AFTER = timedelta(seconds=60)
"""A time that fell due longer ago than this was missed, and `catch_up` decides."""

CheckBrief = Callable[[str, dict[str, Any]], None]
"""`pipeline.check`: what only the adapters know of a brief."""


def create_schedule(
    session: Session, workspace_id: UUID, user_id: UUID | None, data: dict[str, Any], check: CheckBrief
) -> Schedule:
    """Write down a schedule; `data["job"]` is what a submission takes, refused for the same reasons."""
    schedule = Schedule(workspace_id=workspace_id, created_by=user_id, revision=1)
    _write(session, schedule, data, check)
    session.add(schedule)
    _plan(session, schedule)
    session.flush()
    record_activity(session, workspace_id, user_id, "schedule.created", schedule.id, name=schedule.name)
    return schedule


def list_schedules(session: Session, workspace_id: UUID, window: Window) -> Page[Schedule]:
    return read_page(
        session, select(Schedule).where(Schedule.workspace_id == workspace_id), Schedule.id, window
    )


def find_schedule(
    session: Session,
    workspace_id: UUID,
    schedule_id: UUID,
    *,
    lock: bool = False,
    expected: int | None = None,
) -> Schedule:
    """Find a schedule; raises Conflict `stale_revision` when `expected` is not its revision."""
    statement = select(Schedule).where(Schedule.id == schedule_id, Schedule.workspace_id == workspace_id)
    schedule = session.scalar(statement.with_for_update() if lock else statement)
    if schedule is None:
        raise NotFound("There is no such schedule.", field="schedule_id")
    if expected is not None and schedule.revision != expected:
        raise Conflict(
            f"Somebody else changed it meanwhile (it is at revision {schedule.revision}): "
            "read it again and repeat the edit.",
            code="stale_revision",
        )
    return schedule


def update_schedule(
    session: Session, user_id: UUID | None, schedule: Schedule, changes: dict[str, Any], check: CheckBrief
) -> None:
    """Change a locked schedule. Another cron or time zone counts from now; what is due already is dropped."""
    _write(session, schedule, changes, check)
    if changes.keys() & {"cron", "time_zone"}:
        _plan(session, schedule)
    _edited(session, schedule, user_id, "schedule.changed", fields=sorted(changes))


def pause_schedule(session: Session, user_id: UUID | None, schedule: Schedule) -> None:
    """Let nothing fall due until it is resumed; a second pause changes nothing."""
    if not schedule.paused:
        schedule.paused = True
        schedule.next_run_at = None
        _edited(session, schedule, user_id, "schedule.paused")


def resume_schedule(session: Session, user_id: UUID | None, schedule: Schedule) -> None:
    """Go on with the next time to come: what fell into the pause was wanted away, so nothing is caught up."""
    if schedule.paused:
        schedule.paused = False
        _plan(session, schedule)
        _edited(session, schedule, user_id, "schedule.resumed")


def delete_schedule(session: Session, user_id: UUID | None, schedule: Schedule) -> None:
    """Delete a schedule and its runs; their jobs stay."""
    record_activity(
        session, schedule.workspace_id, user_id, "schedule.deleted", schedule.id, name=schedule.name
    )
    session.delete(schedule)


def list_runs(session: Session, schedule: Schedule, window: Window) -> Page[ScheduleRun]:
    return read_page(
        session, select(ScheduleRun).where(ScheduleRun.schedule_id == schedule.id), ScheduleRun.id, window
    )


# -- falling due ----------------------------------------------------------------------------------


def claim_due(session: Session) -> Schedule | None:
    """Lock the schedule that has been due longest; None when nothing is due that nobody else holds."""
    return session.scalar(
        select(Schedule)
        .where(Schedule.next_run_at <= func.now())
        .order_by(Schedule.next_run_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def open_run(session: Session, schedule: Schedule) -> ScheduleRun | None:
    """Write down that a claimed schedule fell due, and move it on to its next time.

    None when no job shall be made of it: the time was missed and is skipped, or was had before.
    """
    now, due_at = _now(session), schedule.next_run_at
    assert due_at is not None, "only a due schedule is claimed"
    late = now - due_at > LATE_AFTER
    try:
        schedule.next_run_at = next_time(schedule.cron, schedule.time_zone, now if late else due_at)
    except Invalid:  # its zone left the machine's database; `_close` says so
        schedule.next_run_at = None
    missed = late and schedule.catch_up is CatchUp.SKIP
    run_id = session.scalar(
        insert(ScheduleRun)
        .values(
            id=new_id(),
            workspace_id=schedule.workspace_id,
            schedule_id=schedule.id,
            due_at=due_at,
            outcome=RunOutcome.MISSED if missed else RunOutcome.SUBMITTED,
        )
        .on_conflict_do_nothing(index_elements=["schedule_id", "due_at"])
        .returning(ScheduleRun.id)
    )
    if run_id is None:
        return None
    run = session.get_one(ScheduleRun, run_id)
    if missed:
        _close(schedule, run, RunOutcome.MISSED)
        record_activity(
            session, schedule.workspace_id, None, "schedule.missed", schedule.id, due_at=due_at.isoformat()
        )
        return None
    return run


def ask_run(session: Session, schedule: Schedule) -> ScheduleRun:
    """Write down that a person wants a job out of turn; the rhythm stays."""
    run = ScheduleRun(
        workspace_id=schedule.workspace_id, schedule_id=schedule.id, outcome=RunOutcome.SUBMITTED
    )
    session.add(run)
    session.flush()
    return run


def submit_run(
    session: Session,
    schedule: Schedule,
    run: ScheduleRun,
    check: CheckBrief,
    *,
    user_id: UUID | None = None,
    request_id: str | None = None,
) -> Job:
    """Submit the job of an open run; the caller has `pipeline.advance` called once this is committed.

    The template is judged anew, as if it came in now. Raises what a submission raises, and marshmallow's
    `ValidationError`.
    """
    params = load_params(schedule.kind.value, schedule.params)
    check(schedule.kind.value, params)
    job = submit_job(
        session,
        workspace_id=schedule.workspace_id,
        user_id=user_id or schedule.created_by,
        kind=schedule.kind.value,
        params=params,
        project_id=schedule.project_id,
        gates=schedule.gates,
        stop_after=schedule.stop_after,
        budget=schedule.budget,
        priority=schedule.priority,
        display_name=schedule.display_name,
        timeout_minutes=schedule.timeout_minutes,
        request_id=request_id,
        schedule=(schedule.id, user_id),
    )
    run.job_id = job.id
    schedule.last_job_id = job.id
    _close(schedule, run, RunOutcome.SUBMITTED)
    return job


def refuse_run(session: Session, schedule: Schedule, run: ScheduleRun, reason: str) -> None:
    """Write down why a run got no job. The schedule goes on: what is wrong may be mended by then."""
    _close(schedule, run, RunOutcome.REFUSED, reason)
    record_activity(session, schedule.workspace_id, None, "schedule.refused", schedule.id, reason=reason)


def _close(schedule: Schedule, run: ScheduleRun, outcome: RunOutcome, error: str | None = None) -> None:
    run.outcome = outcome
    run.error = error
    schedule.last_outcome = outcome
    schedule.last_error = error
    if outcome is not RunOutcome.MISSED:
        schedule.last_run_at = func.now()
    if schedule.next_run_at is None and not schedule.paused:
        schedule.last_error = "It has no next time any more: change `cron` or `time_zone`."


def _write(session: Session, schedule: Schedule, data: dict[str, Any], check: CheckBrief) -> None:
    """Set what people may set, each part judged as it comes in."""
    if "cron" in data:
        check_cron(data["cron"])
    if "time_zone" in data:
        check_time_zone(data["time_zone"])
    for name in data.keys() & {"name", "cron", "time_zone", "catch_up", "paused"}:
        setattr(schedule, name, data[name])
    if "job" not in data:
        return
    job = data["job"]
    try:
        check(job["kind"], job["params"])
        check_job(
            session,
            schedule.workspace_id,
            job["kind"],
            job["params"],
            job["project_id"],
            job.get("gates", ()),
            job.get("stop_after"),
        )
    except PipelineError as error:
        error.field = f"job.{error.field}" if error.field else "job"
        raise
    schedule.kind = JobKind(job["kind"])
    schedule.gates = list(dict.fromkeys(job.get("gates", ())))
    for name in ("stop_after", "display_name", "timeout_minutes"):
        setattr(schedule, name, job.get(name))
    for name in ("params", "budget", "priority", "project_id"):
        setattr(schedule, name, job[name])


def _plan(session: Session, schedule: Schedule) -> None:
    """Have it fall due at its next time from now."""
    schedule.next_run_at = (
        None if schedule.paused else next_time(schedule.cron, schedule.time_zone, _now(session))
    )


def _edited(session: Session, schedule: Schedule, user_id: UUID | None, action: str, **details: Any) -> None:
    schedule.revision += 1
    session.flush()
    session.refresh(schedule)
    record_activity(session, schedule.workspace_id, user_id, action, schedule.id, **details)


def _now(session: Session) -> datetime:
    now: datetime = session.execute(select(func.now())).scalar_one()
    return now
