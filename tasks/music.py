"""Phase source: the film gets its music."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Invalid
from db.assets import Film
from media.ambient import render_ambient
from tasks.asked import asking
from tasks.inspection import inspect
from tasks.library import find_asset, keep_found, known_asset, original_of
from tasks.source import MAX_DOWNLOAD, licence_policy
from tasks.step import Run, step
from tasks.wiring import open_source

MUSIC_SECONDS = 60.0


@step("find_music")
def find_music(run: Run) -> None:
    """Fetch or make the music the brief asks for."""
    music, seed = run.params["music"], run.params["seed"]
    if music["from"] == "asset":
        with run.loading() as session:
            asset = find_asset(session, run.held.workspace_id, UUID(music["id"]))
            run.name_inputs(music=original_of(session, asset).blob_sha256)
        with run.saving() as session:
            _use_music(session, run, asset.id)
        return
    made = run.remember(music=music, seed=seed, licences=run.params["licences"])
    if made is not None:
        with run.saving() as session:
            _use_music(session, run, UUID(made["asset_id"]))
        return
    with run.timing("search_seconds"), asking(run, music["from"]):
        candidate = open_source(music["from"]).get(music["id"])
    if candidate.kind != "audio":
        raise Invalid(f"{music['from']}:{music['id']} is not sound.", field="params.music.id")
    licence_policy(run.params).check(candidate.licence)
    # what is made here differs by seed, so each seed's piece is an item of its own
    item = f"{candidate.foreign_id}-{seed}" if candidate.generated and seed else candidate.foreign_id
    with run.loading() as session:
        known = known_asset(session, run.held.workspace_id, candidate.source, item)
    if known is not None:
        with run.saving() as session:
            _use_music(session, run, known)
        return
    out = run.scratch / "music.wav"
    with run.timing("fetch_seconds"), asking(run, music["from"]):
        if candidate.generated is not None:
            render_ambient(out, duration=MUSIC_SECONDS, seed=seed, mood=candidate.generated)  # type: ignore[arg-type]
        else:
            open_source(music["from"]).fetch(candidate, out, MAX_DOWNLOAD)
    inspected = inspect(run, out, filename=f"{candidate.foreign_id}.wav", width=2, height=2, found=candidate)
    if inspected.kind != "audio":
        raise Invalid(f"{music['from']}:{music['id']} is not sound.", field="params.music.id")
    with run.saving() as session:
        asset = keep_found(session, run.held.workspace_id, candidate, inspected, foreign_id=item)
        _use_music(session, run, asset.id)


def _use_music(session: Session, run: Run, asset_id: UUID) -> None:
    film = session.get_one(Film, run.film_id)
    film.metadata_ = {**film.metadata_, "music_asset_id": str(asset_id)}
    run.result = {"asset_id": str(asset_id)}
