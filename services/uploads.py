"""Uploads: announced, filled with bytes, inspected by a media worker, then an asset."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound
from core.licences import OWN_WORK, Licence, LicenceClass, parse_licence
from db.assets import Asset, Clip, Origin, RenditionRole, Upload
from services.paging import Page, Window, read_page
from services.renditions import StoredFile, add_rendition, keep_blob

MIMES = ("image/", "video/", "audio/", "application/octet-stream", "application/ogg", "font/")


def create_upload(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    *,
    filename: str,
    mime: str,
    size: int | None,
    rights: dict[str, Any],
    ttl_hours: float = 24.0,
) -> Upload:
    """Announce an upload. `rights` is what the sender says: licence, licence_url, creator, source_url.

    It is forgotten when nothing has come for `ttl_hours`.
    """
    if not mime.lower().startswith(MIMES):
        raise Invalid("Send an image, a clip, a sound or a font.", field="mime", code="unsupported_format")
    check_rights(rights)
    upload = Upload(
        workspace_id=workspace_id,
        created_by=user_id,
        filename=filename,
        declared_mime=mime,
        declared_size=size,
        licence={"licence": OWN_WORK, **{k: v for k, v in rights.items() if v}},
        expires_at=func.now() + timedelta(hours=ttl_hours),
    )
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def check_rights(rights: dict[str, Any]) -> None:
    url = rights.get("source_url")
    if url and urlsplit(url).scheme not in {"http", "https"}:
        raise Invalid("Use an http or https address.", field="source_url")


def complete_upload(session: Session, workspace_id: UUID, upload_id: UUID, stored: StoredFile) -> Upload:
    """Say that the bytes are in the store; the same bytes again are fine, others are a Conflict."""
    upload = find_upload(session, workspace_id, upload_id, lock=True)
    if upload.blob_sha256 is not None:
        if upload.blob_sha256 != stored.sha256:
            raise Conflict("This upload has its bytes already: create another one for other bytes.")
        return upload
    if upload.declared_size is not None and upload.declared_size != stored.size:
        raise Invalid(
            f"{stored.size} bytes arrived, {upload.declared_size} were announced: send the file again.",
            field="file",
        )
    keep_blob(session, stored)
    upload.blob_sha256 = stored.sha256
    upload.received = stored.size
    upload.parts = []
    upload.completed_at = func.now()
    session.flush()
    session.refresh(upload)
    return upload


# -- piece by piece -------------------------------------------------------------------------------


def check_offset(session: Session, upload: Upload, offset: int) -> None:
    """Raise unless the next byte that this upload needs is the one at `offset`."""
    if has_expired(session, upload):
        raise Conflict("This upload has expired: announce it again.", code="upload_expired")
    if upload.declared_size is None:
        raise Conflict("Its size was not announced: send it in one go.", code="size_unknown")
    if upload.received != offset:
        raise Conflict(
            f"The next byte is number {upload.received}, not {offset}: ask where it stands and go on there.",
            code="offset_mismatch",
        )


def has_expired(session: Session, upload: Upload) -> bool:
    late = select(func.now() >= upload.expires_at)
    return upload.blob_sha256 is None and bool(session.scalar(late))


def add_part(session: Session, upload: Upload, *, offset: int, size: int, key: str, ttl_hours: float) -> None:
    """Note a piece of a locked upload that is in the store. Raises Conflict when another was faster."""
    check_offset(session, upload, offset)
    upload.received += size
    upload.parts = [*upload.parts, key]
    upload.expires_at = func.now() + timedelta(hours=ttl_hours)
    session.flush()
    session.refresh(upload)


def drop_upload(session: Session, workspace_id: UUID, upload_id: UUID) -> list[str]:
    """Forget an unfinished upload; returns the store keys of what had come of it."""
    upload = find_upload(session, workspace_id, upload_id, lock=True)
    if upload.blob_sha256 is not None:
        raise Conflict("It is complete: delete the asset that it became.", field="upload_id")
    session.delete(upload)
    return list(upload.parts)


def take_expired(session: Session, *, limit: int = 100) -> list[str]:
    """Forget uploads that nobody finished in time; returns the store keys of what had come of them."""
    rows = session.scalars(
        select(Upload)
        .where(Upload.blob_sha256.is_(None), Upload.expires_at < func.now())
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        session.delete(row)
    return [key for row in rows for key in row.parts]


# -- looked up ------------------------------------------------------------------------------------


def find_upload(session: Session, workspace_id: UUID, upload_id: UUID, *, lock: bool = False) -> Upload:
    statement = select(Upload).where(Upload.id == upload_id, Upload.workspace_id == workspace_id)
    upload = session.scalar(statement.with_for_update() if lock else statement)
    if upload is None:
        raise NotFound("There is no such upload.")
    return upload


def list_uploads(session: Session, workspace_id: UUID, window: Window) -> Page[Upload]:
    return read_page(session, select(Upload).where(Upload.workspace_id == workspace_id), Upload.id, window)


def upload_assets(session: Session, uploads: list[Upload]) -> dict[UUID, Asset]:
    ids = {upload.asset_id for upload in uploads if upload.asset_id is not None}
    return {row.id: row for row in session.scalars(select(Asset).where(Asset.id.in_(ids)))}


def own_or_licensed(rights: dict[str, Any]) -> Licence:
    """Read what an uploader says of rights: their own work, or a licence by name or URL."""
    if rights["licence"] == OWN_WORK:
        return Licence(
            OWN_WORK, None, LicenceClass.COMMERCIAL, "Own work", standalone_redistribution_ok=False
        )
    return parse_licence(rights.get("licence_url"), rights["licence"])


def said_by_sender(upload: Upload) -> dict[str, Any]:
    """Who vouches for an upload's licence, and what they said of it."""
    names = ("licence", "licence_url", "creator", "source_url")
    said = {name: upload.licence[name] for name in names if name in upload.licence}
    return {"said_by": "user", "user_id": str(upload.created_by) if upload.created_by else None, "said": said}


def make_clip(session: Session, upload: Upload, stored: StoredFile) -> Clip:
    """Make the clip of a complete upload at once, for a job that probes it in its own first step."""
    clip = Clip(
        workspace_id=upload.workspace_id,
        created_by=upload.created_by,
        name=upload.filename,
        sha256=stored.sha256,
    )
    session.add(clip)
    session.flush()
    rights = upload.licence
    licence = own_or_licensed(rights)
    session.add(
        Origin(
            asset_id=clip.id,
            workspace_id=upload.workspace_id,
            source="upload",
            foreign_id=str(upload.id),
            title=upload.filename,
            landing_url=rights.get("source_url"),
            creator=rights.get("creator"),
            licence=licence.id,
            licence_class=licence.licence_class,
            licence_url=licence.url,
            licence_facts=licence.to_json(),
            raw_licence=rights["licence"],
            licence_proof=said_by_sender(upload),
        )
    )
    add_rendition(
        session,
        workspace_id=upload.workspace_id,
        asset_id=clip.id,
        role=RenditionRole.ORIGINAL,
        stored=stored,
        tool="upload",
    )
    upload.asset_id = clip.id
    session.flush()
    return clip
