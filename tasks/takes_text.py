"""A film's takes before they are cut: broken ones are set aside, and text nobody asked for goes away.

The cheapest that passes: nothing, where no text is read; another take of the shot that has none; a crop,
where it stands at the edge; filling. What a shot shows then is `films.shown_file`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import PipelineError
from db.assets import (
    Asset,
    AssetKind,
    AssetStatus,
    Rendition,
    RenditionRole,
    Shot,
    Take,
    TakeOrigin,
    Validation,
)
from db.work import Job, Step
from media.burnt_text import Ask, Found
from media.crop import crop_around, crop_clip
from media.first_look import first_look
from media.probe import Probe, probe
from services.films import usable_take
from tasks import cleaning
from tasks.library import blob_path, original_of
from tasks.step import Run, step

TEXT_IN_TAKE = "text_in_take"


@step("clean_take", version=2, soft=1800, hard=1860)
def clean_take(run: Run) -> None:
    """Look at the shot's take before it is cut: a broken one gives way, burnt-in text is removed."""
    with run.loading() as session:
        shot = session.get_one(Shot, run.subject_id)
        take = usable_take(session, shot)
        rendition = original_of(session, take) if take is not None else None
        left_alone = _left_alone(run, session, take)
        others = _others(session, run, shot, take) if left_alone is None else []
    keep = (run.params.get("burnt_text") or {}).get("keep", [])
    files = [other.blob_sha256 for other in others]
    made = run.remember(
        file=rendition.blob_sha256 if rendition else None, left=left_alone, keep=keep, others=files
    )
    if made is None or "fault" not in made:
        made = {"fault": None, "text": {"found": 0}}
        if rendition is not None:
            with blob_path(rendition) as path, run.timing("look_seconds"):
                seen, fault = _probed(path)
                if seen is None:
                    made["fault"] = fault
                elif left_alone is not None:
                    made["text"] = {"looked": False, "why": left_alone}
                else:
                    made |= _clean(run, path, seen, Ask(keep_words=tuple(keep)), others, rendition)
    with run.saving() as session:
        shot = session.get_one(Shot, run.subject_id)
        if take is not None:
            take = _judge(session, run, shot, take.id, made, others)
        run.note(take=original_of(session, take).blob_sha256 if take is not None else None)
        run.result = {**made, "take_id": str(take.id) if take else None}


def _left_alone(run: Run, session: Session, take: Take | None) -> str | None:
    """Why text in a take is none of our business; None: it is looked for."""
    if take is None:
        return "There is no take."
    if not (run.params.get("burnt_text") or {"remove": True})["remove"]:
        return "The brief wants takes as they come."
    if take.origin is TakeOrigin.RENDERED and take.source_asset_id is None:
        return "A card: its words are the film's own."
    source = session.get(Asset, take.source_asset_id) if take.source_asset_id is not None else None
    if take.origin is TakeOrigin.STOCK and source is not None and source.kind is AssetKind.IMAGE:
        return "A still: what is written in it belongs to the picture."
    return None


def _others(session: Session, run: Run, shot: Shot, take: Take | None) -> list[Rendition]:
    """Files of the shot's other takes, newest first; none where a person chose the take or asked for it."""
    asked = session.scalar(
        select(Step.params).where(
            Step.job_id == run.job.id, Step.kind == "submit_take", Step.subject_id == shot.id
        )
    )
    if take is None or take.validation is Validation.APPROVED or (asked or {}).get("retake"):
        return []
    if take.origin is TakeOrigin.UPLOAD:
        return []
    takes = session.scalars(
        select(Take)
        .where(
            Take.shot_id == shot.id,
            Take.id != take.id,
            Take.status == AssetStatus.ACTIVE,
            Take.validation != Validation.REJECTED,
            Take.deleted_at.is_(None),
        )
        .order_by(Take.number.desc())
    )
    return [original_of(session, other) for other in takes]


def _clean(
    run: Run, path: Path, seen: Probe, ask: Ask, others: list[Rendition], rendition: Rendition
) -> dict[str, Any]:
    """Find the cheapest way to a picture without burnt-in text."""
    if not first_look(path, seen, run.scratch):
        return {"text": {"found": 0}}
    for other in others:
        with blob_path(other) as spare:
            looked, _ = _probed(spare)
            if looked is not None and not first_look(spare, looked, run.scratch):
                return {"text": {"found": 1, "done": "another take"}, "instead": other.blob_sha256}
    made = cleaning.find_text(run, path, ask)
    if not made["count"]:
        return {"text": {"found": 0}}
    found = cleaning.load(made)
    done, stored, proof = _crop(run, path, seen, found) or _fill(run, path, found, ask, rendition)
    text = {
        "found": made["count"],
        "words": [one["words"] for one in made["texts"]][:10],
        "done": done,
        "clean": proof["clean"],
        "cleaned": stored["sha256"],
    }
    with cleaning.lent(stored) as cleaned:
        sheet = cleaning.sheet_of(run, path, cleaned, found)
    seconds = {name: value for name, value in run.figures.items() if name.endswith("_seconds")}
    facts = {name: made[name] for name in ("count", "texts", "shots", "frames", "fps", "notes")}
    report = {
        "method": done,
        "clean": proof["clean"],
        "found": facts,
        "proof": proof,
        "seconds": seconds,
        "cost": [],
    }
    return {
        "text": text,
        "stored": stored,
        "sheet": sheet.to_json(),
        "report": cleaning.store_report(run, report).to_json(),
    }


def _crop(
    run: Run, path: Path, seen: Probe, found: Found
) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """Cut the edge off that has the text; None where too much of the picture would go, or text is left."""
    window = crop_around(found)
    if window is None:
        return None
    out = run.scratch / "cleaned.mp4"
    with run.timing("crop_seconds"):
        crop_clip(path, out, seen, window)
    left = first_look(out, seen, run.scratch)
    if left:
        return None
    stored = cleaning.store_cleaned(run, out, found)["stored"]
    return "cropped", stored, {"clean": True, "residue_chars": 0, "window": [round(n, 4) for n in window]}


def _fill(
    run: Run, path: Path, found: Found, ask: Ask, rendition: Rendition
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    stored = cleaning.fill_text(run, path, found, ask, ending=cleaning.ending_of(rendition))["stored"]
    with cleaning.lent(stored) as cleaned:
        return "filled", stored, cleaning.read_again(run, path, cleaned, found, ask)


def _judge(
    session: Session, run: Run, shot: Shot, take_id: Any, made: dict[str, Any], others: list[Rendition]
) -> Take | None:
    """Write down what was seen and done; returns the take that the shot shows from now on."""
    take: Take | None = session.get_one(Take, take_id)
    assert take is not None
    fault = made["fault"]
    take.quality = {**take.quality, "sound_file": fault is None, "fault": fault, "text": made["text"]}
    _attach(session, run, take, made)
    _warn(session, run, shot, made["text"])
    instead = next((one.asset_id for one in others if one.blob_sha256 == made.get("instead")), None)
    if fault is not None:
        take.status = AssetStatus.BROKEN
        take = usable_take(session, shot)
    elif instead is not None:
        take = session.get_one(Take, instead)
        take.quality = {**take.quality, "sound_file": True, "fault": None, "text": {"found": 0}}
    if take is not None and shot.selected_take_id != take.id:
        shot.selected_take_id = take.id
    return take


def _attach(session: Session, run: Run, take: Take, made: dict[str, Any]) -> None:
    """Give the take its cleaned file, with the report and the sheet that prove it."""
    if "stored" not in made:
        return
    original = original_of(session, take)
    tool = f"text {made['text']['done']}"
    cleaned = run.attach(
        session, take.id, RenditionRole.CLEANED, {"stored": made["stored"]}, parents=[original.id], tool=tool
    )
    for name in ("report", "sheet"):
        file, parents = {"stored": made[name]}, [original.id, cleaned.id]
        run.attach(session, take.id, RenditionRole.REPORT, file, parents=parents, tool="text report")


def _warn(session: Session, run: Run, shot: Shot, text: dict[str, Any]) -> None:
    """Say where text could not be removed; call inside `saving`."""
    job = session.get_one(Job, run.job.id)
    others = [w for w in job.warnings if (w.get("code"), w.get("shot_id")) != (TEXT_IN_TAKE, str(shot.id))]
    if text.get("clean") is False:
        said = f"{shot.name}: some of the text that is burnt into its take can still be read."
        job.warnings = [*others, {"code": TEXT_IN_TAKE, "shot_id": str(shot.id), "message": said}]
    elif len(others) < len(job.warnings):
        job.warnings = others


def _probed(path: Path) -> tuple[Probe | None, str | None]:
    """What a take's file is, or why it cannot be used."""
    try:
        seen = probe(path)
    except PipelineError as error:
        return None, error.message
    if seen.kind == "clip" and seen.frames > 0:
        return seen, None
    return None, f"It is a {seen.kind}, not a moving picture."
