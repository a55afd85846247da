"""Unsplash: photos under the vendor's own licence.

What     https://api.unsplash.com; read 2026-11
Access   key of an own application in the header `Authorization: Client-ID <key>`, with `Accept-Version: v1`;
         the files are not counted and get no key
Limits   50 requests an hour for a demo key, more after a review; only X-Ratelimit-Remaining tells. Past it:
         403 with the text "Rate Limit Exceeded" or nothing remaining; any other 403 is a refusal
Paging   `page`, `per_page` up to 30, `total_pages`; totals are near 10,000 and not exact
Licence  one for everything, none per item: the Unsplash License. It asks for no credit, the API's guidelines
         do, with links that name the application (UNSPLASH_PROJECT)
Use      whoever shows a photo calls its `download_location` with the key; it only counts
Terms    "for non-automated, high-quality, and authentic experiences", so off until an operator has decided;
         pictures shown to people come from Unsplash's own addresses
Traps    the first hit may be an advertisement (`sponsorship`); Unsplash+ hits (`premium`, `plus`) are paid;
         descriptions may be null; a query may be called spam (410)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from core.answers import Answer
from core.errors import Misconfigured, NotFound, Permanent, Rejected
from core.http import PRODUCT
from core.licences import parse_licence
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.kinds import Kind
from scrapers.renditions import FRAME, Frame, frame_of
from scrapers.replies import json_object, throttled, until_next_hour
from scrapers.values import counted, fields, number, rows, text, web, words_of

LICENCE = replace(parse_licence("https://unsplash.com/license"), attribution_required=True)
"""The licence itself asks for no credit; the guidelines for users of the API do."""
_LARGEST_PAGE = 30
_ORIENTATION = {"landscape": "landscape", "portrait": "portrait", "square": "squarish"}
_FRAME: Frame = (1920, 1080)
_ROOM = 2
"""A still is moved over: it is fetched so many times as large as the frame."""
_REGULAR = 1080
_IDENT = re.compile(r"[\w-]{1,64}", re.ASCII)


class Unsplash(Source):
    slug: ClassVar[str] = "unsplash"
    kinds: ClassVar[tuple[Kind, ...]] = ("image",)
    needs_key: ClassVar[bool] = True
    terms: ClassVar[str] = (
        "Unsplash offers its API for non-automated experiences, and here pictures are chosen unattended."
    )
    base_url: ClassVar[str] = "https://api.unsplash.com"
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=50, per_day=1200, cache_seconds=86_400)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        params: dict[str, Any] = {
            "query": " ".join(query.words),
            "per_page": _LARGEST_PAGE,  # a request costs the same, and advertisements are left out
            "content_filter": "high",
        }
        if query.orientation:
            params["orientation"] = _ORIENTATION[query.orientation]
        for page in count(1):
            data = json_object(self._ask("/search/photos", {**params, "page": page}), "Unsplash")
            found = rows(data.get("results"))
            yield [{**item, FRAME: query.frame} for item in found]
            last = number(data.get("total_pages"))
            if not found or (last is not None and page >= last):
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read a photo; None for what is paid, an advertisement, or without id or file."""
        if not isinstance(item, dict) or _not_free(item):
            return None
        ident, file = text(item.get("id")), _file(item)
        if ident is None or not _IDENT.fullmatch(ident) or file is None:
            return None
        said, seen = text(item.get("description")), text(item.get("alt_description"))
        slug = text(item.get("slug")) or ""
        user, links, urls = (fields(item.get(name)) for name in ("user", "links", "urls"))
        account = text(user.get("username"))
        name = text(user.get("name")) or account
        profile = web(fields(user.get("links")).get("html"))
        if profile is None and account:
            profile = f"https://unsplash.com/@{quote(account)}"
        return Candidate(
            source=self.slug,
            foreign_id=ident,
            kind="image",
            title=seen or said or words_of(f"/{slug.removesuffix(ident)}") or f"Photo {ident}",
            landing_url=web(links.get("html")) or f"https://unsplash.com/photos/{ident}",
            creator=name,
            creator_url=profile,
            licence=LICENCE,
            raw_licence=LICENCE.name,
            mime="image/jpeg",
            tags=_tags(item),
            attribution=self._credit(name, profile),
            description=said or seen or "",
            preview_url=web(urls.get("small")) or web(urls.get("thumb")),
            popularity=counted(item.get("likes")),
            use_url=web(links.get("download_location")) or f"{self.base_url}/photos/{ident}/download",
            **file,
        )

    def get(self, foreign_id: str) -> Candidate:
        self.require_enabled()
        if not _IDENT.fullmatch(foreign_id):
            raise NotFound(f"{foreign_id!r} is not an id of Unsplash")
        try:
            answer = self._ask(f"/photos/{foreign_id}", {})
        except Permanent as exc:
            if exc.code == "http_404":
                raise NotFound(f"Unsplash has no {foreign_id}") from exc
            raise
        candidate = self.parse(json_object(answer, "Unsplash"))
        if candidate is None:
            raise NotFound(f"Unsplash's {foreign_id} is paid or has no file")
        return candidate

    def used(self, candidate: Candidate) -> bool:
        """Call the photo's `download_location`, `ixid` and all; the key goes to our own address only."""
        self.require_enabled()
        if candidate.use_url is None:
            return False
        parts, home = urlsplit(candidate.use_url), urlsplit(self.base)
        path = parts.path
        if parts.netloc == home.netloc:
            path = path.removeprefix(home.path)
        self._ask(path, dict(parse_qsl(parts.query, keep_blank_values=True)), fresh=True)
        return True

    # -- asking -----------------------------------------------------------------------------------

    def _ask(self, path: str, params: dict[str, Any], *, fresh: bool = False) -> Answer:
        key = self.own.api_key.get_secret_value() if self.own.api_key else ""
        return self.http.get(
            f"{self.base}{path}",
            params=params,
            headers={"Authorization": f"Client-ID {key}", "Accept-Version": "v1"},
            expect=(401, 403, 410),
            check=_check,
            fresh=fresh,
        )

    def _credit(self, name: str | None, profile: str | None) -> str:
        ours = urlencode(
            {"utm_source": self.own.project or PRODUCT.partition("/")[0].lower(), "utm_medium": "referral"}
        )
        links = [f"{profile}{'&' if '?' in profile else '?'}{ours}"] if profile else []
        return (
            f"Photo by {name or 'an unnamed photographer'} on Unsplash "
            f"({', '.join([*links, f'https://unsplash.com/?{ours}'])})"
        )


def _check(answer: Answer) -> None:
    if answer.status == 401:
        raise Misconfigured("Unsplash refuses the key in UNSPLASH_API_KEY (401).", code="http_401")
    if answer.status == 403:
        left = answer.headers.get("X-Ratelimit-Remaining", "").strip()
        if left == "0" or b"rate limit exceeded" in answer.body[:2000].lower():
            raise throttled(answer, until_next_hour())
        raise Misconfigured(
            f"Unsplash does not permit this to the key in UNSPLASH_API_KEY (403): {answer.excerpt()}",
            code="http_403",
        )
    if answer.status == 410:
        raise Rejected(f"Unsplash does not take the query: {answer.excerpt()}", code="spam")


def _not_free(item: dict[str, Any]) -> bool:
    paid = any(
        item.get(name) not in (None, False, "") for name in ("sponsorship", "sponsored", "premium", "plus")
    )
    return paid or item.get("asset_type") not in (None, "", "photo")


def _tags(item: dict[str, Any]) -> tuple[str, ...]:
    said = [item.get(name) for name in ("tags", "photo_tags", "tags_preview")]
    flat = [tag for one in said for tag in (one if isinstance(one, list) else [])]
    titles = [text(tag.get("title") if isinstance(tag, dict) else tag) for tag in flat]
    return tuple(dict.fromkeys(title for title in titles if title))


def _file(item: dict[str, Any]) -> dict[str, Any] | None:
    """The original, scaled on the way to what the frame needs; else what is offered, largest first."""
    urls = fields(item.get("urls"))
    width, height = number(item.get("width")), number(item.get("height"))
    raw, full, regular = (web(urls.get(name)) for name in ("raw", "full", "regular"))
    if raw:
        wide = _wide_enough(width, height, frame_of(item) or _FRAME)
        high = max(1, round(height * wide / width)) if width and height else None
        return {"media_url": _imgix(raw, wide), "width": wide if width else None, "height": high}
    if full:
        return {"media_url": full, "width": width, "height": height}
    if regular:
        high = round(height * _REGULAR / width) if width and height else None
        return {"media_url": regular, "width": _REGULAR, "height": high, "is_preview": True}
    return None


def _wide_enough(width: int | None, height: int | None, frame: Frame) -> int:
    wide, high = frame[0] * _ROOM, frame[1] * _ROOM
    if not width or not height:
        return wide
    return min(width, max(wide, -(-high * width // height)))


def _imgix(raw: str, width: int) -> str:
    """Ask for a JPEG of a width; what `raw` says already is kept, `ixid` above all."""
    parts = urlsplit(raw)
    asked = {"w": str(width), "fit": "max", "q": "85", "fm": "jpg"}
    kept = [
        (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in asked
    ]
    return urlunsplit(parts._replace(query=urlencode([*kept, *asked.items()])))


ADAPTER = Unsplash
