"""A file on its way: it grows under another name over several answers, and takes its own when it is whole."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

import requests

from core.answers import Download, chunks, host_of
from core.errors import Permanent, Retryable

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Partial:
    """What has arrived of one file, with the digests of it; `discard` leaves nothing of what is not whole."""

    def __init__(self, out: Path, max_bytes: int) -> None:
        self.out, self.max_bytes = out, max_bytes
        self._path = out.with_name(f".{out.name}.part")
        self._start_over()

    @property
    def asks(self) -> dict[str, str]:
        """Headers that ask for the rest; empty when the whole has to come (RFC 9110, 13.1.5 and 14.2)."""
        if not self.size or not self._validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    def take(self, response: requests.Response, deadline: float) -> Download:
        """Add the answer's body and return the whole file, or raise with what came kept for another try."""
        if response.status_code == 206:
            self._go_on(response)
        else:
            self._start_over()
            self._validator = _validator_of(response)
        self._refuse_too_much(response)
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab" if self.size else "wb") as file:
                for block in chunks(response, self.max_bytes - self.size, deadline=deadline, write=False):
                    self._add(file, block)
                file.flush()
                os.fsync(file.fileno())
            self._path.replace(self.out)
        except OSError as exc:
            self._start_over()
            raise Retryable(f"cannot write a downloaded file: {exc.strerror}", code="disk") from exc
        mime = response.headers.get("Content-Type", "").split(";")[0].strip().lower() or None
        return Download(
            self.out, self.size, self._sha1.hexdigest(), self._sha256.hexdigest(), mime, response.url
        )

    def refused_range(self) -> Retryable:
        """Forget what came: the server has no such rest (416)."""
        self._start_over()
        return Retryable("the file changed while it was fetched; it is fetched from its beginning")

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)

    def _add(self, file: BinaryIO, block: bytes) -> None:
        file.write(block)
        self._sha1.update(block)
        self._sha256.update(block)
        self.size += len(block)

    def _go_on(self, response: requests.Response) -> None:
        """Check that this is the rest of what is here: a server may send any part of any version."""
        said = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        same = _is_plain(response) and _validator_of(response) in ("", self._validator)
        if said is None or int(said[1]) != self.size or not same:
            raise self.refused_range()

    def _start_over(self) -> None:
        self.size, self._validator = 0, ""
        self._sha1, self._sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()

    def _refuse_too_much(self, response: requests.Response) -> None:
        promised = response.headers.get("Content-Length", "")
        whole = self.size + int(promised) if promised.isdigit() else 0
        if whole > self.max_bytes:
            raise Permanent(
                f"{host_of(response.url)}: the file has {whole} bytes, over the limit of {self.max_bytes}",
                code="too_large",
            )


def _validator_of(response: requests.Response) -> str:
    """What names exactly these bytes: a strong ETag, else a date; nothing for a body that was encoded."""
    if not _is_plain(response):
        return ""
    tag = response.headers.get("ETag", "").strip()
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "").strip()


def _is_plain(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").lower() == "identity"
