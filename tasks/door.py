"""The door to one source: what all processes together may ask of it, and what it has answered before.

Every try passes here, repeated ones too. Calls to the source's own host count for its minute, its day and
its circuit; files lie on hosts of their own, and what such a host does says nothing about the source.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from core.answers import Answer
from core.embedded import redis_url
from core.errors import Misconfigured, Retryable
from core.http import HttpClient
from core.ids import new_id
from core.recall import Recall
from core.settings import Settings, get_settings
from scrapers.base import Source
from scrapers.replies import until_next_hour
from tasks.limits import limiter, noting

TIMEOUT = (5.0, 15.0)
"""To connect, and of silence."""
RETRY_SECONDS = 10.0
PATIENCE_SECONDS = 5.0
"""How long a caller waits here for a source that asked for a rest, or for a free place."""
TURN_SECONDS = 15.0
"""How long it waits for its turn, where many ask at once."""
LONGEST_REST = 86_400.0
PLACE_SECONDS = 300.0
"""A download whose process died gives its place free after so long."""
_WHY = {
    "rest": "asked to be left alone for a while",
    "circuit": "did not answer and is left alone for a while",
    "rate": "takes no more calls this minute",
}


def account(slug: str) -> str:
    """The source's name among those with limits and circuits; no vendor's."""
    return f"source:{slug}"


def day_budget(source: type[Source], settings: Settings) -> int | None:
    """How often it may be asked within a day (UTC); None: as often as we like."""
    own = settings.vendor(source.slug).calls_per_day
    return own if own is not None else source.limits_for(settings).per_day or None


class Door:
    """The gate of one source's client; `seconds` bounds everything that is asked through it."""

    def __init__(self, source: type[Source], settings: Settings, *, seconds: float | None = None) -> None:
        self.slug, self.name = source.slug, account(source.slug)
        self.limits = source.limits_for(settings)
        self._per_day = day_budget(source, settings)
        self._home = urlsplit(settings.vendor(source.slug).url or source.base_url).netloc
        self._seconds = seconds
        self._ends = None if seconds is None else time.monotonic() + seconds

    def client(self, http: HttpClient) -> HttpClient:
        return http.behind(self, timeout=TIMEOUT, retry_for=RETRY_SECONDS)

    @contextmanager
    def attempt(self, url: str, *, download: bool = False) -> Iterator[None]:
        host = urlsplit(url).netloc.rpartition("@")[2]
        name = self.name if host == self._home else f"{self.name}@{host}"
        self._await_turn(name)
        if name == self.name:
            self._spend_hourly()
            self._spend()
        with self._place(download), noting(name, longest=LONGEST_REST):
            yield

    def recall(self, url: str, params: Mapping[str, Any] | None) -> Answer | None:
        return recall().find(self.slug, url, params) if self.limits.cache_seconds else None

    def keep(self, url: str, params: Mapping[str, Any] | None, answer: Answer, *, checked: bool) -> None:
        recall().keep(self.slug, url, params, answer, seconds=self.limits.cache_seconds, checked=checked)

    def _await_turn(self, name: str) -> None:
        per_minute = self.limits.per_minute if name == self.name else 0
        began = time.monotonic()
        while not (leave := limiter().enter(name, per_minute=per_minute)).calls:
            patience = TURN_SECONDS if leave.why == "rate" else PATIENCE_SECONDS
            if time.monotonic() - began + leave.wait > patience:
                raise Retryable(
                    f"{self.slug} {_WHY[leave.why]}", code="throttled", retry_after=round(leave.wait, 1)
                )
            self._sleep(leave.wait)
        self._sleep(0.0)

    def _sleep(self, seconds: float) -> None:
        """Wait, unless there is no time left for what comes after."""
        if self._ends is not None and time.monotonic() + seconds > self._ends:
            raise Retryable(
                f"{self.slug} took longer than {self._seconds:.0f} s", code="too_slow", retry_after=60.0
            )
        time.sleep(seconds)

    def _spend_hourly(self) -> None:
        per_hour = self.limits.per_hour
        if per_hour and not limiter().spend_hourly(self.name, per_hour):
            raise Retryable(
                f"{self.slug} was asked {per_hour} times within this hour, as often as it may be.",
                code="throttled",
                retry_after=round(until_next_hour(), 1),
            )

    def _spend(self) -> None:
        if self._per_day is None or limiter().spend(self.name, self._per_day):
            return
        setting = f"{self.slug.upper()}_CALLS_PER_DAY"
        raise Misconfigured(
            f"{self.slug} was asked {self._per_day} times today (UTC), as often as it may be. "
            f"It is asked again tomorrow; {setting} changes that.",
            code="calls_per_day",
        )

    @contextmanager
    def _place(self, download: bool) -> Iterator[None]:
        """Hold one of the places for downloads, where they are few."""
        most = self.limits.downloads_at_once
        if not download or not most:
            yield
            return
        name, began = str(new_id()), time.monotonic()
        while not limiter().hold(self.name, most, name, PLACE_SECONDS):
            if time.monotonic() - began > PLACE_SECONDS:
                raise Retryable(
                    f"{self.slug} gives {most} files at once, and no place came free",
                    code="throttled",
                    retry_after=60.0,
                )
            self._sleep(0.2)
        try:
            yield
        finally:
            limiter().give_back(self.name, name)


def recall() -> Recall:
    return _connect(redis_url(get_settings()))


@lru_cache(maxsize=2)
def _connect(url: str) -> Recall:
    return Recall(url)
