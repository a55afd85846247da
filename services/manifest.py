"""The render manifest and the credits: what a film is made of, by digest, and whom it owes a line."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.licences import OWN_WORK, Licence, credit_line, one_line, own_credit
from db.assets import Film, Origin, Rendition, RenditionRole, Script, ScriptVersion, Shot, Take
from db.work import Job, Step
from services.films import film_shots
from services.renditions import latest_rendition
from services.rights import MUSIC_CHANGES, changes_of, used_assets

MANIFEST_VERSION = 1


def render_manifest(session: Session, job: Job, *, tools: dict[str, str] | None = None) -> dict[str, Any]:
    """Name every input of a job's film: texts, files by digest, licences, providers, seeds, tools.

    Two films whose manifests have equal inputs have equal masters.
    """
    manifest: dict[str, Any] = {
        "version": MANIFEST_VERSION,
        "job": {"id": str(job.id), "kind": job.kind.value, "params": job.params},
        "tools": tools or job.result.get("tools", {}),
        "steps": [_step(row) for row in _steps(session, job.id)],
    }
    film = session.get(Film, job.film_id) if job.film_id else None
    if film is None:
        return manifest
    manifest["film"] = {
        "id": str(film.id),
        "name": film.name,
        "format": film.format,
        "width": film.width,
        "height": film.height,
        "fps": film.fps,
        "language": film.language,
        "captions": film.caption_style,
    }
    manifest["script"] = _script(session, film)
    manifest["shots"] = [_shot(session, shot) for shot in film_shots(session, film.id)]
    manifest["music"] = _music(session, film)
    manifest["master"] = (
        _file(session.get(Rendition, film.master_rendition_id)) if film.master_rendition_id else None
    )
    manifest["credits"] = list_credits(session, film.id)
    return manifest


def portable(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest as it is delivered: without what differs between two films of equal bytes.

    Left out are ids of rows (`_IDS`), the steps, and whether the brief allowed taking over earlier work.
    """
    params = {name: value for name, value in manifest["job"]["params"].items() if name != "reuse"}
    rest = {name: value for name, value in manifest.items() if name not in ("steps", "job")}
    return {**_without_ids(rest), "job": {"kind": manifest["job"]["kind"], "params": params}}


_IDS = frozenset({"id", "asset_id", "rendition_id"})


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_ids(item) for name, item in value.items() if name not in _IDS}
    if isinstance(value, list):
        return [_without_ids(item) for item in value]
    return value


def list_credits(session: Session, film_id: UUID) -> list[dict[str, Any]]:
    """One entry per outside asset in the cut: what it is, its licence, the line it is owed."""
    return [
        {
            "asset_id": str(used.asset.id),
            "kind": used.asset.kind.value,
            "name": used.asset.name,
            "used_in": list(used.places),
            **_origin(used.origin, changes=used.changes),
        }
        for used in used_assets(session, film_id)
    ]


def credits_text(film: Film, entries: list[dict[str, Any]], params: dict[str, Any]) -> str:
    """The words of the end card: film, pictures, music, voice."""
    pictures = [entry for entry in entries if entry["kind"] != "audio"]
    music = [entry for entry in entries if entry["kind"] == "audio"]
    lines = [film.name, ""]
    lines += [_short_credit(entry) for entry in pictures]
    if music:
        lines += ["", *(f"Music: {_short_credit(entry)}" for entry in music)]
    lines += ["", f"Voice: {params['narrator']} (synthetic)"]
    return "\n".join(lines)


def _short_credit(entry: dict[str, Any]) -> str:
    who = entry.get("creator") or entry["source"]
    return (
        f"{one_line(entry.get('title') or entry['name'])}: {one_line(who)}, "
        f"{entry.get('licence_name') or entry['licence']}"
    )


def _origin(origin: Origin | None, *, changes: str) -> dict[str, Any]:
    if origin is None:
        return {"source": "upload", "licence": OWN_WORK, "credit": None}
    licence = Licence.from_json(origin.licence_facts)
    own = origin.licence == OWN_WORK
    return {
        "source": origin.source,
        "foreign_id": origin.foreign_id,
        "title": origin.title,
        "creator": origin.creator,
        "creator_url": origin.creator_url,
        "landing_url": origin.landing_url,
        "licence": origin.licence,
        "licence_name": licence.name,
        "licence_class": origin.licence_class.value,
        "licence_url": origin.licence_url,
        "attribution_required": licence.attribution_required,
        "share_alike": licence.share_alike,
        "restrictions": origin.restrictions,
        "changes": changes,
        "retrieved_at": origin.retrieved_at.isoformat(),
        "credit": None if own else credit_of(origin, changes=changes),
    }


def credit_of(origin: Origin, *, changes: str | None = None) -> str:
    """The line that fulfils an origin's attribution duty; the source's own text where it gives one."""
    licence = Licence.from_json(origin.licence_facts)
    if origin.attribution:
        return own_credit(origin.attribution, licence, changes=changes)
    return credit_line(
        title=origin.title,
        creator=origin.creator,
        creator_url=origin.creator_url,
        source_url=origin.landing_url,
        licence=licence,
        changes=changes,
    )


def _script(session: Session, film: Film) -> dict[str, Any] | None:
    script = session.get(Script, film.script_id) if film.script_id else None
    if script is None or script.current_version_id is None:
        return None
    version = session.get_one(ScriptVersion, script.current_version_id)
    return {
        "id": str(script.id),
        "version": version.number,
        "author": version.author,
        "origin": version.origin,
        "format": version.format,
        "text": version.text,
    }


def _shot(session: Session, shot: Shot) -> dict[str, Any]:
    take = session.get(Take, shot.selected_take_id) if shot.selected_take_id else None
    return {
        "id": str(shot.id),
        "position": shot.position,
        "scene": shot.scene,
        "heading": shot.heading,
        "narration": shot.narration,
        "frames": shot.frames,
        "duration": shot.duration,
        "narration_file": _file(latest_rendition(session, shot.id, RenditionRole.NARRATION)),
        "segment": _file(latest_rendition(session, shot.id, RenditionRole.SEGMENT)),
        "take": _take(session, take) if take is not None else None,
    }


def _take(session: Session, take: Take) -> dict[str, Any]:
    origin = session.get(Origin, take.source_asset_id) if take.source_asset_id else None
    picture = (
        latest_rendition(session, take.source_asset_id, RenditionRole.ORIGINAL)
        if take.source_asset_id
        else None
    )
    return {
        "id": str(take.id),
        "number": take.number,
        "origin": take.origin.value,
        "provider": take.provider,
        "model": take.model,
        "seed": take.seed,
        "cost": take.cost,
        "currency": take.currency,
        "input_hash": take.input_hash,
        "quality": take.quality,
        "file": _file(latest_rendition(session, take.id, RenditionRole.ORIGINAL)),
        "made_from": {
            "asset_id": str(take.source_asset_id),
            "file": _file(picture),
            **_origin(origin, changes=changes_of(session, take)),
        }
        if take.source_asset_id
        else None,
    }


def _music(session: Session, film: Film) -> dict[str, Any] | None:
    asset_id = film.metadata_.get("music_asset_id")
    if not asset_id:
        return None
    return {
        "asset_id": asset_id,
        "file": _file(latest_rendition(session, UUID(asset_id), RenditionRole.ORIGINAL)),
        **_origin(session.get(Origin, UUID(asset_id)), changes=MUSIC_CHANGES),
    }


def _file(rendition: Rendition | None) -> dict[str, Any] | None:
    if rendition is None:
        return None
    return {
        "rendition_id": str(rendition.id),
        "sha256": rendition.blob_sha256,
        "mime": rendition.mime,
        "width": rendition.width,
        "height": rendition.height,
        "duration": rendition.duration,
        "input_hash": rendition.input_hash,
        "facts": rendition.facts,
    }


def _steps(session: Session, job_id: UUID) -> list[Step]:
    return list(session.scalars(select(Step).where(Step.job_id == job_id).order_by(Step.id)))


def _step(row: Step) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "label": row.label or row.variant,
        "phase": row.phase,
        "state": row.state.value,
        "input_hash": row.input_hash,
        "reused": row.reused_from is not None,
    }
