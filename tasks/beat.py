"""Beat's duties: mend what a lost message, a flushed broker or a killed worker left behind.

Each is safe to run twice at once and to miss for an hour: rows are taken with SKIP LOCKED, or under their
job's lock with the condition checked again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from kombu.connection import Connection
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from core.settings import get_settings
from db.session import reading, transaction
from db.work import Heartbeat, Job, JobState, Step, StepState
from services import (
    approvals,
    books,
    claims,
    clocks,
    deadlines,
    money,
    renditions,
    sources,
    steps,
    uploads,
)
from tasks import budget, pipeline
from tasks.app import app
from tasks.step import storage

log = structlog.get_logger()

QUIET_WITH_IDLE_QUEUE = 8.0
QUIET_WITH_BACKLOG = 120.0
STEP_QUEUES = ("media", "scrape", "control", "submit")


def duty(name: str) -> Any:
    """Make a Celery task of a duty; it is no news to Flower, whose list is for people's jobs."""
    return app.task(name=name, send_events=False)


@duty("tick")
def tick() -> None:
    """Write that beat beats."""
    with transaction() as session:
        session.execute(
            upsert(Heartbeat)
            .values(name="beat", beaten_at=func.now())
            .on_conflict_do_update(index_elements=["name"], set_={"beaten_at": func.now()})
        )


@duty("advance_idle_jobs")
def advance_idle_jobs() -> None:
    """Send lost steps again and move jobs whose last word was lost.

    A message counts as lost when its queue is empty and nobody claimed its step; behind a backlog it is
    given two minutes, because sending again would only lengthen the queue.
    """
    with transaction() as session:
        quiet = QUIET_WITH_BACKLOG if _backlog() else QUIET_WITH_IDLE_QUEUE
        lost = steps.lost_messages(session, quiet_seconds=quiet)
        steps.mark_sent(session, [row.id for row in lost])
        open_steps = (
            select(Step.id)
            .where(
                Step.job_id == Job.id,
                Step.phase == Job.phase,
                Step.state.in_((StepState.READY, StepState.RUNNING)),
            )
            .exists()
        )
        idle = session.scalars(
            select(Job.id)
            .where(
                Job.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)),
                Job.advanced_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 3),
                ~open_steps | (Job.state == JobState.CANCELLING),
            )
            .limit(100)
        ).all()
    for row in lost:
        log.info("sending a step again", job=str(row.job_id), step=row.kind, label=row.label)
        pipeline.send_step(row)
    for job_id in idle:
        pipeline.advance(job_id)


@duty("wake_jobs")
def wake_jobs(job_ids: list[str]) -> None:
    """Move the jobs on that somebody said something new about; one that fails is the sweeper's."""
    for job_id in job_ids:
        try:
            pipeline.advance(UUID(job_id))
        except Exception:
            log.exception("a job could not be advanced", job=job_id)


@duty("reclaim_expired_leases")
def reclaim_expired_leases() -> None:
    """Give steps of silent workers back to the queue."""
    with transaction() as session:
        jobs = claims.reclaim_expired(session)
        ready = [row for job_id in set(jobs) for row in steps.claimable(session, job_id)]
        mine = [row for row in ready if row.error_code == "worker_lost"]
        steps.mark_sent(session, [row.id for row in mine])
    for row in mine:
        pipeline.send_step(row)
    for job_id in set(jobs):
        pipeline.advance(job_id)


@duty("recheck_budgets")
def recheck_budgets(workspace_id: str | None = None) -> None:
    """Have jobs that wait for money go on, as far as it has become available."""
    budget.recheck(UUID(workspace_id) if workspace_id else None)


@duty("end_overdue_jobs")
def end_overdue_jobs() -> None:
    """Stop jobs that were not done in the time they were given; they fail with the reason."""
    with reading() as session:
        late = deadlines.overdue_jobs(session)
    for job_id in late:  # each in its own transaction: two jobs' rows are never locked at once
        with transaction() as session:
            stopped = deadlines.time_out(session, job_id)
        if stopped:
            pipeline.advance(job_id)


@duty("expire_uploads")
def expire_uploads() -> None:
    """Forget uploads that nobody finished in time, and what had come of them."""
    with transaction() as session:
        keys = uploads.take_expired(session)
    for key in keys:
        storage().delete(key)


@duty("expire_holds")
def expire_holds() -> None:
    """Settle holds whose purchase nobody will finish: past their time, or of a job that has ended."""
    with reading() as session:
        stale = money.stale_holds(session)
    for hold_id in stale:
        with transaction() as session:
            money.settle_hold(session, hold_id)


@duty("expire_approvals")
def expire_approvals() -> None:
    """Close questions that nobody answered in time."""
    with transaction() as session:
        approvals.expire_approvals(session)


@duty("heed_clock")
def heed_clock() -> None:
    """Go on with what waits for a time that only a clock which was set back since could promise."""
    lease = timedelta(seconds=get_settings().step_lease_seconds)
    with transaction() as session:
        found = clocks.heed_clock(session, lease=lease)
    if found:
        log.warning("the database's clock was set back", times_made_due=found)


@duty("clean_blobs")
def clean_blobs() -> None:
    """Delete stored bytes that nothing points at any more."""
    with transaction() as session:
        keys = renditions.take_unused_blobs(session, older_than_hours=get_settings().blob_grace_hours)
    for key in keys:
        storage().delete(key)


@duty("forget_source_errors")
def forget_source_errors() -> None:
    """Delete what sources failed at more than a month ago."""
    with transaction() as session:
        sources.forget_errors(session)


@duty("verify_books")
def verify_books() -> None:
    """Prove the books, and write down how they were found."""
    with transaction() as session:
        findings = books.verify_books(session)
        books.keep_findings(session, findings)
    for finding in findings:
        log.error(
            "the books are wrong",
            check=finding.check,
            workspace=str(finding.workspace_id),
            detail=finding.detail,
        )


def _backlog() -> int:
    """Messages waiting in the steps' queues; 0 when the broker cannot be asked."""
    try:
        with app.connection_for_read() as connection:
            return sum(_waiting(connection, queue) for queue in STEP_QUEUES)
    except Exception as error:  # noqa: BLE001 (an unreachable broker has no backlog we could know of)
        log.warning("the broker could not be asked for its backlog", error=str(error))
        return 0


def _waiting(connection: Connection, queue: str) -> int:
    """Messages in one queue, on any broker; a queue that nobody has declared yet has none."""
    # A channel of its own: RabbitMQ closes it over a queue that is not there.
    channel = connection.channel()  # type: ignore[no-untyped-call]
    try:
        if hasattr(channel, "_size"):  # Redis: kombu looks for the queue itself without the key's prefix
            return int(channel._size(queue))  # noqa: SLF001
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except connection.channel_errors:
        return 0
    finally:
        channel.close()
