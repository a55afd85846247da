"""Burnt-in text removed from uploaded clips on this machine, through the real door, and proven."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from db.assets import Rendition, RenditionRole
from db.work import StepState
from media.first_look import first_look
from media.probe import probe
from tests.burnt import burnt
from tests.e2e.conftest import Studio
from tests.e2e.test_other_jobs import upload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SAID = "Nobody asked for this line"


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    burnt(folder / "subtitled.mp4", (SAID, 0.5, 2.5), sound=True)
    burnt(folder / "plain.mp4", seed=2)
    return folder


def cleaned(studio: Studio, path: Path, **asked):
    """The ended job that removed text from this file, and the bytes it hands out."""
    asset_id = upload(studio, path, "video/mp4")["asset_id"]
    job = studio.state_of(studio.submit("text_removal", {"asset_id": asset_id, **asked}), "succeeded")
    with studio.rows() as session:
        rendition = session.get_one(Rendition, UUID(job.result["cleaned_rendition_id"]))
    return job, studio.file(rendition.blob_sha256)


def report_of(studio: Studio, job) -> dict:
    with studio.rows() as session:
        row = session.get_one(Rendition, UUID(job.result["report_rendition_id"]))
        assert row.role is RenditionRole.REPORT
    return json.loads(studio.file(row.blob_sha256).read_text(encoding="utf-8"))


def read_in(path: Path, scratch: Path) -> str:
    return " ".join(line.words for line in first_look(path, probe(path), scratch))


def test_text_is_found_by_itself_removed_and_the_report_proves_it(studio, clips, tmp_path):
    job, path = cleaned(studio, clips / "subtitled.mp4")
    assert (job.result["clean"], job.result["method"], job.warnings) == (True, "local", [])
    assert SAID in read_in(clips / "subtitled.mp4", tmp_path)
    assert read_in(path, tmp_path) == ""
    before, after = probe(clips / "subtitled.mp4"), probe(path)
    assert (after.width, after.height, after.frames, after.has_audio) == (480, 270, before.frames, True)
    assert after.duration == pytest.approx(before.duration, abs=0.01)

    report = report_of(studio, job)
    (text,) = report["found"]["texts"]
    assert (text["words"], text["kind"]) == (SAID, "subtitle")
    assert (text["start"], text["end"]) == (pytest.approx(0.5, abs=0.15), pytest.approx(2.5, abs=0.15))
    assert text["box"][1] > 0.7
    assert text["confidence"] > 0.8
    (attempt,) = report["attempts"]
    assert attempt["proof"]["residue_chars"] == 0
    assert attempt["seconds"]["clean"] > 0
    assert report["cost"] == []
    with studio.rows() as session:
        sheet = session.get_one(Rendition, UUID(job.result["sheet_rendition_id"]))
    with Image.open(studio.file(sheet.blob_sha256)) as picture:
        assert picture.format == "JPEG"
        assert picture.height > 100


def test_a_clip_without_text_is_handed_back_as_it_is(studio, clips):
    job, path = cleaned(studio, clips / "plain.mp4")
    assert path.read_bytes() == (clips / "plain.mp4").read_bytes()
    assert (job.result["clean"], job.result["method"], job.result["texts"]) == (True, "none", 0)
    assert "No text was found" in report_of(studio, job)["why"]
    (step,) = studio.steps(job.id, "clean_clip")
    assert (step.state, "stored" in step.result) == (StepState.SUCCEEDED, False)


def test_words_to_keep_stay_and_nothing_is_bought_unasked(studio, clips, tmp_path):
    job, path = cleaned(studio, clips / "subtitled.mp4", keep=["nobody"], method="local")
    assert SAID in read_in(path, tmp_path)
    assert job.result["clean"] is True
    (order,) = studio.steps(job.id, "order_clip")
    assert "stored" not in order.result


def test_a_region_that_begins_after_the_clip_fails_with_its_field(studio, clips):
    asset_id = upload(studio, clips / "plain.mp4", "video/mp4")["asset_id"]
    region = {"x": 0, "y": 0.8, "width": 1, "height": 0.2, "start": 60}
    job_id = studio.submit("text_removal", {"asset_id": asset_id, "regions": [region]})
    job = studio.until(lambda: (seen := studio.job(job_id)).state.value == "failed" and seen, why="a failure")
    assert job.error_code == "outside_clip"
    assert "60 s" in job.error_message
