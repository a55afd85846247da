"""What several sites' answers have in common, beside what `core.answers` reads."""

from __future__ import annotations

import time
from typing import Any

from core.answers import Answer, host_of
from core.errors import Permanent, Retryable

_HOUR = 3600.0


def json_object(answer: Answer, site: str) -> dict[str, Any]:
    """The answer's JSON, which is an object; raises Permanent (code `not_json`)."""
    data = answer.json()
    if not isinstance(data, dict):
        raise Permanent(f"{site} answered with JSON of another shape than documented", code="not_json")
    return data


def throttled(answer: Answer, wait: float) -> Retryable:
    """The wish to be left alone for so many seconds."""
    return Retryable(
        f"{host_of(answer.url)} answered {answer.status}: {answer.excerpt()}",
        code="throttled",
        retry_after=wait,
    )


def until_next_hour() -> float:
    """Seconds until the hour is full: for sites that count by the hour and do not say when theirs began."""
    return _HOUR - time.time() % _HOUR
