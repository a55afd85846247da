"""Job text_removal: burnt-in text is found, filled, read again and reported, by the cheapest way that passes.

    find_text ─▶ clean_clip ─▶ verify_clip ─▶ order_clip ─▶ (a vendor) ─▶ verify_clip ─▶ report_clip

Nothing found: the original is the result, and every step after says so. `local` buys nothing, a vendor that
is named is asked at once, `auto` asks one for what could not be cleaned here.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Permanent, Rejected
from db.assets import AssetKind, Rendition, RenditionRole
from db.work import Job, Step
from services import inputs
from services.renditions import StoredFile, blob_of
from tasks import cleaning
from tasks.library import blob_path, find_asset, original_of
from tasks.removers import HERE
from tasks.step import Run, step, storage

LEFT = "text_left"
NOTHING = "No text was found: the clip is as it was."
_LONG = {"soft": 4500, "hard": 4700}
"""A clip may be long; what an attempt has filled by then is taken over by the next."""


def asked_clip(session: Session, run: Run) -> Rendition:
    """The file that a job is to clean."""
    clip = find_asset(session, run.held.workspace_id, run.subject_id)
    if clip.kind is not AssetKind.CLIP:
        raise Permanent(f"The asset is a {clip.kind.value}, not a clip.", code="wrong_kind")
    return original_of(session, clip)


def result_of(session: Session, run: Run, kind: str, variant: str = "") -> dict[str, Any]:
    """What an earlier step of this job made for the clip; empty when it made nothing."""
    found = session.scalar(
        select(Step.result).where(
            Step.job_id == run.job.id,
            Step.kind == kind,
            Step.subject_id == run.subject_id,
            Step.variant == variant,
        )
    )
    return found or {}


@step("find_text", **_LONG)
def find_text(run: Run) -> None:
    """Look for burnt-in text in the whole clip: where, when, what it says, which pixels it changed."""
    with run.loading() as session:
        original = asked_clip(session, run)
    _check_times(run.params, original)
    made = run.remember(clip=original.blob_sha256, asked=inputs.for_cleaning(run.params))
    if made is None:
        with blob_path(original) as path:
            made = cleaning.find_text(run, path, cleaning.ask_of(run.params))
    with run.saving() as session:
        run.attach(
            session,
            run.subject_id,
            RenditionRole.REPORT,
            {"stored": made["found"]},
            parents=[original.id],
            tool="find_text",
        )
        run.result = made


def _check_times(params: dict[str, Any], original: Rendition) -> None:
    for number, region in enumerate(params["regions"]):
        if original.duration and (region["start"] or 0.0) >= original.duration:
            raise Rejected(
                f"The region begins at {region['start']:g} s; the clip is {original.duration:.2f} s long.",
                code="outside_clip",
                field=f"params.regions.{number}.start",
            )


@step("clean_clip", **_LONG)
def clean_clip(run: Run) -> None:
    """Fill the text that was found, on this machine, unless a vendor is to do it."""
    with run.loading() as session:
        original = asked_clip(session, run)
        seen = result_of(session, run, "find_text")
    if not seen["count"] or run.params["method"] not in HERE:
        run.save({"skipped": NOTHING if not seen["count"] else f"{run.params['method']} is asked."})
        return
    made = run.remember(clip=original.blob_sha256, asked=inputs.for_cleaning(run.params))
    if made is None or "stored" not in made:
        with blob_path(original) as path:
            made = cleaning.fill_text(
                run,
                path,
                cleaning.load(seen),
                cleaning.ask_of(run.params),
                ending=cleaning.ending_of(original),
            )
            made |= {"seconds": run.figures.get("clean_seconds")}
    run.save(made)


@step("verify_clip", **_LONG)
def verify_clip(run: Run) -> None:
    """Read a cleaned clip again: what is left, and whether the rest of it is as it was."""
    with run.loading() as session:
        original = asked_clip(session, run)
        seen = result_of(session, run, "find_text")
        attempt = result_of(session, run, "clean_clip" if run.held.variant == "local" else "order_clip")
    if "stored" not in attempt:
        run.save({"skipped": attempt.get("skipped") or "Nothing to verify."})
        return
    cleaned = attempt["stored"]
    asked = inputs.for_cleaning(run.params)
    made = run.remember(clip=original.blob_sha256, cleaned=cleaned["sha256"], asked=asked)
    if made is None:
        ask, found = cleaning.ask_of(run.params), cleaning.load(seen)
        with blob_path(original) as before, cleaning.lent(cleaned) as after:
            made = {"proof": cleaning.read_again(run, before, after, found, ask)}
        made["seconds"] = run.figures.get("verify_seconds")
    run.save(made)


# -- reported -------------------------------------------------------------------------------------


@step("report_clip")
def report_clip(run: Run) -> None:
    """Keep the best attempt, and say what was found, what was done about it and what is left."""
    with run.loading() as session:
        original = asked_clip(session, run)
        size = blob_of(session, original).size
        steps = {
            name: result_of(session, run, *name.split())
            for name in ("find_text", "clean_clip", "order_clip", "verify_clip local", "verify_clip bought")
        }
    report, best = _report(run, steps)
    chosen = best["stored"] if best is not None else None
    made = run.remember(clip=original.blob_sha256, report=report)
    if made is None:
        made = {"report": cleaning.store_report(run, report).to_json()}
        if chosen is not None:
            with blob_path(original) as before, cleaning.lent(chosen) as after:
                sheet = cleaning.sheet_of(run, before, after, cleaning.load(steps["find_text"]))
            made["sheet"] = sheet.to_json()
    if chosen is None:
        chosen = _as_it_was(original, size).to_json()
    with run.keeping() as session:
        result = _attach(session, run, original, chosen, made, report)
        job = session.get_one(Job, run.job.id)
        job.warnings = [w for w in job.warnings if w.get("code") != LEFT]
        if not report["clean"]:
            job.warnings = [*job.warnings, {"code": LEFT, "message": report["why"]}]
        job.result = {**job.result, **result}
    if not report["clean"] and run.params["strict"]:
        raise Permanent(report["why"], code=LEFT)
    run.save({**made, **result})


def _report(run: Run, steps: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The report, and the attempt that the job hands out; None: the original."""
    seen, bought = steps["find_text"], steps["order_clip"]
    attempts = [
        {
            "method": name,
            "stored": attempt["stored"],
            "proof": check.get("proof", {}),
            "seconds": {"clean": attempt.get("seconds"), "verify": check.get("seconds")},
            "cost": {"amount": attempt.get("cost", 0), "currency": attempt.get("currency", "USD")},
        }
        for name, attempt, check in (
            ("local", steps["clean_clip"], steps["verify_clip local"]),
            (bought.get("provider"), bought, steps["verify_clip bought"]),
        )
        if "stored" in attempt
    ]
    sound = [one for one in attempts if not one["proof"].get("trouble")]
    best = min(sound, key=lambda one: (not one["proof"].get("clean"), _left(one))) if sound else None
    if attempts and best is None:
        raise Permanent(f"{attempts[-1]['method']}: {attempts[-1]['proof']['trouble']}", code="bad_clean")
    clean = not seen["count"] if best is None else bool(best["proof"].get("clean"))
    report = {
        "asked": inputs.for_cleaning(run.params) | {"method": run.params["method"]},
        "method": best["method"] if best is not None else "none",
        "clean": clean,
        "why": _why(run.params, seen, best, bought, clean=clean),
        "found": {name: seen[name] for name in ("count", "texts", "shots", "frames", "fps", "notes")},
        "attempts": [
            {**{k: v for k, v in one.items() if k != "stored"}, "sha256": one["stored"]["sha256"]}
            for one in attempts
        ],
        "seconds": {"find": seen.get("seconds")},
        "cost": [one["cost"] for one in attempts if one["cost"]["amount"]],
    }
    return report, best


def _left(attempt: dict[str, Any]) -> int:
    return int(attempt["proof"].get("residue_chars", 0))


def _why(
    params: dict[str, Any],
    seen: dict[str, Any],
    best: dict[str, Any] | None,
    bought: dict[str, Any],
    *,
    clean: bool,
) -> str:
    """Why this method, in a sentence or two."""
    if not seen["count"]:
        return NOTHING
    if best is None:
        return f"Nothing was cleaned. {bought.get('skipped', '')}".strip()
    method = best["method"]
    if clean and params["method"] != "auto":
        return f"{method} was asked for; nothing readable is left."
    if clean:
        tried = "" if method == "local" else " What was filled here could still be read."
        return f"{method} is the cheapest that passes.{tried}"
    later = f" {bought['skipped']}" if bought.get("skipped") else ""
    return f"Of the text, {_left(best)} characters can still be read after {method}.{later}"


def _as_it_was(original: Rendition, size: int) -> StoredFile:
    """The original's own bytes as the result."""
    from core.storage import blob_key

    key = blob_key(original.blob_sha256)
    assert storage().exists(key)
    names = ("width", "height", "duration", "codec", "bitrate", "facts")
    return StoredFile(
        sha256=original.blob_sha256,
        size=size,
        mime=original.mime,
        key=key,
        filename=f"cleaned{cleaning.ending_of(original)}",
        **{name: getattr(original, name) for name in names},
    )


def _attach(
    session: Session,
    run: Run,
    original: Rendition,
    chosen: dict[str, Any],
    made: dict[str, Any],
    report: dict[str, Any],
) -> dict[str, Any]:
    """Give the clip its cleaned file, the report and the sheet; returns the job's result."""
    clip, asked = run.subject_id, report["asked"]
    cleaned = run.attach(
        session, clip, RenditionRole.CLEANED, {"stored": chosen},
        parents=[original.id], tool=f"text removal: {report['method']}", parameters=asked,
    )  # fmt: skip
    told: dict[str, UUID] = {}
    for name in ("report", "sheet"):
        if name in made:
            file = {"stored": made[name]}
            parents = [original.id, cleaned.id]
            told[name] = run.attach(
                session, clip, RenditionRole.REPORT, file, parents=parents, tool="text report"
            ).id
    return {
        "clean": report["clean"],
        "method": report["method"],
        "why": report["why"],
        "texts": report["found"]["count"],
        "original_rendition_id": str(original.id),
        "cleaned_rendition_id": str(cleaned.id),
        "report_rendition_id": str(told["report"]),
        "sheet_rendition_id": str(told["sheet"]) if "sheet" in told else None,
    }
