"""Job scrape: sources are searched, and the best finds become licensed assets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Permanent, PipelineError
from core.licences import LicencePolicy
from db.work import Step, StepState
from media.quality import TOO_SMALL, is_too_small
from scrapers.base import Candidate, Query
from tasks.asked import asking
from tasks.inspection import Inspected, inspect
from tasks.library import keep_found, kept_already
from tasks.search import search
from tasks.source import MAX_DOWNLOAD, licence_policy
from tasks.step import Run, step
from tasks.uses import as_found, tell_uses
from tasks.wiring import enabled_sources, open_source

log = structlog.get_logger()

FRAME = (1920, 1080)
"""What the quality of a find is judged for."""


@step("search_source")
def search_source(run: Run) -> None:
    """Search one source; what the licence policy forbids is left out."""
    params = run.params
    asked = {name: params[name] for name in ("words", "kind", "orientation", "keep", "licences")}
    made = run.remember(source=run.held.variant, **asked)
    if made is None:
        made = _search(run)
    run.save(made)


def _search(run: Run) -> dict[str, Any]:
    params = run.params
    policy = licence_policy(params)
    width, height = reversed(FRAME) if params["orientation"] == "portrait" else FRAME
    query = Query(
        words=tuple(params["words"]),
        kind=params["kind"],
        orientation=params["orientation"],
        limit=params["keep"] * 2,
        width=width,
        height=height,
    )
    slug = run.held.variant
    others = [other for other in params["sources"] or enabled_sources(params["kind"]) if other != slug]
    lists = search(run, [slug], [query], besides=others).found[slug]
    found = [candidate for one in lists for candidate in one]
    return {
        "found": [c.to_json() for c in found if policy.verdict(c.licence).ok],
        "refused": [
            {"foreign_id": c.foreign_id, "licence": c.licence.id}
            for c in found
            if not policy.verdict(c.licence).ok
        ],
    }


@step("keep_candidates", soft=1800, hard=1860)
def keep_candidates(run: Run) -> None:
    """Fetch the best finds, one source after the other in turn, and keep them as assets."""
    with run.loading() as session:
        results = session.scalars(
            select(Step.result)
            .where(
                Step.job_id == run.job.id,
                Step.kind == "search_source",
                Step.state == StepState.SUCCEEDED,
            )
            .order_by(Step.position)
        ).all()
    if not results:
        raise Permanent("No source answered.", code="no_source")
    made = run.remember(found=[result["found"] for result in results], keep=run.params["keep"])
    if made is not None:
        with run.saving() as session:
            run.result = made
            run.add_to_job(session)
        return
    policy = licence_policy(run.params)
    kept, refused = _fetch_best(run, _in_turn([result["found"] for result in results]), policy)
    with run.keeping() as session:
        ids = list(dict.fromkeys(_keep(session, run, one, policy) for one in kept))
    with run.loading() as session:
        used = as_found(session, ids)
    uses = tell_uses(run, used)
    with run.saving() as session:
        made = {"asset_ids": [str(one) for one in ids], "refused": refused}
        run.result = made | ({"uses": uses} if uses else {})
        run.add_to_job(session)


@dataclass(frozen=True)
class Fetched:
    found: Candidate
    inspected: Inspected


def _keep(session: Session, run: Run, one: Fetched | UUID, policy: LicencePolicy) -> UUID:
    if isinstance(one, UUID):
        return one
    return keep_found(session, run.held.workspace_id, one.found, one.inspected, policy=policy).id


def _fetch_best(
    run: Run, candidates: list[Candidate], policy: LicencePolicy
) -> tuple[list[Fetched | UUID], list[dict[str, str]]]:
    """As many finds as are to be kept, each file once; what is too small only when nothing else is left."""
    kept: dict[UUID | str, Fetched | UUID] = {}
    spare: dict[str, Fetched] = {}
    refused: list[dict[str, str]] = []
    wanted = run.params["keep"]
    for number, candidate in enumerate(sorted(candidates, key=_below_minimum)):
        if len(kept) >= wanted or run.stopped():
            break
        with run.loading() as session:
            known = kept_already(session, run.held.workspace_id, candidate, policy)
        if known is not None:
            kept[known] = known
            continue
        try:
            with asking(run, candidate.source):
                fetched = _fetch(run, candidate, run.scratch / f"find-{number}")
        except PipelineError as error:
            refused.append({"foreign_id": candidate.foreign_id, "why": error.message})
            continue
        small = TOO_SMALL in fetched.inspected.facts["quality_flags"]
        (spare if small else kept).setdefault(fetched.inspected.stored.sha256, fetched)
    return [*kept.values(), *spare.values()][:wanted], refused


def _fetch(run: Run, candidate: Candidate, path: Path) -> Fetched:
    with run.timing("fetch_seconds"):
        open_source(candidate.source).fetch(candidate, path, MAX_DOWNLOAD)
    name = candidate.foreign_id[-120:]
    return Fetched(
        candidate, inspect(run, path, filename=name, width=FRAME[0], height=FRAME[1], found=candidate)
    )


def _below_minimum(candidate: Candidate) -> bool:
    if candidate.width is None or candidate.height is None:
        return False
    return is_too_small(candidate.width, candidate.height)


def _in_turn(lists: list[list[dict[str, Any]]]) -> list[Candidate]:
    """The first of every source, then the second of every source, and so on; generated items left out."""
    longest = max((len(items) for items in lists), default=0)
    return [
        candidate
        for place in range(longest)
        for items in lists
        if place < len(items)
        for candidate in [Candidate.from_json(items[place])]
        if candidate.generated is None
    ]
