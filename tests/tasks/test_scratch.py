"""What killed processes leave in the scratch folder goes away, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from services.steps import StepPlan
from tasks import scratch as duties
from tests.services.makers import end, make_house, make_job, plan, take_up


@pytest.fixture
def scratch(settings, broker) -> Path:
    folder = settings.var_dir / "scratch"
    folder.mkdir(parents=True)
    return folder


def put(folder: Path, name: str, *, hours: float) -> Path:
    made = folder / name
    made.mkdir()
    inner = made / "take.mp4"
    inner.write_bytes(b"half a film")
    then = time.time() - hours * 3600
    os.utime(inner, (then, then))
    os.utime(made, (then, then))
    return made


def test_a_killed_attempts_folder_goes_and_the_one_at_work_stays(scratch):
    (step_id,) = plan(make_job(make_house()), StepPlan("write_script"))
    held = take_up(step_id)
    lost = put(scratch, f"{step_id}-{held.attempt + 1}", hours=2)
    at_work = put(scratch, f"{step_id}-{held.attempt}", hours=2)
    duties.clean_scratch()
    assert not lost.exists()
    assert (at_work / "take.mp4").exists()
    assert end(held)
    duties.clean_scratch()
    assert not at_work.exists()


def test_what_changed_within_the_hour_stays(scratch):
    (step_id,) = plan(make_job(make_house()), StepPlan("write_script"))
    young = put(scratch, f"{step_id}-1", hours=0.5)
    growing = put(scratch, "upload-1", hours=2)
    (growing / "more").write_bytes(b"just now")
    duties.clean_scratch()
    assert young.exists()
    assert growing.exists()


def test_a_left_over_file_goes_too_and_no_folder_is_no_error(scratch, settings):
    left = scratch / "upload"
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    duties.clean_scratch()
    assert not left.exists()
    scratch.rmdir()
    duties.clean_scratch()
    assert not scratch.exists()


def test_what_was_being_stored_when_its_worker_was_killed_goes(scratch, settings):
    half = settings.var_dir / "store" / ".incoming" / "0f3a"
    whole = settings.var_dir / "store" / "blobs" / "0f3a"
    for path in (half, whole):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a film")
        os.utime(path, (0, 0))
    duties.clean_scratch()
    assert (half.exists(), whole.exists()) == (False, True)
