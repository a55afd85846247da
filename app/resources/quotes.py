"""Quotes: what a job would cost, before anything is bought."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from app import wakeups
from app.api import Blueprint, needs
from app.auth import identity
from app.schemas.house import QuoteIn
from db.session import reading

blp = Blueprint("quotes", __name__, url_prefix="/api/v1", description="Expected cost before asking.")


@blp.post("/quotes")
@needs("read")
@blp.arguments(QuoteIn)
@blp.response(200, {"type": "object"}, description="Cost per shot and provider, against the caps")
def quote_job(data: dict[str, Any]) -> Response:
    """Say what a job would cost, without starting it."""
    with reading() as session:
        return jsonify(wakeups.quote(session, identity().workspace_id, data["kind"], data["params"]))
