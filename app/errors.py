"""Every error as an RFC 9457 problem: the one table from the error tree to HTTP.

A cap that stands in the way is 409 `over_budget`: the state of the budget conflicts with the ask, and a
person who raises the cap may send the same request again.
"""

from __future__ import annotations

import math
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, json, request
from marshmallow import ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from core import errors
from core.redact import redact

log = structlog.get_logger(__name__)

STATUS: tuple[tuple[type[errors.PipelineError], int], ...] = (
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.OverBudget, 409),
    (errors.Invalid, 422),
    (errors.Rejected, 422),
    (errors.Misconfigured, 503),
    (errors.Permanent, 422),
    (errors.Retryable, 503),
    (errors.Unconfirmed, 502),
)
STATUS_BY_CODE = {
    "stale_revision": 412,
    "revision_required": 428,
    "too_many_streams": 429,
    "upload_expired": 410,
    "not_a_video": 415,
}
CODES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timed_out",
    410: "gone",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    426: "upgrade_required",
    428: "precondition_required",
    429: "too_many",
    500: "internal",
    503: "unavailable",
}
RETRY_SECONDS = 5


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    fields: dict[str, list[str]] | None = None,
    headers: Any = None,
) -> Response:
    """Build the answer; `headers` are added as they are."""
    body: dict[str, Any] = {
        "type": f"urn:callsheet:problem:{code or CODES.get(status, 'error')}",
        "title": HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": redact(detail),
        "instance": request.path,
        "code": code or CODES.get(status, "error"),
        "request_id": g.get("request_id", ""),
    }
    if fields:
        body["errors"] = fields
    response = Response(json.dumps(body), status, content_type="application/problem+json")
    for name, value in headers or ():
        response.headers[name] = value
    return response


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ClientDisconnected, _broken_off)
    app.register_error_handler(ValidationError, _validation)
    app.register_error_handler(errors.PipelineError, _pipeline)
    app.register_error_handler(StaleDataError, _stale)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(PoolTimeout, _busy)
    app.register_error_handler(Exception, _bug)


def _pipeline(error: errors.PipelineError) -> Response:
    status = STATUS_BY_CODE.get(error.code) or next(
        (status for kind, status in STATUS if isinstance(error, kind)), 500
    )
    headers = []
    if isinstance(error, errors.Retryable) or status == 429:
        wish = getattr(error, "retry_after", None) or RETRY_SECONDS
        headers.append(("Retry-After", str(math.ceil(wish))))
    fields = {error.field: [error.message]} if error.field else None
    return problem(status, error.message, code=error.code, fields=fields, headers=headers)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:  # redirects are HTTPExceptions too
        return error.get_response()  # type: ignore[return-value]
    messages = (getattr(error, "data", None) or {}).get("messages")
    if messages is not None:
        return _invalid(messages)
    kept = [(k, v) for k, v in error.get_response().headers if k in _KEPT_HEADERS]
    code = getattr(error, "problem_code", None)
    return problem(status, error.description or "", code=code, headers=kept)


_KEPT_HEADERS = {"Allow", "Content-Range", "Retry-After", "Upgrade", "WWW-Authenticate"}


def _broken_off(_: ClientDisconnected) -> Response:
    """A body that ended too early, or stopped coming; where the line is cut, nobody reads this."""
    return problem(408, "Nothing more came: send it again, or as an upload in pieces, which can be resumed.")


def _validation(error: ValidationError) -> Response:
    return _invalid(error.messages)


def _invalid(messages: Any) -> Response:
    fields: dict[str, list[str]] = {}
    if isinstance(messages, dict) and set(messages) <= {"json", "query", "multipart"}:
        for inner in messages.values():
            _flatten(inner, "", fields)
    else:
        _flatten(messages, "", fields)
    named = ", ".join(name for name in list(fields)[:5] if name)
    detail = (
        f"The request cannot be accepted as it is: see {named}." if named else "; ".join(fields.get("", []))
    )
    return problem(422, detail or "The request cannot be accepted as it is.", fields=fields)


def _flatten(messages: Any, path: str, out: dict[str, list[str]]) -> None:
    """Turn nested messages into `{"params.regions.0.x": [...]}`; the body itself is called `body`."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            here = "" if name == "_schema" else str(name)
            _flatten(inner, ".".join(part for part in (path, here) if part), out)
    elif isinstance(messages, list):
        for inner in messages:
            _flatten(inner, path, out)
    else:
        out.setdefault(path or "body", []).append(str(messages))


def _stale(_: StaleDataError) -> Response:
    return problem(
        412, "Somebody else changed it meanwhile: read it again and repeat the edit.", code="stale_revision"
    )


def _database(error: DBAPIError) -> Response:
    if isinstance(error, OperationalError) or error.connection_invalidated:
        log.warning("database unavailable", error=str(error.orig).strip())
        return _busy(error)
    if isinstance(error, IntegrityError):
        log.warning("constraint refused", error=str(error.orig).strip())
        return problem(
            409,
            "It conflicts with what is stored: something it refers to changed meanwhile.",
            code="conflict",
        )
    return _bug(error)


def _busy(_: Exception) -> Response:
    return problem(
        503,
        "The database does not answer in time: try again shortly.",
        code="database_unavailable",
        headers=[("Retry-After", str(RETRY_SECONDS))],
    )


def _bug(error: Exception) -> Response:
    """Tell the client nothing but the request id; the log has the rest."""
    log.error("unexpected error", exc_info=error)
    if current_app.config.get("RAISE_BUGS"):
        raise error
    return problem(500, "Something went wrong here. The log has details under this request_id.")
