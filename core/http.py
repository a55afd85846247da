"""The only door to the network: guarded, timed, bounded, retried for reads, and silent about secrets.

Which status becomes which error stands in `core.answers`; which addresses are allowed in `core.guard`.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar
from urllib.parse import unquote, urljoin

import requests
import tenacity

from core.answers import CHUNK, Answer, Download, host_of, raise_for, read_answer, translated
from core.errors import Invalid, Misconfigured, Permanent, Retryable, Unconfirmed
from core.guard import Guard, GuardedAdapter, Resolver, check_url, parse_allow_list, resolve
from core.partial import Partial
from core.redact import is_secret, redact

__all__ = ["PRODUCT", "Answer", "Download", "Gate", "HttpClient", "redact"]

PRODUCT = "Callsheet/0.1"
_MAX_HOPS = 5
_TRIES = 4
_KEPT_ON_THE_WAY = ("accept-encoding", "range", "if-range")  # the only headers another host may see
T = TypeVar("T")


class Gate(Protocol):
    """What a client passes on its way out; `HttpClient.behind` puts one up."""

    def attempt(self, url: str, *, download: bool = False) -> contextlib.AbstractContextManager[None]:
        """Surround one try: raises a PipelineError instead of letting it out, and sees how it ends."""

    def recall(self, url: str, params: Mapping[str, Any] | None) -> Answer | None:
        """Return the answer to an equal question of before, if it still counts."""

    def keep(self, url: str, params: Mapping[str, Any] | None, answer: Answer, *, checked: bool) -> None:
        """Keep an answer that was taken; `checked` by a check of its source's own."""


class HttpClient:
    """Speak HTTP for every source and provider of a process; safe to share between threads."""

    def __init__(
        self,
        *,
        contact: str = "",
        allow: str | Collection[str] = (),
        offline: bool = False,
        timeout: tuple[float, float] = (5.0, 30.0),
        retry_for: float = 30.0,
        deadline: float = 900.0,
        resolver: Resolver = resolve,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the settings of one client.

        `timeout` is (connect, silence between bytes) in seconds; `retry_for` bounds one read's waiting,
        `deadline` one file with all its tries.
        """
        self._guard = Guard(parse_allow_list(allow), offline, resolver)
        self._timeout, self._retry_for, self._sleep = timeout, retry_for, sleep
        self._deadline = deadline
        if any(ord(c) < 32 for c in contact):
            raise Misconfigured("CONTACT must be one line: a web page or an e-mail address")
        about = f" ({contact.strip()})" if contact.strip() else ""
        self.user_agent = f"{PRODUCT}{about} requests/{requests.__version__}"
        self._reads = self._session()
        self._gate: Gate | None = None

    def behind(self, gate: Gate, *, timeout: tuple[float, float], retry_for: float) -> Self:
        """Return this client, connections and all, with a gate before every try."""
        other = copy.copy(self)
        vars(other).update(_gate=gate, _timeout=timeout, _retry_for=retry_for)
        return other

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
        check: Callable[[Answer], None] | None = None,
        fresh: bool = False,
    ) -> Answer:
        """Read `url`. Statuses in `expect` are returned instead of raised.

        `check` sees each answer inside the retry loop and may raise Retryable, for sources that report
        trouble with status 200. `fresh` asks the other side even where a gate has kept its answer: for a
        read that is meant to be noticed there.
        """
        if self._gate and not fresh and (kept := self._gate.recall(url, params)) is not None:
            return kept

        def once() -> Answer:
            with self._open("GET", url, params=params, headers=headers) as response:
                answer = read_answer(response)
            raise_for(answer, expect, write=False)
            if check is not None:
                check(answer)
            return answer

        answer = self._retrying(once, url)
        if self._gate and not fresh:
            self._gate.keep(url, params, answer, checked=check is not None)
        return answer

    def get_json(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        check: Callable[[Answer], None] | None = None,
        fresh: bool = False,
    ) -> Any:
        """Read `url` and parse it; as `get`."""
        return self.get(url, params=params, headers=headers, check=check, fresh=fresh).json()

    def post(
        self,
        url: str,
        *,
        json_body: Any = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        files: Mapping[str, tuple[str | None, bytes, str | None]] | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        safe: bool = False,
        expect: Collection[int] = (),
        read_timeout: float | None = None,
        method: Literal["POST", "PUT", "DELETE"] = "POST",
    ) -> Answer:
        """Write to `url`, once.

        `body` goes out as it is. `files` are (name, bytes, mime) beside a `form`, or nameless fields.

        `safe` says that repeating it costs nothing (a token, a local model): then it fails and retries
        like a read. Otherwise an unknown outcome raises Unconfirmed. Redirects are never followed.
        """

        def once() -> Answer:
            sent = {
                "params": params,
                "json": json_body,
                "data": form if body is None else body,
                "files": files,
            }
            with self._open(
                method, url, headers=headers, safe=safe, silence=read_timeout, **sent
            ) as response:
                answer = read_answer(response, write=not safe)
            raise_for(answer, expect, write=not safe)
            return answer

        if safe:
            return self._retrying(once, url)
        with self._passing(url):
            return once()

    def post_json(
        self,
        url: str,
        body: Any,
        *,
        headers: Mapping[str, str] | None = None,
        safe: bool = False,
        read_timeout: float | None = None,
    ) -> Any:
        """Post JSON and parse the answer; an unreadable answer to an unsafe call raises Unconfirmed."""
        answer = self.post(url, json_body=body, headers=headers, safe=safe, read_timeout=read_timeout)
        try:
            return answer.json()
        except Permanent as exc:
            if safe:
                raise
            raise Unconfirmed(exc.message) from None

    def download(
        self,
        url: str,
        out: Path,
        max_bytes: int,
        *,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        within: str = "",
    ) -> Download:
        """Save `url` as `out`, whole or not at all; `max_bytes` counts the bytes after decompression.

        What was cut off goes on where it stopped when the server can tell that its file is the same.
        Raises Permanent (code `too_large`) over the limit and Retryable when the file never came whole
        within `deadline` seconds. Redirects may lead to other hosts, to those of the domain `within` only
        where one is named.
        """
        part, ends = Partial(out, max_bytes), time.monotonic() + (deadline or self._deadline)

        def once() -> Download:
            asked = {"Accept-Encoding": "identity", **(headers or {}), **part.asks}
            with self._open("GET", url, headers=asked, within=within) as response:
                if response.status_code == 416 and part.asks:
                    raise part.refused_range()
                if response.status_code != 200 and not (response.status_code == 206 and part.asks):
                    raise_for(read_answer(response, limit=CHUNK), (), write=False)
                    raise Permanent(f"{host_of(url)} answered {response.status_code} to a download")
                return part.take(response, ends - time.monotonic())

        try:
            return self._retrying(once, url, ends=ends)
        finally:
            part.discard()

    # -- inside ---------------------------------------------------------------------------------

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # a proxy or .netrc from the environment would pass the guard by
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers["User-Agent"] = self.user_agent
        session.headers["Accept-Encoding"] = "gzip, deflate"
        for prefix in ("http://", "https://"):
            session.mount(prefix, GuardedAdapter(self._guard))
        return session

    @contextlib.contextmanager
    def _open(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        safe: bool = False,
        silence: float | None = None,
        within: str = "",
        **sent: Any,
    ) -> Iterator[requests.Response]:
        # A write gets a fresh connection: on a kept-alive one that the server has just closed, nobody
        # could tell "never sent" from "sent and lost".
        session = self._reads if method == "GET" else self._session()
        sent_headers = dict(headers or {})
        write = method != "GET" and not safe
        secrets = [str(value) for name, value in (params or {}).items() if is_secret(name) and value]
        try:
            for _ in range(_MAX_HOPS + 1):
                origin = check_url(url)
                self._guard.precheck(*origin[1:])
                with translated(url, write=write):
                    response = session.request(
                        method,
                        url,
                        params=params,
                        headers=sent_headers,
                        stream=True,
                        allow_redirects=False,
                        timeout=(self._timeout[0], silence or self._timeout[1]),
                        **sent,
                    )
                with contextlib.closing(response):
                    if method != "GET" or response.status_code not in (301, 302, 303, 307, 308):
                        yield response
                        return
                    url, params = urljoin(response.url, response.headers.get("Location", "")), None
                host = check_url(url)[1]
                if within and host != origin[1] and not f".{host}".endswith(f".{within}"):
                    raise Permanent(f"{origin[1]} leads to {host}, outside {within}", code="address_refused")
                if check_url(url) != origin:
                    sent_headers = {k: v for k, v in sent_headers.items() if k.lower() in _KEPT_ON_THE_WAY}
                    if any(secret in unquote(url) for secret in secrets):
                        what = "redirects to another host and would take our key along"
                        raise Permanent(f"{host_of(response.url)} {what}", code="address_refused")
            raise Permanent(f"{host_of(url)} redirected more than {_MAX_HOPS} times")
        except Invalid as exc:
            raise Permanent(f"{redact(url)[:200]}: {exc.message}", code="address_refused") from None
        finally:
            if session is not self._reads:
                session.close()

    def _passing(self, url: str, *, download: bool = False) -> contextlib.AbstractContextManager[None]:
        return self._gate.attempt(url, download=download) if self._gate else contextlib.nullcontext()

    def _retrying(self, once: Callable[[], T], url: str, *, ends: float | None = None) -> T:
        """Try up to four times; `ends` is when a download has to be there, which may take its time."""
        backoff = tenacity.wait_exponential_jitter(0.5, 8, jitter=0.5)

        def wait(state: tenacity.RetryCallState) -> float:
            exc = state.outcome.exception() if state.outcome else None
            asked = exc.retry_after if isinstance(exc, Retryable) else None
            return backoff(state) if asked is None else asked

        def enough(state: tenacity.RetryCallState) -> bool:
            spent = (state.seconds_since_start or 0.0) if ends is None else state.idle_for
            late = ends is not None and time.monotonic() > ends
            return late or state.attempt_number >= _TRIES or spent + state.upcoming_sleep >= self._retry_for

        def attempt() -> T:
            with self._passing(url, download=ends is not None):
                return once()

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Retryable),
            wait=wait,
            stop=enough,
            sleep=self._sleep,
            reraise=True,
        )(attempt)
