"""Quotes: what a job would cost, before anything is bought."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import wakeups
from app.api import Blueprint, needs
from app.auth import identity
from app.reply import reply
from app.schemas.house import QuoteIn
from app.schemas.money import QuoteOut
from db.session import reading

blp = Blueprint("quotes", __name__, url_prefix="/api/v1", description="Expected cost before asking.")


@blp.post("/quotes")
@needs("read")
@blp.arguments(QuoteIn)
@blp.response(200, QuoteOut)
def quote_job(data: dict[str, Any]) -> Response:
    """Say what a job would cost per shot and provider, and what caps would refuse, without starting it."""
    asked = {name: data[name] for name in ("project_id", "budget")}
    with reading() as session:
        quoted = wakeups.quote(session, identity().workspace_id, data["kind"], data["params"], **asked)
        return reply(QuoteOut, quoted)
