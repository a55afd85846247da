"""Schedules over HTTP: written, shown, edited by two, paused, run out of turn."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import func, select

from db.session import reading
from db.work import Job


@pytest.fixture
def daily(film_job):
    return {"name": "Daily", "cron": "30 6 * * MON-FRI", "time_zone": "Europe/Berlin", "job": film_job}


def make(client, body):
    answer = client.post("/api/v1/schedules", json=body)
    assert answer.status_code == 201, answer.text
    return answer


def test_a_schedule_is_made_and_shows_its_next_five_times(client, daily):
    made = make(client, daily)
    shown = client.get(made.headers["Location"])
    assert shown.json == made.json | {"next_times": shown.json["next_times"]}
    times = [datetime.fromisoformat(t) for t in shown.json["next_times"]]
    assert len(times) == 5
    assert times == sorted(set(times))
    assert datetime.fromisoformat(shown.json["next_run_at"]) == times[0]
    assert {t.weekday() for t in times} == {0, 1, 2, 3, 4}
    assert shown.json["job"]["params"]["fps"] == 30
    assert (shown.json["catch_up"], shown.json["paused"], shown.json["last_job_id"]) == ("skip", False, None)
    listed = client.get("/api/v1/schedules").json["items"]
    assert [row["id"] for row in listed] == [made.json["id"]]


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"cron": "61 * * * *"}, "cron", "minute '61'"),
        ({"cron": "0 0 31 2 *"}, "cron", "never"),
        ({"time_zone": "Europe/Berlinn"}, "time_zone", "Europe/Berlin"),
        ({"catch_up": "all"}, "catch_up", "skip, once"),
        ({"name": ""}, "name", "Length"),
        ({"paused": "yes"}, "paused", "boolean"),
    ],
)
def test_a_wrong_field_is_named(client, daily, change, field, word):
    answer = client.post("/api/v1/schedules", json=daily | change)
    assert answer.status_code == 422
    assert word in str(answer.json["errors"][field])


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({"kind": "opera"}, "job"),
        ({"kind": "film", "params": {}}, "job"),
        ({"kind": "film", "params": {"text": "x", "narrator": "nobody"}}, "job.params"),
        ({"kind": "scrape", "params": {"words": ["x"]}, "gates": ["cut"]}, "job"),
        ({"kind": "film", "params": {"text": "x"}, "gates": ["lunch"]}, "job"),
    ],
)
def test_a_job_is_judged_as_a_submission_is(client, daily, job, field):
    assert client.post("/api/v1/jobs", json=job).status_code == 422
    answer = client.post("/api/v1/schedules", json=daily | {"job": job})
    assert answer.status_code == 422
    assert all(name.startswith(field) for name in answer.json["errors"])


def test_a_job_for_a_foreign_project_is_refused(client, other, daily, film_job):
    foreign = other.client.post("/api/v1/projects", json={"name": "Theirs"}).json["id"]
    body = daily | {"job": film_job | {"project_id": foreign}}
    assert client.post("/api/v1/schedules", json=body).status_code == 404


def test_of_two_editors_the_second_is_told_to_read_again(client, daily):
    made = make(client, daily)
    address, seen = made.headers["Location"], made.headers["ETag"]
    changed = client.patch(address, json={"cron": "0 7 * * *"}, headers={"If-Match": seen})
    assert changed.status_code == 200
    assert changed.json["next_run_at"] == changed.json["next_times"][0] != made.json["next_run_at"]
    late = client.patch(address, json={"name": "x"}, headers={"If-Match": seen})
    assert (late.status_code, late.json["code"]) == (412, "stale_revision")
    assert client.delete(address, headers={"If-Match": seen}).status_code == 412
    assert client.delete(address, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
    assert client.get(address).status_code == 404


def test_an_edit_that_names_no_time_leaves_the_next_time(client, daily):
    made = make(client, daily)
    changed = client.patch(made.headers["Location"], json={"name": "Other", "catch_up": "once"}).json
    assert (changed["name"], changed["catch_up"]) == ("Other", "once")
    assert changed["next_run_at"] == made.json["next_run_at"]
    bad = client.patch(made.headers["Location"], json={"cron": "x"})
    assert bad.status_code == 422


def test_a_paused_schedule_has_no_next_time_until_it_is_resumed(client, daily):
    made = make(client, daily)
    address = made.headers["Location"]
    for _ in range(2):
        paused = client.post(f"{address}/pause").json
        assert (paused["paused"], paused["next_run_at"], paused["revision"]) == (True, None, 2)
    assert len(paused["next_times"]) == 5
    assert client.patch(address, json={"cron": "0 7 * * *"}).json["next_run_at"] is None
    resumed = client.post(f"{address}/resume").json
    assert resumed["next_run_at"] == resumed["next_times"][0]


def test_run_now_submits_one_job_per_key_and_leaves_the_rhythm(client, daily):
    made = make(client, daily)
    address = made.headers["Location"]
    first = client.post(f"{address}/run", headers={"Idempotency-Key": "a"})
    again = client.post(f"{address}/run", headers={"Idempotency-Key": "a"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json["id"] == again.json["id"]
    assert client.get(first.headers["Location"]).status_code == 200
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1
    shown = client.get(address).json
    assert shown["next_run_at"] == made.json["next_run_at"]
    assert shown["last_job_id"] == first.json["id"]
    (run,) = client.get(f"{address}/runs").json["items"]
    assert (run["due_at"], run["outcome"], run["job_id"]) == (None, "submitted", first.json["id"])


def test_runs_are_paged_newest_first(client, daily):
    address = make(client, daily | {"paused": True}).headers["Location"]
    jobs = [client.post(f"{address}/run").json["id"] for _ in range(3)]
    page = client.get(f"{address}/runs?limit=2").json
    rest = client.get(f"{address}/runs?limit=2&cursor={page['next_cursor']}").json
    assert [run["job_id"] for run in page["items"] + rest["items"]] == jobs[::-1]
    assert rest["next_cursor"] is None


def test_a_deleted_schedule_leaves_its_jobs(client, daily):
    address = make(client, daily).headers["Location"]
    job = client.post(f"{address}/run").headers["Location"]
    assert client.delete(address).status_code == 204
    assert client.get(job).status_code == 200
