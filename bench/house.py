"""A whole installation for a benchmark: `python -m app up` in a folder of its own, spoken to over HTTP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from core import embedded
from core.settings import ROOT, Settings

UP_SECONDS = 120.0
STOP_SECONDS = 90.0


@dataclass
class House:
    """`seconds` is the wall time from starting the command to its announcement."""

    folder: Path
    process: subprocess.Popen[str]
    api: str
    key: str
    seconds: float

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 90) -> Any:
        """Call the API; raises requests.HTTPError for anything but success."""
        with requests.Session() as client:
            client.trust_env = False
            answer = client.request(
                method, f"{self.api}{path}", json=body, headers={"X-API-Key": self.key}, timeout=timeout
            )
        answer.raise_for_status()
        return answer.json()


def environment(folder: Path) -> dict[str, str]:
    """This shell's environment without any setting of ours, pointed at `folder` and free ports."""
    ours = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    empty = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "BROKER_URL", "PUBLIC_URL"), "")
    return {**kept, **empty, "VAR_DIR": str(folder), "API_PORT": "0", "FLOWER_PORT": "0", "OFFLINE": "true"}


@contextmanager
def up(folder: Path) -> Iterator[House]:
    """Run `up` until the block ends; the first time in a folder it is a cold start."""
    key_file = folder / "bench-key"
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "up"],
        cwd=ROOT,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = _read_until(process, "Ctrl-C stops it")
        seconds = time.perf_counter() - began
        if found := re.search(r"Key +(cs_\S+)", said):
            key_file.write_text(found[1])
        api = re.search(r"API +(http\S+)", said)
        if api is None:
            raise RuntimeError(f"`up` announced no API:\n{said}")
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        yield House(folder, process, api[1], key_file.read_text(), seconds)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
        if "drain" in locals():
            drain.wait(10)


def remove(folder: Path) -> None:
    """Delete the embedded servers' data of a folder, wherever it had to live."""
    embedded.remove(Settings(var_dir=folder))


def _read_until(process: subprocess.Popen[str], mark: str) -> str:
    lines = []
    deadline = time.monotonic() + UP_SECONDS
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if mark in line:
            return "".join(lines)
        if time.monotonic() > deadline:
            break
    raise RuntimeError(f"`up` did not come up:\n{''.join(lines)}")
