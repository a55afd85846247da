"""Job text_removal: a clip is cleaned, here or by a vendor, and the result is compared with the original.

Here the regions that a person marked are filled, and nothing is looked for that nobody marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Permanent
from core.storage import blob_key
from db.assets import Asset, AssetKind, Rendition, RenditionRole
from db.submissions import Submission
from db.work import Step
from media.erase import Region, erase_regions
from media.probe import probe
from providers.base import RemovalRequest, TextRemover
from services import outcomes
from services.renditions import StoredFile, add_rendition
from tasks.errands import ERRANDS, Errand
from tasks.library import blob_path, find_asset, original_of, public_link
from tasks.routing import refuse_unknown_price
from tasks.step import Run, step, storage
from tasks.submit import bring_home, write_down
from tasks.wiring import open_remover

LOCAL = "local"
PURPOSE = "text_removal"
LINK_HOURS = 24.0
"""How long a vendor may take to read a clip."""


@step("clean_clip", soft=1800, hard=1860)
def clean_clip(run: Run) -> None:
    """Fill the regions a person marked, here; or write down what a vendor is to do, which answers later."""
    with run.loading() as session:
        clip = find_asset(session, run.held.workspace_id, run.subject_id)
        if clip.kind is not AssetKind.CLIP:
            raise Permanent(f"The asset is a {clip.kind.value}, not a clip.", code="wrong_kind")
        original = original_of(session, clip)
        tried = outcomes.tried_providers(session, run.held.step_id)
    slug, asked = run.params["provider"], {"clip": original.blob_sha256, "regions": run.params["regions"]}
    if slug != LOCAL:
        _commission(run, clip, original, open_remover(slug), asked, tried)
        return
    made = run.remember(**asked)
    if made is None:
        made = _clean_here(run, original)
    with run.saving() as session:
        cleaned = run.attach(
            session,
            clip.id,
            RenditionRole.CLEANED,
            made,
            parents=[original.id],
            tool="ffmpeg delogo",
            parameters={"regions": run.params["regions"]},
        )
        run.result = {**made, "rendition_id": str(cleaned.id)}


def _clean_here(run: Run, original: Rendition) -> dict[str, Any]:
    out = run.scratch / "cleaned.mp4"
    regions = [Region(**region) for region in run.params["regions"]]
    with blob_path(original) as path, run.timing("clean_seconds"):
        seconds = original.duration or 1.0
        seen = erase_regions(
            path,
            out,
            regions,
            on_progress=lambda done: run.report(done / seconds),
            should_stop=run.stopped,
        )
    stored = run.store(
        out,
        mime="video/mp4",
        filename="cleaned.mp4",
        width=seen.width // 2 * 2,
        height=seen.height // 2 * 2,
        duration=seen.duration,
        codec="h264",
    )
    return {"stored": stored.to_json()}


# -- by a vendor ----------------------------------------------------------------------------------


def _commission(
    run: Run,
    clip: Asset,
    original: Rendition,
    remover: TextRemover,
    asked: dict[str, Any],
    tried: dict[tuple[str, str], str],
) -> None:
    """Have a vendor clean the clip, unless an equal order was paid for before."""
    if (why := tried.get((remover.slug, remover.model))) is not None:
        raise Permanent(f"{remover.slug} did not clean it: {why}", code="not_cleaned")
    made = run.remember(provider=remover.slug, model=remover.model, **asked)
    if made is not None:
        with run.saving() as session:
            run.result = {**made, "rendition_id": str(_attach(run, session, clip.id, original.id, made))}
        return
    request = {
        **asked,
        "width": original.width or 0,
        "height": original.height or 0,
        "duration": original.duration or 0.0,
    }
    with _put_to_vendor(request) as told:
        quote = remover.quote(told)
    refuse_unknown_price(remover.slug, quote, run.params)
    with run.saving() as session:
        write_down(session, run, remover, request, quote, purpose=PURPOSE)


def _attach(run: Run, session: Session, clip_id: UUID, original_id: UUID, made: dict[str, Any]) -> UUID:
    return run.attach(
        session,
        clip_id,
        RenditionRole.CLEANED,
        made,
        parents=[original_id],
        tool=f"{made['provider']} {made['model']}",
        parameters={"regions": run.params["regions"]},
    ).id


@step("fetch_clip", soft=900, hard=960)
def fetch_clip(run: Run) -> None:
    """Bring home a clip that a vendor has cleaned."""
    bring_home(run)


@contextmanager
def _put_to_vendor(request: dict[str, Any]) -> Iterator[RemovalRequest]:
    """Lend the clip as a file, and as a link where the world outside reaches us."""
    key = blob_key(request["clip"])
    with storage().local(key) as path:
        yield RemovalRequest(
            url=public_link(key, filename="clip.mp4", mime="video/mp4", hours=LINK_HOURS),
            clip=path,
            width=request["width"],
            height=request["height"],
            duration=request["duration"],
            regions=tuple(
                (r["x"], r["y"], r["width"], r["height"], r["start"] or 0.0, r["end"])
                for r in request["regions"]
            ),
        )


def _frame_of_clip(session: Session, row: Submission) -> tuple[int, int] | None:
    step_ = session.get(Step, row.step_id) if row.step_id else None
    if step_ is None or step_.subject_id is None or session.get(Asset, step_.subject_id) is None:
        return None
    return row.request["width"], row.request["height"]


def _keep_clip(session: Session, row: Submission, made: dict[str, Any]) -> dict[str, Any]:
    """Give the clip the vendor's file; the original stays beside it."""
    asked_by = session.get_one(Step, row.step_id)
    clip = session.get_one(Asset, asked_by.subject_id)
    made["stored"] |= {"filename": "cleaned.mp4"}
    cleaned = add_rendition(
        session,
        workspace_id=row.workspace_id,
        asset_id=clip.id,
        role=RenditionRole.CLEANED,
        stored=StoredFile.from_json(made["stored"]),
        input_hash=row.input_hash,
        parents=[original_of(session, clip).id],
        step_id=row.step_id,
        tool=f"{row.provider} {row.model}",
        parameters={"regions": row.request["regions"]},
    )
    return {"rendition_id": str(cleaned.id)}


ERRANDS[PURPOSE] = Errand(_put_to_vendor, _frame_of_clip, _keep_clip)


# -- looked at ------------------------------------------------------------------------------------


@step("verify_clip")
def verify_clip(run: Run) -> None:
    """Check that the cleaned clip is whole: size, length and sound as before."""
    with run.loading() as session:
        clip = find_asset(session, run.held.workspace_id, run.subject_id)
        original = original_of(session, clip)
        result = session.scalars(
            select(Step.result).where(
                Step.job_id == run.job.id, Step.kind == "clean_clip", Step.subject_id == run.subject_id
            )
        ).one()
    stored = StoredFile.from_json(result["stored"])
    made = run.remember(clip=original.blob_sha256, cleaned=stored.sha256)
    if made is None:
        made = {"duration": _compare(run, original, stored), "text": "not checked"}
    with run.saving() as session:
        run.result = {
            **made,
            "cleaned_rendition_id": result["rendition_id"],
            "regions": len(run.params["regions"]),
        }
        run.add_to_job(session)


def _compare(run: Run, original: Rendition, cleaned: StoredFile) -> float:
    """Seconds of the cleaned clip; raises Permanent `bad_clean` when sound or length was lost."""
    with run.timing("probe_seconds"):
        with blob_path(original) as path:
            before = probe(path)
        with storage().local(cleaned.key) as path:
            after = probe(path)
    if after.has_audio != before.has_audio:
        raise Permanent("The cleaned clip has lost its sound.", code="bad_clean")
    if abs(after.duration - before.duration) > 0.25:
        raise Permanent(
            f"The cleaned clip is {after.duration:.2f} s long, the original {before.duration:.2f} s.",
            code="bad_clean",
        )
    return after.duration
