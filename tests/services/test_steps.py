"""Claims, leases, fences: what keeps two workers from doing or saving one step."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.errors import NotFound
from core.ids import new_id
from db.session import reading, transaction
from db.work import Attempt, Job, JobState, Step, StepState
from services import claims, jobs, steps
from services.claims import FailedNeed
from services.steps import StepPlan
from tests.services.makers import at_once, do, end, make_house, make_job, plan, see_step, take_up

GONE = timedelta(seconds=-1)


@pytest.fixture
def house(settings):
    return make_house()


@pytest.fixture
def job_id(house):
    return make_job(house)


def attempts(step_id):
    with reading() as session:
        return list(
            session.scalars(select(Attempt).where(Attempt.step_id == step_id).order_by(Attempt.number))
        )


def test_a_claim_numbers_the_attempt_and_holds_a_lease(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    held = take_up(step_id, worker="io@here")
    row = see_step(step_id)
    assert held.attempt == row.attempt == 1
    assert (row.state, row.worker) == (StepState.RUNNING, "io@here")
    assert row.lease_until > row.started_at
    assert [a.number for a in attempts(step_id)] == [1]


def test_of_many_deliveries_of_one_message_one_gets_the_step(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    answers = at_once(8, lambda number: take_up(step_id, worker=f"w{number}"))
    winners = [a for a in answers if a is not None]
    assert len(winners) == 1
    assert see_step(step_id).worker == f"w{answers.index(winners[0])}"
    assert len(attempts(step_id)) == 1


def test_a_message_about_a_step_that_never_was_is_ignored(job_id):
    assert take_up(new_id()) is None


def test_a_step_waits_for_everything_it_needs(job_id):
    a = StepPlan("narrate", new_id())
    b = StepPlan("narrate", new_id())
    body = StepPlan("rank", needs=(a.key, b.key))
    first, second, last = plan(job_id, a, b, body)
    assert take_up(last) is None
    do(first)
    assert take_up(last) is None
    do(second)
    assert take_up(last) is not None


def test_a_failed_need_has_ended_and_is_named(job_id):
    a = StepPlan("narrate", new_id(), label="shot 1")
    body = StepPlan("rank", needs=(a.key,))
    first, last = plan(job_id, a, body)
    held = take_up(first)
    with transaction() as session:
        claims.give_back(
            session, held, state=StepState.FAILED, outcome="failed", code="permanent", message="No voice."
        )
    assert take_up(last).failed_needs == (FailedNeed("narrate", "shot 1", "permanent", "No voice."),)


def test_a_step_given_back_with_a_delay_is_not_due_before(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    held = take_up(step_id)
    with transaction() as session:
        claims.give_back(
            session, held, state=StepState.READY, outcome="retry", code="busy", message="later", delay=60
        )
    row = see_step(step_id)
    assert (row.state, row.failures, row.lease_until, row.error_code) == (StepState.READY, 1, None, "busy")
    assert take_up(step_id) is None
    with transaction() as session:
        session.execute(update(Step).where(Step.id == step_id).values(not_before=func.now()))
    assert take_up(step_id).attempt == 2


@pytest.mark.parametrize(
    "state", [JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED, JobState.SUCCEEDED]
)
def test_steps_of_a_stopped_job_are_not_claimed(job_id, state):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        job.state = state
        job.finished_at = None if state is JobState.CANCELLING else func.now()
    assert take_up(step_id) is None


def test_saving_ends_the_attempt_with_its_figures(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    do(step_id, {"version": 1}, input_hash="a" * 64)
    row = see_step(step_id)
    assert (row.state, row.progress, row.lease_until) == (StepState.SUCCEEDED, 1.0, None)
    assert row.seconds >= 0
    assert row.result == {"version": 1}
    (attempt,) = attempts(step_id)
    assert (attempt.outcome, attempt.figures) == ("succeeded", {"s": 1})


def test_a_worker_thought_dead_cannot_save_over_its_successor(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    late = take_up(step_id, "late", lease=GONE)
    with transaction() as session:
        assert claims.reclaim_expired(session) == [job_id]
    successor = take_up(step_id, "successor")
    assert not end(late, {"by": "late"})
    assert end(successor, {"by": "successor"})
    assert not end(late, {"by": "late"})
    assert see_step(step_id).result == {"by": "successor"}
    assert [(a.number, a.outcome) for a in attempts(step_id)] == [(1, "lost"), (2, "succeeded")]


def test_a_late_worker_cannot_fail_its_successors_step_either(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    late = take_up(step_id, lease=GONE)
    with transaction() as session:
        claims.reclaim_expired(session)
    take_up(step_id)
    with transaction() as session:
        claims.give_back(session, late, state=StepState.FAILED, outcome="failed", code="x", message="x")
    assert see_step(step_id).state is StepState.RUNNING


def test_a_heartbeat_extends_the_lease_and_carries_progress(job_id):
    (step_id,) = plan(job_id, StepPlan("compose"))
    held = take_up(step_id, lease=timedelta(seconds=1))
    with transaction() as session:
        kept = claims.extend_leases(session, [(held, 0.4)], lease=timedelta(minutes=5))
    assert kept == {step_id}
    row = see_step(step_id)
    assert row.progress == 0.4
    with reading() as session:
        assert session.scalar(
            select(Step.lease_until > func.now() + timedelta(minutes=4)).where(Step.id == step_id)
        )
        assert claims.reclaim_expired(session) == []


def test_a_heartbeat_tells_a_worker_to_stop_when_the_job_is_cancelled(house, job_id):
    (step_id,) = plan(job_id, StepPlan("compose"))
    held = take_up(step_id)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    with transaction() as session:
        assert claims.extend_leases(session, [(held, None)], lease=timedelta(minutes=5)) == set()


def test_a_step_that_keeps_killing_its_worker_is_given_up(job_id):
    (step_id,) = plan(job_id, StepPlan("compose"))
    for _ in range(3):
        assert take_up(step_id, "media@1", lease=GONE) is not None
        with transaction() as session:
            claims.reclaim_expired(session, failures_allowed=3)
    row = see_step(step_id)
    assert (row.state, row.error_code, row.failures) == (StepState.FAILED, "worker_lost", 3)
    assert "media@1" in row.error_message


def test_two_sweepers_take_an_expired_step_back_once(job_id):
    (step_id,) = plan(job_id, StepPlan("compose"))
    take_up(step_id, lease=GONE)

    def sweep(_):
        with transaction() as session:
            return claims.reclaim_expired(session)

    answers = at_once(4, sweep)
    assert sorted(map(len, answers)) == [0, 0, 0, 1]
    assert see_step(step_id).failures == 1


def test_planning_twice_writes_nothing_twice_and_changes_nothing(job_id):
    (step_id,) = plan(job_id, StepPlan("write_script"))
    do(step_id)
    again, new = plan(job_id, StepPlan("write_script"), StepPlan("break_down"))
    assert again == step_id
    assert see_step(step_id).state is StepState.SUCCEEDED
    assert see_step(new).state is StepState.READY


def test_a_reopened_step_is_done_again_and_keeps_its_history(job_id):
    (step_id,) = plan(job_id, StepPlan("submit_take", new_id()))
    do(step_id, {"take": 1}, input_hash="b" * 64)
    with transaction() as session:
        steps.reopen(session, steps.lock_job(session, job_id), [step_id], params={"retake": 1})
    row = see_step(step_id)
    assert (row.state, row.sent_at, row.failures, row.params) == (StepState.READY, None, 0, {"retake": 1})
    held = take_up(step_id)
    assert (held.attempt, held.params) == (2, {"retake": 1})
    assert len(attempts(step_id)) == 2


def test_a_running_step_is_not_reopened(job_id):
    (step_id,) = plan(job_id, StepPlan("compose"))
    take_up(step_id)
    with transaction() as session:
        steps.reopen(session, steps.lock_job(session, job_id), [step_id])
    assert see_step(step_id).state is StepState.RUNNING


def test_equal_work_is_found_in_other_jobs_of_the_workspace_only(house, job_id):
    (step_id,) = plan(job_id, StepPlan("narrate", new_id()))
    do(step_id, {"spoken": True}, input_hash="c" * 64)
    other = make_house("Other")
    with reading() as session:
        found = steps.find_equal(session, house.workspace_id, "narrate", "c" * 64)
        assert found.id == step_id
        assert steps.find_equal(session, house.workspace_id, "compose", "c" * 64) is None
        assert steps.find_equal(session, other.workspace_id, "narrate", "c" * 64) is None


def test_only_quiet_steps_that_could_start_count_as_lost(job_id):
    a, b = StepPlan("narrate", new_id()), StepPlan("narrate", new_id())
    unsent, sent, blocked = plan(job_id, a, b, StepPlan("rank", needs=(a.key, b.key)))
    with transaction() as session:
        session.execute(
            update(Step).where(Step.job_id == job_id).values(not_before=func.now() - timedelta(seconds=20))
        )
        steps.mark_sent(session, [sent, blocked])
    with transaction() as session:
        assert [s.id for s in steps.lost_messages(session, quiet_seconds=5)] == [unsent]
    with transaction() as session:
        session.execute(update(Step).values(sent_at=func.now() - timedelta(seconds=10)))
    with transaction() as session:
        assert {s.id for s in steps.lost_messages(session, quiet_seconds=5)} == {unsent, sent}


def test_two_sweepers_never_send_the_same_lost_message(job_id):
    ids = plan(job_id, *[StepPlan("narrate", new_id()) for _ in range(6)])
    with transaction() as session:
        session.execute(update(Step).values(not_before=func.now() - timedelta(seconds=20)))

    def sweep(_):
        with transaction() as session:
            lost = [s.id for s in steps.lost_messages(session, quiet_seconds=5)]
            steps.mark_sent(session, lost)
            return lost

    taken = [step_id for answer in at_once(4, sweep) for step_id in answer]
    assert sorted(taken) == sorted(ids)


def test_claims_and_cancels_of_one_job_never_deadlock(house, job_id):
    ids = plan(job_id, *[StepPlan("narrate", new_id()) for _ in range(6)])

    def work(number):
        if number == 6:
            with transaction() as session:
                return jobs.cancel_job(session, house.workspace_id, job_id)
        held = take_up(ids[number])
        return held and end(held)

    answers = at_once(7, work)
    assert not [a for a in answers if isinstance(a, Exception)], answers
    with reading() as session:
        states = {s.state for s in steps.list_steps(session, job_id)}
        assert session.get_one(Job, job_id).state is JobState.CANCELLING
    assert states <= {StepState.SUCCEEDED, StepState.CANCELLED, StepState.RUNNING}


def test_locking_a_job_that_is_gone_says_so(settings):
    with transaction() as session, pytest.raises(NotFound):
        steps.lock_job(session, new_id())
