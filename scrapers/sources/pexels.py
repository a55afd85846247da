"""Pexels: photos and videos under the vendor's own licence.

What     https://api.pexels.com/v1/ (photos), /v1/videos/ (videos; without /v1 it is deprecated since 2026);
         read 2026-11
Access   key in the header `Authorization`, without `Bearer`; the files need none and get none
Limits   200 requests an hour, 20,000 a month; X-Ratelimit-Reset is the end of the month as an epoch, nothing
         tells of the hour; answers may be kept for a day (help centre)
Paging   `page`, `per_page` up to 80; `next_page` is missing on the last one, and may name an internal host:
         it is never followed
Licence  one for everything, none per item: the Pexels License; it asks for no credit, the API's rules do
Units    `duration` in whole seconds, `size` in bytes
Traps    `quality` of a file may be null and says nothing of pixels; files of 2020 have no `size` and no
         `fps`, and HLS lists call themselves video/mp4; videos have no title
"""

from __future__ import annotations

import mimetypes
import re
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, ClassVar
from urllib.parse import urlsplit

from core.answers import Answer, retry_after
from core.errors import Misconfigured, NotFound, Permanent
from core.licences import parse_licence
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.kinds import Kind
from scrapers.renditions import FRAME, File, Frame, best, frame_of
from scrapers.replies import json_object, throttled, until_next_hour
from scrapers.values import decimal, fields, number, rows, text, texts, web, words_of

LICENCE = parse_licence("https://www.pexels.com/license/")
_LARGEST_PAGE = 80
_PHOTOS: dict[str, str] = {"image": "photos", "clip": "videos"}
_PHOTO_FILES = ("original", "large2x", "large", "medium", "small")
_PHOTO_SIZES = (("small", 4_000_000), ("medium", 12_000_000))
_VIDEO_SIZES = (("small", 1280 * 720), ("medium", 1920 * 1080))


class Pexels(Source):
    slug: ClassVar[str] = "pexels"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "clip")
    needs_key: ClassVar[bool] = True
    base_url: ClassVar[str] = "https://api.pexels.com/v1"
    limits: ClassVar[SourceLimits] = SourceLimits(
        per_minute=100, per_hour=200, per_day=650, cache_seconds=86_400
    )

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        size = _LARGEST_PAGE if query.min_duration else min(_LARGEST_PAGE, max(15, query.limit))
        params: dict[str, Any] = {"query": " ".join(query.words), "per_page": size}
        if query.orientation:
            params["orientation"] = query.orientation
        if query.frame:
            params["size"] = _size(query.frame, query.kind)
        for page in count(1):
            data = self._search(query.kind, {**params, "page": page})
            found = rows(data.get(_PHOTOS[query.kind]))
            yield [{**item, FRAME: query.frame} for item in found]
            served, total = number(data.get("per_page")) or size, number(data.get("total_results"))
            if not found or not data.get("next_page") or (total is not None and page * served >= total):
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read a photo or a video; None without an id, a page or a file of known size."""
        if not isinstance(item, dict):
            return None
        ident, page = number(item.get("id")), web(item.get("url"))
        if ident is None or page is None:
            return None
        return _video(item, ident, page) if "video_files" in item else _photo(item, ident, page)

    def get(self, foreign_id: str) -> Candidate:
        """Return `photo/<id>` (or `<id>`) or `video/<id>`."""
        self.require_enabled()
        which = re.fullmatch(r"(?:(photo|video)/)?(\d{1,18})", foreign_id, re.ASCII)
        if not which:
            raise NotFound(f"{foreign_id!r} is not an id of Pexels: photo/<id> or video/<id>")
        try:
            if which[1] == "video":
                item = self._videos(f"/videos/{which[2]}", {})
            else:
                item = self._ask(f"{self.base}/photos/{which[2]}", {})
        except Permanent as exc:
            if exc.code == "http_404":
                raise NotFound(f"Pexels has no {foreign_id}") from exc
            raise
        candidate = self.parse(item)
        if candidate is None:
            raise NotFound(f"Pexels' {foreign_id} has no usable file")
        return candidate

    # -- asking -----------------------------------------------------------------------------------

    def _search(self, kind: Kind, params: dict[str, Any]) -> dict[str, Any]:
        if kind == "clip":
            return self._videos("/search", params)
        return self._ask(f"{self.base}/search", params)

    def _videos(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the videos' address of today, and the one of old where a relay knows no other."""
        try:
            return self._ask(f"{self.base}/videos{path}", params)
        except Permanent as exc:
            if exc.code != "http_404" or not self.base.endswith("/v1"):
                raise
        return self._ask(f"{self.base.removesuffix('/v1')}/videos{path}", params)

    def _ask(self, url: str, params: dict[str, Any]) -> dict[str, Any]:
        key = self.own.api_key.get_secret_value() if self.own.api_key else ""
        answer = self.http.get(
            url, params=params, headers={"Authorization": key}, expect=(401, 403, 429), check=_check
        )
        return json_object(answer, "Pexels")


def _check(answer: Answer) -> None:
    if answer.status in (401, 403):
        raise Misconfigured(
            f"Pexels refuses the key in PEXELS_API_KEY ({answer.status}).", code=f"http_{answer.status}"
        )
    if answer.status == 429:
        raise throttled(answer, _wait(answer))
    data = answer.json()
    if isinstance(data, dict) and "error" in data and not {"photos", "videos", "id"} & data.keys():
        raise Permanent(f"Pexels answered with an error: {answer.excerpt()}", code="source_error")


def _wait(answer: Answer) -> float:
    """Until the month ends when it is used up, else until the next hour: that limit has no header."""
    said = retry_after(answer)
    if said is not None:
        return said
    ends = decimal(answer.headers.get("X-Ratelimit-Reset"))
    left = answer.headers.get("X-Ratelimit-Remaining", "0").strip()
    wait = ends - time.time() if ends and left == "0" else 0.0
    return wait if wait > 0 else until_next_hour()


def _size(frame: Frame, kind: Kind) -> str:
    """The least of Pexels' sizes that has the pixels of a frame."""
    pixels = frame[0] * frame[1]
    sizes = _PHOTO_SIZES if kind == "image" else _VIDEO_SIZES
    return next((name for name, most in sizes if pixels <= most), "large")


def _photo(item: dict[str, Any], ident: int, page: str) -> Candidate | None:
    files = fields(item.get("src"))
    urls = {name: web(files.get(name)) for name in _PHOTO_FILES}
    name, url = next(((name, url) for name, url in urls.items() if url), ("", None))
    if url is None:
        return None
    whole = name == "original"
    said = text(item.get("alt"))
    creator = text(item.get("photographer"))
    return Candidate(
        source=Pexels.slug,
        foreign_id=f"photo/{ident}",
        kind="image",
        title=said or words_of(page) or f"Photo {ident}",
        landing_url=page,
        media_url=url,
        creator=creator,
        creator_url=web(item.get("photographer_url")),
        licence=LICENCE,
        raw_licence=LICENCE.name,
        width=number(item.get("width")) if whole else None,
        height=number(item.get("height")) if whole else None,
        mime=mimetypes.guess_type(urlsplit(url).path)[0],
        attribution=f"Photo by {creator or 'an unnamed photographer'} on Pexels ({page})",
        description=said or "",
        preview_url=urls["medium"] or urls["small"] or url,
        is_preview=not whole,
    )


def _video(item: dict[str, Any], ident: int, page: str) -> Candidate | None:
    file = best(_files(item), frame_of(item))
    if file is None:
        return None
    user = fields(item.get("user"))
    creator = text(user.get("name"))
    pictures = [web(one.get("picture")) for one in rows(item.get("video_pictures"))]
    return Candidate(
        source=Pexels.slug,
        foreign_id=f"video/{ident}",
        kind="clip",
        title=words_of(page) or f"Video {ident}",
        landing_url=page,
        media_url=file.url,
        creator=creator,
        creator_url=web(user.get("url")),
        licence=LICENCE,
        raw_licence=LICENCE.name,
        width=file.width,
        height=file.height,
        duration=decimal(item.get("duration")),
        size=file.size,
        mime="video/mp4",
        tags=tuple(texts(item.get("tags"))),
        attribution=f"Video by {creator or 'an unnamed author'} on Pexels ({page})",
        preview_url=web(item.get("image")) or next((url for url in pictures if url), None),
        fps=file.fps,
    )


def _files(item: dict[str, Any]) -> Iterator[File]:
    for file in rows(item.get("video_files")):
        url, width, height = web(file.get("link")), number(file.get("width")), number(file.get("height"))
        if not url or not width or not height or urlsplit(url).path.endswith(".m3u8"):
            continue
        if (file.get("file_type") or mimetypes.guess_type(urlsplit(url).path)[0]) == "video/mp4":
            yield File(url, width, height, decimal(file.get("fps")), number(file.get("size")))


ADAPTER = Pexels
