"""One attempt of one step: what is kept, what is tried again, and what is never lost."""

from __future__ import annotations

import errno
import time
from datetime import timedelta

import pytest
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)
from sqlalchemy import func, select, update

from core.errors import (
    Invalid,
    Misconfigured,
    NotFound,
    OverBudget,
    Permanent,
    Retryable,
    Unconfirmed,
    Unlicensed,
)
from core.ids import new_id
from db.assets import Blob, Film, RenditionRole
from db.session import reading, transaction
from db.work import Attempt, Heartbeat, JobState, Step, StepState
from services import claims, jobs
from services.renditions import StoredFile, add_rendition
from services.steps import StepPlan
from tasks.step import FAILURES_ALLOWED, LONGEST_DELAY, RetryDecision, decide
from tests.services.makers import make_job, plan, see_job, see_step, take_up
from tests.tasks.conftest import perform

FAIL = RetryDecision("fail")


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (Retryable("busy"), 0, RetryDecision("retry", 1.0)),
        (Retryable("busy"), 1, RetryDecision("retry", 2.0)),
        (Retryable("busy"), 3, RetryDecision("retry", 8.0)),
        (Retryable("busy"), FAILURES_ALLOWED - 1, FAIL),
        (Retryable("busy", retry_after=17), 0, RetryDecision("retry", 17)),
        (Retryable("busy", retry_after=0), 2, RetryDecision("retry", 0)),
        (Retryable("busy", retry_after=86400), 0, RetryDecision("retry", LONGEST_DELAY)),
        (Unconfirmed("who knows"), 0, FAIL),
        (Permanent("no"), 0, FAIL),
        (Misconfigured("no key"), 0, FAIL),
        (Unlicensed("no licence"), 0, FAIL),
        (OverBudget("no money", amount=5), 0, RetryDecision("wait")),
        (OverBudget("no money", amount=5), FAILURES_ALLOWED, RetryDecision("wait")),
        (OverBudget("nothing would help"), 0, FAIL),
        (NotFound("gone"), 0, FAIL),
        (Invalid("bad", field="x"), 0, FAIL),
    ],
)
def test_only_what_may_succeed_later_is_tried_again_or_waits(error, failures, expected):
    assert decide(error, failures) == expected


@pytest.fixture
def step_id(house):
    job_id = make_job(house)
    return plan(job_id, StepPlan("write_script"))[0]


def outcome(step_id):
    with reading() as session:
        return session.scalars(
            select(Attempt).where(Attempt.step_id == step_id).order_by(Attempt.number.desc())
        ).first()


def raising(error):
    def work(run):
        raise error

    return work


def remembering(answers, **inputs):
    def work(run):
        made = run.remember(**inputs)
        answers.append(made)
        with run.saving():
            run.result = made or {"made": len(answers)}

    return work


def test_work_that_saves_succeeds_and_its_scratch_is_gone(step_id, settings):
    seen = []

    def work(run):
        (run.scratch / "file").write_text("x")
        seen.append(run.scratch)
        with run.timing("nap_seconds"):
            time.sleep(0.01)
        with run.saving():
            run.result = {"a": 1}

    perform(work, step_id)
    row = see_step(step_id)
    assert (row.state, row.result, row.worker) == (StepState.SUCCEEDED, {"a": 1}, "test@here")
    assert outcome(step_id).figures["nap_seconds"] > 0
    assert not seen[0].exists()


def test_an_ended_or_running_step_is_not_done_by_a_second_delivery(step_id):
    calls = []

    def work(run):
        calls.append(1)
        perform(work, step_id)  # the same message, delivered while the first works
        with run.saving():
            pass

    perform(work, step_id)
    perform(work, step_id)
    assert calls == [1]


def test_an_expected_failure_is_written_and_does_not_raise(step_id):
    perform(raising(Permanent("No such thing.", code="gone")), step_id)
    row = see_step(step_id)
    assert (row.state, row.error_code, row.error_message) == (StepState.FAILED, "gone", "No such thing.")
    assert outcome(step_id).outcome == "failed"
    assert see_job(row.job_id).state is JobState.FAILED


def test_a_bug_fails_the_step_and_says_what_it_was(step_id, settings):
    perform(raising(ZeroDivisionError("division by zero")), step_id)
    row = see_step(step_id)
    assert (row.state, row.error_code) == (StepState.FAILED, "bug")
    assert "ZeroDivisionError" in row.error_message
    assert not (settings.var_dir / "scratch").exists() or not any((settings.var_dir / "scratch").iterdir())


def test_a_full_disk_is_no_bug_but_may_be_freed(step_id):
    perform(raising(OSError(errno.ENOSPC, "No space left on device")), step_id)
    row = see_step(step_id)
    assert (row.state, row.error_code, row.error_message) == (
        StepState.READY,
        "disk_full",
        "The disk is full.",
    )


def test_a_scratch_folder_that_cannot_be_made_is_an_error_of_the_step(step_id, settings):
    settings.var_dir.mkdir(parents=True)
    (settings.var_dir / "scratch").write_text("a file in the way")
    perform(lambda run: run.scratch / "never", step_id)
    row = see_step(step_id)
    assert (row.state, row.error_code) == (StepState.FAILED, "bug")
    assert "scratch" in row.error_message


def test_rows_the_database_refuses_are_a_bug_and_not_a_lost_worker(step_id):
    def work(run):
        with run.saving() as session:
            session.add(Heartbeat(name="x" * 201))

    perform(work, step_id)
    row = see_step(step_id)
    assert (row.state, row.error_code) == (StepState.FAILED, "bug")


def test_an_error_inside_saving_keeps_nothing(step_id):
    def work(run):
        with run.saving() as session:
            session.add(Heartbeat(name="half", facts={}))
            session.flush()
            raise Permanent("Changed my mind.")

    perform(work, step_id)
    assert see_step(step_id).state is StepState.FAILED
    with reading() as session:
        assert session.get(Heartbeat, "half") is None


def test_a_step_to_be_tried_again_is_sent_with_its_delay(step_id, broker):
    perform(raising(Retryable("busy", code="busy", retry_after=30)), step_id)
    row = see_step(step_id)
    assert (row.state, row.failures, row.error_code) == (StepState.READY, 1, "busy")
    (message,) = broker.messages()
    assert message.kwargs == {"step_id": str(step_id), "job": str(row.job_id), "solo": True}
    assert message.eta is not None
    perform(raising(Permanent("never")), step_id)  # the message came too early
    assert see_step(step_id).attempt == 1


@pytest.mark.parametrize("broker_kind", ["rabbitmq"], indirect=True)
def test_rabbitmq_keeps_a_step_to_be_tried_again_until_it_may_be_claimed(step_id, broker):
    """It counts delays in whole seconds, in queues that every worker declares at its start."""
    from tasks.app import app

    with app.connection_for_write() as connection:
        declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        for queue in app.amqp.queues.values():
            queue(connection).declare()
            bind_queue_to_native_delayed_delivery_exchange(connection, queue)
    perform(raising(Retryable("busy", retry_after=1.3)), step_id)
    assert broker.messages() == []
    deadline = time.monotonic() + 30
    while not (messages := broker.messages()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [message.kwargs["step_id"] for message in messages] == [str(step_id)]
    perform(remembering([]), step_id)
    assert (see_step(step_id).state, see_step(step_id).attempt) == (StepState.SUCCEEDED, 2)


def test_a_step_that_keeps_failing_is_given_up(step_id):
    for _ in range(FAILURES_ALLOWED):
        perform(raising(Retryable("busy", retry_after=0)), step_id)
    row = see_step(step_id)
    assert (row.state, row.attempt, row.failures) == (StepState.FAILED, FAILURES_ALLOWED, FAILURES_ALLOWED)


def test_a_step_whose_need_failed_is_skipped_and_names_it(house):
    job_id = make_job(house)
    a = StepPlan("narrate", new_id(), label="shot 3")
    first, last = plan(job_id, a, StepPlan("rank", needs=(a.key,)), phase="source")
    perform(raising(Permanent("No voice.", code="no_voice")), first)
    perform(raising(AssertionError("must not be called")), last)
    row = see_step(last)
    assert (row.state, row.error_code) == (StepState.SKIPPED, "blocked")
    assert "narrate shot 3" in row.error_message
    job = see_job(job_id)
    assert (job.state, job.error_message) == (JobState.FAILED, "narrate shot 3: No voice.")


def test_a_step_whose_spare_need_failed_is_done(house):
    job_id = make_job(house)
    a = StepPlan("find_stock", new_id())
    first, last = plan(job_id, a, StepPlan("rank", needs=(a.key,)), phase="source")
    perform(raising(Permanent("No stock.")), first)
    perform(remembering([]), last)
    assert see_step(last).state is StepState.SUCCEEDED


@pytest.mark.both_brokers
def test_after_a_retry_the_steps_behind_it_are_sent_because_no_canvas_will(house, broker):
    job_id = make_job(house)
    first, last = plan(
        job_id, StepPlan("write_script"), StepPlan("break_down", needs=(("write_script", None, ""),))
    )
    perform(raising(Retryable("busy", retry_after=0)), first, solo=False)
    broker.clear()
    perform(remembering([]), first, solo=False)
    assert [(m.task, m.kwargs["step_id"]) for m in broker.messages()] == [("break_down", str(last))]


# -- reuse ------------------------------------------------------------------------------------------


def test_equal_inputs_are_worked_once_in_a_workspace(house):
    answers = []
    for params in ({}, {}, {"reuse": False}):
        (step_id,) = plan(make_job(house, params=params), StepPlan("write_script"))
        perform(remembering(answers, text="Hello", size=[1, 2.0]), step_id)
    assert answers == [None, {"made": 1}, None]


@pytest.mark.parametrize("other", ["inputs", "version", "kind", "asked"])
def test_whatever_differs_is_worked_again(house, other):
    answers = []
    (first,) = plan(make_job(house), StepPlan("write_script"))
    perform(remembering(answers, text="Hello"), first)
    kind = "break_down" if other == "kind" else "write_script"
    (second,) = plan(make_job(house), StepPlan(kind))
    if other == "asked":
        with transaction() as session:
            session.execute(update(Step).where(Step.id == second).values(params={"retake": 1}))
    perform(
        remembering(answers, text="Bye" if other == "inputs" else "Hello"),
        second,
        version=2 if other == "version" else 1,
    )
    assert answers == [None, None]


def test_a_result_whose_bytes_are_gone_is_not_reused(house):
    digest = "a" * 64
    answers = []

    def work(run):
        answers.append(run.remember(text="Hello"))
        with run.saving() as session:
            stored = StoredFile(digest, 1, "video/mp4", "k", "f")
            film = session.get_one(Film, run.film_id)
            add_rendition(
                session, workspace_id=film.workspace_id, asset_id=film.id,
                role=RenditionRole.SEGMENT, stored=stored,
            )  # fmt: skip
            run.result = {"files": [stored.to_json()]}

    for _ in range(2):
        perform(work, plan(make_job(house), StepPlan("write_script"))[0])
    with transaction() as session:
        from sqlalchemy import delete

        from db.assets import Rendition

        session.execute(delete(Rendition))
        session.execute(delete(Blob))
    perform(work, plan(make_job(house), StepPlan("write_script"))[0])
    assert [a is not None for a in answers] == [False, True, False]


# -- stopping ---------------------------------------------------------------------------------------


def test_a_step_that_ends_after_its_job_was_cancelled_ends_as_cancelled_at_once(house):
    """It saves nothing, and the job does not wait for a lease to run out."""
    job_id = make_job(house)
    (step_id,) = plan(job_id, StepPlan("write_script"))

    def work(run):
        with transaction() as session:
            jobs.cancel_job(session, house.workspace_id, job_id)
        with run.saving() as session:
            session.add(Heartbeat(name="late", facts={}))

    perform(work, step_id)
    assert see_step(step_id).state is StepState.CANCELLED
    assert see_job(job_id).state is JobState.CANCELLED
    with reading() as session:
        assert session.get(Heartbeat, "late") is None


def test_a_cancelled_step_that_stops_on_request_is_not_a_failure(house):
    job_id = make_job(house)
    (step_id,) = plan(job_id, StepPlan("compose"))

    def work(run):
        with transaction() as session:
            jobs.cancel_job(session, house.workspace_id, job_id)
        deadline = time.monotonic() + 10
        while not run.stopped():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        raise Retryable("Stopped on request.", code="stopped")

    began = time.monotonic()
    perform(work, step_id)
    assert time.monotonic() - began < 4
    assert outcome(step_id).outcome == "cancelled"
    assert see_job(job_id).state is JobState.CANCELLED


def test_a_worker_that_lost_its_claim_saves_nothing_and_harms_nobody(step_id):
    def work(run):
        with transaction() as session:
            session.execute(update(Step).values(lease_until=func.now() - timedelta(seconds=1)))
        with transaction() as session:
            claims.reclaim_expired(session)
        assert take_up(step_id, "successor") is not None
        with run.saving():
            run.result = {"by": "late"}

    perform(work, step_id)
    row = see_step(step_id)
    assert (row.state, row.worker, row.result) == (StepState.RUNNING, "successor", {})


def test_a_step_that_works_longer_than_allowed_is_told_to_stop(step_id):
    def work(run):
        deadline = time.monotonic() + 10
        while not run.stopped():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        raise Retryable("Stopped.", code="stopped")

    perform(work, step_id, limit=0.1)
    assert see_step(step_id).state is StepState.READY


def test_progress_reported_while_working_reaches_the_row(step_id):
    def work(run):
        run.report(0.25)
        deadline = time.monotonic() + 10
        while see_step(step_id).progress != 0.25:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with run.saving():
            pass

    perform(work, step_id)
    assert see_step(step_id).state is StepState.SUCCEEDED
