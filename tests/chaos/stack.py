"""The installation under fire: servers, processes and disks of its own, each of which can be hurt and mended."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
import redis
import requests
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.commands.processes import child_environment, command_lines
from core import failpoints
from core.embedded import postgres, redis_server
from core.settings import ROOT, Settings, get_settings
from media.ffmpeg import run as ffmpeg
from tests.simulated import Vendors
from tests.stack import READY, READY_SECONDS, STOP_SECONDS

LEASE_SECONDS = 4
SWEEP_SECONDS = 1
STORE_MEGABYTES = 768
SCRATCH_MEGABYTES = 192
PROCESSES = ("api", "beat", "worker-io", "worker-media")


class Ground:
    """Everything that one run may break. `mend` makes it whole again, whatever is down."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="callsheet-chaos-"))
        folder.chmod(0o755)  # as root, PostgreSQL's account must come through; what lies inside is closed
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._marks: dict[Path, int] = {}
        self.store = folder / "store"
        self.scratch = folder / "scratch"
        self.disks: list[Path] = []
        self.vendor = Vendors(folder / "vendor", task_seconds=0.7, hang_seconds=4.0)
        self._postgres: dict[str, Any] | None = None
        self._redis: dict[str, Any] | None = None

    # -- coming and going -------------------------------------------------------------------------

    def open(self) -> None:
        self._mount(self.store, STORE_MEGABYTES)
        self._mount(self.scratch, SCRATCH_MEGABYTES)
        self.vendor.start()
        self.start_postgres()
        self.start_redis()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        cache = redis_server.url(self._redis)
        self.environment.update(
            {
                "DATABASE_URL": postgres.url(self._postgres),
                "REDIS_URL": cache,
                "BROKER_URL": urlunsplit(urlsplit(cache)._replace(path="/1")),
                "VAR_DIR": str(self.folder),
                "SECRET_KEY": secrets.token_urlsafe(32),
                "STEP_LEASE_SECONDS": str(LEASE_SECONDS),
                "SWEEP_SECONDS": str(SWEEP_SECONDS),
                "MEDIA_SLOTS": "2",
                "IO_THREADS": "4",
                "OFFLINE": "true",
                "FAILPOINTS": "true",
                "API_PORT": str(port),
                "POLL_SECONDS": "0.5",
                "LOOKUP_GRACE_SECONDS": "3",
                **self.vendor.environment,
            }
        )
        self._migrate()
        self.engine = self._engine()
        self.start_all()
        self.wait_ready()

    def close(self) -> None:
        self.stop()
        self.vendor.stop()
        if hasattr(self, "engine"):
            self.engine.dispose()
        redis_server.stop(self._redis)
        postgres.stop(self._postgres)
        for disk in self.disks:
            subprocess.run(["umount", "-l", str(disk)], timeout=20, check=False, capture_output=True)
        if self._postgres is not None:
            shutil.rmtree(self._postgres["data"], ignore_errors=True)
            shutil.rmtree(self._postgres["socket"], ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.environment['API_PORT']}/api/v1"

    def bill(self) -> list[dict[str, Any]]:
        """What the simulated vendors accepted and charged; GhostCut knows our token by the file's name."""
        tasks: list[dict[str, Any]] = self.vendor.bill()["tasks"]
        for task in tasks:
            if task["vendor"] == "ghostcut":
                task["external_id"] = Path(task["prompt"]).stem
        return tasks

    def clip(self) -> Path:
        """A clip of half a second, to have text removed from."""
        path = self.folder / "clip.mp4"
        if not path.exists():
            picture = ["-f", "lavfi", "-i", "testsrc=size=160x90:duration=0.5:rate=10"]
            ffmpeg([*picture, "-c:v", "libx264", "-pix_fmt", "yuv420p"], out=path, timeout=60)
        return path

    # -- processes --------------------------------------------------------------------------------

    def start(self, name: str, *, role: str = "", **more: str) -> subprocess.Popen[bytes]:
        """Start a process of the Procfile, as `role` when another of its kind runs; `more` is environment."""
        alias = role or name
        log = self._log(alias)
        if log.exists():
            log.rename(log.with_suffix(f".{time.monotonic_ns()}.log"))
        environment = child_environment(os.environ | self.environment | more)
        with log.open("ab") as stream:
            process = subprocess.Popen(
                command_lines(environment)[name], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        self._running[alias] = process
        return process

    def start_all(self) -> list[str]:
        """Start what does not run, as a supervisor does; returns their names."""
        ended = [name for name in PROCESSES if not self.runs(name)]
        for name in ended:
            self.start(name)
        return ended

    def runs(self, name: str) -> bool:
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def is_ready(self, name: str) -> bool:
        log = self._log(name)
        return log.exists() and READY[name.partition(".")[0]] in log.read_text(errors="replace")

    def wait_ready(self, *names: str) -> None:
        deadline = time.monotonic() + 2 * READY_SECONDS
        for name in names or tuple(self._running):
            while not self.is_ready(name):
                assert self.runs(name), f"{name} ended:\n{self.logs()}"
                assert time.monotonic() < deadline, f"{name} is not ready:\n{self.logs()}"
                time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill a process and its children as a power cut would: -9, nothing said."""
        process = self._running.pop(name, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)

    def kill_with_group(self, pid: int) -> None:
        """Kill the process of the Procfile that `pid` is or belongs to, with all its children."""
        for name, process in list(self._running.items()):
            with contextlib.suppress(psutil.NoSuchProcess):
                family = {process.pid, *(c.pid for c in psutil.Process(process.pid).children(recursive=True))}
                if pid in family:
                    self.kill(name)

    def shut_down(self, name: str) -> int:
        """Ask a process to end, as a deployment does, and wait; -9 after half a minute."""
        process = self._running.pop(name)
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """End every process, asking first."""
        for process in self._running.values():
            process.terminate()
        for name in list(self._running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running[name].wait(STOP_SECONDS)
            self.kill(name)

    def mark_logs(self) -> None:
        """Have `logs()` begin here."""
        self._marks = {path: path.stat().st_size for path in self.folder.glob("*.log")}

    def logs(self) -> str:
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            with path.open("rb") as stream:
                stream.seek(self._marks.get(path, 0))
                parts.append(f"--- {path.name} ---\n{stream.read().decode(errors='replace')}")
        return "\n".join(parts)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def children(self, name: str) -> list[psutil.Process]:
        """The pool processes of worker-media."""
        process = self._running.get(name)
        if process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [c for c in psutil.Process(process.pid).children() if c.name() != "ffmpeg"]
        return []

    def ffmpegs(self) -> list[psutil.Process]:
        """The ffmpeg processes that work for this installation."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            named = any("ffmpeg" in Path(word).name for word in words[:8])
            if named and any(str(self.folder) in word for word in words):
                found.append(process)
        return found

    def signal_group(self, name: str, what: int) -> None:
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.killpg(self._running[name].pid, what)

    # -- servers ----------------------------------------------------------------------------------

    def start_postgres(self, **more: str) -> None:
        """Start the server if it does not answer; `more` is environment, for its clock."""
        if postgres.answers(self._postgres):
            return
        os.environ.update(more)
        try:
            self._postgres = asdict(postgres.start(self.folder, self._postgres, durable=False))
        finally:
            for name in more:
                del os.environ[name]

    def stop_postgres(self, how: int = signal.SIGINT) -> None:
        """End the server: SIGINT cuts sessions and writes a checkpoint, SIGQUIT is a crash."""
        process = psutil.Process(self._postgres["pid"])
        process.send_signal(how)
        process.wait(STOP_SECONDS)

    def signal_postgres(self, what: int) -> None:
        """Stop or wake every process of the server."""
        for process in psutil.Process(self._postgres["pid"]).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(what)

    def cut_connections(self) -> None:
        """Terminate every session but the one that says so."""
        state = self._postgres
        connection = psycopg2.connect(
            host=state["socket"], user="postgres", password=state["superuser_password"], dbname="postgres"
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'callsheet' AND application_name = 'callsheet'"
            )

    def start_redis(self) -> None:
        if redis_server.answers(self._redis):
            return
        port = self._redis["port"] if self._redis else None
        self._redis = asdict(redis_server.start(self.folder, self._redis))
        assert port in (None, self._redis["port"]), "Redis came back at another port"

    def stop_redis(self, how: int = signal.SIGTERM) -> None:
        process = psutil.Process(self._redis["pid"])
        process.send_signal(how)
        process.wait(STOP_SECONDS)

    def signal_redis(self, what: int) -> None:
        psutil.Process(self._redis["pid"]).send_signal(what)

    @contextlib.contextmanager
    def broker(self) -> Iterator[redis.Redis]:
        client = redis.Redis.from_url(self.environment["BROKER_URL"], socket_timeout=5)
        try:
            yield client
        finally:
            client.close()

    # -- clocks -----------------------------------------------------------------------------------

    def clock(self) -> dict[str, str]:
        """The environment of processes whose wall clock `set_clock` shifts; raises OSError without a compiler."""
        library = self.folder / "clock.so"
        if not library.exists():
            source = Path(__file__).with_name("clock.c")
            command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
            subprocess.run(command, check=True, timeout=60, capture_output=True)
        self.set_clock(0)
        return {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self.folder / "clock")}

    def set_clock(self, seconds: int) -> None:
        """Shift the clocks that `clock` gave out, at once."""
        with (self.folder / "clock").open("r+b" if (self.folder / "clock").exists() else "wb") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    # -- disks ------------------------------------------------------------------------------------

    def fill(self, disk: Path) -> None:
        """Leave no byte on a disk."""
        with (disk / ".ballast").open("wb", buffering=0) as file:
            size = shutil.disk_usage(disk).free
            while size > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError:
                    size //= 2
                size = min(size, shutil.disk_usage(disk).free)

    def free(self, disk: Path) -> None:
        (disk / ".ballast").unlink(missing_ok=True)

    def remount(self, disk: Path, how: str) -> None:
        """`ro` refuses every write, `rw` takes them again; a file open for writing makes `ro` wait."""
        deadline = time.monotonic() + 5
        while True:
            done = subprocess.run(
                ["mount", "-o", f"remount,{how}", str(disk)], capture_output=True, timeout=20, check=False
            )
            if done.returncode == 0 or time.monotonic() > deadline:
                assert done.returncode == 0, done.stderr
                return
            time.sleep(0.02)

    def _mount(self, disk: Path, megabytes: int) -> None:
        """Give a folder a small file system of its own; without the right to, it stays a plain folder."""
        disk.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)],
            capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            self.disks.append(disk)

    # -- mending ----------------------------------------------------------------------------------

    def mend(self, deadline: float = 60.0) -> None:
        """Bring back whatever is down or hurt, and wait until all of it works."""
        failpoints.disarm(get_settings())
        for disk in self.disks:
            self.remount(disk, "rw")
            self.free(disk)
        for name in list(self._running):
            self.signal_group(name, signal.SIGCONT)
        for wake in (self.signal_redis, self.signal_postgres):
            with contextlib.suppress(psutil.NoSuchProcess):
                wake(signal.SIGCONT)
        self.vendor.start()
        self.start_postgres()
        self.start_redis()
        for name in [n for n in self._running if n not in PROCESSES]:
            self.kill(name)
        self.supervise(deadline)
        until = time.monotonic() + deadline
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.base}/health", timeout=5).status_code == 200:
                    return
            assert time.monotonic() < until, f"the API does not answer:\n{self.logs()}"
            time.sleep(0.1)

    def supervise(self, deadline: float) -> None:
        """Start what does not run until all of it is ready: a process may still be dying of the fault."""
        until = time.monotonic() + deadline
        while self.start_all() or not all(self.is_ready(name) for name in PROCESSES):
            assert time.monotonic() < until, f"not everything comes up:\n{self.logs()}"
            time.sleep(0.05)

    def _migrate(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "-c", str(ROOT / "migrations" / "alembic.ini"), "upgrade", "head"],
            cwd=ROOT, env=os.environ | self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _engine(self) -> Engine:
        return create_engine(self.environment["DATABASE_URL"], pool_pre_ping=True)


def patiently(ask: Any, *, seconds: float = 30.0) -> Any:
    """Ask the database until it answers: the harness outlives the restarts it causes."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (OperationalError, DBAPIError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """An installation of its own until the block ends; this process's settings are pointed at it."""
    from db import session

    Settings.model_config["env_file"] = None
    made = Ground()
    ours = {name.upper() for name in Settings.model_fields}
    before = {name: os.environ.pop(name) for name in ours if name in os.environ}
    try:
        made.open()
        before |= {name: os.environ[name] for name in made.environment if name in os.environ}
        ours |= made.environment.keys()
        os.environ.update(made.environment)
        session.reset()
        get_settings.cache_clear()
        yield made
    finally:
        made.close()
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(before)
        session.reset()
        get_settings.cache_clear()
