"""Sources that a test makes up: classes of its own that the registry hands out like ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from core.errors import Retryable
from core.licences import UNKNOWN, parse_licence
from core.registry import SOURCES
from core.settings import get_settings
from scrapers.base import Candidate, Query, Source, SourceLimits
from tasks import wiring
from tests.loopback import Reply

CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"


class MadeUp(Source):
    """One page of `{"items": [...]}` at `/search`."""

    slug: ClassVar[str] = "made_up"
    kinds = ("image",)
    base_url: ClassVar[str] = "https://made-up.example"

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        params = {"q": " ".join(query.words), "kind": query.kind, "key": "hush-hush"}
        yield self.http.get_json(f"{self.base}/search", params=params, check=_check)["items"]

    def parse(self, item: Any) -> Candidate | None:
        licence = parse_licence(item.get("licence"))
        if licence.id == UNKNOWN:
            return None
        return Candidate(
            source=self.slug, foreign_id=str(item["id"]), kind=item.get("kind", "image"), title=item["title"],
            landing_url=f"{self.base}/{item['id']}", media_url=item["file"], creator=None, creator_url=None,
            licence=licence, raw_licence=item["licence"],
        )  # fmt: skip


def _check(answer):
    if b"busy" in answer.body:
        raise Retryable("busy", code="throttled", retry_after=answer.json()["busy"])


def items(*names: str, at: str = "http://127.0.0.1:9") -> bytes:
    listed = [{"id": n, "title": n, "file": f"{at}/{n}.png", "licence": CC0} for n in names]
    return json.dumps({"items": listed}).encode()


def answering(*names: str):
    """A server's answer to every search, with so many finds."""
    return lambda ask: Reply(body=items(*names))


class Registered:
    """`sources(slug, server, **facts)` makes one up and gives it the server's address."""

    def __init__(self, monkeypatch: Any) -> None:
        self._patch = monkeypatch

    def __call__(
        self, slug: str, url: str | None = None, *, limits: SourceLimits | None = None, **facts: Any
    ):
        facts |= {"slug": slug, "limits": limits or SourceLimits(cache_seconds=0)}
        made = type(slug.title(), (MadeUp,), facts)
        self._patch.setitem(SOURCES._load(), slug, made)
        if url is not None:
            self._patch.setenv(f"{slug.upper()}_URL", url)
        get_settings.cache_clear()
        wiring.http_client.cache_clear()
        return made
