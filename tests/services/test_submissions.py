"""One paid request each: sent by one, written down before and after, held, captured or released."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from core.errors import OverBudget
from db.money import HoldState
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Event, JobState
from services import books, submissions
from tests.services.buying import (
    PRICE,
    REQUEST,
    ago,
    answer,
    fail,
    hold_of,
    intend,
    make_submission,
    see,
    send,
    submit,
)
from tests.services.makers import at_once, make_house
from tests.tasks.conftest import change_job


@pytest.fixture
def house(settings):
    return make_house()


@pytest.fixture
def bought(house):
    return make_submission(house)


def events_of(job_id):
    with reading() as session:
        return session.scalars(
            select(Event.type)
            .where(Event.job_id == job_id, Event.type.like("submission.%"))
            .order_by(Event.seq)
        ).all()


def test_of_many_senders_one_gets_a_submission(bought):
    def try_to_send(_):
        with transaction() as session:
            return submissions.take_to_send(session, bought.id)

    got = [sent for sent in at_once(8, try_to_send) if sent is not None]
    assert len(got) == 1
    assert got[0].sends == see(bought.id).sends == 1
    assert see(bought.id).state is SubmissionState.SENDING


def test_what_is_sent_is_what_was_written_down(bought):
    sent = send(bought)
    assert (sent.provider, sent.model, sent.endpoint) == ("kling", "kling-3.0", "http://vendor.test")
    assert sent.request == REQUEST
    assert sent.client_token == see(bought.id).client_token


def test_an_equal_request_of_the_same_shot_is_the_same_submission_while_it_is_open(bought):
    assert intend(bought.job_id, bought.step_id, bought.shot_id) == bought.id
    fail(bought)
    again = intend(bought.job_id, bought.step_id, bought.shot_id)
    assert again != bought.id
    assert see(again).client_token != see(bought.id).client_token, (
        "the vendor's own duplicate guard is by token"
    )


def test_nothing_is_written_when_the_price_passes_a_cap(house):
    with pytest.raises(OverBudget):
        make_submission(house, budget={"amount": PRICE - 1})
    with reading() as session:
        assert session.scalars(select(Submission)).all() == []


@pytest.mark.parametrize("state", [JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED])
def test_a_submission_of_a_stopped_job_never_reaches_the_wire(bought, state):
    finished = {} if state is JobState.CANCELLING else {"finished_at": see(bought.id).created_at}
    change_job(bought.job_id, state=state, **finished)
    with transaction() as session:
        assert submissions.take_to_send(session, bought.id) is None
    assert see(bought.id).state is SubmissionState.CANCELLED
    assert hold_of(bought).state is HoldState.RELEASED


def test_the_vendors_id_is_written_once_whoever_brings_it(bought):
    send(bought)

    def write(number):
        with transaction() as session:
            return submissions.mark_submitted(
                session, bought.id, "v-1", receipt={"status_url": "x"}, first_poll=1
            )

    assert sorted(at_once(4, write)) == [False, False, False, True]
    with transaction() as session:
        assert submissions.mark_submitted(session, bought.id, "v-2", receipt={}, first_poll=1) is False
    assert see(bought.id).vendor_id == "v-1"


def test_an_answer_to_a_sender_counts_even_when_the_outcome_was_given_up_as_unknown(bought):
    sent = send(bought)
    with transaction() as session:
        submissions.mark_unconfirmed(session, sent, message="no answer", can_look_up=True)
    with transaction() as session:
        assert submissions.mark_submitted(
            session, bought.id, "v-1", receipt={"status_url": "x"}, first_poll=1
        )
    row = see(bought.id)
    assert (row.state, row.error_code) == (SubmissionState.SUBMITTED, None)


def test_a_vendor_that_is_full_holds_back_everything_meant_for_it(house):
    first, second, third = (make_submission(house) for _ in range(3))
    sent = send(first)
    submit(third, "v-3")
    due = see(third.id).next_poll_at
    with transaction() as session:
        submissions.mark_unsent(session, sent, wait=40, code="throttled", message="full")
    assert see(first.id).state is SubmissionState.INTENDED
    assert (see(second.id).next_poll_at - see(second.id).created_at).total_seconds() > 30
    assert see(third.id).next_poll_at == due, "polls do not count against the vendor's slots"
    assert hold_of(first).state is HoldState.OPEN


def test_what_an_earlier_sender_learns_late_does_not_undo_a_later_sending(bought):
    first = send(bought)
    with transaction() as session:
        submissions.mark_unsent(session, first, wait=0, code="throttled", message="full")
    send(bought)
    with transaction() as session:
        submissions.mark_unsent(session, first, wait=0, code="throttled", message="full")
        submissions.mark_unconfirmed(session, first, message="?", can_look_up=True)
    assert see(bought.id).state is SubmissionState.SENDING


def test_a_failure_owes_nothing_and_an_answer_owes_what_the_vendor_says(house):
    failed, quoted, billed, dearer = (make_submission(house) for _ in range(4))
    for number, one in enumerate((failed, quoted, billed, dearer)):
        submit(one, f"v-{number}")
    assert fail(failed) == failed.job_id
    assert answer(quoted) == (quoted.job_id, 0)
    assert answer(billed, PRICE - 2_000) == (billed.job_id, 0)
    assert answer(dearer, PRICE + 5_000) == (dearer.job_id, 5_000)
    assert [hold_of(one).state for one in (failed, quoted, billed, dearer)] == [
        HoldState.RELEASED, HoldState.CAPTURED, HoldState.CAPTURED, HoldState.CAPTURED,
    ]  # fmt: skip
    assert [hold_of(one).captured for one in (failed, quoted, billed)] == [0, PRICE, PRICE - 2_000]
    with reading() as session:
        assert books.verify_books(session) == []


def test_an_answer_is_taken_once(bought):
    submit(bought)
    assert [a for a in at_once(4, lambda _: answer(bought)) if a] == [(bought.job_id, 0)]
    assert fail(bought) is None, "what was made and paid cannot fail at the vendor any more"
    assert hold_of(bought).captured == PRICE
    assert events_of(bought.job_id) == ["submission.answered"]


def test_an_answer_without_a_submission_at_the_vendor_counts_for_nothing(bought):
    assert answer(bought) is None
    assert hold_of(bought).state is HoldState.OPEN


def test_moments_are_the_databases(bought):
    ago(bought, next_poll_at=5)
    row = see(bought.id)
    assert row.next_poll_at < row.created_at
