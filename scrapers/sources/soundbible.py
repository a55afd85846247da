"""SoundBible: sound effects, on web pages only.

What     https://soundbible.com (sound), an old site without an API; read 2026-11 from what others who read
         it wrote down, nothing of it confirmed by its owner
Access   no key; robots.txt is obeyed, one page in five seconds, pages are kept for a week, and a 403, 429
         or 503 ends it for hours
Licence  on the page of each sound, after `License:`, as text (`Attribution 3.0`, `Public Domain`); without a
         readable one there is nothing
Units    `Uploaded: MM.DD.YY`, `File Size: 163 KB`; the numbers in links to /mp3/ are no ids
Traps    the markup changed at least once, so facts are read after their labels and never by class names;
         a page shows other sounds as well, whose labels are not the sound's
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.element import Comment, NavigableString, PreformattedString

from core.errors import NotFound
from core.licence_words import plain_name, read_name
from core.licences import UNKNOWN, Licence, parse_licence
from scrapers.base import Candidate, Query, SourceLimits
from scrapers.kinds import Kind
from scrapers.web_pages import PageSource, link, one_line, seconds_of, soup_of

_SOUNDS = 4  # pages of sounds read for one search: at one in five seconds each is waited for
_PAGE = re.compile(r"^(\d{1,9})-([^/]+)\.html$")
_LABEL = re.compile(
    r"\b(?:(title|about|uploaded|licen[cs]e|file size|downloads)\s*:|(recorded by)\b\s*:?)", re.IGNORECASE
)
_NEXT_SOUND = "\f"  # where the page turns to something else
_NOT_OF_THE_SOUND = ("script", "style", "title", "noscript", "nav", "header", "footer")
_MIMES = {"wav": "audio/wav", "mp3": "audio/mpeg"}


class SoundBible(PageSource):
    slug: ClassVar[str] = "soundbible"
    kinds: ClassVar[tuple[Kind, ...]] = ("audio",)
    base_url: ClassVar[str] = "https://soundbible.com"
    limits: ClassVar[SourceLimits] = SourceLimits(
        per_minute=9,  # fewer than one in five seconds, so that never two go out at once
        downloads_at_once=1,
        cache_seconds=7 * 24 * 3600.0,
    )
    terms: ClassVar[str] = (
        "SoundBible has no API: its web pages would be read by a program, at most one in five seconds and as "
        "far as its robots.txt allows, and its terms could not be checked."
    )

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:
        html = self.page(f"{self.base}/search.php", {"q": " ".join(query.words)[:200]})
        yield from self.items(self._sounds(html or "")[: min(_SOUNDS, query.limit)])

    def parse(self, item: Any) -> Candidate | None:
        """Read one page of a sound (`url`, `html`); None without an id, a stated licence or a file."""
        url = item.get("url") if isinstance(item, dict) else None
        soup = soup_of(item.get("html")) if isinstance(url, str) else None
        if soup is None or not isinstance(url, str):
            return None
        for rest in soup.find_all(_NOT_OF_THE_SOUND):
            rest.extract()
        named = _name_of(url)
        facts = _facts(soup)
        said, media = facts.get("license"), _file(soup, url, named[0]) if named else None
        if named is None or not said or media is None:
            return None
        licence = _licence(soup, said)
        title = facts.get("title") or _heading(soup) or named[1].replace("-", " ")
        author = facts.get("recorded by") or None
        by = f" recorded by {author}" if author else ""
        clock = soup.select_one(".total-time")
        return Candidate(
            source=self.slug,
            foreign_id=named[0],
            kind="audio",
            title=title,
            landing_url=url,
            creator=author,
            creator_url=None,
            licence=licence,
            raw_licence=said,
            duration=seconds_of(clock.get_text()) if clock else None,
            tags=_keywords(soup),
            attribution=f'"{title}"{by} (SoundBible.com), {licence.name}',
            description=facts.get("about", ""),
            popularity=_count(facts.get("downloads")),
            **media,
        )

    def get(self, foreign_id: str) -> Candidate:
        """Return the sound of the page `<id>-<Name>`: an id alone makes no address there."""
        self.require_enabled()
        name = foreign_id.removesuffix(".html")
        if not _PAGE.match(f"{name}.html"):
            raise NotFound(f"{foreign_id!r} is not a page of SoundBible: name it as `<id>-<Name>`")
        url = f"{self.base}/{name}.html"
        candidate = self.parse({"url": url, "html": self.page(url)})
        if candidate is None:
            raise NotFound(f"SoundBible has no sound {foreign_id} with a licence and a file")
        return candidate

    def _sounds(self, html: str) -> list[str]:
        """List the pages that a list links to, in its order, each once."""
        soup = soup_of(html)
        if soup is None:
            return []
        anchors = soup.select("h3 > a[href]") or soup.select("a[href]")
        urls: dict[str, str] = {}
        for anchor in anchors:
            url = link(f"{self.base}/", anchor.get("href"))
            named = _name_of(url) if url else None
            if url and named and urlsplit(url).netloc == urlsplit(self.base).netloc:
                urls.setdefault(named[0], url)
        return list(urls.values())


def _name_of(url: str) -> tuple[str, str] | None:
    """Return (id, name) of a sound's page."""
    try:
        found = _PAGE.match(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return None
    return (found[1], found[2]) if found else None


def _facts(soup: BeautifulSoup) -> dict[str, str]:
    """Read what stands after each label, in the first part of the page that tells of a sound."""
    for part in _visible(soup).split(_NEXT_SOUND):
        facts = _labelled(part)
        if len(facts) > 1:
            return facts
    return {}


def _labelled(text: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    labels: list[re.Match[str]] = []
    for label in _LABEL.finditer(text):
        in_prose = label[2] and labels and (labels[-1][1] or "").lower() in ("about", "title")
        if not in_prose or text[: label.start()].rstrip(" ")[-1:] in ("\n", "|"):
            labels.append(label)
    for label, end in zip(labels, [*(after.start() for after in labels[1:]), len(text)], strict=False):
        name = (label[1] or label[2]).lower().replace("licence", "license")
        if name in facts:
            break  # another sound begins
        facts[name] = one_line(re.split(r"[|\n]", text[label.end() : end].strip(" \n|:"), maxsplit=1)[0])[
            :500
        ]
    return facts


def _visible(soup: BeautifulSoup) -> str:
    """Return what a reader sees, with line ends between blocks and a mark before each heading."""
    parts: list[str] = []
    for node in soup.descendants:
        if isinstance(node, Tag):
            if node.name in ("h1", "h2", "h3", "h4", "aside"):
                parts.append("\n" if _LABEL.match(one_line(node.get_text())) else _NEXT_SOUND)
            elif node.name in ("p", "div", "br", "li", "tr", "td", "th", "dt", "dd", "table", "section"):
                parts.append("\n")
        elif isinstance(node, NavigableString) and not isinstance(node, Comment | PreformattedString):
            parts.append(f"{one_line(str(node))} ")
    return "".join(parts)


def _licence(soup: BeautifulSoup, said: str) -> Licence:
    """Read the licence's name, and its deed where the page links to one beside the label."""
    by_name = parse_licence(name=said, trusted=True)
    for label in soup.find_all(string=re.compile(r"licen[cs]e\s*:", re.IGNORECASE)):
        around = label.parent
        for _ in range(2):
            deed = around.select_one('a[href*="creativecommons.org"]') if around else None
            if deed is not None and (by_name.id != UNKNOWN or read_name(plain_name(said))):
                return parse_licence(str(deed["href"]), said, trusted=True)
            around = around.parent if around else None
        break
    return by_name


def _file(soup: BeautifulSoup, url: str, ident: str) -> dict[str, Any] | None:
    """Choose the download of this very sound: `media_url`, `mime`; WAV before MP3, a player's file last."""
    offered: dict[str, str] = {}
    for anchor in soup.select('a[href*="grab.php"]'):
        href = link(url, anchor.get("href"))
        asked = parse_qs(urlsplit(href).query) if href else {}
        kind = (asked.get("type") or [""])[-1].lower()
        if href and asked.get("id") == [ident] and kind in _MIMES:
            offered.setdefault(kind, href)
    for kind, mime in _MIMES.items():
        if kind in offered:
            return {"media_url": offered[kind], "mime": mime}
    player = soup.select_one("audio source[src], audio[src], [data-source]")
    heard = link(url, player.get("src") or player.get("data-source")) if player else None
    kind = heard.rpartition(".")[2].lower() if heard else ""
    if heard and kind in _MIMES:
        return {"media_url": heard, "mime": _MIMES[kind], "is_preview": True}
    return None


def _heading(soup: BeautifulSoup) -> str | None:
    heading = soup.find(["h1", "h2"])
    return one_line(heading.get_text()) or None if heading else None


def _keywords(soup: BeautifulSoup) -> tuple[str, ...]:
    meta = soup.find("meta", attrs={"name": "keywords"})
    said = meta.get("content") if isinstance(meta, Tag) else None
    words = said.split(",") if isinstance(said, str) else []
    return tuple(dict.fromkeys(one_line(word) for word in words if word.strip()))[:30]


def _count(said: str | None) -> int | None:
    digits = re.match(r"[0-9][0-9,.]{0,14}", said or "")
    return int(re.sub(r"[,.]", "", digits[0])) if digits else None


ADAPTER = SoundBible
