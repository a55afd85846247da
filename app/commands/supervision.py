"""Run the Procfile's processes under supervisord and wait until the API answers.

supervisord restarts what dies (a second later each time), signals only a process itself so that a worker
may finish what its children do, and rotates the logs. It opens no control port. See
docs/decisions/0001-supervisor.md.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.commands.processes import child_environment, command_lines
from core import embedded
from core.errors import Misconfigured
from core.secrets import flower_basic_auth
from core.settings import ROOT, Settings

READY_SECONDS = 60.0
STOP_SECONDS = 25  # above worker_soft_shutdown_timeout, within which a worker gives its messages back
HEALTH = "/api/v1/health"


@dataclass(frozen=True)
class Running:
    """A stack that answers: where, and as whom Flower lets one in."""

    api: str
    flower: str
    flower_login: str
    supervisor: subprocess.Popen[bytes]

    def wait(self) -> int:
        """Wait until the supervisor ends; its exit code."""
        return self.supervisor.wait()


def prepare_environment(settings: Settings, found: embedded.Urls) -> dict[str, str]:
    """The children's environment: addresses, ports that are free now, and a login for Flower."""
    environment = flower_environment(settings, found)
    if settings.log_format == "auto" and sys.stdout.isatty():
        environment["LOG_FORMAT"] = "pretty"  # the children see a pipe where the person sees a terminal
    return environment | {"API_PORT": str(_port(settings.api_host, settings.api_port, "API_PORT"))}


def flower_environment(settings: Settings, found: embedded.Urls) -> dict[str, str]:
    """What Flower alone needs of it."""
    return child_environment(
        {
            **os.environ,
            **embedded.env_for_children(found),
            "VAR_DIR": str(settings.var_dir.resolve()),
            "FLOWER_PORT": str(_port(settings.api_host, settings.flower_port, "FLOWER_PORT")),
            "FLOWER_BASIC_AUTH": flower_basic_auth(settings),
        }
    )


@contextmanager
def supervised(settings: Settings, environment: dict[str, str], *, to_terminal: bool) -> Iterator[Running]:
    """Start every process, yield once the API answers, stop them all at the end."""
    var_dir = Path(environment["VAR_DIR"])
    _refuse_second(var_dir)
    (var_dir / "log").mkdir(parents=True, exist_ok=True)
    config = var_dir / "supervisord.conf"
    config.write_text(supervisor_config(var_dir, environment, to_terminal=to_terminal))
    if importlib.util.find_spec("supervisor") is None:
        raise Misconfigured(
            "The package supervisor is missing: run `make clean demo` to install everything anew."
        )
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # opened again by name for each process, which only a pipe takes well
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a Ctrl-C reaches us alone, and we stop things in order
    )
    printer = threading.Thread(target=_print, args=(supervisor,), daemon=True)
    printer.start()
    host = "127.0.0.1" if settings.api_host in {"0.0.0.0", "::"} else settings.api_host  # noqa: S104 - comparison
    running = Running(
        api=f"http://{host}:{environment['API_PORT']}",
        flower=f"http://{host}:{environment['FLOWER_PORT']}",
        flower_login=environment["FLOWER_BASIC_AUTH"],
        supervisor=supervisor,
    )
    try:
        _wait_healthy(running, var_dir)
        yield running
    finally:
        _stop(supervisor)
        printer.join(5)


def supervisor_config(var_dir: Path, environment: dict[str, str], *, to_terminal: bool) -> str:
    """supervisord.conf for the Procfile; no value of the environment that is secret goes into it."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_value(var_dir / 'log' / 'supervisord.log')}",
        f"pidfile={_value(var_dir / 'supervisord.pid')}",
        f"childlogdir={_value(var_dir / 'log')}",
    ]
    if os.geteuid() == 0:
        lines.append("user=root")  # said aloud, as supervisord asks: it starts nothing for anyone else
    commands = command_lines(environment)
    # One group is stopped at once, programs outside a group one after the other.
    lines += ["", "[group:callsheet]", f"programs={','.join(commands)}"]
    for name, command in commands.items():
        log = "/dev/fd/1" if to_terminal else _value(var_dir / "log" / f"{name}.log")
        lines += [
            "",
            f"[program:{name}]",
            f"command={_value(shlex.join(command))}",
            f"directory={_value(ROOT)}",
            "autorestart=true",
            "startsecs=3",
            "startretries=1000000",
            "stopsignal=TERM",
            f"stopwaitsecs={STOP_SECONDS}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={log}",
            f"stdout_logfile_maxbytes={0 if to_terminal else '10MB'}",
            "stdout_logfile_backups=3",
        ]
    return "\n".join(lines) + "\n"


def _value(text: object) -> str:
    """A config value; `%` begins an expansion there."""
    return str(text).replace("%", "%%")


def _port(host: str, wanted: int, setting: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            raise Misconfigured(
                f"Port {wanted} at {host} cannot be used ({error.strerror}): "
                f"set {setting} to another one, or to 0 for any free one."
            ) from error
        return int(probe.getsockname()[1])


def _refuse_second(var_dir: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.Error):
        pid = int((var_dir / "supervisord.pid").read_text())
        if "supervisord" in " ".join(psutil.Process(pid).cmdline()):
            raise Misconfigured(f"Callsheet already runs in {var_dir} (process {pid}): stop it first.")


def _wait_healthy(running: Running, var_dir: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if running.supervisor.poll() is not None:
            raise Misconfigured(f"The processes did not start: see {var_dir / 'log'}.")
        try:
            with urllib.request.urlopen(running.api + HEALTH, timeout=2) as answer:  # noqa: S310 - our own address
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise Misconfigured(f"The API did not answer within {READY_SECONDS:.0f} seconds: see {var_dir / 'log'}.")


def _print(supervisor: subprocess.Popen[bytes]) -> None:
    """Copy what the processes say to our own output, as long as somebody reads it."""
    assert supervisor.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        for line in supervisor.stdout:
            sys.stdout.write(line.decode(errors="replace"))
            sys.stdout.flush()
    for _ in supervisor.stdout:  # never let the processes block on a full pipe
        pass


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    """Stop all processes and wait; what ignores the request is killed by supervisord, and then that."""
    if supervisor.poll() is not None:
        return
    supervisor.terminate()
    try:
        supervisor.wait(STOP_SECONDS + 20)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait(10)
