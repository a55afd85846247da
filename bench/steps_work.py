"""The tasks that `bench.engine` times, and the application that has them; a worker imports this too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from celery import chord
from redis import Redis
from sqlalchemy import select

from core.briefs import load_params
from core.embedded import redis_url
from core.ids import new_id
from core.settings import get_settings
from db.session import reading, transaction
from db.work import ENDED_STEP, Job, JobKind, JobState, Step, StepState
from services import steps
from services.accounts import create_workspace
from services.steps import StepPlan
from tasks import pipeline
from tasks.app import app
from tasks.pipeline import Chord, Group, Shape
from tasks.step import Run, step

DONE = "bench:done"
PARAMS = load_params("scrape", {"words": ["nothing"], "sources": []})

_planned: list[UUID] = []
_jobs: list[UUID] = []
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
    _jobs.clear()
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
            _jobs.append(job.id)
            plans = [StepPlan("bench_step", variant=str(number)) for number in range(per_job)]
            steps.plan_steps(session, job, "search", plans)
            rows = steps.list_steps(session, job.id)
            steps.mark_sent(session, [row.id for row in rows])
            _planned.extend(row.id for row in rows)


def queue_steps(count: int) -> None:
    """Queue the first `count` planned steps."""
    with app.producer_pool.acquire(block=True) as producer:
        for step_id in _planned[:count]:
            durable.apply_async(
                kwargs={"step_id": str(step_id), "job": "bench"}, producer=producer, ignore_result=True
            )


def spread_steps(queues: Sequence[str]) -> None:
    """Queue all planned steps, the same number to each queue."""
    with app.producer_pool.acquire(block=True) as producer:
        for number, step_id in enumerate(_planned):
            durable.apply_async(
                kwargs={"step_id": str(step_id), "job": "bench"},
                queue=queues[number % len(queues)],
                producer=producer,
                ignore_result=True,
            )


def steps_left() -> int:
    """1 while a planned step has not ended; asked often, so it counts nothing."""
    with reading() as session:
        left = select(Step.id).where(Step.job_id.in_(_jobs), Step.state.not_in(ENDED_STEP)).limit(1)
        return 0 if session.scalar(left) is None else 1


def queue_empty_tasks(count: int) -> None:
    _client().delete(DONE)
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count - 1):
            empty.apply_async(producer=producer, ignore_result=True)
        say_done.apply_async(producer=producer, ignore_result=True)


def empty_tasks_left() -> int:
    return 0 if _client().exists(DONE) else 1


@app.task(name="bench_header")  # type: ignore[untyped-decorator]
def header(run: str) -> None:
    """Say when it ended."""
    _client().rpush(f"bench:{run}:ended", time.time())


@app.task(name="bench_body")  # type: ignore[untyped-decorator]
def body(run: str) -> None:
    """Say when it began."""
    _client().set(f"bench:{run}:began", time.time())


def time_celery_chord(size: int, patience: float) -> float:
    """Seconds from the end of a bare chord's last header task to the start of its body."""
    run = str(new_id())
    chord([header.si(run) for _ in range(size)], body.si(run)).apply_async()
    began = _await(lambda: _client().get(f"bench:{run}:began"), patience)
    return float(began) - max(float(ended) for ended in _client().lrange(f"bench:{run}:ended", 0, -1))


def time_step_chord(workspace: UUID, size: int, patience: float) -> float:
    """Seconds from the save of a step chord's last header step to the claim of its body."""
    shape = Chord(
        tuple(StepPlan("bench_step", variant=str(number)) for number in range(size)),
        StepPlan("bench_step", variant="body"),
    )
    job_id, canvas = _plan(workspace, shape)
    pipeline._publish(canvas)  # noqa: SLF001 - the very function that phases leave by

    def both() -> Any:
        with reading() as session:
            rows = steps.list_steps(session, job_id)
        return rows if all(row.state is StepState.SUCCEEDED for row in rows) else None

    rows = _await(both, patience)
    last = max(row.finished_at for row in rows if row.variant != "body")
    (started,) = (row.started_at for row in rows if row.variant == "body")
    return float((started - last).total_seconds())


def time_phase_publish(workspace: UUID, shots: int) -> float:
    """Seconds until a phase of so many shots is with the broker."""
    shape = Group(tuple(StepPlan("bench_step", variant=str(number)) for number in range(shots)))
    _, canvas = _plan(workspace, shape)
    began = time.perf_counter()
    pipeline._publish(canvas)  # noqa: SLF001
    return time.perf_counter() - began


def time_single_publishes(count: int) -> float:
    """Seconds until so many empty tasks are with the broker, one after the other."""
    began = time.perf_counter()
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            empty.apply_async(producer=producer)
    return time.perf_counter() - began


def forget_queue() -> None:
    """Throw away what lies in the queue."""
    app.control.purge()


def _plan(workspace: UUID, shape: Shape) -> tuple[UUID, Any]:
    """Write a job whose only phase has this shape; its id and the canvas that would be published."""
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
        steps.plan_steps(session, job, "search", [plan for plan, _ in pipeline._rows(shape)])  # noqa: SLF001
        rows = {(row.kind, row.subject_id, row.variant): row for row in steps.list_steps(session, job.id)}
        steps.mark_sent(session, [row.id for row in rows.values()])
        return job.id, pipeline._canvas(shape, rows, {row.id for row in rows.values()})  # noqa: SLF001


def _await(what: Callable[[], Any], patience: float) -> Any:
    deadline = time.monotonic() + patience
    while not (found := what()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Nothing came within {patience:.0f} s.")
        time.sleep(0.01)
    return found


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
