"""Whether each part of the house answers, measured from here or read from what workers wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import current_app
from kombu.connection import Connection
from redis import Redis

from app.store import store
from core import embedded
from core.errors import PipelineError
from core.redact import redact
from core.settings import Settings
from db.session import reading
from services.books import NAME as BOOKS
from services.heartbeats import Beat, ping_database, read_beats

QUEUES = ("control", "scrape", "submit", "poll", "notify", "media")
BEAT_SECONDS = 30.0
WORKER_SECONDS = 45.0
PATIENCE_SECONDS = 1.5


def check_house() -> dict[str, Any]:
    """Every service with its status, a sentence, and how long it took to answer in milliseconds."""
    settings: Settings = current_app.config["SETTINGS"]
    beats: list[Beat] = []

    def ask_database() -> str:
        with reading() as session:
            version = ping_database(session)
            beats.extend(read_beats(session))
        return f"PostgreSQL {version}"

    services = {
        "postgres": _timed(ask_database),
        "redis": _timed(lambda: _ask_redis(embedded.urls(settings).redis_url)),
        "broker": _timed(lambda: _ask_broker(embedded.urls(settings).broker_url)),
        "object_store": _timed(_ask_store),
    }
    known = {beat.name: beat for beat in beats}
    services["beat"] = _judge_beat(known.get("beat"), BEAT_SECONDS, "ticked")
    for queue in QUEUES:
        services[f"worker:{queue}"] = _judge_beat(known.get(f"worker:{queue}"), WORKER_SECONDS, "was heard")
    services["books"] = _judge_books(known.get(BOOKS))
    services |= _abilities(beats)
    bad = any(service["status"] == "degraded" for service in services.values())
    return {"status": "degraded" if bad else "ok", "services": services}


def read_facts() -> dict[str, Any]:
    """What the worker heard last says it can do; empty when none was ever heard."""
    with reading() as session:
        beats = [b for b in read_beats(session) if b.name.startswith("worker") and "providers" in b.facts]
    return min(beats, key=lambda b: b.age).facts if beats else {}


def _timed(ask: Callable[[], str]) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        status, detail = "ok", ask()
    except PipelineError as error:
        status, detail = "degraded", error.message
    except Exception as error:  # noqa: BLE001 - whatever a driver raises means: it does not answer
        status, detail = "degraded", f"It does not answer: {type(error).__name__}."
    return {
        "status": status,
        "detail": redact(detail),
        "ms": round((time.perf_counter() - began) * 1000, 1),
    }


def _ask_redis(url: str) -> str:
    client = Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS)
    try:
        info: Any = client.info("server")
        return f"Redis {info['redis_version']}"
    finally:
        client.close()


def _ask_broker(url: str) -> str:
    options = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    with Connection(  # type: ignore[no-untyped-call]
        url, connect_timeout=PATIENCE_SECONDS, transport_options=options if url.startswith("redis") else {}
    ) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=PATIENCE_SECONDS)
        connection.default_channel.close()
        return f"{connection.transport.driver_name} answers"


def _ask_store() -> str:
    opened = store()
    opened.check()
    return f"{type(opened).__name__.removesuffix('Storage')} store takes and gives"


def _judge_beat(beat: Beat | None, limit: float, verb: str) -> dict[str, Any]:
    if beat is None:
        return {"status": "degraded", "detail": "Never heard of: is it running?", "ms": None}
    status = "ok" if beat.age <= limit else "degraded"
    return {"status": status, "detail": f"It {verb} {beat.age:.0f} s ago.", "ms": None}


def _judge_books(beat: Beat | None) -> dict[str, Any]:
    """Beat verifies them; that it does is judged by beat's own line."""
    if beat is None:
        return {"status": "ok", "detail": "Not verified yet.", "ms": None}
    wrong = ", ".join(f"{check} {count}" for check, count in beat.facts["counts"].items() if count)
    if not wrong:
        return {"status": "ok", "detail": f"They balanced {beat.age:.0f} s ago.", "ms": None}
    detail = f"Wrong {beat.age:.0f} s ago: {wrong}. Beat's log says what exactly."
    return {"status": "degraded", "detail": detail, "ms": None}


def _abilities(beats: list[Beat]) -> dict[str, Any]:
    heard = [b for b in beats if b.name.startswith("worker") and "providers" in b.facts]
    if not heard:
        return {"ffmpeg": {"status": "degraded", "detail": "No worker has said where it is.", "ms": None}}
    facts = min(heard, key=lambda b: b.age).facts
    ffmpeg = facts.get("ffmpeg")
    found = {
        "ffmpeg": {
            "status": "ok" if ffmpeg else "degraded",
            "detail": Path(ffmpeg).name if ffmpeg else "A worker found none.",
            "ms": None,
        }
    }
    for noun, group in (("provider", "providers"), ("source", "sources")):
        for slug, said in facts.get(group, {}).items():
            enabled = bool(said.get("enabled"))
            found[f"{noun}:{slug}"] = {
                "status": "ok" if enabled else "disabled",
                "detail": "Enabled." if enabled else str(said.get("reason") or "Disabled."),
                "ms": None,
            }
    return found
