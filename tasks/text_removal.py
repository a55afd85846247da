"""Job text_removal: the marked regions of a clip are filled, and the result is compared with the original."""

from __future__ import annotations

from sqlalchemy import select

from core.errors import Misconfigured, Permanent
from db.assets import AssetKind, Rendition, RenditionRole
from db.work import Step
from media.erase import Region, erase_regions
from media.probe import probe
from services.renditions import StoredFile
from tasks.library import blob_path, find_asset, original_of
from tasks.step import Run, step, storage


@step("clean_clip", soft=1800, hard=1860)
def clean_clip(run: Run) -> None:
    """Fill the regions a person marked; nothing is looked for that nobody marked."""
    if run.params["provider"] != "local":
        raise Misconfigured(f"The provider {run.params['provider']} does not remove text here; use `local`.")
    with run.loading() as session:
        clip = find_asset(session, run.held.workspace_id, run.subject_id)
        if clip.kind is not AssetKind.CLIP:
            raise Permanent(f"The asset is a {clip.kind.value}, not a clip.", code="wrong_kind")
        original = original_of(session, clip)
    made = run.remember(clip=original.blob_sha256, regions=run.params["regions"])
    if made is None:
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
        made = {"stored": stored.to_json()}
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
