"""The Procfile's processes as a test runs them: started, killed and read one by one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.commands.processes import child_environment, command_lines
from core.settings import ROOT
from tests.brokers import Broker

READY = {"worker-io": "ready.", "worker-media": "ready.", "beat": "beat ready.", "api": "Listening at"}
READY_SECONDS = 40.0
STOP_SECONDS = 30.0


class Stack:
    """Processes that share one environment; `environment` also fits the test's own process."""

    def __init__(self, folder: Path, environment: dict[str, str], broker: Broker) -> None:
        self.folder = folder
        self.environment = environment
        self.broker = broker
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._marks: dict[Path, int] = {}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start one process of the Procfile, in a group of its own."""
        environment = child_environment(os.environ | self.environment)
        command = command_lines(environment)[name]
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._running[name] = process
        return process

    def serve(self) -> str:
        """Start the API, unless it runs; returns its base address."""
        if "api" not in self._running:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.environment["API_PORT"] = str(free.getsockname()[1])
            self.start("api")
            self.wait_ready("api")
        return f"http://127.0.0.1:{self.environment['API_PORT']}/api/v1"

    def wait_ready(self, *names: str) -> None:
        """Wait until each process says that it takes work."""
        deadline = time.monotonic() + READY_SECONDS
        for name in names or tuple(self._running):
            while READY[name] not in self._log(name).read_text(errors="replace"):
                assert self._running[name].poll() is None, f"{name} ended:\n{self.logs()}"
                assert time.monotonic() < deadline, f"{name} is not ready:\n{self.logs()}"
                time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill a process and its children as a power cut would: -9, nothing said."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
        log = self._log(name)
        log.rename(log.with_suffix(f".{process.pid}.log"))

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Start again what ends by itself, as the product's supervisor does.

        A worker does, for one, when its Redis goes while it has a message to acknowledge.
        """
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                for name, process in list(self._running.items()):
                    if process.poll() is not None:
                        self.start(name)

        watcher = threading.Thread(target=watch, name="supervisor", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(STOP_SECONDS)
        self._running.clear()

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
