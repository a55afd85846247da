from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy import func

from app import create_app
from core.limits import FAILURES_TO_OPEN, Limiter
from db.session import transaction
from db.work import Heartbeat
from tests.app.seed import seed_house


def beat(name, **facts):
    with transaction() as session:
        session.merge(Heartbeat(name=name, facts=facts, beaten_at=func.now()))


ABILITIES = {
    "ffmpeg": "/opt/ffmpeg",
    "providers": {"local": {"enabled": True, "reason": None}},
    "sources": {"openverse": {"enabled": False, "reason": "OFFLINE is set.", "kinds": ["image"]}},
}


def test_health_needs_no_key_and_no_database(settings):
    away = settings.model_copy(update={"database_url": "postgresql://127.0.0.1:9/none"})
    assert create_app(away).test_client().get("/api/v1/health").json == {"status": "ok"}


def test_services_that_answer_are_ok_and_silent_workers_are_named(anonymous):
    services = anonymous.get("/api/v1/health/services").json
    assert services["status"] == "degraded"
    for name in ("postgres", "redis", "broker", "object_store"):
        assert services["services"][name]["status"] == "ok", services["services"][name]
        assert services["services"][name]["ms"] >= 0
    for name in ("beat", "worker:media", "ffmpeg"):
        assert services["services"][name]["status"] == "degraded"


def test_the_house_is_ok_when_every_part_was_heard(anonymous):
    beat("beat")
    for queue in ("control", "scrape", "submit", "poll", "notify", "media"):
        beat(f"worker:{queue}", **ABILITIES)
    answer = anonymous.get("/api/v1/health/services").json
    assert answer["status"] == "ok", answer
    assert answer["services"]["source:openverse"] == {
        "status": "disabled",
        "detail": "OFFLINE is set.",
        "ms": None,
    }


def test_a_redis_that_is_away_is_degraded_in_good_time(settings):
    away = settings.model_copy(
        update={"redis_url": "redis://127.0.0.1:9/0", "broker_url": "redis://127.0.0.1:9/1"}
    )
    services = create_app(away).test_client().get("/api/v1/health/services").json["services"]
    for name in ("redis", "broker"):
        assert services[name]["status"] == "degraded"
        assert services[name]["ms"] < 5000
    assert services["postgres"]["status"] == "ok"


def test_providers_and_sources_are_told_as_the_workers_see_them(client):
    assert client.get("/api/v1/providers").json == {"items": []}
    beat("worker:media", **ABILITIES)
    assert client.get("/api/v1/providers").json["items"][0]["slug"] == "local"
    source = client.get("/api/v1/sources").json["items"][0]
    assert source["enabled"] is False
    assert source["kinds"] == ["image"]


def test_metrics_count_requests_jobs_and_waiting_steps(client, house):
    seed_house(house)
    client.get("/api/v1/jobs")
    beat("beat")
    text = client.get("/api/v1/metrics").text
    assert 'callsheet_jobs{kind="film",state="waiting"} 1.0' in text
    assert 'callsheet_requests_total{endpoint="jobs.show_job_list",method="GET",status="200"} 1.0' in text
    assert 'callsheet_heartbeat_age_seconds{name="beat"}' in text


def test_the_metrics_token_opens_the_metrics_and_nothing_else(settings):
    def ask(token, path="/api/v1/metrics", sent="only-for-figures"):
        application = create_app(settings.model_copy(update={"metrics_token": token}))
        return application.test_client().get(path, headers={"Authorization": f"Bearer {sent}"}).status_code

    assert ask(SecretStr("only-for-figures")) == 200
    assert ask(SecretStr("only-for-figures"), path="/api/v1/jobs") == 401
    assert ask(SecretStr("only-for-figures"), sent="only-for-figure") == 401
    assert ask(None) == 401
    assert ask(SecretStr(""), sent="") == 401


def test_metrics_show_what_waits_for_a_worker_and_for_whom_jobs_wait(client, house):
    seed_house(house)
    text = client.get("/api/v1/metrics").text
    assert 'callsheet_waiting_jobs{waits_for="reviewer"} 1.0' in text
    assert 'callsheet_waiting_jobs{waits_for="budget"} 0.0' in text
    assert "callsheet_expired_leases 0.0" in text


def test_metrics_show_vendors_that_do_not_answer(client, settings):
    beat("worker:poll", providers={"kling": {"enabled": True}, "fal": {"enabled": False}})
    limiter = Limiter(settings.redis_url)
    for _ in range(FAILURES_TO_OPEN):
        assert 'callsheet_circuit_open{provider="kling"} 0.0' in client.get("/api/v1/metrics").text
        limiter.failed("kling")
    text = client.get("/api/v1/metrics").text
    assert 'callsheet_circuit_open{provider="kling"} 1.0' in text
    assert f'callsheet_unanswered_calls{{provider="kling"}} {FAILURES_TO_OPEN}.0' in text
    assert 'provider="fal"' not in text
