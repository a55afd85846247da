"""The engine without workers: rows in a database of the test's own, messages left lying in the broker."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import kombu.pools
import pytest
import redis

from core.settings import Settings
from db.session import transaction
from services import steps
from tests.services.makers import House, make_house, see_step

QUEUES = ("control", "scrape", "submit", "poll", "notify", "media")


class Broker:
    """What lies in the queues; nobody takes it."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)

    def messages(self) -> list[SimpleNamespace]:
        found = []
        for queue in QUEUES:
            for raw in self.client.lrange(f"callsheet:{queue}", 0, -1):
                envelope = json.loads(raw)
                args, kwargs, embed = json.loads(base64.b64decode(envelope["body"]))
                found.append(
                    SimpleNamespace(
                        queue=queue, task=envelope["headers"]["task"], args=args, kwargs=kwargs,
                        eta=envelope["headers"]["eta"], shadow=envelope["headers"]["shadow"], embed=embed,
                    )
                )  # fmt: skip
        return found

    def clear(self) -> None:
        self.client.flushdb()


def point_at(settings: Settings) -> None:
    """Have this process publish to the test's broker, whichever test loaded Celery's settings first."""
    from tasks.app import app

    if (app.conf.broker_url, app.conf.result_backend) == (settings.broker_url, settings.redis_url):
        return
    app.conf.broker_url = settings.broker_url
    app.conf.result_backend = settings.redis_url
    kombu.pools.reset()
    app._after_fork()  # forgets connections and producers
    app._backend_cache = None


@pytest.fixture
def broker(settings) -> Broker:
    point_at(settings)
    return Broker(settings.broker_url)


@pytest.fixture
def house(broker) -> House:
    return make_house()


def perform(work: Any, step_id: UUID, *, version: int = 1, limit: float = 60, solo: bool = True) -> None:
    """Do a step as a worker does, in this process."""
    from tasks.step import _perform

    _perform(
        work,
        step_id,
        SimpleNamespace(hostname="test@here", id="task-1"),
        version=version,
        limit=limit,
        solo=solo,
    )


def work_on(step_id: UUID) -> None:
    """Do a step with its own task.

    The task is looked up late: a task object that pytest finds in a test module is bound before there are
    settings.
    """
    from tasks.app import app

    app.loader.import_default_modules()
    app.tasks[see_step(step_id).kind](str(step_id))


def change_job(job_id: UUID, **values: Any) -> None:
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        for name, value in values.items():
            setattr(job, name, value)
