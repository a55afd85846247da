"""Providers and sources of this installation: which are enabled, and why not."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from app.api import Blueprint
from app.house_health import read_facts
from app.schemas.house import AbilitiesOut

blp = Blueprint("providers", __name__, url_prefix="/api/v1", description="AI vendors and stock sites.")
_NAMED = {"slug", "kind", "kinds", "enabled", "reason"}


@blp.get("/providers")
@blp.response(200, AbilitiesOut)
def show_providers() -> Response:
    """List providers as the workers see them; empty until a worker was heard."""
    return _shown("providers")


@blp.get("/sources")
@blp.response(200, AbilitiesOut)
def show_sources() -> Response:
    """List stock sources as the workers see them; empty until a worker was heard."""
    return _shown("sources")


def _shown(group: str) -> Response:
    said: dict[str, dict[str, Any]] = read_facts().get(group, {})
    items = [
        {
            "slug": slug,
            "kinds": list(
                facts.get("kinds") or [facts["kind"]] if facts.get("kind") else facts.get("kinds") or []
            ),
            "enabled": facts.get("enabled"),
            "reason": facts.get("reason"),
            "details": {k: v for k, v in facts.items() if k not in _NAMED},
        }
        for slug, facts in sorted(said.items())
    ]
    return jsonify({"items": items})
