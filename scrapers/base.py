"""What every source offers. Adding a source = adding one file with a `Source` subclass named `ADAPTER`.

A source answers three questions: which pages has a query (`pages`), what is one item of a page (`parse`,
pure, None = not usable), and where are its bytes (`fetch`). Everything else is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.http import HttpClient
from core.licences import Licence, credit_line
from core.settings import Settings
from scrapers.kinds import KINDS_OF, Kind, sniff

Orientation = Literal["landscape", "portrait", "square"]

_COMMONS_FILE = re.compile(
    r"^https?://upload\.wikimedia\.org/wikipedia/commons/(?:(?:thumb|transcoded)/)?[0-9a-f]/[0-9a-f]{2}/([^/?#]+)"
)
# What stands before the number in these addresses may be a name or an id of the same person.
_BY_NUMBER = (
    (re.compile(r"freesound\.org/(?:people/[^/]+/sounds|s)/(\d+)"), "freesound.org/s/{}"),
    (re.compile(r"flickr\.com/photos/[^/]+/(\d+)"), "flickr.com/photos/-/{}"),
)
_MAX_PAGES = 12  # 240 results at 20 a page: the most any source lets us see


@dataclass(frozen=True)
class Query:
    """`min_duration` in seconds; `orientation` ranks, it never excludes: a picture can be cropped.

    `width` and `height` are of the frame that what is found will fill, where that is known.
    """

    words: tuple[str, ...]
    kind: Kind = "image"
    orientation: Orientation | None = None
    limit: int = 20
    min_duration: float | None = None
    width: int | None = None
    height: int | None = None

    @property
    def frame(self) -> tuple[int, int] | None:
        return (self.width, self.height) if self.width and self.height else None


@dataclass(frozen=True)
class Candidate:
    """A found item, not yet kept. `duration` in seconds, `size` in bytes.

    `sha1` and `md5` are those of exactly `media_url`.
    `width`, `height` and `fps` are of `media_url`, not of a larger original. `preview_url` is a small picture
    of it for people and for look-alikes; `is_preview` says that the file itself is less than what its author
    gave. `popularity` is what the source counts (downloads, views, likes), comparable within it only.
    `restrictions` is what else is said of using it (`personality`, `trademarked`, `platforms:youtube`).
    `use_url` is to be called when it is used, where a source asks for that. `expires_at` (seconds since the
    epoch) is set where `media_url` is a link that ends: it is never kept as an asset's address.
    `media_url` is http(s), a file path of a local source, or `ambient:<mood>` where `generated` names the
    mood: such sound is made by the media craft and never fetched.
    """

    source: str
    foreign_id: str
    kind: Kind
    title: str
    landing_url: str | None
    media_url: str
    creator: str | None
    creator_url: str | None
    licence: Licence
    raw_licence: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    size: int | None = None
    mime: str | None = None
    sha1: str | None = None
    md5: str | None = None
    tags: tuple[str, ...] = ()
    attribution: str | None = None
    generated: str | None = None
    description: str = ""
    preview_url: str | None = None
    fps: float | None = None
    popularity: int | None = None
    is_preview: bool = False
    restrictions: tuple[str, ...] = ()
    use_url: str | None = None
    expires_at: float | None = None

    @property
    def canonical_url(self) -> str | None:
        """The page of the work, written the one way that finds it again across sources."""
        if file := _COMMONS_FILE.search(self.media_url):  # its page has several addresses, its file has one
            return f"commons.wikimedia.org/wiki/File:{unquote(file[1])}"
        return canonical_url(self.landing_url)

    @property
    def credit(self) -> str:
        """The source's own credit text where it gives one, else ours."""
        return self.attribution or credit_line(
            title=self.title,
            creator=self.creator,
            creator_url=self.creator_url,
            source_url=self.landing_url,
            licence=self.licence,
        )

    def to_json(self) -> dict[str, Any]:
        lists = {"tags": list(self.tags), "restrictions": list(self.restrictions)}
        return {**asdict(self), "licence": self.licence.to_json(), **lists}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Candidate:
        tuples = {name: tuple(data.get(name) or ()) for name in ("tags", "restrictions")}
        return cls(**{**data, "licence": Licence.from_json(data["licence"]), **tuples})


@dataclass(frozen=True)
class SourceLimits:
    """What a source takes from one installation, all processes together; 0: it tells no limit.

    `cache_seconds` is how long an answer to a search serves the same question again.
    """

    per_minute: int = 0
    per_day: int = 0
    downloads_at_once: int = 0
    cache_seconds: float = 3600.0
    per_hour: int = 0


class Source:
    """Base of all sources; see the module. Instances are cheap and hold no connection of their own."""

    slug: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    needs_network: ClassVar[bool] = True
    needs_key: ClassVar[bool] = False
    """Whether `<SLUG>_API_KEY` has to be set."""
    terms: ClassVar[str] = ""
    """Why it is off until an operator sets `<SLUG>_ENABLED=true`; empty: on by default."""
    base_url: ClassVar[str] = ""
    limits: ClassVar[SourceLimits] = SourceLimits()
    redirects_within: ClassVar[str] = ""
    """The domain that its files' addresses may lead on to; empty: any that is public."""

    def __init__(self, http: HttpClient, settings: Settings, *, base_url: str | None = None) -> None:
        """`base_url` (else `<SLUG>_URL`) points tests, a relay and the simulator somewhere else."""
        self.http, self.settings = http, settings
        self.own = settings.vendor(self.slug)
        self.base = (base_url or self.own.url or self.base_url).rstrip("/")

    @classmethod
    def limits_for(cls, settings: Settings) -> SourceLimits:  # noqa: ARG003 (a key may change them)
        """What it takes from this installation."""
        return cls.limits

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when the source may be asked, else the reason and the remedy."""
        own, name = settings.vendor(cls.slug), cls.slug.upper()
        if cls.needs_network and settings.offline:
            return "OFFLINE is set"
        if own.enabled is False:
            return f"{name}_ENABLED is false"
        if cls.needs_key and own.api_key is None:
            return f"{name}_API_KEY is not set"
        if cls.terms and not own.enabled:
            return f"{cls.terms} Set {name}_ENABLED=true if you accept that."
        return None

    def pages(self, query: Query) -> Iterator[Sequence[Any]]:  # noqa: ARG002 (the question, not the answer)
        """Yield pages of raw items, best first."""
        raise Permanent(f"{self.slug} cannot be searched")

    def parse(self, item: Any) -> Candidate | None:  # noqa: ARG002 (as above)
        """Read one raw item; None when it has no readable licence, no file or is otherwise not usable."""
        raise Permanent(f"{self.slug} cannot be searched")

    def search(self, query: Query) -> list[Candidate]:
        """Return up to `query.limit` usable candidates, those of the wanted orientation first."""
        self.require_enabled()
        if query.kind not in self.kinds or not any(word.strip() for word in query.words):
            return []
        found: dict[str, Candidate] = {}
        for number, page in enumerate(self.pages(query), start=1):
            for item in page:
                candidate = self.parse(item)
                if candidate and candidate.kind == query.kind and _long_enough(candidate, query):
                    found.setdefault(candidate.foreign_id, candidate)
            if len(found) >= query.limit or number >= _MAX_PAGES:
                break
        ranked = sorted(found.values(), key=lambda c: _misfit(c, query.orientation))
        return ranked[: query.limit]

    def used(self, candidate: Candidate) -> bool:  # noqa: ARG002 (most sources ask for nothing)
        """Tell the source that an item is shown in a film; says whether it asks for that. May be repeated."""
        return False

    def get(self, foreign_id: str) -> Candidate:
        """Return the one item a script names; raises NotFound."""
        raise NotFound(f"{self.slug} has no item {foreign_id!r}")

    def fetch(self, candidate: Candidate, out: Path, max_bytes: int) -> None:
        """Save the candidate's file as `out`, whole and of the promised kind, or raise and leave nothing.

        Raises Permanent for a file too large or of another kind, Retryable for a broken transfer.
        """
        self.require_enabled()
        refuse_generated(candidate)
        if candidate.size is not None and candidate.size > max_bytes:
            raise Permanent(
                f"{self.slug}: {candidate.title!r} has {candidate.size} bytes, over {max_bytes}",
                code="too_large",
            )
        got = self.http.download(candidate.media_url, out, max_bytes, within=self.redirects_within)
        try:
            if candidate.sha1 and got.sha1 != candidate.sha1.lower():
                raise Retryable(f"{self.slug}: {candidate.title!r} arrived with another SHA-1 than promised")
            check_kind(out, candidate)
        except (Permanent, Retryable):
            out.unlink(missing_ok=True)
            raise

    def require_enabled(self) -> None:
        reason = self.enabled(self.settings)
        if reason is not None:
            raise Misconfigured(f"The source {self.slug} is off: {reason}.", code="source_off")


def canonical_url(url: str | None) -> str | None:
    """Write a page's address without what differs between links to it: scheme, tracking, last slash."""
    if not url:
        return None
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
    except ValueError:  # `http://[half an address`
        return None
    host = (parts.hostname or "").removeprefix("www.")
    kept = sorted((k, v) for k, v in parse_qsl(parts.query) if not k.startswith("utm_"))
    query = f"?{urlencode(kept)}" if kept else ""
    whole = f"{host}{parts.path.rstrip('/')}{query}"
    for page, short in _BY_NUMBER:
        if found := page.match(whole):
            return short.format(found[1])
    return whole if host else None


def refuse_generated(candidate: Candidate) -> None:
    if candidate.generated is not None:
        raise Permanent(f"{candidate.media_url} is made by the media craft, there is nothing to fetch")


def check_kind(path: Path, candidate: Candidate) -> str:
    """Look at the first bytes of `path` and return its mime type; raises Permanent when it is not usable."""
    with path.open("rb") as f:
        head = f.read(512)
    mime = sniff(head)
    if mime is None or candidate.kind not in KINDS_OF[mime]:
        what = "a web page" if re.match(rb"\s*(<!doctype|<html|<\?xml|<)", head, re.IGNORECASE) else mime
        raise Permanent(
            f"{candidate.source}: {candidate.title!r} should be {candidate.kind}, "
            f"but the file is {what or 'of an unknown kind'}",
            code="wrong_kind",
        )
    return mime


def shape_of(width: int, height: int) -> Orientation:
    ratio = width / height
    return "landscape" if ratio > 1.15 else "portrait" if ratio < 0.87 else "square"


def _long_enough(candidate: Candidate, query: Query) -> bool:
    if query.min_duration is None or candidate.duration is None:
        return True
    return candidate.duration >= query.min_duration


def _misfit(candidate: Candidate, wanted: Orientation | None) -> int:
    """Sort key: 0 = as wanted or unknown, 1 = another orientation."""
    if wanted is None or not candidate.width or not candidate.height:
        return 0
    return 0 if shape_of(candidate.width, candidate.height) == wanted else 1
