"""API keys: made, listed, revoked by admins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from app.api import Blueprint, needs
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import reply
from app.schemas.house import ApiKeyIn, ApiKeyOut, ApiKeyPage, NewApiKeyOut
from db.session import reading, transaction
from services.accounts import create_key, list_keys, revoke_key
from services.activities import record_activity

blp = Blueprint("api-keys", __name__, url_prefix="/api/v1", description="Keys of this workspace.")


@blp.get("/api-keys")
@needs("admin")
@blp.arguments(PageArgs, location="query")
@blp.response(200, ApiKeyPage)
def show_keys(args: dict[str, Any]) -> Response:
    """List API keys; the keys themselves are not kept."""
    window, _ = window_of(args)
    with reading() as session:
        return page_reply(ApiKeyOut, list_keys(session, identity().workspace_id, window), args)


@blp.post("/api-keys")
@needs("admin")
@blp.arguments(ApiKeyIn)
@blp.response(201, NewApiKeyOut)
def make_key(data: dict[str, Any]) -> Response:
    """Make an API key; it is shown in this answer only."""
    caller = identity()
    with transaction() as session:
        row, plain = create_key(session, caller.workspace_id, caller.user_id, **data)
        record_activity(
            session, caller.workspace_id, caller.user_id, "api_key.created", row.id, name=row.name
        )
        shown = {name: getattr(row, name) for name in ApiKeyOut().fields}
        return reply(NewApiKeyOut, {**shown, "key": plain}, 201)


@blp.delete("/api-keys/<uuid:key_id>")
@needs("admin")
@blp.response(204)
def end_key(key_id: UUID) -> Response:
    """Revoke an API key at once."""
    caller = identity()
    with transaction() as session:
        row = revoke_key(session, caller.workspace_id, key_id)
        record_activity(
            session, caller.workspace_id, caller.user_id, "api_key.revoked", row.id, name=row.name
        )
    return Response(status=204)
