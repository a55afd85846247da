"""Callbacks: what vendors tell us, so that they need not be asked. They sign; nobody has a key."""

from __future__ import annotations

from flask import Response, jsonify, request
from marshmallow import fields

from app.api import Blueprint, public
from app.errors import problem
from app.schemas.base import Out
from core.errors import Rejected

blp = Blueprint("callbacks", __name__, url_prefix="/api/v1", description="Vendors' news.")
MAX_BYTES = 256 * 1024


class CallbackOut(Out):
    ok = fields.Boolean(required=True)


@blp.post("/callbacks/<string:provider>")
@public
@blp.doc(
    requestBody={"content": {"application/json": {"schema": {"type": "object"}}}},
    parameters=[{"in": "query", "name": "token", "schema": {"type": "string"}}],
)
@blp.response(200, CallbackOut)
def take_callback(provider: str) -> Response:
    """Take a vendor's news of what it makes for us; what was said before is taken once."""
    from tasks import pipeline

    request.max_content_length = MAX_BYTES
    body = request.get_data(cache=False)
    token = request.args.get("token", "")[:64] or None
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        pipeline.receive_callback(provider, headers, body, token)
    except Rejected as error:
        return problem(400, error.message, code=error.code)
    return jsonify({"ok": True})
