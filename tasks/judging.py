"""What sources offered is judged here: by the licence policy, by its words, and by a look at its preview."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import structlog

from core.errors import PipelineError
from core.licences import LicencePolicy
from db.candidates import CandidateState
from media.images import perceptual_hash_of
from scrapers.base import Candidate as Found
from scrapers.scoring import Wish, explain, is_small, score_all
from services.candidates import MOST_KEPT, MOST_REFUSED
from services.works import known_looks, same_as
from tasks.step import Run
from tasks.wiring import open_source

log = structlog.get_logger()

LOOKS, LOOK_SECONDS = 6, 12.0
"""Previews of a shot that are looked at, side by side, and how long they may take together."""
MAX_PREVIEW, MAX_LOCAL = 4 * 1024**2, 64 * 1024**2


def judge(found: list[tuple[int, Found]], wish: Wish, policy: LicencePolicy) -> list[dict[str, Any]]:
    """Score what was found, best first, each with its place in its source's order; as rows of candidates.

    What the policy forbids is scored too and says why it is out.
    """
    usable: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for (_, one), score in zip(found, score_all(found, wish), strict=True):
        verdict = policy.verdict(one.licence)
        state = CandidateState.FOUND if verdict.ok else CandidateState.REFUSED
        row = {
            "facts": one.to_json(),
            "state": state.value,
            "reason": "" if verdict.ok else f"refused: {verdict.reason}",
            "same_as": same_as(one.source, one.foreign_id, one.canonical_url, one.sha1),
            "small": is_small(one, wish),
            "perceptual_hash": None,
            "position": None,
            **explain(score),
        }
        (usable if verdict.ok else refused).append(row)
    return [
        row
        for rows, most in ((usable, MOST_KEPT), (refused, MOST_REFUSED))
        for row in sorted(rows, key=lambda row: -row["score"])[:most]
    ]


def look_at(run: Run, found: list[dict[str, Any]]) -> None:
    """Hash the previews of the best finds, so that look-alikes are known before anything is fetched.

    What was kept before has its hash already. A preview that does not come in time leaves none.
    """
    best = [item for item in found if item["state"] == CandidateState.FOUND][:LOOKS]
    with run.loading() as session:
        known = known_looks(session, run.held.workspace_id, [item["same_as"][0] for item in best])
    todo = []
    for item in best:
        item["perceptual_hash"] = known.get(item["same_as"][0])
        if item["perceptual_hash"] is None:
            todo.append(item)
    if not todo:
        return
    pool = ThreadPoolExecutor(max_workers=LOOKS, thread_name_prefix="preview")
    try:
        with run.timing("preview_seconds"):
            looks = {
                pool.submit(_look, Found.from_json(item["facts"]), run.scratch / f"preview-{number}"): item
                for number, item in enumerate(todo)
            }
            for done in wait(looks, timeout=LOOK_SECONDS).done:
                looks[done]["perceptual_hash"] = done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _look(one: Found, path: Path) -> str | None:
    """Hash a candidate's preview, or a local one's own file; None where there is nothing to look at."""
    try:
        source = open_source(one.source)
        if (one.preview_url or "").startswith(("http://", "https://")):
            source.http.download(str(one.preview_url), path, MAX_PREVIEW, deadline=LOOK_SECONDS)
        elif one.kind == "image" and not source.needs_network:
            source.fetch(one, path, MAX_LOCAL)
        else:
            return None
        return perceptual_hash_of(path)
    except (PipelineError, OSError) as error:
        log.info("a preview cannot be looked at", item=f"{one.source}:{one.foreign_id}", error=str(error))
        return None
    finally:
        path.unlink(missing_ok=True)
