"""What holds for every address: keys, problems, ids of requests, limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app import create_app
from core.settings import Settings, get_settings
from db import session as db_session
from db.session import transaction
from services.accounts import create_key, revoke_key
from tests.app.conftest import KeyedClient, make_house

PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


def check_problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    assert set(answer.json) >= PROBLEM_FIELDS
    assert answer.json["code"] == code
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_a_call_without_a_key_is_told_how_to_send_one(anonymous):
    answer = anonymous.get("/api/v1/jobs")
    check_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")


def test_a_key_works_in_either_header(anonymous, house):
    assert anonymous.get("/api/v1/jobs", headers={"X-API-Key": house.key}).status_code == 200
    bearer = {"Authorization": f"Bearer {house.key}"}
    assert anonymous.get("/api/v1/jobs", headers=bearer).status_code == 200


@pytest.mark.parametrize("key", ["cs_00000000_x", "", "Ω", "' OR 1=1 --"])
def test_an_unknown_key_is_refused(anonymous, key):
    check_problem(anonymous.get("/api/v1/jobs", headers={"X-API-Key": key.encode()}), 401, "unauthenticated")


def test_expired_and_revoked_keys_are_refused(anonymous, house):
    with transaction() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        _, expired = create_key(
            session, house.workspace_id, house.user_id, name="old", scopes=["read"], expires_at=past
        )
        row, revoked = create_key(session, house.workspace_id, house.user_id, name="gone", scopes=["read"])
        revoke_key(session, house.workspace_id, row.id)
    for key in (expired, revoked):
        check_problem(anonymous.get("/api/v1/jobs", headers={"X-API-Key": key}), 401, "unauthenticated")


def test_scopes_follow_the_method(app, film_job):
    reader = make_house(app, "Reader", scopes=["read"]).client
    assert reader.get("/api/v1/jobs").status_code == 200
    check_problem(reader.post("/api/v1/jobs", json=film_job), 403, "forbidden")
    writer = make_house(app, "Writer", scopes=["read", "write"]).client
    assert writer.post("/api/v1/jobs", json=film_job).status_code == 202
    check_problem(writer.get("/api/v1/api-keys"), 403, "forbidden")
    check_problem(writer.get("/api/v1/metrics"), 403, "forbidden")


def test_an_address_that_does_not_exist_is_a_problem(anonymous):
    check_problem(anonymous.get("/api/v1/nothing"), 404, "not_found")


def test_a_wrong_method_names_the_right_ones(client):
    answer = client.put("/api/v1/jobs", json={})
    check_problem(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("body", "mime", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"", "application/json", 400, "malformed"),
        (b"\xff\xfe", "application/json", 400, "malformed"),
        (b'{"name": NaN}', "application/json", 400, "malformed"),
        (b'{"name": "\\u0000"}', "application/json", 400, "malformed"),
        (b'{"name": "\\ud800"}', "application/json", 400, "malformed"),
        (b'{"name": 1' + b"0" * 5000 + b"}", "application/json", 400, "malformed"),
        (b"[" * 100_000, "application/json", 400, "malformed"),
        (b"name=Moon", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"name": "Moon"}', "text/plain", 415, "unsupported_media_type"),
        (b"[]", "application/json", 422, "invalid"),
        (b'"Moon"', "application/json", 422, "invalid"),
    ],
)
def test_bodies_that_are_no_body_are_told_apart(client, body, mime, status, code):
    check_problem(client.post("/api/v1/projects", data=body, content_type=mime), status, code)


def test_a_body_beyond_the_limit_is_413(client):
    answer = client.post("/api/v1/projects", json={"name": "x", "description": "y" * 5_000_000})
    check_problem(answer, 413, "too_large")


def test_unknown_fields_are_refused_by_name_in_body_and_query(client):
    answer = client.post("/api/v1/projects", json={"name": "Moon", "colour": "red"})
    check_problem(answer, 422, "invalid")
    assert answer.json["errors"] == {"colour": ["Unknown field."]}
    answer = client.get("/api/v1/projects?colour=red")
    check_problem(answer, 422, "invalid")
    assert "colour" in answer.json["errors"]


def test_a_request_id_is_taken_over_or_made(client):
    assert client.get("/api/v1/jobs", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    made = client.get("/api/v1/jobs", headers={"X-Request-ID": "no spaces here"}).headers["X-Request-ID"]
    assert made
    assert " " not in made


def test_answers_say_how_long_they_took(client):
    assert client.get("/api/v1/jobs").headers["Server-Timing"].startswith("app;dur=")


def test_a_bug_tells_the_client_nothing_but_the_request_id(settings):
    app = create_app(settings)

    def break_down():
        raise RuntimeError("secret detail")

    break_down._scope = None
    app.add_url_rule("/broken", view_func=break_down)
    answer = app.test_client().get("/broken")
    check_problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_a_database_that_is_away_is_503_with_retry_after(app, house, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:9/none")
    db_session.reset()
    get_settings.cache_clear()
    answer = house.client.get("/api/v1/jobs")
    check_problem(answer, 503, "database_unavailable")
    assert answer.headers["Retry-After"].isdecimal()
    assert "nobody" not in answer.text


def test_browsers_of_other_origins_are_let_in_by_setting_only(settings):
    closed = create_app(settings).test_client()
    origin = {"Origin": "https://studio.example"}
    assert "Access-Control-Allow-Origin" not in closed.get("/api/v1/health", headers=origin).headers
    opened = create_app(settings.model_copy(update={"cors_origins": "https://studio.example"})).test_client()
    answer = opened.get("/api/v1/health", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://studio.example"
    strange = opened.get("/api/v1/health", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in strange.headers
    preflight = opened.options("/api/v1/jobs", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]


def test_production_without_a_secret_refuses_to_sign(settings, house):
    bare = Settings(**{**settings.model_dump(), "secret_key": None, "callsheet_env": "production"})
    app = create_app(bare)
    app.test_client_class = KeyedClient
    client = app.test_client()
    client.key = house.key
    for number in range(2):
        house.client.post("/api/v1/projects", json={"name": f"Project {number}"})
    check_problem(client.get("/api/v1/projects?limit=1"), 503, "misconfigured")


def test_lists_are_paged_to_the_end_without_gaps(client):
    names = [f"Project {number}" for number in range(5)]
    for name in names:
        assert client.post("/api/v1/projects", json={"name": name}).status_code == 201
    seen, address = [], "/api/v1/projects?limit=2&sort=created"
    while address:
        page = client.get(address)
        seen += [item["name"] for item in page.json["items"]]
        link = page.headers.get("Link")
        assert (link is None) == (page.json["next_cursor"] is None)
        address = link and link.partition(">")[0].lstrip("<")
    assert seen == names
    assert [p["name"] for p in client.get("/api/v1/projects").json["items"]] == names[::-1]


def test_a_cursor_is_good_only_unchanged_and_for_its_own_list(client):
    for number in range(3):
        client.post("/api/v1/projects", json={"name": f"Project {number}"})
    cursor = client.get("/api/v1/projects?limit=1").json["next_cursor"]
    assert client.get(f"/api/v1/projects?limit=1&cursor={cursor}").status_code == 200
    for address in (
        f"/api/v1/projects?cursor={cursor[:-2]}xx",
        f"/api/v1/projects?cursor={cursor}&stage=production",
        f"/api/v1/projects?cursor={cursor}&sort=created",
        f"/api/v1/films?cursor={cursor}",
        "/api/v1/projects?cursor=nonsense",
    ):
        answer = client.get(address)
        check_problem(answer, 422, "invalid")
        assert "cursor" in answer.json["errors"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5"])
def test_limits_out_of_range_are_refused(client, limit):
    check_problem(client.get(f"/api/v1/projects?limit={limit}"), 422, "invalid")
