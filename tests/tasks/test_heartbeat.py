"""One thread for all of a process's leases."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core.ids import new_id
from core.settings import get_settings
from db.session import reading, transaction
from db.work import Step
from services import jobs
from services.steps import StepPlan
from tasks import heartbeat
from tasks.heartbeat import Pulse, beating
from tests.services.makers import make_house, make_job, plan, see_step, take_up


@pytest.fixture
def house(settings, monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS", 0.1)
    return make_house()


@pytest.fixture
def held(house):
    job_id = make_job(house)
    ids = plan(job_id, *(StepPlan("narrate", new_id()) for _ in range(3)))
    return [take_up(step_id, lease=timedelta(seconds=3)) for step_id in ids]


def pulse(claim, seconds=60.0):
    return Pulse(claim, deadline=time.monotonic() + seconds)


def lease_left(step_id):
    with reading() as session:
        return session.scalar(
            select(func.extract("epoch", Step.lease_until - func.now())).where(Step.id == step_id)
        )


def wait_for(what):
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_steps_at_work_are_kept_by_one_thread(held):
    first, second, third = (pulse(claim) for claim in held)
    with beating(first), beating(second):
        second.share = 0.5
        wait_for(lambda: all(lease_left(claim.step_id) > 10 for claim in held[:2]))
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("heartbeat") == 1
    assert see_step(held[1].step_id).progress == 0.5
    assert lease_left(third.held.step_id) < 4
    assert not any(p.stop.is_set() for p in (first, second, third))


def test_a_step_learns_that_its_job_is_being_cancelled_and_its_neighbour_goes_on(house, held):
    other = take_up(plan(make_job(house), StepPlan("write_script"))[0])
    mine, neighbour = pulse(held[0]), pulse(other)
    with beating(mine), beating(neighbour):
        with transaction() as session:
            jobs.cancel_job(session, house.workspace_id, held[0].job_id)
        wait_for(mine.stop.is_set)
        assert not neighbour.stop.is_set()


def test_a_step_out_of_time_is_told_to_stop_and_keeps_only_the_lease_it_has(held):
    late = pulse(held[0], seconds=0.0)
    with beating(late):
        wait_for(late.stop.is_set)
        before = see_step(held[0].step_id).lease_until
        time.sleep(0.5)
        assert see_step(held[0].step_id).lease_until == before


def test_with_nothing_at_work_the_thread_reads_nothing(held):
    """What it read then would be of an installation that is gone, and the next one's to trip over."""
    with beating(pulse(held[0])):
        wait_for(lambda: lease_left(held[0].step_id) > 10)
    with heartbeat.at_rest():
        get_settings.cache_clear()
    time.sleep(5 * heartbeat.SECONDS)
    assert get_settings.cache_info().currsize == 0
