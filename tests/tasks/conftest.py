"""The engine without workers: rows in a database of the test's own, messages left lying in the broker."""

from __future__ import annotations

import base64
import json
import runpy
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import amqp
import kombu.pools
import pytest
import redis
from amqp.exceptions import NotFound
from kombu import Connection

from core.settings import ROOT, Settings, get_settings
from db.session import transaction
from services import steps
from tasks import wiring
from tests.brokers import QUEUES, empty_rabbit
from tests.services.buying import REQUEST, ago, make_submission, see
from tests.services.makers import House, make_house, see_step
from tests.simulated import VendorHere


class Broker:
    """What lies in the queues; nobody takes it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def messages(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                queue=queue, task=headers["task"], args=body[0], kwargs=body[1], embed=body[2],
                eta=headers["eta"], shown=(headers["argsrepr"], headers["kwargsrepr"]),
            )
            for queue, headers, body in (self._peek() if self.url.startswith("amqp") else self._list())
        ]  # fmt: skip

    def clear(self) -> None:
        if self.url.startswith("amqp"):
            empty_rabbit(self.url)
            return
        with closing(redis.Redis.from_url(self.url)) as client:
            client.flushdb()

    def deliver_twice(self) -> None:
        """Put a copy of every message beside it."""
        if self.url.startswith("amqp"):
            with Connection(self.url) as connection:
                for message in list(self._taken(connection)):
                    route = message.delivery_info
                    message.channel.basic_publish(
                        amqp.Message(message.body, **message.properties, application_headers=message.headers),
                        exchange=route["exchange"], routing_key=route["routing_key"],
                    )  # fmt: skip
            return
        with closing(redis.Redis.from_url(self.url)) as client:
            for queue in QUEUES:
                if waiting := client.lrange(f"callsheet:{queue}", 0, -1):
                    client.lpush(f"callsheet:{queue}", *waiting)

    def _list(self) -> Iterator[tuple[str, dict[str, Any], Any]]:
        with closing(redis.Redis.from_url(self.url)) as client:
            for queue in QUEUES:
                for raw in client.lrange(f"callsheet:{queue}", 0, -1):
                    envelope = json.loads(raw)
                    yield queue, envelope["headers"], json.loads(base64.b64decode(envelope["body"]))

    def _peek(self) -> Iterator[tuple[str, dict[str, Any], Any]]:
        """Read without acknowledging: the messages are back once the connection is closed."""
        with Connection(self.url) as connection:
            for message in self._taken(connection):
                queue = message.delivery_info["routing_key"].rpartition(".")[2]
                yield queue, message.headers, json.loads(message.body)

    def _taken(self, connection: Connection) -> Iterator[Any]:
        for queue in QUEUES:
            channel = connection.channel()
            try:
                while (message := channel.basic_get(queue)) is not None:
                    yield channel.message_to_python(message)
            except NotFound:
                continue


def point_at(settings: Settings) -> None:
    """Have this process publish to the test's broker, whichever test loaded Celery's settings first."""
    from tasks.app import app

    wanted = (settings.broker_url, settings.redis_url)
    if (app.conf.broker_url, app.conf.result_backend) == wanted:
        return
    # What celeryconfig.py says depends on the broker: read it anew, and forget what was said before.
    said = runpy.run_path(str(ROOT / "celeryconfig.py"))
    modules = app.conf.include
    app.conf.clear()
    app.conf.update({name: value for name, value in said.items() if name in app.conf}, include=modules)
    assert (app.conf.broker_url, app.conf.result_backend) == wanted
    app.__dict__.pop("amqp", None)
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
        SimpleNamespace(hostname="test@here", id="task-1", task="test"),
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


# -- vendors ---------------------------------------------------------------------------------------


@pytest.fixture
def simulated(house, monkeypatch, tmp_path):
    """Simulated vendors in this process's settings; the adapters' HTTP client is made anew for them."""

    @contextmanager
    def at(settings, **temper):
        with VendorHere(tmp_path / "vendor", **temper) as here:
            for name, value in settings.items():
                monkeypatch.setenv(name, value.format(here=here.url))
            get_settings.cache_clear()
            wiring.http_client.cache_clear()
            yield here
            wiring.http_client.cache_clear()

    return at


@pytest.fixture
def kling(simulated):
    with simulated({"KLING_API_KEY": "sk-simulated", "KLING_URL": "{here}/kling"}) as here:
        yield here


@pytest.fixture
def vendor(kling, monkeypatch):
    """Kling, that is asked at once what became of a request whose answer was lost."""
    monkeypatch.setenv("POLL_SECONDS", "5")
    monkeypatch.setenv("LOOKUP_GRACE_SECONDS", "0")
    get_settings.cache_clear()
    return kling


@pytest.fixture
def buy(house, vendor):
    """Make a submission to the vendor whose prompt says these words."""

    def make(words="A fox", **more):
        return make_submission(
            house, endpoint=f"{vendor.url}/kling", request=REQUEST | {"prompt": words}, **more
        )

    return make


def call(name, *arguments):
    """Do a task in this process; it is looked up late, because pytest would bind one it finds here too soon."""
    from tasks.app import app

    app.loader.import_default_modules()
    app.tasks[name](*arguments)


def now(*bought):
    for one in bought:
        ago(one, next_poll_at=0)


def send(bought):
    call("send_submission", str(bought.id))
    return see(bought.id)
