"""YouTube Audio Library: tracks that the operator has downloaded in YouTube Studio, with a manifest.

What     folders on this machine (YOUTUBE_AUDIO_LIBRARY_FOLDER), each with a manifest.csv; read 2026-11
Access   there is no API, and YouTube's terms forbid fetching by machine: a person downloads, we import
Licence  per row: the library's own licence, or CC BY with the text of its "Copy" button, shown verbatim; any
         other, or none, and the row is refused with its reason in the log and to whoever asks for the file
Platform nobody could verify that the library's own licence covers films shown elsewhere: such tracks carry
         the restriction `platforms:youtube` until YOUTUBE_AUDIO_LIBRARY_ANYWHERE says otherwise
Network  none; links are never followed, not even within a folder
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import structlog

from core.errors import Invalid, NotFound, Permanent, Unlicensed
from core.settings import Settings
from scrapers.base import Candidate, Query, Source
from scrapers.kinds import Kind
from scrapers.local_files import copy_inside, listed, size_inside
from scrapers.manifest import NAME, STANDARD, Track, read_manifest, read_track
from scrapers.values import fields, text
from scrapers.words import word_score

log = structlog.get_logger()

_TOLD = 20  # refused rows that a log line lists


class YouTubeAudioLibrary(Source):
    slug: ClassVar[str] = "youtube_audio_library"
    kinds: ClassVar[tuple[Kind, ...]] = ("audio",)
    needs_network: ClassVar[bool] = False

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Off without a folder, and where no row of any manifest may be used: the reason names the first."""
        if reason := super().enabled(settings):
            return reason
        roots = listed(settings.youtube_audio_library_folder)
        if not roots:
            return f"YOUTUBE_AUDIO_LIBRARY_FOLDER is empty: name a folder with tracks and their {NAME}"
        refused: list[str] = []
        for root in roots:
            tracks, problems = _tracks(root)
            if tracks:
                return None
            refused += problems
        first = refused[0] if refused else "none has a row"
        return f"of the manifests in YOUTUBE_AUDIO_LIBRARY_FOLDER {len(refused)} rows are refused: {first}"

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        scored: list[tuple[float, int, dict[str, Any]]] = []
        for root in listed(self.settings.youtube_audio_library_folder):
            tracks, problems = _tracks(root)
            if problems:
                log.warning("rows of a manifest are refused", count=len(problems), rows=problems[:_TOLD])
            for track, row in tracks:
                score = word_score(query.words, track.title, (track.artist, *track.tags))
                if score > 0:
                    scored.append((-score, len(scored), {**row, "_folder": str(root)}))
        yield [row for _, _, row in sorted(scored, key=lambda found: found[:2])]

    def parse(self, item: Any) -> Candidate | None:
        """Read one row of the manifest in `_folder`; None when it is refused or its file is not there."""
        item = fields(item)
        root = Path(text(item.get("_folder")) or "/nowhere")
        try:
            track = read_track(item)
        except Invalid:
            return None
        size = size_inside(root, track.file)
        if size is None:
            return None
        standard = track.licence.id == STANDARD
        bound = standard and not self.settings.youtube_audio_library_anywhere
        return Candidate(
            source=self.slug,
            foreign_id=track.file,
            kind="audio",
            title=track.title,
            landing_url=track.source_url,
            media_url=str(root / track.file),
            creator=track.artist,
            creator_url=track.artist_url,
            licence=track.licence,
            raw_licence=f"{track.said}, downloaded on {track.downloaded_on}",
            duration=track.duration,
            size=size,
            tags=track.tags,
            attribution=track.attribution,
            restrictions=("platforms:youtube",) if bound else (),
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return the file; raises NotFound, or Unlicensed saying what its row lacks."""
        self.require_enabled()
        for root in listed(self.settings.youtube_audio_library_folder):
            for number, row in _rows(root):
                if (row.get("file") or "").replace("\\", "/") != foreign_id:
                    continue
                if candidate := self.parse({**row, "_folder": str(root)}):
                    return candidate
                try:
                    read_track(row)
                except Invalid as exc:
                    raise Unlicensed(f"{NAME}, row {number}: {exc.message}", field="licence") from exc
        raise NotFound(f"no {NAME} names the sound {foreign_id!r}, or it is not there")

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        self.require_enabled()
        for root in listed(self.settings.youtube_audio_library_folder):
            if size_inside(root, candidate.foreign_id) is not None:
                copy_inside(root, candidate.foreign_id, out, max_bytes, candidate)
                return
        raise Permanent(f"{candidate.foreign_id} is gone from its folder")


def _rows(root: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        return read_manifest(root)
    except Invalid:
        return []


def _tracks(root: Path) -> tuple[list[tuple[Track, dict[str, str]]], list[str]]:
    """Return the usable rows of a folder's manifest, and why each of the others is refused."""
    try:
        rows = read_manifest(root)
    except Invalid as exc:
        return [], [exc.message]
    tracks, problems = [], []
    for number, row in rows:
        try:
            tracks.append((read_track(row), row))
        except Invalid as exc:
            problems.append(f"row {number}: {exc.message}")
    return tracks, problems


ADAPTER = YouTubeAudioLibrary
