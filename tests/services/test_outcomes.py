"""What a job makes of its submissions, and what a person says about one."""

from __future__ import annotations

import pytest

from core.errors import Conflict, Invalid, NotFound
from db.money import HoldState
from db.session import reading, transaction
from db.submissions import SubmissionState
from db.work import StepState, WaitsFor
from services import outcomes, steps, submissions
from services.steps import StepPlan
from tests.services.buying import ago, answer, fail, hold_of, intend, make_submission, see, send, submit
from tests.services.makers import do, make_house, plan, see_job, see_step, take_up
from tests.tasks.conftest import change_job


@pytest.fixture
def house(settings):
    return make_house()


@pytest.fixture
def bought(house):
    return make_submission(house)


def follow(job_id):
    with transaction() as session:
        outcomes.follow(session, steps.lock_job(session, job_id))


def waiting(job_id):
    with reading() as session:
        return outcomes.why_waiting(session, job_id)


def tried(bought, seed=0):
    with reading() as session:
        return set(outcomes.tried_providers(session, bought.step_id, seed))


def to_fetch(job_id):
    with reading() as session:
        return outcomes.to_fetch(session, job_id)


def unconfirm(bought, *, can_look_up=False):
    sent = send(bought)
    with transaction() as session:
        submissions.mark_unconfirmed(session, sent, message="no answer", can_look_up=can_look_up)


def resolve(bought, house, outcome, vendor_id=None):
    with transaction() as session:
        return outcomes.resolve(session, house.workspace_id, bought.id, outcome=outcome, vendor_id=vendor_id)


def test_a_take_the_vendor_could_not_make_is_asked_for_again_of_somebody_else(bought):
    submit(bought)
    follow(bought.job_id)
    assert see_step(bought.step_id).state is StepState.SUCCEEDED
    assert tried(bought) == set()
    fail(bought)
    follow(bought.job_id)
    assert see_step(bought.step_id).state is StepState.READY
    assert tried(bought) == {("kling", "kling-3.0")}
    assert tried(bought, seed=8) == set(), "a retake asks everybody"
    assert [w["provider"] for w in see_job(bought.job_id).warnings] == ["kling"]
    follow(bought.job_id)
    assert len(see_job(bought.job_id).warnings) == 1


def test_a_persons_retry_asks_everybody_again(bought):
    submit(bought)
    fail(bought)
    follow(bought.job_id)
    held = take_up(bought.step_id)
    from services import claims

    with transaction() as session:
        claims.give_back(
            session, held, state=StepState.FAILED, outcome="failed", code="no_take", message="nobody"
        )
    assert tried(bought) == set()


def test_what_was_made_is_to_be_fetched_until_it_is_kept(bought):
    submit(bought)
    assert to_fetch(bought.job_id) == []
    answer(bought)
    assert to_fetch(bought.job_id) == [(bought.id, bought.shot_id)]
    assert waiting(bought.job_id) is None, "a step waits for it now"


def test_a_file_that_cannot_be_had_is_paid_all_the_same_and_asked_for_again(bought):
    submit(bought)
    answer(bought)
    key = ("submit_take", bought.shot_id, "")
    (fetch,) = plan(
        bought.job_id, StepPlan("fetch_take", bought.shot_id, str(bought.id), needs=(key,)), phase="shoot"
    )
    follow(bought.job_id)
    assert see(bought.id).state is SubmissionState.ANSWERED
    held = take_up(fetch)
    from services import claims

    with transaction() as session:
        claims.give_back(session, held, state=StepState.FAILED, outcome="failed", code="x", message="gone")
    follow(bought.job_id)
    assert see(bought.id).state is SubmissionState.FAILED
    assert hold_of(bought).state is HoldState.CAPTURED
    assert see_step(bought.step_id).state is StepState.READY


def test_a_job_says_whom_it_waits_for(bought):
    assert waiting(bought.job_id) == (WaitsFor.PROVIDER, "Waits for a provider's answer.")
    sent = send(bought)
    with transaction() as session:
        submissions.mark_unsent(session, sent, wait=9, code="throttled", message="full up")
    assert waiting(bought.job_id) == (WaitsFor.PROVIDER, "kling takes no more now: full up")
    unconfirm(bought, can_look_up=True)
    assert waiting(bought.job_id)[0] is WaitsFor.PROVIDER


def test_an_unknown_outcome_that_cannot_be_looked_up_waits_for_a_person(bought):
    unconfirm(bought)
    who, why = waiting(bought.job_id)
    assert who is WaitsFor.REVIEWER
    assert str(bought.id) in why
    assert "/resolve" in why


def test_a_person_says_that_the_vendor_has_it(bought, house):
    unconfirm(bought)
    resolve(bought, house, "accepted", "v-9")
    row = see(bought.id)
    assert (row.state, row.vendor_id) == (SubmissionState.SUBMITTED, "v-9")
    assert row.next_poll_at is not None
    assert answer(bought) == (bought.job_id, 0)


def test_a_person_says_that_the_vendor_does_not_have_it_and_it_is_sent_again(bought, house):
    unconfirm(bought)
    resolve(bought, house, "not_accepted")
    assert send(bought).sends == 2


def test_a_person_gives_it_up_and_nothing_is_held_any_more(bought, house):
    unconfirm(bought)
    resolve(bought, house, "abandoned")
    assert see(bought.id).state is SubmissionState.FAILED
    assert hold_of(bought).state is HoldState.RELEASED
    follow(bought.job_id)
    assert see_step(bought.step_id).state is StepState.READY


def test_a_person_resolves_only_what_is_unknown_and_says_it_clearly(bought, house):
    with pytest.raises(Conflict, match="is intended"):
        resolve(bought, house, "abandoned")
    unconfirm(bought)
    with pytest.raises(Invalid):
        resolve(bought, house, "accepted")
    with pytest.raises(Invalid):
        resolve(bought, house, "abandoned", "v-1")
    with pytest.raises(NotFound):
        resolve(bought, make_house("Other"), "abandoned")
    other = make_submission(house)
    submit(other, "v-1")
    with pytest.raises(Conflict, match=str(other.id)):
        resolve(bought, house, "accepted", "v-1")
    assert see(bought.id).state is SubmissionState.UNCONFIRMED


def test_a_job_that_ends_lets_go_of_what_it_never_sent_and_of_nothing_else(house):
    unsent, sent = make_submission(house), make_submission(house)
    submit(sent)
    for one in (unsent, sent):
        with transaction() as session:
            outcomes.withdraw_unsent(session, steps.lock_job(session, one.job_id))
    assert see(unsent.id).state is SubmissionState.CANCELLED
    assert hold_of(unsent).state is HoldState.RELEASED
    assert see(sent.id).state is SubmissionState.SUBMITTED
    assert hold_of(sent).state is HoldState.OPEN


def test_what_was_withdrawn_is_asked_for_again_when_the_job_is_taken_up(bought):
    with transaction() as session:
        steps.lock_job(session, bought.job_id)
        outcomes.withdraw_unsent(session, steps.lock_job(session, bought.job_id))
    follow(bought.job_id)
    assert see_step(bought.step_id).state is StepState.READY
    assert see_job(bought.job_id).warnings == []
    assert tried(bought) == set()


def test_a_take_given_up_is_revived_when_the_same_is_asked_for_again(bought):
    submit(bought)
    ago(bought, given_up_at=5, deadline_at=6)
    follow(bought.job_id)
    assert see_step(bought.step_id).state is StepState.READY
    assert waiting(bought.job_id) is None
    assert tried(bought) == {("kling", "kling-3.0")}
    assert intend(bought.job_id, bought.step_id, bought.shot_id) == bought.id
    do(bought.step_id, {"submission_id": str(bought.id)})
    assert waiting(bought.job_id) is not None
    change_job(bought.job_id, priority=1)
    follow(bought.job_id)
    assert see_step(bought.step_id).state is StepState.SUCCEEDED
