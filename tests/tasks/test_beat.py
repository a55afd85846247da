"""The sweepers mend what was lost, and two of them at once do no harm."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.ids import new_id
from core.storage import blob_key, open_storage
from db.assets import Blob
from db.money import Hold, HoldState
from db.review import Approval, Gate
from db.session import reading, transaction
from db.work import Heartbeat, Job, JobState, Step, StepState
from services import approvals, jobs, money, renditions, steps
from services.renditions import StoredFile
from services.steps import StepPlan
from tasks import beat, pipeline
from tests.services.makers import at_once, do, make_job, plan, see_job, see_step, take_up

GONE = timedelta(seconds=-1)


def age_steps(seconds):
    """Let the last word about every step be this old."""
    then = func.now() - timedelta(seconds=seconds)
    with transaction() as session:
        session.execute(update(Step).values(not_before=then, sent_at=then))


def age_jobs(seconds=10):
    with transaction() as session:
        session.execute(update(Job).values(advanced_at=func.now() - timedelta(seconds=seconds)))


def sent(broker):
    return sorted(m.kwargs["step_id"] for m in broker.messages())


@pytest.mark.both_brokers
def test_a_lost_message_is_sent_again(house, broker):
    job_id = make_job(house)
    pipeline.advance(job_id)
    broker.clear()
    beat.advance_idle_jobs()
    assert broker.messages() == []  # it may still come
    age_steps(10)
    beat.advance_idle_jobs()
    (message,) = broker.messages()
    assert message.task == "write_script"
    assert message.kwargs["solo"] is True
    broker.clear()
    beat.advance_idle_jobs()
    assert broker.messages() == []  # it has just been sent


@pytest.mark.both_brokers
def test_behind_a_backlog_a_message_is_given_more_time(house, broker):
    first, second = make_job(house), make_job(house)
    pipeline.advance(first)  # this message stays in the queue
    plan(second, StepPlan("write_script"))
    age_steps(30)
    beat.advance_idle_jobs()
    assert len(broker.messages()) == 1
    age_steps(200)
    beat.advance_idle_jobs()
    assert len(broker.messages()) == 3


def test_sweepers_at_once_send_each_lost_message_once(house, broker):
    job_id = make_job(house)
    ids = plan(job_id, *[StepPlan("narrate", new_id()) for _ in range(5)], phase="source")
    age_steps(30)
    assert at_once(4, lambda _: beat.advance_idle_jobs()) == [None] * 4
    assert sent(broker) == sorted(map(str, ids))


def test_a_job_that_waits_for_a_person_is_left_alone(house, broker):
    job_id = make_job(house, gates=("script",))
    (step_id,) = plan(job_id, StepPlan("write_script"))
    do(step_id)
    pipeline.advance(job_id)
    broker.clear()
    age_jobs()
    before = see_job(job_id).advanced_at
    beat.advance_idle_jobs()
    assert see_job(job_id).advanced_at == before


def test_a_job_nobody_advanced_is_advanced(house, broker):
    queued, done = make_job(house), make_job(house, stop_after="write")
    (step_id,) = plan(done, StepPlan("write_script"))
    do(step_id)  # and the worker died before it could say so
    age_jobs()
    beat.advance_idle_jobs()
    assert see_job(queued).phase == "write"
    assert see_job(done).state is JobState.SUCCEEDED


def test_a_cancelled_job_whose_last_word_was_lost_ends(house, broker):
    job_id = make_job(house)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    age_jobs()
    beat.advance_idle_jobs()
    assert see_job(job_id).state is JobState.CANCELLED


@pytest.mark.both_brokers
def test_a_step_of_a_silent_worker_is_given_back_and_sent(house, broker):
    job_id = make_job(house)
    (step_id,) = plan(job_id, StepPlan("compose"))
    take_up(step_id, lease=GONE)
    beat.reclaim_expired_leases()
    assert see_step(step_id).state is StepState.READY
    assert sent(broker) == [str(step_id)]
    assert take_up(step_id).attempt == 2


def test_sweepers_at_once_give_a_step_back_once(house, broker):
    job_id = make_job(house)
    ids = plan(job_id, *[StepPlan("narrate", new_id()) for _ in range(4)], phase="source")
    for step_id in ids:
        take_up(step_id, lease=GONE)
    assert at_once(4, lambda _: beat.reclaim_expired_leases()) == [None] * 4
    assert sent(broker) == sorted(map(str, ids))
    assert {see_step(step_id).failures for step_id in ids} == {1}


def test_a_silent_worker_of_a_cancelled_job_lets_the_job_end(house, broker):
    job_id = make_job(house)
    (step_id,) = plan(job_id, StepPlan("compose"))
    take_up(step_id, lease=GONE)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    beat.reclaim_expired_leases()
    assert see_job(job_id).state is JobState.CANCELLED
    assert see_step(step_id).state is StepState.CANCELLED


def test_a_step_that_kills_every_worker_fails_its_job(house, broker):
    job_id = make_job(house)
    (step_id,) = plan(job_id, StepPlan("compose", label="x"), phase="finish")
    for _ in range(5):
        assert take_up(step_id, lease=GONE) is not None
        beat.reclaim_expired_leases()
    job = see_job(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "worker_lost")


def test_beat_says_that_it_beats(house, broker):
    beat.tick()
    beat.tick()
    with reading() as session:
        row = session.get_one(Heartbeat, "beat")
        assert session.scalar(select(func.now() - row.beaten_at)) < timedelta(seconds=10)


def test_money_set_aside_for_nothing_is_released(house, broker):
    job_id = make_job(house)
    with transaction() as session:
        money.place_hold(session, session.get_one(Job, job_id), amount=5, currency="USD")
        session.flush()
        session.execute(update(Hold).values(expires_at=func.now() - timedelta(seconds=1)))
    assert at_once(3, lambda _: beat.expire_holds()) == [None] * 3
    with reading() as session:
        assert session.scalar(select(Hold.state)) is HoldState.RELEASED


def test_a_question_nobody_answered_fails_its_job(house, broker):
    job_id = make_job(house, gates=("cut",))
    with transaction() as session:
        approvals.ask(session, steps.lock_job(session, job_id), Gate.CUT, ttl_hours=1)
        session.execute(update(Approval).values(expires_at=func.now() - timedelta(seconds=1)))
    beat.expire_approvals()
    assert see_job(job_id).error_code == "approval_expired"


def test_bytes_nobody_points_at_leave_the_store_and_others_stay(house, broker, settings, tmp_path):
    storage = open_storage(settings)
    file = tmp_path / "bytes"
    file.write_bytes(b"x")
    for digit in "ab":
        storage.put(blob_key(digit * 64), file, mime="text/plain")
        with transaction() as session:
            renditions.keep_blob(
                session, StoredFile(digit * 64, 1, "text/plain", blob_key(digit * 64), "bytes")
            )
    with transaction() as session:
        then = func.now() - timedelta(days=3)
        session.execute(update(Blob).where(Blob.sha256 == "a" * 64).values(created_at=then))
    beat.clean_blobs()
    assert not storage.exists(blob_key("a" * 64))
    assert storage.exists(blob_key("b" * 64))


@pytest.mark.parametrize(
    "entry", ["tick", "advance-idle-jobs", "reclaim-expired-leases", "expire-holds", "recheck-budgets"]
)
def test_a_duty_nobody_picked_up_is_worthless_once_the_next_is_due(broker, entry):
    from tasks.app import app

    duty = app.conf.beat_schedule[entry]
    assert duty["task"] in app.tasks or app.loader.import_default_modules() is not None
    assert duty["options"]["expires"] >= duty["schedule"]
