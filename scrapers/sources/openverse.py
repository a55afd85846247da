"""Openverse: an index of openly licensed images and sound held elsewhere.

What     https://api.openverse.org/v1/ (images, audio); read 2026-11
Access   anonymous (20 requests a minute, 200 a day) or OAuth2 client credentials (100, 10,000); at most 20
         (50) results a page and 240 in all, beyond which it answers 401 without a token, 400 with one
Licence  per item, in `license` + `license_version` + `license_url`; Openverse does not verify them
Files    held by third parties, and often smaller than what their author gave: 1024 pixels of flickr's, a
         preview of Freesound's
Units    `duration` in milliseconds, `bit_rate` in bit/s; nearly every field may be null
Errors   429 `Expected available in N seconds`, beside it `x-ratelimit-available-<limit>` (never a time); 401
         may mean an old token or too large a page
Terms    say that the product uses the Openverse API; no bulk copying
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import quote

import structlog

from core.answers import retry_after
from core.errors import Misconfigured, NotFound, Permanent, Rejected
from core.http import Answer, HttpClient
from core.licences import parse_licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source, SourceLimits
from scrapers.kinds import Kind
from scrapers.replies import json_object, throttled
from scrapers.values import decimal, fields, ident, number, rows, text, true, web

log = structlog.get_logger()

_REACHABLE = 240
_PAGE, _PAGE_WITH_TOKEN = 20, 48  # of at most 50: five of them are just what can be reached
_ASPECT = {"landscape": "wide", "portrait": "tall", "square": "square"}
_PATHS: dict[str, str] = {"image": "images", "audio": "audio"}
_TOKEN_MARGIN = 60.0
_SYNTAX = re.compile(r'["|*~()\\]|(?<!\S)[-+]')
_MIMES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "mp3": "audio/mpeg",
    "mp32": "audio/mpeg",  # what Jamendo calls its better ones
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "flac": "audio/flac",
}
# flickr's sizes have a letter of their own, the original has an o
_REDUCED = re.compile(r"freesound\.org/(?:data/)?previews/|staticflickr\.com/.*_(?:[a-np-z]|\dk)\.\w+$")


class Openverse(Source):
    slug: ClassVar[str] = "openverse"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "audio")
    base_url: ClassVar[str] = "https://api.openverse.org/v1"
    limits: ClassVar[SourceLimits] = SourceLimits(per_minute=20, per_day=200)

    def __init__(self, http: HttpClient, settings: Settings, *, base_url: str | None = None) -> None:
        super().__init__(http, settings, base_url=base_url)
        self._lock = Lock()
        self._token: tuple[str, float] | None = None

    @classmethod
    def limits_for(cls, settings: Settings) -> SourceLimits:
        if settings.openverse_client_id is None:
            return cls.limits
        return replace(cls.limits, per_minute=100, per_day=10_000)

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        if (settings.openverse_client_id is None) != (settings.openverse_client_secret is None):
            return "set OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET together, or neither"
        return super().enabled(settings)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        most = _PAGE_WITH_TOKEN if self.settings.openverse_client_id else _PAGE
        size = min(most, max(1, query.limit))
        params: dict[str, Any] = {
            "q": " ".join(_SYNTAX.sub(" ", " ".join(query.words)).split())[:200],
            "license_type": "commercial,modification",  # a comma means AND here: what editing needs
            "page_size": size,
        }
        if query.kind == "image" and query.orientation:
            params["aspect_ratio"] = _ASPECT[query.orientation]
        for page in range(1, _REACHABLE // size + 1):
            try:
                data = self._ask(f"/{_PATHS[query.kind]}/", {**params, "page": page})
            except (Permanent, Rejected):
                if page > 1:  # deeper than it lets us see, whatever status says so (401, 400, 404)
                    return
                raise
            if data.get("warnings"):
                log.warning("Openverse did not take a filter", warnings=str(data["warnings"])[:300])
            found = rows(data.get("results"))
            if not found:
                return
            yield [{**item, "_kind": query.kind} for item in found]
            if page >= (number(data.get("page_count")) or 0):
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read one result; None without file, landing page or any statement of a licence, or when mature.

        Its kind is `_kind` (image or audio), else told by its fields.
        """
        item = fields(item)
        kind: Kind = "audio" if _is_audio(item) else "image"
        url, landing, number_of = (
            web(item.get("url")),
            web(item.get("foreign_landing_url")),
            ident(item.get("id")),
        )
        code, version, deed = (text(item.get(key)) for key in ("license", "license_version", "license_url"))
        stated = " ".join(said for said in (code, version, deed) if said)
        if not url or not landing or not number_of or not (code or deed) or true(item.get("mature")):
            return None
        milliseconds = decimal(item.get("duration"))
        file = _best_audio(item, url) if kind == "audio" else item
        url = web(file.get("url")) or url
        return Candidate(
            source=self.slug,
            foreign_id=f"{kind}/{number_of}",
            kind=kind,
            title=text(item.get("title")) or "Untitled",
            landing_url=landing,
            media_url=url,
            creator=text(item.get("creator")),
            creator_url=web(item.get("creator_url")),
            licence=parse_licence(deed, code, version),
            raw_licence=stated,
            width=number(item.get("width")) if kind == "image" else None,
            height=number(item.get("height")) if kind == "image" else None,
            duration=milliseconds / 1000 if milliseconds and kind == "audio" else None,
            size=number(file.get("filesize")),
            mime=_MIMES.get((text(file.get("filetype")) or "").lower()),
            tags=tuple(name for tag in rows(item.get("tags")) if (name := text(tag.get("name")))),
            attribution=text(item.get("attribution")),
            preview_url=web(item.get("thumbnail")),
            is_preview=_REDUCED.search(url) is not None,
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return the item `<id>` (an image) or `image/<id>`, `audio/<id>`."""
        self.require_enabled()
        kind, _, ident = foreign_id.rpartition("/")
        kind = kind or "image"
        if kind not in _PATHS or not re.fullmatch(r"[0-9a-fA-F-]{8,40}", ident):
            raise NotFound(f"{foreign_id!r} is not an Openverse id")
        try:
            data = self._ask(f"/{_PATHS[kind]}/{quote(ident)}/", {})
        except Permanent as exc:
            if exc.code == "http_404":
                raise NotFound(f"Openverse has no {foreign_id}") from exc
            raise
        candidate = self.parse({**data, "_kind": kind})
        if candidate is None:
            raise NotFound(f"Openverse's {foreign_id} has no stated licence or no file")
        return candidate

    # -- asking -----------------------------------------------------------------------------------

    def _ask(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        token = self._bearer()
        answer = self._send(path, params, token)
        if answer.status == 401 and token:
            with self._lock:
                self._token = None
            answer = self._send(path, params, self._bearer())
        if answer.status == 401:
            raise _unauthorised(answer, with_token=bool(token))
        return json_object(answer, "Openverse")

    def _send(self, path: str, params: dict[str, Any], token: str | None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.get(
            f"{self.base}{path}", params=params, headers=headers, expect=(401, 429), check=_check
        )

    def _bearer(self) -> str | None:
        """Return a token, asking for one when none is held or it is about to end; None when anonymous."""
        ident, secret = self.settings.openverse_client_id, self.settings.openverse_client_secret
        if ident is None or secret is None:
            return None
        with self._lock:
            if self._token and time.monotonic() < self._token[1]:
                return self._token[0]
            form = {
                "grant_type": "client_credentials",
                "client_id": ident,
                "client_secret": secret.get_secret_value(),
            }
            try:
                answer = self.http.post(f"{self.base}/auth_tokens/token/", form=form, safe=True)
            except Rejected as exc:
                raise Misconfigured(f"Openverse refuses OPENVERSE_CLIENT_ID: {exc.message}") from exc
            data = json_object(answer, "Openverse")
            token, lasts = text(data.get("access_token")), decimal(data.get("expires_in")) or 0.0
            if not token:
                raise Misconfigured("Openverse gave no token for OPENVERSE_CLIENT_ID")
            self._token = (token, time.monotonic() + max(0.0, lasts - _TOKEN_MARGIN))
            return token


def _check(answer: Answer) -> None:
    """Say how long a 429 lasts: its text does, else which of the limits it names has run out."""
    if answer.status != 429:
        return
    wait = retry_after(answer)
    left = {
        name.lower(): value for name, value in answer.headers.items() if "ratelimit-available" in name.lower()
    }
    used_up = any(name.endswith("_sustained") and value.strip() == "0" for name, value in left.items())
    raise throttled(answer, wait if wait is not None else 86_400.0 if used_up else 60.0)


def _unauthorised(answer: Answer, *, with_token: bool) -> Permanent:
    """Sort out what a 401 means: without a token it is also the answer to too large or too deep a page."""
    if b"less than or equal" in answer.body:
        return Permanent(f"Openverse refuses the page: {answer.excerpt()}", code="page_refused")
    setting = "OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET" if with_token else "anonymous access"
    return Misconfigured(f"Openverse refuses {setting}: {answer.excerpt()}")


def _is_audio(item: dict[str, Any]) -> bool:
    said = text(item.get("_kind"))
    if said in _PATHS:
        return said == "audio"
    return any(key in item for key in ("bit_rate", "waveform", "audio_set", "duration"))


def _best_audio(item: dict[str, Any], url: str) -> dict[str, Any]:
    """Prefer the alternative file with the highest bit rate, where it beats the listed one."""
    others = [other for other in rows(item.get("alt_files")) if web(other.get("url"))]
    return max([{**item, "url": url}, *others], key=lambda file: number(file.get("bit_rate")) or 0)


ADAPTER = Openverse
