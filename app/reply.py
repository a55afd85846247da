"""How views answer: a dumped body, Location, ETag, and the first answer again for a repeated POST."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, request
from marshmallow import Schema
from sqlalchemy.orm import Session

from app.auth import identity
from app.schemas.base import shared
from core.errors import Conflict, Invalid
from core.hashing import digest
from db.session import transaction
from services.idempotency import Answer, keep_answer, recall_answer

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_TAG_PATTERN = r'\*|(?:W/)?"[!#-~]*"'
_TAG = re.compile(_TAG_PATTERN)
IDEMPOTENCY_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "Any unique text: repeating the request with it gives the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
IF_MATCH_PARAMETER = {
    "in": "header",
    "name": "If-Match",
    "description": "The ETag that was read: the edit is refused (412) when somebody else edited meanwhile.",
    "schema": {"type": "string", "pattern": rf"^(?:{_TAG_PATTERN})$"},
}
IF_MATCH_REQUIRED = {**IF_MATCH_PARAMETER, "required": True}


def reply(
    schema: type[Schema],
    value: Any,
    status: int = 200,
    *,
    location: str | None = None,
    revision: int | None = None,
) -> Response:
    """Answer one resource; call it while the session is open. `revision` becomes the ETag."""
    response = jsonify(shared(schema).dump(value))
    response.status_code = status
    if location:
        response.headers["Location"] = location
    if revision is not None:
        response.set_etag(str(revision))
        if status == 200 and request.method in {"GET", "HEAD"}:
            response.make_conditional(request)
    return response


def expected_revision(*, required: bool = False) -> int | None:
    """The revision named by If-Match, for the service to compare under its lock.

    None when there is no header, or `*`. Raises Conflict (428) if it is required and missing.
    """
    sent = request.headers.get("If-Match")
    if sent is None:
        if required:
            raise Conflict(
                "Two people may be editing this: send If-Match with the ETag you read.",
                code="revision_required",
            )
        return None
    if sent.strip() == "*":
        return None
    if not _TAG.fullmatch(sent.strip()):
        raise Invalid('Send the ETag as it came, in double quotes: "3".', field="If-Match")
    named = sent.strip().removeprefix("W/").strip('"')
    return int(named) if named.isdecimal() and len(named) < 10 else -1


def answer_once(start: Callable[[Session], Answer], *, body: Any) -> Response:
    """Do the work of a POST in one transaction, at most once per Idempotency-Key.

    `body` is what the request says, as loaded: a digest of it tells a repetition from another request.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid("Use 1 to 255 visible ASCII characters.", field="Idempotency-Key")
    caller = identity()
    with transaction() as session:
        if key is None:
            return _answered(start(session))
        asked = digest([request.method, request.path.rstrip("/"), body])
        kept = recall_answer(session, caller.workspace_id, key, asked)
        if kept is not None:
            response = _answered(kept)
            response.headers["Idempotency-Replayed"] = "true"
            return response
        answer = start(session)
        keep_answer(session, caller.workspace_id, key, asked, answer)
        return _answered(answer)


def _answered(answer: Answer) -> Response:
    response = jsonify(answer.body)
    response.status_code = answer.status
    if answer.location:
        response.headers["Location"] = answer.location
    return response
