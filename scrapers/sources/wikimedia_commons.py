"""Wikimedia Commons: free images, sound and video through the MediaWiki API.

What     https://commons.wikimedia.org/w/api.php, formatversion=2, one call for search and facts; read 2026-11
Access   no key; a User-Agent with a contact is mandatory (CONTACT), generic ones get 403 or 429
Licence  per file and stated by its uploader; NC and ND are not allowed there
Files    upload.wikimedia.org, at most two at once; thumbnails come in fixed widths (1920 is one), so their
         URLs are taken from answers and never built
Errors   429 with an HTML body and Retry-After; many errors come with status 200 as `error` or `errors`,
         `maxlag` among them (wait and repeat)
Traps    words are joined by AND; pages come in id order, `index` is the rank; the whole `continue` object
         goes into the next call, and until `batchcomplete` the same pages come again with more facts;
         extmetadata values are HTML
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.http import Answer
from core.licences import UNKNOWN, Licence, LicenceClass, parse_licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source
from scrapers.html_text import plain_text
from scrapers.kinds import Kind, kind_of_name
from scrapers.words import fewer

_FACTS = (
    "License|LicenseShortName|LicenseUrl|UsageTerms|Artist|Credit|Attribution|AttributionRequired|ObjectName|"
    "ImageDescription|Restrictions|NonFree|Copyrighted|Categories"
)
_FILETYPE: dict[str, str] = {"image": "bitmap", "clip": "video", "audio": "audio"}
_KIND_OF: dict[str, Kind] = {"BITMAP": "image", "DRAWING": "image", "VIDEO": "clip", "AUDIO": "audio"}
_THUMB_WIDTH = 1920
_SHORT_SIDE = 1080  # what a derivative must cover
_ORIGINAL_LIMIT = 25 << 20  # larger scans are taken as thumbnails
_PLAIN_IMAGES = frozenset({"image/jpeg", "image/png", "image/webp"})
_UNUSABLE_DERIVATIVES = ("application/vnd.apple.mpegurl", "video/quicktime")
_BATCHES = 5  # continuations of one batch; a broken server must not hold us for ever
_CALLS = 60
_WAIT = ("maxlag", "ratelimited", "readonly", "internal_api_error", "cirrussearch-too-busy-error")
_OPERATOR = ("permissiondenied", "readapidenied", "assertuserfailed", "blocked", "autoblocked")
_OTHER_LICENCES = {
    "attribution": Licence(
        "LicenseRef-Commons-Attribution",
        None,
        LicenceClass.ATTRIBUTION,
        "Attribution",
        attribution_required=True,
    ),
    "copyrighted free use": Licence(
        "LicenseRef-Commons-Free-Use", None, LicenceClass.FREE, "Copyrighted free use"
    ),
}  # fmt: skip


class WikimediaCommons(Source):
    slug: ClassVar[str] = "wikimedia_commons"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "clip", "audio")
    base_url: ClassVar[str] = "https://commons.wikimedia.org"

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        if not settings.contact.strip():
            return "CONTACT is empty: Wikimedia asks for a web page or an e-mail address of the operator"
        return super().enabled(settings)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        words = [word for word in " ".join(query.words).replace('"', " ").split() if ":" not in word]
        for asked in fewer(words):
            found = False
            for page in self._search(asked, query):
                found = found or bool(page)
                yield page
            if found:
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read one page object; None without a file, a landing page or any statement of a licence."""
        info = next(iter(item.get("videoinfo") or item.get("imageinfo") or ()), None)
        if not isinstance(info, dict) or not info.get("url"):
            return None
        facts = {key: _value(entry) for key, entry in (info.get("extmetadata") or {}).items()}
        landing = info.get("descriptionurl") or info.get("descriptionshorturl")
        kind = _KIND_OF.get(info.get("mediatype", "")) or kind_of_name(urlsplit(info["url"]).path)
        licence = _licence(facts)
        if not landing or kind is None or licence is None or facts.get("NonFree"):
            return None
        media = _rendition(kind, info)
        if media is None:
            return None
        creator, creator_url = plain_text(facts.get("Artist"), self.base)
        title = str(item.get("title") or "").removeprefix("File:") or unquote(PurePosixPath(info["url"]).name)
        restrictions = facts.get("Restrictions")
        said = facts.get("License") or facts.get("LicenseShortName") or facts.get("LicenseUrl") or ""
        return Candidate(
            source=self.slug,
            foreign_id=str(item.get("pageid") or f"File:{title}"),
            kind=kind,
            title=plain_text(facts.get("ObjectName"))[0] or title,
            landing_url=landing,
            creator=creator or info.get("user"),
            creator_url=creator_url,
            licence=licence,
            raw_licence=f"{said}; restrictions: {restrictions}" if restrictions else said,
            duration=float(info["duration"]) if info.get("duration") else None,
            tags=tuple(tag for tag in facts.get("Categories", "").split("|") if tag),
            attribution=_attribution(facts, licence, landing),
            **media,
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return a file by page id or by `File:Name.ext`."""
        self.require_enabled()
        if foreign_id.isdigit():
            which = {"pageids": foreign_id}
        elif foreign_id.startswith("File:") and "|" not in foreign_id:
            which = {"titles": foreign_id, "redirects": "1"}
        else:
            raise NotFound(f"{foreign_id!r} is neither a page id nor File:name of Wikimedia Commons")
        for page in self._batches({**self._asked_facts(), **which}):
            for item in page:
                if candidate := self.parse(item):
                    return candidate
        raise NotFound(f"Wikimedia Commons has no usable file {foreign_id}")

    # -- asking -----------------------------------------------------------------------------------

    def _search(self, words: Sequence[str], query: Query) -> Iterator[Sequence[Any]]:
        params = {
            **self._asked_facts(),
            "generator": "search",
            "gsrnamespace": "6",
            "gsrlimit": str(min(50, max(10, query.limit))),
            "gsrsearch": f"filetype:{_FILETYPE[query.kind]} {' '.join(words)}",
        }
        return self._batches(params)

    def _asked_facts(self) -> dict[str, str]:
        return {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "maxlag": "5",
            "prop": "videoinfo",  # answers for images too, so one path serves all kinds
            "viprop": "url|size|mime|mediatype|sha1|extmetadata|derivatives|user|timestamp",
            "viurlwidth": str(_THUMB_WIDTH),
            "viextmetadatalanguage": "en",
            "viextmetadatafilter": _FACTS,
        }

    def _batches(self, params: dict[str, str]) -> Iterator[Sequence[Any]]:
        """Yield complete batches in rank order, following `continue` as a whole."""
        going_on: dict[str, Any] = {}
        pages: dict[Any, dict[str, Any]] = {}
        parts = 0
        for _ in range(_CALLS):
            data = self.http.get_json(f"{self.base}/w/api.php", params={**params, **going_on}, check=_check)
            found = (data.get("query") or {}).get("pages") or []
            for page in found.values() if isinstance(found, dict) else found:
                key = page.get("pageid") or page.get("title")
                pages[key] = {**pages.get(key, {}), **{k: v for k, v in page.items() if v not in (None, [])}}
            parts += 1
            going_on = data.get("continue") or {}
            # formatversion 1 says "" where 2 says true
            if data.get("batchcomplete", False) is not False or not going_on or parts >= _BATCHES:
                yield sorted(pages.values(), key=lambda page: page.get("index", 0))
                pages, parts = {}, 0
            if not going_on:
                return


def _check(answer: Answer) -> None:
    """Raise for errors that come with status 200; inside the retry loop, so that maxlag is waited for."""
    data = answer.json()
    if not isinstance(data, dict):
        raise Permanent(
            "Wikimedia Commons answered with JSON of another shape than documented", code="not_json"
        )
    error = data.get("error") or next(iter(data.get("errors") or ()), None)
    if not error:
        return
    code = str(error.get("code", "unknown"))
    text = f"Wikimedia Commons: {code}: {error.get('info') or error.get('text') or ''}"[:300]
    if code.startswith(_WAIT):
        after = answer.headers.get("Retry-After", "")
        raise Retryable(text, retry_after=float(after) if after.isdigit() else 5.0, code="throttled")
    if code.startswith(_OPERATOR):
        raise Misconfigured(text)
    raise Permanent(text, code="source_error")


def _value(entry: Any) -> str:
    """Return one extmetadata value as text; multilingual values give English or whatever comes first."""
    value = entry.get("value") if isinstance(entry, dict) else entry
    if isinstance(value, dict):
        value = value.get("en") or next((v for k, v in value.items() if not k.startswith("_")), "")
    return "" if value is None else str(value).strip()


def _licence(facts: dict[str, str]) -> Licence | None:
    """Read the licence; None when nothing is stated, CUSTOM when what is stated cannot be read."""
    url, names = facts.get("LicenseUrl"), [facts.get("License"), facts.get("LicenseShortName")]
    if not url and not any(names):
        return None
    for name in names:
        if name and name.casefold() in _OTHER_LICENCES:
            return _OTHER_LICENCES[name.casefold()]
    readings = [parse_licence(url, name, trusted=True) for name in names if name]
    readings = readings or [parse_licence(url)]
    readable = [r for r in readings if r.id != UNKNOWN]
    if url and parse_licence(url).id != UNKNOWN and len(readable) < len(readings):
        return next(r for r in readings if r.id == UNKNOWN)  # a name contradicts the deed
    return readable[0] if readable else readings[-1]


def _attribution(facts: dict[str, str], licence: Licence, landing: str) -> str | None:
    """Return the credit the uploader asks for, which wins over ours, with the licence it leaves out."""
    asked = plain_text(facts.get("Attribution"))[0]
    if not asked:
        return None
    deed = f" <{licence.url}>" if licence.url else ""
    return f"{asked}, {licence.name}{deed}, via Wikimedia Commons <{landing}>"


def _rendition(kind: Kind, info: dict[str, Any]) -> dict[str, Any] | None:
    """Choose the file to fetch: media_url, width, height, size, mime, sha1 (of the original only)."""
    original = {
        "media_url": info["url"],
        "width": info.get("width") or None,
        "height": info.get("height") or None,
        "size": info.get("size"),
        "mime": info.get("mime"),
        "sha1": info.get("sha1"),
    }
    if kind == "image":
        mime = info.get("mime") or f"image/{PurePosixPath(info['url']).suffix.lower().strip('.')}"
        plain = mime in _PLAIN_IMAGES or mime == "image/jpg"
        if plain and (info.get("size") or 0) <= _ORIGINAL_LIMIT:
            return original
        if not info.get("thumburl"):
            return None
        size = {"width": info.get("thumbwidth"), "height": info.get("thumbheight")}
        return {**original, **size, "media_url": info["thumburl"], "size": None, "mime": None, "sha1": None}
    made = [d for d in info.get("derivatives") or () if _usable(d)]
    if kind == "audio" or not made:
        return original
    covering = [d for d in made if min(d.get("width") or 0, d.get("height") or 0) >= _SHORT_SIDE]
    if covering:
        best = min(covering, key=lambda d: (d["width"] * d["height"], d.get("bandwidth") or 0))
    else:
        best = max(
            made, key=lambda d: ((d.get("width") or 0) * (d.get("height") or 0), d.get("bandwidth") or 0)
        )
    if not best.get("transcodekey"):
        return original
    mime = str(best.get("type", "")).split(";")[0] or None
    size = {"width": best.get("width"), "height": best.get("height")}
    return {**original, **size, "media_url": best["src"], "size": None, "mime": mime, "sha1": None}


def _usable(derivative: dict[str, Any]) -> bool:
    kind, key = str(derivative.get("type", "")), str(derivative.get("transcodekey", ""))
    return (
        bool(derivative.get("src"))
        and not kind.startswith(_UNUSABLE_DERIVATIVES)
        and "mjpeg" not in key + kind
    )


ADAPTER = WikimediaCommons
