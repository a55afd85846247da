"""Text removed by a vendor, with real workers and beat: paid once, at what the vendor charged."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from db.assets import Rendition, RenditionRole
from db.submissions import Submission, SubmissionState
from media.ffmpeg import run as ffmpeg
from media.probe import probe
from tests.e2e.conftest import Studio
from tests.e2e.test_other_jobs import upload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


class Order:
    """Jobs that have clips cleaned by GhostCut; each clip is as long as no other, so that it is told apart."""

    def __init__(self, studio: Studio, vendors, folder, seconds: float) -> None:
        self.studio, self.vendors, self.seconds = studio, vendors, seconds
        path = folder / f"{seconds}.mp4"
        size = f"size=160x90:duration={seconds}:rate=10"
        ffmpeg(["-f", "lavfi", "-i", f"testsrc={size}", "-c:v", "libx264", "-pix_fmt", "yuv420p"], out=path, timeout=60)  # fmt: skip
        self.asset_id = upload(studio, path, "video/mp4")["asset_id"]
        self.job_id = self.again()

    def again(self) -> UUID:
        asked = {"asset_id": self.asset_id, "provider": "ghostcut", "accept_unknown_prices": True}
        return self.studio.submit("text_removal", asked)

    def billed(self):
        tasks = [task for task in self.vendors.bill()["tasks"] if task["vendor"] == "ghostcut"]
        ours = {row.vendor_id for row in self.submissions()}
        return [task for task in tasks if task["vendor_id"] in ours]

    def submissions(self) -> list[Submission]:
        with self.studio.rows() as session:
            query = select(Submission).where(Submission.job_id == self.job_id)
            return list(session.scalars(query.order_by(Submission.created_at)))

    def captured(self) -> int:
        return self.studio.captured(self.job_id, "PTS")


@pytest.fixture
def order(studio, vendors, tmp_path):
    def place(seconds: float, *faults: str) -> Order:
        if faults:
            vendors.order(*faults, vendor="ghostcut")
        return Order(studio, vendors, tmp_path, seconds)

    return place


def test_a_clip_is_cleaned_by_a_vendor_and_costs_what_it_charged(order, studio):
    bought = order(3.0)
    job = studio.state_of(bought.job_id, "succeeded")
    (line,) = bought.billed()
    assert bought.captured() == line["charged"] == 250_000
    (row,) = bought.submissions()
    assert (row.state, row.currency, row.quote) == (SubmissionState.SUCCEEDED, "PTS", 1_000_000)
    with studio.rows() as session:
        cleaned = session.get_one(Rendition, UUID(job.result["cleaned_rendition_id"]))
        assert (cleaned.role, cleaned.asset_id) == (RenditionRole.CLEANED, UUID(bought.asset_id))
    assert probe(studio.file(cleaned.blob_sha256)).duration == pytest.approx(3.0, abs=0.2)
    again = bought.again()
    assert studio.state_of(again, "succeeded").result["cleaned_rendition_id"] == str(cleaned.id)
    assert len(bought.billed()) == 1
    (step,) = studio.steps(again, "clean_clip")
    assert step.reused_from is not None


@pytest.mark.parametrize(
    ("seconds", "fault"), [(3.3, "throttled-wait"), (3.6, "missing-once"), (3.9, "corrupt-once")]
)
def test_trouble_on_the_way_buys_nothing_twice(order, studio, seconds, fault):
    bought = order(seconds, fault)
    studio.state_of(bought.job_id, "succeeded")
    (line,) = bought.billed()
    assert bought.captured() == line["charged"] > 0


def test_what_the_vendor_could_not_do_is_said_and_costs_nothing(order, studio):
    bought = order(4.2, "failed")
    job = studio.until(
        lambda: (seen := studio.job(bought.job_id)).state.value == "failed" and seen, why="the job to fail"
    )
    assert "GhostCut failed" in job.error_message
    assert bought.captured() == 0
    assert [row.state for row in bought.submissions()] == [SubmissionState.FAILED]


def test_an_order_nobody_knows_of_waits_for_a_person_and_is_never_sent_again(order, studio, vendors):
    before = {task["vendor_id"] for task in vendors.bill()["tasks"]}
    bought = order(4.5, "reset-after")
    job = studio.state_of(bought.job_id, "waiting")
    job = studio.until(
        lambda: (seen := studio.job(bought.job_id)).waits_for.value == "reviewer" and seen, why="a person"
    )
    (row,) = bought.submissions()
    assert str(row.id) in job.waits_reason
    (there,) = [task for task in vendors.bill()["tasks"] if task["vendor_id"] not in before]
    answer = studio.post(
        f"/submissions/{row.id}/resolve", {"outcome": "accepted", "vendor_id": there["vendor_id"]}
    )
    assert answer.status_code == 200, answer.text
    studio.state_of(bought.job_id, "succeeded")
    (line,) = bought.billed()
    assert bought.captured() == line["charged"] == 380_000
