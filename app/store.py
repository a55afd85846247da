"""The object store as the API uses it: opened once, links signed, uploads taken in."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flask import current_app
from werkzeug.exceptions import RequestEntityTooLarge

from core.errors import Invalid
from core.settings import Settings
from core.storage import Storage, blob_key, open_storage
from db.assets import Blob, Rendition
from services.renditions import StoredFile

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Received:
    """Bytes that came in and lie in a scratch file until the request ends."""

    path: Path
    sha256: str
    size: int


def store() -> Storage:
    """The application's store, opened at first use."""
    opened: Storage | None = current_app.extensions.get("store")
    if opened is None:
        settings: Settings = current_app.config["SETTINGS"]
        opened = open_storage(settings)
        current_app.extensions["store"] = opened
    return opened


def signed_url(rendition: Rendition, blob: Blob) -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return store().presign(
        blob.storage_key, ttl=settings.presign_ttl_seconds, filename=rendition.filename, mime=rendition.mime
    )


@contextmanager
def receiving(stream: BinaryIO, *, limit: int) -> Iterator[Received]:
    """Read a body into a scratch file while hashing it; refuses more than `limit` bytes and none at all."""
    folder = current_app.config["SETTINGS"].var_dir / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    path = Path(name)
    try:
        hasher = hashlib.sha256()
        size = 0
        with os.fdopen(handle, "wb") as out:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise RequestEntityTooLarge(f"At most {limit} bytes are accepted.")
                hasher.update(chunk)
                out.write(chunk)
        if size == 0:
            raise Invalid("The file is empty.", field="file")
        yield Received(path, hasher.hexdigest(), size)
    finally:
        path.unlink(missing_ok=True)


def keep(received: Received, *, filename: str, mime: str) -> StoredFile:
    """Put received bytes into the store under their digest; rows are the caller's business."""
    key = blob_key(received.sha256)
    if not store().exists(key):
        store().put(key, received.path, mime=mime)
    return StoredFile(sha256=received.sha256, size=received.size, mime=mime, key=key, filename=filename)
