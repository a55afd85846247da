"""Real brokers for the tests, each a private server that can be stopped, started again and emptied.

RabbitMQ comes from Debian's package `rabbitmq-server`; whoever asks for it without one skips, with the
reason. Its node, ports, cookie, epmd and data are its own, so a service that runs on the machine is not met.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from amqp.exceptions import AMQPError, NotFound
from kombu import Connection

from core.embedded import redis_server

KINDS = ("redis", "rabbitmq")
QUEUES = ("control", "scrape", "submit", "poll", "notify", "media")
SCRIPT = Path(
    "/usr/lib/rabbitmq/bin/rabbitmq-server"
)  # /usr/sbin has a wrapper for the service's own account
ACCOUNT = "rabbitmq"
START_SECONDS = 90.0


class Broker(Protocol):
    """What a test may do to a broker under a running stack."""

    url: str

    def start(self) -> None:
        """Start the server, unless it runs, at the address it had; wait until it answers."""

    def stop(self) -> None:
        """End the server as a power cut would: -9, nothing said."""

    def flush(self) -> None:
        """Lose every message that no worker holds."""

    def remove(self) -> None: ...


class RedisBroker:
    """A redis-server that keeps nothing: stopped, it has lost its messages."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="callsheet-redis-"))
        self._state: dict[str, Any] | None = None
        self.start()
        assert self._state is not None
        self.url = redis_server.url(self._state)

    def start(self) -> None:
        if redis_server.answers(self._state):
            return
        self._state = asdict(redis_server.start(self._folder, self._state, durable=False))

    def stop(self) -> None:
        assert self._state is not None
        os.kill(self._state["pid"], signal.SIGKILL)
        os.waitpid(self._state["pid"], 0)

    def flush(self) -> None:
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            client.flushdb()

    def remove(self) -> None:
        redis_server.stop(self._state)
        shutil.rmtree(self._folder, ignore_errors=True)


class RabbitBroker:
    """A RabbitMQ node of its own; `vhost` gives each user of it a broker that the others do not see."""

    def __init__(self, vhosts: tuple[str, ...]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="callsheet-rabbit-"))
        self._ports = _free_ports(3)
        self._password = secrets.token_urlsafe(18)
        self._account = pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else None
        self._node: subprocess.Popen[bytes] | None = None
        self._write_configuration(vhosts)
        self._epmd = subprocess.Popen(
            ["epmd", "-port", str(self._ports[2]), "-address", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._child(),
        )  # fmt: skip
        self.url = self.vhost(vhosts[0])
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def vhost(self, name: str) -> str:
        return f"amqp://callsheet:{self._password}@127.0.0.1:{self._ports[0]}/{name}"

    def start(self) -> None:
        if self._node is not None and self._node.poll() is None:
            return
        with (self._folder / "server.log").open("ab") as log:
            self._node = subprocess.Popen([str(SCRIPT)], stdout=log, stderr=log, **self._child())
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            said = (self._folder / "server.log").read_text(errors="replace")
            assert self._node.poll() is None, f"RabbitMQ ended:\n{said}"
            assert time.monotonic() < deadline, f"RabbitMQ does not answer:\n{said}"
            time.sleep(0.1)

    def stop(self) -> None:
        assert self._node is not None
        os.killpg(self._node.pid, signal.SIGKILL)  # the script's own child is the server
        self._node.wait(20)

    def flush(self) -> None:
        empty_rabbit(self.url)

    def remove(self) -> None:
        if self._node is not None and self._node.poll() is None:
            self.stop()
        self._epmd.terminate()
        self._epmd.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except (OSError, AMQPError):
            return False
        return True

    def _child(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "cwd": self._folder,
            "env": self._environment(),
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
        }
        if self._account is not None:
            arguments |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return arguments

    def _environment(self) -> dict[str, str]:
        """Nothing of the machine's own installation: neither its cookie nor its epmd nor its files."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._ports[2]),
            "RABBITMQ_NODENAME": "callsheet@localhost",
            "RABBITMQ_DIST_PORT": str(self._ports[1]),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",  # no spinning beside the tests
        }

    def _write_configuration(self, vhosts: tuple[str, ...]) -> None:
        salt = secrets.token_bytes(4)
        digest = hashlib.sha256(salt + self._password.encode()).digest()
        right = {"user": "callsheet", "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "users": [
                {
                    "name": "callsheet",
                    "password_hash": base64.b64encode(salt + digest).decode(),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",
                }
            ],
            "vhosts": [{"name": name} for name in vhosts],
            "permissions": [{"vhost": name, **right} for name in vhosts],
        }
        files = {
            "definitions.json": json.dumps(definitions),
            "plugins": "[].\n",
            "rabbitmq.conf": (
                f"listeners.tcp.default = 127.0.0.1:{self._ports[0]}\n"
                f"load_definitions = {self._folder / 'definitions.json'}\n"
            ),
        }
        for name, text in files.items():
            (self._folder / name).write_text(text)
        if self._account is not None:
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, self._account.pw_uid, self._account.pw_gid)


def start_rabbit(*vhosts: str) -> RabbitBroker:
    """Start RabbitMQ, or skip where it is not installed."""
    if not SCRIPT.exists():
        pytest.skip("RabbitMQ is not installed (Debian: apt install rabbitmq-server)")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError:
            pytest.skip(f"RabbitMQ is installed without its account {ACCOUNT!r}")
    return RabbitBroker(vhosts)


def empty_rabbit(url: str) -> None:
    """Drop what waits in our queues; a queue nobody has declared yet is empty."""
    with Connection(url) as connection:
        for queue in QUEUES:
            with contextlib.suppress(NotFound):
                connection.channel().queue_purge(queue)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]
