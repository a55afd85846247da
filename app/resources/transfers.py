"""The bytes of an upload: in one go, or piece by piece in the tus protocol, which survives lost connections.

tus 1.0.0 (https://tus.io/protocols/resumable-upload, read 2026-11) with `creation`, `expiration` and
`termination`. A piece is kept in the object store as far as it came, so any process of any machine can go on.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from email.utils import format_datetime
from uuid import UUID

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.api import Blueprint, by_link
from app.auth import identity
from app.errors import problem
from app.schemas.assets import UploadOut
from app.store import Received, arriving, joined, receiving, store
from app.upload_view import RIGHTS, complete, expect_a_file, most_bytes, name_of, settings
from core.errors import Conflict, Invalid
from db.assets import Upload
from db.session import reading, transaction
from services import uploads

blp = Blueprint("transfers", __name__, url_prefix="/api/v1", description="The bytes of uploads.")
blp.before_request(expect_a_file)
VERSION, PIECE, EXTENSIONS = "1.0.0", "application/offset+octet-stream", "creation,expiration,termination"
CONTENT, NEW = "/uploads/<uuid:upload_id>/content", "/uploads/tus"
_RAW = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_PIECE_BODY = {"required": True, "content": {PIECE: _RAW["content"]["application/octet-stream"]}}


def _number(name: str, what: str, *, required: bool = True) -> dict[str, object]:
    described = {"in": "header", "name": name, "required": required, "description": what}
    return described | {"schema": {"type": "integer", "minimum": 0, "maximum": 2**50}}


@blp.after_request
def _speak_tus(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    if request.method == "OPTIONS":
        response.headers.update({"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS})
        response.headers["Tus-Max-Size"] = str(most_bytes())
    return response


@blp.before_request
def _check_version() -> Response | None:
    spoken = request.headers.get("Tus-Resumable", VERSION)
    if request.method == "OPTIONS" or spoken == VERSION:
        return None
    return problem(412, f"This server speaks tus {VERSION}.", headers=[("Tus-Version", VERSION)])


@blp.post(NEW)
@blp.response(201, headers={"Location": {"schema": {"type": "string"}}})
@blp.doc(
    parameters=[
        _number("Upload-Length", "Bytes of the whole file."),
        {
            "in": "header",
            "name": "Upload-Metadata",
            "schema": {"type": "string"},
            "description": "`filename`, `filetype` and rights, each with its value in base64.",
        },
    ]
)
def create_by_tus() -> Response:
    """Announce a file in the tus protocol; its bytes go to `Location`."""
    size = _header("Upload-Length")
    if size == 0:
        raise Invalid("The file is empty.", field="Upload-Length")
    if size > most_bytes():
        raise RequestEntityTooLarge(f"At most {most_bytes()} bytes are accepted.")
    said = _metadata(request.headers.get("Upload-Metadata", ""))
    caller = identity()
    with transaction() as session:
        row = uploads.create_upload(
            session,
            caller.workspace_id,
            caller.user_id,
            filename=name_of(said.get("filename") or said.get("name")),
            mime=(said.get("filetype") or "application/octet-stream")[:100],
            size=size,
            rights={name: said.get(name) for name in RIGHTS},
            ttl_hours=settings().upload_ttl_hours,
        )
    response = _where(row, 201)
    response.headers["Location"] = f"/api/v1/uploads/{row.id}/content"
    return response


@blp.put(CONTENT)
@by_link
@blp.response(202, UploadOut)
@blp.doc(requestBody=_RAW)
def send_content(upload_id: UUID) -> Response:
    """Send all bytes of an announced file in one go; this completes it."""
    _find(upload_id)
    with receiving(request.stream, limit=most_bytes()) as received, transaction() as session:
        row = uploads.find_upload(session, identity().workspace_id, upload_id, lock=True)
        parts = list(row.parts)
        answer = complete(session, row, received)
    _discard(parts)
    return answer


@blp.route(CONTENT, methods=["HEAD"])
@by_link
@blp.response(200)
def ask_where(upload_id: UUID) -> Response:
    """Ask how many bytes of an upload have come (tus)."""
    row = _find(upload_id)
    with reading() as session:
        if uploads.has_expired(session, row):
            raise Conflict("This upload has expired: announce it again.", code="upload_expired")
    return _where(row, 200)


@blp.patch(CONTENT)
@by_link
@blp.response(204)
@blp.doc(
    requestBody=_PIECE_BODY, parameters=[_number("Upload-Offset", "Number of the first byte that is sent.")]
)
def send_piece(upload_id: UUID) -> Response:
    """Send the next bytes of an upload (tus); what comes before a connection breaks is kept."""
    row = _find(upload_id)
    if request.mimetype != PIECE:
        raise UnsupportedMediaType(f"Send the bytes as {PIECE}.")
    offset = _header("Upload-Offset")
    with reading() as session:
        uploads.check_offset(session, row, offset)
    size = row.declared_size or 0
    with arriving(request.stream, room=size - offset) as came:
        if came.size and offset + came.size < size:
            return _where(_keep_piece(row, offset, came), 204)
        if came.size:
            with joined(row.parts, came) as whole, transaction() as session:
                locked = uploads.find_upload(session, row.workspace_id, upload_id, lock=True)
                complete(session, locked, whole)
            _discard(row.parts)
    return _where(_find(upload_id), 204)


@blp.delete(CONTENT)
@by_link
@blp.response(204)
def drop(upload_id: UUID) -> Response:
    """Give an unfinished upload up; what came of it is deleted."""
    with transaction() as session:
        parts = uploads.drop_upload(session, identity().workspace_id, upload_id)
    _discard(parts)
    return Response(status=204)


def _find(upload_id: UUID) -> Upload:
    with reading() as session:
        return uploads.find_upload(session, identity().workspace_id, upload_id)


def _keep_piece(row: Upload, offset: int, came: Received) -> Upload:
    key = f"incoming/{row.id}-{offset}-{secrets.token_hex(4)}"
    store().put(key, came.path, mime="application/octet-stream")
    try:
        with transaction() as session:
            locked = uploads.find_upload(session, row.workspace_id, row.id, lock=True)
            hours = settings().upload_ttl_hours
            uploads.add_part(session, locked, offset=offset, size=came.size, key=key, ttl_hours=hours)
            return locked
    except BaseException:
        _discard([key])
        raise


def _discard(keys: list[str]) -> None:
    for key in keys:
        store().delete(key)


def _where(row: Upload, status: int) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]  # there is no content
    response.headers["Upload-Offset"] = str(row.received)
    if row.declared_size is not None:
        response.headers["Upload-Length"] = str(row.declared_size)
    if row.blob_sha256 is None:
        response.headers["Upload-Expires"] = format_datetime(row.expires_at, usegmt=True)
    return response


def _header(name: str) -> int:
    given = request.headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,15}", given):
        raise Invalid("Send a number of bytes.", field=name)
    return int(given)


def _metadata(text: str) -> dict[str, str]:
    """Read `Upload-Metadata`: pairs of a name and, in base64, its value."""
    said = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            said[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Invalid(f"The value of {name!r} is not text in base64.", field="Upload-Metadata") from error
        if "\x00" in said[name] or len(said[name]) > 2_000:
            raise Invalid(f"The value of {name!r} cannot be taken.", field="Upload-Metadata")
    return said
