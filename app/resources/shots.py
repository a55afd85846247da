"""Shots: planned pieces of a film, in the order of the cut."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import IF_MATCH_PARAMETER, IF_MATCH_REQUIRED, expected_revision, reply
from app.schemas.candidates import CandidateArgs, CandidateOut, CandidatePage, show_candidate
from app.schemas.studio import (
    ReorderIn,
    SelectTakeIn,
    ShotIn,
    ShotOut,
    ShotPatchIn,
    ShotsArgs,
    ShotsOut,
    TakeIn,
    TakeOut,
    TakePage,
)
from db.assets import Shot
from db.session import reading, transaction
from services import shots
from services.candidates import list_candidates
from services.library import find_asset

blp = Blueprint("shots", __name__, url_prefix="/api/v1", description="Planned pieces of a film.")


@blp.get("/shots")
@blp.arguments(ShotsArgs, location="query")
@blp.response(200, ShotsOut)
def show_shots(args: dict[str, Any]) -> Response:
    """List a film's shots in the order of the cut."""
    with reading() as session:
        rows = shots.list_shots(session, identity().workspace_id, args["film_id"])
        return reply(ShotsOut, {"items": rows})


@blp.post("/shots")
@blp.arguments(ShotIn)
@blp.response(201, ShotOut)
def make_shot(data: dict[str, Any]) -> Response:
    """Put a shot into a film."""
    caller = identity()
    with transaction() as session:
        row = shots.create_shot(session, caller.workspace_id, caller.user_id, data)
        return reply(ShotOut, row, 201, location=f"/api/v1/shots/{row.id}", revision=row.revision)


@blp.post("/shots/reorder")
@blp.arguments(ReorderIn)
@blp.response(200, ShotsOut)
def reorder_shots(data: dict[str, Any]) -> Response:
    """Cut a film in another order."""
    caller = identity()
    with transaction() as session:
        rows = shots.reorder_shots(session, caller.workspace_id, caller.user_id, **data)
        return reply(ShotsOut, {"items": rows})


@blp.get("/shots/<uuid:shot_id>")
@blp.response(200, ShotOut)
def show_shot(shot_id: UUID) -> Response:
    """Show a shot."""
    with reading() as session:
        row = find_asset(session, identity().workspace_id, Shot, shot_id)
        return reply(ShotOut, row, revision=row.revision)


@blp.patch("/shots/<uuid:shot_id>")
@blp.arguments(ShotPatchIn)
@blp.response(200, ShotOut)
@blp.doc(parameters=[IF_MATCH_REQUIRED])
def change_shot(data: dict[str, Any], shot_id: UUID) -> Response:
    """Change a shot's words, look or length."""
    caller = identity()
    expected = expected_revision(required=True)
    with transaction() as session:
        row = shots.update_shot(session, caller.workspace_id, caller.user_id, shot_id, data, expected)
        return reply(ShotOut, row, revision=row.revision)


@blp.delete("/shots/<uuid:shot_id>")
@blp.response(204)
@blp.doc(parameters=[IF_MATCH_REQUIRED])
def remove_shot(shot_id: UUID) -> Response:
    """Take a shot out of the film."""
    caller = identity()
    expected = expected_revision(required=True)
    with transaction() as session:
        shots.delete_shot(session, caller.workspace_id, caller.user_id, shot_id, expected)
    return Response(status=204)


@blp.post("/shots/<uuid:shot_id>/select-take")
@blp.arguments(SelectTakeIn)
@blp.response(200, ShotOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def select_take(data: dict[str, Any], shot_id: UUID) -> Response:
    """Have the cut show this take."""
    caller = identity()
    expected = expected_revision()
    with transaction() as session:
        row = shots.select_take(
            session, caller.workspace_id, caller.user_id, shot_id, data["take_id"], expected
        )
        return reply(ShotOut, row, revision=row.revision)


@blp.get("/shots/<uuid:shot_id>/takes")
@blp.arguments(PageArgs, location="query")
@blp.response(200, TakePage)
def show_takes(args: dict[str, Any], shot_id: UUID) -> Response:
    """List a shot's takes."""
    window, _ = window_of(args)
    with reading() as session:
        page = shots.list_takes(session, identity().workspace_id, shot_id, window)
        return page_reply(TakeOut, page, args)


@blp.post("/shots/<uuid:shot_id>/takes")
@blp.arguments(TakeIn)
@blp.response(201, TakeOut)
def bring_take(data: dict[str, Any], shot_id: UUID) -> Response:
    """Bring a clip of your own as a take of a shot; select it with select-take."""
    caller = identity()
    with transaction() as session:
        row = shots.bring_take(session, caller.workspace_id, caller.user_id, shot_id, data["asset_id"])
        return reply(TakeOut, row, 201, revision=row.revision, location=f"/api/v1/takes/{row.id}")


@blp.get("/shots/<uuid:shot_id>/candidates")
@blp.arguments(CandidateArgs, location="query")
@blp.response(200, CandidatePage)
def show_candidates(args: dict[str, Any], shot_id: UUID) -> Response:
    """List what was found for a shot, best first, each with its score and why it is shown or not."""
    window, _ = window_of(args)
    with reading() as session:
        page = list_candidates(session, identity().workspace_id, window, shot_id=shot_id)
        return page_reply(CandidateOut, page, args, [show_candidate(row) for row in page.items])
