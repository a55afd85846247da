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

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.http import HttpClient
from core.licences import Licence, credit_line
from core.settings import Settings
from scrapers.kinds import KINDS_OF, Kind, sniff

Orientation = Literal["landscape", "portrait", "square"]

_MAX_PAGES = 12  # 240 results at 20 a page: the most any source lets us see


@dataclass(frozen=True)
class Query:
    """`min_duration` in seconds; `orientation` ranks, it never excludes: a picture can be cropped."""

    words: tuple[str, ...]
    kind: Kind = "image"
    orientation: Orientation | None = None
    limit: int = 20
    min_duration: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A found item, not yet kept. `duration` in seconds, `size` in bytes, `sha1` of exactly `media_url`.

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
    tags: tuple[str, ...] = ()
    attribution: str | None = None
    generated: str | None = None

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
        return {**asdict(self), "licence": self.licence.to_json(), "tags": list(self.tags)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Candidate:
        return cls(**{**data, "licence": Licence.from_json(data["licence"]), "tags": tuple(data["tags"])})


class Source:
    """Base of all sources; see the module. Instances are cheap and hold no connection of their own."""

    slug: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    needs_network: ClassVar[bool] = True
    base_url: ClassVar[str] = ""

    def __init__(self, http: HttpClient, settings: Settings, *, base_url: str | None = None) -> None:
        """`base_url` points tests and the simulator somewhere else."""
        self.http, self.settings = http, settings
        self.base = (base_url or self.base_url).rstrip("/")

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when the source may be asked, else the reason and the remedy."""
        if cls.needs_network and settings.offline:
            return "OFFLINE is set"
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
        got = self.http.download(candidate.media_url, out, max_bytes)
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
            raise Misconfigured(f"The source {self.slug} is off: {reason}.")


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


def _long_enough(candidate: Candidate, query: Query) -> bool:
    if query.min_duration is None or candidate.duration is None:
        return True
    return candidate.duration >= query.min_duration


def _misfit(candidate: Candidate, wanted: Orientation | None) -> int:
    """Sort key: 0 = as wanted or unknown, 1 = another orientation."""
    if wanted is None or not candidate.width or not candidate.height:
        return 0
    ratio = candidate.width / candidate.height
    has = "landscape" if ratio > 1.15 else "portrait" if ratio < 0.87 else "square"
    return 0 if has == wanted else 1
