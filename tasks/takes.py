"""What a vendor was asked for a shot: told in words, and kept as a take of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from db.assets import Film, RenditionRole, Shot, TakeOrigin
from db.submissions import Submission
from providers.base import VideoRequest
from services.films import add_take
from services.renditions import StoredFile, add_rendition
from tasks.errands import ERRANDS, Errand


@contextmanager
def _ask_for_take(request: dict[str, Any]) -> Iterator[VideoRequest]:
    yield VideoRequest(**request)


def _frame_of_film(session: Session, row: Submission) -> tuple[int, int] | None:
    shot = session.get(Shot, row.shot_id) if row.shot_id else None
    film = session.get(Film, shot.film_id) if shot is not None else None
    return (film.width, film.height) if film is not None else None


def _keep_take(session: Session, row: Submission, made: dict[str, Any]) -> dict[str, Any]:
    assert row.shot_id is not None
    take = add_vendor_take(
        session, row.shot_id, row.provider, row.model, row.request, made, row.input_hash,
        cost=made["cost"], step_id=row.step_id, select=row.given_up_at is None,
    )  # fmt: skip
    return {"take_id": str(take)}


def add_vendor_take(
    session: Session,
    shot_id: UUID,
    provider: str,
    model: str,
    request: dict[str, Any],
    made: dict[str, Any],
    input_hash: str,
    *,
    cost: int,
    step_id: UUID | None,
    select: bool = True,
) -> UUID:
    shot = session.get_one(Shot, shot_id)
    take = add_take(
        session,
        shot,
        origin=TakeOrigin.GENERATED,
        provider=provider,
        model=model,
        seed=request["seed"],
        cost=cost,
        currency=made["currency"],
        source_asset_id=None,
        input_hash=input_hash,
    )
    add_rendition(
        session,
        workspace_id=shot.workspace_id,
        asset_id=take.id,
        role=RenditionRole.ORIGINAL,
        stored=StoredFile.from_json(made["stored"]),
        input_hash=input_hash,
        step_id=step_id,
        tool=f"{provider} {model}",
        parameters=request,
    )
    if select and shot.selected_take_id is None:
        shot.selected_take_id = take.id
    return take.id


ERRANDS["shot"] = Errand(_ask_for_take, _frame_of_film, _keep_take)
