"""Uploads: announced, filled with bytes, inspected by a media worker, then an asset."""

from __future__ import annotations

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
) -> Upload:
    """Announce an upload. `rights` is what the sender says: licence, licence_url, creator, source_url."""
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
    )
    session.add(upload)
    session.flush()
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
    upload.completed_at = func.now()
    session.flush()
    session.refresh(upload)
    return upload


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
