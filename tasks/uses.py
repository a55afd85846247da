"""Telling a source that an item of its is used, where it asks for that (Unsplash does)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from core.errors import PipelineError
from core.licences import Licence
from db.assets import Asset, Origin
from scrapers.base import Candidate
from tasks.asked import asking
from tasks.step import Run, decide
from tasks.wiring import open_source

log = structlog.get_logger()


def tell_uses(run: Run, used: Iterable[Candidate]) -> list[dict[str, Any]]:
    """Tell the sources what of theirs is used, and return what came of it for the step's result.

    Raises what the step is tried again for. What nobody could be told in the end costs no picture.
    """
    told = []
    for candidate in used:
        if candidate.use_url is None:
            continue
        line: dict[str, Any] = {"source": candidate.source, "foreign_id": candidate.foreign_id}
        try:
            with asking(run, candidate.source):
                open_source(candidate.source).used(candidate)
        except PipelineError as error:
            if decide(error, run.held.failures).action == "retry":
                raise
            log.warning("a source was not told of a use", **line, error=error.message)
            told.append({**line, "told": False, "why": error.message})
        else:
            told.append({**line, "told": True})
    return told


def as_found(session: Session, assets: Iterable[UUID | None]) -> list[Candidate]:
    """What sources gave for these assets, as far as they want to be told of its use; each once."""
    found = []
    for asset_id in dict.fromkeys(assets):
        origin = session.get(Origin, asset_id) if asset_id else None
        if origin is None or origin.use_url is None:
            continue
        found.append(
            Candidate(
                source=origin.source,
                foreign_id=origin.foreign_id,
                kind=session.get_one(Asset, origin.asset_id).kind.value,  # type: ignore[arg-type]
                title=origin.title or "",
                landing_url=origin.landing_url,
                media_url=origin.media_url or "",
                creator=origin.creator,
                creator_url=origin.creator_url,
                licence=Licence.from_json(origin.licence_facts),
                raw_licence=origin.raw_licence,
                attribution=origin.attribution,
                use_url=origin.use_url,
            )
        )
    return found
