"""Every site of the registry as a server plays it: what it answers when all is well, and how it says no."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.registry import SOURCES
from scrapers.base import Source
from scrapers.kinds import Kind
from tests.loopback import Ask, Reply
from tests.scrapers import test_freesound as freesound
from tests.scrapers import test_internet_archive as archive
from tests.scrapers import test_mixkit as mixkit
from tests.scrapers import test_openverse as openverse
from tests.scrapers import test_pexels as pexels
from tests.scrapers import test_pixabay as pixabay
from tests.scrapers import test_soundbible as soundbible
from tests.scrapers import test_unsplash as unsplash
from tests.scrapers import test_wikimedia_commons as commons
from tests.scrapers.makers import client, reply, settings

CONTACT = "films@callsheet.test"
HTML = Reply(200, b"<!doctype html><html><body>Checking your browser</body></html>", "text/html")


@dataclass(frozen=True)
class Site:
    """`item` is one raw item of a page; `stated` where each item states its licence itself.

    `throttled` are its own ways of saying "slow down" and the seconds they mean at least; `refused` are
    errors that it reports with status 200; `ended` are its answers to a page past the end.
    """

    well: Callable[[Ask], Reply]
    item: Any
    kind: Kind = "image"
    key: str = "the-key"
    path: str = ""
    stated: tuple[str, ...] = ()
    throttled: tuple[tuple[Reply, float], ...] = ()
    refused: tuple[Reply, ...] = ()
    ended: tuple[Reply, ...] = ()
    pages: bool = False
    """Its answers are web pages."""
    extra: dict[str, str] = field(default_factory=dict)


def _clips(ask: Ask) -> Reply:
    single = re.fullmatch(r"/free-stock-video/[a-z-]+-(\d+)/", ask.path)
    return mixkit.html(
        mixkit.clip_page(int(single[1])) if single else mixkit.grid(8080, heading="Free Rain Videos")
    )


def _sounds(ask: Ask) -> Reply:
    single = re.fullmatch(r"/(\d+)-.*\.html", ask.path)
    return soundbible.html(
        soundbible.newer(int(single[1])) if single else soundbible.listing("4711-Harbour-Bell.html")
    )


def _drf(text: str, status: int = 429) -> Reply:
    return reply({"detail": text}, status)


def _plain(status: int, text: str, **headers: str) -> Reply:
    return Reply(status, text.encode(), "text/plain", headers)


SITES: dict[str, Site] = {
    "openverse": Site(
        openverse.Fake(total=3), {**openverse.item(), "_kind": "image"},
        stated=("license", "license_version", "license_url"),
        throttled=((_drf("Request was throttled. Expected available in 3600 seconds."), 3600.0),),
        ended=(_drf("too deep", 401), _drf("too deep", 400), _drf("Invalid page.", 404)),
    ),
    "wikimedia_commons": Site(
        lambda ask: commons.answer(commons.page()), commons.page(),
        stated=("License", "LicenseShortName", "LicenseUrl"),
        throttled=(
            (Reply(429, b"<html>Too many requests", "text/html", {"Retry-After": "90"}), 90.0),
            (reply({"error": {"code": "maxlag", "info": "Waiting"}}, headers={"Retry-After": "40"}), 40.0),
        ),
        refused=(reply({"error": {"code": "badvalue", "info": "no"}}), reply({"errors": [{"code": "x"}]})),
    ),
    "internet_archive": Site(
        archive.Fake(archive.item()), archive.item(), kind="clip", stated=("licenseurl",),
        throttled=((Reply(503, b"slow down", "text/plain", {"Retry-After": "120"}), 120.0),),
        refused=(reply({"error": "query could not be parsed"}),),
    ),
    "pexels": Site(
        pexels.Site(total=3), pexels.photo(), key=pexels.KEY, path="/v1",
        throttled=((_plain(429, "Too Many Requests"), 0.0),),
        refused=(reply({"error": "down", "status": 500}),),
    ),
    "pixabay": Site(
        pixabay.Site(total=3), pixabay.image(), key=pixabay.KEY, path="/api",
        throttled=((_plain(429, "API rate limit exceeded", **{"X-RateLimit-Reset": "55"}), 55.0),),
        ended=(_plain(400, '[ERROR 400] "page" is out of valid range.'),),
    ),
    "unsplash": Site(
        unsplash.Site(total=3), unsplash.photo(), key=unsplash.KEY,
        throttled=((_plain(403, "Rate Limit Exceeded", **{"X-Ratelimit-Remaining": "0"}), 0.0),),
    ),
    "freesound": Site(
        freesound.Fake(total=3), freesound.sound(), kind="audio", stated=("license",),
        throttled=(
            (_drf("Request was throttled because of exceeding a request limit rate (60/minute)"), 60.0),
            (_drf("Request was throttled because of exceeding a request limit rate (2000/day)"), 3600.0),
        ),
        ended=(_drf("Not found", 404),),
    ),
    "mixkit": Site(
        _clips, {"url": "https://mixkit.co/free-stock-video/waves-8080/", "html": mixkit.clip_page()},
        kind="clip", pages=True, throttled=((Reply(403, b"no", "text/html"), 3600.0),),
    ),
    "soundbible": Site(
        _sounds, {"url": "https://soundbible.com/4711-Harbour-Bell.html", "html": soundbible.newer()},
        kind="audio", pages=True, throttled=((Reply(403, b"no", "text/html"), 3600.0),),
    ),
}  # fmt: skip
NETWORK = tuple(slug for slug, source in SOURCES.all().items() if source.needs_network)


def switch_on(monkeypatch: Any, slug: str) -> None:
    """Set what an operator sets to have this source on."""
    monkeypatch.setenv(f"{slug.upper()}_ENABLED", "true")
    if SOURCES.get(slug).needs_key:
        monkeypatch.setenv(f"{slug.upper()}_API_KEY", SITES[slug].key if slug in SITES else "the-key")


def opened(slug: str, *servers: Any, **kw: Any) -> Source:
    """The source as its unit tests open it, at the first server."""
    path = SITES[slug].path if slug in SITES else ""
    source: Source = SOURCES.get(slug)(
        client(*servers, contact=CONTACT, **kw), settings(contact=CONTACT), base_url=f"{servers[0].url}{path}"
    )
    return source


def always(answer: Reply) -> Callable[[Ask], Reply]:
    """Give this answer to everything but the question for robots.txt."""
    return lambda ask: Reply(404, b"", "text/plain") if ask.path == "/robots.txt" else answer


def playing(slug: str) -> Callable[[Ask], Reply]:
    def answer(ask: Ask) -> Reply:
        return Reply(404, b"", "text/plain") if ask.path == "/robots.txt" else SITES[slug].well(ask)

    return answer
