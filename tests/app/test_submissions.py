"""Submissions over the API: seen by those who pay, resolved by a person once."""

from __future__ import annotations

import pytest

from db.session import transaction
from db.submissions import Submission, SubmissionState
from services.submissions import in_seconds
from tests.app.seed import seed_house


@pytest.fixture
def seeded(house):
    return seed_house(house)


def resolve(house, seeded, body, **headers):
    return house.client.post(
        f"/api/v1/submissions/{seeded['submission_id']}/resolve", json=body, headers=headers
    )


def test_a_list_tells_what_was_asked_of_vendors(house, seeded):
    shown = house.client.get(
        f"/api/v1/submissions?state=unconfirmed&provider=kling&job_id={seeded['job_id']}"
    )
    (item,) = shown.json["items"]
    assert item["id"] == str(seeded["submission_id"])
    assert (item["provider"], item["state"], item["vendor_id"]) == ("kling", "unconfirmed", None)
    assert item["routing"]["policy"] == "fixed"
    assert house.client.get(f"/api/v1/submissions/{seeded['submission_id']}").json == item
    assert house.client.get("/api/v1/submissions?state=running").json["items"] == []
    assert house.client.get("/api/v1/submissions?state=lost").status_code == 422


def test_a_job_shows_what_vendors_may_still_answer_and_no_more(house, seeded):
    address = f"/api/v1/jobs/{seeded['job_id']}"
    (shown,) = house.client.get(address).json["submissions"]
    assert shown["id"] == str(seeded["submission_id"])
    assert resolve(house, seeded, {"outcome": "abandoned"}).status_code == 200
    assert house.client.get(address).json["submissions"] == []


def test_a_person_says_once_what_became_of_it(house, seeded):
    body = {"outcome": "accepted", "vendor_id": "8412"}
    first = resolve(house, seeded, body, **{"Idempotency-Key": "one"})
    assert first.status_code == 200, first.text
    assert (first.json["state"], first.json["vendor_id"]) == ("submitted", "8412")
    again = resolve(house, seeded, body, **{"Idempotency-Key": "one"})
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    late = resolve(house, seeded, {"outcome": "abandoned"})
    assert (late.status_code, late.json["code"]) == (409, "conflict")
    done = house.client.get("/api/v1/activities").json["items"]
    assert "submission.resolved" in {item["action"] for item in done}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"outcome": "lost"}, "outcome"),
        ({"outcome": "accepted"}, "vendor_id"),
        ({"outcome": "abandoned", "vendor_id": "1"}, "vendor_id"),
        ({"outcome": "accepted", "vendor_id": "1", "cost": 5}, "cost"),
        ({"outcome": "accepted", "vendor_id": "1", "cost": -1}, "cost"),
        ({}, "outcome"),
    ],
)
def test_a_resolution_that_makes_no_sense_names_its_field(house, seeded, body, field):
    answer = resolve(house, seeded, body)
    assert answer.status_code == 422
    assert field in str(answer.json["errors"])


def test_what_a_machine_can_find_out_no_person_resolves(house, seeded):
    with transaction() as session:
        row = session.get_one(Submission, seeded["submission_id"])
        row.state, row.vendor_id, row.next_poll_at = SubmissionState.RUNNING, "1", in_seconds(1)
    answer = resolve(house, seeded, {"outcome": "abandoned"})
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert "is running" in answer.json["detail"]
