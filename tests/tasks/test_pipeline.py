"""Moving on: shapes become rows, rows become canvases, and `advance` can be called by anybody any time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import redis
from celery.canvas import Signature, _chain, _chord, group
from sqlalchemy import func, select, update

from core.ids import new_id
from core.settings import ROOT
from db.assets import Film, Script
from db.review import Approval
from db.session import reading, transaction
from db.work import Event, Job, JobKind, JobState, Step, StepState, WaitsFor
from services import claims, steps
from services.films import add_script_version, write_shots
from services.steps import StepPlan
from tasks import pipeline
from tasks.pipeline import Chain, Chord, Group
from tests.services.makers import at_once, do, make_job, plan, see_job, see_step, take_up
from tests.tasks.conftest import change_job

A, B = new_id(), new_id()
NARRATE_A, NARRATE_B = StepPlan("narrate", A, label="shot 1"), StepPlan("narrate", B, label="shot 2")
CLEAN, RENDER = StepPlan("clean_take", A), StepPlan("render_segment", A)
BODY = StepPlan("compose")


def needs_of(shape):
    return {plan.key: set(plan.needs) for plan, _ in pipeline._rows(shape)}


def rows_for(*plans):
    return {p.key: Step(id=new_id(), job_id=A, kind=p.kind, label=p.label, variant=p.variant) for p in plans}


def canvas(shape, rows, *unsent):
    return pipeline._canvas(shape, rows, {rows[p.key].id for p in unsent})


def open_steps(job_id):
    with reading() as session:
        return [s for s in steps.list_steps(session, job_id) if s.state is StepState.READY]


def finish_phase(job_id):
    """Do every open step the way workers would, and write the shots where a worker would have."""
    while ready := open_steps(job_id):
        for row in ready:
            if (held := take_up(row.id)) is not None:
                with transaction() as session:
                    assert claims.hold_fence(session, held)
                    claims.finish(session, held, result={}, input_hash=None, reused_from=None, figures={})


def write_two_shots(job_id):
    with transaction() as session:
        film = session.get_one(Film, session.get_one(Job, job_id).film_id)
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session, script, text="x", fmt="plain", scenes=[], author="client", origin="brief"
        )
        write_shots(session, film, version, [{"name": f"Shot {n}", "scene": 1} for n in (1, 2)])


# -- shapes ---------------------------------------------------------------------------------------


def test_a_chain_needs_what_came_before():
    assert needs_of(Chain((CLEAN, RENDER))) == {CLEAN.key: set(), RENDER.key: {CLEAN.key}}


def test_a_group_needs_nothing_of_its_neighbours():
    assert needs_of(Group((NARRATE_A, NARRATE_B))) == {NARRATE_A.key: set(), NARRATE_B.key: set()}


def test_a_chords_body_needs_the_end_of_every_branch():
    shape = Chord((NARRATE_A, Chain((CLEAN, RENDER))), BODY)
    assert needs_of(shape)[BODY.key] == {NARRATE_A.key, RENDER.key}


def test_a_shape_becomes_a_canvas_of_the_same_shape():
    shape = Chord((NARRATE_A, Chain((CLEAN, RENDER))), BODY)
    rows = rows_for(NARRATE_A, CLEAN, RENDER, BODY)
    made = canvas(shape, rows, NARRATE_A, CLEAN, RENDER, BODY)
    assert isinstance(made, _chord)
    assert made.body.task == "compose"
    assert [type(part) for part in made.tasks] == [Signature, _chain]


def test_a_message_carries_ids_only_and_reads_well_in_flower():
    rows = rows_for(NARRATE_A)
    sent = canvas(NARRATE_A, rows, NARRATE_A)
    assert dict(sent.kwargs) == {"step_id": str(rows[NARRATE_A.key].id), "job": str(A)}
    assert sent.immutable
    assert sent.options["argsrepr"] == "shot 1"
    assert sent.options["kwargsrepr"] == f"{{'job': '{A}', 'attempt': 1}}"


def test_a_canvas_leaves_out_what_was_sent_or_has_ended():
    shape = Chord((NARRATE_A, NARRATE_B, Chain((CLEAN, RENDER))), BODY)
    rows = rows_for(NARRATE_A, NARRATE_B, CLEAN, RENDER, BODY)
    part = canvas(shape, rows, NARRATE_B, RENDER, BODY)
    assert [task.task for task in part.tasks] == ["narrate", "render_segment"]
    assert canvas(shape, rows, BODY).task == "compose"
    assert isinstance(canvas(shape, rows, NARRATE_A, NARRATE_B), group)
    assert canvas(shape, rows) is None


@pytest.mark.parametrize("kind", list(JobKind))
def test_every_kind_of_job_has_phases_of_different_names(kind):
    names = [phase.name for phase in pipeline.PHASES[kind]]
    assert names
    assert len(set(names)) == len(names)


# -- moving on ------------------------------------------------------------------------------------


@pytest.mark.both_brokers
def test_the_first_advance_plans_a_phase_and_sends_it(house, broker):
    job_id = make_job(house)
    pipeline.advance(job_id)
    job = see_job(job_id)
    assert (job.state, job.phase) == (JobState.RUNNING, "write")
    first, second = open_steps(job_id)
    assert (first.kind, second.kind, second.needs) == ("write_script", "break_down", [first.id])
    (message,) = broker.messages()  # the second rides in the first's chain
    assert (message.queue, message.task) == ("control", "write_script")
    assert message.kwargs == {"step_id": str(first.id), "job": str(job_id)}
    assert [link["task"] for link in message.embed["chain"]] == ["break_down"]


@pytest.mark.both_brokers
def test_many_callers_at_once_send_everything_once(house, broker):
    job_id = make_job(house)
    assert at_once(8, lambda _: pipeline.advance(job_id)) == [None] * 8
    assert len(broker.messages()) == 1
    with reading() as session:
        types = session.scalars(select(Event.type).where(Event.job_id == job_id)).all()
        assert types.count("phase.started") == 1
        assert session.scalar(select(func.count()).select_from(Step)) == 2


def test_many_callers_at_the_end_of_a_phase_enter_the_next_one_once(house, broker):
    job_id = make_job(house)
    pipeline.advance(job_id)
    finish_phase(job_id)
    write_two_shots(job_id)
    broker.clear()
    assert at_once(8, lambda _: pipeline.advance(job_id)) == [None] * 8
    assert see_job(job_id).phase == "source"
    sent = sorted(m.task for m in broker.messages())
    assert sent == ["find_stock", "find_stock", "narrate", "narrate"]


@pytest.mark.both_brokers
def test_a_film_goes_through_its_phases_by_rows_alone(house, broker):
    """Celery never says that something is done: the messages here are thrown away."""
    job_id = make_job(house, params={"music": {"from": "samples", "id": "ambient-calm"}})
    pipeline.advance(job_id)
    planned = {}
    while see_job(job_id).state is JobState.RUNNING:
        phase = see_job(job_id).phase
        planned[phase] = [row.kind for row in open_steps(job_id)]
        finish_phase(job_id)
        if phase == "write":
            write_two_shots(job_id)
        broker.clear()
        pipeline.advance(job_id)
    assert see_job(job_id).state is JobState.SUCCEEDED
    assert list(planned) == ["write", "source", "shoot", "finish", "deliver"]
    assert sorted(planned["source"]) == ["find_music", *["find_stock"] * 2, *["narrate"] * 2, "rank"]
    assert sorted(planned["shoot"]) == [*["keep_stock"] * 2, *["submit_take"] * 2]
    assert planned["finish"].count("render_segment") == 2
    assert planned["deliver"][-1] == "close"
    assert see_job(job_id).progress == 1.0


def test_a_failed_step_the_job_cannot_do_without_fails_it_once_the_phase_has_ended(house, broker):
    job_id = make_job(house)
    a, b = plan(job_id, NARRATE_A, NARRATE_B, phase="source")
    held = take_up(a)
    with transaction() as session:
        claims.give_back(
            session, held, state=StepState.FAILED, outcome="failed", code="no_voice", message="No voice."
        )
    pipeline.advance(job_id)
    assert see_job(job_id).state is JobState.RUNNING
    do(b)
    pipeline.advance(job_id)
    job = see_job(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "no_voice")
    assert job.error_message == "narrate shot 1: No voice."


def test_a_failed_step_the_job_can_spare_is_a_warning(house, broker):
    job_id = make_job(house, stop_after="shoot")
    (a,) = plan(job_id, StepPlan("keep_stock", A, label="shot 1"), phase="shoot")
    held = take_up(a)
    with transaction() as session:
        claims.give_back(
            session, held, state=StepState.FAILED, outcome="failed", code="gone", message="It is gone."
        )
    pipeline.advance(job_id)
    job = see_job(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.warnings == [{"step": "keep_stock shot 1", "code": "gone", "message": "It is gone."}]


@pytest.mark.both_brokers
def test_a_gate_is_asked_about_once_by_many_callers(house, broker):
    job_id = make_job(house, gates=("script",))
    pipeline.advance(job_id)
    finish_phase(job_id)
    assert at_once(6, lambda _: pipeline.advance(job_id)) == [None] * 6
    job = see_job(job_id)
    assert (job.state, job.waits_for) == (JobState.WAITING, WaitsFor.REVIEWER)
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Approval)) == 1


def test_a_job_stops_after_the_phase_it_was_asked_to(house, broker):
    job_id = make_job(house, stop_after="write")
    pipeline.advance(job_id)
    finish_phase(job_id)
    pipeline.advance(job_id)
    job = see_job(job_id)
    assert (job.state, job.phase) == (JobState.SUCCEEDED, "write")


@pytest.mark.both_brokers
def test_a_cancelled_job_ends_when_its_last_running_step_has(house, broker):
    from services import jobs

    job_id = make_job(house)
    pipeline.advance(job_id)
    first, second = open_steps(job_id)
    held = take_up(first.id)
    with transaction() as session:
        jobs.cancel_job(session, house.workspace_id, job_id)
    pipeline.advance(job_id)
    assert see_job(job_id).state is JobState.CANCELLING
    with transaction() as session:
        claims.give_back(
            session, held, state=StepState.CANCELLED, outcome="cancelled", code="stopped", message="Stopped."
        )
    pipeline.advance(job_id)
    assert see_job(job_id).state is JobState.CANCELLED
    assert see_step(second.id).state is StepState.CANCELLED


def test_an_ended_job_is_left_alone(house, broker):
    job_id = make_job(house)
    change_job(job_id, state=JobState.FAILED, finished_at=func.now())
    pipeline.advance(job_id)
    assert see_job(job_id).phase is None
    assert broker.messages() == []


def test_a_job_that_went_back_a_phase_leaves_the_later_steps_for_later(house, broker):
    job_id = make_job(house)
    (shoot,) = plan(job_id, StepPlan("submit_take", A), phase="shoot")
    (later,) = plan(job_id, StepPlan("compose"), phase="finish")
    change_job(job_id, phase="shoot")
    with transaction() as session:
        session.execute(update(Step).values(not_before=func.now() - timedelta(minutes=5)))
    assert take_up(later) is None
    with transaction() as session:
        assert [s.id for s in steps.lost_messages(session, quiet_seconds=1)] == [shoot]
    pipeline.advance(job_id)
    with reading() as session:
        assert session.get_one(Step, later).sent_at is None


# -- a broker that is away --------------------------------------------------------------------------


@pytest.fixture
def deaf():
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@pytest.fixture
def closed():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


ADVANCE = """
import sys, time, uuid
from tasks import pipeline
from tasks.app import app
app.conf.task_default_queue  # what a server process has loaded long before
began = time.monotonic()
pipeline.advance(uuid.UUID(sys.argv[1]))
print(time.monotonic() - began, flush=True)
"""


@pytest.mark.parametrize("how", ["redis closed", "redis deaf", "amqp closed", "amqp deaf"])
def test_a_broker_that_is_away_costs_a_caller_two_seconds_at_most(house, broker, how, closed, deaf):
    kind, state = how.split()
    job_id = make_job(house)
    environment = os.environ | {"BROKER_URL": f"{kind}://127.0.0.1:{deaf if state == 'deaf' else closed}//"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ADVANCE, str(job_id)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 2.0
    assert time.monotonic() - began < 20
    assert see_job(job_id).phase == "write"
    assert len(open_steps(job_id)) == 2  # the rows are the outbox: the sweeper will send them
    assert broker.messages() == []


def test_a_phase_of_two_hundred_shots_reaches_the_broker_in_one_round_trip(house, broker, monkeypatch):
    sent = []
    send = redis.connection.Connection.send_packed_command

    def watch(self, command, check_health=True):
        parts = command if isinstance(command, list) else [command]
        sent.append(b"".join(parts).count(b"LPUSH"))
        return send(self, command, check_health=check_health)

    monkeypatch.setattr(redis.connection.Connection, "send_packed_command", watch)
    plans = [StepPlan("keep_stock", new_id(), label=f"shot {number}") for number in range(200)]
    rows = rows_for(*plans)
    pipeline._publish(pipeline._canvas(Group(tuple(plans)), rows, {row.id for row in rows.values()}))

    assert [count for count in sent if count] == [200]
    assert len(broker.messages()) == 200
