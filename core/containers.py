"""What a file begins with: a door's quick look, long before a worker probes the whole of it.

Signatures: ISO/IEC 14496-12 and Apple's QuickTime File Format (a box's type at byte 4), Matroska (EBML, RFC
8794), Microsoft's RIFF.
"""

from __future__ import annotations

HEAD = 64
"""Bytes that are enough to tell."""
_QUICKTIME = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_NO_VIDEO = frozenset({b"avif", b"avis", b"heic", b"heix", b"mif1", b"M4A ", b"M4B "})
_OTHERS = (
    (b"%PDF", "a PDF"), (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a PNG picture"), (b"\xff\xd8\xff", "a JPEG picture"), (b"GIF8", "a GIF picture"),
    (b"ID3", "an MP3"), (b"OggS", "an Ogg file"), (b"fLaC", "a FLAC file"), (b"\x7fELF", "a program"),
    (b"MZ", "a program"), (b"#!", "a script"), (b"<", "a web page or XML"), (b"{", "JSON"),
)  # fmt: skip


def video_type(head: bytes) -> str | None:
    """The type of the video that begins like this; None when it is no mp4, mov, mkv, webm or avi."""
    kind, brand = head[4:8], head[8:12]
    if kind == b"ftyp" and brand not in _NO_VIDEO:
        return "video/quicktime" if brand == b"qt  " else "video/mp4"
    if kind in _QUICKTIME:
        return "video/quicktime"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head else "video/x-matroska"
    return "video/x-msvideo" if head.startswith(b"RIFF") and brand == b"AVI " else None


def describe_head(head: bytes) -> str | None:
    """What a file that is no video seems to be, where that is known."""
    if head.startswith(b"RIFF"):
        return {b"WAVE": "a WAV sound", b"WEBP": "a WebP picture"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return "a picture or a sound"
    return next((what for start, what in _OTHERS if head.startswith(start)), None)
