"""Sources over the API: why one is off, what it takes, what it was asked, and what it failed at."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.limits import FAILURES_TO_OPEN
from core.registry import SOURCES
from core.settings import get_settings
from db.session import reading, transaction
from db.sources import SourceError
from db.work import Event, Heartbeat
from services import sources
from services.sources import FAILURES_TO_TELL, Asker
from tasks import door, limits
from tests.app.seed import seed_house


@pytest.fixture
def heard(client):
    """A worker that has said of every source whether it is on; Openverse is."""
    said = {
        slug: {
            "enabled": slug == "openverse",
            "reason": None if slug == "openverse" else "Set its key.",
            "kinds": list(source.kinds),
        }
        for slug, source in SOURCES.all().items()
    }
    with transaction() as session:
        session.merge(
            Heartbeat(name="worker:scrape", facts={"sources": said, "providers": {}}, beaten_at=func.now())
        )


@pytest.fixture
def asker(house):
    return Asker(house.workspace_id, seed_house(house)["job_id"], "find_stock shot 1")


def shown(client, slug="openverse"):
    items = client.get("/api/v1/sources").json["items"]
    return next(item for item in items if item["slug"] == slug)


def fail(asker, times=1, slug="openverse", **more):
    for _ in range(times):
        with transaction() as session:
            sources.note_failure(session, asker, slug, code="http_403", message="no ?key=hush", **more)


def answer(asker, slug="openverse"):
    with transaction() as session:
        sources.note_answer(session, asker, slug)


def told(asker):
    with reading() as session:
        return session.scalars(
            select(Event.type)
            .where(Event.job_id == asker.job_id, Event.type.like("source.%"))
            .order_by(Event.id)
        ).all()


def test_every_source_shows_what_it_takes_and_why_it_is_off(client, heard):
    items = {item["slug"]: item for item in client.get("/api/v1/sources").json["items"]}
    assert set(items) == set(SOURCES.slugs())
    for slug, source in SOURCES.all().items():
        item = items[slug]
        assert item["kinds"] == list(source.kinds)
        assert item["limits"]["per_minute"] == source.limits.per_minute
        assert item["terms"] == (source.terms or None)
        assert item["needs_key"] == source.needs_key
        expected = ("unknown", None) if slug == "openverse" else ("disabled", "Set its key.")
        assert (item["health"]["status"], item["reason"]) == expected


def test_a_source_shows_what_it_was_asked_and_what_was_known_without(client, heard, monkeypatch):
    monkeypatch.setenv("OPENVERSE_CALLS_PER_DAY", "7")
    get_settings.cache_clear()
    for _ in range(3):
        assert limits.limiter().spend("source:openverse", 7)
    limits.limiter().rest("source:openverse", 100)
    door.recall().find("openverse", "https://x.example/", {"q": 1})
    item = shown(client)
    assert (item["limits"]["per_day"], item["used_today"]) == (7, 3)
    assert 90 < item["resting_seconds"] <= 100
    assert item["recalled"] == {"hits": 0, "misses": 1}
    assert (item["health"]["status"], "left alone" in item["health"]["detail"]) == ("failing", True)
    text = client.get("/api/v1/metrics").text
    assert 'callsheet_source_calls_today{source="openverse"} 3.0' in text
    assert 'callsheet_source_answers_total{cache="miss",source="openverse"} 1.0' in text
    assert 'callsheet_source_circuit_open{source="openverse"} 0.0' in text


def test_a_source_whose_day_is_used_up_says_so(client, heard, monkeypatch):
    monkeypatch.setenv("OPENVERSE_CALLS_PER_DAY", "2")
    get_settings.cache_clear()
    assert [limits.limiter().spend("source:openverse", 2) for _ in range(3)] == [True, True, False]
    health = shown(client)["health"]
    assert (health["status"], health["detail"]) == (
        "failing",
        "It was asked today (UTC) as often as it may be.",
    )


def test_a_source_that_nobody_reaches_is_failing(client, heard):
    for _ in range(FAILURES_TO_OPEN):
        limits.limiter().failed("source:openverse")
    item = shown(client)
    assert (item["circuit"]["state"], item["health"]["status"]) == ("open", "failing")
    assert 'callsheet_source_circuit_open{source="openverse"} 1.0' in client.get("/api/v1/metrics").text


def test_one_event_tells_of_failures_in_a_row_and_one_of_their_end(client, heard, asker):
    answer(asker)
    assert shown(client)["health"]["status"] == "ok"
    fail(asker, FAILURES_TO_TELL - 1)
    assert told(asker) == []
    assert shown(client)["health"]["status"] == "ok"
    fail(asker, 3)
    assert told(asker) == ["source.failing"]
    health = shown(client)["health"]
    assert (health["status"], health["failures"]) == ("failing", FAILURES_TO_TELL + 2)
    assert health["last_error"]["code"] == "http_403"
    answer(asker)
    answer(asker)
    assert told(asker) == ["source.failing", "source.answering"]
    assert (shown(client)["health"]["status"], shown(client)["health"]["failures"]) == ("ok", 0)


def test_what_is_no_failure_of_its_own_is_listed_and_counts_for_nothing(client, heard, asker):
    answer(asker)
    fail(asker, FAILURES_TO_TELL + 1, counts=False)
    assert told(asker) == []
    assert shown(client)["health"]["failures"] == 0
    assert len(client.get("/api/v1/sources/openverse/errors").json["items"]) == FAILURES_TO_TELL + 1


def test_failures_are_listed_newest_first_in_pages_and_without_secrets(client, asker):
    fail(asker, 5)
    fail(asker, 2, slug="samples")
    first = client.get("/api/v1/sources/openverse/errors?limit=3").json
    second = client.get(f"/api/v1/sources/openverse/errors?limit=3&cursor={first['next_cursor']}").json
    rows = first["items"] + second["items"]
    assert [len(first["items"]), len(second["items"]), second["next_cursor"]] == [3, 2, None]
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert {row["message"] for row in rows} == {"no ?key=***"}
    assert {(row["job_id"], row["step"]) for row in rows} == {(str(asker.job_id), "find_stock shot 1")}


def test_another_workspace_sees_neither_failures_nor_standing(client, heard, other, asker):
    fail(asker, 6)
    assert other.client.get("/api/v1/sources/openverse/errors").json["items"] == []
    assert shown(other.client)["health"]["status"] == "unknown"


def test_a_source_that_is_not_there_is_404(client):
    missing = client.get("/api/v1/sources/nowhere/errors")
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")


def test_failures_are_forgotten_after_a_month(asker):
    from tasks.app import app

    fail(asker, 2)
    with transaction() as session:
        row = session.scalars(select(SourceError).limit(1)).one()
        row.created_at = func.now() - func.make_interval(0, 0, 0, 31)
    app.loader.import_default_modules()
    app.tasks["forget_source_errors"]()
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(SourceError)) == 1
