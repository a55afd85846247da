"""Narrations bought from a vendor with real workers: each is paid once, whatever goes wrong on the way."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select

from db.submissions import Submission
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_numbers = itertools.count(1)


class Order:
    """A film of two shots that is spoken by OpenAI's simulated voice; a word of its own tells it apart."""

    def __init__(self, studio: Studio, vendors, fault: str = "") -> None:
        self.studio, self.vendors, self.word = studio, vendors, f"Narration{next(_numbers)}"
        if fault:
            vendors.order(fault, vendor="openai_speech")
        words = f"# Spoken\n\n{self.word} begins here.\n\n{self.word} ends here."
        self.job_id = studio.film(
            words, narrator="openai_speech", voice="coral", sources=[], stop_after="source"
        )

    def billed(self):
        return self.vendors.bought(self.word)

    def captured(self) -> int:
        return self.studio.captured(self.job_id)

    def submissions(self) -> list[Submission]:
        with self.studio.rows() as session:
            query = select(Submission).where(Submission.job_id == self.job_id)
            return list(session.scalars(query.order_by(Submission.created_at)))


@pytest.mark.parametrize("fault", ["", "throttled-wait"])
def test_a_narration_costs_what_the_vendor_bills(studio, vendors, fault):
    order = Order(studio, vendors, fault)
    studio.state_of(order.job_id, "succeeded")
    assert len(order.billed()) == 2
    assert order.captured() == sum(task["charged"] for task in order.billed()) > 0
    assert studio.get(f"/jobs/{order.job_id}")["cost"]["captured"] == order.captured()
    for step in studio.steps(order.job_id, "narrate"):
        assert step.result["stored"]["facts"]["provider"] == "openai_speech"
        assert step.result["words"][0][0].startswith("Narration")


def test_a_narration_nobody_knows_of_waits_for_a_person_and_is_paid_as_the_vendor_billed_it(studio, vendors):
    order = Order(studio, vendors, "reset-after")
    job = studio.until(
        lambda: (seen := studio.job(order.job_id)).state.value == "failed" and seen, why="the job to stop"
    )
    assert job.error_code == "unconfirmed"
    assert len(order.billed()) == 2
    (lost,) = [row for row in order.submissions() if row.state.value == "unconfirmed"]
    assert str(lost.id) in {one["id"] for one in studio.get("/submissions?state=unconfirmed")["items"]}
    assert studio.post(f"/jobs/{order.job_id}/retry").status_code == 202
    studio.until(lambda: studio.job(order.job_id).state.value == "failed", why="the job to stop again")
    assert len(order.billed()) == 2, "a retry alone buys nothing of which nobody knows"
    said = {"outcome": "accepted", "vendor_id": "req-1"}
    answer = studio.post(f"/submissions/{lost.id}/resolve", said)
    assert answer.status_code == 200, answer.text
    assert studio.post(f"/jobs/{order.job_id}/retry").status_code == 202
    studio.state_of(order.job_id, "succeeded")
    assert len(order.billed()) == 3
    assert order.captured() == sum(task["charged"] for task in order.billed())
