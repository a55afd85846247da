"""Progress: grows with the work whatever happens to it, and knows what work costs here."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from db.assets import Film, Script, Shot
from db.review import Approval, ApprovalState
from db.session import reading, transaction
from db.work import ENDED_JOB, Job, JobKind, JobState, Pace, Step, StepState
from services import approvals, jobs, progress, steps
from services.films import add_script_version, film_shots, write_shots
from tasks import pipeline
from tests.services.makers import beat, do, finish, give_back, make_job, see_job, take_up
from tests.tasks.conftest import change_job

SHOTS = 3


def shown(job_id):
    with reading() as session:
        return progress.measure(session, session.get_one(Job, job_id))["progress"]


def eta(job_id):
    with reading() as session:
        return progress.measure(session, session.get_one(Job, job_id))["eta_seconds"]


def work(held, rng):
    """Leave behind what the step's worker would: shots after the break-down, lengths after narrations."""
    with transaction() as session:
        film = session.get_one(Film, session.get_one(Job, held.job_id).film_id)
        if held.kind == "break_down":
            script = session.get_one(Script, film.script_id)
            version = add_script_version(
                session, script, text="x", fmt="plain", scenes=[], author="client", origin="brief"
            )
            plans = [{"name": f"Shot {n + 1}", "scene": 1, "narration": "Words."} for n in range(SHOTS)]
            write_shots(session, film, version, plans)
        if held.kind == "narrate":
            session.get_one(Shot, held.subject_id).duration = rng.uniform(1, 9)


def claimable(job_id):
    with reading() as session:
        return [row.id for row in steps.claimable(session, job_id)]


class Walk:
    """A film through all its phases, step by step in any order, with everything that may happen to a step."""

    def __init__(self, house, seed, gates=("script", "takes", "cut")):
        self.rng = random.Random(seed)
        self.house = house
        self.job_id = make_job(house, gates=gates)
        self.seen = [shown(self.job_id)]
        self.troubles = 6
        pipeline.advance(self.job_id)

    def look(self):
        self.seen.append(shown(self.job_id))

    def run(self):
        while (job := see_job(self.job_id)).state is not JobState.SUCCEEDED:
            self.look()
            if job.state is JobState.WAITING:
                self.answer()
            elif job.state in ENDED_JOB:
                with transaction() as session:
                    jobs.retry_job(session, self.house.workspace_id, self.job_id)
            elif ready := claimable(self.job_id):
                self.step(self.rng.choice(ready))
                self.look()
            pipeline.advance(self.job_id)
        self.look()
        return self.seen

    def step(self, step_id):
        held = take_up(step_id)
        for _ in range(self.rng.randrange(3)):
            beat(held, self.rng.random())
            self.look()
        fate = self.rng.choice(["done", "done", "again", "failed", "cancelled"]) if self.troubles else "done"
        self.troubles -= fate != "done"
        if fate == "done":
            work(held, self.rng)
            finish(held, reused=self.rng.random() < 0.2)
        elif fate == "again":
            give_back(held, StepState.READY, "retry")
        else:
            give_back(held, StepState.FAILED, "failed")
        if fate == "cancelled":
            with transaction() as session:
                jobs.cancel_job(session, self.house.workspace_id, self.job_id)

    def answer(self):
        verb = self.rng.choice(["approve", "retry"]) if self.troubles else "approve"
        self.troubles -= verb == "retry"
        with transaction() as session:
            asked = session.scalars(
                select(Approval).where(
                    Approval.job_id == self.job_id, Approval.state == ApprovalState.PENDING
                )
            ).one()
            approvals.respond(
                session, workspace_id=self.house.workspace_id, approval_id=asked.id,
                user_id=self.house.user_id, verb=verb,
            )  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_and_in_whatever_order_progress_never_goes_back_and_ends_at_one(house, seed):
    walk = Walk(house, seed)
    seen = walk.run()
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert max(seen[:-1]) < 1
    assert seen[-1] == 1
    assert len(set(seen)) > 15


def test_a_heartbeat_moves_the_bar_and_another_attempt_does_not_move_it_back(house):
    job_id = make_job(house)
    pipeline.advance(job_id)
    (step_id,) = claimable(job_id)
    held = take_up(step_id)
    before = shown(job_id)
    beat(held, 0.5)
    half = shown(job_id)
    give_back(held, StepState.READY, "retry")
    with transaction() as session:
        session.execute(update(Step).values(not_before=Step.created_at - timedelta(seconds=1)))
    take_up(step_id)
    assert before < half == shown(job_id)


def test_the_bar_stands_still_while_a_gate_has_work_done_again_and_then_goes_on(house):
    walk = Walk(house, 1, gates=("takes",))
    walk.troubles = 0
    while see_job(walk.job_id).state is not JobState.WAITING:
        for step_id in claimable(walk.job_id):
            held = take_up(step_id)
            work(held, walk.rng)
            finish(held)
        pipeline.advance(walk.job_id)
    asked = shown(walk.job_id)
    with transaction() as session:
        approval = session.scalars(select(Approval).where(Approval.job_id == walk.job_id)).one()
        approvals.respond(
            session, workspace_id=house.workspace_id, approval_id=approval.id, user_id=None, verb="retry"
        )
    pipeline.advance(walk.job_id)
    again = shown(walk.job_id)
    do(claimable(walk.job_id)[0])
    assert 0.1 < asked == again < shown(walk.job_id) < 0.99


def test_a_job_that_succeeded_and_goes_on_starts_at_the_share_of_work_that_is_still_good(house):
    job_id = make_job(house, stop_after="write")
    pipeline.advance(job_id)
    rng = random.Random(0)
    while ready := claimable(job_id):
        held = take_up(ready[0])
        work(held, rng)
        finish(held)
        pipeline.advance(job_id)
    assert shown(job_id) == 1
    with transaction() as session:
        jobs.resume_job(session, house.workspace_id, job_id)
    assert 0 < shown(job_id) < 0.3


def test_phases_that_are_not_planned_yet_are_expected_as_the_pipeline_will_have_them(house):
    job_id = make_job(house, params={"music": {"from": "samples", "id": "ambient-calm"}})
    with transaction() as session:
        job = session.get_one(Job, job_id)
        film = session.get_one(Film, job.film_id)
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session, script, text="x", fmt="plain", scenes=[], author="client", origin="brief"
        )
        write_shots(session, film, version, [{"name": "Shot 1", "scene": 1}])
        (shot,) = film_shots(session, film.id)
        for phase in pipeline.PHASES[JobKind.FILM]:
            plans = [plan for plan, _ in pipeline._rows(phase.shape(session, job))]
            names = {(p.kind if p.kind != "export" else f"export {p.variant}", p.subject_id) for p in plans}
            per_shot, once = progress.EXPECTED[JobKind.FILM][phase.name]
            assert names == {(kind, shot.id) for kind in per_shot} | {(kind, None) for kind in once}


def test_a_longer_shot_weighs_more_and_the_exports_are_told_apart(house):
    walk = Walk(house, 3, gates=())
    walk.troubles = 0
    walk.run()
    with reading() as session:
        lengths = {s.id: s.duration for s in film_shots(session, see_job(walk.job_id).film_id)}
        rows = steps.list_steps(session, walk.job_id)
    takes = [row for row in rows if row.kind == "submit_take"]
    assert len(takes) == SHOTS
    for row in takes:
        assert row.weight / lengths[row.subject_id] == pytest.approx(
            takes[0].weight / lengths[takes[0].subject_id]
        )
    weights = {row.variant: row.weight for row in rows if row.kind == "export"}
    assert weights["poster"] > 3 * weights["srt"]


def test_an_installation_learns_its_own_pace_from_jobs_that_succeed(house):
    def make_film(seconds):
        walk = Walk(house, 5, gates=())
        walk.troubles = 0
        while see_job(walk.job_id).state is not JobState.SUCCEEDED:
            for step_id in claimable(walk.job_id):
                held = take_up(step_id)
                work(held, walk.rng)
                finish(held)
                with transaction() as session:
                    session.execute(update(Step).where(Step.id == step_id).values(seconds=seconds))
            pipeline.advance(walk.job_id)
        return walk.job_id

    def pace(kind, variant=""):
        with reading() as session:
            return session.get_one(Pace, (kind, variant))

    make_film(2.0)
    assert pace("write_script").seconds == pytest.approx(2.0)
    assert pace("export", "srt").seconds == pytest.approx(2.0)
    make_film(4.0)
    assert pace("write_script").seconds == pytest.approx(3.0)
    assert pace("write_script").jobs == 2
    last = make_film(3.0)
    with reading() as session:
        weights = {row.kind: row.weight for row in steps.list_steps(session, last)}
    assert weights["write_script"] == pytest.approx(3.0)


def test_what_was_reused_teaches_nothing(house):
    walk = Walk(house, 6, gates=())
    walk.troubles = 0
    while see_job(walk.job_id).state is not JobState.SUCCEEDED:
        for step_id in claimable(walk.job_id):
            held = take_up(step_id)
            work(held, walk.rng)
            finish(held, reused=True)
        pipeline.advance(walk.job_id)
    with reading() as session:
        assert session.scalars(select(Pace)).all() == []


def test_the_time_left_shrinks_with_the_work_left_and_is_told_only_while_it_runs(house):
    job_id = make_job(house)
    assert eta(job_id) is None
    pipeline.advance(job_id)
    first = eta(job_id)
    held = take_up(claimable(job_id)[0])
    beat(held, 0.9)
    assert 0 < eta(job_id) < first
    change_job(job_id, state=JobState.FAILED, finished_at=see_job(job_id).created_at)
    assert eta(job_id) is None
