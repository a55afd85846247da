"""Cancelled jobs whose takes a vendor has: it is asked to stop, and what it makes all the same is kept."""

from __future__ import annotations

import time

import pytest

from db.money import HoldState
from db.session import transaction
from db.submissions import SubmissionState
from db.work import JobState
from providers.fal import Fal
from services import jobs, unwanted
from tasks import pipeline
from tests.services.buying import hold_of, see
from tests.services.buying import send as take_to_the_wire
from tests.services.makers import see_job
from tests.tasks.conftest import call, now, send
from tests.tasks.test_callbacks import buy, door, vendor  # noqa: F401 (fixtures)


def cancel(bought, house):
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, bought.job_id)
    pipeline.advance(bought.job_id)
    assert see_job(bought.job_id).state is JobState.CANCELLED


def test_a_vendor_that_can_stop_is_asked_to_and_the_money_is_free_again(house, vendor, buy):  # noqa: F811
    bought = buy("fault-never")
    send(bought)
    cancel(bought, house)
    assert see(bought.id).cancel_at is not None
    call("mend_submissions")
    assert see(bought.id).state is SubmissionState.SUBMITTED, "fal says only that it was asked"
    assert see(bought.id).cancel_at is None
    now(bought)
    call("poll_submissions")
    row = see(bought.id)
    assert (row.state, row.error_code) == (SubmissionState.FAILED, "cancelled")
    assert hold_of(bought).state is HoldState.RELEASED
    assert vendor.bill()["total"] == 0


@pytest.mark.parametrize("released", [True, False])
def test_released_or_not(house, vendor, buy, monkeypatch, released):  # noqa: F811
    monkeypatch.setattr(Fal, "cancel", lambda self, handle: released)
    bought = buy("fault-callback-lost")
    send(bought)
    cancel(bought, house)
    call("mend_submissions")
    assert see(bought.id).state is (SubmissionState.CANCELLED if released else SubmissionState.SUBMITTED)
    assert hold_of(bought).state is (HoldState.RELEASED if released else HoldState.OPEN)
    call("mend_submissions")
    assert see(bought.id).cancel_at is None


def test_a_submission_accepted_after_the_cancel_is_asked_about_too(house, vendor, buy):  # noqa: F811
    bought = buy()
    sent = take_to_the_wire(bought)
    cancel(bought, house)
    assert see(bought.id).cancel_at is None
    from tasks.submit import note_accepted

    note_accepted(sent.id, "late-1")
    assert see(bought.id).cancel_at is not None


def test_a_job_that_goes_on_after_all_keeps_its_submissions(house, vendor, buy):  # noqa: F811
    bought = buy("fault-never")
    send(bought)
    cancel(bought, house)
    with transaction() as session:
        jobs.retry_job(session, house.workspace_id, bought.job_id)
    with transaction() as session:
        assert unwanted.claim_unwanted(session) == []
    row = see(bought.id)
    assert (row.state, row.cancel_at) == (SubmissionState.SUBMITTED, None)


def test_an_answer_that_was_first_stands(house, vendor, buy):  # noqa: F811
    bought = buy("fault-callback-lost")
    send(bought)
    cancel(bought, house)
    with transaction() as session:
        (one,) = unwanted.claim_unwanted(session)
        assert unwanted.claim_unwanted(session) == []
    time.sleep(0.3)
    now(bought)
    call("poll_submissions")
    with transaction() as session:
        assert unwanted.mark_released(session, one.id) is None
    assert see(bought.id).state is SubmissionState.ANSWERED
    assert hold_of(bought).captured == vendor.bill()["total"]


def test_a_vendor_that_does_not_answer_is_asked_again(house, vendor, buy):  # noqa: F811
    bought = buy("fault-never")
    send(bought)
    cancel(bought, house)
    vendor.close()
    call("mend_submissions")
    row = see(bought.id)
    assert row.state is SubmissionState.SUBMITTED
    assert row.cancel_at > row.submitted_at
