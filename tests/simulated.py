"""The simulated vendors, as a process that may be killed or inside a test: asked what they charged."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import requests
from werkzeug.serving import make_server

from core.registry import PROVIDERS
from core.settings import ROOT
from simulator.app import DIALECTS, create_app
from simulator.dialect import Temper

READY_SECONDS = 30.0


class VendorHere:
    """The simulator in this process, on a port of its own."""

    def __init__(self, folder: Path, **temper: float) -> None:
        wanted: dict[str, Any] = {"task_seconds": 0.0, "hang_seconds": 3.0, **temper}
        self._server = make_server("127.0.0.1", 0, create_app(folder, Temper(**wanted)), threaded=True)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def bill(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/_bill", timeout=5).json()
        return answer

    def order(self, *faults: str) -> None:
        """Have the next submits meet these faults."""
        assert requests.post(f"{self.url}/_faults", json={"submit": faults}, timeout=5).ok

    def close(self) -> None:
        """Close the door; a child process that is just being started holds a copy of it until it is its own."""
        self._server.shutdown()
        self._server.server_close()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except ConnectionRefusedError:
                return
            except OSError:
                continue


class Vendors:
    """One simulator on a fixed port, so that it may die and come back where it was."""

    def __init__(self, folder: Path, **options: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._options = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Settings that lead a stack here."""
        kinds = ("video", "text_removal", "speech", "moderation")
        remote = {slug for kind in kinds for slug in PROVIDERS.slugs(kind)} & set(DIALECTS.slugs())
        said = {"API_KEY": "sk-simulated", "API_SECRET": "simulated", "REGION": "us-east-1"}
        said["PRICES_CHECKED_ON"] = datetime.now(UTC).date().isoformat()  # ours may expire, these tests not
        return {
            f"{slug.upper()}_{name}": value
            for slug in remote
            for name, value in (*said.items(), ("URL", f"{self.url}/{slug}"))
        }

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [sys.executable, "-m", "simulator", "--port", str(self.port), "--state", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, *self._options], cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.bill()
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "the simulator does not answer"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Kill it as a power cut would; its books stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def bill(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/_bill", timeout=10).json()
        return answer

    def bought(self, words: str) -> list[dict[str, Any]]:
        """Tasks the vendor accepted whose prompt has these words."""
        return [task for task in self.bill()["tasks"] if words in task["prompt"]]

    def order(self, *faults: str, vendor: str | None = None) -> None:
        """Have the next submits, to one vendor or to any, meet these faults."""
        asked = {"submit": faults, "vendor": vendor}
        assert requests.post(f"{self.url}/_faults", json=asked, timeout=10).ok
