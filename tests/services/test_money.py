"""Money: caps hold under concurrency, captures happen once, the ledger always sums to zero."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from core.errors import Conflict, Invalid, OverBudget
from core.ids import new_id
from core.settings import get_settings
from db.assets import Project
from db.money import (
    Budget,
    BudgetScope,
    Hold,
    HoldState,
    LedgerAccount,
    LedgerEntry,
    LedgerTransfer,
    Posting,
)
from db.review import Activity
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Event, Job, JobState
from services import books, costs, events, ledger, money, steps
from tests.services.makers import at_once, make_house, make_job, see_job


@pytest.fixture
def house(settings):
    return make_house()


@pytest.fixture
def mode(monkeypatch, settings):
    """Set MONEY_MODE for the rest of the test."""

    def choose(value):
        monkeypatch.setenv("MONEY_MODE", value)
        get_settings.cache_clear()

    return choose


def hold(job_id, amount=100, currency="USD", key=None):
    with transaction() as session:
        return money.place_hold(
            session, session.get_one(Job, job_id), amount=amount, currency=currency, key=key
        )


def release(held):
    with transaction() as session:
        money.release_hold(session, held.id)


def refund(held, amount, key="r1"):
    with transaction() as session:
        return money.refund(session, held.id, amount=amount, key=key, submission_id=new_id())


def top_up(house, amount, currency="USD", key=None):
    with transaction() as session:
        return money.top_up(
            session,
            house.workspace_id,
            house.user_id,
            amount=amount,
            currency=currency,
            key=key or str(new_id()),
        )


def credits_of(house, currency="USD"):
    """(available, held, spent) by the books."""
    with reading() as session:
        for line in ledger.show_credits(session, house.workspace_id):
            if line["currency"] == currency:
                return line["available"], line["held"], line["spent"]
    return None


def submit(job_id, held, state, actual=None):
    """A submission of a hold, as the wire left it."""
    with transaction() as session:
        row = Submission(
            workspace_id=held.workspace_id, job_id=job_id, purpose="shot", provider="acme", model="m1",
            request={}, input_hash=new_id().hex * 2, client_token=new_id().hex, state=state,
            vendor_id=None if state is SubmissionState.INTENDED else new_id().hex,
            quote=held.amount, actual_cost=actual, currency=held.currency, hold_id=held.id,
        )  # fmt: skip
        session.add(row)
    return row.id


def end_job(job_id, state=JobState.CANCELLED):
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        job.state = state
        job.finished_at = func.now()


def sweep():
    with transaction() as session:
        stale = money.stale_holds(session)
    for hold_id in stale:
        with transaction() as session:
            money.settle_hold(session, hold_id)
    return len(stale)


def wrong():
    with reading() as session:
        return books.verify_books(session)


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
        found = costs.job_cost(session, job_id)
    return found["captured"], found["held"]


def entries(posting):
    """The lines of every transfer of one kind, as {account: sum}."""
    with reading() as session:
        rows = session.execute(
            select(LedgerAccount.kind, func.sum(LedgerEntry.amount))
            .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
            .join(LedgerTransfer, LedgerTransfer.id == LedgerEntry.transfer_id)
            .where(LedgerTransfer.posting == posting)
            .group_by(LedgerAccount.kind)
        )
        return {kind.value: int(amount) for kind, amount in rows}


def add(*rows):
    with transaction() as session:
        for row in rows:
            session.add(row)
            session.flush()


def count(what):
    with reading() as session:
        return session.scalar(select(func.count()).select_from(what))


def test_what_is_free_holds_nothing(house):
    assert hold(make_job(house, budget={"amount": 0}), amount=0) is None


def test_a_jobs_cap_counts_open_and_captured_holds_but_not_released_ones(house):
    job_id = make_job(house, budget={"amount": 300})
    first, second = hold(job_id), hold(job_id)
    capture(first, 40)
    release(second)
    assert cost(job_id) == (40, 0)
    hold(job_id, 260)
    with pytest.raises(OverBudget) as caught:
        hold(job_id, 1)
    assert cost(job_id) == (40, 260)
    assert caught.value.message == (
        "The cap of this job has 0.0003 USD of 0.0003 USD committed; 0.000001 USD more is 0.000001 USD too "
        "much: raise it with PUT /budgets (scope job)."
    )
    assert (caught.value.amount, caught.value.currency) == (1, "USD")


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
    held = hold(job_id)
    assert capture(held, actual) == overrun
    assert capture(held, actual) == overrun  # and says so again
    assert cost(job_id) == (spent, 0)
    back = {"credits": 100 - spent} if spent < 100 else {}
    assert entries(Posting.CAPTURE) == {"held": -100, "spent": spent} | back
    with reading() as session:
        told = session.scalars(select(Event.payload).where(Event.type == "budget.overrun")).all()
        assert session.get_one(Hold, held.id).overrun == overrun
    assert [event["overrun"] for event in told] == ([overrun] if overrun else [])


def test_something_that_turned_out_free_goes_back_in_whole(house):
    job_id = make_job(house)
    capture(hold(job_id), 0)
    assert entries(Posting.CAPTURE) == {"held": -100, "credits": 100}
    assert cost(job_id) == (0, 0)


def test_a_capture_repeated_by_many_books_once(house):
    held = hold(make_job(house))
    answers = at_once(6, lambda _: capture(held, 70))
    assert answers == [0] * 6
    assert entries(Posting.CAPTURE) == {"held": -100, "spent": 70, "credits": 30}


def test_a_hold_ends_once(house):
    captured, released = hold(make_job(house)), hold(make_job(house))
    capture(captured, 50)
    for _ in range(2):
        release(captured)
        release(released)
    assert capture(released, 50) == 50  # nothing is left of it: all of it is an overrun
    with reading() as session:
        assert session.get_one(Hold, captured.id).state is HoldState.CAPTURED
        assert session.get_one(Hold, released.id).state is HoldState.RELEASED
    assert entries(Posting.CAPTURE) == {"held": -100, "spent": 50, "credits": 50}
    assert entries(Posting.RELEASE) == {"held": -100, "credits": 100}


def test_a_hold_asked_for_twice_under_one_key_is_placed_once(house):
    job_id = make_job(house, budget={"amount": 150})
    answers = at_once(5, lambda _: hold(job_id, key="token"))
    assert len({held.id for held in answers}) == 1
    assert cost(job_id) == (0, 100)
    with pytest.raises(Conflict, match="another hold"):
        hold(job_id, 20, key="token")


def test_nothing_more_is_held_for_a_job_that_is_being_stopped(house):
    job_id = make_job(house)
    with transaction() as session:
        steps.lock_job(session, job_id).state = JobState.CANCELLING
    with pytest.raises(Conflict, match="cancelling"):
        hold(job_id)
    assert count(Hold) == 0


def test_a_refund_gives_back_what_was_captured_and_no_more(house):
    job_id = make_job(house, budget={"amount": 100})
    held = hold(job_id)
    capture(held, 80)
    transfers = [refund(held, 30), refund(held, 30)]
    assert transfers[0].id == transfers[1].id
    assert cost(job_id) == (50, 0)
    assert entries(Posting.REFUND) == {"spent": -30, "credits": 30}
    with pytest.raises(Invalid, match="Between 1 and 50"):
        refund(held, 51, key="r2")
    hold(job_id, 50)  # what came back may be spent again
    with pytest.raises(OverBudget):
        hold(job_id, 1)


def test_a_refund_needs_something_captured(house):
    held = hold(make_job(house))
    with pytest.raises(Invalid, match="Between 1 and 0"):
        refund(held, 1)


# -- the wallet ------------------------------------------------------------------------------------


def test_without_a_wallet_only_caps_restrict(house):
    capture(hold(make_job(house), 5_000_000), 5_000_000)
    hold(make_job(house), 7_000_000)
    assert credits_of(house) == (None, 7_000_000, 5_000_000)
    assert wrong() == []


def test_the_first_top_up_makes_a_wallet_and_takes_what_was_spent_before_as_paid(house):
    capture(hold(make_job(house), 40), 40)
    early = hold(make_job(house), 60)
    top_up(house, 100)
    assert credits_of(house) == (100, 60, 40)
    release(early)
    assert credits_of(house) == (160, 0, 40)
    assert entries(Posting.OPENING) == {"funding": -100, "credits": 100}
    assert wrong() == []


def test_a_wallet_refuses_what_it_does_not_have(house):
    top_up(house, 100)
    held = hold(make_job(house), 70)
    with pytest.raises(OverBudget, match=r"The wallet .*: top it up with POST /credits/top-ups"):
        hold(make_job(house), 31)
    capture(held, 50)
    assert credits_of(house) == (50, 0, 50)
    hold(make_job(house), 50)
    assert credits_of(house) == (0, 50, 50)
    top_up(house, 5)
    assert credits_of(house) == (5, 50, 50)


def test_a_wallet_is_of_one_currency(house):
    top_up(house, 10, currency="EUR")
    hold(make_job(house), 1000, currency="USD")
    with pytest.raises(OverBudget, match="wallet"):
        hold(make_job(house), 11, currency="EUR")


def test_every_cap_that_stands_in_the_way_is_named(house):
    top_up(house, 50)
    cap_day(house, 40)
    with pytest.raises(OverBudget) as caught:
        hold(make_job(house, budget={"amount": 60}), 70)
    for word in ("this job", "workspace's day", "wallet"):
        assert word in caught.value.message


def test_jobs_that_ask_at_once_cannot_overdraw_the_wallet_together(house):
    top_up(house, 350)
    job_ids = [make_job(house) for _ in range(8)]
    answers = at_once(8, lambda number: hold(job_ids[number]))
    assert sum(isinstance(a, Hold) for a in answers) == 3
    assert credits_of(house) == (50, 300, 0)
    assert wrong() == []


def test_a_top_up_repeated_under_its_key_is_booked_once(house):
    answers = at_once(4, lambda _: top_up(house, 500, key="cheque-7"))
    assert len({transfer.id for transfer in answers}) == 1
    assert credits_of(house) == (500, 0, 0)
    assert count(Activity) == 1
    with pytest.raises(Conflict, match="another movement"):
        top_up(house, 501, key="cheque-7")


def test_holds_captures_and_releases_of_one_job_at_once_block_nobody(house):
    job_id = make_job(house)
    early = [hold(job_id) for _ in range(6)]

    def work(number):
        if number % 3 == 0:
            return hold(job_id)
        return capture(early[number // 2], 60) if number % 3 == 1 else release(early[number // 2])

    answers = at_once(12, work)
    assert [a for a in answers if isinstance(a, Exception)] == []
    assert wrong() == []


# -- modes -----------------------------------------------------------------------------------------


def test_in_shadow_mode_everything_is_booked_and_a_refusal_is_a_warning(house, mode):
    mode("shadow")
    top_up(house, 30)
    job_id = make_job(house, budget={"amount": 50})
    held = hold(job_id)
    hold(job_id)
    capture(held, 100)
    assert credits_of(house) == (-170, 100, 100)
    warnings = see_job(job_id).warnings
    assert [(w["code"], w["cap"]) for w in warnings] == [("over_budget", "job"), ("over_budget", "wallet")]
    with reading() as session:
        told = session.scalars(select(Event).where(Event.type == "budget.refused")).all()
    assert len(told) == 4
    assert wrong() == []  # in this mode a wallet may be overdrawn


def test_a_wallet_overdrawn_in_shadow_mode_refuses_and_is_reported_in_enforce_mode(house, mode):
    mode("shadow")
    top_up(house, 30)
    hold(make_job(house))
    mode("enforce")
    assert [finding.check for finding in wrong()] == ["overdrawn"]
    with pytest.raises(OverBudget):
        hold(make_job(house), 1)
    top_up(house, 71)
    assert wrong() == []
    assert hold(make_job(house), 1) is not None


def test_in_off_mode_nothing_is_held_and_what_was_held_before_still_ends(house, mode):
    job_id = make_job(house, budget={"amount": 100})
    held = hold(job_id)
    mode("off")
    assert hold(job_id, 1000) is None
    capture(held, 60)
    assert cost(job_id) == (60, 0)
    assert wrong() == []


# -- sweeping --------------------------------------------------------------------------------------


def age_holds():
    with transaction() as session:
        session.execute(update(Hold).values(expires_at=func.now() - timedelta(seconds=1)))


def test_holds_nobody_finishes_run_out(house):
    job_id = make_job(house)
    hold(job_id)
    assert sweep() == 0
    age_holds()
    answers = at_once(4, lambda _: sweep())
    assert [a for a in answers if isinstance(a, Exception)] == []
    assert cost(job_id) == (0, 0)
    assert entries(Posting.RELEASE) == {"held": -100, "credits": 100}


@pytest.mark.parametrize("state", [None, SubmissionState.FAILED, SubmissionState.CANCELLED])
def test_a_hold_of_an_ended_job_is_released_at_once(house, state):
    job_id = make_job(house)
    held = hold(job_id)
    if state:
        submit(job_id, held, state)
    assert sweep() == 0
    end_job(job_id)
    assert sweep() == 1
    assert cost(job_id) == (0, 0)


@pytest.mark.parametrize("state", money.OWED)
def test_a_hold_is_kept_as_long_as_a_vendor_may_ask_for_the_money(house, state):
    job_id = make_job(house)
    submit(job_id, hold(job_id), state)
    end_job(job_id)
    age_holds()
    assert sweep() == 0
    assert cost(job_id) == (0, 100)
    assert wrong() == []


def test_a_request_that_was_not_sent_yet_keeps_its_hold_as_long_as_its_job_goes_on(house):
    job_id = make_job(house)
    submit(job_id, hold(job_id), SubmissionState.INTENDED)
    age_holds()
    assert sweep() == 0  # a vendor that throttles for a day does not make it free
    end_job(job_id)
    assert sweep() == 1


def test_a_request_that_was_not_sent_when_its_job_ended_keeps_its_hold_for_its_time(house):
    job_id = make_job(house)
    submit(job_id, hold(job_id), SubmissionState.INTENDED)
    end_job(job_id)
    assert sweep() == 0
    age_holds()
    assert sweep() == 1


def test_a_purchase_that_succeeded_is_captured_by_the_sweeper_if_nobody_did(house):
    job_id = make_job(house)
    submit(job_id, hold(job_id), SubmissionState.SUCCEEDED, actual=80)
    end_job(job_id, JobState.SUCCEEDED)
    sweep()
    assert cost(job_id) == (80, 0)


# -- the database's own rules ----------------------------------------------------------------------


def test_the_database_refuses_a_transfer_that_does_not_sum_to_zero(house):
    top_up(house, 50)
    with reading() as session:
        account = session.scalars(select(LedgerAccount)).first()
        before = count(LedgerEntry)
    theft = LedgerTransfer(
        id=new_id(), workspace_id=house.workspace_id, posting=Posting.TOP_UP, amount=5, currency="USD",
        idempotency_key="theft",
    )  # fmt: skip
    line = LedgerEntry(
        workspace_id=house.workspace_id, transfer_id=theft.id, account_id=account.id, amount=5, currency="USD"
    )
    with pytest.raises(DBAPIError, match="does not sum to zero"):
        add(theft, line)
    assert count(LedgerEntry) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET amount = amount * 2",
        "DELETE FROM ledger_entries",
        "UPDATE ledger_transfers SET amount = 1",
        "DELETE FROM ledger_transfers",
        "UPDATE ledger_accounts SET balance = 0",
    ],
)
def test_the_database_refuses_to_change_the_ledger(house, statement):
    top_up(house, 50)
    with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
        session.execute(text(statement))
    assert credits_of(house) == (50, 0, 0)


def test_a_line_in_another_currency_than_its_account_is_refused(house):
    transfer = top_up(house, 500)
    hold(make_job(house))
    with reading() as session:
        held = session.scalars(select(LedgerAccount).where(LedgerAccount.kind == "held")).one()
    line = LedgerEntry(
        workspace_id=house.workspace_id, transfer_id=transfer.id, account_id=held.id, amount=5, currency="EUR"
    )
    with pytest.raises(IntegrityError, match="fk_ledger_entries_account"):
        add(line)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"captured": 101, "state": "captured"}, "captured_within"),
        ({"captured": 10, "refunded": 11, "state": "captured"}, "refunded_within"),
        ({"state": "released"}, "closed_when_not_open"),
    ],
)
def test_what_a_hold_can_be_is_the_databases_own_rule(house, values, rule):
    held = hold(make_job(house))
    if rule != "closed_when_not_open":
        values = values | {"closed_at": func.now()}
    with pytest.raises(IntegrityError, match=rule), transaction() as session:
        session.execute(update(Hold).where(Hold.id == held.id).values(**values))


def test_a_workspace_that_goes_takes_its_ledger_along(house):
    top_up(house, 100)
    capture(hold(make_job(house)), 50)
    with transaction() as session:
        session.execute(text("DELETE FROM workspaces"))
    assert count(LedgerEntry) == 0
    assert count(LedgerTransfer) == 0
