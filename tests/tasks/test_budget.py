"""A job that is out of budget waits, says why, and goes on by itself; the books are proved."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text, update

from core.ids import new_id
from db.money import Hold, HoldState
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Attempt, Event, Heartbeat, Job, JobState, StepState, WaitsFor
from services import books, budgets, jobs, money, overdue, steps
from services.steps import StepPlan
from tasks import beat, pipeline
from tests.services.makers import at_once, do, make_job, plan, see_job, see_shots, see_step
from tests.tasks.conftest import perform
from tests.tasks.test_pipeline import write_two_shots


def buying(amount):
    """A step's work that pays before it saves."""

    def work(run):
        with transaction() as session:
            money.place_hold(session, run.job, amount=amount, currency="USD")
        with run.saving():
            run.result = {"paid": amount}

    return work


@pytest.fixture
def shoot(house):
    """Make a job with two shots at `submit_take` and this cap; returns its id and those of the steps."""

    def make(cap, **more):
        job_id = make_job(house, budget={"amount": cap}, **more)
        write_two_shots(job_id)
        shots = see_shots(job_id)
        kept = [StepPlan("keep_stock", shot.id) for shot in shots]
        takes = [StepPlan("submit_take", s.id, label=f"shot {s.position + 1}") for s in shots]
        ids = plan(job_id, *kept, *takes, phase="shoot")
        for step_id in ids[:2]:
            do(step_id)
        return job_id, ids[2:]

    return make


def put_cap(house, job_id, amount):
    with transaction() as session:
        budgets.put_budget(
            session, house.workspace_id, house.user_id, scope="job", scope_id=job_id, limit_amount=amount,
            currency="USD",
        )  # fmt: skip


def attempts(step_id):
    with reading() as session:
        return list(
            session.scalars(
                select(Attempt.outcome).where(Attempt.step_id == step_id).order_by(Attempt.number)
            )
        )


def events(job_id):
    with reading() as session:
        return list(session.scalars(select(Event.type).where(Event.job_id == job_id).order_by(Event.seq)))


def test_one_shot_out_of_budget_stops_no_other(shoot):
    job_id, (dear, cheap) = shoot(100)
    perform(buying(150), dear)
    assert see_job(job_id).state is JobState.RUNNING
    perform(buying(60), cheap)
    job = see_job(job_id)
    assert (job.state, job.waits_for) == (JobState.WAITING, WaitsFor.BUDGET)
    assert see_step(cheap).state is StepState.SUCCEEDED
    row = see_step(dear)
    assert (row.state, row.failures, row.error_code) == (StepState.READY, 0, "over_budget")
    assert attempts(dear) == ["waits"]
    for word in ("submit_take shot 1", "cap of this job", "0.00011 USD too much", "PUT /budgets"):
        assert word in job.waits_reason


def test_while_it_waits_nothing_is_tried_again_and_nobody_sends_it(shoot, broker):
    job_id, step_ids = shoot(100)
    for step_id in step_ids:
        perform(buying(150), step_id)
    broker.clear()
    told = events(job_id)
    for _ in range(3):
        beat.recheck_budgets()
        beat.advance_idle_jobs()
        pipeline.advance(job_id)
    assert broker.messages() == []
    assert events(job_id) == told
    assert [attempts(step_id) for step_id in step_ids] == [["waits"], ["waits"]]


def test_it_goes_on_by_itself_after_its_cap_is_raised(house, shoot, broker):
    job_id, step_ids = shoot(100)
    for step_id in step_ids:
        perform(buying(150), step_id)
    broker.clear()
    put_cap(house, job_id, 200)  # enough for one
    assert at_once(3, lambda _: beat.recheck_budgets()) == [None] * 3
    (message,) = broker.messages()
    assert message.kwargs["step_id"] == str(step_ids[0])
    assert see_job(job_id).state is JobState.RUNNING
    perform(buying(150), step_ids[0])
    assert attempts(step_ids[0]) == ["waits", "succeeded"]
    assert see_job(job_id).waits_for is WaitsFor.BUDGET
    put_cap(house, job_id, 300)
    beat.recheck_budgets()
    perform(buying(150), step_ids[1])
    assert see_step(step_ids[1]).state is StepState.SUCCEEDED
    assert see_job(job_id).phase == "finish"


def test_it_goes_on_after_a_top_up_of_the_wallet(house, shoot, broker):
    top_up(house, 100)
    job_id, step_ids = shoot(1000)
    for step_id in step_ids:
        perform(buying(150), step_id)
    assert "top it up with POST /credits/top-ups" in see_job(job_id).waits_reason
    top_up(house, 200)
    beat.recheck_budgets(str(house.workspace_id))
    for step_id in step_ids:
        perform(buying(150), step_id)
    assert {see_step(step_id).state for step_id in step_ids} == {StepState.SUCCEEDED}


def top_up(house, amount):
    with transaction() as session:
        money.top_up(session, house.workspace_id, None, amount=amount, currency="USD", key=str(new_id()))


def test_it_goes_on_when_the_workspaces_day_turns(house, shoot, broker):
    with transaction() as session:
        budgets.put_budget(
            session, house.workspace_id, house.user_id, scope="workspace_day", scope_id=None, limit_amount=150,
            currency="USD",
        )  # fmt: skip
    job_id, (first, second) = shoot(1000)
    perform(buying(150), first)
    perform(buying(150), second)
    assert "or wait for midnight UTC" in see_job(job_id).waits_reason
    with transaction() as session:
        session.execute(update(Hold).values(created_at=func.now() - func.make_interval(0, 0, 0, 1)))
    beat.recheck_budgets()
    perform(buying(150), second)
    assert see_step(second).state is StepState.SUCCEEDED


def test_a_cap_raised_too_little_shows_in_the_reason(house, shoot):
    job_id, step_ids = shoot(100)
    for step_id in step_ids:
        perform(buying(150), step_id)
    put_cap(house, job_id, 120)
    beat.recheck_budgets(str(house.workspace_id))
    assert "0.00003 USD too much" in see_job(job_id).waits_reason


def test_a_worker_that_died_before_it_could_tell_leaves_no_job_running_for_ever(shoot):
    job_id, step_ids = shoot(100)
    for step_id in step_ids:
        perform(buying(150), step_id)
    with transaction() as session:  # as if its last `advance` had been lost
        job = steps.lock_job(session, job_id)
        job.state, job.waits_for, job.waits_reason = JobState.RUNNING, None, None
        session.execute(update(Job).values(advanced_at=func.now() - func.make_interval(0, 0, 0, 0, 1)))
    beat.recheck_budgets()
    assert see_job(job_id).waits_for is WaitsFor.BUDGET


def test_a_vendors_answer_is_not_forgotten_while_the_job_waits_for_money(house, shoot):
    job_id, (short, bought) = shoot(100)
    perform(buying(150), short)
    with transaction() as session:
        row = Submission(
            workspace_id=house.workspace_id, job_id=job_id, step_id=bought, shot_id=see_step(bought).subject_id,
            purpose="shot", provider="kling", model="m", request={}, input_hash="a" * 64, client_token="t",
            state=SubmissionState.RUNNING, vendor_id="v1",
        )  # fmt: skip
        session.add(row)
    do(bought, {"submission_id": str(row.id)})
    pipeline.advance(job_id)
    assert see_job(job_id).waits_for is WaitsFor.BUDGET
    assert "Waits for" in see_job(job_id).waits_reason  # the vendor is named beside the cap
    with transaction() as session:  # answered, and whoever wrote it down died before it could say so
        session.execute(update(Submission).values(state=SubmissionState.ANSWERED))
        session.execute(update(Job).values(advanced_at=func.now() - func.make_interval(0, 0, 0, 0, 1)))
    with reading() as session:
        assert overdue.jobs_to_advance(session) == [job_id]
    pipeline.advance(job_id)
    with reading() as session:
        assert [step.kind for step in steps.list_steps(session, job_id) if step.kind == "fetch_take"]
        assert overdue.jobs_to_advance(session) == []
    assert see_job(job_id).state is JobState.RUNNING


def test_a_job_that_waits_for_money_can_be_cancelled(house, shoot):
    job_id, step_ids = shoot(100)
    for step_id in step_ids:
        perform(buying(150), step_id)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    pipeline.advance(job_id)
    assert see_job(job_id).state is JobState.CANCELLED
    assert {see_step(step_id).state for step_id in step_ids} == {StepState.CANCELLED}
    put_cap(house, job_id, 1000)
    beat.recheck_budgets()
    assert see_job(job_id).state is JobState.CANCELLED


def test_where_a_failed_shot_halts_the_job_money_changes_nothing(shoot):
    job_id, (short, broken) = shoot(100, params={"on_shot_failure": "halt"})
    perform(buying(150), short)

    def work(run):
        raise ValueError("no")

    perform(work, broken)
    assert see_job(job_id).state is JobState.FAILED


def test_the_money_of_a_cancelled_job_comes_back(house, shoot):
    job_id, (first, second) = shoot(200)
    perform(buying(150), first)
    perform(buying(150), second)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    pipeline.advance(job_id)
    assert at_once(3, lambda _: beat.expire_holds()) == [None] * 3
    with reading() as session:
        assert session.scalars(select(Hold.state)).all() == [HoldState.RELEASED]


# -- the books -------------------------------------------------------------------------------------


def found():
    beat.verify_books()
    with reading() as session:
        return {
            check: count
            for check, count in session.get_one(Heartbeat, "books").facts["counts"].items()
            if count
        }


@pytest.fixture
def busy_books(house):
    """Books with something in every account."""
    top_up(house, 1000)
    job_id = make_job(house)
    with transaction() as session:
        first = money.place_hold(session, session.get_one(Job, job_id), amount=100, currency="USD")
        money.place_hold(session, session.get_one(Job, job_id), amount=50, currency="USD")
        money.capture_hold(session, first, actual=80, submission_id=new_id())
    return job_id


def test_books_in_order_are_found_in_order(busy_books):
    assert found() == {}


OUTLIVED = """
WITH late AS (UPDATE holds SET expires_at = now() - interval '1 day')
UPDATE jobs SET state = 'cancelled', finished_at = now()
"""
TAMPERED = {
    "a line is changed": ("UPDATE ledger_entries SET amount = amount + 1 WHERE amount = 80", {"unbalanced", "drifted"}),
    "a line is lost": ("DELETE FROM ledger_entries WHERE amount = 80", {"unbalanced", "drifted"}),
    "a balance is changed": (
        "UPDATE ledger_accounts SET balance = balance - 1 WHERE kind = 'credits'", {"drifted"},
    ),
    "the wallet is overdrawn": (
        "UPDATE ledger_accounts SET balance = -1 WHERE kind = 'credits'", {"drifted", "overdrawn"},
    ),
    "a hold grew": ("UPDATE holds SET amount = 51 WHERE amount = 50", {"held_differs"}),
    "a hold vanished": ("DELETE FROM holds WHERE amount = 50", {"held_differs"}),
    "a capture shrank": ("UPDATE holds SET captured = 79 WHERE captured = 80", {"spent_differs"}),
    "a hold outlived its job": (OUTLIVED, {"forgotten_hold"}),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "checks"), TAMPERED.values(), ids=TAMPERED.keys())
def test_whatever_is_wrong_with_the_books_is_found(busy_books, statement, checks):
    with transaction() as session:
        for table in ("ledger_entries", "ledger_accounts"):
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        session.execute(text(statement))
    assert set(found()) == checks


def test_every_check_has_a_number_even_when_it_found_nothing(house):
    beat.verify_books()
    with reading() as session:
        assert session.get_one(Heartbeat, "books").facts["counts"] == dict.fromkeys(books.CHECKS, 0)
