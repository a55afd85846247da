"""What a file is: by its first bytes when it matters, by its name only to list a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["image", "clip", "audio"]

KINDS_OF: dict[str, tuple[Kind, ...]] = {
    "image/jpeg": ("image",),
    "image/png": ("image",),
    "image/gif": ("image",),
    "image/webp": ("image",),
    "image/tiff": ("image",),
    "image/bmp": ("image",),
    "image/avif": ("image",),
    "image/heic": ("image",),
    "video/mp4": ("clip", "audio"),
    "video/quicktime": ("clip", "audio"),
    "video/webm": ("clip", "audio"),
    "video/x-msvideo": ("clip",),
    "video/mpeg": ("clip",),
    "application/ogg": ("clip", "audio"),
    "audio/mp4": ("audio",),
    "audio/mpeg": ("audio",),
    "audio/wav": ("audio",),
    "audio/flac": ("audio",),
    "audio/aiff": ("audio",),
}
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"OggS", "application/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"AIFF", "audio/aiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (4, b"moov", "video/quicktime"),
)


def sniff(head: bytes) -> str | None:
    """Name the type of a file by its first bytes, never by its name or header; None = none we use."""
    for offset, magic, mime in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return mime
    # MPEG audio without a tag: sync word, a real layer, a real bit rate
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 and head[2] >> 4 < 15:
        return "audio/mpeg"
    return None


_KIND_BY_SUFFIX: dict[str, Kind] = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif"), "image"),
    **dict.fromkeys((".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".ogv", ".mpg"), "clip"),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aiff"), "audio"),
}


def kind_of_name(name: str) -> Kind | None:
    """Guess the kind of a local file from its suffix; the bytes have the last word."""
    return _KIND_BY_SUFFIX.get(Path(name).suffix.lower())
