"""Every site misbehaves in every way: each ends in the right error, and nothing half-kept.

Whatever source is in the registry is played here; `tests/scrapers/played.py` has what is said by one site only.
"""

from __future__ import annotations

import contextlib
import copy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.errors import Permanent, PipelineError, Retryable
from core.registry import SOURCES
from scrapers.base import Candidate, Query
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import picture, readable
from tests.scrapers.played import HTML, NETWORK, SITES, always, opened, playing, switch_on
from tests.sources_made_up import CC0, parse_licence

LIMIT = 1 << 20
JSON_SITES = [slug for slug in NETWORK if not (slug in SITES and SITES[slug].pages)]
HEADS = {
    "image": picture(),
    "clip": b"\0\0\0\x18ftypmp42" + b"\0" * 400,
    "audio": b"ID3\x03\0\0\0\0\0\0" + b"\0" * 400,
}


@pytest.fixture(autouse=True)
def _on(monkeypatch):
    for slug in NETWORK:
        switch_on(monkeypatch, slug)


@pytest.fixture(autouse=True)
def _no_rules_of_others():
    """Servers of different tests may get the same port, and robots.txt is remembered by address."""
    from scrapers import web_pages

    web_pages._files.clear()


def query(slug):
    kind = SITES[slug].kind if slug in SITES else SOURCES.get(slug).kinds[0]
    return Query(words=("rain",), kind=kind, limit=3)


def asked(slug, server, **kw):
    return opened(slug, server, timeout=(2, 2), **kw).search(query(slug))


def outcome(slug, server):
    try:
        return asked(slug, server)
    except PipelineError as error:
        return error


def test_every_site_of_the_registry_is_played():
    assert set(SITES) == set(NETWORK), "give its site's own ways a line in tests/scrapers/played.py"


@pytest.mark.parametrize("slug", NETWORK)
def test_a_site_that_is_well_is_read(slug):
    """Else the faults below would prove nothing."""
    with Loopback(playing(slug)) as server:
        found = asked(slug, server)
    assert found
    assert {candidate.source for candidate in found} == {slug}


# -- searches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "answer", "seconds"),
    [(slug, *one) for slug in NETWORK if slug in SITES for one in SITES[slug].throttled],
)
def test_a_site_that_says_slow_down_in_its_own_way_is_understood(slug, answer, seconds):
    with Loopback(always(answer)) as server, pytest.raises(Retryable) as caught:
        asked(slug, server)
    assert caught.value.code == "throttled"
    assert (caught.value.retry_after or 0) >= seconds
    assert len([ask for ask in server.asks if ask.path != "/robots.txt"]) <= 4


@pytest.mark.parametrize("slug", NETWORK)
def test_a_plain_429_is_a_throttle_everywhere(slug):
    with (
        Loopback(always(Reply(429, b"busy", "text/plain", {"Retry-After": "120"}))) as server,
        pytest.raises(Retryable) as caught,
    ):
        asked(slug, server)
    assert caught.value.code == "throttled"
    assert (caught.value.retry_after or 0) >= 60


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize("slug", NETWORK)
def test_a_site_that_is_down_is_tried_again_and_then_given_up(slug, status):
    with Loopback(always(Reply(status, b"oops", "text/html"))) as server, pytest.raises(Retryable):
        asked(slug, server)


@pytest.mark.parametrize(
    ("slug", "answer"), [(slug, one) for slug in NETWORK if slug in SITES for one in SITES[slug].refused]
)
def test_an_error_with_status_200_is_an_error(slug, answer):
    with Loopback(always(answer)) as server, pytest.raises(PipelineError) as caught:
        asked(slug, server)
    assert not isinstance(caught.value, Retryable)


@pytest.mark.parametrize(
    ("slug", "ended"), [(slug, one) for slug in NETWORK if slug in SITES for one in SITES[slug].ended]
)
def test_a_page_past_the_end_is_the_end(slug, ended):
    """The site has promised more than it gives."""
    well = playing(slug)

    def answer(ask):
        return well(ask) if ask.query.get("page", "1") == "1" else ended

    with Loopback(answer) as server:
        found = opened(slug, server).search(Query(words=("rain",), kind=query(slug).kind, limit=200))
    assert len(found) == 3


@pytest.mark.parametrize("slug", JSON_SITES)
def test_html_where_json_was_promised_is_no_answer(slug):
    with Loopback(always(HTML)) as server, pytest.raises(Permanent) as caught:
        asked(slug, server)
    assert caught.value.code == "not_json"
    assert "Checking your browser" in caught.value.message


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b"[[1]]", b"7", b'"text"', b"true", b"{}", b"", b"\xff\xfe"]
)
@pytest.mark.parametrize("slug", NETWORK)
def test_an_answer_of_another_shape_is_no_result_or_an_error_of_ours(slug, body):
    with Loopback(always(Reply(200, body))) as server:
        ended = outcome(slug, server)
    assert ended == [] or (isinstance(ended, PipelineError) and not isinstance(ended, Retryable))


@pytest.mark.parametrize("slug", NETWORK)
def test_a_search_that_is_cut_off_is_tried_again(slug):
    with Loopback(always(Reply(200, b'{"a"', promise=1000))) as server, pytest.raises(Retryable):
        asked(slug, server)


def _changed(item: Any, change: Callable[[Any], Any]) -> Iterator[Any]:
    """The item with one of its values, at any depth, changed; every one in turn."""
    for path in _paths(item):
        other = copy.deepcopy(item)
        place = other
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = change(place[path[-1]])
        yield other


def _paths(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from _paths(value, (*path, key))


@pytest.mark.parametrize("odd", [None, [], {}, 7, "x", True], ids=repr)
@pytest.mark.parametrize("slug", list(SITES))
def test_any_field_may_hold_nothing_or_something_else(slug, odd):
    source = opened(slug, type("Nowhere", (), {"host": "127.0.0.1:9", "url": "http://127.0.0.1:9"}))
    assert source.parse(copy.deepcopy(SITES[slug].item)) is not None
    for item in [odd, *_changed(SITES[slug].item, lambda value: odd)]:
        readable(source.parse(item))


@pytest.mark.parametrize("slug", [slug for slug, site in SITES.items() if site.stated])
def test_an_item_without_a_licence_is_no_candidate(slug):
    source = opened(slug, type("Nowhere", (), {"host": "127.0.0.1:9", "url": "http://127.0.0.1:9"}))

    def bare(node):
        if isinstance(node, dict):
            return {key: bare(value) for key, value in node.items() if key not in SITES[slug].stated}
        return [bare(one) for one in node] if isinstance(node, list) else node

    assert source.parse(bare(SITES[slug].item)) is None


# -- files ------------------------------------------------------------------------------------------


class Wire:
    """A server that says what it likes, byte by byte, to whoever connects."""

    def __init__(self, say: Callable[[socket.socket, threading.Event], None]) -> None:
        self._say, self._over = say, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.host}"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._speak, args=(conn,), daemon=True).start()

    def _speak(self, conn: socket.socket) -> None:
        with conn, contextlib.suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += conn.recv(4096)
            if b"/robots.txt" in asked:
                conn.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            self._say(conn, self._over)


def endless(conn, over):
    conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not over.is_set():
        conn.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def dripping(conn, over):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not over.wait(0.02):
        conn.sendall(b"x")


def candidate(slug, url):
    kind = SITES[slug].kind if slug in SITES else SOURCES.get(slug).kinds[0]
    return Candidate(
        source=slug, foreign_id="1", kind=kind, title="Rain", landing_url="https://site.example/1", media_url=url,
        creator=None, creator_url=None, licence=parse_licence(CC0), raw_licence=CC0,
    )  # fmt: skip


def fetched(slug, server, folder, path="/1.jpg", **kw):
    source = opened(slug, server, timeout=(2, 2), **kw)
    source.fetch(candidate(slug, f"{server.url}{path}"), folder / "file", LIMIT)


def nothing_kept(folder):
    return list(folder.iterdir()) == []


@pytest.mark.parametrize("slug", NETWORK)
def test_a_file_that_is_well_is_kept(slug, tmp_path):
    body = HEADS[candidate(slug, "").kind]
    with Loopback(always(Reply(200, body, "application/octet-stream"))) as server:
        fetched(slug, server, tmp_path)
    assert (tmp_path / "file").read_bytes() == body
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "inner",
    ["http://10.0.0.1/a", "http://169.254.169.254/latest/meta-data", "http://[::1]/a", "file:///etc/passwd"],
)
@pytest.mark.parametrize("slug", NETWORK)
def test_a_file_that_leads_inside_is_not_followed(slug, inner, tmp_path):
    with (
        Loopback(always(Reply(302, headers={"Location": inner}))) as server,
        pytest.raises(Permanent) as caught,
    ):
        fetched(slug, server, tmp_path)
    assert caught.value.code == "address_refused"
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize("slug", NETWORK)
def test_ten_gigabytes_are_refused_before_they_come(slug, tmp_path):
    with (
        Loopback(always(Reply(200, b"\xff\xd8\xff", "image/jpeg", promise=10 << 30))) as server,
        pytest.raises(Permanent) as caught,
    ):
        fetched(slug, server, tmp_path)
    assert caught.value.code == "too_large"
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize("slug", NETWORK)
def test_a_file_without_an_end_is_left_at_the_limit(slug, tmp_path):
    with Wire(endless) as server, pytest.raises(Permanent) as caught:
        fetched(slug, server, tmp_path)
    assert caught.value.code == "too_large"
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize("slug", NETWORK)
def test_a_web_page_named_like_a_picture_is_none(slug, tmp_path):
    with Loopback(always(HTML)) as server, pytest.raises(Permanent, match="web page") as caught:
        fetched(slug, server, tmp_path)
    assert caught.value.code == "wrong_kind"
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize("slug", NETWORK)
def test_a_file_that_is_cut_off_for_good_leaves_nothing(slug, tmp_path):
    body = HEADS[candidate(slug, "").kind]
    with Loopback(always(Reply(200, body, promise=9000))) as server, pytest.raises(Retryable):
        fetched(slug, server, tmp_path)
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize("slug", NETWORK)
def test_a_file_that_drips_is_left_when_its_time_is_up(slug, tmp_path):
    began = time.monotonic()
    with Wire(dripping) as server, pytest.raises(Retryable):
        fetched(slug, server, tmp_path, deadline=0.3)
    assert time.monotonic() - began < 5
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize("slug", NETWORK)
def test_a_file_that_is_gone_is_not_asked_for_for_ever(slug, tmp_path):
    with Loopback(always(Reply(404, b"gone", "text/html"))) as server, pytest.raises(PipelineError) as caught:
        fetched(slug, server, tmp_path)
    assert not isinstance(caught.value, Retryable)
    assert nothing_kept(tmp_path)


def test_no_key_shows_in_any_error_of_any_source():
    said = {}
    for slug in NETWORK:
        answers = [Reply(403, b"no"), Reply(500), Reply(200, b"null"), Reply(429, b"slow"), Reply(400, b"?")]
        for answer in answers:
            with Loopback(always(answer)) as server:
                said.setdefault(slug, []).append(repr(outcome(slug, server)))
    for slug in NETWORK:
        assert len(said[slug]) == 5
        assert SITES[slug].key not in "".join(said[slug])
