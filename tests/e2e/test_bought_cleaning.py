"""Text removed by a vendor, with real workers and beat: paid once, at what the vendor charged."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from db.assets import Rendition, RenditionRole
from db.submissions import Submission, SubmissionState
from media.probe import probe
from tests.burnt import burnt
from tests.e2e.conftest import Studio
from tests.e2e.test_clean_clips import SAID, report_of
from tests.e2e.test_other_jobs import upload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


class Order:
    """Jobs that have clips cleaned by GhostCut; each clip is as long as no other, so that it is told apart."""

    def __init__(self, studio: Studio, vendors, folder, seconds: float, **asked) -> None:
        self.studio, self.vendors, self.seconds = studio, vendors, seconds
        path = burnt(folder / f"{seconds}.mp4", (SAID, 0.0, seconds), seconds=seconds)
        self.asset_id = upload(studio, path, "video/mp4")["asset_id"]
        self.job_id = self.again(**asked)

    def again(self, **more) -> UUID:
        asked = {"asset_id": self.asset_id, "method": "ghostcut", "accept_unknown_prices": True}
        return self.studio.submit("text_removal", {**asked, **more})

    def failed(self):
        """The job once it has failed."""

        def look():
            job = self.studio.job(self.job_id)
            return job if job.state.value == "failed" else None

        return self.studio.until(look, why="the job to fail")

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
    def place(seconds: float, *faults: str, **asked) -> Order:
        if faults:
            vendors.order(*faults, vendor="ghostcut")
        return Order(studio, vendors, tmp_path, seconds, **asked)

    return place


def test_a_clip_is_cleaned_by_a_vendor_read_again_and_costs_what_it_charged(order, studio):
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
    assert (job.result["clean"], job.result["method"], job.warnings) == (True, "ghostcut", [])
    report = report_of(studio, job)
    assert report["found"]["texts"][0]["words"] == SAID
    assert report["attempts"][0]["proof"]["residue_chars"] == 0
    assert report["cost"] == [{"amount": 250_000, "currency": "PTS"}]
    again = bought.again()
    assert studio.state_of(again, "succeeded").result["cleaned_rendition_id"] == str(cleaned.id)
    assert len(bought.billed()) == 1
    (step,) = studio.steps(again, "order_clip")
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
    assert "GhostCut failed" in bought.failed().error_message
    assert bought.captured() == 0
    assert [row.state for row in bought.submissions()] == [SubmissionState.FAILED]


def test_text_that_a_vendor_leaves_is_said_and_the_file_is_kept_for_it_was_paid(order, studio):
    bought = order(4.8, "untouched")
    job = studio.state_of(bought.job_id, "succeeded")
    assert (job.result["clean"], [warning["code"] for warning in job.warnings]) == (False, ["text_left"])
    (attempt,) = report_of(studio, job)["attempts"]
    assert attempt["proof"]["residue_chars"] > 10
    assert bought.captured() == 400_000
    bought.job_id = bought.again(strict=True)
    assert bought.failed().error_code == "text_left"
    assert bought.submissions() == []


def test_an_account_without_points_is_told_and_what_is_locked_there_is_never_ordered_again(order, studio):
    bought = order(5.1, "locked")
    assert "Top up" in bought.failed().error_message
    assert studio.post(f"/jobs/{bought.job_id}/retry").status_code == 202
    assert "Nothing is ordered a second time" in bought.failed().error_message
    assert (len(bought.submissions()), bought.captured()) == (1, 0)
    poor = order(5.4, "no-points")
    assert "Top up" in poor.failed().error_message
    assert (len(poor.submissions()), poor.captured()) == (1, 0)


def test_workers_killed_between_the_steps_of_an_order_buy_it_once(order, studio):
    bought = order(5.7)
    studio.until(bought.submissions, why="the order")
    for name in ("worker-io", "worker-media"):
        studio.stack.kill(name)
        studio.stack.start(name)
    job = studio.state_of(bought.job_id, "succeeded", seconds=150)
    assert job.result["clean"] is True
    (line,) = bought.billed()
    assert bought.captured() == line["charged"] > 0


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
