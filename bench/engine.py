"""The engine's own cost against bare Celery: same broker, same worker, same pool, events on.

A durable step is claimed under a lease, saved behind a fence, and leaves an attempt and two events. Both
kinds are queued while nobody consumes, then the time is taken until the last one has ended. A chord's
latency is from the end of its last header task to the start of its body.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.measuring import Measured, median
from core import embedded
from core.settings import ROOT, Settings, get_settings

COUNT = 1500
STEPS_PER_JOB = 50
PROCESSES = 2
HEADER = 8
CHORDS = 5
SHOTS = 200
PATIENCE = 180.0


def measure(folder: Path, rounds: int) -> Measured:
    for name in (field.upper() for field in Settings.model_fields):
        os.environ.pop(name, None)
    os.environ["VAR_DIR"] = str(folder)
    get_settings.cache_clear()
    try:
        with embedded.running(get_settings()) as found:
            os.environ.update(embedded.env_for_children(found))
            get_settings.cache_clear()
            return _measure(rounds, folder)
    finally:
        for name in ("VAR_DIR", "DATABASE_URL", "REDIS_URL", "BROKER_URL"):
            os.environ.pop(name, None)
        get_settings.cache_clear()
        embedded.remove(Settings(var_dir=folder))


def _measure(rounds: int, folder: Path) -> Measured:
    from app.commands.database import upgrade
    from db.session import reset

    upgrade()
    reset()
    from bench import steps_work as work

    workspace = work.make_workspace()
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "bench.steps_work",
        "worker",
        "-n",
        "bench@%h",
        "-P",
        "prefork",
    ]
    command += ["-Q", "control", "-c", str(PROCESSES), "--without-gossip", "--without-mingle"]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    plain, durable, publishing, singles = [], [], [], []
    latency: dict[str, list[float]] = {"steps": [], "celery": []}
    try:
        work.wait_for_worker(PATIENCE)
        for _ in range(rounds):
            plain.append(_drain(work.queue_empty_tasks, work.empty_tasks_left))
            work.plan_steps(workspace, COUNT, STEPS_PER_JOB)
            durable.append(_drain(work.queue_steps, work.steps_left))
            for _ in range(CHORDS):
                latency["celery"].append(work.time_celery_chord(HEADER, PATIENCE))
                latency["steps"].append(work.time_step_chord(workspace, HEADER, PATIENCE))
            work.hold_queue()
            singles.append(work.time_single_publishes(SHOTS))
            publishing.append(work.time_phase_publish(workspace, SHOTS))
            work.forget_queue()
            work.release_queue()
    finally:
        worker.terminate()
        worker.wait(60)
        reset()
    return Measured(
        ratios={
            "throughput_vs_noop": round(median([d / p for d, p in zip(durable, plain, strict=True)]), 4),
            "publish_200_vs_singles": round(median(publishing) / median(singles), 4),
        },
        figures={
            "body_latency_over_celery_ms": round(
                1000 * (median(latency["steps"]) - median(latency["celery"])), 2
            ),
            "body_latency_ms": round(1000 * median(latency["steps"]), 2),
            "celery_body_latency_ms": round(1000 * median(latency["celery"]), 2),
            "publish_200_ms": round(1000 * median(publishing), 1),
            "durable_steps_per_second": median(durable),
            "empty_tasks_per_second": median(plain),
            "count": COUNT,
            "steps_per_job": STEPS_PER_JOB,
            "processes": PROCESSES,
            "all_durable": [round(value, 1) for value in durable],
            "all_empty": [round(value, 1) for value in plain],
        },
        goals={"throughput_vs_noop": ">= 0.5", "publish_200_vs_singles": "<= 1"},
    )


def _drain(publish: Callable[[int], None], left: Callable[[], int]) -> float:
    """Queue COUNT tasks while nobody consumes, let go, and return tasks per second until none is left."""
    from bench import steps_work as work

    work.hold_queue()
    publish(COUNT)
    began = time.perf_counter()
    work.release_queue()
    while left():
        if time.perf_counter() - began > PATIENCE:
            raise RuntimeError(f"{COUNT} tasks were not done within {PATIENCE:.0f} s.")
        time.sleep(0.05)
    return COUNT / (time.perf_counter() - began)
