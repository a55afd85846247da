"""A schedule on the running stack: two beats, and one that is killed, submit one job per time."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.commands.processes import child_environment, command_lines
from core.settings import ROOT
from db.schedules import RunOutcome, Schedule, ScheduleRun
from db.work import Job

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SCRIPT = "# Up\n\nThe sky is full of stars."


@pytest.fixture
def second_beat(stack, tmp_path):
    environment = child_environment(os.environ | stack.environment)
    command = [*command_lines(environment)["beat"], "-s", str(tmp_path / "second")]
    with (stack.folder / "second-beat.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def make_schedule(studio):
    far = (datetime.now(UTC).month + 5) % 12 + 1
    job = {"kind": "film", "stop_after": "write", "params": {"script": SCRIPT, "sources": ["samples"]}}
    answer = studio.post("/schedules", {"name": "Up", "cron": f"0 0 1 {far} *", "job": job})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


def make_due(studio, schedule_id):
    with studio.rows() as session, session.begin():
        session.execute(update(Schedule).where(Schedule.id == schedule_id).values(next_run_at=func.now()))


def runs(studio, schedule_id, count):
    """The runs, once there are `count`; `jobs` counts what the workspace has."""

    def look():
        with studio.rows() as session:
            found = session.scalars(select(ScheduleRun).where(ScheduleRun.schedule_id == schedule_id)).all()
            jobs = session.scalar(select(func.count()).where(Job.workspace_id == studio.workspace_id))
            assert jobs <= count
            return found if len(found) == count else None

    return studio.until(look, why=f"{count} runs")


def test_two_beats_submit_one_job_for_each_time_and_it_is_done(studio, second_beat):
    schedule_id = make_schedule(studio)
    for count in (1, 2, 3):
        make_due(studio, schedule_id)
        found = runs(studio, schedule_id, count)
    assert second_beat.poll() is None
    assert {run.outcome for run in found} == {RunOutcome.SUBMITTED}
    assert len({run.job_id for run in found}) == 3
    for run in found:
        studio.state_of(run.job_id, "succeeded")
    assert len(runs(studio, schedule_id, 3)) == 3


def test_a_time_that_falls_due_while_beat_is_dead_is_had_once_when_it_is_back(studio):
    schedule_id = make_schedule(studio)
    studio.stack.kill("beat")
    try:
        make_due(studio, schedule_id)
    finally:
        studio.stack.start("beat")
    (run,) = runs(studio, schedule_id, 1)
    assert run.created_at - run.due_at < timedelta(seconds=60)
    studio.stack.kill("beat")
    studio.stack.start("beat")
    studio.stack.wait_ready("beat")
    studio.state_of(run.job_id, "succeeded")
    assert len(runs(studio, schedule_id, 1)) == 1
