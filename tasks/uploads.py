"""Uploads: what a client sent is probed here, far from the API's process, and becomes an asset."""

from __future__ import annotations

import shutil
from uuid import UUID

import structlog

from core.errors import PipelineError
from core.settings import get_settings
from db.assets import Blob, MediaAsset, Upload
from db.session import reading, transaction
from services.uploads import own_or_licensed, said_by_sender
from tasks.app import app
from tasks.inspection import Desk, Inspected, inspect
from tasks.library import describe_asset, keep_asset
from tasks.step import storage

log = structlog.get_logger()

FRAME = (1920, 1080)
"""What an upload's quality is judged for: nobody knows yet where it will be used."""


@app.task(name="inspect_upload", soft_time_limit=300, time_limit=330)
def inspect_upload(upload_id: str) -> None:
    """Probe a complete upload and make it an asset; a file that no film can use is refused.

    A clip that a job was started on at once is described: whether it can be used is for the job to say. Safe
    to run twice: the asset is found by the upload's id.
    """
    with reading() as session:
        upload = session.get(Upload, UUID(upload_id))
        if upload is None or upload.blob_sha256 is None or "refused" in upload.licence:
            return
        if upload.asset_id and session.get_one(MediaAsset, upload.asset_id).codec:
            return
        blob = session.get_one(Blob, upload.blob_sha256)
    scratch = get_settings().var_dir / "scratch" / f"upload-{upload.id}"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with storage().local(blob.storage_key) as path:
            try:
                seen: Inspected | PipelineError = inspect(
                    Desk(scratch), path, filename=upload.filename, width=FRAME[0], height=FRAME[1]
                )
            except PipelineError as error:
                log.info("an upload was refused", upload=upload_id, code=error.code, error=error.message)
                seen = error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with transaction() as session:
        upload = session.get_one(Upload, upload.id, with_for_update=True)
        if upload.asset_id is not None:
            clip = session.get_one(MediaAsset, upload.asset_id)
            if not isinstance(seen, PipelineError) and not clip.codec:
                describe_asset(session, clip, seen)
            return
        if isinstance(seen, PipelineError):
            upload.licence = {**upload.licence, "refused": seen.message}
            return
        asset: MediaAsset = keep_asset(
            session,
            workspace_id=upload.workspace_id,
            inspected=seen,
            name=upload.filename,
            source="upload",
            foreign_id=str(upload.id),
            licence=own_or_licensed(upload.licence),
            raw_licence=upload.licence["licence"],
            origin={
                "title": upload.filename,
                "landing_url": upload.licence.get("source_url"),
                "creator": upload.licence.get("creator"),
                "licence_proof": said_by_sender(upload),
            },
        )
        asset.created_by = upload.created_by
        upload.asset_id = asset.id
