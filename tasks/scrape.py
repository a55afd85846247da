"""Job scrape: sources are searched, and the best finds become licensed assets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Permanent, PipelineError
from db.work import Step, StepState
from scrapers.base import Candidate, Query
from tasks.asked import asking
from tasks.inspection import Inspected, inspect
from tasks.library import keep_found, known_asset
from tasks.search import search
from tasks.source import MAX_DOWNLOAD, licence_policy
from tasks.step import Run, step
from tasks.uses import tell_uses
from tasks.wiring import open_source

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
    lists = search(run, [run.held.variant], [query]).found[run.held.variant]
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
    kept: list[tuple[Candidate, Inspected | UUID]] = []
    refused: list[dict[str, str]] = []
    if made is not None:
        with run.saving() as session:
            run.result = made
            run.add_to_job(session)
        return
    for number, candidate in enumerate(_in_turn([result["found"] for result in results])):
        if len(kept) >= run.params["keep"] or run.stopped():
            break
        with run.loading() as session:
            known = known_asset(session, run.held.workspace_id, candidate.source, candidate.foreign_id)
        if known is not None:
            kept.append((candidate, known))
            continue
        path = run.scratch / f"find-{number}"
        try:
            with asking(run, candidate.source):
                with run.timing("fetch_seconds"):
                    open_source(candidate.source).fetch(candidate, path, MAX_DOWNLOAD)
                inspected = inspect(
                    run,
                    path,
                    filename=candidate.foreign_id[-120:],
                    width=FRAME[0],
                    height=FRAME[1],
                    found=candidate,
                )
        except PipelineError as error:
            refused.append({"foreign_id": candidate.foreign_id, "why": error.message})
            continue
        kept.append((candidate, inspected))
    with run.keeping() as session:
        ids = [str(_keep(session, run, candidate, one)) for candidate, one in kept]
    uses = tell_uses(run, [candidate for candidate, _ in kept])
    with run.saving() as session:
        run.result = {"asset_ids": ids, "refused": refused} | ({"uses": uses} if uses else {})
        run.add_to_job(session)


def _keep(session: Session, run: Run, candidate: Candidate, one: Inspected | UUID) -> UUID:
    if isinstance(one, UUID):
        return one
    return keep_found(session, run.held.workspace_id, candidate, one).id


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
