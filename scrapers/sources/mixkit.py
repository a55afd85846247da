"""Mixkit: clips and music, on web pages only.

What     https://mixkit.co (clips, music, sound effects) without an API; read 2026-11 from what others who
         read it wrote down, nothing of it confirmed by its owner
Access   no key; robots.txt is obeyed, one page in five seconds and a handful of items a day; a 403 or 429
         ends it for hours
Terms    forbid scripts that download in bulk, and building a stock of items. Sending the file that a person
         downloaded, with its page and licence, is the better way: see docs/licences.md
Licence  per item: clips are free or restricted (personal use), which only the clip's own page shows; music
         says it in its JSON-LD
Units    durations in ISO 8601; files are named after a height, and only those that a page offers exist
Errors   404 gone; 403 or 404 of a file: there is no such resolution
Traps    an unknown word gives a list of something else, which its heading tells; two grids of one page
         repeat clips
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag

from core.errors import NotFound
from core.licences import UNKNOWN, Licence, LicenceClass, parse_licence
from scrapers.base import Candidate, Query, SourceLimits
from scrapers.kinds import Kind
from scrapers.web_pages import PageSource, link, one_line, seconds_of, soup_of

_CLIPS = 3  # pages of clips read for one search
_SHORT_SIDE = 1080  # what a file has to cover
_CLIP_PAGE = re.compile(r"^/free-stock-video/([a-z0-9-]*?)-?(\d{1,9})/?$")
_TRACK = re.compile(r"/(music|sfx)/(\d{1,9})/")
_PIXELS = re.compile(r"(?<!\d)(\d{3,4})\s*[x\u00d7]\s*(\d{3,4})(?!\d)")
_HEIGHT = re.compile(r"-(\d{3,4})\.mp4$")
_SAID = re.compile(r"Mixkit[\w ]{0,40}?Licen[cs]e", re.IGNORECASE)


class Mixkit(PageSource):
    slug: ClassVar[str] = "mixkit"
    kinds: ClassVar[tuple[Kind, ...]] = ("clip", "audio")
    base_url: ClassVar[str] = "https://mixkit.co"
    limits: ClassVar[SourceLimits] = SourceLimits(
        per_minute=9,  # fewer than one in five seconds, so that never two go out at once
        per_day=15,
        downloads_at_once=1,
        cache_seconds=24 * 3600.0,
    )
    terms: ClassVar[str] = (
        "Mixkit has no API, and its terms forbid programs that download items in bulk or build a stock of "
        "them; they do not clearly allow fetching single ones. Better download by hand and upload the file "
        "with its page and licence."
    )
    stopping: ClassVar[tuple[int, ...]] = (429, 503)

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        words = [re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in query.words]
        words = [word for word in words if word]
        for slug in dict.fromkeys(["-".join(words), *words[:1]]):
            if query.kind == "audio":
                items: list[dict[str, Any]] = list(self._tracks(f"{self.base}/free-stock-music/tag/{slug}/"))
                if items:
                    yield items
                    return
                continue
            cards = self._clips(f"{self.base}/free-stock-video/{slug}/", slug)
            yield from self.items(cards[: min(_CLIPS, query.limit)])
            if cards:
                return

    def parse(self, item: Any) -> Candidate | None:
        """Read a clip's page (`url`, `html`) or a track's JSON-LD (`url`, `track`); None unlicensed."""
        url = item.get("url") if isinstance(item, dict) else None
        if not isinstance(url, str):
            return None
        track = item.get("track")
        return self._track(url, track) if isinstance(track, dict) else self._clip(url, item.get("html"))

    def get(self, foreign_id: str) -> Candidate:
        """Return the clip of the page `<name>-<id>`: an id alone makes no address there."""
        self.require_enabled()
        url = f"{self.base}/free-stock-video/{foreign_id.strip('/').removeprefix('free-stock-video/')}/"
        if not _CLIP_PAGE.match(urlsplit(url).path.removeprefix(urlsplit(self.base).path)):
            raise NotFound(f"{foreign_id!r} is not a clip's page of Mixkit: name it as `<name>-<id>`")
        candidate = self.parse({"url": url, "html": self.page(url)})
        if candidate is None:
            raise NotFound(f"Mixkit has no clip {foreign_id} with a licence and a file")
        return candidate

    # -- lists ------------------------------------------------------------------------------------

    def _clips(self, url: str, slug: str) -> list[str]:
        """List the pages of the clips on a list, each once; none where the list is of something else."""
        soup = soup_of(self.page(url))
        heading = soup.find("h1") if soup else None
        if soup is None or (heading and not set(slug.split("-")) & _words(heading.get_text())):
            return []
        found: dict[str, str] = {}
        for card in soup.select("[data-item-grid--video-player-item-id-value]"):
            anchor = card.select_one("a.item-grid-video-player__overlay-link[href], a[href]")
            ident = str(card["data-item-grid--video-player-item-id-value"])
            href = link(url, anchor.get("href")) if anchor else None
            if href and urlsplit(href).netloc == urlsplit(self.base).netloc and _id_of(href) == ident:
                found.setdefault(ident, href)
        return list(found.values())

    def _tracks(self, url: str) -> Iterator[dict[str, Any]]:
        soup = soup_of(self.page(url))
        if soup is not None:
            for thing in _linked_data(soup, "MusicRecording"):
                yield {"url": url, "track": thing}

    # -- items ------------------------------------------------------------------------------------

    def _track(self, page: str, track: dict[str, Any]) -> Candidate | None:
        url, said, name = (track.get(key) for key in ("url", "copyrightNotice", "name"))
        media = link(page, url)
        found = _TRACK.search(urlsplit(media).path) if media else None
        if not media or found is None or not isinstance(said, str) or not said.strip():
            return None
        artist = track.get("byArtist")
        artist = artist[0] if isinstance(artist, list) and artist else artist
        by = artist.get("name") if isinstance(artist, dict) else artist
        genres = track.get("genre")
        tags = genres if isinstance(genres, list) else [genres]
        return Candidate(
            source=self.slug,
            foreign_id=f"{found[1]}/{found[2]}",
            kind="audio",
            title=one_line(name if isinstance(name, str) else None) or f"Mixkit {found[1]} {found[2]}",
            landing_url=link(page, track.get("@id")) or page,
            media_url=media,
            creator=one_line(by if isinstance(by, str) else None) or None,
            creator_url=None,
            licence=parse_licence(name=said),
            raw_licence=one_line(said),
            duration=seconds_of(track.get("duration")),
            tags=tuple(one_line(tag) for tag in tags if isinstance(tag, str) and tag.strip()),
        )

    def _clip(self, url: str, html: Any) -> Candidate | None:
        soup, ident = soup_of(html), _id_of(url)
        licence = _licence(soup, url) if soup and ident else None
        if soup is None or licence is None:
            return None
        media = _rendition(soup, url, ident)
        if media is None:
            return None
        about = next(_linked_data(soup, "VideoObject"), {})
        heading = soup.find("h1")
        title = one_line(heading.get_text()) if heading else one_line(_meta(soup, "og:title"))
        return Candidate(
            source=self.slug,
            foreign_id=f"video/{ident}",
            kind="clip",
            title=title or f"Mixkit video {ident}",
            landing_url=url,
            creator=None,
            creator_url=None,
            licence=licence[0],
            raw_licence=licence[1],
            duration=seconds_of(about.get("duration")),
            mime="video/mp4",
            tags=tuple(word.strip() for word in _meta(soup, "keywords").split(",") if word.strip())[:30],
            description=one_line(_meta(soup, "description"))[:500],
            preview_url=link(url, _meta(soup, "og:image") or None),
            **media,
        )


def _id_of(url: str) -> str:
    try:
        found = _CLIP_PAGE.search(urlsplit(url).path)
    except ValueError:
        return ""
    return found[2] if found else ""


def _words(text: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", text.lower())) - {""}


def _meta(soup: BeautifulSoup, name: str) -> str:
    meta = soup.find("meta", attrs={"property" if ":" in name else "name": name})
    content = meta.get("content") if isinstance(meta, Tag) else None
    return content if isinstance(content, str) else ""


def _linked_data(soup: BeautifulSoup, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the things of one type that a page's JSON-LD holds, however deep, in its order."""
    for script in soup.select('script[type="application/ld+json"]'):
        try:
            waiting = [json.loads(script.string or "")]
        except (ValueError, RecursionError):
            continue
        while waiting:
            thing = waiting.pop(0)
            if isinstance(thing, list):
                waiting = [*thing, *waiting]
            elif isinstance(thing, dict):
                kinds = thing.get("@type")
                if kind in (kinds if isinstance(kinds, list) else [kinds]):
                    yield thing
                waiting = [*(one for one in thing.values() if isinstance(one, dict | list)), *waiting]


def _licence(soup: BeautifulSoup, url: str) -> tuple[Licence, str] | None:
    """Read the licence that a clip's page shows, and its words; of several the strictest.

    What every page links to in its header and footer says nothing of this clip.
    """
    said: dict[str, Licence] = {}
    for text in soup.find_all(string=_SAID):
        if text.find_parent(["header", "footer", "nav", "script", "style", "title"]) is None:
            for name in _SAID.findall(str(text)):
                said[one_line(name)] = parse_licence(name=one_line(name))
    for anchor in soup.select("main a[href], body a[href], [data-download--modal-url-value]"):
        href = link(url, anchor.get("data-download--modal-url-value") or anchor.get("href"))
        if href and anchor.find_parent(["header", "footer", "nav"]) is None:
            licence = parse_licence(href)
            if licence.id != UNKNOWN:
                said[href] = licence
    if not said:
        return None
    order = list(LicenceClass)
    words = max(said, key=lambda one: order.index(said[one].licence_class))
    return said[words], words


def _rendition(soup: BeautifulSoup, url: str, ident: str) -> dict[str, Any] | None:
    """Choose the smallest file offered that covers the frame, else the largest; none is guessed."""
    offered: list[tuple[int, dict[str, Any]]] = []
    for option in soup.select('input[name="download-option"]'):
        value = str(option.get("value") or "")
        media = link(url, value) if value.lower().endswith(".mp4") else None
        if media is None or not _is_of(media, ident):
            continue
        pixels = _PIXELS.search(str(option.get("data-label") or "")) or _pixels_beside(option)
        named = _HEIGHT.search(urlsplit(media).path)
        size = {"width": int(pixels[1]), "height": int(pixels[2])} if pixels else {}
        short = min(size.values()) if size else int(named[1]) if named else 0
        offered.append((short, {"media_url": media, **size}))
    covering = [one for one in offered if one[0] >= _SHORT_SIDE]
    if offered:
        best = min(covering, key=lambda one: one[0]) if covering else max(offered, key=lambda one: one[0])
        return best[1]
    player = soup.select_one("main video[src], main video source[src], video[src], video source[src]")
    shown = link(url, player.get("src")) if player else None
    if shown and _is_of(shown, ident):
        return {"media_url": shown, "is_preview": True}
    return None


def _is_of(media: str, ident: str) -> bool:
    return ident in re.split(r"[/.-]", urlsplit(media).path)


def _pixels_beside(option: Tag) -> re.Match[str] | None:
    """Find the resolution that stands in an option's own label, not in that of another."""
    around: Tag | None = option
    for _ in range(3):
        around = around.parent if around else None
        if around is None or len(around.select('input[name="download-option"]')) > 1:
            return None
        if found := _PIXELS.search(around.get_text(" ")):
            return found
    return None


ADAPTER = Mixkit
