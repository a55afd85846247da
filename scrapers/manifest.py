"""The manifest of tracks that a person brought from YouTube's audio library: `manifest.csv`, our own format.

UTF-8 (a BOM is fine), comma or semicolon, header in any case. Columns: file, title, artist, licence,
attribution_text, kind, genre, mood, bpm, duration, source_url, downloaded_on.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import Invalid
from core.licences import Licence, parse_licence
from scrapers.kinds import kind_of_name
from scrapers.local_files import read_inside
from scrapers.values import seconds, text, web

NAME = "manifest.csv"
STANDARD = "LicenseRef-YouTube-Audio-Library"
_MOST_BYTES = 8 << 20
_MOST_ROWS = 20_000
_DEED = re.compile(r"https?://(?:www\.)?creativecommons\.org/licenses/[^\s)>\"']+", re.IGNORECASE)
# The last " by " parts title and artist: titles have the word more often than names do.
_NAMES = re.compile(
    r"^\W*(?P<title>\S.*)\s+by\s+(?P<artist>\S.*?)\s+is licensed under", re.IGNORECASE | re.MULTILINE
)
_LINK = r"^\s*{}:\s*(https?://\S+)"
_VERSIONLESS = re.compile(r"(?:cc[ _-]*by|creative commons[ _-]+attribution)", re.IGNORECASE)


@dataclass(frozen=True)
class Pasted:
    """What could be read of an attribution text as YouTube Studio's "Copy" button gives it."""

    title: str | None = None
    artist: str | None = None
    licence_url: str | None = None
    source_url: str | None = None
    artist_url: str | None = None


@dataclass(frozen=True)
class Track:
    """One row that may be used; `attribution` is the pasted text as it is."""

    file: str
    title: str
    artist: str
    licence: Licence
    said: str
    attribution: str | None
    downloaded_on: date
    tags: tuple[str, ...]
    duration: float | None
    source_url: str | None
    artist_url: str | None


def read_pasted(said: str) -> Pasted:
    """Read an attribution text; what it does not say is None, and the text itself stays as it is."""
    names, deed = _NAMES.search(said), _DEED.search(said)
    source, artist = (
        re.search(_LINK.format(word), said, re.IGNORECASE | re.MULTILINE) for word in ("Source", "Artist")
    )
    return Pasted(
        title=names["title"].strip(" \"'“”") or None if names else None,
        artist=names["artist"].strip(" \"'“”") or None if names else None,
        licence_url=deed[0].rstrip(".,;") if deed else None,
        source_url=web(source[1]) if source else None,
        artist_url=web(artist[1]) if artist else None,
    )


def read_manifest(root: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (number, row) for every row of the manifest in `root`, numbered as a spreadsheet does.

    Raises Invalid when it cannot be read.
    """
    data = read_inside(root, NAME, _MOST_BYTES)
    if data is None:
        raise Invalid(f"{root} has no plain file {NAME}", field="file")
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(f"{root / NAME} is not UTF-8: save it as UTF-8", field="file") from None
    header = content.split("\n", 1)[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    found: list[tuple[int, dict[str, str]]] = []
    try:
        columns = [name.strip().lower().replace("license", "licence") for name in next(reader, [])]
        for number, cells in enumerate(reader, start=2):
            row = {
                name: cell.strip()
                for name, cell in zip(columns, cells, strict=False)
                if name and cell.strip()
            }
            if row and len(found) < _MOST_ROWS:
                found.append((number, row))
    except csv.Error as exc:
        raise Invalid(f"{root / NAME}, line {reader.line_num}: {exc}", field="file") from None
    return found


def read_track(row: dict[str, Any]) -> Track:
    """Judge one row; raises Invalid, naming the column and what to write there."""
    file, said, pasted_text = (text(row.get(name)) for name in ("file", "licence", "attribution_text"))
    file = (file or "").replace("\\", "/")
    if not file:
        raise Invalid("it names no file", field="file")
    if any(part in ("", ".", "..") for part in file.split("/")):
        raise Invalid(f"{file} is not a name within the folder", field="file")
    if kind_of_name(file) != "audio":
        raise Invalid(f"{file} is no sound file", field="file")
    if not said:
        raise Invalid(f"{file} has no licence: write YOUTUBE_AUDIO_LIBRARY or CC-BY-4.0", field="licence")
    pasted = read_pasted(pasted_text or "")
    licence = _licence(said, pasted.licence_url)
    if licence.id != STANDARD and not pasted_text:
        raise Invalid(f"{file} is under {licence.name}: paste its attribution text", field="attribution_text")
    artist = text(row.get("artist")) or pasted.artist
    if not artist:
        raise Invalid(f"{file} names no artist", field="artist")
    return Track(
        file=file,
        title=text(row.get("title")) or pasted.title or PurePosixPath(file).stem,
        artist=artist,
        licence=licence,
        said=said,
        attribution=pasted_text,
        downloaded_on=_day(file, text(row.get("downloaded_on"))),
        tags=tuple(value for name in ("kind", "genre", "mood") if (value := text(row.get(name)))),
        duration=seconds(row.get("duration")),
        source_url=web(row.get("source_url")) or pasted.source_url,
        artist_url=pasted.artist_url,
    )


def _licence(said: str, deed: str | None) -> Licence:
    """Read the licence column, which a deed in the attribution text may complete but not contradict."""
    licence = parse_licence(said) if "//" in said else parse_licence(None, said)
    if licence.id == STANDARD:
        return licence
    if deed:
        licence = parse_licence(deed, None if "//" in said or _VERSIONLESS.fullmatch(said) else said)
    if not re.fullmatch(r"CC-BY-\d\.\d(-[A-Z]+)?", licence.id):
        raise Invalid(
            f"the licence {said!r} is not taken without review: the library has YOUTUBE_AUDIO_LIBRARY and "
            "CC BY, whose version has to agree with the attribution text",
            field="licence",
        )
    return licence


def _day(file: str, said: str | None) -> date:
    try:
        return date.fromisoformat(said or "")
    except ValueError:
        raise Invalid(
            f"{file} does not say when it was downloaded: write a day such as 2026-01-31",
            field="downloaded_on",
        ) from None
