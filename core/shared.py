"""A Redis that all processes share, and that nobody waits for: emptied or away, things go on without it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger()

PATIENCE_SECONDS = 0.5
AWAY_SECONDS = 2.0
"""It is not asked again for so long after it did not answer."""
T = TypeVar("T")


class Shared:
    """One Redis; safe to share between threads and across forks."""

    def __init__(self, url: str) -> None:
        self.redis: Any = Redis.from_url(
            url,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._away_until = 0.0

    def ask(self, question: Callable[[], T]) -> T | None:
        """Ask it something; None when it does not answer."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return question()
        except RedisError as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning(
                "Redis is away: vendors and sources are called without limits", error=type(error).__name__
            )
            return None
