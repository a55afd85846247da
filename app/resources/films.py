"""Films: what a job makes, and what people say of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from app.api import Blueprint
from app.auth import identity
from app.paging import page_reply, window_of
from app.reply import IF_MATCH_PARAMETER, expected_revision, reply
from app.schemas.candidates import CandidateArgs, CandidateOut, CandidatePage, show_candidate
from app.schemas.studio import ByProjectArgs, CreditsOut, FilmOut, FilmPage, FilmPatchIn
from db.assets import Film
from db.session import reading, transaction
from services import projects
from services.candidates import list_candidates
from services.library import find_asset
from services.manifest import list_credits

blp = Blueprint("films", __name__, url_prefix="/api/v1", description="What jobs make.")


@blp.get("/films")
@blp.arguments(ByProjectArgs, location="query")
@blp.response(200, FilmPage)
def show_films(args: dict[str, Any]) -> Response:
    """List films."""
    window, filters = window_of(args)
    with reading() as session:
        page = projects.list_films(session, identity().workspace_id, window, **filters)
        return page_reply(FilmOut, page, args)


@blp.get("/films/<uuid:film_id>")
@blp.response(200, FilmOut)
def show_film(film_id: UUID) -> Response:
    """Show a film."""
    with reading() as session:
        row = find_asset(session, identity().workspace_id, Film, film_id)
        return reply(FilmOut, row, revision=row.revision)


@blp.patch("/films/<uuid:film_id>")
@blp.arguments(FilmPatchIn)
@blp.response(200, FilmOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def change_film(data: dict[str, Any], film_id: UUID) -> Response:
    """Change what is said of a film."""
    caller = identity()
    with transaction() as session:
        row = projects.update_film(
            session, caller.workspace_id, caller.user_id, film_id, data, expected_revision()
        )
        return reply(FilmOut, row, revision=row.revision)


@blp.delete("/films/<uuid:film_id>")
@blp.response(204)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def remove_film(film_id: UUID) -> Response:
    """Delete a film."""
    caller = identity()
    with transaction() as session:
        projects.delete_film(session, caller.workspace_id, caller.user_id, film_id, expected_revision())
    return Response(status=204)


@blp.get("/films/<uuid:film_id>/credits")
@blp.response(200, CreditsOut)
def show_credits(film_id: UUID) -> Response:
    """List the credits a film owes: title, author, source, licence."""
    with reading() as session:
        find_asset(session, identity().workspace_id, Film, film_id)
        return reply(CreditsOut, {"items": list_credits(session, film_id)})


@blp.get("/films/<uuid:film_id>/candidates")
@blp.arguments(CandidateArgs, location="query")
@blp.response(200, CandidatePage)
def show_music_candidates(args: dict[str, Any], film_id: UUID) -> Response:
    """List what was found for a film's music, best first; a shot has its own list."""
    window, _ = window_of(args)
    with reading() as session:
        page = list_candidates(session, identity().workspace_id, window, film_id=film_id)
        return page_reply(CandidateOut, page, args, [show_candidate(row) for row in page.items])
