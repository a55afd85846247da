"""Let browsers of the configured origins call; without the setting no other origin may."""

from __future__ import annotations

from flask import Flask, Response, request

EXPOSED = (
    "ETag, Location, Link, X-Request-ID, Idempotency-Replayed, Server-Timing, Retry-After, "
    "Content-Disposition, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Upload-Offset, "
    "Upload-Length, Upload-Expires"
)
ACCEPTED = (
    "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "X-Request-ID, Range, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata"
)


def install(app: Flask) -> None:
    allowed = {o.strip().rstrip("/") for o in app.config["SETTINGS"].cors_origins.split(",") if o.strip()}
    if not allowed:
        return

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or (origin not in allowed and "*" not in allowed):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin if origin in allowed else "*"
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "GET")
            response.headers["Access-Control-Allow-Headers"] = ACCEPTED
            response.headers["Access-Control-Max-Age"] = "600"
        return response
