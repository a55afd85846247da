"""Answers of sources, kept in Redis so that the same question is not asked again within a while.

What is kept: whole answers of 2xx that say something, JSON, or a page that a check of the source's own took;
never an empty or unreadable one, or a fault would be repeated for hours. Keys hold nothing of our secrets.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from requests.structures import CaseInsensitiveDict

from core.answers import Answer
from core.redact import is_secret, redact
from core.shared import Shared

LARGEST_BYTES = 1 << 20
"""Of one answer, packed; larger ones are asked for again."""
MOST = 2000
"""Answers of one source; beyond it those that would end first go."""


@dataclass(frozen=True)
class Recalled:
    """How often a source's answers were found here, and how often they were not."""

    hits: int = 0
    misses: int = 0


class Recall:
    """The answers of one Redis, by source."""

    def __init__(self, url: str) -> None:
        self._known = Shared(url)

    def find(self, slug: str, url: str, params: Mapping[str, Any] | None) -> Answer | None:
        key, count = _key(slug, url, params), _counts(slug)
        packed: bytes | None = self._known.ask(lambda: self._known.redis.get(key))
        answer = _unpack(packed) if packed else None
        self._known.ask(lambda: self._known.redis.hincrby(count, "hits" if answer else "misses", 1))
        return answer

    def keep(
        self,
        slug: str,
        url: str,
        params: Mapping[str, Any] | None,
        answer: Answer,
        *,
        seconds: float,
        checked: bool,
    ) -> None:
        if seconds <= 0 or not 200 <= answer.status < 300 or not _says_something(answer, checked=checked):
            return
        packed = _pack(answer)
        if len(packed) <= LARGEST_BYTES:
            self._known.ask(lambda: self._write(slug, _key(slug, url, params), packed, seconds))

    def _write(self, slug: str, key: str, packed: bytes, seconds: float) -> None:
        redis, listed, now = self._known.redis, f"callsheet:source:{slug}:answers", time.time()
        pipe = redis.pipeline()
        pipe.set(key, packed, px=round(seconds * 1000))
        pipe.zadd(listed, {key: now + seconds})
        pipe.zremrangebyscore(listed, "-inf", now)
        pipe.expire(listed, round(seconds) + 1)
        pipe.zcard(listed)
        count = int(pipe.execute()[-1])
        if count > MOST:
            redis.delete(*[gone for gone, _ in redis.zpopmin(listed, count - MOST)])

    def counts(self, slug: str) -> Recalled:
        said: dict[bytes, bytes] = self._known.ask(lambda: self._known.redis.hgetall(_counts(slug))) or {}
        return Recalled(int(said.get(b"hits", 0)), int(said.get(b"misses", 0)))


def _says_something(answer: Answer, *, checked: bool) -> bool:
    if "json" not in answer.headers.get("Content-Type", ""):
        return checked and bool(answer.body.strip())
    try:
        data = json.loads(answer.body)
    except ValueError:
        return False
    return bool(data) and isinstance(data, dict | list)


def _pack(answer: Answer) -> bytes:
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "set-cookie"}
    head = {"status": answer.status, "url": redact(answer.url), "headers": headers}
    return zlib.compress(json.dumps(head).encode() + b"\n" + answer.body, level=1)


def _unpack(packed: bytes) -> Answer | None:
    try:
        head, _, body = zlib.decompress(packed).partition(b"\n")
        said = json.loads(head)
        return Answer(said["status"], CaseInsensitiveDict(said["headers"]), body, said["url"])
    except (zlib.error, ValueError, KeyError):  # of another version of this code
        return None


def _key(slug: str, url: str, params: Mapping[str, Any] | None) -> str:
    """One key for one question, whatever the order of its parameters and whoever's key it is asked with."""
    parts = urlsplit(url)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    asked += parse_qsl(urlencode(params or {}, doseq=True), keep_blank_values=True)
    plain = sorted((name, value) for name, value in asked if not is_secret(name))
    question = f"{parts.scheme}://{parts.netloc.lower()}{parts.path}?{urlencode(plain)}"
    return f"callsheet:source:{slug}:answer:{hashlib.sha256(question.encode()).hexdigest()}"


def _counts(slug: str) -> str:
    return f"callsheet:source:{slug}:recalled"
