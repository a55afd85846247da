"""Jobs: submitted whole or not at all, cancelled, taken up again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.briefs import load_params
from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from db.assets import Asset, AssetKind, Film
from db.money import Budget, BudgetScope
from db.review import Approval, ApprovalState, Gate
from db.session import reading, transaction
from db.work import Event, Job, JobState, Step, StepState, WaitsFor
from services import approvals, claims, jobs, steps
from services.steps import StepPlan
from tests.services.makers import (
    SCRIPT,
    do,
    make_house,
    make_job,
    plan,
    see_job,
    see_step,
    take_up,
)


@pytest.fixture
def house(settings):
    return make_house()


def change(verb, house, job_id):
    with transaction() as session:
        return verb(session, house.workspace_id, job_id)


def fail(step_id, code="permanent"):
    held = take_up(step_id)
    with transaction() as session:
        claims.give_back(session, held, state=StepState.FAILED, outcome="failed", code=code, message="No.")


def end_job(job_id, state, **more):
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        job.state = state
        job.finished_at = func.now()
        for name, value in more.items():
            setattr(job, name, value)


def test_a_film_job_comes_with_its_film_its_cap_and_its_first_event(house):
    job_id = make_job(
        house, params={"format": "9:16", "size": 240}, gates=("cut", "cut"), budget={"amount": 5_000_000}
    )
    job = see_job(job_id)
    assert (job.state, job.phase, job.gates) == (JobState.QUEUED, None, ["cut"])
    with reading() as session:
        film = session.get_one(Film, job.film_id)
        assert (film.name, film.width, film.height) == ("Up", 240, 426)
        cap = session.scalars(select(Budget).where(Budget.scope_id == job_id)).one()
        assert (cap.scope, cap.limit_amount, cap.currency) == (BudgetScope.JOB, 5_000_000, "USD")
        assert session.scalars(select(Event.type).where(Event.job_id == job_id)).all() == ["job.queued"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"gates": ("taste",)}, "gates"),
        ({"stop_after": "lunch"}, "stop_after"),
        ({"params": {"music": {"from": "asset", "id": "no-uuid"}}}, "params.music.id"),
    ],
)
def test_what_a_film_does_not_have_is_refused_by_field_and_leaves_nothing(house, more, field):
    with pytest.raises(Invalid) as refused:
        make_job(house, **more)
    assert refused.value.field == field
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0
        assert session.scalar(select(func.count()).select_from(Asset)) == 0


def test_a_project_or_clip_of_another_workspace_does_not_exist(house):
    other = make_house("Other")
    from db.assets import Clip, Project

    with transaction() as session:
        theirs = Project(workspace_id=other.workspace_id, name="Theirs")
        clip = Clip(workspace_id=other.workspace_id, name="Theirs", sha256="0" * 64)
        session.add_all([theirs, clip])
    with pytest.raises(NotFound):
        make_job(house, project_id=theirs.id)
    asked = {"asset_id": str(clip.id), "regions": [{"x": 0, "y": 0, "width": 0.5, "height": 0.5}]}
    with pytest.raises(NotFound):
        make_job(house, kind="text_removal", params=asked)


def test_text_is_removed_from_clips_only(house):
    job = see_job(make_job(house))
    asked = {"asset_id": str(job.film_id), "regions": [{"x": 0, "y": 0, "width": 0.5, "height": 0.5}]}
    with pytest.raises(Invalid, match="film; a clip is needed"):
        make_job(house, kind="text_removal", params=asked)


def test_gates_belong_to_films(house):
    with pytest.raises(Invalid) as refused:
        make_job(house, kind="scrape", params={"words": ["moon"]}, gates=("cut",))
    assert refused.value.field == "gates"


def test_a_job_of_another_workspace_cannot_be_touched(house):
    job_id = make_job(house)
    other = make_house("Other")
    for verb in (jobs.get_job, jobs.cancel_job, jobs.retry_job, jobs.resume_job, jobs.delete_job):
        with pytest.raises(NotFound):
            change(verb, other, job_id)
    assert see_job(job_id).state is JobState.QUEUED


def test_cancelling_withdraws_what_waits_and_leaves_what_runs_to_its_worker(house):
    job_id = make_job(house, gates=("script",))
    running, ready = plan(job_id, StepPlan("write_script"), StepPlan("break_down"))
    take_up(running)
    with transaction() as session:
        approvals.ask(session, steps.lock_job(session, job_id), Gate.SCRIPT, ttl_hours=1)
    change(jobs.cancel_job, house, job_id)
    job = see_job(job_id)
    assert (job.state, job.waits_for) == (JobState.CANCELLING, None)
    assert see_step(ready).state is StepState.CANCELLED
    assert see_step(running).state is StepState.RUNNING
    with reading() as session:
        assert session.scalar(select(Approval.state)) is ApprovalState.WITHDRAWN
    change(jobs.cancel_job, house, job_id)  # asking again changes nothing
    with reading() as session:
        count = select(func.count()).select_from(Event).where(Event.type == "job.cancelling")
        assert session.scalar(count) == 1


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.SUCCEEDED])
def test_an_ended_job_cannot_be_cancelled(house, state):
    job_id = make_job(house)
    end_job(job_id, state)
    with pytest.raises(Conflict, match=state.value):
        change(jobs.cancel_job, house, job_id)


def test_a_retry_keeps_what_succeeded_and_reopens_the_rest(house):
    job_id = make_job(house)
    a, b = StepPlan("write_script"), StepPlan("break_down", needs=(("write_script", None, ""),))
    first, second = plan(job_id, a, b)
    do(first, {"version": 1})
    fail(second)
    end_job(job_id, JobState.FAILED, error_code="permanent", error_message="break_down: No.")
    change(jobs.retry_job, house, job_id)
    job = see_job(job_id)
    assert (job.state, job.error_code, job.finished_at) == (JobState.RUNNING, None, None)
    assert see_step(first).state is StepState.SUCCEEDED
    row = see_step(second)
    assert (row.state, row.failures, row.sent_at, row.error_code) == (StepState.READY, 0, None, None)


def test_a_retry_goes_back_to_the_phase_where_something_is_missing(house):
    """A spare step that failed two phases ago is done again, and so is all that was made without it."""
    job_id = make_job(house)
    shot, other = new_id(), new_id()
    keep, keep_other = StepPlan("keep_stock", shot), StepPlan("keep_stock", other)
    submit, submit_other = (
        StepPlan("submit_take", shot, needs=(keep.key,)),
        StepPlan("submit_take", other, needs=(keep_other.key,)),
    )
    kept, taken, kept_other, taken_other = plan(job_id, keep, submit, keep_other, submit_other, phase="shoot")
    fail(kept, "disk_full")
    for step_id in (taken, kept_other, taken_other):
        do(step_id)
    segment, composed = plan(job_id, StepPlan("render_segment", shot), StepPlan("compose"), phase="finish")
    do(segment)
    fail(composed, "disk_full")
    end_job(job_id, JobState.FAILED)
    change(jobs.retry_job, house, job_id)
    assert see_job(job_id).phase == "shoot"
    reopened = {kept, taken, segment, composed}
    with reading() as session:
        ready = session.scalars(
            select(Step.id).where(Step.job_id == job_id, Step.state == StepState.READY)
        ).all()
    assert set(ready) == reopened


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SUCCEEDED])
def test_only_a_failed_or_cancelled_job_can_be_retried(house, state):
    job_id = make_job(house)
    if state is JobState.SUCCEEDED:
        end_job(job_id, state)
    with pytest.raises(Conflict, match=state.value):
        change(jobs.retry_job, house, job_id)


def test_a_job_that_stopped_after_a_phase_is_resumed_and_its_progress_starts_anew(house):
    job_id = make_job(house, stop_after="write")
    (step_id,) = plan(job_id, StepPlan("write_script"))
    do(step_id)
    end_job(job_id, JobState.SUCCEEDED, progress=1.0)
    change(jobs.resume_job, house, job_id)
    job = see_job(job_id)
    assert (job.state, job.stop_after, job.finished_at) == (JobState.RUNNING, None, None)
    assert job.progress < 0.5


def test_a_finished_job_cannot_be_resumed(house):
    job_id = make_job(house)
    end_job(job_id, JobState.SUCCEEDED, phase="deliver")
    with pytest.raises(Conflict, match="succeeded"):
        change(jobs.resume_job, house, job_id)


def test_a_deleted_job_is_out_of_sight_and_its_film_stays(house):
    job_id = make_job(house)
    with pytest.raises(Conflict, match="cancel it"):
        change(jobs.delete_job, house, job_id)
    end_job(job_id, JobState.CANCELLED)
    film_id = change(jobs.delete_job, house, job_id).film_id
    with reading() as session:
        with pytest.raises(NotFound):
            jobs.get_job(session, house.workspace_id, job_id)
        assert session.get_one(Asset, film_id).kind is AssetKind.FILM


def test_waiting_needs_a_reason_by_the_databases_own_rule(house):
    from sqlalchemy.exc import IntegrityError

    job_id = make_job(house)
    with pytest.raises(IntegrityError, match="waits_only_when_waiting"), transaction() as session:
        steps.lock_job(session, job_id).waits_for = WaitsFor.REVIEWER


def test_a_brief_says_everything_after_loading():
    params = load_params("film", {"script": SCRIPT})
    assert params["narrator"] == "espeak"
    assert params["music"] == {"from": "none", "id": None}
    assert load_params("film", {k: v for k, v in params.items() if v is not None}) == params
