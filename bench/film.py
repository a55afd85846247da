"""A film of about 30 seconds at 720p through the whole stack: time, memory, the pipeline's own share.

**Overhead share.** The job's wall time is cut at every start and end of a step. In each piece the pipeline
costs the share of time that the running steps of the media queue do *not* spend in craft; it costs the
whole piece when no such step runs (publishing, claiming, searching, waiting, phase changes).

    overhead = sum over pieces of  length * (1 - mean over running media steps of craft / duration)

Craft is what a step's attempt timed as rendering, speaking, mixing, joining or encoding: ffmpeg, the
drawing of the frames it is fed, speech. Hashing, storing, probing, database and Celery are overhead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from bench import house
from bench.measuring import Measured, Memory, median
from core import embedded
from core.settings import Settings

GOAL_SECONDS = 60.0
GOAL_OVERHEAD = 0.10
CRAFT = ("render_seconds", "speech_seconds", "mix_seconds", "join_seconds", "encode_seconds")
SCRIPT = """# Looking Up

## The oldest habit

[image: samples:hubble_deep_field]
[camera: push in]
[duration: 4.2]
Long before we could write, we could look up.

[image: samples:retina]
[camera: pull out]
[duration: 4.2]
The first telescope was the eye.

[image: samples:clock_motion]
[duration: 4.2]
The sky became our clock, and our map.

## The ladder

[image: samples:rocket]
[camera: tilt up]
[duration: 4.2]
Then looking was no longer enough.

[image: samples:astronaut]
[camera: push in]
[duration: 4.2]
Those who climb come back with a story.

[image: samples:camera]
[camera: pan right]
[duration: 4.2]
Go outside tonight. It is still arriving.
"""
BRIEF = {
    "kind": "film",
    "params": {
        "script": SCRIPT,
        "format": "16:9",
        "size": 720,
        "fps": 30,
        "captions": "karaoke",
        "music": {"from": "samples", "id": "ambient-wonder"},
        "sources": ["samples"],
        "reuse": False,
    },
}


@dataclass(frozen=True)
class Worked:
    """One attempt of a step: when it worked, in seconds of the database's clock, and how much was craft."""

    kind: str
    media: bool
    began: float
    ended: float
    craft: float


def measure(folder: Path, rounds: int) -> Measured:
    place = folder / "house"
    place.mkdir()
    runs: list[dict[str, Any]] = []
    try:
        with house.up(place) as studio:
            for _ in range(rounds):
                with Memory(place, studio.process.pid) as memory:
                    job = _make(studio)
                runs.append(_judge(studio, job, memory))
    finally:
        house.remove(place)
    wall = median([run["wall"] for run in runs])
    overhead = median([run["overhead"] for run in runs])
    middle = sorted(runs, key=lambda run: run["wall"])[len(runs) // 2]
    return Measured(
        ratios={
            "wall_to_goal": round(wall / GOAL_SECONDS, 4),
            "overhead_share": overhead,
            "wall_to_film": round(wall / middle["film"], 4),
        },
        figures={
            "wall_seconds": wall,
            "film_seconds": middle["film"],
            "craft_seconds": middle["craft"],
            "overhead_seconds": round(overhead * wall, 3),
            "seconds_without_media_step": middle["gaps"],
            "peak_rss_mb": round(max(run["rss"] for run in runs)),
            "peak_pss_mb": round(max(run["pss"] for run in runs)),
            "processes": middle["processes"],
            "all_wall_seconds": [run["wall"] for run in runs],
            "all_overhead_shares": [run["overhead"] for run in runs],
            "phase_seconds": middle["phases"],
            "step_seconds": middle["steps"],
        },
        goals={"wall_to_goal": "<= 1", "overhead_share": f"<= {GOAL_OVERHEAD}"},
    )


def _make(studio: house.House) -> dict[str, Any]:
    job = studio.ask("POST", "/jobs", BRIEF)
    deadline = time.monotonic() + 900
    while job["state"] in {"queued", "running"} and time.monotonic() < deadline:
        job = studio.ask("GET", f"/jobs/{job['id']}?wait=20")
    if job["state"] != "succeeded" or job["warnings"]:
        raise RuntimeError(f"The film {job['state']}: {job['error']} {job['warnings']}")
    done: dict[str, Any] = job
    return done


def _judge(studio: house.House, job: dict[str, Any], memory: Memory) -> dict[str, Any]:
    began, ended, worked = _read(studio, job["id"])
    gaps, overhead = overhead_of(began, ended, worked)
    steps: dict[str, float] = {}
    for item in worked:
        steps[item.kind] = round(steps.get(item.kind, 0.0) + item.ended - item.began, 3)
    return {
        "wall": round(ended - began, 3),
        "film": round(job["result"]["duration"], 3),
        "craft": round(sum(item.craft for item in worked), 3),
        "overhead": round(overhead / (ended - began), 4),
        "gaps": round(gaps, 3),
        "rss": memory.peak_rss / 2**20,
        "pss": memory.peak_pss / 2**20,
        "processes": memory.processes,
        "phases": job["phase_seconds"],
        "steps": steps,
    }


def overhead_of(began: float, ended: float, worked: list[Worked]) -> tuple[float, float]:
    """Seconds without any media step, and seconds of overhead in all (see the module)."""
    media = [item for item in worked if item.media]
    cuts = sorted(
        {began, ended, *(t for item in media for t in (item.began, item.ended) if began < t < ended)}
    )
    gaps = overhead = 0.0
    for left, right in pairwise(cuts):
        running = [item for item in media if item.began <= left and item.ended >= right]
        if not running:
            gaps += right - left
            overhead += right - left
            continue
        shares = [min(1.0, item.craft / max(item.ended - item.began, 1e-6)) for item in running]
        overhead += (right - left) * (1 - sum(shares) / len(shares))
    return gaps, overhead


def _read(studio: house.House, job_id: str) -> tuple[float, float, list[Worked]]:
    """The job's wall times and its attempts, from the database: created, finished, what was worked on."""
    address = make_url(embedded.urls(Settings(var_dir=studio.folder)).database_url)
    connection = psycopg2.connect(
        host=address.host or address.query["host"],
        port=address.port or 5432,
        user=address.username,
        password=address.password,
        dbname=address.database,
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM created_at), extract(epoch FROM finished_at) "
                "FROM jobs WHERE id = %s",
                (job_id,),
            )
            began, ended = cursor.fetchone()
            cursor.execute(
                "SELECT s.kind, a.worker LIKE 'media@%%', extract(epoch FROM a.started_at), "
                "extract(epoch FROM a.finished_at), a.figures "
                "FROM attempts a JOIN steps s ON s.id = a.step_id "
                "WHERE s.job_id = %s AND a.outcome = 'succeeded'",
                (job_id,),
            )
            worked = [
                Worked(
                    kind, media, float(start), float(end), sum(float(figures.get(name, 0)) for name in CRAFT)
                )
                for kind, media, start, end, figures in cursor.fetchall()
            ]
    finally:
        connection.close()
    return float(began), float(ended), worked
