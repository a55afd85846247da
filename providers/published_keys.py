"""The keys that vendors publish to sign callbacks with (JWKS), fetched once a day."""

from __future__ import annotations

import math
from threading import Lock
from typing import Any

from core.errors import Permanent, Retryable
from core.http import HttpClient

DAY = 24 * 3600.0
PATIENCE = 300.0
"""Seconds before keys are fetched again because a signature fits none of them: forgers get no more."""
PAUSE = 10.0
"""Seconds before a host that gave no keys is asked again: a flood of callbacks must not queue for it."""


class PublishedKeys:
    """Key sets by their address, shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, tuple[float, list[dict[str, Any]]]] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    def get(self, http: HttpClient, url: str, now: float, *, newer: bool = False) -> list[dict[str, Any]]:
        """Return the keys at `url`; `newer` asks for others than were had, which may be the same ones.

        Raises Retryable when there are none to be had: nobody can tell then who signed.
        """
        with self._lock:
            at, keys = self._kept.get(url, (0.0, []))
            if not keys or abs(now - at) > (PATIENCE if newer else DAY):
                failed_at, why = self._failed.get(url, (-math.inf, ""))
                if abs(now - failed_at) < PAUSE:
                    raise Retryable(why, code="no_keys")
                try:
                    keys = _fetch(http, url)
                except Retryable as error:
                    self._failed[url] = (now, error.message)
                    raise
                self._kept[url] = (now, keys)
        return keys


def _fetch(http: HttpClient, url: str) -> list[dict[str, Any]]:
    try:
        body = http.get_json(url)
    except Permanent as error:
        raise Retryable(f"The vendor's keys cannot be read: {error.message}", code="no_keys") from None
    found = body.get("keys") if isinstance(body, dict) else None
    keys = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
    if not keys:
        raise Retryable(f"{url} names no keys.", code="no_keys")
    return keys
