"""Plain text out of the HTML that some sources put into their fields."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.link: str | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href and self.link is None:
            self.link = href
        self._silent += tag in ("script", "style")
        self.parts.append(" " if tag in ("br", "div", "p", "li", "td") else "")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in ("script", "style")))

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:  # `<![no word it knows[`
            return self.parse_bogus_comment(i)


def plain_text(html: str | None, base: str = "") -> tuple[str | None, str | None]:
    """Return (text with blanks collapsed, target of the first link as an http URL); None where empty."""
    if not html:
        return None, None
    reader = _Text()
    reader.feed(html)
    reader.close()
    text = " ".join("".join(reader.parts).split()) or None
    return text, _absolute(reader.link, base) if reader.link else None


def _absolute(link: str, base: str) -> str | None:
    try:
        whole = urljoin(f"{base}/" if base else "https://", link)
        parts = urlsplit(whole)
    except ValueError:
        return None
    return whole if parts.scheme in ("http", "https") and parts.netloc else None
