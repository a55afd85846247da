"""Real PostgreSQL and Redis for one benchmark, in its folder, and the API processes in front of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from core import embedded
from core.settings import ROOT, Settings, get_settings

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Door:
    """A gunicorn that serves one application of one database."""

    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def servers(folder: Path) -> Iterator[embedded.Urls]:
    """Run both servers, durable as in production, with a migrated database; this process is set to use them.

    No setting of the shell that started the benchmark comes through.
    """
    from app.commands.database import upgrade
    from db.session import reset

    for name in (field.upper() for field in Settings.model_fields):
        os.environ.pop(name, None)
    os.environ["VAR_DIR"] = str(folder)
    get_settings.cache_clear()
    try:
        with embedded.running(get_settings()) as found:
            os.environ.update(embedded.env_for_children(found))
            get_settings.cache_clear()
            reset()
            upgrade()
            reset()
            try:
                yield found
            finally:
                reset()
    finally:
        for name in ("VAR_DIR", "DATABASE_URL", "REDIS_URL", "BROKER_URL"):
            os.environ.pop(name, None)
        get_settings.cache_clear()
        embedded.remove(Settings(var_dir=folder))


def on_database(address: str, name: str) -> str:
    return make_url(address).set(database=name).render_as_string(hide_password=False)


def copy_database(address: str, name: str) -> str:
    """Clone the database of `address`, to which nobody may be connected; returns the clone's address."""
    with connected(on_database(address, "postgres")) as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{make_url(address).database}"')
    return on_database(address, name)


@contextmanager
def connected(address: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor that commits each statement."""
    url = make_url(address)
    connection = psycopg2.connect(
        host=url.host or url.query["host"],
        port=url.port or 5432,
        user=url.username,
        password=url.password,
        dbname=url.database,
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextmanager
def door(folder: Path, application: str, database: str) -> Iterator[Door]:
    """Serve `application` with the gunicorn settings of the Procfile until the block ends."""
    port = _free_port()
    environment = os.environ | {"DATABASE_URL": database, "API_PORT": str(port)}
    with (folder / f"door-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", application],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(process, port)
        yield Door(process, port)
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nobody waits for an answer any more
        process.wait(STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"gunicorn did not come up on port {port}.")
