"""What a broker or a worker does to the messages between them, on every broker the product runs on."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from db.work import Attempt, JobState, StepState
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.both_brokers, pytest.mark.timeout(240)]

TWO = """# Up

[image: samples:rocket]
We go up.

[image: samples:coffee]
We come down.
"""


@pytest.fixture
def broker(studio: Studio):
    """The stack's broker, which answers again whatever a test did to it."""
    with studio.stack.supervised():
        yield studio.stack.broker
        studio.stack.broker.start()


def saved(studio: Studio, job_id: UUID) -> dict[UUID, tuple]:
    return {
        step.id: (step.attempt, step.finished_at, step.result.get("stored"))
        for step in studio.steps(job_id)
        if step.state is StepState.SUCCEEDED
    }


def test_while_the_broker_is_down_jobs_are_taken_and_afterwards_all_are_done(studio, broker):
    begun = studio.film(TWO, captions="none", stop_after="shoot")
    studio.running(begun, "submit_take")
    broker.stop()
    taken = studio.film(TWO, stop_after="write")
    assert studio.job(taken).state is JobState.QUEUED
    assert studio.steps(taken) == []
    assert studio.get("/health/services")["services"]["broker"]["status"] == "degraded"
    kept = saved(studio, begun)
    broker.start()
    for job_id in (taken, begun):
        studio.state_of(job_id, "succeeded")
    assert {step.attempt for step in studio.steps(taken)} == {1}
    assert kept.items() <= saved(studio, begun).items()
    assert studio.get("/health/services")["services"]["broker"]["status"] == "ok"


def test_an_emptied_broker_costs_time_and_nothing_else(studio):
    job_id = studio.film("\n\n".join(["We go up, and we come down again."] * 8), stop_after="source")
    studio.running(job_id, "narrate")
    studio.flush_broker()
    assert [step for step in studio.steps(job_id, "narrate") if step.state is StepState.READY]
    kept = saved(studio, job_id)
    studio.state_of(job_id, "succeeded")
    assert kept.items() <= saved(studio, job_id).items()


def test_the_step_of_a_killed_worker_is_done_once_by_another(studio):
    """RabbitMQ delivers its message again at once, to a claim that is still held; the lease decides."""
    job_id = studio.film(TWO, captions="none", stop_after="shoot")
    hit = studio.running(job_id, "submit_take")
    studio.stack.kill("worker-media")
    studio.stack.start("worker-media")
    studio.state_of(job_id, "succeeded")
    with studio.rows() as session:
        tried = select(Attempt.outcome).where(Attempt.step_id == hit.id).order_by(Attempt.number)
        assert session.scalars(tried).all() == ["lost", "succeeded"]
    assert len(studio.steps(job_id, "submit_take")) == 2
