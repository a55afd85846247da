"""Where files live: a folder with signed links, or any S3. One contract, one shared test suite.

Keys are relative, made of safe segments, and normally content-addressed (`blobs/ab/cd/<sha256>`). What a
file is called and what type it has stands in PostgreSQL, never here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import quote, urlencode

from core.errors import Invalid, Misconfigured, NotFound, Retryable
from core.secrets import secret_key

if TYPE_CHECKING:
    from core.settings import Settings

FILES_PATH = "/api/v1/files/"
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
INCOMING = ".incoming"  # starts with a dot, so no key can name it
_MIN_SECRET = 16


@dataclass(frozen=True)
class Stored:
    key: str
    size: int
    modified: datetime


class Storage(Protocol):
    """Every method raises Invalid for a bad key, NotFound for a missing one, Retryable/Misconfigured else."""

    def put(self, key: str, path: Path, *, mime: str) -> None:
        """Store a copy of `path`; readers see the old file or the whole new one."""

    def open(self, key: str) -> BinaryIO:
        """Open for reading, seekable; the caller closes."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """Lend a path to read from; it may vanish when the context ends and must not be written to."""

    def presign(self, key: str, *, ttl: int, filename: str | None = None, mime: str | None = None) -> str:
        """Make a URL that reads the file for `ttl` seconds; with `filename`, as a download of that name."""

    def delete(self, key: str) -> None:
        """Remove; a missing file is fine."""

    def exists(self, key: str) -> bool: ...

    def size(self, key: str) -> int:
        """Return bytes."""

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield what is stored under keys that start with `prefix`."""

    def check(self) -> None:
        """Raise unless the store can be used now; for health checks."""


def blob_key(sha256: str) -> str:
    """Return the content address of a file with this hex digest."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise Invalid("not a SHA-256 hex digest", field="sha256")
    return f"blobs/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def check_key(key: str) -> str:
    if len(key) > 512 or not _KEY.fullmatch(key):
        raise Invalid("a storage key is segments of letters, digits, '.', '_' and '-'", field="key")
    return key


def content_disposition(filename: str) -> str:
    """Write the header of a download (RFC 6266): an ASCII name and the true one."""
    plain = re.sub(r'[^ -~]|["\\%;]', "_", filename)[:150] or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename[:150], safe='')}"


class DiskStorage:
    """Files under `root`; links are signed with `secret` and answered by our own API."""

    def __init__(
        self, root: Path, secret: bytes, base_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`base_url` may be empty for relative links; `secret` has at least 16 bytes."""
        if len(secret) < _MIN_SECRET:
            raise Misconfigured("SECRET_KEY is too short to sign file links: use 16 bytes or more")
        self._root, self._secret, self._base, self._clock = root, secret, base_url.rstrip("/"), clock

    def put(self, key: str, path: Path, *, mime: str) -> None:  # noqa: ARG002 (S3 needs it)
        target = self._path(key)
        scratch = self._root / INCOMING / uuid.uuid4().hex
        try:
            scratch.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, scratch.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            scratch.chmod(0o644)
            scratch.replace(target)
            _sync_folder(target.parent)
        except OSError as exc:
            raise _disk_trouble(exc) from exc
        finally:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)

    def open(self, key: str) -> BinaryIO:
        return self._existing(key).open("rb")

    @contextlib.contextmanager
    def local(self, key: str) -> Iterator[Path]:
        yield self._existing(key)

    def presign(self, key: str, *, ttl: int, filename: str | None = None, mime: str | None = None) -> str:
        check_key(key)
        expires = int(self._clock()) + ttl
        query = {"expires": str(expires)}
        query |= {k: v for k, v in (("filename", filename), ("mime", mime)) if v is not None}
        query["signature"] = self._sign(key, expires, filename, mime)
        return f"{self._base}{FILES_PATH}{key}?{urlencode(query)}"

    def verify_signature(
        self, key: str, expires: int, signature: str, filename: str | None = None, mime: str | None = None
    ) -> bool:
        """Tell whether a link was made here, is unchanged and still valid; in constant time."""
        given = signature.encode("utf-8", "replace")
        genuine = hmac.compare_digest(self._sign(key, expires, filename, mime).encode(), given)
        return genuine and self._clock() < expires

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as exc:
            raise _disk_trouble(exc) from exc

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def size(self, key: str) -> int:
        return self._existing(key).stat().st_size

    def list(self, prefix: str = "") -> Iterator[Stored]:
        if prefix:
            check_key(prefix.rstrip("/"))
        start = self._root / prefix.rpartition("/")[0]
        for folder, folders, files in os.walk(start):
            folders[:] = sorted(name for name in folders if name != INCOMING)
            for name in sorted(files):
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix) and not path.is_symlink():
                    with contextlib.suppress(FileNotFoundError):
                        found = path.stat()
                        yield Stored(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def check(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            probe = self._root / f".probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"1")
            probe.unlink()
        except OSError as exc:
            raise _disk_trouble(exc) from exc

    def _path(self, key: str) -> Path:
        path = self._root / check_key(key)
        # Keys cannot climb; a symbolic link somebody put into the folder could.
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise Invalid("the key leads outside the store", field="key")
        return path

    def _existing(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise NotFound(f"no file is stored under {key}")
        return path

    def _sign(self, key: str, expires: int, filename: str | None, mime: str | None) -> str:
        # JSON keeps the parts apart: no filename can be moved into the key or the other way round.
        text = json.dumps(["file", key, expires, filename, mime])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def open_storage(settings: Settings, *, secret: bytes | None = None, base_url: str | None = None) -> Storage:
    """Open the store that STORAGE_URL names.

    `secret` signs the disk store's links, by default the installation's own. `base_url` overrides the
    public address in them.
    """
    url = settings.storage_url.strip()
    if url == "disk":
        if secret is None:
            secret = secret_key(settings)
        public = settings.public_url or f"http://{settings.api_host}:{settings.api_port}"
        return DiskStorage(settings.var_dir / "store", secret, public if base_url is None else base_url)
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
    if not found:
        raise Misconfigured(f"STORAGE_URL={url!r}: use `disk` or `s3://bucket/prefix`")
    from core.storage_s3 import S3Storage, make_client

    key_id, key = settings.s3_access_key_id, settings.s3_secret_access_key
    client = make_client(
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        access_key_id=key_id.get_secret_value() if key_id else None,
        secret_access_key=key.get_secret_value() if key else None,
    )
    return S3Storage(client, found[1], found[2] or "")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk_trouble(exc: OSError) -> Retryable | Misconfigured:
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Misconfigured(f"the store's folder cannot be written to: {exc.strerror}")
    code = "disk_full" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else "disk"
    return Retryable(f"the store's disk refused: {exc.strerror}", code=code)
