"""Which file of a Wikimedia Commons page to take: the original, a transcoding, or a thumbnail."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from scrapers.kinds import Kind
from scrapers.renditions import Frame
from scrapers.values import decimal, number, rows, text, web

FULL_HD: Frame = (1920, 1080)
_PICTURE_LIMIT = 25 << 20  # larger scans are taken as thumbnails
_LIMIT = 300 << 20  # of films and sound; originals may have gigabytes
_PLAIN_IMAGES = frozenset(
    {"image/jpeg", "image/jpg", "image/png", "image/webp", "image/"}
)  # the last: unknown
_READABLE_IMAGES = frozenset({"image/tiff", "image/tif", "image/gif"})  # better as a thumbnail


def rendition(kind: Kind, info: dict[str, Any], frame: Frame) -> dict[str, Any] | None:
    """Choose media_url, width, height, size, mime and sha1 (of an original only); None without any file."""
    url, size = web(info.get("url")), number(info.get("size"))
    if url is None:
        return None
    kept = text(info.get("mime")) or ""
    original = {
        "media_url": url,
        "width": number(info.get("width")),
        "height": number(info.get("height")),
        "size": size,
        "mime": kept or None,
        "sha1": text(info.get("sha1")),
    }
    if kind == "image":
        mime = kept or f"image/{PurePosixPath(urlsplit(url).path).suffix.lower().strip('.')}"
        thumbnail = _made(
            {"src": info.get("thumburl"), "width": info.get("thumbwidth"), "height": info.get("thumbheight")}
        )
        plain = mime in _PLAIN_IMAGES or (thumbnail is None and mime in _READABLE_IMAGES)
        return original if plain and (size or 0) <= _PICTURE_LIMIT else thumbnail
    made = [one for one in rows(info.get("derivatives")) if _usable(one)]
    if kind == "audio":
        if "midi" not in kept and (size or 0) <= _LIMIT:
            return original
        coded = [one for one in made if one.get("transcodekey")]
        return _made(max(coded, key=lambda one: number(one.get("bandwidth")) or 0)) if coded else None
    duration = decimal(info.get("duration")) or 0.0
    # The first without a key is the original; where there is none, it has not been transcoded yet.
    sources = [one for one in made if _bytes(one, size, duration) <= _LIMIT]
    if not made:
        return original if (size or 0) <= _LIMIT else None
    covering = [one for one in sources if _covers(one, frame)]
    if covering:
        best = min(covering, key=lambda one: (_area(one), number(one.get("bandwidth")) or 0))
    elif sources:
        best = max(sources, key=lambda one: (_area(one), number(one.get("bandwidth")) or 0))
    else:
        return None
    return _made(best) if best.get("transcodekey") else original


def _made(file: dict[str, Any]) -> dict[str, Any] | None:
    """Describe a file made from the original, whose size and SHA-1 nobody tells."""
    if (url := web(file.get("src"))) is None:
        return None
    return {
        "media_url": url,
        "width": number(file.get("width")),
        "height": number(file.get("height")),
        "size": None,
        "mime": (text(file.get("type")) or "").split(";")[0].strip() or None,
        "sha1": None,
    }


def _usable(derivative: dict[str, Any]) -> bool:
    kind, key = text(derivative.get("type")) or "", text(derivative.get("transcodekey")) or ""
    unusable = (
        kind.startswith("application/vnd.apple.mpegurl") or "mjpeg" in key + kind or key.endswith(".mov")
    )
    return (
        web(derivative.get("src")) is not None
        and not unusable
        and not (key and kind.startswith("video/quicktime"))
    )


def _bytes(derivative: dict[str, Any], original: int | None, duration: float) -> float:
    """Return the size, estimated for a transcoding: `bandwidth` is in bit/s."""
    if not derivative.get("transcodekey") and original is not None:
        return original
    return (number(derivative.get("bandwidth")) or 0) * duration / 8


def _covers(derivative: dict[str, Any], frame: Frame) -> bool:
    """Tell whether a film fills the frame one way at least: one of 1920x800 is called 1080p too."""
    sides = number(derivative.get("width")) or 0, number(derivative.get("height")) or 0
    return max(sides) >= max(frame) or min(sides) >= min(frame)


def _area(derivative: dict[str, Any]) -> int:
    return (number(derivative.get("width")) or 0) * (number(derivative.get("height")) or 0)
