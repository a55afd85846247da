"""Pixabay: photos and videos under the vendor's own licence.

What     https://pixabay.com/api/ (images), /api/videos/; there is none for sound; read 2026-11
Access   key in the query (`key`), so the query is nobody's to see: it is blanked out of every message
Limits   100 requests in 60 s; X-RateLimit-Reset is the seconds left of them. An answer has to be kept for 24
         hours, and harvesting is not allowed: one question a shot, and a daily cap of our own
Paging   `page`, `per_page` from 3 to 200; 500 results can be reached, a page beyond them is a 400
Licence  one for everything, none per item: the Pixabay Content License; nothing is marked CC0, although old
         uploads once were
Files    a plain key gets pictures of 1280 pixels, one with full access the original; https://pixabay.com/get/
         links end after a day, so that the item is asked for again (`id`) before a late download
Units    `duration` in whole seconds, `size` in bytes; `imageWidth`, `imageHeight`, `imageSize` are of the
         original
Errors   plain text, `[ERROR 400] …`; a bad key is a 400
Traps    `large` of a video may have the URL "" and the size 0; `medium` may be 1920 or 1280 wide; old answers
         have `picture_id` in the place of `thumbnail`; videos cannot be asked for by orientation
"""

from __future__ import annotations

import mimetypes
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from core.answers import Answer, raise_for, retry_after
from core.errors import Misconfigured, NotFound, PipelineError, Rejected
from core.licences import parse_licence
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.kinds import Kind
from scrapers.renditions import FRAME, File, best, frame_of, within
from scrapers.replies import json_object, throttled
from scrapers.values import counted, decimal, fields, number, rows, text, web, words_of

LICENCE = parse_licence("https://pixabay.com/service/license-summary/")
LINKS_LAST = 86_400.0
"""Seconds until a /get/ link ends."""
_ASKED_AT = "_asked_at"
_REACHABLE = 500
_SMALLEST_PAGE, _LARGEST_PAGE = 3, 200
_WINDOW = 60.0
_LONGEST_QUERY = 100
_PATHS: dict[str, str] = {"image": "/", "clip": "/videos/"}
_ORIENTATION = {"landscape": "horizontal", "portrait": "vertical"}
_PICTURES = (("imageURL", 0), ("fullHDURL", 1920), ("largeImageURL", 1280), ("webformatURL", 640))
"""The files of a picture, best first, with the longest side that each is scaled to; 0: the original."""


class Pixabay(Source):
    slug: ClassVar[str] = "pixabay"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "clip")
    needs_key: ClassVar[bool] = True
    base_url: ClassVar[str] = "https://pixabay.com/api"
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=100, per_day=2000, cache_seconds=86_400)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        # Videos cannot be asked for by shape or length: one large page lets both be chosen from.
        choosy = query.kind == "clip" and bool(query.orientation or query.min_duration)
        size = _LARGEST_PAGE if choosy else min(_LARGEST_PAGE, max(_SMALLEST_PAGE, query.limit))
        params: dict[str, Any] = {"q": _shortened(query.words), "safesearch": "true", "per_page": size}
        if query.kind == "image":
            params["image_type"] = "photo"
            if query.orientation in _ORIENTATION:
                params["orientation"] = _ORIENTATION[query.orientation]
        if query.frame:  # the short side for both: a picture may be turned the other way and be cropped
            params["min_width"] = params["min_height"] = min(query.frame)
        for page in count(1):
            data = self._ask(_PATHS[query.kind], {**params, "page": page})
            found = data["hits"]
            yield [{**item, FRAME: query.frame} for item in found]
            reachable = min(_REACHABLE, number(data.get("totalHits")) or 0)
            if not found or page >= ceil(reachable / size):
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read a hit; None without an id, a page or a file."""
        if not isinstance(item, dict):
            return None
        ident, page = number(item.get("id")), web(item.get("pageURL"))
        if ident is None or page is None:
            return None
        clip = isinstance(item.get("videos"), dict)
        file = _clip(item) if clip else _picture(item)
        if file is None:
            return None
        creator, tags = text(item.get("user")), _tags(item.get("tags"))
        author = number(item.get("user_id"))
        return Candidate(
            source=self.slug,
            foreign_id=f"{'video' if clip else 'photo'}/{ident}",
            kind="clip" if clip else "image",
            title=words_of(page) or ", ".join(tags).capitalize() or f"Pixabay {ident}",
            landing_url=page,
            creator=creator,
            creator_url=f"https://pixabay.com/users/{creator}-{author}/"
            if creator and author and re.fullmatch(r"[\w-]+", creator)
            else None,
            licence=LICENCE,
            raw_licence=LICENCE.name,
            duration=decimal(item.get("duration")) if clip else None,
            tags=tags,
            attribution=f"{creator or 'Unnamed'} / Pixabay ({page})",
            popularity=counted(item.get("downloads")),
            **file,
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return `photo/<id>` (or `<id>`) or `video/<id>`."""
        self.require_enabled()
        return self._get(foreign_id)

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        """As every source; an item whose link has ended or is refused is asked for again, once."""
        self.require_enabled()
        if candidate.expires_at is None or time.time() < candidate.expires_at:
            try:
                return super().fetch(candidate, out, max_bytes)
            except PipelineError as exc:
                if not exc.code.startswith("http_4"):
                    raise
        size = (candidate.width, candidate.height)
        again = self._get(candidate.foreign_id, size, fresh=True)
        return super().fetch(again, out, max_bytes)

    # -- asking -----------------------------------------------------------------------------------

    def _get(
        self, foreign_id: str, frame: tuple[int | None, int | None] | None = None, *, fresh: bool = False
    ) -> Candidate:
        which = re.fullmatch(r"(?:(photo|video)/)?(\d{1,18})", foreign_id, re.ASCII)
        if not which:
            raise NotFound(f"{foreign_id!r} is not an id of Pixabay: photo/<id> or video/<id>")
        path = _PATHS["clip" if which[1] == "video" else "image"]
        try:
            hits = self._ask(path, {"id": which[2]}, fresh=fresh)["hits"]
        except Rejected as exc:
            raise NotFound(f"Pixabay has no {foreign_id}") from exc
        for hit in hits:
            candidate = self.parse({**hit, FRAME: frame})
            if candidate is not None and number(hit.get("id")) == int(which[2]):
                return candidate
        raise NotFound(f"Pixabay has no usable {foreign_id}")

    def _ask(self, path: str, params: dict[str, Any], *, fresh: bool = False) -> dict[str, Any]:
        """Ask with the key; `hits` say when that was. A page that is out of range has none."""
        key = self.own.api_key.get_secret_value() if self.own.api_key else ""

        def masked(answer: Answer) -> Answer:
            return replace(
                answer, body=answer.body.replace(key.encode(), b"***") if key else answer.body, url=self.base
            )

        answer = masked(
            self.http.get(
                f"{self.base}{path}",
                params={"key": key, **params},
                expect=range(400, 600),
                check=lambda answer: _check(masked(answer)),
                fresh=fresh,
            )
        )
        data = {} if answer.status == 400 else json_object(answer, "Pixabay")
        asked = _answered_at(answer)
        return {**data, "hits": [{**hit, _ASKED_AT: asked} for hit in rows(data.get("hits"))]}


def _check(answer: Answer) -> None:
    """Raise for what is wrong; only a page out of range is let through."""
    said = answer.body[:2000].decode("utf-8", "replace").lower()
    bad_key = answer.status == 400 and "api key" in said
    if bad_key or answer.status in (401, 403):
        raise Misconfigured(
            f"Pixabay refuses the key in PIXABAY_API_KEY ({answer.status}): {answer.excerpt()}",
            code=f"http_{answer.status}",
        )
    if answer.status == 429:
        seconds = decimal(answer.headers.get("X-RateLimit-Reset"))
        raise throttled(answer, retry_after(answer) or seconds or _WINDOW)
    if answer.status == 400 and '"page"' in said:
        return
    raise_for(answer, (), write=False)


def _answered_at(answer: Answer) -> float:
    """When the links of an answer were made: before today, where it was kept for us since."""
    try:
        said = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return time.time()
    return min(said, time.time())


def _shortened(words: Sequence[str]) -> str:
    """As many of the words as a query may have characters."""
    said = ""
    for word in " ".join(words).split():
        if len(longer := f"{said} {word}".strip()) > _LONGEST_QUERY:
            break
        said = longer
    return said or " ".join(words).strip()[:_LONGEST_QUERY]


def _tags(value: Any) -> tuple[str, ...]:
    said = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(tag for tag in map(text, said) if tag))


def _picture(item: dict[str, Any]) -> dict[str, Any] | None:
    """The best file that this key may have, with the size of that file."""
    whole = number(item.get("imageWidth")), number(item.get("imageHeight"))
    urls = {name: web(item.get(name)) for name, _ in _PICTURES}
    name, longest = next(((name, longest) for name, longest in _PICTURES if urls[name]), ("", 0))
    url = urls.get(name)
    if url is None:
        return None
    width, height = within(*whole, longest) if longest else whole
    if name == "webformatURL":
        width, height = number(item.get("webformatWidth")), number(item.get("webformatHeight"))
        if "_640." in url and max(whole[0] or 0, whole[1] or 0) > 640:
            url, (width, height) = url.replace("_640.", "_960."), within(*whole, 960)
    asked = decimal(item.get(_ASKED_AT))
    return {
        "media_url": url,
        "width": width,
        "height": height,
        "size": number(item.get("imageSize")) if name == "imageURL" else None,
        "mime": mimetypes.guess_type(urlsplit(url).path)[0],
        "preview_url": web(item.get("previewURL")) or urls["webformatURL"],
        "is_preview": name != "imageURL" and (width is None or (width, height) != whole),
        "expires_at": asked + LINKS_LAST if asked and urlsplit(url).path.startswith("/get/") else None,
    }


def _clip(item: dict[str, Any]) -> dict[str, Any] | None:
    files = []
    for file in rows(list(item["videos"].values())):
        url, width, height = web(file.get("url")), number(file.get("width")), number(file.get("height"))
        if url and width and height and not urlsplit(url).path.endswith(".m3u8"):
            size, preview = number(file.get("size")), web(file.get("thumbnail"))
            files.append(File(url, width, height, size=size, preview_url=preview))
    chosen = best(files, frame_of(item))
    if chosen is None:
        return None
    old = text(item.get("picture_id")) or number(item.get("picture_id"))
    small = web(fields(item["videos"].get("small")).get("thumbnail")) or chosen.preview_url
    return {
        "media_url": chosen.url,
        "width": chosen.width,
        "height": chosen.height,
        "size": chosen.size,
        "mime": mimetypes.guess_type(urlsplit(chosen.url).path)[0],
        "preview_url": small or (f"https://i.vimeocdn.com/video/{old}_640x360.jpg" if old else None),
    }


ADAPTER = Pixabay
