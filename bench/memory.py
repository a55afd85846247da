"""Whether a worker grows: its resident memory after ten thousand durable steps over that after one thousand.

Two real workers side by side, one with processes and one with threads, each with a queue of its own; nothing
recycles the child that is measured. A sample is taken when a thousand more have ended and nothing runs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from bench.measuring import Measured, median
from bench.servers import servers
from core.settings import ROOT

STEPS = 1_000
SAMPLES = 10
STEPS_PER_JOB = 50
POOLS = {"prefork": 1, "threads": 4}
PATIENCE = 180.0
NEVER = "1000000000"


def measure(folder: Path, rounds: int) -> Measured:
    """Run it once; `rounds` are the looks of which each sample is the median."""
    samples: dict[str, list[dict[str, float]]] = {pool: [] for pool in POOLS}
    with servers(folder), ExitStack() as stack:
        from bench import steps_work as work

        workspace = work.make_workspace()
        workers = {pool: _start(folder, pool, count) for pool, count in POOLS.items()}
        for worker in workers.values():
            stack.callback(worker.wait, 60)
            stack.callback(worker.terminate)
        work.wait_for_worker(PATIENCE)
        for _ in range(SAMPLES):
            _work(workspace, STEPS)
            for pool, worker in workers.items():
                samples[pool].append(look_at(worker.pid, children=pool == "prefork", looks=rounds))
    figures: dict[str, Any] = {"steps_per_sample": STEPS, "samples": SAMPLES, "pools": POOLS}
    for pool, seen in samples.items():
        for name in ("rss", "pss"):
            figures[f"{pool}_{name}_mb"] = [sample[name] for sample in seen]
    return Measured(
        ratios=ratios_of(samples),
        figures=figures,
        goals={f"{pool}_rss_10k_vs_1k": "<= 1.1" for pool in POOLS},
    )


def ratios_of(samples: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """The last sample over the first, for each pool and both ways to count shared pages."""
    return {
        f"{pool}_{name}_10k_vs_1k": round(seen[-1][name] / seen[0][name], 4)
        for pool, seen in samples.items()
        for name in ("rss", "pss")
    }


def look_at(pid: int, *, children: bool, looks: int) -> dict[str, float]:
    """Memory in MB of a process, or of all below it: what a pool's tasks run in."""
    seen: dict[str, list[float]] = {"rss": [], "pss": []}
    process = psutil.Process(pid)
    for _ in range(looks):
        of = process.children(recursive=True) if children else [process]
        found = [one.memory_full_info() for one in of]
        seen["rss"].append(sum(one.rss for one in found) / 2**20)
        seen["pss"].append(sum(getattr(one, "pss", one.rss) for one in found) / 2**20)
        time.sleep(0.1)
    return {name: round(median(values), 2) for name, values in seen.items()}


def _start(folder: Path, pool: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "-A", "bench.steps_work", "worker", "-n", f"{pool}@%h"]
    command += ["-P", pool, "-c", str(count), "-Q", f"bench_{pool}", "--max-tasks-per-child", NEVER]
    command += ["--without-gossip", "--without-mingle"]
    with (folder / f"{pool}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _work(workspace: UUID, count: int) -> None:
    """Have every pool do `count` steps."""
    from bench import steps_work as work

    work.plan_steps(workspace, count * len(POOLS), STEPS_PER_JOB)
    work.spread_steps([f"bench_{pool}" for pool in POOLS])
    began = time.monotonic()
    while work.steps_left():
        if time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"The steps were not done within {PATIENCE:.0f} s.")
        time.sleep(0.2)
