"""Stock sites of this installation: which are enabled and why not, what they take, and how they answer."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import wakeups
from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import reply
from app.resources.providers import abilities
from app.schemas.sources import SourceErrorOut, SourceErrorPage, SourcesOut
from core.errors import NotFound
from db.session import reading
from db.sources import SourceError, SourceStanding
from services import sources
from services.sources import FAILURES_TO_TELL

blp = Blueprint("sources", __name__, url_prefix="/api/v1", description="Stock sites.")
_UNHEARD: dict[str, Any] = {
    "local": False,
    "needs_key": False,
    "terms": None,
    "limits": None,
    "used_today": 0,
    "circuit": {"state": "closed", "failures": 0, "seconds": 0.0},
    "resting_seconds": 0.0,
    "recalled": {"hits": 0, "misses": 0},
}


@blp.get("/sources")
@blp.response(200, SourcesOut)
def show_sources() -> Response:
    """List stock sources as the workers see them, and how they answer; empty until a worker was heard."""
    workspace = identity().workspace_id
    known = wakeups.describe_sources()
    with reading() as session:
        standings = sources.read_standings(session, workspace)
        errors = sources.last_errors(session, workspace)
        items = []
        for item in abilities("sources"):
            slug = item["slug"]
            facts = known.get(slug, _UNHEARD)  # a worker may run newer code than this process
            health = _health(item, facts, standings.get(slug), errors.get(slug))
            items.append({**facts, **item, "health": health})
        return reply(SourcesOut, {"items": items})


@blp.get("/sources/<slug>/errors")
@blp.arguments(PageArgs, location="query")
@blp.response(200, SourceErrorPage)
def show_source_errors(args: dict[str, Any], slug: str) -> Response:
    """List what a source failed at for this workspace within a month, newest first."""
    if slug not in wakeups.describe_sources():
        raise NotFound(f"There is no source {slug}.", field="slug")
    window, _ = window_of(args)
    with reading() as session:
        page = sources.list_errors(session, identity().workspace_id, slug, window)
        return page_reply(SourceErrorOut, page, args)


def _health(
    item: dict[str, Any], facts: dict[str, Any], standing: SourceStanding | None, last: SourceError | None
) -> dict[str, Any]:
    failures = standing.failures if standing else 0
    answered_at = standing.answered_at if standing else None
    if not item["enabled"]:
        status, detail = "disabled", item["reason"] or "It is off."
    elif facts["circuit"]["state"] != "closed":
        status, detail = "failing", f"It did not answer {facts['circuit']['failures']} calls in a row."
    elif facts["limits"] and 0 < facts["limits"]["per_day"] <= facts["used_today"]:
        status, detail = "failing", "It was asked today (UTC) as often as it may be."
    elif facts["resting_seconds"] > 0:
        status, detail = "failing", f"It asked to be left alone for {facts['resting_seconds']:.0f} s more."
    elif failures >= FAILURES_TO_TELL or (failures and answered_at is None):
        status, detail = "failing", f"It failed {failures} times in a row."
    elif answered_at is not None:
        status, detail = "ok", "It answers."
    elif facts["local"]:
        status, detail = "ok", "It is on this machine."
    else:
        status, detail = "unknown", "It was not asked yet."
    return {
        "status": status,
        "detail": detail,
        "failures": failures,
        "answered_at": answered_at,
        "last_error": last,
    }
