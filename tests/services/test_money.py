"""Money: caps hold under concurrency, captures happen once, the ledger always sums to zero."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from core.errors import OverBudget
from core.ids import new_id
from db.assets import Project
from db.money import AccountKind, Budget, BudgetScope, Hold, HoldState, LedgerAccount, LedgerEntry
from db.session import reading, transaction
from db.work import Job
from services import events, money
from tests.services.makers import at_once, make_house, make_job


@pytest.fixture
def house(settings):
    return make_house()


def hold(job_id, amount=100, currency="USD"):
    with transaction() as session:
        return money.place_hold(session, session.get_one(Job, job_id), amount=amount, currency=currency)


def capture(held, actual):
    with transaction() as session:
        return money.capture_hold(session, held, actual=actual, submission_id=new_id())


def cap_day(house, amount):
    with transaction() as session:
        session.add(
            Budget(
                workspace_id=house.workspace_id, scope=BudgetScope.WORKSPACE_DAY,
                limit_amount=amount, currency="USD",
            )
        )  # fmt: skip


def cost(job_id):
    with reading() as session:
        return money.job_cost(session, job_id)


def entries():
    with reading() as session:
        return session.execute(
            select(LedgerAccount.kind, LedgerEntry.amount).join(
                LedgerAccount, LedgerAccount.id == LedgerEntry.account_id
            )
        ).all()


def test_what_is_free_holds_nothing(house):
    assert hold(make_job(house, budget={"amount": 0}), amount=0) is None


def test_a_jobs_cap_counts_open_and_captured_holds_but_not_released_ones(house):
    job_id = make_job(house, budget={"amount": 300})
    first, second = hold(job_id), hold(job_id)
    capture(first, 40)
    with transaction() as session:
        money.release_hold(session, second.id)
    assert cost(job_id) == {"captured": 40, "held": 0, "currency": "USD"}
    hold(job_id, 260)
    with pytest.raises(OverBudget, match="this job: 300 of 300"):
        hold(job_id, 1)
    assert cost(job_id) == {"captured": 40, "held": 260, "currency": "USD"}


def test_the_caps_of_project_and_day_are_named(house):
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="P", budget=150)
        session.add(project)
    job_id = make_job(house, project_id=project.id)
    hold(job_id)
    with pytest.raises(OverBudget, match="the project"):
        hold(job_id)
    cap_day(house, 120)
    with pytest.raises(OverBudget, match="the workspace's day"):
        hold(make_job(house), 21)


def test_yesterdays_money_is_not_in_todays_cap(house):
    cap_day(house, 100)
    job_id = make_job(house)
    hold(job_id)
    with transaction() as session:
        session.execute(update(Hold).values(created_at=func.now() - timedelta(days=1)))
    assert hold(job_id) is not None


def test_another_workspaces_and_another_currencys_money_is_not_counted(house):
    cap_day(house, 100)
    other = make_house("Other")
    hold(make_job(other), 1000)
    hold(make_job(house), 1000, currency="EUR")
    assert hold(make_job(house), 100) is not None


def test_jobs_that_ask_at_once_cannot_pass_one_cap_together(house):
    cap_day(house, 350)
    job_ids = [make_job(house) for _ in range(8)]
    answers = at_once(8, lambda number: hold(job_ids[number]))
    assert sum(isinstance(a, Hold) for a in answers) == 3
    assert sum(isinstance(a, OverBudget) for a in answers) == 5


def test_while_a_hold_is_placed_other_jobs_of_the_workspace_go_on(house):
    one, two = make_job(house), make_job(house)
    with transaction() as slow:
        money.place_hold(slow, slow.get_one(Job, one), amount=5, currency="USD")
        with transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '500ms'"))
            events.record(session, workspace_id=house.workspace_id, job_id=two, kind="x")


@pytest.mark.parametrize(("actual", "spent", "overrun"), [(60, 60, 0), (100, 100, 0), (130, 100, 30)])
def test_a_capture_spends_at_most_what_was_held_and_names_the_overrun(house, actual, spent, overrun):
    job_id = make_job(house)
    assert capture(hold(job_id), actual) == overrun
    assert cost(job_id) == {"captured": spent, "held": 0, "currency": "USD"}
    assert set(entries()) == {(AccountKind.CREDITS, -spent), (AccountKind.SPENT, spent)}


def test_something_that_turned_out_free_is_captured_without_a_line(house):
    job_id = make_job(house)
    capture(hold(job_id), 0)
    assert entries() == []
    assert cost(job_id)["held"] == 0


def test_a_capture_repeated_by_many_books_once(house):
    held = hold(make_job(house))
    answers = at_once(6, lambda _: capture(held, 70))
    assert not [a for a in answers if isinstance(a, Exception)], answers
    assert len(entries()) == 2


def test_a_hold_ends_once(house):
    captured, released = hold(make_job(house)), hold(make_job(house))
    capture(captured, 50)
    with transaction() as session:
        money.release_hold(session, captured.id)
        money.release_hold(session, released.id)
    assert capture(released, 50) == 50  # nothing is left of it: all of it is an overrun
    with reading() as session:
        assert session.get_one(Hold, captured.id).state is HoldState.CAPTURED
        assert session.get_one(Hold, released.id).state is HoldState.RELEASED
    assert len(entries()) == 2


def test_holds_nobody_finishes_run_out(house):
    job_id = make_job(house)
    hold(job_id)
    with transaction() as session:
        assert money.release_expired_holds(session) == 0
        session.execute(update(Hold).values(expires_at=func.now() - timedelta(seconds=1)))

    def sweep(_):
        with transaction() as session:
            return money.release_expired_holds(session)

    assert sum(at_once(4, sweep)) == 1
    assert cost(job_id)["held"] == 0


def test_the_database_refuses_a_transfer_that_does_not_sum_to_zero(house):
    capture(hold(make_job(house)), 50)
    with reading() as session:
        account = session.scalars(select(LedgerAccount)).first()
    with pytest.raises(DBAPIError, match="does not sum to zero"), transaction() as session:
        session.add(
            LedgerEntry(
                workspace_id=house.workspace_id, transfer_id=new_id(), account_id=account.id, amount=5,
                currency="USD", reason="theft", idempotency_key="theft",
            )
        )  # fmt: skip
    assert len(entries()) == 2
    with reading() as session:
        assert money.unbalanced_transfers(session) == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger_entries SET amount = amount * 2", "DELETE FROM ledger_entries"],
)
def test_the_database_refuses_to_change_the_ledger(house, statement):
    capture(hold(make_job(house)), 50)
    before = entries()
    with pytest.raises(DBAPIError), transaction() as session:
        session.execute(text(statement))
    assert entries() == before


def test_more_cannot_be_captured_than_was_held_by_the_databases_own_rule(house):
    held = hold(make_job(house))
    with pytest.raises(IntegrityError, match="captured_within"), transaction() as session:
        session.execute(update(Hold).where(Hold.id == held.id).values(captured=101, state="captured"))


def test_a_workspace_that_goes_takes_its_ledger_along(house):
    capture(hold(make_job(house)), 50)
    with transaction() as session:
        session.execute(text("DELETE FROM workspaces"))
    assert entries() == []
