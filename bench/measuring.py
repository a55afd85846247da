"""What every benchmark needs: the shape of a result, medians, the machine, the memory of a running house."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

QUIET_LOAD = 0.5
"""A one-minute load above this says that somebody else was using the machine."""


@dataclass
class Measured:
    """`ratios` compare things measured side by side; `goals` are upper bounds ("<= x") or lower (">= x")."""

    ratios: dict[str, float]
    figures: dict[str, Any] = field(default_factory=dict)
    goals: dict[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> set[str]:
        """Ratios that do not reach their goal."""
        missed = set()
        for key, goal in self.goals.items():
            sign, bound = goal.split()
            value = self.ratios[key]
            if value > float(bound) if sign == "<=" else value < float(bound):
                missed.add(key)
        return missed


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 4)


@contextmanager
def stopwatch(into: list[float]) -> Iterator[None]:
    """Append the wall seconds of a block."""
    began = time.perf_counter()
    yield
    into.append(time.perf_counter() - began)


def commit_of(root: Path) -> str:
    """Short hash of the checkout, `-dirty` when tracked files differ from it, `unknown` outside git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def describe_machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def is_loaded() -> bool:
    return os.getloadavg()[0] > QUIET_LOAD


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


class Memory:
    """Peak of the resident memory of all processes that mention a folder, with everything below them.

    RSS counts shared pages once per process; PSS splits them, so it is what the machine really gives.
    """

    def __init__(self, folder: Path, root_pid: int) -> None:
        self._folder, self._root = str(folder), root_pid
        self.peak_rss = self.peak_pss = self.processes = 0
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)

    def _watch(self) -> None:
        count = 0
        while not self._done.wait(0.5):
            if count % 4 == 0:
                ours = self._find()
            count += 1
            self._look({*ours, *self._below(ours)})

    def _find(self) -> list[psutil.Process]:
        """The supervisor and the servers, which belong to nobody."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            words = " ".join(process.info["cmdline"] or ())
            if process.info["pid"] == self._root or (self._folder in words and process.pid != os.getpid()):
                found.append(process)
        return found

    @staticmethod
    def _below(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
        below = []
        for process in processes:
            try:
                below += process.children(recursive=True)
            except psutil.Error:
                continue
        return below

    def _look(self, processes: set[psutil.Process]) -> None:
        rss = pss = alive = 0
        for process in processes:
            try:
                memory = process.memory_full_info()
            except psutil.Error:
                continue
            rss, pss, alive = rss + memory.rss, pss + getattr(memory, "pss", memory.rss), alive + 1
        if rss > self.peak_rss:
            self.peak_rss, self.processes = rss, alive
        self.peak_pss = max(self.peak_pss, pss)
