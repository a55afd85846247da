"""A master is judged before it is delivered, by real workers: each picture is paid once, a finding stops the film."""

from __future__ import annotations

import pytest

from media.ffmpeg import run as ffmpeg
from tests.e2e.test_other_jobs import upload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def film(studio, tmp_path):
    """Ask for a film that shows one colour for as long as no other film here."""

    def ask(colour: str, seconds: int):
        path = tmp_path / f"{colour}.mp4"
        picture = f"color=c={colour}:s=320x180:d={seconds}:r=24"
        ffmpeg(["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-pix_fmt", "yuv420p"], out=path, timeout=60)
        clip = upload(studio, path, "video/mp4", licence="CC0")["asset_id"]
        return studio.film(
            f"[clip: asset:{clip}]\n[duration: {seconds}]\nA colour.", captions="none", sources=[],
            moderation="rekognition",
        )  # fmt: skip

    return ask


def charged(vendors) -> int:
    return sum(task["charged"] for task in vendors.bill()["tasks"] if task["vendor"] == "rekognition")


def test_a_film_without_findings_is_delivered_and_every_picture_is_paid_once(studio, vendors, film):
    before = charged(vendors)
    vendors.order("throttled", vendor="rekognition")
    job_id = film("teal", 6)
    studio.state_of(job_id, "succeeded")
    (step,) = studio.steps(job_id, "moderate")
    assert step.result["findings"] == []
    assert step.attempt == 2
    assert studio.captured(job_id) == charged(vendors) - before == step.result["pictures"] * 1_000


def test_what_must_not_be_shown_stops_the_film_before_anything_is_derived_from_it(studio, vendors, film):
    job_id = film("red", 5)
    job = studio.until(
        lambda: (seen := studio.job(job_id)).state.value == "failed" and seen, why="the film to be stopped"
    )
    assert job.error_code == "moderated"
    assert "“Weapons” (97%)" in job.error_message
    assert {row.state.value for row in studio.steps(job_id, "export")} == {"skipped"}
    before = charged(vendors)
    assert studio.captured(job_id) > 0
    assert studio.post(f"/jobs/{job_id}/retry").status_code == 202
    studio.until(lambda: studio.steps(job_id, "moderate")[0].attempt == 2, why="another look")
    studio.until(lambda: studio.job(job_id).state.value == "failed", why="the film to be stopped again")
    assert charged(vendors) == before, "the same pictures are not judged twice"
