"""The tasks that `bench.steps` times, and the application that has them; a worker imports this too."""

from __future__ import annotations

import time
from uuid import UUID

from redis import Redis
from sqlalchemy import func, select

from core.briefs import load_params
from core.embedded import redis_url
from core.settings import get_settings
from db.session import reading, transaction
from db.work import ENDED_STEP, Job, JobKind, JobState, Step
from services import steps
from services.accounts import create_workspace
from services.steps import StepPlan
from tasks.app import app
from tasks.step import Run, step

DONE = "bench:done"
PARAMS = load_params("scrape", {"words": ["nothing"], "sources": []})

_planned: list[UUID] = []
_redis: Redis | None = None


@app.task(name="bench_empty")  # type: ignore[untyped-decorator]
def empty() -> None:
    """Do nothing."""


@app.task(name="bench_last")  # type: ignore[untyped-decorator]
def say_done() -> None:
    """Say that everything queued before has been taken."""
    _client().set(DONE, 1)


@step("bench_step")
def durable(run: Run) -> None:
    """Save nothing, as durably as anything else."""
    run.save({})


def make_workspace() -> UUID:
    with transaction() as session:
        workspace, _ = create_workspace(session, "Bench", "bench@example.test", "Bench")
        return workspace.id


def plan_steps(workspace: UUID, count: int, per_job: int) -> None:
    """Write jobs whose only phase has `per_job` steps, `count` in all."""
    _planned.clear()
    for _ in range(count // per_job):
        with transaction() as session:
            job = Job(
                workspace_id=workspace,
                kind=JobKind.SCRAPE,
                params=PARAMS,
                state=JobState.RUNNING,
                phase="search",
                stop_after="search",
            )
            session.add(job)
            session.flush()
            plans = [StepPlan("bench_step", variant=str(number)) for number in range(per_job)]
            steps.plan_steps(session, job, "search", plans)
            rows = steps.list_steps(session, job.id)
            steps.mark_sent(session, [row.id for row in rows])
            _planned.extend(row.id for row in rows)


def queue_steps(count: int) -> None:
    """Queue the first `count` planned steps."""
    with app.producer_pool.acquire(block=True) as producer:
        for step_id in _planned[:count]:
            durable.apply_async(kwargs={"step_id": str(step_id), "job": "bench"}, producer=producer)


def steps_left() -> int:
    with reading() as session:
        return int(
            session.scalar(
                select(func.count())
                .select_from(Step)
                .where(Step.id.in_(_planned), Step.state.not_in(ENDED_STEP))
            )
            or 0
        )


def queue_empty_tasks(count: int) -> None:
    _client().delete(DONE)
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count - 1):
            empty.apply_async(producer=producer)
        say_done.apply_async(producer=producer)


def empty_tasks_left() -> int:
    return 0 if _client().exists(DONE) else 1


def hold_queue() -> None:
    app.control.cancel_consumer("control", reply=True, timeout=5)


def release_queue() -> None:
    app.control.add_consumer("control", reply=False)


def wait_for_worker(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not app.control.ping(timeout=1):
        if time.monotonic() > deadline:
            raise RuntimeError("The worker did not answer.")


def _client() -> Redis:
    global _redis  # noqa: PLW0603 - one connection per process
    if _redis is None:
        _redis = Redis.from_url(redis_url(get_settings()))
    return _redis
