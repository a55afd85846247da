"""Put the application together: settings, doors in front, blueprints behind."""

from __future__ import annotations

import importlib

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from app import auth, cors, errors, observe, pages
from app.api import Api
from app.resources import live
from app.schemas.house import QuoteIn
from app.schemas.jobs import JobIn
from app.streams import Places
from core.logging import configure_logging
from core.settings import Settings

PREFIX = "/api/v1"
MAX_JSON_BYTES = 4 * 1024 * 1024  # a brief of 1 MB must still be read, so that its field can be named
RESOURCES = (
    "jobs",
    "live",
    "quotes",
    "schedules",
    "approvals",
    "projects",
    "films",
    "scripts",
    "shots",
    "takes",
    "submissions",
    "callbacks",
    "assets",
    "collections",
    "uploads",
    "transfers",
    "processing",
    "files",
    "providers",
    "sources",
    "budgets",
    "credits",
    "activities",
    "api_keys",
    "health",
)

DESCRIPTION = """\
From a brief or a script to a finished, licensed film.

Every call but health, docs, signed file URLs and callbacks needs a key: `X-API-Key: cs_…` or
`Authorization: Bearer cs_…`. Errors are RFC 9457 problems (`application/problem+json`) with a stable
`code`. Lists are paged by `limit` and `cursor`. POSTs that start work take an `Idempotency-Key`.
"""


class _Json(DefaultJSONProvider):
    sort_keys = False
    ensure_ascii = False


def build(settings: Settings) -> Flask:
    """Create the application for `settings`; touches no server until the first request."""
    configure_logging(settings, "api")
    app = Flask("app", static_folder=None)
    app.json = _Json(app)
    app.url_map.strict_slashes = False
    app.config.update(
        SETTINGS=settings,
        MAX_CONTENT_LENGTH=MAX_JSON_BYTES,
        PROPAGATE_EXCEPTIONS=False,
        STREAM_SECONDS=300.0,
        STREAM_HEARTBEAT_SECONDS=15.0,
        STREAM_POLL_SECONDS=0.5,
        STREAMS_PER_PROCESS=24,  # of gunicorn.conf.py's 32 threads: eight stay free for other calls
        STREAMS_PER_WORKSPACE=12,
        API_TITLE="Callsheet",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
    )
    app.extensions["places"] = Places(app)
    observe.install(app)
    cors.install(app)
    auth.install(app)
    api = Api(
        app,
        spec_kwargs={
            "info": {
                "description": DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "security": [{"apiKey": []}, {"bearerKey": []}],
        },
    )
    errors.install(app)
    api.union(JobIn, "kind", JobIn.variants)
    api.union(QuoteIn, "kind", QuoteIn.variants)
    for name in RESOURCES:
        api.register_blueprint(importlib.import_module(f"app.resources.{name}").blp)
    live.install(app)
    pages.install(app)
    return app
