"""What is known of each request: its id, its time, one log line, its metrics."""

from __future__ import annotations

import re
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram

from app.metrics import House
from core.ids import new_id

log = structlog.get_logger("app.request")
_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_QUIET = {"health.check_health", "health.read_metrics"}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def install(app: Flask) -> None:
    registry = CollectorRegistry()
    labels = ["method", "endpoint", "status"]
    requests = Counter("callsheet_requests", "Requests answered", labels, registry=registry)
    seconds = Histogram(
        "callsheet_request_seconds",
        "Time to answer",
        ["method", "endpoint"],
        registry=registry,
        buckets=BUCKETS,
    )
    registry.register(House())
    app.extensions["metrics"] = registry

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _GIVEN_ID.fullmatch(given) else str(new_id())
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        took = time.perf_counter() - g.get("started", time.perf_counter())
        endpoint = request.endpoint or "none"
        response.headers["X-Request-ID"] = g.get("request_id", "")
        response.headers["Server-Timing"] = f"app;dur={took * 1000:.1f}"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        requests.labels(request.method, endpoint, response.status_code).inc()
        seconds.labels(request.method, endpoint).observe(took)
        if endpoint not in _QUIET:
            log.info("request", **_facts(response, took))
        return response


def _facts(response: Response, took: float) -> dict[str, Any]:
    """The path without its query: signed URLs carry their signature there."""
    caller = g.get("identity")
    return {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "ms": round(took * 1000, 1),
        "bytes": None if response.is_streamed else response.content_length,
        "workspace": str(caller.workspace_id) if caller else None,
        "key_prefix": caller.key_prefix if caller else None,
    }
