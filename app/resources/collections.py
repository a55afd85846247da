"""Collections and tags: how people file assets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import reply
from app.schemas.assets import CollectionIn, CollectionPage, MemberIn, TagOut, TagPage
from app.schemas.base import AssetOut
from db.assets import Collection
from db.session import reading, transaction
from services import library

blp = Blueprint("collections", __name__, url_prefix="/api/v1", description="Assets filed together.")


@blp.get("/collections")
@blp.arguments(PageArgs, location="query")
@blp.response(200, CollectionPage)
def show_collections(args: dict[str, Any]) -> Response:
    """List collections."""
    window, _ = window_of(args)
    with reading() as session:
        return page_reply(AssetOut, library.list_collections(session, identity().workspace_id, window), args)


@blp.post("/collections")
@blp.arguments(CollectionIn)
@blp.response(201, AssetOut)
def make_collection(data: dict[str, Any]) -> Response:
    """Make a collection."""
    caller = identity()
    with transaction() as session:
        row = library.create_collection(session, caller.workspace_id, caller.user_id, **data)
        return reply(AssetOut, row, 201, location=f"/api/v1/collections/{row.id}")


@blp.get("/collections/<uuid:collection_id>")
@blp.response(200, AssetOut)
def show_collection(collection_id: UUID) -> Response:
    """Show a collection; `GET /assets?collection_id=` lists what it holds."""
    with reading() as session:
        row = library.find_asset(session, identity().workspace_id, Collection, collection_id)
        return reply(AssetOut, row, revision=row.revision)


@blp.delete("/collections/<uuid:collection_id>")
@blp.response(204)
def remove_collection(collection_id: UUID) -> Response:
    """Delete a collection; what it holds stays."""
    with transaction() as session:
        library.find_asset(session, identity().workspace_id, Collection, collection_id)
        library.delete_asset(session, identity().workspace_id, collection_id)
    return Response(status=204)


@blp.post("/collections/<uuid:collection_id>/members")
@blp.arguments(MemberIn)
@blp.response(204)
def file_asset(data: dict[str, Any], collection_id: UUID) -> Response:
    """File an asset in a collection."""
    with transaction() as session:
        library.add_member(session, identity().workspace_id, collection_id, data["asset_id"])
    return Response(status=204)


@blp.delete("/collections/<uuid:collection_id>/members/<uuid:asset_id>")
@blp.response(204)
def unfile_asset(collection_id: UUID, asset_id: UUID) -> Response:
    """Take an asset out of a collection."""
    with transaction() as session:
        library.remove_member(session, identity().workspace_id, collection_id, asset_id)
    return Response(status=204)


@blp.get("/tags")
@blp.arguments(PageArgs, location="query")
@blp.response(200, TagPage)
def show_tags(args: dict[str, Any]) -> Response:
    """List the workspace's tags."""
    window, _ = window_of(args)
    with reading() as session:
        return page_reply(TagOut, library.list_tags(session, identity().workspace_id, window), args)
