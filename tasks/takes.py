"""What a vendor was asked for a shot: told in words, and kept as a take of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.storage import blob_key
from db.assets import Film, Rendition, RenditionRole, Shot, TakeOrigin
from db.submissions import Submission
from db.work import Step
from providers.base import VideoRequest
from services.films import add_take, kept_asset
from services.renditions import StoredFile, add_rendition
from tasks.errands import ERRANDS, Errand
from tasks.step import storage


@contextmanager
def ask_for_take(request: dict[str, Any]) -> Iterator[VideoRequest]:
    """Lend the request as adapters take it, with the picture it begins with as a file."""
    told = {name: value for name, value in request.items() if name != "reference"}
    if (sha256 := request.get("reference")) is None:
        yield VideoRequest(**told)
        return
    with storage().local(blob_key(sha256)) as picture:
        yield VideoRequest(**told, image=picture)


def kept_for(session: Session, job_id: UUID, shot_id: UUID | None, part: str | None = None) -> UUID | None:
    """What `keep_stock` kept for a shot, see `films.kept_asset`."""
    result = session.scalar(
        select(Step.result).where(
            Step.job_id == job_id, Step.kind == "keep_stock", Step.subject_id == shot_id
        )
    )
    return kept_asset(result or {}, part)


def _begun_with(
    session: Session, shot: Shot, request: dict[str, Any], step_id: UUID | None
) -> Rendition | None:
    """The file a take begins with; of several assets with these bytes the one kept for this shot."""
    if (sha256 := request.get("reference")) is None:
        return None
    asked_by = session.get(Step, step_id) if step_id is not None else None
    own = kept_for(session, asked_by.job_id, shot.id, "reference") if asked_by is not None else None
    return session.scalar(
        select(Rendition)
        .where(
            Rendition.workspace_id == shot.workspace_id,
            Rendition.blob_sha256 == sha256,
            Rendition.role == RenditionRole.ORIGINAL,
        )
        .order_by(Rendition.asset_id != own, Rendition.created_at)
        .limit(1)
    )


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
    begun_with = _begun_with(session, shot, request, step_id)
    take = add_take(
        session,
        shot,
        origin=TakeOrigin.GENERATED,
        provider=provider,
        model=model,
        seed=request["seed"],
        cost=cost,
        currency=made["currency"],
        source_asset_id=begun_with.asset_id if begun_with is not None else None,
        input_hash=input_hash,
    )
    add_rendition(
        session,
        workspace_id=shot.workspace_id,
        asset_id=take.id,
        role=RenditionRole.ORIGINAL,
        stored=StoredFile.from_json(made["stored"]),
        input_hash=input_hash,
        parents=[begun_with.id] if begun_with is not None else [],
        step_id=step_id,
        tool=f"{provider} {model}",
        parameters=request,
    )
    if select and shot.selected_take_id is None:
        shot.selected_take_id = take.id
    return take.id


ERRANDS["shot"] = Errand(ask_for_take, _frame_of_film, _keep_take)
