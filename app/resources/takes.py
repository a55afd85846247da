"""Takes: candidates for a shot."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from app.api import Blueprint
from app.auth import identity
from app.reply import reply
from app.schemas.studio import TakeOut, TakePatchIn
from db.assets import Take
from db.session import reading, transaction
from services.library import find_asset
from services.shots import judge_take

blp = Blueprint("takes", __name__, url_prefix="/api/v1", description="Candidates for a shot.")


@blp.get("/takes/<uuid:take_id>")
@blp.response(200, TakeOut)
def show_take(take_id: UUID) -> Response:
    """Show a take."""
    with reading() as session:
        row = find_asset(session, identity().workspace_id, Take, take_id)
        return reply(TakeOut, row, revision=row.revision)


@blp.patch("/takes/<uuid:take_id>")
@blp.arguments(TakePatchIn)
@blp.response(200, TakeOut)
def change_take(data: dict[str, Any], take_id: UUID) -> Response:
    """Approve, reject, rename or describe a take."""
    caller = identity()
    with transaction() as session:
        row = judge_take(session, caller.workspace_id, caller.user_id, take_id, data)
        return reply(TakeOut, row, revision=row.revision)
