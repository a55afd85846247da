"""Calls to vendors, within what they take from us and only while they answer; over all processes.

A circuit is a vendor's, at the address the settings name; what is still open at another address has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

import structlog

from core.embedded import redis_url
from core.errors import PipelineError, Retryable, Unconfirmed
from core.limits import Circuit, Leave, Limiter
from core.settings import get_settings
from providers.base import RemoteProvider

log = structlog.get_logger()

LONGEST_REST = 300.0
WHY = {
    "rest": "It asked to be left alone for a while.",
    "circuit": "It does not answer; it is tried again before long.",
    "rate": "It takes no more calls this minute.",
}
"""Why a call may not be made now, for people."""


def circuit_open(slug: str) -> bool:
    """Whether calls to a vendor are held back because it does not answer; False once a probe is due."""
    return state(slug).state == "open"


def state(slug: str) -> Circuit:
    return limiter().circuit(slug)


class Account:
    """What an opened vendor takes from us, and whether it answers."""

    def __init__(self, provider: RemoteProvider[Any], home: str) -> None:
        """`home` is the address that the settings name for it now."""
        self.name = provider.slug if provider.endpoint == home else f"{provider.slug}@{provider.endpoint}"
        self._per_minute = provider.limits.per_minute

    def enter(self, calls: int = 1, *, looking: bool = False) -> Leave:
        """Ask leave for calls; see `Limiter.enter`."""
        return limiter().enter(self.name, per_minute=self._per_minute, calls=calls, looking=looking)

    def calling(self, *, submitting: bool = False) -> AbstractContextManager[None]:
        """Note how a call ends; a vendor that takes no submission now may still be polled."""
        return noting(self.name, longest=0.0 if submitting else LONGEST_REST)


@contextmanager
def noting(name: str, *, longest: float) -> Iterator[None]:
    """Note how a call ends: not answered, answered, or with the wish to be asked no more for a while.

    It is left alone as long as it wishes, `longest` at most.
    """
    try:
        yield
    except PipelineError as error:
        if error.code == "disk":
            raise  # ours, not theirs
        throttled = isinstance(error, Retryable) and error.code == "throttled"
        if isinstance(error, Unconfirmed | Retryable) and not throttled:
            if limiter().failed(name):
                log.warning("it does not answer; its circuit is open", account=name)
        else:
            limiter().answered(name)
        if isinstance(error, Retryable) and throttled and error.retry_after and longest:
            limiter().rest(name, min(error.retry_after, longest))
        raise
    limiter().answered(name)


def limiter() -> Limiter:
    return _connect(redis_url(get_settings()))


@lru_cache(maxsize=2)
def _connect(url: str) -> Limiter:
    return Limiter(url)
