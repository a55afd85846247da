"""An upload as people see it, and how its bytes are taken in and kept."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, current_app, request
from sqlalchemy.orm import Session

from app.links import upload_link
from app.reply import reply
from app.schemas.assets import UploadOut
from app.store import Received, keep
from app.wakeups import inspect_after
from core.settings import Settings
from db.assets import Asset, AssetStatus, Upload
from services import uploads

RIGHTS = ("licence", "licence_url", "creator", "source_url")
_FORM_ROOM = 1 << 20  # boundaries and the other form fields


def expect_a_file() -> None:
    """Allow a large body, and give up on one that stops coming; for `before_request`."""
    if request.mimetype == "application/json":
        return
    request.max_content_length = most_bytes() + _FORM_ROOM
    if (connection := request.environ.get("gunicorn.socket")) is not None:
        connection.settimeout(settings().upload_silence_seconds)


def settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found


def most_bytes() -> int:
    return settings().max_upload_bytes


def complete(session: Session, row: Upload, received: Received) -> Response:
    """Keep the bytes of a locked upload, have them inspected, and answer how far it is."""
    stored = keep(received, filename=row.filename, mime=row.declared_mime)
    row = uploads.complete_upload(session, row.workspace_id, row.id, stored)
    inspect_after(session, row.id)
    shown = show_upload(row, uploads.upload_assets(session, [row]))
    return reply(UploadOut, {**shown, "size": received.size}, 202, location=f"/api/v1/uploads/{row.id}")


def show_upload(row: Upload, assets: dict[UUID, Asset]) -> dict[str, Any]:
    """An upload in the shape of UploadOut."""
    done = row.blob_sha256 is not None
    error = error_of(row, assets.get(row.asset_id) if row.asset_id else None)
    state = "refused" if error else "ready" if row.asset_id else "inspecting"
    return {
        "id": row.id,
        "filename": row.filename,
        "mime": row.declared_mime,
        "size": row.declared_size,
        "received": row.received,
        "state": state if done else "receiving" if row.received else "created",
        "asset_id": row.asset_id,
        "error": error if done else None,
        "rights": {k: v for k, v in row.licence.items() if k in RIGHTS},
        "content_url": f"/api/v1/uploads/{row.id}/content",
        "upload_url": None if done else upload_link(row),
        "expires_at": None if done else row.expires_at,
        "created_at": row.created_at,
        "completed_at": row.completed_at,
    }


def error_of(row: Upload, asset: Asset | None) -> str | None:
    """Why nothing can be made of a complete upload."""
    refused: str | None = row.licence.get("refused")
    if asset is not None and asset.status is AssetStatus.BROKEN:
        return asset.metadata_.get("message") or "The file is damaged."
    return refused


def name_of(sent: Any) -> str:
    """The last part of the name the client sent: it is shown, and never a path."""
    name = str(getattr(sent, "filename", sent) or "").replace("\\", "/").rpartition("/")[2]
    return name.replace("\x00", "")[:300] or "file"
