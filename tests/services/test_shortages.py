"""Steps that wait for money: woken together only as far as the money goes."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from core.ids import new_id
from db.assets import Project
from db.money import Hold
from db.session import reading, transaction
from db.work import Event, Job, JobState, Step, StepState, WaitsFor
from services import budgets, claims, jobs, money, shortages, steps
from services.steps import StepPlan
from tests.services.makers import do, make_house, make_job, plan, see_job, see_step, take_up


@pytest.fixture
def house(settings):
    return make_house()


def short_steps(job_id, *amounts, currency="USD"):
    """Steps of a job that were refused these amounts."""
    ids = plan(
        job_id,
        *[StepPlan("submit_take", new_id(), label=f"shot {n}") for n, _ in enumerate(amounts, 1)],
        phase="shoot",
    )
    for step_id, amount in zip(ids, amounts, strict=True):
        park(step_id, amount, currency)
    return ids


def park(step_id, amount, currency="USD"):
    held = take_up(step_id)
    with transaction() as session:
        claims.give_back(
            session,
            held,
            state=StepState.READY,
            outcome="waits",
            code="over_budget",
            message="dear",
            blame=False,
        )
        shortages.park_short(session, held, amount=amount, currency=currency)


def top_up(house, amount, currency="USD"):
    with transaction() as session:
        money.top_up(session, house.workspace_id, None, amount=amount, currency=currency, key=str(new_id()))


def put_cap(house, scope, amount, scope_id=None):
    with transaction() as session:
        budgets.put_budget(
            session, house.workspace_id, house.user_id, scope=scope, scope_id=scope_id, limit_amount=amount,
            currency="USD",
        )  # fmt: skip


def affordable(house):
    with reading() as session:
        return {job: set(ids) for job, ids in shortages.find_affordable(session, house.workspace_id).items()}


def wake_all(house):
    found = affordable(house)
    for job_id, ids in found.items():
        with transaction() as session:
            shortages.wake(session, job_id, list(ids))
    return found


def see_steps(job_id):
    with reading() as session:
        return steps.list_steps(session, job_id)


def test_a_short_step_is_nobodys_work(house):
    job_id = make_job(house)
    (step_id,) = short_steps(job_id, 100)
    row = see_step(step_id)
    assert (row.state, row.failures, row.short_amount, row.short_currency) == (StepState.READY, 0, 100, "USD")
    assert shortages.is_short(row)
    assert take_up(step_id) is None
    with transaction() as session:
        session.execute(update(Step).values(sent_at=func.now() - func.make_interval(0, 0, 0, 1)))
        assert steps.lost_messages(session, quiet_seconds=1) == []
        assert steps.claimable(session, job_id) == []
        assert money_metric(session) == {}


def money_metric(session):
    from services.heartbeats import oldest_ready

    return oldest_ready(session)


def test_what_is_affordable_is_woken_and_can_be_claimed(house):
    job_id = make_job(house, budget={"amount": 100})
    (step_id,) = short_steps(job_id, 150)
    assert affordable(house) == {}
    put_cap(house, "job", 150, job_id)
    assert wake_all(house) == {job_id: {step_id}}
    assert take_up(step_id) is not None
    with reading() as session:
        assert session.scalar(select(Event.payload).where(Event.type == "budget.available")) == {
            "steps": [str(step_id)]
        }


def test_no_more_is_woken_than_the_money_is_enough_for(house):
    top_up(house, 250)
    jobs_ = [make_job(house) for _ in range(3)]
    ids = [short_steps(job_id, 100)[0] for job_id in jobs_]
    assert wake_all(house) == {jobs_[0]: {ids[0]}, jobs_[1]: {ids[1]}}
    assert wake_all(house) == {}  # what was promised is not promised again
    held = take_up(ids[0])
    with transaction() as session:
        money.place_hold(session, session.get_one(Job, jobs_[0]), amount=20, currency="USD")
        claims.finish(session, held, result={}, input_hash=None, reused_from=None, figures={})
    assert wake_all(house) == {jobs_[2]: {ids[2]}}  # it took less than it had asked for


def test_a_cheaper_step_goes_on_where_a_dearer_one_has_to_wait(house):
    job_id = make_job(house, budget={"amount": 100})
    dear, cheap = short_steps(job_id, 101, 40)
    assert wake_all(house) == {job_id: {cheap}}
    assert shortages.is_short(see_step(dear))


def test_the_more_important_job_is_woken_first(house):
    top_up(house, 100)
    usual, urgent = make_job(house), make_job(house, priority=5)
    short_steps(usual, 100)
    (step_id,) = short_steps(urgent, 100)
    assert affordable(house) == {urgent: {step_id}}


def test_every_cap_in_the_way_keeps_a_step_waiting(house):
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="P", budget=50)
        session.add(project)
    job_id = make_job(house, project_id=project.id, budget={"amount": 50})
    (step_id,) = short_steps(job_id, 100)
    put_cap(house, "workspace_day", 50)
    put_cap(house, "job", 100, job_id)
    assert affordable(house) == {}
    put_cap(house, "project", 100, project.id)
    assert affordable(house) == {}
    put_cap(house, "workspace_day", 100)
    assert affordable(house) == {job_id: {step_id}}


def test_currencies_do_not_help_each_other(house):
    top_up(house, 10)
    top_up(house, 10, currency="EUR")
    job_id = make_job(house)
    dollars, euros = plan(
        job_id, StepPlan("submit_take", new_id()), StepPlan("submit_take", new_id()), phase="shoot"
    )
    park(dollars, 100)
    park(euros, 100, "EUR")
    top_up(house, 500, currency="EUR")
    assert affordable(house) == {job_id: {euros}}


def test_the_turn_of_the_day_makes_room(house):
    put_cap(house, "workspace_day", 100)
    job_id = make_job(house)
    with transaction() as session:
        money.place_hold(session, session.get_one(Job, job_id), amount=100, currency="USD")
    (step_id,) = short_steps(job_id, 60)
    assert affordable(house) == {}
    with transaction() as session:
        session.execute(update(Hold).values(created_at=func.now() - func.make_interval(0, 0, 0, 1)))
    assert affordable(house) == {job_id: {step_id}}


def test_another_workspaces_money_wakes_nobody_here(house):
    top_up(house, 10)
    job_id = make_job(house)
    short_steps(job_id, 100)
    other = make_house("Other")
    top_up(other, 1000)
    assert affordable(house) == {}
    assert affordable(other) == {}


def test_jobs_that_were_cancelled_are_not_woken_and_a_retry_starts_afresh(house):
    job_id = make_job(house, budget={"amount": 10})
    (step_id,) = short_steps(job_id, 100)
    put_cap(house, "job", 1000, job_id)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    assert affordable(house) == {}
    with transaction() as session:
        steps.lock_job(session, job_id).state = JobState.CANCELLED
        session.get_one(Job, job_id).finished_at = func.now()
    with transaction() as session:
        jobs.retry_job(session, house.workspace_id, job_id)
    row = see_step(step_id)
    assert (row.state, row.short_amount) == (StepState.READY, None)
    assert take_up(step_id) is not None


def test_a_phase_is_stopped_by_money_when_all_that_is_open_waits_for_it(house):
    job_id = make_job(house)
    shot, other = new_id(), new_id()
    first = StepPlan("submit_take", shot)
    body = StepPlan("compose", needs=(first.key,))
    free = StepPlan("submit_take", other)
    short, _, open_ = plan(job_id, first, body, free, phase="shoot")
    park(short, 100)
    assert shortages.stopped_by_money(see_steps(job_id)) == []  # another shot can go on
    do(open_)
    assert [row.id for row in shortages.stopped_by_money(see_steps(job_id))] == [short]


def test_the_reason_names_the_step_the_cap_what_is_missing_and_the_remedy(house):
    job_id = make_job(house, budget={"amount": 1_000_000})
    short_steps(job_id, 1_500_000, 1_200_000)
    with reading() as session:
        reason = shortages.explain_shortage(session, see_job(job_id), see_steps(job_id))
    assert reason == (
        "submit_take shot 1 needs 1.50 USD. The cap of this job has 0.00 USD of 1.00 USD committed; 1.50 USD "
        "more is 0.50 USD too much: raise it with PUT /budgets (scope job). 1 more wait with it."
    )


def test_a_waiting_jobs_reason_follows_a_cap_that_was_raised_too_little(house):
    job_id = make_job(house, budget={"amount": 1_000_000})
    short_steps(job_id, 1_500_000)
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        job.state, job.waits_for, job.waits_reason = JobState.WAITING, WaitsFor.BUDGET, "old"
    put_cap(house, "job", 1_200_000, job_id)
    with reading() as session:
        assert shortages.waiting_jobs(session, house.workspace_id) == [job_id]
    with transaction() as session:
        shortages.refresh_reason(session, job_id)
    assert "0.30 USD too much" in see_job(job_id).waits_reason
