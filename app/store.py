"""The object store as the API uses it: opened once, links signed, uploads taken in."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from flask import current_app
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from core.errors import Invalid
from core.settings import Settings
from core.storage import Storage, blob_key, open_storage
from db.assets import Blob, Rendition
from services.renditions import StoredFile

_CHUNK = 1 << 20
_PIECE = 1 << 14
"""What is lost at most of a read that breaks off in the middle."""


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


def signed_url(rendition: Rendition, blob: Blob, *, filename: str | None = None) -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return store().presign(
        blob.storage_key,
        ttl=settings.presign_ttl_seconds,
        filename=filename or rendition.filename,
        mime=rendition.mime,
    )


@contextmanager
def receiving(stream: IO[bytes], *, limit: int) -> Iterator[Received]:
    """Read a body into a scratch file while hashing it; refuses more than `limit` bytes and none at all."""
    with _scratch() as path:
        hasher, size = hashlib.sha256(), 0
        with path.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise RequestEntityTooLarge(f"At most {limit} bytes are accepted.")
                hasher.update(chunk)
                out.write(chunk)
        if size == 0:
            raise Invalid("The file is empty.", field="file")
        yield Received(path, hasher.hexdigest(), size)


@contextmanager
def arriving(stream: IO[bytes], *, room: int) -> Iterator[Received]:
    """Like `receiving`, for a piece of a file: what came before the connection broke counts."""
    with _scratch() as path:
        hasher, size = hashlib.sha256(), 0
        with path.open("wb") as out:
            while chunk := _read_while_it_comes(stream):
                size += len(chunk)
                if size > room:
                    raise RequestEntityTooLarge(f"{room} bytes are still wanted, and more came.")
                hasher.update(chunk)
                out.write(chunk)
        yield Received(path, hasher.hexdigest(), size)


def _read_while_it_comes(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_PIECE)
    except (ClientDisconnected, OSError):
        return b""


@contextmanager
def joined(keys: Sequence[str], last: Received) -> Iterator[Received]:
    """Put the pieces of a file together, those in the store and the one that came last."""
    if not keys:
        yield last
        return
    with _scratch() as path:
        hasher, size = hashlib.sha256(), 0
        with path.open("wb") as out:
            for opened in chain((store().open(key) for key in keys), (last.path.open("rb") for _ in "1")):
                with opened as piece:
                    while chunk := piece.read(_CHUNK):
                        size += len(chunk)
                        hasher.update(chunk)
                        out.write(chunk)
        yield Received(path, hasher.hexdigest(), size)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = current_app.config["SETTINGS"].var_dir / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def stored_as(received: Received, *, filename: str, mime: str) -> StoredFile:
    """What `keep` will return, before anything is put into the store."""
    return StoredFile(received.sha256, received.size, mime, blob_key(received.sha256), filename)


def keep(received: Received, *, filename: str, mime: str) -> StoredFile:
    """Put received bytes into the store under their digest; rows are the caller's business."""
    stored = stored_as(received, filename=filename, mime=mime)
    if not store().exists(stored.key):
        store().put(stored.key, received.path, mime=mime)
    return stored
