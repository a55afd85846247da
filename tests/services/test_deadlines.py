"""Jobs that take too long fail, and say what they were at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.briefs import load_params
from db.session import reading, transaction
from db.work import Job, JobState, Step, StepState, WaitsFor
from services import deadlines, jobs
from services.events import list_events
from tasks import beat, pipeline
from tests.services.makers import make_house


@pytest.fixture
def house(settings):
    return make_house()


def submit(house, kind="film", **more):
    params = {"film": {"text": "Moon"}, "scrape": {"words": ["moon"]}}[kind]
    with transaction() as session:
        job = jobs.submit_job(
            session,
            workspace_id=house.workspace_id,
            user_id=house.user_id,
            kind=kind,
            params=load_params(kind, params),
            **more,
        )
        return job.id


def let_time_pass(job_id):
    with transaction() as session:
        past = func.now() - timedelta(seconds=1)
        session.execute(update(Job).where(Job.id == job_id).values(deadline_at=past))


def read(job_id):
    with reading() as session:
        return session.get_one(Job, job_id)


def test_a_job_has_the_time_it_was_given_else_the_installations_and_a_film_none(house):
    assert read(submit(house)).deadline_at is None
    given = read(submit(house, timeout_minutes=1.5))
    assert given.timeout_seconds == 90
    assert given.deadline_at - given.created_at == timedelta(seconds=90)
    usual = read(submit(house, kind="scrape"))
    assert usual.deadline_at - usual.created_at == timedelta(hours=72)


def test_a_job_that_nobody_took_fails_with_a_reason_and_a_retry_has_its_whole_time(house):
    job_id = submit(house, timeout_minutes=30)
    pipeline.advance(job_id)
    beat.end_overdue_jobs()
    assert read(job_id).state is JobState.RUNNING
    let_time_pass(job_id)
    beat.end_overdue_jobs()
    failed = read(job_id)
    assert (failed.state, failed.error_code) == (JobState.FAILED, "timed_out")
    assert failed.error_message.startswith("It was not done within 30 min: no worker was free")
    with reading() as session:
        kinds = [event.type for event in list_events(session, house.workspace_id, job_id)]
        assert kinds[-2:] == ["job.timed_out", "job.failed"]
    with transaction() as session:
        jobs.retry_job(session, house.workspace_id, job_id)
    again = read(job_id)
    assert again.state is JobState.RUNNING
    with reading() as session:
        left = session.scalar(select(Job.deadline_at - func.now()).where(Job.id == job_id))
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)


def test_a_step_that_runs_is_stopped_first_and_the_reason_says_how_far_it_was(house):
    job_id = submit(house, timeout_minutes=120)
    pipeline.advance(job_id)
    with transaction() as session:
        step = session.scalars(select(Step).where(Step.job_id == job_id, Step.kind == "write_script")).one()
        step.state, step.progress, step.attempt = StepState.RUNNING, 0.4, 1
        step.lease_until = func.now() + timedelta(seconds=30)
    let_time_pass(job_id)
    beat.end_overdue_jobs()
    assert read(job_id).state is JobState.CANCELLING
    with transaction() as session:
        session.execute(
            update(Step).where(Step.id == step.id).values(state=StepState.CANCELLED, lease_until=None)
        )
    pipeline.advance(job_id)
    failed = read(job_id)
    assert failed.state is JobState.FAILED
    assert "within 2 h: write_script was 40% done" in failed.error_message


def test_a_job_that_waits_says_for_what(house):
    job_id = submit(house, timeout_minutes=60)
    with transaction() as session:
        job = session.get_one(Job, job_id)
        job.state, job.waits_for, job.waits_reason = JobState.WAITING, WaitsFor.BUDGET, "Top up."
    let_time_pass(job_id)
    beat.end_overdue_jobs()
    assert read(job_id).error_message == "It was not done within 1 h: it waited for money. Top up."


def test_a_job_that_ended_or_was_cancelled_meanwhile_is_let_be(house):
    job_id = submit(house, timeout_minutes=60)
    let_time_pass(job_id)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    with transaction() as session:
        assert deadlines.time_out(session, job_id) is False
    pipeline.advance(job_id)
    assert read(job_id).state is JobState.CANCELLED
