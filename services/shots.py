"""Shots and takes as people edit them: their order, their words, the take that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from core.hashing import digest
from db.assets import Asset, AssetKind, Blob, Film, RenditionRole, Shot, Take, TakeOrigin, Validation
from services.activities import record_activity
from services.films import add_take, film_shots
from services.library import change_asset, check_revision, find_asset
from services.paging import Page, Window, read_page
from services.renditions import StoredFile, add_rendition, latest_rendition

MAX_SHOTS = 200


def list_shots(session: Session, workspace_id: UUID, film_id: UUID) -> list[Shot]:
    """Every shot of a film in the order of the cut: at most 200, so not paged."""
    find_asset(session, workspace_id, Film, film_id)
    return film_shots(session, film_id)


def create_shot(session: Session, workspace_id: UUID, user_id: UUID, data: dict[str, Any]) -> Shot:
    """Put a shot at `position` (or at the end) and move the later ones back."""
    film_id = data["film_id"]
    find_asset(session, workspace_id, Film, film_id, lock=True)
    shots = film_shots(session, film_id)
    if len(shots) >= MAX_SHOTS:
        raise Conflict(f"A film has at most {MAX_SHOTS} shots.", field="film_id")
    asked = data.pop("position", None)
    place = len(shots) if asked is None else min(asked, len(shots))
    shot = Shot(workspace_id=workspace_id, created_by=user_id, position=place, **data)
    session.add(shot)
    _renumber([*shots[:place], shot, *shots[place:]])
    session.flush()
    record_activity(session, workspace_id, user_id, "shot.created", shot.id)
    return shot


def update_shot(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    shot_id: UUID,
    changes: dict[str, Any],
    expected: int | None,
) -> Shot:
    shot = find_asset(session, workspace_id, Shot, shot_id, lock=True)
    check_revision(shot, expected)
    change_asset(shot, changes)
    session.flush()
    record_activity(session, workspace_id, user_id, "shot.changed", shot.id, fields=sorted(changes))
    return shot


def delete_shot(
    session: Session, workspace_id: UUID, user_id: UUID, shot_id: UUID, expected: int | None
) -> None:
    """Take a shot out of the cut; its takes stay."""
    film_id = find_asset(session, workspace_id, Shot, shot_id).film_id
    find_asset(session, workspace_id, Film, film_id, lock=True)
    shot = find_asset(session, workspace_id, Shot, shot_id, lock=True)
    check_revision(shot, expected)
    shot.deleted_at = session.scalar(select(func.now()))
    session.flush()
    _renumber(film_shots(session, film_id))
    record_activity(session, workspace_id, user_id, "shot.deleted", shot.id)


def reorder_shots(
    session: Session, workspace_id: UUID, user_id: UUID, film_id: UUID, shot_ids: Sequence[UUID]
) -> list[Shot]:
    """Cut a film in this order; every shot must be named once."""
    find_asset(session, workspace_id, Film, film_id, lock=True)
    shots = {shot.id: shot for shot in film_shots(session, film_id)}
    if len(shot_ids) != len(shots) or set(shot_ids) != set(shots):
        raise Invalid(
            f"Name each of the film's {len(shots)} shots exactly once, in the new order.", field="shot_ids"
        )
    ordered = [shots[shot_id] for shot_id in shot_ids]
    _renumber(ordered)
    session.flush()
    record_activity(session, workspace_id, user_id, "shot.reordered", film_id)
    return ordered


def select_take(
    session: Session, workspace_id: UUID, user_id: UUID, shot_id: UUID, take_id: UUID, expected: int | None
) -> Shot:
    """Have the cut show this take of the shot."""
    shot = find_asset(session, workspace_id, Shot, shot_id, lock=True)
    check_revision(shot, expected)
    take = find_asset(session, workspace_id, Take, take_id)
    if take.shot_id != shot.id:
        raise Invalid("This take belongs to another shot.", field="take_id")
    if shot.selected_take_id != take.id:
        shot.selected_take_id = take.id
        session.flush()
        record_activity(session, workspace_id, user_id, "shot.take_selected", shot.id, take_id=str(take.id))
    return shot


def list_takes(session: Session, workspace_id: UUID, shot_id: UUID, window: Window) -> Page[Take]:
    find_asset(session, workspace_id, Shot, shot_id)
    statement = select(Take).where(Take.shot_id == shot_id, Asset.deleted_at.is_(None))
    return read_page(session, statement, Take.id, window)


def bring_take(session: Session, workspace_id: UUID, user_id: UUID, shot_id: UUID, asset_id: UUID) -> Take:
    """Make a take of a clip of one's own; it is not selected. The same clip again is the same take."""
    shot = find_asset(session, workspace_id, Shot, shot_id)
    clip = find_asset(session, workspace_id, Asset, asset_id)
    if clip.kind is not AssetKind.CLIP:
        raise Invalid(
            f"A take moves, and this asset is a {clip.kind.value}: name a clip. A still is shown by a script "
            f"that says `[image: asset:{clip.id}]`.",
            field="asset_id",
        )
    original = latest_rendition(session, clip.id, RenditionRole.ORIGINAL)
    if original is None:
        raise Conflict("This clip has no file.", field="asset_id")
    take = add_take(
        session,
        shot,
        origin=TakeOrigin.UPLOAD,
        provider=None,
        model=None,
        seed=None,
        cost=0,
        currency="USD",
        source_asset_id=clip.id,
        input_hash=digest({"clip": original.blob_sha256}),
    )
    take.created_by = user_id
    blob = session.get_one(Blob, original.blob_sha256)
    add_rendition(
        session,
        workspace_id=workspace_id,
        asset_id=take.id,
        role=RenditionRole.ORIGINAL,
        stored=StoredFile(
            blob.sha256,
            blob.size,
            original.mime,
            blob.storage_key,
            original.filename,
            original.width,
            original.height,
            original.duration,
            original.codec,
        ),
        parents=[original.id],
        tool="upload",
    )
    session.flush()
    record_activity(session, workspace_id, user_id, "take.brought", take.id, shot_id=str(shot.id))
    return take


def judge_take(
    session: Session, workspace_id: UUID, user_id: UUID, take_id: UUID, changes: dict[str, Any]
) -> Take:
    """Change a take's validation, name or description."""
    take = find_asset(session, workspace_id, Take, take_id, lock=True)
    if "validation" in changes:
        changes = {**changes, "validation": Validation(changes["validation"])}
    change_asset(take, changes)
    session.flush()
    record_activity(session, workspace_id, user_id, "take.changed", take.id, fields=sorted(changes))
    return take


def _renumber(shots: Sequence[Shot]) -> None:
    for position, shot in enumerate(shots):
        if shot.position != position:
            shot.position = position
