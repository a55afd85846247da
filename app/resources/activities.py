"""The audit log."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api import Blueprint
from app.auth import identity
from app.paging import page_reply, window_of
from app.schemas.house import ActivityArgs, ActivityOut, ActivityPage
from db.session import reading
from services.activities import list_activities

blp = Blueprint("activities", __name__, url_prefix="/api/v1", description="Who did what.")


@blp.get("/activities")
@blp.arguments(ActivityArgs, location="query")
@blp.response(200, ActivityPage)
def show_activities(args: dict[str, Any]) -> Response:
    """List what people did, newest first."""
    window, filters = window_of(args)
    with reading() as session:
        page = list_activities(session, identity().workspace_id, window, **filters)
        return page_reply(ActivityOut, page, args)
