"""A clip sent and cleaned in one call (kept address): the file itself, or an upload that is complete."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request
from marshmallow import Schema
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from app.api import Blueprint, Parser
from app.auth import identity
from app.reply import IDEMPOTENCY_PARAMETER, answer_once
from app.resources.jobs import submit
from app.schemas.base import shared
from app.schemas.jobs import JobOut
from app.schemas.processing import SPELLING, CleaningIn, ProcessIn, ProcessUploadIn
from app.store import keep, receiving, store, stored_as
from app.upload_view import RIGHTS, error_of, expect_a_file, most_bytes, name_of
from app.wakeups import check, inspect_after
from core.briefs import dump_params
from core.containers import HEAD, describe_head, video_type
from core.errors import Conflict, Invalid, Rejected
from core.ids import new_id
from db.assets import Asset, AssetKind, Blob, Upload
from services import uploads
from services.idempotency import Answer
from services.renditions import StoredFile

blp = Blueprint("processing", __name__, url_prefix="/api/v1", description="A clip in, the clean clip out.")
blp.before_request(expect_a_file)
_BODIES = {"multipart/form-data": {"schema": ProcessIn}, "application/json": {"schema": ProcessUploadIn}}


@blp.post("/upload-and-process")
@blp.response(202, JobOut, headers={"Location": {"schema": {"type": "string"}}})
@blp.doc(parameters=[IDEMPOTENCY_PARAMETER], requestBody={"required": True, "content": _BODIES})
def upload_and_process() -> Response:
    """Have burnt-in text removed from a clip: one that is sent along, or a complete upload.

    As a form: the clip as `file`, and what a `text_removal` job takes, in `params` as JSON or field by field.
    As JSON: the `upload_id`, and `params`.
    """
    if request.mimetype == "application/json":
        return _clean_upload(_loaded(ProcessUploadIn, "json"))
    return _clean_file(_loaded(ProcessIn, "multipart"))


def _clean_file(data: dict[str, Any]) -> Response:
    sent: FileStorage = data.pop("file")
    rights = {name: data.pop(name) for name in RIGHTS}
    uploads.check_rights(rights)
    job = _job(shared(CleaningIn).load(_spelt_out(data)))
    caller = identity()
    with receiving(sent.stream, limit=most_bytes()) as received:
        with received.path.open("rb") as file:
            mime = _video_type(file.read(HEAD))
        stored = stored_as(received, filename=name_of(sent), mime=mime)

        def work(session: Session) -> Answer:
            row = uploads.create_upload(
                session,
                caller.workspace_id,
                caller.user_id,
                filename=stored.filename,
                mime=mime,
                size=None,
                rights=rights,
            )
            row = uploads.complete_upload(session, caller.workspace_id, row.id, stored)
            answer = _start(session, job, uploads.make_clip(session, row, stored))
            inspect_after(session, row.id)
            keep(received, filename=stored.filename, mime=mime)  # last: what is refused leaves nothing
            return answer

        return answer_once(work, body={**job, **rights, "sha256": received.sha256})


def _clean_upload(data: dict[str, Any]) -> Response:
    upload_id = data.pop("upload_id")
    job = _job(data)

    def work(session: Session) -> Answer:
        row = uploads.find_upload(session, identity().workspace_id, upload_id, lock=True)
        return _start(session, job, _clip_of(session, row))

    return answer_once(work, body={**job, "upload_id": str(upload_id)})


def _start(session: Session, job: dict[str, Any], clip: Asset) -> Answer:
    return submit(session, job | {"params": job["params"] | {"asset_id": str(clip.id)}})


def _clip_of(session: Session, row: Upload) -> Asset:
    """The clip that a complete upload has become; made now, unless a worker was faster."""
    if row.blob_sha256 is None:
        of = f" of {row.declared_size}" if row.declared_size is not None else ""
        raise Conflict(
            f"The upload is not complete: {row.received}{of} bytes have come.", code="upload_incomplete"
        )
    asset = session.get(Asset, row.asset_id) if row.asset_id else None
    if (error := error_of(row, asset)) is not None:
        raise Rejected(f"The file was refused: {error}", code="upload_refused")
    if asset is not None:
        if asset.kind is not AssetKind.CLIP:
            raise Invalid(f"The upload is a {asset.kind.value}; a clip is needed.", field="upload_id")
        return asset
    blob = session.get_one(Blob, row.blob_sha256)
    with store().open(blob.storage_key) as file:
        mime = _video_type(file.read(HEAD))
    inspect_after(session, row.id)
    return uploads.make_clip(
        session, row, StoredFile(blob.sha256, blob.size, mime, blob.storage_key, row.filename)
    )


def _job(loaded: dict[str, Any]) -> dict[str, Any]:
    """What a submission takes, judged before anything is kept; its clip comes later."""
    params = dump_params("text_removal", loaded["params"] | {"asset_id": new_id()})
    check("text_removal", params)
    del params["asset_id"]
    return {**loaded, "kind": "text_removal", "params": params}


def _spelt_out(fields: dict[str, Any]) -> dict[str, Any]:
    """A form's texts as the JSON they stand for; params may come together, or each by itself."""
    said = {name: _value(name, text) for name, text in fields.items() if text is not None}
    params = said.pop("params", {})
    if not isinstance(params, dict):
        raise Invalid("It is JSON: an object.", field="params")
    alone = {name: said.pop(name) for name in list(said) if name not in CleaningIn().fields}
    if twice := sorted(params.keys() & alone.keys()):
        raise Invalid("It is in `params` already.", field=twice[0])
    return {**said, "params": params | alone}


def _value(name: str, text: str) -> Any:
    """Texts stay texts, lists of words may come with commas between them, everything else is JSON."""
    kind = SPELLING[name]
    if kind == "text":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if kind == "words":
            return [word.strip() for word in text.split(",") if word.strip()]
        raise Invalid("It is not JSON.", field=name) from error


def _video_type(head: bytes) -> str:
    mime = video_type(head)
    if mime is None:
        what = describe_head(head)
        seems = f"This file begins like {what}." if what else "This file begins like none of them."
        raise Rejected(f"Send a video: mp4, mov, avi, mkv or webm. {seems}", code="not_a_video")
    return mime


def _loaded(schema: type[Schema], location: str) -> dict[str, Any]:
    data: dict[str, Any] = Parser().parse(schema(), request, location=location)
    return data
