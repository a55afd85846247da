"""Whatever is killed, cancelled or filled up: the film comes out, and nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from uuid import UUID

import psutil
import pytest
from sqlalchemy import func, select

from db.assets import Rendition, RenditionRole
from db.work import Attempt, Event, StepState
from media.probe import probe
from services.films import film_shots
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

THREE = """# Up

[image: samples:rocket]
[duration: 5]
We go up, and up, and up.

[image: samples:coffee]
[duration: 5]
We come down again, slowly.

[image: samples:chelsea]
[duration: 5]
We purr.
"""


def saved(studio: Studio, job_id: UUID) -> dict[UUID, tuple]:
    return {
        s.id: (s.attempt, s.finished_at, s.result.get("stored"))
        for s in studio.steps(job_id)
        if s.state is StepState.SUCCEEDED
    }


def master_of(studio: Studio, job_id: UUID):
    job = studio.state_of(job_id, "succeeded")
    return probe(studio.file(job.result["sha256"]))


def lost(studio: Studio, job_id: UUID) -> int:
    ids = [s.id for s in studio.steps(job_id)]
    with studio.rows() as session:
        query = select(func.count()).select_from(Attempt)
        return session.scalar(query.where(Attempt.step_id.in_(ids), Attempt.outcome == "lost"))


def ffmpegs_of(studio: Studio, step_ids: list[UUID]) -> list[psutil.Process]:
    return [
        p
        for p in studio.ffmpegs()
        if any(str(step_id) in word for step_id in step_ids for word in p.info["cmdline"])
    ]


def test_killing_the_media_worker_in_shoot_and_in_compose_still_ends_in_the_film(studio):
    job_id = studio.film(THREE, captions="none")
    kept: dict[UUID, tuple] = {}
    for kind in ("submit_take", "compose"):
        hit = studio.running(job_id, kind)
        studio.stack.kill("worker-media")
        assert studio.steps(job_id, kind)
        for step_id, facts in saved(studio, job_id).items():
            kept.setdefault(step_id, facts)
        studio.until(lambda step=hit: not ffmpegs_of(studio, [step.id]), seconds=5, why="ffmpeg to go along")
        studio.stack.start("worker-media")
    seen = master_of(studio, job_id)
    after = saved(studio, job_id)
    assert {step_id: after[step_id] for step_id in kept} == kept
    assert lost(studio, job_id) >= 1
    with studio.rows() as session:
        frames = sum(s.frames for s in film_shots(session, studio.job(job_id).film_id))
    assert seen.frames == frames + studio.steps(job_id, "credits_card")[0].result["frames"]


def test_killing_io_and_beat_still_ends_in_the_film(studio):
    job_id = studio.film(THREE, captions="none")
    studio.running(job_id, "find_stock", "narrate", "rank")
    studio.stack.kill("worker-io")
    studio.stack.kill("beat")
    kept = saved(studio, job_id)
    studio.stack.start("worker-io")
    studio.stack.start("beat")
    assert master_of(studio, job_id).frames > 24
    after = saved(studio, job_id)
    assert {step_id: after[step_id] for step_id in kept} == kept


@pytest.mark.both_brokers
def test_a_cancelled_film_ends_within_five_seconds_and_leaves_no_ffmpeg(studio):
    long = THREE.replace("[duration: 5]", "[duration: 60]")
    job_id = studio.film(long, captions="none", size=720)
    studio.running(job_id, "submit_take")
    step_ids = [s.id for s in studio.steps(job_id)]
    studio.until(lambda: ffmpegs_of(studio, step_ids), seconds=20, why="ffmpeg to work")
    began = time.monotonic()
    assert studio.post(f"/jobs/{job_id}/cancel").status_code == 202
    studio.state_of(job_id, "cancelled", seconds=10)
    assert time.monotonic() - began < 5
    assert ffmpegs_of(studio, step_ids) == []
    assert {s.state for s in studio.steps(job_id)} <= {StepState.SUCCEEDED, StepState.CANCELLED}
    scratch = studio.stack.folder / "scratch"
    left = [p.name for p in scratch.iterdir() if any(str(i) in p.name for i in step_ids)]
    assert left == []
    with studio.rows() as session:
        types = session.scalars(select(Event.type).where(Event.job_id == job_id).order_by(Event.seq)).all()
    assert types[-1] == "job.cancelled"


def test_a_cancelled_film_can_be_taken_up_again(studio):
    job_id = studio.film(THREE, captions="none")
    studio.running(job_id, "narrate", "find_stock")
    assert studio.post(f"/jobs/{job_id}/cancel").status_code == 202
    studio.state_of(job_id, "cancelled", seconds=10)
    assert studio.post(f"/jobs/{job_id}/retry").status_code == 202
    assert master_of(studio, job_id).frames > 24


@pytest.fixture
def small_scratch(studio):
    """The scratch folder as a file system of its own that a test can fill."""
    folder = studio.stack.folder / "scratch"
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("filling a disk needs root, to mount a small one")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], timeout=20, check=True)


def test_a_full_disk_is_a_clear_error_and_the_film_goes_on_once_it_is_freed(studio, small_scratch):
    job_id = studio.film(THREE, captions="none", gates=("takes",))
    studio.state_of(job_id, "waiting")
    ballast = small_scratch / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    studio.answer(job_id, "approve")
    job = studio.state_of(job_id, "failed")
    assert job.error_code == "disk_full"
    assert job.error_message.endswith(": The disk is full.")
    failed = {f"{s.kind} {s.label}".strip() for s in studio.steps(job_id) if s.error_code == "disk_full"}
    assert {"render_segment shot 1", "render_segment shot 2", "render_segment shot 3"} <= failed
    with studio.rows() as session:
        shots = [s.id for s in film_shots(session, job.film_id)]
        half = select(Rendition).where(
            Rendition.asset_id.in_([*shots, job.film_id]),
            Rendition.role.in_([RenditionRole.SEGMENT, RenditionRole.MASTER]),
        )
        assert session.scalars(half).all() == []
    assert [p.name for p in small_scratch.iterdir()] == ["ballast"]
    ballast.unlink()
    assert studio.post(f"/jobs/{job_id}/retry").status_code == 202
    assert master_of(studio, job_id).frames > 24
    assert {s.attempt for s in studio.steps(job_id, "submit_take")} == {1}
