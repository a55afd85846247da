"""Calls that are paid and answered at once: held before, spent by their answer, never bought twice by a machine."""

from __future__ import annotations

import pytest

from core.errors import Invalid, OverBudget, Unconfirmed
from core.hashing import digest
from db.money import HoldState
from db.session import reading, transaction
from db.submissions import SubmissionState
from db.work import Job
from services import books, outcomes, purchases
from services.steps import StepPlan
from services.submissions import Outgoing, take_to_send
from tests.services.buying import Bought, hold_of, make_shots, see
from tests.services.makers import make_house, make_job, plan

PRICE = 15_000
ORDER = {"provider": "openai_speech", "model": "tts-1", "request": {"narration": "A fox."}}
MADE = {"stored": None, "words": [], "duration": 1.0}


@pytest.fixture
def house(settings):
    return make_house()


@pytest.fixture
def step(house):
    """A narration that is about to be bought: job, step and shot."""
    job_id = make_job(house)
    (shot_id,) = make_shots(job_id)
    (step_id,) = plan(job_id, StepPlan("narrate", shot_id, label="shot 1"), phase="source")
    return job_id, step_id, shot_id


def begin(step) -> Bought:
    job_id, step_id, shot_id = step
    with transaction() as session:
        purchase = purchases.begin(
            session, session.get_one(Job, job_id), step_id=step_id, shot_id=shot_id, purpose="narration",
            quote=PRICE, currency="USD", **ORDER,
        )  # fmt: skip
    return Bought(purchase, job_id, step_id, shot_id)


def why_not(bought) -> Unconfirmed | None:
    with reading() as session:
        return purchases.why_not(session, bought.id)


def settle(how, bought, *more) -> None:
    with transaction() as session:
        how(session, bought.id, *more)


def prove(house) -> None:
    with reading() as session:
        assert books.verify_books(session) == []


def test_a_call_is_held_before_it_and_spent_by_its_answer(house, step):
    bought = begin(step)
    assert why_not(bought) is None
    assert (see(bought.id).state, hold_of(bought).state) == (SubmissionState.SENDING, HoldState.OPEN)
    with transaction() as session:
        purchases.done(session, bought.id, cost=PRICE, made=MADE)
    assert see(bought.id).state is SubmissionState.SUCCEEDED
    assert (hold_of(bought).state, hold_of(bought).captured) == (HoldState.CAPTURED, PRICE)
    with reading() as session:
        assert purchases.bought(session, bought.step_id, digest(ORDER)) == MADE
        assert purchases.bought(session, bought.step_id, digest({**ORDER, "model": "tts-1-hd"})) is None
    prove(house)


def test_what_was_certainly_not_accepted_is_called_for_again_under_the_same_hold(house, step):
    first = begin(step)
    settle(purchases.not_accepted, first, "throttled", "later")
    again = begin(step)
    assert again.id == first.id
    assert why_not(again) is None
    assert see(first.id).sends == 2


def test_what_was_refused_is_not_owed(house, step):
    bought = begin(step)
    settle(purchases.refused, bought, "rejected", "no")
    assert (see(bought.id).state, hold_of(bought).state) == (SubmissionState.FAILED, HoldState.RELEASED)
    assert begin(step).id != bought.id
    prove(house)


@pytest.mark.parametrize("how", ["unknown", "died"])
def test_a_call_whose_outcome_nobody_knows_is_never_repeated(house, step, how):
    first = begin(step)
    if how == "unknown":
        settle(purchases.unknown, first, "unconfirmed", "no answer in time")
    for _ in range(2):
        again = begin(step)
        assert again.id == first.id
        assert str(first.id) in why_not(again).message
    row = see(first.id)
    assert (row.state, row.sends, row.next_poll_at) == (SubmissionState.UNCONFIRMED, 1, None)
    assert hold_of(first).state is HoldState.OPEN
    with transaction() as session:
        sent: Outgoing | None = take_to_send(session, first.id)
    assert sent is None


@pytest.mark.parametrize(
    ("outcome", "vendor_id", "hold", "code"),
    [
        ("accepted", "req-7", HoldState.CAPTURED, "lost"),
        ("not_accepted", None, HoldState.RELEASED, "not_accepted"),
        ("abandoned", None, HoldState.RELEASED, "abandoned"),
    ],
)
def test_a_person_says_what_became_of_it_and_it_may_be_bought_anew(
    house, step, outcome, vendor_id, hold, code
):
    bought = begin(step)
    settle(purchases.unknown, bought, "unconfirmed", "no answer in time")
    with transaction() as session:
        outcomes.resolve(session, house.workspace_id, bought.id, outcome=outcome, vendor_id=vendor_id)
    row = see(bought.id)
    assert (row.state, row.error_code, hold_of(bought).state) == (SubmissionState.FAILED, code, hold)
    again = begin(step)
    assert again.id != bought.id
    assert why_not(again) is None
    prove(house)


@pytest.mark.parametrize("cost", [0, 4_000, PRICE + 1])
def test_what_the_vendors_list_shows_is_spent_of_a_lost_call(house, step, cost):
    bought = begin(step)
    settle(purchases.unknown, bought, "unconfirmed", "no answer in time")
    with transaction() as session:
        outcomes.resolve(
            session, house.workspace_id, bought.id, outcome="accepted", vendor_id="req-7", cost=cost
        )
    held = hold_of(bought)
    assert (see(bought.id).actual_cost, held.captured, held.overrun) == (
        cost,
        min(cost, PRICE),
        max(0, cost - PRICE),
    )
    prove(house)


def test_what_was_not_accepted_has_no_cost(house, step):
    bought = begin(step)
    settle(purchases.unknown, bought, "unconfirmed", "no answer in time")
    with transaction() as session, pytest.raises(Invalid) as caught:
        outcomes.resolve(
            session, house.workspace_id, bought.id, outcome="not_accepted", vendor_id=None, cost=1
        )
    assert caught.value.field == "cost"


def test_a_cap_refuses_it_before_the_wire(house):
    job_id = make_job(house, budget={"amount": PRICE - 1, "currency": "USD"})
    (shot_id,) = make_shots(job_id)
    (step_id,) = plan(job_id, StepPlan("narrate", shot_id, label="shot 1"), phase="source")
    with pytest.raises(OverBudget):
        begin((job_id, step_id, shot_id))
