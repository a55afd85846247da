"""Wake-ups: published by a thread of their own, many jobs in one message, and lost without harm."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

from core.ids import new_id
from db.work import JobState
from tasks import beat, pipeline
from tasks.app import app
from tests.services.makers import make_job, see_job


def woken(broker):
    return [job for message in broker.messages() if message.task == "wake_jobs" for job in message.args[0]]


def wait_for(met, seconds=60):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_every_job_is_named_once_in_few_messages(broker):
    jobs = [new_id() for _ in range(200)]
    for job_id in jobs:
        pipeline.wake(job_id)
    wait_for(lambda: len(woken(broker)) >= len(jobs))
    assert sorted(woken(broker)) == sorted(str(job_id) for job_id in jobs)
    assert len(broker.messages()) < len(jobs)


def test_a_woken_job_is_moved_on_even_beside_one_that_is_gone(house, broker):
    job_id = make_job(house)
    beat.wake_jobs([str(new_id()), str(job_id)])
    assert see_job(job_id).state is JobState.RUNNING


def test_a_broker_that_is_down_costs_the_message_and_nothing_else(broker, monkeypatch):
    lost, kept = new_id(), new_id()
    failed = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(app, "producer_or_acquire", lambda: refused(failed))
        pipeline.wake(lost)
        assert failed.wait(60)
    pipeline.wake(kept)
    wait_for(lambda: woken(broker) == [str(kept)])


@contextmanager
def refused(failed):
    failed.set()
    raise ConnectionRefusedError("nobody listens")
    yield
