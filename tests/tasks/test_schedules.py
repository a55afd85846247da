"""A time that falls due becomes one job: whoever looks at once, dies in between, or looks too late."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from core import failpoints
from core.briefs import load_params
from core.cron import next_time
from core.ids import new_id
from core.settings import get_settings
from db.assets import Film, Project
from db.review import Activity
from db.schedules import CatchUp, RunOutcome, Schedule, ScheduleRun
from db.session import reading, transaction
from db.work import Job
from services import schedules
from tasks import beat, pipeline
from tasks import schedules as duties
from tests.services.makers import SCRIPT, at_once, see_job

FAR = f"0 0 1 {(datetime.now(UTC).month + 5) % 12 + 1} *"
"""Months away: no test may meet its time by chance."""


def make_schedule(house, *, cron=FAR, zone="UTC", catch_up="skip", paused=False, **job):
    template = {"kind": "film", "params": load_params("film", {"script": SCRIPT, "sources": ["samples"]})}
    template |= {"project_id": None, "budget": None, "priority": 0}
    data = {"name": "Daily", "cron": cron, "time_zone": zone, "catch_up": CatchUp(catch_up), "paused": paused}
    with transaction() as session:
        row = schedules.create_schedule(
            session, house.workspace_id, house.user_id, data | {"job": template | job}, pipeline.check
        )
    return row.id


def make_due(schedule_id, ago=1):
    """Let it have fallen due `ago` seconds before the database's now; returns that time."""
    with transaction() as session:
        return session.scalar(
            update(Schedule)
            .where(Schedule.id == schedule_id)
            .values(next_run_at=func.now() - timedelta(seconds=ago))
            .returning(Schedule.next_run_at)
        )


def see(schedule_id):
    with reading() as session:
        runs = session.scalars(select(ScheduleRun).where(ScheduleRun.schedule_id == schedule_id)).all()
        return SimpleNamespace(
            row=session.get_one(Schedule, schedule_id),
            runs=list(runs),
            jobs=list(session.scalars(select(Job.id))),
            now=session.scalar(select(func.now())),
            actions=list(session.scalars(select(Activity.action).where(Activity.subject_id == schedule_id))),
        )


def test_what_is_due_becomes_a_job_that_moves_and_the_next_time_is_planned(house, broker):
    schedule_id = make_schedule(house, gates=["script"], priority=3)
    due = make_due(schedule_id)
    duties.run_due_schedules()
    seen = see(schedule_id)
    (job_id,) = seen.jobs
    (run,) = seen.runs
    assert (run.due_at, run.outcome, run.job_id) == (due, RunOutcome.SUBMITTED, job_id)
    assert (seen.row.last_job_id, seen.row.last_outcome) == (job_id, RunOutcome.SUBMITTED)
    assert seen.row.next_run_at == next_time(FAR, "UTC", seen.now)
    job = see_job(job_id)
    assert (job.gates, job.priority, job.phase, job.requested_by) == (["script"], 3, "write", house.user_id)
    assert [message.task for message in broker.messages()] == ["write_script"]


def test_what_is_not_due_or_paused_stays(house):
    later, paused = make_schedule(house), make_schedule(house, paused=True)
    duties.run_due_schedules()
    assert see(later).jobs == []
    assert see(paused).row.next_run_at is None


def test_many_duties_at_once_submit_each_due_job_once(house, broker):
    ids = [make_schedule(house) for _ in range(4)]
    for schedule_id in ids:
        make_due(schedule_id)
    assert at_once(8, lambda _: duties.run_due_schedules()) == [None] * 8
    duties.run_due_schedules()
    assert len(see(ids[0]).jobs) == 4
    assert [len(see(schedule_id).runs) for schedule_id in ids] == [1] * 4


def test_a_time_that_was_had_is_not_had_again_even_when_the_row_says_so(house, broker):
    schedule_id = make_schedule(house)
    due = make_due(schedule_id)
    duties.run_due_schedules()
    with transaction() as session:
        session.execute(update(Schedule).values(next_run_at=due))
    duties.run_due_schedules()
    seen = see(schedule_id)
    assert (len(seen.jobs), len(seen.runs)) == (1, 1)
    assert seen.row.next_run_at > due


def test_the_database_itself_refuses_a_second_run_of_the_same_time(house):
    schedule_id = make_schedule(house)
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    def write(_):
        with transaction() as session:
            values = {"id": new_id(), "workspace_id": house.workspace_id, "schedule_id": schedule_id}
            session.add(ScheduleRun(**values, due_at=moment, outcome=RunOutcome.SUBMITTED))

    answers = at_once(2, write)
    assert sorted(type(answer) for answer in answers if answer is not None) == [IntegrityError]


@pytest.mark.parametrize(
    ("point", "committed"),
    [("schedule.claimed", 0), ("schedule.before_commit", 0), ("schedule.committed", 1)],
)
def test_a_duty_that_dies_anywhere_leaves_one_job_in_the_end(
    house, broker, settings, monkeypatch, point, committed
):
    monkeypatch.setenv("FAILPOINTS", "true")
    get_settings.cache_clear()
    schedule_id = make_schedule(house)
    make_due(schedule_id)
    failpoints.arm(get_settings(), point, "kill")
    code = "from tasks.schedules import run_due_schedules; run_due_schedules()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert len(see(schedule_id).jobs) == committed
    duties.run_due_schedules()
    duties.run_due_schedules()
    seen = see(schedule_id)
    assert (len(seen.jobs), len(seen.runs)) == (1, 1)


def test_a_job_that_was_committed_and_not_moved_is_moved_by_the_sweeper(house, broker):
    schedule_id = make_schedule(house)
    make_due(schedule_id)
    with transaction() as session:
        row = schedules.claim_due(session)
        job_id = schedules.submit_run(session, row, schedules.open_run(session, row), pipeline.check).id
    with transaction() as session:
        session.execute(update(Job).values(advanced_at=func.now() - timedelta(seconds=30)))
    assert see_job(job_id).phase is None
    beat.advance_idle_jobs()
    assert see_job(job_id).phase == "write"


@pytest.mark.parametrize(("catch_up", "jobs", "outcome"), [("skip", 0, "missed"), ("once", 1, "submitted")])
def test_after_an_outage_missed_times_are_skipped_or_made_up_for_once(house, broker, catch_up, jobs, outcome):
    schedule_id = make_schedule(house, catch_up=catch_up)
    due = make_due(schedule_id, ago=3 * 3600)
    duties.run_due_schedules()
    duties.run_due_schedules()
    seen = see(schedule_id)
    assert len(seen.jobs) == jobs
    assert [(run.due_at, run.outcome.value) for run in seen.runs] == [(due, outcome)]
    assert seen.row.next_run_at > seen.runs[0].created_at
    assert ("schedule.missed" in seen.actions) is (catch_up == "skip")


def test_a_minute_of_delay_is_not_an_outage(house, broker):
    schedule_id = make_schedule(house)
    make_due(schedule_id, ago=50)
    duties.run_due_schedules()
    assert [run.outcome for run in see(schedule_id).runs] == [RunOutcome.SUBMITTED]


def test_the_night_the_clock_goes_back_falls_due_once(house, broker):
    """The first 02:30 is had; an hour later, at the second, the schedule waits for tomorrow."""
    schedule_id = make_schedule(house, cron="30 2 * * *", zone="Europe/Berlin", catch_up="once")
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, and again an hour later
    with transaction() as session:
        row = session.get_one(Schedule, schedule_id)
        row.next_run_at = first
        session.flush()
        run = schedules.open_run(session, row)
        assert run.due_at == first
        assert next_time(row.cron, row.time_zone, first) == datetime(2025, 10, 27, 1, 30, tzinfo=UTC)
    duties.run_due_schedules()
    assert [run.due_at for run in see(schedule_id).runs] == [first]


def test_a_template_that_became_invalid_is_told_and_holds_up_nobody(house, broker):
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="Moon")
        session.add(project)
    bad = make_schedule(house, project_id=project.id)
    with transaction() as session:
        session.get_one(Project, project.id).deleted_at = func.now()
    good = make_schedule(house)
    make_due(bad, ago=9)
    make_due(good)
    duties.run_due_schedules()
    seen = see(bad)
    assert [(run.outcome, run.job_id) for run in seen.runs] == [(RunOutcome.REFUSED, None)]
    assert seen.row.last_error == seen.runs[0].error == "project_id: There is no such project."
    assert seen.row.next_run_at > seen.now
    assert "schedule.refused" in seen.actions
    assert len(seen.jobs) == 1
    assert see(good).row.last_outcome is RunOutcome.SUBMITTED


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"narrator": "retired"}, "retired"),
        ({"colour": "red"}, "colour"),
        ({"script": "[duration: x]"}, "duration"),
    ],
)
def test_a_brief_that_no_longer_fits_leaves_no_film_behind(house, broker, change, word):
    schedule_id = make_schedule(house)
    with transaction() as session:
        row = session.get_one(Schedule, schedule_id)
        row.params = row.params | change
    make_due(schedule_id)
    duties.run_due_schedules()
    seen = see(schedule_id)
    assert word in seen.row.last_error
    assert seen.row.last_outcome is RunOutcome.REFUSED
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Film)) == 0


def test_a_zone_that_left_the_machine_stops_the_schedule_with_a_reason(house, broker):
    schedule_id = make_schedule(house)
    with transaction() as session:
        session.get_one(Schedule, schedule_id).time_zone = "Mars/Olympus"
    make_due(schedule_id)
    duties.run_due_schedules()
    seen = see(schedule_id)
    assert seen.row.next_run_at is None
    assert "no next time" in seen.row.last_error
    assert len(seen.jobs) == 1


def test_the_duty_is_in_beats_list(broker):
    from tasks.app import app

    app.loader.import_default_modules()
    duty = app.conf.beat_schedule["run-due-schedules"]
    assert duty["task"] in app.tasks
    assert duty["schedule"] < schedules.LATE_AFTER.total_seconds() / 4
