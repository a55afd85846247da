"""What sources without an API share: pages read as HTML, politely.

`robots.txt` is read before a host is asked for anything, and obeyed; a host that refuses or is throttled
is left alone for hours. Pages are read by their text and structure with Beautiful Soup, never by patterns
over tags.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import unquote, urlencode, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from bs4 import BeautifulSoup
from bs4.dammit import UnicodeDammit
from bs4.exceptions import ParserRejectedMarkup

from core.errors import Misconfigured, Permanent, Retryable
from core.http import PRODUCT, Answer
from scrapers.base import Candidate, Source

REST_SECONDS = 6 * 3600.0
"""How long a site that said 403 or 429 is left alone."""
SHORTEST_PAUSE = 5.0
"""Seconds between two pages that the limits of these sources keep."""
_ROBOTS_SECONDS = 24 * 3600.0  # RFC 9309, 2.4: a copy may be used for a day
_ROBOTS_LENGTH = 500 << 10  # RFC 9309, 2.5
_PAGE_LENGTH = 2 << 20
_STOP = (401, 403, 429, 503)
_DURATION = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.IGNORECASE)
_files: dict[str, tuple[float, str]] = {}
_lock = Lock()


class PageSource(Source):
    """A source whose answers are web pages."""

    stopping: ClassVar[tuple[int, ...]] = _STOP
    """Statuses of a download that mean that the site wants to be left alone; 403 elsewhere: no such file."""

    def page(self, url: str, params: Mapping[str, Any] | None = None) -> str | None:
        """Read a page that robots.txt allows; None where there is none (404, 410)."""
        self.may_ask(f"{url}?{urlencode(params)}" if params else url)
        answer = self.http.get(url, params=params, expect=(*_STOP, 404, 410), check=self._rest_when_refused)
        if answer.status in (404, 410):
            return None
        charset = re.search(r"charset=[\"']?([\w-]+)", answer.headers.get("Content-Type", ""))
        known = [charset[1]] if charset else []
        text = UnicodeDammit(answer.body, known_definite_encodings=known).unicode_markup
        if not isinstance(text, str) or "<" not in text:
            raise Permanent(f"{self.slug} answered with something that is no web page", code="not_html")
        return text

    def items(self, urls: Iterable[str]) -> Iterator[list[dict[str, str]]]:
        """Yield the pages at `urls` as raw items, one at a time.

        A search has less time than many pages take: when it is up, what was read is the answer.
        """
        read = 0
        for url in urls:
            try:
                html = self.page(url)
            except Retryable as exc:
                if read and exc.code in ("too_slow", "throttled") and (exc.retry_after or 0) < REST_SECONDS:
                    return
                raise
            if html:
                read += 1
                yield [{"url": url, "html": html}]

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        self.require_enabled()
        self.may_ask(candidate.media_url)
        try:
            super().fetch(candidate, out, max_bytes)
        except Misconfigured as exc:
            if exc.code in {f"http_{status}" for status in self.stopping}:
                raise self._resting(exc.message) from None
            raise Permanent(exc.message, code="gone") from None
        except Retryable as exc:
            if exc.code == "throttled":
                raise self._resting(exc.message) from None
            raise

    def may_ask(self, url: str) -> None:
        """Raise Permanent when its host's robots.txt forbids the URL, Retryable when that cannot be read."""
        parts = urlsplit(url)
        rules = read_rules(self._robots(f"{parts.scheme}://{parts.netloc}"), parts.path, parts.query)
        if not rules.can_fetch(PRODUCT, _path(parts.path, parts.query)):
            raise Permanent(f"{self.slug}: robots.txt of {parts.netloc} forbids {parts.path}", code="robots")
        delay = float(rules.crawl_delay(PRODUCT) or 0)
        if delay > SHORTEST_PAUSE:
            raise Permanent(
                f"{self.slug}: robots.txt of {parts.netloc} asks for {delay:g} s between pages, more than "
                f"the {SHORTEST_PAUSE:g} s that are kept here",
                code="robots",
            )

    def _robots(self, origin: str) -> str:
        with _lock:
            kept = _files.get(origin)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        # 5xx and silence are raised: whose rules cannot be read is not asked (RFC 9309, 2.3.1.4)
        answer = self.http.get(
            f"{origin}/robots.txt",
            expect=(*range(400, 500), 503),
            check=self._rest_when_refused,
            fresh=True,
        )
        text = "" if answer.status >= 400 else answer.body[:_ROBOTS_LENGTH].decode("utf-8", "replace")
        with _lock:
            _files[origin] = (time.monotonic() + _ROBOTS_SECONDS, text)
        return text

    def _rest_when_refused(self, answer: Answer) -> None:
        if answer.status in _STOP:
            raise self._resting(f"{urlsplit(answer.url).netloc} answered {answer.status}")

    def _resting(self, why: str) -> Retryable:
        return Retryable(
            f"{self.slug}: {why}; it is left alone for {REST_SECONDS / 3600:g} hours",
            retry_after=REST_SECONDS,
            code="throttled",
        )


def read_rules(text: str, path: str, query: str = "") -> RobotFileParser:
    """Read a robots.txt as far as it is about one path.

    The standard library's reader takes the first rule that fits and knows no `*` and `$`; RFC 9309 takes
    the longest, and allows on a tie. So each group's rules are weighed here, and it gets the one that wins.
    """
    asked = _path(path, query)
    lines: list[str] = []
    group: list[tuple[int, bool]] | None = None
    for line in [*text.removeprefix("\ufeff").splitlines(), "user-agent:"]:
        name, _, value = line.partition("#")[0].partition(":")
        name, value = name.strip().lower(), value.strip()
        if name in ("allow", "disallow"):
            group = group or []
            if value and _fits(value, asked):
                group.append((len(value), name == "allow"))
        elif name:
            if name == "user-agent" and group is not None:
                lines.append("disallow:" if not group else _verdict(max(group), asked))
                group = None
            lines.append(f"{name}: {value}")
    rules = RobotFileParser()
    rules.parse(lines)
    return rules


def _verdict(best: tuple[int, bool], asked: str) -> str:
    return f"{'allow' if best[1] else 'disallow'}: {asked}"


def _path(path: str, query: str) -> str:
    return (path or "/") + (f"?{query}" if query else "")


def _fits(rule: str, asked: str) -> bool:
    ends = rule.endswith("$")
    pattern = ".*".join(re.escape(unquote(part)) for part in rule.removesuffix("$").split("*"))
    return re.match(f"{pattern}{'$' if ends else ''}", unquote(asked)) is not None


# -- reading ------------------------------------------------------------------------------------


def soup_of(html: Any) -> BeautifulSoup | None:
    """Read a page; None for what is no HTML text or not worth the time it takes."""
    if not isinstance(html, str) or "<" not in html:
        return None
    try:
        return BeautifulSoup(html[:_PAGE_LENGTH], "html.parser")
    except (ParserRejectedMarkup, RecursionError):
        return None


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def link(base: str, href: Any) -> str | None:
    """Make a link of a page absolute; None unless it leads to http or https."""
    if not isinstance(href, str) or not href.strip():
        return None
    try:
        whole = urljoin(base, href.strip())
        parts = urlsplit(whole)
    except ValueError:
        return None
    return whole if parts.scheme in ("http", "https") and parts.hostname else None


def seconds_of(text: Any) -> float | None:
    """Read a duration: ISO 8601 (`PT2M5S`) or a clock (`2:05`)."""
    said = one_line(text) if isinstance(text, str) else ""
    if re.fullmatch(r"\d{1,3}(?::\d{2}){1,2}(?:\.\d+)?", said):
        total = 0.0
        for part in said.split(":"):
            total = total * 60 + float(part)
        return total or None
    found = _DURATION.fullmatch(said)
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (float(group or 0) for group in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds or None
