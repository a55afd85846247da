"""Openverse: an index of openly licensed images and sound held elsewhere.

What     https://api.openverse.org/v1/ (images, audio); read 2026-11
Access   anonymous (20 requests a minute, 200 a day) or OAuth2 client credentials (100 a minute); at most
         20 (50) results a page and 240 in all, beyond which it answers 401 without a token, 400 with one
Licence  per item, in `license` + `license_version` + `license_url`; Openverse does not verify them
Units    `duration` in milliseconds, `bit_rate` in bit/s; nearly every field may be null
Errors   429 `Expected available in N seconds`; 401 may mean an old token or too large a page
Terms    say that the product uses the Openverse API; no bulk copying
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import quote

from core.errors import Misconfigured, NotFound, Permanent, Rejected
from core.http import Answer, HttpClient
from core.licences import UNKNOWN, parse_licence
from core.settings import Settings
from scrapers.base import Candidate, Query, Source
from scrapers.kinds import Kind

_REACHABLE = 240
_ASPECT = {"landscape": "wide", "portrait": "tall", "square": "square"}
_PATHS: dict[str, str] = {"image": "images", "audio": "audio"}
_TOKEN_MARGIN = 60.0


class Openverse(Source):
    slug: ClassVar[str] = "openverse"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "audio")
    base_url: ClassVar[str] = "https://api.openverse.org/v1"

    def __init__(self, http: HttpClient, settings: Settings, *, base_url: str | None = None) -> None:
        super().__init__(http, settings, base_url=base_url)
        self._lock = Lock()
        self._token: tuple[str, float] | None = None

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        if (settings.openverse_client_id is None) != (settings.openverse_client_secret is None):
            return "set OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET together, or neither"
        return super().enabled(settings)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        size = min(50 if self.settings.openverse_client_id else 20, max(1, query.limit))
        params: dict[str, Any] = {
            "q": " ".join(query.words)[:200],
            "license_type": "commercial,modification",  # a comma means AND here: what editing needs
            "page_size": size,
        }
        if query.kind == "image" and query.orientation:
            params["aspect_ratio"] = _ASPECT[query.orientation]
        for page in range(1, _REACHABLE // size + 1):
            data = _object(self._ask(f"/{_PATHS[query.kind]}/", {**params, "page": page}))
            results = data.get("results")
            if not isinstance(results, list) or not results:
                return
            yield [{**item, "_kind": query.kind} for item in results if isinstance(item, dict)]
            if page >= int(data.get("page_count") or 0):
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read one result (with `_kind` = image or audio); None without file, landing page or licence."""
        kind: Kind = "audio" if item.get("_kind") == "audio" else "image"
        url, landing, ident = (_text(item.get(key)) for key in ("url", "foreign_landing_url", "id"))
        code, version = _text(item.get("license")), _text(item.get("license_version"))
        licence = parse_licence(_text(item.get("license_url")), code, version)
        unreadable = licence.id == UNKNOWN
        if not url or not landing or not ident or not code or unreadable or item.get("mature") is True:
            return None
        size, mime = _number(item.get("filesize")), None
        if kind == "audio":
            url, size = _best_audio(item, url, size)
        if suffix := _text(item.get("filetype")):
            mime = f"{kind}/{'jpeg' if suffix == 'jpg' else suffix}"
        milliseconds = _number(item.get("duration"))
        return Candidate(
            source=self.slug,
            foreign_id=f"{kind}/{ident}",
            kind=kind,
            title=_text(item.get("title")) or "Untitled",
            landing_url=landing,
            media_url=url,
            creator=_text(item.get("creator")),
            creator_url=_text(item.get("creator_url")),
            licence=licence,
            raw_licence=f"{code} {version or ''}".strip(),
            width=_number(item.get("width")),
            height=_number(item.get("height")),
            duration=milliseconds / 1000 if milliseconds else None,
            size=size,
            mime=mime,
            tags=tuple(t["name"] for t in item.get("tags") or () if isinstance(t, dict) and t.get("name")),
            attribution=_text(item.get("attribution")),
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
        candidate = self.parse({**_object(data), "_kind": kind})
        if candidate is None:
            raise NotFound(f"Openverse's {foreign_id} has no readable licence or no file")
        return candidate

    # -- asking -----------------------------------------------------------------------------------

    def _ask(self, path: str, params: dict[str, Any]) -> Any:
        token = self._bearer()
        answer = self._send(path, params, token)
        if answer.status == 401 and token:
            with self._lock:
                self._token = None
            answer = self._send(path, params, self._bearer())
        if answer.status == 401:
            raise _unauthorised(answer, with_token=bool(token))
        return answer.json()

    def _send(self, path: str, params: dict[str, Any], token: str | None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.get(f"{self.base}{path}", params=params, headers=headers, expect=(401,))

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
            data = _object(answer.json())
            token, lasts = _text(data.get("access_token")), float(data.get("expires_in") or 0)
            if not token:
                raise Misconfigured("Openverse gave no token for OPENVERSE_CLIENT_ID")
            self._token = (token, time.monotonic() + max(0.0, lasts - _TOKEN_MARGIN))
            return token


def _unauthorised(answer: Answer, *, with_token: bool) -> Permanent:
    """Sort out what a 401 means: without a token it is also the answer to too large or too deep a page."""
    if b"less than or equal" in answer.body:
        return Permanent(f"Openverse refuses the page: {answer.excerpt()}", code="page_refused")
    setting = "OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET" if with_token else "anonymous access"
    return Misconfigured(f"Openverse refuses {setting}: {answer.excerpt()}")


def _best_audio(item: dict[str, Any], url: str, size: int | None) -> tuple[str, int | None]:
    """Prefer the alternative file with the highest bit rate, where it beats the listed one."""
    best, rate = (url, size), _number(item.get("bit_rate")) or 0
    for other in item.get("alt_files") or ():
        if (
            isinstance(other, dict)
            and _text(other.get("url"))
            and (_number(other.get("bit_rate")) or 0) > rate
        ):
            rate = _number(other["bit_rate"]) or 0
            best = (other["url"], _number(other.get("filesize")))
    return best


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Permanent("Openverse answered with JSON of another shape than documented", code="not_json")
    return data


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


ADAPTER = Openverse
