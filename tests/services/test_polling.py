"""What is due, in batches: each row to one poller, each call as full as it can be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from core.ids import new_id
from db.money import HoldState
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import JobState, WaitsFor
from services import overdue, polling, submissions
from services.slots import in_seconds
from tests.services.buying import ago, answer, fail, hold_of, make_submission, see, send, submit
from tests.services.makers import at_once, make_house, make_job
from tests.tasks.conftest import change_job

HERE = "http://vendor.test"


@pytest.fixture
def house(settings):
    return make_house()


@pytest.fixture
def bought(house):
    return make_submission(house)


def at_vendor(house, count, *, provider="kling", endpoint=HERE, age=30.0):
    """So many submissions that a vendor works on, all due."""
    job_id = make_job(house)
    rows = [
        {
            "id": new_id(), "workspace_id": house.workspace_id, "job_id": job_id, "purpose": "shot",
            "provider": provider, "model": "m", "endpoint": endpoint, "request": {}, "input_hash": "00",
            "client_token": new_id().hex, "state": SubmissionState.SUBMITTED, "vendor_id": new_id().hex,
            "sends": 1, "polls": 0, "quote": 0, "currency": "USD",
        }
        for _ in range(count)
    ]  # fmt: skip
    with transaction() as session:
        session.execute(insert(Submission), rows)
        session.execute(
            update(Submission)
            .where(Submission.job_id == job_id)
            .values(
                next_poll_at=func.now() - timedelta(seconds=1),
                submitted_at=func.now() - timedelta(seconds=age),
                deadline_at=func.now() + timedelta(hours=1),
            )
        )
    return {row["id"] for row in rows}


def claim(limit=100, **more):
    with transaction() as session:
        return polling.claim_polls(session, "kling", HERE, limit=limit, **more)


def unsent():
    with transaction() as session:
        return [
            due.id
            for vendor in polling.vendors_to_send_to(session)
            for due in polling.claim_unsent(session, *vendor, limit=10)
        ]


def lookups(grace):
    with transaction() as session:
        return polling.claim_lookups(session, grace=grace)


def give_up():
    """Give up what is overdue; returns the jobs."""
    with reading() as session:
        late = overdue.overdue(session)
    jobs = set()
    for submission_id in late:
        with transaction() as session:
            jobs |= overdue.give_up(session, submission_id)
    return jobs


def end_hopeless():
    with reading() as session:
        hopeless = overdue.hopeless(session)
    for submission_id in hopeless:
        with transaction() as session:
            overdue.end_hopeless(session, submission_id)
    return hopeless


def unconfirm(bought):
    sent = send(bought)
    with transaction() as session:
        submissions.mark_unconfirmed(session, sent, message="no answer", can_look_up=True)


def test_pollers_at_once_share_the_work_and_no_take_is_asked_about_twice(house):
    ids = at_vendor(house, 330)

    def work(_):
        mine = []
        while batch := claim():
            mine += [due.id for due in batch]
        return mine

    shares = at_once(4, work)
    claimed = [one for share in shares for one in share]
    assert len(claimed) == len(set(claimed)) == 330
    assert set(claimed) == ids


def test_a_call_is_filled_with_what_is_nearly_due(house):
    at_vendor(house, 5)
    with transaction() as session:
        soon = select(Submission.id).limit(3)
        session.execute(update(Submission).where(Submission.id.in_(soon)).values(next_poll_at=in_seconds(5)))
    with reading() as session:
        assert polling.vendors_to_ask(session) == [("kling", HERE)]
    assert len(claim(ahead=60, batch=4)) == 4, "two are due, and a call has room for four"
    with reading() as session:
        assert polling.vendors_to_ask(session) == []
    assert claim(ahead=60) == [], "one at a time there is nothing to fill"


def test_each_vendor_and_each_address_is_asked_for_itself(house):
    at_vendor(house, 2)
    at_vendor(house, 3, endpoint="http://elsewhere.test")
    at_vendor(house, 4, provider="other")
    with reading() as session:
        vendors = polling.vendors_to_ask(session)
    assert sorted(vendors) == [("kling", "http://elsewhere.test"), ("kling", HERE), ("other", HERE)]
    assert len(claim()) == 2


@pytest.mark.parametrize(("age", "least", "most"), [(1, 1.6, 2.4), (100, 8, 12), (10_000, 48, 72)])
def test_a_take_is_asked_about_again_after_a_tenth_of_its_age_within_bounds(house, age, least, most):
    ids = at_vendor(house, 20, age=age)
    with transaction() as session:
        polling.note_running(session, list(ids), shortest=2.0)
    with reading() as session:
        waits = session.scalars(
            select(func.extract("epoch", Submission.next_poll_at - func.now())).where(Submission.id.in_(ids))
        ).all()
        assert {s.state for s in session.scalars(select(Submission))} == {SubmissionState.RUNNING}
    assert all(least - 0.5 <= float(wait) <= most for wait in waits), (min(waits), max(waits))
    assert len({round(float(wait), 3) for wait in waits}) > 5, "spread, so that they do not come all at once"


def test_a_poller_that_dies_costs_one_lease(house):
    at_vendor(house, 1)
    (due,) = claim()
    assert claim() == []
    with transaction() as session:
        polling.put_off(session, [due.id], seconds=0)
    assert [again.id for again in claim()] == [due.id]


def test_not_found_is_certain_only_after_the_longest_wait(bought):
    send(bought)
    ago(bought, next_poll_at=0, sent_at=30)
    (due,) = lookups(grace=3)
    assert not due.certain, "its sender may still be on the wire"
    ago(bought, next_poll_at=0, sent_at=61)
    (due,) = lookups(grace=3)
    assert due.certain
    ago(bought, next_poll_at=0, sent_at=61)
    (due,) = lookups(grace=90)
    assert not due.certain


def test_when_the_sender_said_that_it_does_not_know_the_grace_alone_counts(bought):
    unconfirm(bought)
    ago(bought, next_poll_at=0, sent_at=4)
    (due,) = lookups(grace=3)
    assert due.certain
    with transaction() as session:
        polling.send_again(session, bought.id)
    assert send(bought).sends == 2


def test_past_its_deadline_what_was_never_taken_is_let_go_and_what_the_vendor_has_is_not(house):
    unsent, working, parked = (make_submission(house) for _ in range(3))
    submit(working)
    sent = send(parked)
    with transaction() as session:
        submissions.mark_unconfirmed(session, sent, message="?", can_look_up=False)
    for one in (unsent, working, parked):
        ago(one, deadline_at=1)
    assert give_up() == {unsent.job_id, working.job_id}
    assert see(unsent.id).state is SubmissionState.FAILED
    assert hold_of(unsent).state is HoldState.RELEASED
    assert see(working.id).state is SubmissionState.SUBMITTED
    assert see(working.id).given_up_at is not None
    assert hold_of(working).state is HoldState.OPEN
    assert see(parked.id).given_up_at is None, "a person is asked, however long it takes"
    assert give_up() == set()


def test_what_is_given_up_is_asked_about_for_a_day_and_may_still_come(bought):
    submit(bought)
    ago(bought, given_up_at=3600)
    assert end_hopeless() == []
    with transaction() as session:
        polling.note_running(session, [bought.id], shortest=2)
    wait = see(bought.id).next_poll_at - see(bought.id).created_at
    assert wait > timedelta(minutes=5)
    assert answer(bought) is not None
    with transaction() as session:
        assert [due.id for due in polling.claim_late(session)] == [bought.id]


def test_after_a_day_it_is_closed_and_nothing_is_held(bought):
    submit(bought)
    ago(bought, given_up_at=25 * 3600)
    assert end_hopeless() == [bought.id]
    assert see(bought.id).state is SubmissionState.FAILED
    assert hold_of(bought).state is HoldState.RELEASED


def test_what_was_made_for_a_job_that_has_ended_is_late_and_for_a_living_one_is_not(bought):
    submit(bought)
    answer(bought)
    with transaction() as session:
        assert polling.claim_late(session) == []
    change_job(bought.job_id, state=JobState.CANCELLED, finished_at=see(bought.id).created_at)
    with transaction() as session:
        assert [due.id for due in polling.claim_late(session)] == [bought.id]
        assert polling.claim_late(session) == []


def test_a_message_that_was_lost_is_sent_again(bought):
    assert unsent() == [], "its message may be on its way"
    ago(bought, next_poll_at=0)
    assert unsent() == [bought.id]
    assert unsent() == []


@pytest.mark.parametrize("ending", [fail, answer])
def test_a_job_whose_answer_nobody_told_it_is_found(bought, ending):
    submit(bought)
    change_job(
        bought.job_id, state=JobState.WAITING, waits_for=WaitsFor.PROVIDER,
        advanced_at=see(bought.id).created_at - timedelta(seconds=10),
    )  # fmt: skip
    with reading() as session:
        assert overdue.jobs_to_advance(session) == []
    ending(bought)
    with reading() as session:
        assert overdue.jobs_to_advance(session) == [bought.job_id]
