"""Uploads: bytes in, an asset out once a media worker has looked at them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import reply
from app.schemas.assets import SendIn, UploadIn, UploadOut, UploadPage
from app.store import receiving
from app.upload_view import RIGHTS, complete, expect_a_file, most_bytes, name_of, settings, show_upload
from core.errors import Invalid
from db.session import reading, transaction
from services import uploads

blp = Blueprint("uploads", __name__, url_prefix="/api/v1", description="Files people send.")
blp.before_request(expect_a_file)


@blp.get("/uploads")
@blp.arguments(PageArgs, location="query")
@blp.response(200, UploadPage)
def show_uploads(args: dict[str, Any]) -> Response:
    """List uploads."""
    window, _ = window_of(args)
    with reading() as session:
        page = uploads.list_uploads(session, identity().workspace_id, window)
        assets = uploads.upload_assets(session, list(page.items))
        return page_reply(UploadOut, page, args, [show_upload(row, assets) for row in page.items])


@blp.post("/uploads")
@blp.arguments(SendIn, location="multipart")
@blp.response(202, UploadOut)
def send_file(data: dict[str, Any]) -> Response:
    """Send a file in one request (multipart field `file`)."""
    sent = data.pop("file")
    caller = identity()
    mime = sent.mimetype or "application/octet-stream"
    with receiving(sent.stream, limit=most_bytes()) as received, transaction() as session:
        row = uploads.create_upload(
            session,
            caller.workspace_id,
            caller.user_id,
            filename=name_of(sent),
            mime=mime,
            size=None,
            rights=data,
        )
        return complete(session, row, received)


@blp.post("/uploads/announce")
@blp.arguments(UploadIn)
@blp.response(201, UploadOut)
def announce_upload(data: dict[str, Any]) -> Response:
    """Announce a file, to send its bytes to `content_url`, or without a key to `upload_url`.

    In one go by PUT; or, where its size is announced too, piece by piece in the tus protocol (HEAD, PATCH),
    which goes on after the connection was lost.
    """
    caller = identity()
    if data["size"] is not None and data["size"] > most_bytes():
        raise Invalid(f"At most {most_bytes()} bytes are accepted.", field="size")
    with transaction() as session:
        row = uploads.create_upload(
            session,
            caller.workspace_id,
            caller.user_id,
            filename=data["filename"],
            mime=data["mime"],
            size=data["size"],
            rights={name: data[name] for name in RIGHTS},
            ttl_hours=settings().upload_ttl_hours,
        )
        return reply(UploadOut, show_upload(row, {}), 201, location=f"/api/v1/uploads/{row.id}")


@blp.get("/uploads/<uuid:upload_id>")
@blp.response(200, UploadOut)
def show_one_upload(upload_id: UUID) -> Response:
    """Show how far an upload is."""
    with reading() as session:
        row = uploads.find_upload(session, identity().workspace_id, upload_id)
        return reply(UploadOut, show_upload(row, uploads.upload_assets(session, [row])))
