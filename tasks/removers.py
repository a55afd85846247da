"""Text removal as vendors are asked for it: what of the brief they can be told, and at what price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from core.cleaning_briefs import corners_of
from core.errors import Invalid, Misconfigured, Rejected
from core.registry import PROVIDERS
from core.settings import get_settings
from db.assets import Clip, Rendition, RenditionRole
from providers.base import FREE, Box, Quote, RemovalRequest
from services.library import find_asset
from services.renditions import blob_of, latest_rendition
from tasks.routing import refuse_unknown_price
from tasks.wiring import open_remover

HERE = ("auto", "local")
"""Methods that begin on this machine."""


def check_method(params: dict[str, Any]) -> None:
    """Raise Invalid for a method nobody knows, and for what a vendor that is named cannot be asked."""
    method = params["method"]
    if method in HERE:
        return
    if not PROVIDERS.has(method, "text_removal"):
        allowed = ", ".join((*HERE, *PROVIDERS.slugs("text_removal")))
        raise Invalid(f"Unknown {method!r}; allowed: {allowed}.", field="params.method")
    try:
        request = for_vendor(params, url="", clip=None, width=0, height=0, duration=0.0)
        open_remover(method).quote(request)
    except Misconfigured:  # it may be switched on before the job comes to it
        return
    except Rejected as error:
        field = (error.field or "method").removeprefix("params.")
        field = "languages" if field == "language" else field
        message = f"{error.message} Use `local` for it."
        raise Invalid(message, code=error.code, field=f"params.{field}") from None


def vendor_for(params: dict[str, Any]) -> str | None:
    """The vendor a job may buy from: the one it names; for `auto` the first that has a key."""
    if params["method"] not in HERE:
        return str(params["method"])
    if params["method"] == "local":
        return None
    settings = get_settings()
    return next(
        (slug for slug, one in PROVIDERS.all("text_removal").items() if one.enabled(settings) is None), None
    )


def for_vendor(
    params: dict[str, Any],
    *,
    url: str,
    clip: Path | None,
    width: int,
    height: int,
    duration: float,
    size: int = 0,
) -> RemovalRequest:
    """The brief in a vendor's words; Rejected names the field that it cannot be told.

    A vendor finds text by itself, in one language or in all, and knows rectangles only.
    """
    marked = {do: tuple(_box(r) for r in params["regions"] if r["do"] == do) for do in ("clean", "keep")}
    languages = list(dict.fromkeys(tag.partition("-")[0] for tag in params["languages"]))
    refused = None
    if params["keep"]:
        refused = ("keep", "It leaves no text for its words; mark regions to keep.")
    elif params["what"] != "all" and not marked["clean"]:
        refused = ("what", f"It does not tell {params['what']} from other text; mark where they are.")
    elif len(languages) > 1:
        refused = ("languages", "It looks for one language, or for all.")
    elif any(region["corners"] for region in params["regions"]):
        refused = ("regions", "It takes rectangles only.")
    if refused is not None:
        raise Rejected(f"The vendor cannot be asked for this. {refused[1]}", field=f"params.{refused[0]}")
    request = RemovalRequest(
        url, clip, width, height, duration, regions=marked["clean"], keep=marked["keep"], size=size
    )
    return replace(request, language=languages[0]) if languages else request


def price(session: Session, workspace_id: Any, params: dict[str, Any]) -> list[tuple[str, Quote, str | None]]:
    """Who may work on the clip, at what price, and why a vendor would not be asked; nobody is asked now."""
    clip = find_asset(session, workspace_id, Clip, params["asset_id"])
    lines: list[tuple[str, Quote, str | None]] = []
    if params["method"] in HERE:
        lines.append(("local", FREE, None))
    vendor = vendor_for(params)
    if vendor is None:
        return lines
    original = latest_rendition(session, clip.id, RenditionRole.ORIGINAL)
    try:
        quoted = open_remover(vendor).quote(for_vendor(params, url="", clip=None, **facts(session, original)))
    except (Rejected, Misconfigured) as error:
        if not lines:
            lines.append((vendor, Quote(0, basis=error.message, known=False), error.message))
        return lines
    try:
        refuse_unknown_price(vendor, quoted, params)
    except Rejected as error:
        return lines or [(vendor, quoted, error.message)]
    return [*lines, (vendor, quoted, None)]


def facts(session: Session, original: Rendition | None) -> dict[str, Any]:
    """What a vendor's price and limits depend on; zeros where a clip was not looked into yet."""
    if original is None:
        return {"width": 0, "height": 0, "duration": 0.0, "size": 0}
    return {
        "width": original.width or 0,
        "height": original.height or 0,
        "duration": original.duration or 0.0,
        "size": blob_of(session, original).size,
    }


def _box(region: dict[str, Any]) -> Box:
    (x, y), *_, (_, bottom) = corners_of(region)
    right = max(corner[0] for corner in corners_of(region))
    return x, y, round(right - x, 6), round(bottom - y, 6), region["start"] or 0.0, region["end"]
