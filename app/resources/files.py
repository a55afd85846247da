"""Files of the embedded store, by signed link: ranges, conditional requests, nothing executable."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, redirect, send_file
from marshmallow import fields, validate
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.wrappers import Response as BaseResponse

from app.api import Blueprint, public
from app.auth import identity
from app.schemas.base import In, words
from app.store import signed_url, store
from core.storage import DiskStorage, check_key, content_disposition
from db.session import reading
from services.library import find_rendition

blp = Blueprint("files", __name__, url_prefix="/api/v1", description="Bytes behind signed links.")


class SignedArgs(In):
    """What a signed link carries."""

    expires = fields.Integer(required=True, validate=validate.Range(min=0, max=2**40))
    signature = words(200, required=True)
    filename = words(300, load_default=None)
    mime = words(100, load_default=None)


@blp.get("/files/<uuid:rendition_id>")
@blp.response(302, headers={"Location": {"schema": {"type": "string"}}})
def go_to_file(rendition_id: UUID) -> BaseResponse:
    """Go to the signed link of a rendition."""
    with reading() as session:
        rendition, blob, name = find_rendition(session, identity().workspace_id, rendition_id)
        return redirect(signed_url(rendition, blob, filename=name))


@blp.get("/files/<path:key>")
@public
@blp.arguments(SignedArgs, location="query")
@blp.response(200, {"type": "string", "format": "binary"}, content_type="application/octet-stream")
@blp.alt_response(206, schema={"type": "string", "format": "binary"}, content_type="application/octet-stream")
def read_file(args: dict[str, Any], key: str) -> Response:
    """Read a stored file; Range, If-None-Match and If-Range are understood."""
    opened = store()
    if not isinstance(opened, DiskStorage):
        raise NotFound("This store hands out its own links.")
    check_key(key)
    if not opened.verify_signature(key, args["expires"], args["signature"], args["filename"], args["mime"]):
        raise Forbidden("The link is wrong or has expired: ask for a new one.")
    with opened.local(key) as path:
        response = send_file(
            path,
            mimetype=args["mime"] or "application/octet-stream",
            conditional=True,
            etag=key.rpartition("/")[2],
            max_age=3600,
        )
    if args["filename"]:
        response.headers["Content-Disposition"] = content_disposition(args["filename"])
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; media-src 'self'; img-src 'self'"
    )
    return response
