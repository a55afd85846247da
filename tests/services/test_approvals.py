"""Gates: every verb at every gate, and what it opens again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.errors import Conflict, Invalid, NotFound
from core.ids import new_id
from db.assets import Film, Script, ScriptVersion, Shot, Take, TakeOrigin, Validation
from db.review import Approval, ApprovalState, Gate, Verb
from db.session import reading, transaction
from db.work import Job, JobState, Step, StepState, WaitsFor
from services import approvals, jobs, steps
from services.films import add_script_version, add_take, film_shots, write_shots
from services.steps import StepPlan
from tests.services.makers import SCRIPT, at_once, do, make_house, make_job, plan, see_job, see_shots, take_up

PHASES = {
    Gate.SCRIPT: ("write", ["write_script", "break_down"], []),
    Gate.TAKES: ("shoot", [], ["keep_stock", "submit_take"]),
    Gate.CUT: ("finish", ["mix_sound", "credits_card", "compose"], ["clean_take", "render_segment"]),
}


@pytest.fixture
def house(settings):
    return make_house()


def film_at(house, gate: Gate):
    """A film of two shots with two takes each, whose phase before `gate` is done and asked about."""
    job_id = make_job(house, gates=(gate.value,))
    with transaction() as session:
        film = session.get_one(Film, session.get_one(Job, job_id).film_id)
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session, script, text=SCRIPT, fmt="markdown", scenes=[], author="client", origin="brief"
        )
        for shot in write_shots(session, film, version, [{"name": f"Shot {n}", "scene": 1} for n in (1, 2)]):
            for number in (1, 2):
                take = add_take(
                    session, shot, origin=TakeOrigin.RENDERED, provider="local", model="m", seed=number,
                    cost=0, currency="USD", source_asset_id=None, input_hash=f"{number}" * 64,
                )  # fmt: skip
                shot.selected_take_id = shot.selected_take_id or take.id
    phase, whole, per_shot = PHASES[gate]
    plans = [StepPlan(kind) for kind in whole]
    plans += [StepPlan(kind, shot.id) for shot in see_shots(job_id) for kind in per_shot]
    for step_id in plan(job_id, *plans, phase=phase):
        do(step_id)
    ask(job_id, gate)
    return job_id


def ask(job_id, gate):
    with transaction() as session:
        return approvals.ask(session, steps.lock_job(session, job_id), gate, ttl_hours=1).id


def pending(house):
    with reading() as session:
        return approvals.list_pending(session, house.workspace_id)


def answer(house, verb, **more):
    (question,) = pending(house)
    with transaction() as session:
        return approvals.respond(
            session, workspace_id=house.workspace_id, approval_id=question.id, user_id=house.user_id,
            verb=verb, **more,
        )  # fmt: skip


def passed(job_id, gate):
    with reading() as session:
        return approvals.gate_passed(session, session.get_one(Job, job_id), gate)


def opened(job_id):
    """(kind, position of the shot or None) of every step to be done again."""
    places = {shot.id: shot.position for shot in see_shots(job_id)}
    with reading() as session:
        rows = session.scalars(select(Step).where(Step.job_id == job_id, Step.state == StepState.READY))
        return {(row.kind, places.get(row.subject_id)) for row in rows}


def takes_of(shot):
    with reading() as session:
        return list(session.scalars(select(Take).where(Take.shot_id == shot.id).order_by(Take.number)))


@pytest.mark.parametrize("gate", list(Gate))
def test_a_gate_asks_once_and_the_job_waits(house, gate):
    job_id = film_at(house, gate)
    first = ask(job_id, gate)
    assert [a.id for a in pending(house)] == [first]
    job = see_job(job_id)
    assert (job.state, job.waits_for) == (JobState.WAITING, WaitsFor.REVIEWER)
    assert gate.value in job.waits_reason
    assert not passed(job_id, gate)


@pytest.mark.parametrize("gate", list(Gate))
def test_approve_lets_the_job_go_on(house, gate):
    job_id = film_at(house, gate)
    answer(house, "approve")
    assert passed(job_id, gate)
    assert opened(job_id) == set()
    job = see_job(job_id)
    assert (job.state, job.waits_for, job.waits_reason) == (JobState.RUNNING, None, None)
    with reading() as session:
        row = session.scalars(select(Approval)).one()
        assert (row.state, row.response, row.responded_by) == (
            ApprovalState.ANSWERED, Verb.APPROVE, house.user_id,
        )  # fmt: skip
        approved = session.scalar(select(ScriptVersion.approved_at))
        assert (approved is not None) == (gate is Gate.SCRIPT)


@pytest.mark.parametrize("gate", list(Gate))
def test_reject_fails_the_job_with_the_words_and_a_retry_asks_again(house, gate):
    job_id = film_at(house, gate)
    answer(house, "reject", instructions="Too sad.")
    job = see_job(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "rejected")
    assert "Too sad." in job.error_message
    assert not passed(job_id, gate)
    with transaction() as session:
        jobs.retry_job(session, house.workspace_id, job_id)
    ask(job_id, gate)
    assert len(pending(house)) == 1


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (Gate.SCRIPT, {("write_script", None), ("break_down", None)}),
        (Gate.TAKES, {(kind, shot) for kind in ("keep_stock", "submit_take") for shot in (0, 1)}),
        (
            Gate.CUT,
            {("mix_sound", None), ("credits_card", None), ("compose", None)}
            | {(kind, shot) for kind in ("clean_take", "render_segment") for shot in (0, 1)},
        ),
    ],
)
def test_retry_does_the_work_before_the_gate_again_with_the_instructions(house, gate, expected):
    job_id = film_at(house, gate)
    answer(house, "retry", instructions="Brighter.")
    assert opened(job_id) == expected
    assert not passed(job_id, gate)
    with reading() as session:
        asked = session.scalars(select(Step.params).where(Step.job_id == job_id)).all()
    assert all(params == {"retake": 1, "instructions": "Brighter."} for params in asked)


def test_every_retry_counts_so_its_inputs_differ(house):
    job_id = film_at(house, Gate.TAKES)
    for count in (1, 2):
        answer(house, "retry")
        with reading() as session:
            rows = session.scalars(select(Step).where(Step.kind == "submit_take")).all()
        assert {row.params["retake"] for row in rows} == {count}
        for row in sorted(rows, key=lambda r: r.id):
            do(row.id)
        ask(job_id, Gate.TAKES)


def test_retry_of_named_shots_leaves_the_others_alone(house):
    job_id = film_at(house, Gate.TAKES)
    first, second = see_shots(job_id)
    answer(house, "retry", edit={"shots": [str(second.id)]})
    assert opened(job_id) == {("keep_stock", 1), ("submit_take", 1)}
    after = see_shots(job_id)
    assert after[0].selected_take_id == first.selected_take_id
    assert after[1].selected_take_id is None
    assert [t.validation for t in takes_of(second)] == [Validation.REJECTED, Validation.NEUTRAL]


def test_an_edited_script_is_a_new_version_and_is_broken_down_anew(house):
    job_id = film_at(house, Gate.SCRIPT)
    answer(house, "edit", edit={"script": "# Down\n\n## Sea\n\nThe water is deep."})
    assert opened(job_id) == {("break_down", None)}
    assert passed(job_id, Gate.SCRIPT)
    with reading() as session:
        first, second = session.scalars(select(ScriptVersion).order_by(ScriptVersion.number))
        assert (second.number, second.origin) == (2, "edited")
        assert "deep" in second.text
        assert second.approved_at is not None
        assert first.text == SCRIPT


def test_chosen_takes_are_selected_and_the_job_goes_on(house):
    job_id = film_at(house, Gate.TAKES)
    shot = see_shots(job_id)[1]
    other = takes_of(shot)[1]
    answer(house, "edit", edit={"selections": {str(shot.id): str(other.id)}})
    assert see_shots(job_id)[1].selected_take_id == other.id
    assert takes_of(shot)[1].validation is Validation.APPROVED
    assert opened(job_id) == set()
    assert passed(job_id, Gate.TAKES)


def test_takes_chosen_at_the_cut_are_cut_in_with_their_credits_and_asked_about_again(house):
    job_id = film_at(house, Gate.CUT)
    shot = see_shots(job_id)[1]
    answer(house, "edit", edit={"selections": {str(shot.id): str(takes_of(shot)[1].id)}})
    assert opened(job_id) == {
        ("clean_take", 1), ("render_segment", 1), ("credits_card", None), ("mix_sound", None), ("compose", None),
    }  # fmt: skip
    assert not passed(job_id, Gate.CUT)


@pytest.mark.parametrize(
    ("gate", "verb", "edit", "field"),
    [
        (Gate.SCRIPT, "edit", None, "edit.script"),
        (Gate.SCRIPT, "edit", {"script": "  "}, "edit.script"),
        (Gate.SCRIPT, "edit", {"script": "[duration: long]\nHello."}, "script"),
        (Gate.TAKES, "edit", {}, "edit.selections"),
        (Gate.TAKES, "edit", {"selections": {"x": "y"}}, "edit.selections"),
        (Gate.CUT, "edit", {"selections": []}, "edit.selections"),
        (Gate.TAKES, "retry", {"shots": []}, "edit.shots"),
        (Gate.TAKES, "retry", {"shots": ["x"]}, "edit"),
        (Gate.TAKES, "retry", {"shots": [str(new_id())]}, "edit.shots"),
    ],
)
def test_an_answer_that_does_not_fit_the_gate_changes_nothing(house, gate, verb, edit, field):
    job_id = film_at(house, gate)
    with pytest.raises(Invalid) as refused:
        answer(house, verb, edit=edit)
    assert refused.value.field == field
    assert len(pending(house)) == 1
    assert see_job(job_id).state is JobState.WAITING


def test_a_take_of_another_shot_cannot_be_selected(house):
    job_id = film_at(house, Gate.TAKES)
    one, two = see_shots(job_id)
    with pytest.raises(Invalid, match="has no take"):
        answer(house, "edit", edit={"selections": {str(one.id): str(takes_of(two)[0].id)}})


def test_of_two_answers_at_once_one_counts_and_the_other_is_told(house):
    film_at(house, Gate.TAKES)
    (question,) = pending(house)

    def say(number):
        with transaction() as session:
            return approvals.respond(
                session, workspace_id=house.workspace_id, approval_id=question.id, user_id=None,
                verb=("approve", "reject")[number % 2],
            )  # fmt: skip

    answers = at_once(4, say)
    assert sum(isinstance(a, Approval) for a in answers) == 1
    assert sum(isinstance(a, Conflict) for a in answers) == 3


def test_an_approval_of_another_workspace_does_not_exist(house):
    film_at(house, Gate.CUT)
    (question,) = pending(house)
    other = make_house("Other")
    assert pending(other) == []
    with transaction() as session, pytest.raises(NotFound):
        approvals.respond(
            session, workspace_id=other.workspace_id, approval_id=question.id, user_id=None, verb="approve"
        )


def test_a_question_nobody_answers_expires_and_can_be_asked_again(house):
    job_id = film_at(house, Gate.SCRIPT)
    with transaction() as session:
        assert approvals.expire_approvals(session) == 0
        session.execute(update(Approval).values(expires_at=func.now() - timedelta(seconds=1)))
    with transaction() as session:
        assert approvals.expire_approvals(session) == 1
    job = see_job(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "approval_expired")
    assert "script" in job.error_message
    with reading() as session:
        question = session.scalars(select(Approval)).one()
    with transaction() as session, pytest.raises(Conflict, match="expired"):
        approvals.respond(
            session, workspace_id=house.workspace_id, approval_id=question.id, user_id=None, verb="approve"
        )
    with transaction() as session:
        jobs.retry_job(session, house.workspace_id, job_id)
    ask(job_id, Gate.SCRIPT)
    assert len(pending(house)) == 1


def test_expiring_twice_at_once_fails_the_job_once(house):
    job_id = film_at(house, Gate.SCRIPT)
    with transaction() as session:
        session.execute(update(Approval).values(expires_at=func.now() - timedelta(seconds=1)))

    def sweep(_):
        with transaction() as session:
            approvals.expire_approvals(session)

    assert at_once(4, sweep) == [None] * 4
    with reading() as session:
        from db.work import Event

        assert session.scalar(select(func.count()).select_from(Event).where(Event.type == "job.failed")) == 1
    assert see_job(job_id).state is JobState.FAILED


def test_a_shorter_script_drops_shots_softly(house):
    """After an edit the surplus shots are out of the film, and their takes stay."""
    job_id = film_at(house, Gate.TAKES)
    second = see_shots(job_id)[1]
    with transaction() as session:
        film = session.get_one(Film, session.get_one(Job, job_id).film_id)
        version = session.scalars(select(ScriptVersion)).one()
        write_shots(session, film, version, [{"name": "Shot 1", "scene": 1}])
        assert len(film_shots(session, film.id)) == 1
        assert session.get_one(Shot, second.id).deleted_at is not None
    assert len(takes_of(second)) == 2


def test_nothing_is_claimed_while_the_gate_waits_for_nothing_is_open(house):
    job_id = film_at(house, Gate.CUT)
    with reading() as session:
        ids = session.scalars(select(Step.id).where(Step.job_id == job_id)).all()
    assert [take_up(step_id) for step_id in ids] == [None] * len(ids)
