"""The files of an Internet Archive item: which are renditions of one work, and which of them to take.

`format` is free text that changed over the years, so the suffix decides and the bytes have the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from scrapers.kinds import Kind
from scrapers.values import number, rows, seconds, text, true

LARGEST = 150 << 20
"""Bytes of a file that is chosen by itself; a script may name a larger one."""
TALL = 720
"""Short side from which a derivative of a film is good enough where nobody tells the frame."""
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "clip": (".mp4", ".m4v", ".mov", ".mpg", ".mpeg", ".avi", ".webm", ".mkv", ".ogv"),
    "audio": (".wav", ".flac", ".aif", ".aiff", ".mp3", ".ogg", ".oga", ".opus", ".m4a"),
    "image": (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"),
}
_LOSSLESS = (".wav", ".flac", ".aif", ".aiff")
_PICTURE_OF = ("thumb", "item tile")  # formats of pictures of a work, never the work
_SMALL = ("512kb", "64kb")


@dataclass(frozen=True)
class File:
    """One file; `work` is the name of the original it was made from, its own for an original."""

    name: str
    kind: Kind
    work: str
    original: bool
    small: bool
    size: int | None
    width: int | None
    height: int | None
    length: float | None
    sha1: str | None
    md5: str | None
    title: str | None
    creator: str | None

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class Work:
    """What an item holds one or many of; `thumbnail` is the name of a small picture of it."""

    best: File
    thumbnail: str | None


def read_files(listed: Any) -> list[File]:
    """Return the pictures, clips and sounds that anyone may download; metadata and private files are not."""
    made_from = {name: text(row.get("original")) for row in rows(listed) if (name := text(row.get("name")))}
    return [file for row in rows(listed) if (file := _file(row, made_from)) is not None]


def works(listed: Any, kind: Kind, tall: int = TALL) -> list[Work]:
    """Return the works of `kind` in the order listed, each with the best of its renditions.

    `tall` is the short side of the frame that a film has to fill.
    """
    found: dict[str, list[File]] = {}
    pictures = _thumbnails(listed)
    for file in read_files(listed):
        if file.kind == kind and (file.size or 0) <= LARGEST:
            found.setdefault(file.work, []).append(file)
    best = {work: _best(kind, files, tall) for work, files in found.items()}
    return [
        Work(file, pictures.get(work) or pictures.get("")) for work, file in best.items() if file is not None
    ]


def _file(row: dict[str, Any], made_from: dict[str, str | None]) -> File | None:
    name, source = text(row.get("name")), text(row.get("source")) or "original"
    if name is None or source.lower() == "metadata" or true(row.get("private")):
        return None
    form = (text(row.get("format")) or "").lower()
    if any(part in ("", ".", "..") for part in name.split("/")):  # would lead out of the item
        return None
    if any(mark in form for mark in _PICTURE_OF):
        return None
    suffix = PurePosixPath(name).suffix.lower()
    kind = next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), None)
    if kind is None:
        return None
    return File(
        name=name,
        kind=kind,
        work=_root(name, made_from),
        original=source.lower() == "original",
        small=any(mark in f"{form} {name}".lower() for mark in _SMALL),
        size=number(row.get("size")),
        width=number(row.get("width")),
        height=number(row.get("height")),
        length=seconds(row.get("length")),
        sha1=text(row.get("sha1")),
        md5=text(row.get("md5")),
        title=text(row.get("title")),
        creator=text(row.get("creator")) or text(row.get("artist")),
    )


def _root(name: str, made_from: dict[str, str | None]) -> str:
    seen = {name}
    while (before := made_from.get(name)) and before not in seen:
        name = before
        seen.add(name)
    return name


def _thumbnails(listed: Any) -> dict[str, str]:
    """Return a small picture by work: of those of a film, one from its middle; under "" the item's own."""
    made_from = {name: text(row.get("original")) for row in rows(listed) if (name := text(row.get("name")))}
    found: dict[str, list[str]] = {}
    for row in rows(listed):
        name, form = text(row.get("name")), (text(row.get("format")) or "").lower()
        if name and not true(row.get("private")) and any(mark in form for mark in _PICTURE_OF):
            found.setdefault("" if form == "item tile" else _root(name, made_from), []).append(name)
    return {work: sorted(names)[len(names) // 2] for work, names in found.items()}


def _best(kind: Kind, files: Sequence[File], needed: int) -> File | None:
    """Choose by kind, best rendition first."""
    if kind == "image":
        return _first([f for f in files if f.original], files)
    if kind == "audio":
        lossless = [f for f in files if f.suffix in _LOSSLESS]
        return _first(
            [f for f in lossless if f.original],
            lossless,
            [f for f in files if f.suffix == ".mp3" and not f.small],
            [f for f in files if not f.small],
            files,
        )
    modern = [f for f in files if f.suffix in (".mp4", ".m4v") and not f.small]
    original = [f for f in files if f.original]
    tall = [f for f in modern if _short_side(f) >= needed]
    taller = [f for f in original if _short_side(f) > max(map(_short_side, modern), default=-1)]
    return _first(tall, taller, modern, original, [f for f in files if f.small], files)


def _first(*groups: Sequence[File]) -> File | None:
    """Return the largest file of the first group that has any."""
    group = next((group for group in groups if group), ())
    return max(group, key=lambda f: (_short_side(f), f.size or 0), default=None)


def _short_side(file: File) -> int:
    return min(file.width or 0, file.height or 0)
