"""The embedded servers, started for real: twice, at once, after a crash, with spaces, as an ordinary user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url

from core import embedded
from core.embedded import account, redis_server
from core.errors import Misconfigured
from core.settings import ROOT, Settings

STANDARD_PORTS = (5432, 6379)


@pytest.fixture
def settings():
    """A VAR_DIR with a space in it, which the unprivileged account can come through."""
    root = Path(tempfile.mkdtemp(prefix="callsheet embedded "))
    root.chmod(0o755)
    found = Settings(var_dir=root / "its var")
    yield found
    embedded.remove(found)
    shutil.rmtree(root, ignore_errors=True)


def _query(url: str, statement: str):
    address = make_url(url)
    host = address.host or address.query["host"]
    connection = psycopg2.connect(
        host=host, user=address.username, password=address.password, dbname=address.database
    )
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def _state(settings: Settings) -> dict:
    return json.loads((settings.var_dir / "embedded.json").read_text())


def test_servers_start_keep_data_over_a_stop_and_are_found_by_a_second_start(settings):
    first = embedded.start(settings)
    _query(first.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    redis.Redis.from_url(first.redis_url).set("kept", "yes")
    again = embedded.start(settings)
    embedded.stop(settings)
    stopped = embedded.is_running(settings)
    later = embedded.start(settings)

    assert first.started == ("postgres", "redis")
    assert again.started == ()
    assert again.database_url == first.database_url
    assert not stopped
    assert _query(later.database_url, "SELECT answer FROM kept") == [(42,)]
    assert redis.Redis.from_url(later.redis_url).get("kept") == b"yes"
    assert later.broker_url == first.broker_url


def test_servers_killed_with_signal_nine_come_back_with_every_commit(settings):
    before = embedded.start(settings)
    _query(before.database_url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    for name in ("postgres", "redis"):
        os.kill(_state(settings)[name]["pid"], signal.SIGKILL)
    gone = not embedded.is_running(settings)

    after = embedded.start(settings)

    assert gone
    assert after.started == ("postgres", "redis")
    assert _query(after.database_url, "SELECT count(*) FROM kept") == [(1000,)]


def test_a_pid_file_whose_number_now_belongs_to_a_stranger_does_not_stop_the_start(settings):
    embedded.start(settings)
    state = _state(settings)
    embedded.stop(settings)
    pid_file = Path(state["postgres"]["data"]) / "main" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n0\n5432\n\n\n0 0\nready\n")

    found = embedded.start(settings)

    assert _query(found.database_url, "SELECT 1") == [(1,)]
    assert psutil.pid_exists(os.getpid())


def test_two_starters_at_once_make_one_pair_of_servers(settings):
    program = (
        "import sys, pathlib; from core import embedded; from core.settings import Settings;"
        "print(embedded.start(Settings(var_dir=pathlib.Path(sys.argv[1]))).redis_url)"
    )

    def start(_: int) -> str:
        command = [sys.executable, "-c", program, str(settings.var_dir)]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    with ThreadPoolExecutor(3) as pool:
        answers = set(pool.map(start, range(3)))
    data = _state(settings)["postgres"]["data"]
    servers = [p for p in psutil.process_iter(["cmdline"]) if f"{data}/main" in (p.info["cmdline"] or [])]

    assert len(answers) == 1
    assert len(servers) == 1


def test_servers_start_beside_others_on_the_standard_ports(settings):
    listeners = []
    for port in STANDARD_PORTS:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            pass  # a real server has it, which serves as well
        listeners.append(listener)
    try:
        found = embedded.start(settings)
        assert _query(found.database_url, "SELECT 1") == [(1,)]
        assert urlsplit(found.redis_url).port not in STANDARD_PORTS
    finally:
        for listener in listeners:
            listener.close()


def test_nothing_lets_a_stranger_in(settings):
    found = embedded.start(settings)
    state = _state(settings)
    address = urlsplit(found.redis_url)
    pid = state["postgres"]["pid"]

    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host="127.0.0.1", port=address.port).ping()
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host=state["postgres"]["socket"], user="postgres", dbname="postgres", password="x")
    assert psutil.Process(pid).net_connections("tcp") == []
    assert Path(state["postgres"]["socket"]).stat().st_mode & 0o077 == 0
    assert (settings.var_dir / "embedded.json").stat().st_mode & 0o077 == 0
    assert (settings.var_dir / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
    assert address.password not in " ".join(psutil.Process(state["redis"]["pid"]).cmdline())
    assert _query(found.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [
        (False,)
    ]


def test_servers_keep_what_they_are_given_safe(settings):
    found = embedded.start(settings)
    cache = redis.Redis.from_url(found.redis_url)

    assert _query(found.database_url, "SHOW fsync") == [("on",)]
    assert _query(found.database_url, "SHOW data_checksums") == [("on",)]
    assert _query(found.database_url, "SHOW max_connections") == [("100",)]
    assert cache.config_get("appendonly") == {"appendonly": "yes"}
    assert cache.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert _query(found.database_url, "SELECT '[1,2]'::vector <-> '[1,4]'::vector") == [(2.0,)]


def test_configured_addresses_are_used_and_nothing_is_started(tmp_path):
    configured = Settings(
        var_dir=tmp_path / "var",
        database_url="postgresql+psycopg2://u:p@db/x",
        redis_url="redis://cache:6379/0",
    )

    found = embedded.start(configured)

    assert found.started == ()
    assert found.database_url == "postgresql+psycopg2://u:p@db/x"
    assert found.broker_url == "redis://cache:6379/1"
    assert not (tmp_path / "var").exists()


def test_asking_for_addresses_before_anything_ran_says_what_to_do(tmp_path):
    with pytest.raises(Misconfigured, match="make up"):
        embedded.urls(Settings(var_dir=tmp_path))


def test_a_lost_state_file_is_one_clear_sentence_and_the_data_stays(settings):
    embedded.start(settings)
    embedded.stop(settings)
    (settings.var_dir / "embedded.json").unlink()

    with pytest.raises(Misconfigured, match="password"):
        embedded.start(settings)
    assert (settings.var_dir / "postgres" / "main" / "PG_VERSION").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_servers_run_for_an_ordinary_user():
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="callsheet user "))
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    # The interpreter itself may lie below a closed /root: import first, then give up being root.
    program = (
        "import os, sys, pathlib, idna, encodings.idna, email.parser, importlib.metadata;"
        "importlib.metadata.metadata('redis'); from core import embedded;"
        "from core.settings import Settings;"
        "os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]));"
        "settings = Settings(var_dir=pathlib.Path(sys.argv[1]));"
        "print(embedded.start(settings).started); embedded.stop(settings);"
        "print(embedded.start(settings).started); embedded.remove(settings)"
    )
    command = [sys.executable, "-B", "-c", program, str(home / "var"), str(nobody.pw_uid), str(nobody.pw_gid)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["('postgres', 'redis')"] * 2
    finally:
        shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root does the database need another account")
def test_below_a_closed_folder_the_data_moves_and_no_permission_is_widened(monkeypatch):
    closed = Path(tempfile.mkdtemp(prefix="callsheet-closed-"))  # 0700, as /root is
    service = Path(tempfile.mkdtemp(prefix="callsheet-service-"))
    service.chmod(0o755)
    monkeypatch.setattr(account, "SERVICE_ROOT", service)
    settings = Settings(var_dir=closed / "var")
    try:
        found = embedded.start(settings)
        assert _query(found.database_url, "SELECT 1") == [(1,)]
        assert closed.stat().st_mode & 0o777 == 0o700
        assert (closed / "var" / "postgres").resolve().is_relative_to(service)
    finally:
        embedded.remove(settings)
        shutil.rmtree(closed)
        shutil.rmtree(service)


def test_a_start_is_quick(settings):
    embedded.start(settings)
    embedded.stop(settings)
    began = time.monotonic()

    embedded.start(settings)

    # Not a benchmark: a start that hangs on retries takes many seconds, a sound one well under one.
    assert time.monotonic() - began < 8


def test_a_redis_whose_program_lies_below_a_space_is_recognised_and_stopped(settings, monkeypatch, tmp_path):
    program = tmp_path / "new comer" / "redis-server"
    program.parent.mkdir()
    program.symlink_to(redis_server.program())
    monkeypatch.setattr(redis_server, "program", lambda: program)

    embedded.start(settings)
    pid = _state(settings)["redis"]["pid"]
    assert psutil.pid_exists(pid)
    embedded.stop(settings)

    assert not psutil.pid_exists(pid)
