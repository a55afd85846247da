"""Assets of any kind: found, described, related, hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response, redirect
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import IF_MATCH_PARAMETER, expected_revision, reply
from app.schemas.assets import (
    AnyAssetOut,
    AssetListArgs,
    AssetPage,
    AssetPatchIn,
    RelationIn,
    RelationOut,
    RelationPage,
    RenditionOut,
    RenditionPage,
    SimilarArgs,
    SimilarOut,
    SimilarPage,
)
from app.store import signed_url
from db.assets import Asset, Blob, MediaAsset, Rendition
from db.session import reading, transaction
from services import duplicates, library
from services.activities import record_activity
from services.renditions import name_of_file

blp = Blueprint(
    "assets", __name__, url_prefix="/api/v1", description="Everything with an id that people see."
)


@blp.get("/assets")
@blp.arguments(AssetListArgs, location="query")
@blp.response(200, AssetPage)
def show_assets(args: dict[str, Any]) -> Response:
    """List assets by kind, tag, text, licence or collection."""
    window, filters = window_of(args)
    with reading() as session:
        page = library.list_assets(session, identity().workspace_id, window, **filters)
        return page_reply(AnyAssetOut, page, args, _show_all(session, page.items))


@blp.get("/assets/<uuid:asset_id>")
@blp.response(200, AnyAssetOut)
def show_asset(asset_id: UUID) -> Response:
    """Show an asset of any kind."""
    with reading() as session:
        row = library.find_asset(session, identity().workspace_id, Asset, asset_id)
        return reply(AnyAssetOut, _show_all(session, [row])[0], revision=row.revision)


@blp.patch("/assets/<uuid:asset_id>")
@blp.arguments(AssetPatchIn)
@blp.response(200, AnyAssetOut)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def change_asset(data: dict[str, Any], asset_id: UUID) -> Response:
    """Rename, describe or tag an asset."""
    caller = identity()
    with transaction() as session:
        row = library.find_asset(session, caller.workspace_id, Asset, asset_id, lock=True)
        library.check_revision(row, expected_revision())
        if (tags := data.pop("tags", None)) is not None:
            library.set_tags(session, row, tags)
        library.change_asset(row, data)
        session.flush()
        record_activity(
            session, caller.workspace_id, caller.user_id, "asset.changed", row.id, fields=sorted(data)
        )
        return reply(AnyAssetOut, _show_all(session, [row])[0], revision=row.revision)


@blp.delete("/assets/<uuid:asset_id>")
@blp.response(204)
@blp.doc(parameters=[IF_MATCH_PARAMETER])
def remove_asset(asset_id: UUID) -> Response:
    """Hide an asset; what was made from it stays."""
    caller = identity()
    with transaction() as session:
        library.delete_asset(session, caller.workspace_id, asset_id, expected_revision())
        record_activity(session, caller.workspace_id, caller.user_id, "asset.deleted", asset_id)
    return Response(status=204)


@blp.get("/assets/<uuid:asset_id>/renditions")
@blp.arguments(PageArgs, location="query")
@blp.response(200, RenditionPage)
def show_renditions(args: dict[str, Any], asset_id: UUID) -> Response:
    """List an asset's files with signed links."""
    window, _ = window_of(args)
    with reading() as session:
        page = library.list_renditions(session, identity().workspace_id, asset_id, window)
        blobs = library.blobs_of(session, page.items)
        asset = session.get_one(Asset, asset_id)
        shown = [show_rendition(row, blobs[row.blob_sha256], asset.name) for row in page.items]
        return page_reply(RenditionOut, page, args, shown)


@blp.get("/renditions/<uuid:rendition_id>/download")
@blp.response(302, headers={"Location": {"schema": {"type": "string"}}})
def download_rendition(rendition_id: UUID) -> BaseResponse:
    """Go to the signed link of a file."""
    with reading() as session:
        rendition, blob, name = library.find_rendition(session, identity().workspace_id, rendition_id)
        return redirect(signed_url(rendition, blob, filename=name))


@blp.get("/assets/<uuid:asset_id>/relationships")
@blp.arguments(PageArgs, location="query")
@blp.response(200, RelationPage)
def show_relationships(args: dict[str, Any], asset_id: UUID) -> Response:
    """List what an asset is related to."""
    window, _ = window_of(args)
    with reading() as session:
        page = library.list_relationships(session, identity().workspace_id, asset_id, window)
        return page_reply(RelationOut, page, args)


@blp.get("/assets/<uuid:asset_id>/similar")
@blp.arguments(SimilarArgs, location="query")
@blp.response(200, SimilarPage)
def show_similar(args: dict[str, Any], asset_id: UUID) -> Response:
    """List what an asset is like: the same bytes, the same work, near duplicates; likest first."""
    window, filters = window_of(args)
    with reading() as session:
        page = duplicates.list_similar(session, identity().workspace_id, asset_id, window, **filters)
        shown = [{**vars(one), "name": name} for one, name in page.items]
        return page_reply(SimilarOut, page, args, shown)


@blp.post("/assets/<uuid:asset_id>/relationships")
@blp.arguments(RelationIn)
@blp.response(201, RelationOut)
def relate_asset(data: dict[str, Any], asset_id: UUID) -> Response:
    """Relate another asset to this one."""
    with transaction() as session:
        return reply(
            RelationOut, library.relate_assets(session, identity().workspace_id, asset_id, **data), 201
        )


def show_rendition(row: Rendition, blob: Blob, asset_name: str) -> dict[str, Any]:
    """A rendition in the shape of RenditionOut."""
    plain = {name: getattr(row, name) for name in _RENDITION if name not in {"size", "url"}}
    url = signed_url(row, blob, filename=name_of_file(row, asset_name))
    return {**plain, "role": row.role.value, "size": blob.size, "url": url}


_RENDITION = tuple(field.attribute or name for name, field in RenditionOut().fields.items())


def _show_all(session: Session, rows: Sequence[Asset]) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    tags, origins = library.tags_of(session, ids), library.origins_of(session, ids)
    return [
        {
            "id": row.id,
            "kind": row.kind.value,
            "name": row.name,
            "description": row.description,
            "status": row.status.value,
            "metadata": row.metadata_ or {},
            "revision": row.revision,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "tags": tags[row.id],
            "origin": _show_origin(origins.get(row.id)),
            "media": row if isinstance(row, MediaAsset) else None,
        }
        for row in rows
    ]


def _show_origin(origin: Any) -> Any:
    if origin is None:
        return None
    names = (column.key for column in type(origin).__table__.columns)
    return {name: getattr(origin, name) for name in names} | {"licence_class": origin.licence_class.value}
