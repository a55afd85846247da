"""Reading HTTP answers: bounded bodies, saved files, and the way from a status to the error tree.

before sending      connect refused, name unknown         Retryable
429                                                       Retryable(retry_after)
read: timeout, 5xx, cut-off body                          Retryable
write (POST): timeout, 5xx, connection lost               Unconfirmed, never repeated
401, 402, 403                                             Misconfigured
400, 422                                                  Rejected
any other 3xx, 4xx                                        Permanent
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import urllib3.exceptions as wire

from core.errors import Invalid, Misconfigured, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.guard import check_url
from core.redact import redact

CHUNK = 1 << 16
BODY_LIMIT = 32 << 20
# Waits that stand in the text alone: those of Django REST framework (Openverse) and Replicate, and the rate
# that was exceeded, which is all that Freesound says: "(60/minute)".
_WAIT_IN_TEXT = re.compile(r"(?:available in|resets in) ~?(\d+(?:\.\d+)?) ?s")
_RATE_IN_TEXT = re.compile(r"limit rate \(\d+/(second|minute|min|hour|day)\)")
_SECONDS_OF = {"second": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "day": 86_400.0}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end. `url` is where the redirects led."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """Parse the body; raises Permanent (code `not_json`) with the first words of what came instead."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Permanent(
                f"{host_of(self.url)} answered {self.status}, not with JSON: {self.excerpt()}",
                code="not_json",
            ) from None

    def excerpt(self, length: int = 200) -> str:
        """Return the start of the body as one redacted line, tags stripped."""
        text = re.sub(r"<[^>]*>", " ", self.body[:4096].decode("utf-8", "replace"))
        return redact(" ".join(text.split()))[:length]


@dataclass(frozen=True)
class Download:
    """A file that arrived whole. `mime` is what the server said: sniff before believing it."""

    path: Path
    size: int
    sha1: str
    sha256: str
    mime: str | None
    url: str


def read_answer(response: requests.Response, *, limit: int = BODY_LIMIT, write: bool = False) -> Answer:
    body = b"".join(chunks(response, limit, deadline=120.0, write=write))
    return Answer(response.status_code, response.headers, body, response.url)


def chunks(response: requests.Response, limit: int, *, deadline: float, write: bool) -> Iterator[bytes]:
    """Yield decoded bytes; `read1` returns what is there, so a dripping server meets the deadline."""
    ends, total = time.monotonic() + deadline, 0
    with translated(response.url, write=write):
        while block := response.raw.read1(CHUNK, decode_content=True):
            total += len(block)
            if total > limit:
                raise Permanent(f"{host_of(response.url)} sent more than {limit} bytes", code="too_large")
            if time.monotonic() > ends:
                raise wire.ReadTimeoutError(response.raw, None, "too slow")  # type: ignore[arg-type]
            yield block
        if getattr(response.raw, "length_remaining", None):
            raise wire.ProtocolError("the body was cut off")


@contextlib.contextmanager
def translated(url: str, *, write: bool) -> Iterator[None]:
    """Turn what requests and urllib3 raise into the error tree; `from None` keeps URLs with keys out."""
    try:
        yield
    except PipelineError:
        raise
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError):
        raise Permanent(f"cannot ask {redact(url)[:200]}: the URL or a header is malformed") from None
    except (requests.exceptions.SSLError, wire.SSLError):
        raise Permanent(f"{host_of(url)}: the TLS certificate or handshake is not acceptable") from None
    except (requests.RequestException, wire.HTTPError) as exc:
        if _unsent(exc):
            raise Retryable(f"cannot reach {host_of(url)}") from None
        what = (
            f"{host_of(url)}: {'no answer in time' if 'Timeout' in type(exc).__name__ else 'connection lost'}"
        )
        if write:
            raise Unconfirmed(f"{what}; nobody knows whether the request was accepted") from None
        raise Retryable(what) from None


def _unsent(exc: Exception) -> bool:
    """Tell whether the request certainly never left: only connecting failed."""
    if isinstance(
        exc, requests.exceptions.ConnectTimeout | wire.ConnectTimeoutError | wire.NewConnectionError
    ):
        return True
    inner = exc.args[0] if exc.args else None
    reason = getattr(inner, "reason", None)
    return isinstance(reason, wire.NewConnectionError | wire.ConnectTimeoutError | wire.NameResolutionError)


def raise_for(answer: Answer, expect: Collection[int], *, write: bool) -> None:
    status = answer.status
    if 200 <= status < 300 or status in expect:
        return
    what = f"{host_of(answer.url)} answered {status}: {answer.excerpt()}"
    if status == 429 or (status == 503 and not write):
        raise Retryable(what, retry_after=retry_after(answer), code="throttled")
    if status >= 500 or status == 408:
        if write:
            raise Unconfirmed(f"{what}; nobody knows whether the request was accepted")
        raise Retryable(what, retry_after=retry_after(answer))
    if status in (401, 402, 403):
        raise Misconfigured(what, code=f"http_{status}")
    if status in (400, 422):
        raise Rejected(what, code=f"http_{status}")
    raise Permanent(what, code=f"http_{status}")


def retry_after(answer: Answer) -> float | None:
    """Seconds the other side asks us to wait: its headers (milliseconds, seconds, a date), else its text."""
    exact = answer.headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", exact):
        return float(exact) / 1000
    said = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    if said:
        with contextlib.suppress(ValueError, TypeError):
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    text = answer.body[:2000].decode("utf-8", "replace")
    if found := _WAIT_IN_TEXT.search(text):
        return float(found[1])
    exceeded = _RATE_IN_TEXT.search(text)
    return _SECONDS_OF[exceeded[1]] if exceeded else None


def host_of(url: str) -> str:
    try:
        return check_url(url)[1]
    except Invalid:
        return "the server"
