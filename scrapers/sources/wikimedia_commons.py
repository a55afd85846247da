"""Wikimedia Commons: free images, sound and video through the MediaWiki API.

What     https://commons.wikimedia.org/w/api.php, formatversion=2, one call for search and facts; read 2026-11
Access   no key; a User-Agent with a contact is mandatory (CONTACT), generic ones get 403 or 429
Limits   no number is published; ours is one question a second
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

import structlog

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.http import Answer
from core.licences import UNKNOWN, Licence, LicenceClass, parse_licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.commons_files import FULL_HD, rendition
from scrapers.html_text import plain_text
from scrapers.kinds import Kind, kind_of_name
from scrapers.renditions import FRAME, frame_of
from scrapers.replies import json_object
from scrapers.values import decimal, fields, ident, number, rows, text, web
from scrapers.words import fewer

log = structlog.get_logger()

_FACTS = (
    "License|LicenseShortName|LicenseUrl|UsageTerms|Artist|Credit|Attribution|AttributionRequired|ObjectName|"
    "ImageDescription|Restrictions|NonFree|Copyrighted|Categories"
)
_FILETYPE: dict[str, str] = {"image": "bitmap", "clip": "video", "audio": "audio"}
_KIND_OF: dict[str, Kind] = {"BITMAP": "image", "DRAWING": "image", "VIDEO": "clip", "AUDIO": "audio"}
_THUMB_WIDTH = 1920
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
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=60, downloads_at_once=2)

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
                yield [{**item, FRAME: query.frame} for item in page]
            if found:
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read one page object; None without a file, a landing page or any statement of a licence."""
        item = fields(item)
        info = next(iter(rows(item.get("videoinfo")) or rows(item.get("imageinfo"))), {})
        url = web(info.get("url"))
        landing = web(info.get("descriptionurl")) or web(info.get("descriptionshorturl"))
        facts = {key: _value(entry) for key, entry in fields(info.get("extmetadata")).items()}
        licence = _licence(facts)
        if url is None or landing is None or licence is None or facts.get("NonFree"):
            return None
        file_name = unquote(PurePosixPath(urlsplit(url).path).name)
        name = (text(item.get("title")) or "").removeprefix("File:") or file_name
        kind = _kind(text(info.get("mediatype")), file_name if "." in file_name else name)
        media = rendition(kind, info, frame_of(item) or FULL_HD) if kind else None
        if kind is None or media is None:
            return None
        creator, creator_url = plain_text(facts.get("Artist"), self.base)
        creator = creator or text(info.get("user"))
        title = plain_text(facts.get("ObjectName"))[0] or name
        restrictions = facts.get("Restrictions", "")
        said = facts.get("License") or facts.get("LicenseShortName") or facts.get("LicenseUrl") or ""
        return Candidate(
            source=self.slug,
            foreign_id=ident(item.get("pageid")) or f"File:{name}",
            kind=kind,
            title=title,
            landing_url=landing,
            creator=creator,
            creator_url=creator_url,
            licence=licence,
            raw_licence=f"{said}; restrictions: {restrictions}" if restrictions else said,
            duration=decimal(info.get("duration")),
            tags=tuple(tag for tag in facts.get("Categories", "").split("|") if tag),
            attribution=_credit(facts, title, creator, licence, landing),
            description=plain_text(facts.get("ImageDescription"))[0] or "",
            preview_url=web(info.get("thumburl")) if kind != "audio" else None,
            restrictions=tuple(part for said in restrictions.split("|") if (part := said.strip().lower())),
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
            if data.get("warnings"):
                log.info("Wikimedia Commons warns", warnings=str(data["warnings"])[:300])
            found = fields(data.get("query")).get("pages")
            for page in rows(list(found.values()) if isinstance(found, dict) else found):
                key = ident(page.get("pageid")) or text(page.get("title"))
                pages[key] = {**pages.get(key, {}), **{k: v for k, v in page.items() if v not in (None, [])}}
            parts += 1
            going_on = fields(data.get("continue"))
            # formatversion 1 says "" where 2 says true
            if data.get("batchcomplete", False) is not False or not going_on or parts >= _BATCHES:
                yield sorted(pages.values(), key=lambda page: number(page.get("index")) or 0)
                pages, parts = {}, 0
            if not going_on:
                return


def _check(answer: Answer) -> None:
    """Raise for errors that come with status 200; inside the retry loop, so that maxlag is waited for."""
    data = json_object(answer, "Wikimedia Commons")
    error = next(iter(rows([data.get("error")]) + rows(data.get("errors"))), None)
    if error is None:
        if data.get("error") or data.get("errors"):
            raise Permanent(f"Wikimedia Commons: {answer.excerpt()}", code="source_error")
        return
    code = str(error.get("code", "unknown"))
    said = f"Wikimedia Commons: {code}: {error.get('info') or error.get('text') or ''}"[:300]
    if code.startswith(_WAIT):
        after = answer.headers.get("Retry-After", "")
        raise Retryable(said, retry_after=float(after) if after.isdigit() else 5.0, code="throttled")
    if code.startswith(_OPERATOR):
        raise Misconfigured(said)
    raise Permanent(said, code="source_error")


def _kind(media_type: str | None, name: str) -> Kind | None:
    """Tell a file's kind; Ogg is sound or film by its media type alone."""
    if media_type in (None, "UNKNOWN", "MULTIMEDIA"):
        return kind_of_name(name)
    return _KIND_OF.get(media_type or "")


def _value(entry: Any) -> str:
    """Return one extmetadata value as text; multilingual values give English or whatever comes first."""
    value = entry.get("value") if isinstance(entry, dict) else entry
    if isinstance(value, dict):
        value = value.get("en") or next((v for k, v in value.items() if not k.startswith("_")), "")
    return text(str(value)) or "" if isinstance(value, str | int | float) else ""


def _licence(facts: dict[str, str]) -> Licence | None:
    """Read the licence; None when nothing is stated, CUSTOM when what is stated cannot be read."""
    url, names = (
        facts.get("LicenseUrl"),
        [plain_text(facts.get(key))[0] for key in ("License", "LicenseShortName")],
    )
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


def _credit(facts: dict[str, str], title: str, creator: str | None, licence: Licence, landing: str) -> str:
    """Write the credit as Commons does; what the uploader asks for stands in place of title and author."""
    who = plain_text(facts.get("Attribution"))[0] or ", ".join(said for said in (title, creator) if said)
    deed = f" <{licence.url}>" if licence.url else ""
    return f"{who}, {licence.name}{deed}, via Wikimedia Commons <{landing}>"


ADAPTER = WikimediaCommons
