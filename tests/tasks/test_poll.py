"""Senders and pollers against a vendor on a real socket, without workers: rows, calls and the bill."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select, update

from core.settings import get_settings
from db.assets import Shot
from db.money import HoldState
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import JobState, Step, StepState, WaitsFor
from services import submissions
from tasks import pipeline, wiring
from tests.services.buying import REQUEST, hold_of, make_shots, see
from tests.services.makers import make_job, plan, see_job, see_step
from tests.tasks.conftest import call, change_job, now, send, work_on


def fetches(job_id):
    with reading() as session:
        return session.scalars(select(Step).where(Step.job_id == job_id, Step.kind == "fetch_take")).all()


def shown_take(bought):
    with reading() as session:
        return session.get_one(Shot, bought.shot_id).selected_take_id


def test_open_takes_are_asked_about_with_as_few_calls_as_the_vendor_allows(house, vendor, buy):
    first = send(buy())
    count = 250
    job_id = make_job(house)
    with transaction() as session:
        for number in range(count - 1):
            session.add(
                Submission(
                    workspace_id=house.workspace_id, job_id=job_id, purpose="shot", provider="kling",
                    model="kling-3.0", endpoint=f"{vendor.url}/kling", request=REQUEST, input_hash=f"{number:064}",
                    client_token=f"token-{number}", state=SubmissionState.SUBMITTED, vendor_id=f"9{number}",
                    submitted_at=first.submitted_at, deadline_at=first.deadline_at,
                )
            )  # fmt: skip
        session.execute(update(Submission).values(next_poll_at=first.created_at))
    call("poll_submissions")
    calls = vendor.bill()["calls"]
    assert calls["polls"] == -(-count // 100)
    assert calls["polled ids"] == count
    with reading() as session:
        polled = session.scalars(select(Submission.polls)).all()
    assert sorted(set(polled)) == [1], "each take once"
    assert see(first.id).state is SubmissionState.ANSWERED


def test_a_take_is_sent_once_however_many_messages_come(vendor, buy):
    bought = buy()
    for _ in range(3):
        send(bought)
    row = see(bought.id)
    assert (row.state, row.sends) == (SubmissionState.SUBMITTED, 1)
    assert [task["external_id"] for task in vendor.bill()["tasks"]] == [row.client_token]


def test_an_answer_becomes_a_step_that_fetches_and_the_ledger_has_it_before(vendor, buy):
    bought = buy()
    send(bought)
    now(bought)
    call("poll_submissions")
    assert see(bought.id).state is SubmissionState.ANSWERED
    assert hold_of(bought).captured == vendor.bill()["total"] == 252_000
    (fetch,) = fetches(bought.job_id)
    assert UUID(fetch.variant) == bought.id
    work_on(fetch.id)
    row = see(bought.id)
    assert row.state is SubmissionState.SUCCEEDED
    assert shown_take(bought) == row.take_id is not None
    asked = see_step(bought.step_id)
    assert asked.result["take_id"] == str(row.take_id)
    assert asked.input_hash == "ab" * 32, "now an equal step may take it over"
    assert hold_of(bought).captured == 252_000


@pytest.mark.parametrize("fault", ["down-after", "reset-after", "garbage-after"])
def test_an_unknown_outcome_is_looked_up_and_not_sent_again(vendor, buy, fault):
    bought = buy(f"fault-{fault}")
    assert send(bought).state is SubmissionState.UNCONFIRMED
    assert send(bought).sends == 1
    now(bought)
    call("mend_submissions")
    row = see(bought.id)
    assert (row.state, row.sends) == (SubmissionState.SUBMITTED, 1)
    assert row.vendor_id == vendor.bill()["tasks"][0]["vendor_id"]
    assert vendor.bill()["calls"] == {"submits": 1, "lookups": 1, "looked up ids": 1}


def test_what_the_vendor_certainly_does_not_have_is_sent_again_with_the_same_token(vendor, buy, broker):
    bought = buy("fault-down-before")
    first = send(bought)
    assert first.state is SubmissionState.UNCONFIRMED
    now(bought)
    call("mend_submissions")
    assert see(bought.id).state is SubmissionState.INTENDED
    call("mend_submissions")
    assert [m.kwargs["submission_id"] for m in broker.messages() if m.task == "send_submission"] == [
        str(bought.id)
    ]
    second = send(bought)
    assert (second.state, second.sends) == (SubmissionState.SUBMITTED, 2)
    assert [task["external_id"] for task in vendor.bill()["tasks"]] == [first.client_token]


def test_a_sender_that_died_on_the_wire_is_found_out_and_its_take_is_not_bought_twice(vendor, buy):
    bought = buy()
    with transaction() as session:
        sent = submissions.take_to_send(session, bought.id)
    provider = wiring.open_video(sent.provider, model=sent.model, endpoint=sent.endpoint)
    from providers.base import VideoRequest

    accepted = provider.submit(VideoRequest(**sent.request), sent.client_token)  # and dies here
    now(bought)
    call("mend_submissions")
    assert see(bought.id).vendor_id == accepted.vendor_id
    assert len(vendor.bill()["tasks"]) == 1


def test_while_the_vendor_cannot_be_asked_nothing_is_decided(vendor, buy):
    bought, unknown = buy(), buy("fault-down-after")
    send(bought)
    send(unknown)
    vendor.close()
    now(bought, unknown)
    call("poll_submissions")
    call("mend_submissions")
    assert see(bought.id).state is SubmissionState.SUBMITTED
    assert see(unknown.id).state is SubmissionState.UNCONFIRMED
    assert see(bought.id).next_poll_at > see(bought.id).submitted_at
    assert hold_of(bought).state is HoldState.OPEN


def test_a_key_taken_away_leaves_what_is_open_open(vendor, buy, monkeypatch):
    bought = buy()
    send(bought)
    now(bought)
    monkeypatch.delenv("KLING_API_KEY")
    get_settings.cache_clear()
    call("poll_submissions")
    assert see(bought.id).state is SubmissionState.SUBMITTED
    assert hold_of(bought).state is HoldState.OPEN


@pytest.mark.parametrize("fault", ["failed", "moderated", "broke"])
def test_a_take_that_was_refused_releases_its_money_and_the_next_provider_is_asked(vendor, buy, fault):
    bought = buy(f"fault-{fault}")
    send(bought)
    now(bought)
    call("poll_submissions")
    assert see(bought.id).state is SubmissionState.FAILED
    assert hold_of(bought).state is HoldState.RELEASED
    assert see_step(bought.step_id).state is StepState.READY
    work_on(bought.step_id)
    assert see_step(bought.step_id).result["provider"] == "local"
    assert vendor.bill()["total"] == 0


def test_a_job_waits_for_its_vendor_and_not_for_a_step(vendor, buy):
    bought = buy()
    send(bought)
    pipeline.advance(bought.job_id)
    job = see_job(bought.job_id)
    assert (job.state, job.waits_for) == (JobState.WAITING, WaitsFor.PROVIDER)
    now(bought)
    call("poll_submissions")
    job = see_job(bought.job_id)
    assert (job.state, job.waits_for) == (JobState.RUNNING, None)


def test_a_file_that_is_not_a_film_is_fetched_again_and_then_made_by_the_next_provider(vendor, buy):
    bought = buy("fault-corrupt")
    send(bought)
    now(bought)
    call("poll_submissions")
    (fetch,) = fetches(bought.job_id)
    for _ in range(5):
        with transaction() as session:
            session.execute(update(Step).where(Step.id == fetch.id).values(not_before=fetch.created_at))
        work_on(fetch.id)
    assert see_step(fetch.id).state is StepState.FAILED
    assert see(bought.id).state is SubmissionState.FAILED
    assert see_step(bought.step_id).state is StepState.READY
    work_on(bought.step_id)
    assert see_step(bought.step_id).result["provider"] == "local"
    assert hold_of(bought).captured == vendor.bill()["total"] == 252_000, "it was made, and billed"
    assert len(vendor.bill()["tasks"]) == 1


def test_a_late_take_is_kept_and_shown_where_nothing_else_is(vendor, buy):
    bought = buy()
    send(bought)
    change_job(bought.job_id, state=JobState.CANCELLED, finished_at=see(bought.id).created_at)
    now(bought)
    call("poll_submissions")
    assert fetches(bought.job_id) == []
    assert hold_of(bought).captured == 252_000
    for _ in range(2):
        call("keep_late_take", str(bought.id))
    row = see(bought.id)
    assert row.state is SubmissionState.SUCCEEDED
    assert shown_take(bought) == row.take_id


def test_a_shot_that_pins_its_picture_or_is_too_long_passes_vendors_over(house, vendor):
    job_id = make_job(house, params={"providers": ["kling", "local"], "sources": []})
    pinned, long = make_shots(job_id, 2)
    with transaction() as session:
        session.get_one(Shot, pinned).image = "samples:rocket"
        session.get_one(Shot, long).frames = 24 * 30
    steps = plan(job_id, *(pipeline.StepPlan("submit_take", shot) for shot in (pinned, long)), phase="shoot")
    for step_id in steps:
        work_on(step_id)
    assert {see_step(step_id).result["provider"] for step_id in steps} == {"local"}
    assert [w["code"] for w in see_job(job_id).warnings] == ["too_long"]
    assert vendor.bill()["tasks"] == []
