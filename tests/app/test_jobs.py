"""Jobs through the door: what is accepted, refused, repeated, watched and stopped."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, event, func, select

from core.briefs import load_params
from core.storage import content_disposition
from db.assets import Clip, RenditionRole
from db.session import reading, transaction
from db.work import Job, JobState, Step, StepState
from services import jobs
from services.events import record
from services.renditions import StoredFile, add_rendition
from tasks import beat
from tests.app.conftest import make_house
from tests.app.seed import seed_house


def count_jobs() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Job))


def test_a_job_is_accepted_with_its_address_and_state(client, film_job):
    answer = client.post("/api/v1/jobs", json=film_job)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    shown = client.get(answer.headers["Location"]).json
    assert shown["kind"] == "film"
    assert shown["cost"] == {"captured": 0, "held": 0, "quoted": 0, "currency": "USD", "others": []}
    assert shown["params"]["size"] == 720
    assert shown["links"]["film"] == f"/api/v1/films/{shown['film_id']}"


def test_a_new_job_shows_the_same_whether_it_is_answered_or_read(client, film_job):
    answered = client.post("/api/v1/jobs", json=film_job | {"gates": ["cut"], "priority": 3}).json
    read = client.get(f"/api/v1/jobs/{answered['id']}").json
    assert read == answered
    assert read["steps"] == []
    assert (read["state"], read["gates"], read["priority"]) == ("queued", ["cut"], 3)


def test_a_job_that_a_worker_was_woken_for_has_its_first_phase(client, film_job):
    job_id = client.post("/api/v1/jobs", json=film_job).json["id"]
    beat.wake_jobs([job_id])
    shown = client.get(f"/api/v1/jobs/{job_id}").json
    assert shown["phase"] == "write"
    assert [step["kind"] for step in shown["steps"]] == ["write_script", "break_down"]


def test_a_film_may_have_the_longest_name(client):
    name = "x" * 300
    answer = client.post("/api/v1/jobs", json={"kind": "film", "params": {"text": "Moon", "title": name}})
    assert answer.status_code == 202, answer.text
    assert client.get(answer.json["links"]["film"]).json["name"] == name


def test_the_kept_addresses_work(client, film_job):
    assert client.post("/api/v1/jobs/submit", json=film_job).status_code == 202
    assert len(client.get("/api/v1/jobs/").json["items"]) == 1


BAD_BRIEFS = {
    "empty brief": ({"text": ""}, "params.text"),
    "blank brief": ({"text": " \n\t "}, "params.text"),
    "no words at all": ({}, "params.text"),
    "1 MB brief": ({"text": "x" * 1_000_000}, "params.text"),
    "text and script": ({"text": "a", "script": "b"}, "params.text"),
    "0-second film": ({"text": "Moon", "target_duration": 0}, "params.target_duration"),
    "unsupported format": ({"text": "Moon", "format": "21:9"}, "params.format"),
    "unsupported size": ({"text": "Moon", "size": 721}, "params.size"),
    "unsupported frame rate": ({"text": "Moon", "fps": 0}, "params.fps"),
    "unknown field": ({"text": "Moon", "colour": "red"}, "params.colour"),
    "unknown provider": ({"text": "Moon", "providers": ["nobody"]}, "params.providers"),
    "unknown model": ({"text": "Moon", "providers": ["kling:kling-9"]}, "params.providers"),
    "unknown routing": ({"text": "Moon", "routing": "dearest"}, "params.routing"),
    "unknown source": ({"text": "Moon", "sources": ["nobody"]}, "params.sources"),
    "music without a piece": ({"text": "Moon", "music": {"from": "asset"}}, "params.music.id"),
    "broken directive": ({"script": "Stars.\n\n[duration: 0]\nMoon."}, "params.script"),
    "500 shots": ({"script": "\n\n".join(f"Shot {n}." for n in range(500))}, "params.script"),
    "number for text": ({"text": 5}, "params.text"),
    "wrong licence class": ({"text": "Moon", "licences": {"allow": ["ANY"]}}, "params.licences.allow.0"),
}


@pytest.mark.parametrize(("params", "field"), BAD_BRIEFS.values(), ids=BAD_BRIEFS.keys())
def test_a_bad_brief_names_its_field_and_leaves_nothing(client, params, field):
    answer = client.post("/api/v1/jobs", json={"kind": "film", "params": params})
    assert answer.status_code == 422, answer.text
    assert field in answer.json["errors"], answer.json
    assert count_jobs() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "opera"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["film"]}, "kind"),
        ({"gates": ["lunch"]}, "gates.0"),
        ({"stop_after": "lunch"}, "stop_after"),
        ({"budget": {"amount": -1}}, "budget.amount"),
        ({"budget": {"amount": 1, "currency": "usd"}}, "budget.currency"),
        ({"budget": {"amount": 1.5}}, "budget.amount"),
        ({"priority": "high"}, "priority"),
        ({"project_id": "mine"}, "project_id"),
        ({"colour": "red"}, "colour"),
        ({"params": None}, "params"),
        ({"params": []}, "params"),
    ],
)
def test_a_bad_job_names_its_field(client, film_job, change, field):
    answer = client.post("/api/v1/jobs", json=film_job | change)
    assert answer.status_code == 422, answer.text
    assert any(name.startswith(field) for name in answer.json["errors"]), answer.json


@pytest.mark.parametrize("script", ["القمر يضيء الليل.", "🌙✨🚀", "月が昇る。"])
def test_scripts_in_any_writing_are_taken(client, script):
    assert client.post("/api/v1/jobs", json={"kind": "film", "params": {"script": script}}).status_code == 202


def test_the_same_key_gives_the_first_answer_again(client, film_job):
    headers = {"Idempotency-Key": "order-1"}
    first = client.post("/api/v1/jobs", json=film_job, headers=headers)
    again = client.post("/api/v1/jobs", json=film_job, headers=headers)
    assert first.status_code == again.status_code == 202
    assert first.json == again.json
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert count_jobs() == 1


def test_the_same_key_with_another_body_is_refused(client, film_job):
    headers = {"Idempotency-Key": "order-1"}
    client.post("/api/v1/jobs", json=film_job, headers=headers)
    film_job["params"]["fps"] = 24
    answer = client.post("/api/v1/jobs", json=film_job, headers=headers)
    assert answer.status_code == 409
    assert answer.json["code"] == "idempotency_key_reused"


def test_a_refused_request_does_not_use_its_key_up(client, film_job):
    headers = {"Idempotency-Key": "order-1"}
    assert client.post("/api/v1/jobs", json={"kind": "film"}, headers=headers).status_code == 422
    assert client.post("/api/v1/jobs", json=film_job, headers=headers).status_code == 202


def test_keys_of_two_workspaces_do_not_meet(client, other, film_job):
    headers = {"Idempotency-Key": "order-1"}
    mine = client.post("/api/v1/jobs", json=film_job, headers=headers).json["id"]
    theirs = other.client.post("/api/v1/jobs", json=film_job, headers=headers).json["id"]
    assert mine != theirs


def test_eight_equal_requests_at_once_make_one_job(app, house, film_job):
    answers = []

    def send():
        client = app.test_client()
        answers.append(
            client.post(
                "/api/v1/jobs", json=film_job, headers={"X-API-Key": house.key, "Idempotency-Key": "rush"}
            )
        )

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [a.status_code for a in answers] == [202] * 8
    assert len({a.json["id"] for a in answers}) == 1
    assert sum("Idempotency-Replayed" not in a.headers for a in answers) == 1
    assert count_jobs() == 1


@pytest.mark.parametrize("key", ["", "a" * 256, "two words"])
def test_an_unusable_key_is_refused(client, film_job, key):
    answer = client.post("/api/v1/jobs", json=film_job, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json["errors"]


def test_jobs_are_filtered_by_state_kind_project_and_time(client, house, film_job):
    ids = seed_house(house)
    plain = client.post("/api/v1/jobs", json=film_job).json
    by_project = client.get(f"/api/v1/jobs?project_id={ids['project_id']}").json["items"]
    assert [item["id"] for item in by_project] == [str(ids["job_id"])]
    assert "steps" not in by_project[0]
    assert client.get("/api/v1/jobs?kind=scrape").json["items"] == []
    waiting = client.get("/api/v1/jobs?state=waiting").json["items"]
    assert [item["id"] for item in waiting] == [str(ids["job_id"])]
    assert waiting[0]["approvals"][0]["gate"] == "script"
    later = client.get("/api/v1/jobs", query_string={"created_after": plain["created_at"]}).json["items"]
    assert [item["id"] for item in later] == [plain["id"]]
    assert client.get("/api/v1/jobs?created_after=yesterday").status_code == 422


def test_a_job_has_an_etag_that_changes_with_it(client, house):
    job_id = seed_house(house)["job_id"]
    address = f"/api/v1/jobs/{job_id}"
    tag = client.get(address).headers["ETag"]
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
    with transaction() as session:
        record(session, workspace_id=house.workspace_id, job_id=job_id, kind="note")
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 200


def test_a_long_poll_answers_when_something_happens(client, house):
    job_id = seed_house(house)["job_id"]

    def act():
        time.sleep(0.3)
        with transaction() as session:
            record(session, workspace_id=house.workspace_id, job_id=job_id, kind="note")

    before = client.get(f"/api/v1/jobs/{job_id}").json["last_event"]
    thread = threading.Thread(target=act)
    thread.start()
    began = time.monotonic()
    answer = client.get(f"/api/v1/jobs/{job_id}?wait=20")
    assert 0.2 < time.monotonic() - began < 10
    assert answer.json["last_event"] == before + 1
    thread.join()


def test_a_long_poll_does_not_wait_for_an_ended_job(client, house):
    job_id = seed_house(house)["job_id"]
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    assert client.get(f"/api/v1/jobs/{job_id}").json["state"] == "cancelled"
    began = time.monotonic()
    assert client.get(f"/api/v1/jobs/{job_id}?wait=20").status_code == 200
    assert time.monotonic() - began < 5


def test_a_long_poll_and_a_stream_tell_of_progress_too(app, client, film_job):
    job_id = client.post("/api/v1/jobs", json=film_job).json["id"]
    beat.wake_jobs([job_id])

    def work():
        time.sleep(0.3)
        with transaction() as session:
            step = session.scalars(
                select(Step).where(Step.job_id == job_id, Step.kind == "write_script")
            ).one()
            step.state, step.attempt, step.progress = StepState.RUNNING, 1, 0.9
            step.weight, step.lease_until = 1000.0, func.now() + timedelta(seconds=60)

    before = client.get(f"/api/v1/jobs/{job_id}").json
    thread = threading.Thread(target=work)
    thread.start()
    began = time.monotonic()
    after = client.get(f"/api/v1/jobs/{job_id}?wait=20").json
    assert time.monotonic() - began < 10
    thread.join()
    assert after["last_event"] == before["last_event"]
    assert after["progress"] > before["progress"]
    app.config["STREAM_SECONDS"] = 0.2
    messages = read_stream(
        client.get(f"/api/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    )
    told = json.loads(next(m["data"] for m in messages if m.get("event") == "progress"))
    assert (told["phase"], told["progress"]) == ("write", round(after["progress"], 3))


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "long"])
def test_a_wait_out_of_range_is_refused(client, house, wait):
    job_id = seed_house(house)["job_id"]
    assert client.get(f"/api/v1/jobs/{job_id}?wait={wait}").status_code == 422


def test_events_are_listed_after_a_number(client, house):
    job_id = seed_house(house)["job_id"]
    first = client.get(f"/api/v1/jobs/{job_id}/events").json
    assert [event["id"] for event in first["items"]] == list(range(1, first["after_id"] + 1))
    rest = client.get(f"/api/v1/jobs/{job_id}/events?after_id={first['after_id']}").json
    assert rest == {"items": [], "after_id": first["after_id"]}


def read_stream(answer):
    blocks = [b for b in answer.get_data(as_text=True).split("\n\n") if b]
    return [dict(line.split(": ", 1) for line in b.splitlines()) for b in blocks if not b.startswith(":")]


def test_a_stream_carries_events_and_ends_with_the_job(client, house):
    job_id = seed_house(house)["job_id"]
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    answer = client.get(f"/api/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    assert answer.mimetype == "text/event-stream"
    messages = read_stream(answer)
    assert messages[0] == {"retry": "2000"}
    assert messages[-1]["event"] == "end"
    numbers = [int(m["id"]) for m in messages if "id" in m]
    assert numbers == list(range(1, len(numbers) + 1))
    assert json.loads(messages[1]["data"])["type"] == "job.queued"


def test_a_stream_goes_on_after_the_last_event_seen(client, house):
    job_id = seed_house(house)["job_id"]
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "2"}
    messages = read_stream(client.get(f"/api/v1/jobs/{job_id}/events", headers=headers))
    assert next(m["id"] for m in messages if "id" in m) == "3"
    headers["Last-Event-ID"] = "two"
    assert client.get(f"/api/v1/jobs/{job_id}/events", headers=headers).status_code == 422


def test_a_quiet_stream_says_that_it_lives_and_is_bounded(app, client, house):
    job_id = seed_house(house)["job_id"]
    app.config["STREAM_SECONDS"] = 0.4
    answer = client.get(f"/api/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    assert ": still here\n\n" in answer.get_data(as_text=True)


def test_open_streams_are_counted_per_workspace_and_given_back(app, client, house):
    job_id = seed_house(house)["job_id"]
    places = app.extensions["places"]
    share = app.config["STREAMS_PER_WORKSPACE"]
    for _ in range(share):
        places.take(house.workspace_id)
    answer = client.get(f"/api/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 429
    assert answer.json["code"] == "too_many_streams"
    assert answer.headers["Retry-After"] == "5"
    for _ in range(share):
        places.leave(house.workspace_id)
    app.config["STREAM_SECONDS"] = 0.05
    for _ in range(share + 1):
        open_stream = client.get(f"/api/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
        open_stream.get_data()
        assert open_stream.status_code == 200


def test_cancelling_twice_is_fine_and_an_ended_job_can_be_deleted(client, house):
    job_id = seed_house(house)["job_id"]
    assert client.delete(f"/api/v1/jobs/{job_id}").status_code == 409
    assert client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    assert client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    assert client.delete(f"/api/v1/jobs/{job_id}").status_code == 204
    assert client.get(f"/api/v1/jobs/{job_id}").status_code == 404


def test_only_an_ended_job_can_be_retried(client, house):
    job_id = seed_house(house)["job_id"]
    answer = client.post(f"/api/v1/jobs/{job_id}/retry")
    assert answer.status_code == 409
    assert "waiting" in answer.json["detail"]
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    assert client.post(f"/api/v1/jobs/{job_id}/retry").status_code == 202
    assert client.get(f"/api/v1/jobs/{job_id}").json["state"] in {"running", "waiting"}


def test_the_manifest_names_the_brief(client, house):
    job_id = seed_house(house)["job_id"]
    manifest = client.get(f"/api/v1/jobs/{job_id}/manifest").json
    assert manifest["job"]["params"]["title"] == "Up"


def test_a_finished_film_offers_signed_downloads(client, house):
    ids = seed_house(house)
    with transaction() as session:
        for role, name in (("master", "up.mp4"), ("export", "up.srt"), ("export", "up.vtt")):
            sha = name.encode().hex().zfill(64)
            stored = StoredFile(sha, 4, "video/mp4", f"blobs/{sha[:2]}/{sha[2:4]}/{sha}", name)
            add_rendition(
                session,
                workspace_id=house.workspace_id,
                asset_id=ids["film_id"],
                role=RenditionRole(role),
                stored=stored,
            )
    downloads = client.get(f"/api/v1/jobs/{ids['job_id']}").json["downloads"]
    assert set(downloads) == {"master", "up.srt", "up.vtt"}
    assert all("signature=" in url for url in downloads.values())
    assert client.get("/api/v1/jobs").json["items"][0]["downloads"].keys() == downloads.keys()


def test_a_clean_clip_is_saved_by_the_name_of_what_was_sent_and_each_job_has_its_own(client, house):
    ids = seed_house(house)
    ask = {"asset_id": str(ids["asset_id"]), "regions": [{"x": 0, "y": 0, "width": 1, "height": 0.1}]}
    one, two = (client.post("/api/v1/jobs", json={"kind": "text_removal", "params": ask}).json for _ in "12")
    assert one["display_name"] == "moon.mp4"
    assert client.get(f"/api/v1/jobs/{one['id']}/download").status_code == 409
    with transaction() as session:
        session.get_one(Clip, ids["asset_id"]).name = 'Mond über "Köln".MOV'
        for job in (one, two):
            sha = job["id"].replace("-", "") * 2
            stored = StoredFile(sha, 4, "video/mp4", f"blobs/{sha[:2]}/{sha[2:4]}/{sha}", "cleaned.mp4")
            made = add_rendition(
                session,
                workspace_id=house.workspace_id,
                asset_id=ids["asset_id"],
                role=RenditionRole.CLEANED,
                stored=stored,
            )
            row = session.get_one(Job, job["id"])
            row.result = {"cleaned_rendition_id": str(made.id)}
            row.state, row.finished_at = JobState.SUCCEEDED, func.now()
    links = {
        job["id"]: job["downloads"] for job in client.get("/api/v1/jobs?kind=text_removal").json["items"]
    }
    assert {name for files in links.values() for name in files} == {"cleaned"}
    assert links[one["id"]]["cleaned"] != links[two["id"]]["cleaned"]
    saved = client.get(f"/api/v1/jobs/{one['id']}/download").headers["Location"]
    named = parse_qs(urlsplit(saved).query)["filename"]
    assert named == ['Mond über "Köln" (clean).mp4']
    header = content_disposition(named[0])
    assert header.startswith('attachment; filename="Mond _ber _K_ln_ (clean).mp4"; ')
    assert header.endswith("filename*=UTF-8''Mond%20%C3%BCber%20%22K%C3%B6ln%22%20%28clean%29.mp4")
    assert client.get(f"/api/v1/jobs/{one['id']}/download?file=master").status_code == 404


def test_a_name_and_a_time_limit_may_be_given_and_are_shown(client, film_job):
    shown = client.post(
        "/api/v1/jobs", json=film_job | {"display_name": "Tuesday", "timeout_minutes": 90}
    ).json
    assert (shown["display_name"], shown["timeout_minutes"]) == ("Tuesday", 90.0)
    assert shown["deadline_at"] > shown["created_at"]
    assert (shown["estimated_credits"], shown["actual_credits_used"]) == (0, 0)
    plain = client.post("/api/v1/jobs", json=film_job).json
    assert (plain["display_name"], plain["deadline_at"]) == ("Up", None)
    bought = {"kind": "film", "params": {"text": "Moon", "providers": ["kling"]}}
    assert client.post("/api/v1/jobs", json=bought).json["estimated_credits"] is None
    assert client.post("/api/v1/jobs", json=film_job | {"timeout_minutes": 0}).status_code == 422


@contextmanager
def statements():
    """What is sent to the database meanwhile, from whichever pool."""
    sent = []

    def note(_connection, _cursor, statement, *_):
        if not statement.startswith("PREPARE"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_list_of_jobs_costs_the_same_number_of_queries_however_long(client, house):
    counts = []
    for _ in range(2):
        for _ in range(3):
            seed_house_job(house)
        with statements() as sent:
            client.get("/api/v1/jobs?limit=200")
        counts.append(len(sent))
    assert counts[0] == counts[1] > 1


def test_a_new_job_is_written_and_read_with_few_statements(client, film_job):
    with statements() as sent:
        address = client.post("/api/v1/jobs", json=film_job).headers["Location"]
    assert len(sent) == 2, sent  # the key; film, job and the line in the audit log
    with statements() as sent:
        client.get(address)
    assert len(sent) <= 3, sent  # the key, the job with what hangs on it, its progress


def seed_house_job(house):
    with transaction() as session:
        jobs.submit_job(
            session,
            workspace_id=house.workspace_id,
            user_id=house.user_id,
            kind="film",
            params=load_params("film", {"text": "Moon"}),
        )


def test_approving_through_the_api_lets_the_job_go_on(app, film_job):
    house = make_house(app, "Gatekeeper")
    ids = seed_house(house)
    pending = house.client.get("/api/v1/approvals/pending").json["items"]
    assert [p["id"] for p in pending] == [str(ids["approval_id"])]
    address = f"/api/v1/approvals/{ids['approval_id']}/respond"
    assert house.client.post(address, json={"verb": "shrug"}).status_code == 422
    assert house.client.post(address, json={"verb": "edit", "edit": {}}).status_code == 422
    answer = house.client.post(address, json={"verb": "approve"})
    assert answer.status_code == 200, answer.text
    assert answer.json["state"] == "answered"
    assert house.client.post(address, json={"verb": "approve"}).status_code == 409
    assert house.client.get("/api/v1/approvals/pending").json["items"] == []


def test_a_quote_prices_each_shot_without_starting_anything(client, film_job):
    answer = client.post("/api/v1/quotes", json=film_job)
    assert answer.status_code == 200, answer.text
    assert answer.json["amount"] == 0
    assert {line["subject"] for line in answer.json["lines"]} >= {"shot 1", "shot 2"}
    assert count_jobs() == 0
