"""Providers of this installation: which are enabled, and why not."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import wakeups
from app.api import Blueprint
from app.auth import identity
from app.house_health import read_facts
from app.reply import reply
from app.schemas.providers import ProvidersOut
from db.session import reading
from services import outcomes
from services.outcomes import Ended

blp = Blueprint("providers", __name__, url_prefix="/api/v1", description="AI vendors.")
_NAMED = {"slug", "kind", "kinds", "enabled", "reason"}
_CLOSED = {"state": "closed", "failures": 0, "seconds": 0.0}
_UNHEARD: dict[str, Any] = {"local": False, "models": [], "limits": None, "circuit": _CLOSED}


@blp.get("/providers")
@blp.response(200, ProvidersOut)
def show_providers() -> Response:
    """List providers as the workers see them, with models and prices; empty until a worker was heard."""
    with reading() as session:
        ended = outcomes.count_ended(session, identity().workspace_id)
    known = wakeups.describe_providers()
    items = [_with_models(item, known, ended.get(item["slug"], Ended())) for item in abilities("providers")]
    return reply(ProvidersOut, {"items": items})


def abilities(group: str) -> list[dict[str, Any]]:
    """What the workers say is here and enabled, as `providers` or `sources`."""
    said: dict[str, dict[str, Any]] = read_facts().get(group, {})
    return [
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


def _with_models(item: dict[str, Any], known: dict[str, dict[str, Any]], ended: Ended) -> dict[str, Any]:
    facts = known.get(item["slug"], _UNHEARD)  # a worker may run newer code than this process
    usable = [model for model in facts["models"] if not model["retired"]]
    return {
        **item,
        "capabilities": sorted({name for model in usable for name in model["capabilities"]}),
        "models": facts["models"],
        "limits": facts["limits"],
        "circuit": facts["circuit"],
        "health": _health(item, facts, ended),
    }


def _health(item: dict[str, Any], facts: dict[str, Any], ended: Ended) -> dict[str, Any]:
    if not item["enabled"]:
        status, detail = "disabled", item["reason"] or "It is off."
    elif facts["circuit"]["state"] != "closed":
        status, detail = "failing", f"It did not answer {facts['circuit']['failures']} calls in a row."
    elif ended.failed and not ended.succeeded:
        status, detail = "failing", f"It made none of the {ended.failed} last asked for."
    elif ended.succeeded or facts["local"]:
        status, detail = (
            "ok",
            "It runs on this machine." if facts["local"] else "It makes what it is asked for.",
        )
    else:
        status, detail = "unknown", "It was asked for nothing within a day."
    return {"status": status, "detail": detail, "succeeded": ended.succeeded, "failed": ended.failed}
