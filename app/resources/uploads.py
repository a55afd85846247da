"""Uploads: bytes in, an asset out once a media worker has looked at them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from flask import Response, current_app, request
from sqlalchemy.orm import Session

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import IDEMPOTENCY_PARAMETER, answer_once, reply
from app.resources.jobs import submit
from app.schemas.assets import ProcessIn, SendIn, UploadIn, UploadOut, UploadPage
from app.schemas.jobs import JobIn, JobOut
from app.store import Received, keep, receiving
from app.wakeups import inspect_after
from core.errors import Invalid
from db.assets import Asset, AssetStatus, Upload
from db.session import reading, transaction
from services import uploads
from services.idempotency import Answer

blp = Blueprint("uploads", __name__, url_prefix="/api/v1", description="Files people send.")
_FORM_ROOM = 1 << 20  # boundaries and the other form fields
_RIGHTS = ("licence", "licence_url", "creator", "source_url")
_RAW = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


@blp.before_request
def _allow_large_bodies() -> None:
    if request.mimetype != "application/json":
        request.max_content_length = current_app.config["SETTINGS"].max_upload_bytes + _FORM_ROOM


@blp.get("/uploads")
@blp.arguments(PageArgs, location="query")
@blp.response(200, UploadPage)
def show_uploads(args: dict[str, Any]) -> Response:
    """List uploads."""
    window, _ = window_of(args)
    with reading() as session:
        page = uploads.list_uploads(session, identity().workspace_id, window)
        assets = uploads.upload_assets(session, list(page.items))
        return page_reply(UploadOut, page, args, [_show(row, assets) for row in page.items])


@blp.post("/uploads")
@blp.arguments(SendIn, location="multipart")
@blp.response(202, UploadOut)
def send_file(data: dict[str, Any]) -> Response:
    """Send a file in one request (multipart field `file`)."""
    sent = data.pop("file")
    caller = identity()
    filename, mime = _name_of(sent), sent.mimetype or "application/octet-stream"
    with receiving(sent.stream, limit=_limit()) as received, transaction() as session:
        row = uploads.create_upload(
            session,
            caller.workspace_id,
            caller.user_id,
            filename=filename,
            mime=mime,
            size=None,
            rights=data,
        )
        return _complete(session, row, received)


@blp.post("/uploads/announce")
@blp.arguments(UploadIn)
@blp.response(201, UploadOut)
def announce_upload(data: dict[str, Any]) -> Response:
    """Announce a file, to send its bytes by PUT to `content_url`."""
    caller = identity()
    if data["size"] is not None and data["size"] > _limit():
        raise Invalid(f"At most {_limit()} bytes are accepted.", field="size")
    with transaction() as session:
        row = uploads.create_upload(
            session,
            caller.workspace_id,
            caller.user_id,
            filename=data["filename"],
            mime=data["mime"],
            size=data["size"],
            rights={name: data[name] for name in _RIGHTS},
        )
        return reply(UploadOut, _show(row, {}), 201, location=f"/api/v1/uploads/{row.id}")


@blp.put("/uploads/<uuid:upload_id>/content")
@blp.response(202, UploadOut)
@blp.doc(requestBody=_RAW)
def send_content(upload_id: UUID) -> Response:
    """Send the bytes of an announced file; this completes it."""
    with reading() as session:
        uploads.find_upload(session, identity().workspace_id, upload_id)
    with receiving(request.stream, limit=_limit()) as received, transaction() as session:  # type: ignore[arg-type]
        row = uploads.find_upload(session, identity().workspace_id, upload_id, lock=True)
        return _complete(session, row, received)


@blp.get("/uploads/<uuid:upload_id>")
@blp.response(200, UploadOut)
def show_upload(upload_id: UUID) -> Response:
    """Show how far an upload is."""
    with reading() as session:
        row = uploads.find_upload(session, identity().workspace_id, upload_id)
        return reply(UploadOut, _show(row, uploads.upload_assets(session, [row])))


@blp.post("/upload-and-process")
@blp.arguments(ProcessIn, location="multipart")
@blp.response(202, JobOut)
@blp.doc(parameters=[IDEMPOTENCY_PARAMETER])
def upload_and_process(data: dict[str, Any]) -> Response:
    """Send a clip and have burnt-in text removed from it, in one call."""
    sent = data.pop("file")
    regions = _regions(data["regions"])
    caller = identity()
    with receiving(sent.stream, limit=_limit()) as received:
        stored = keep(received, filename=_name_of(sent), mime=sent.mimetype or "video/mp4")

        def work(session: Session) -> Answer:
            row = uploads.create_upload(
                session,
                caller.workspace_id,
                caller.user_id,
                filename=stored.filename,
                mime=stored.mime,
                size=None,
                rights={name: data[name] for name in _RIGHTS},
            )
            row = uploads.complete_upload(session, caller.workspace_id, row.id, stored)
            clip = uploads.make_clip(session, row, stored)
            ask = {"asset_id": str(clip.id), "regions": regions, "provider": data["provider"]}
            job = {"kind": "text_removal", "params": ask}
            if data["project_id"] is not None:
                job["project_id"] = str(data["project_id"])
            return submit(session, JobIn().load(job))

        return answer_once(work, body={**data, "regions": regions, "sha256": received.sha256})


def _complete(session: Session, row: Upload, received: Received) -> Response:
    stored = keep(received, filename=row.filename, mime=row.declared_mime)
    row = uploads.complete_upload(session, row.workspace_id, row.id, stored)
    inspect_after(session, row.id)
    shown = _show(row, uploads.upload_assets(session, [row]))
    return reply(UploadOut, {**shown, "size": received.size}, 202, location=f"/api/v1/uploads/{row.id}")


def _show(row: Upload, assets: dict[UUID, Asset]) -> dict[str, Any]:
    asset = assets.get(row.asset_id) if row.asset_id else None
    error = row.licence.get("refused")
    if asset is not None and asset.status is AssetStatus.BROKEN:
        error = asset.metadata_.get("message") or "The file is damaged."
    state = "created"
    if row.blob_sha256 is not None:
        state = "refused" if error else "ready" if row.asset_id else "inspecting"
    return {
        "id": row.id,
        "filename": row.filename,
        "mime": row.declared_mime,
        "size": row.declared_size,
        "state": state,
        "asset_id": row.asset_id,
        "error": error,
        "rights": {k: v for k, v in row.licence.items() if k in _RIGHTS},
        "content_url": f"/api/v1/uploads/{row.id}/content",
        "created_at": row.created_at,
        "completed_at": row.completed_at,
    }


def _regions(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Invalid("It is JSON: a list of rectangles.", field="regions") from error


def _name_of(sent: Any) -> str:
    """The last part of the name the client sent: it is shown, and never a path."""
    name = str(sent.filename or "").replace("\\", "/").rpartition("/")[2].replace("\x00", "")[:300]
    return name or "file"


def _limit() -> int:
    limit: int = current_app.config["SETTINGS"].max_upload_bytes
    return limit
