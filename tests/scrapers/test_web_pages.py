from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Permanent, Retryable
from core.http import PRODUCT
from scrapers.web_pages import REST_SECONDS, PageSource, link, read_rules, seconds_of, soup_of
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, settings


class Paper(PageSource):
    slug = "paper"
    kinds = ("audio",)


def serve(robots, page=None, hits=None):
    def answer(ask):
        if ask.path == "/robots.txt":
            return robots if isinstance(robots, Reply) else Reply(200, robots.encode(), "text/plain")
        return page or Reply(200, b"<p>Hello</p>", "text/html")

    return Loopback(answer)


def source(server, waits=None):
    return Paper(client(server, waits=waits), settings(), base_url=server.url)


@pytest.mark.parametrize(("robots", "path", "allowed"), [
    ("", "/a", True),
    ("User-agent: *\nDisallow:", "/a", True),
    ("User-agent: *\nDisallow: /", "/a", False),
    ("User-agent: *\nDisallow: /search", "/search.php?q=x", False),
    ("User-agent: *\nDisallow: /search", "/1-A.html", True),
    ("User-agent: *\nDisallow: /*?q=", "/search.php?q=x", False),
    ("User-agent: *\nDisallow: /*?q=", "/search.php", True),
    ("User-agent: *\nDisallow: /*.mp3$", "/mp3/a.mp3", False),
    ("User-agent: *\nDisallow: /*.mp3$", "/mp3/a.mp3x", True),
    ("User-agent: *\nAllow: /\nDisallow: /private", "/private/x", False),
    ("User-agent: *\nDisallow: /\nAllow: /public", "/public/x", True),
    ("User-agent: *\n\nDisallow: /a # all of it\n", "/a/b", False),
    ("User-agent: bad\nDisallow: /x\nUser-agent: *\nDisallow: /a", "/a", False),
    ("User-agent: Callsheet\nDisallow: /x\nUser-agent: *\nDisallow: /", "/a", True),
    ("User-agent: callsheet\nUser-agent: other\nDisallow: /a\n\nUser-agent: *\nAllow: /", "/a", False),
    ("\ufeffUSER-AGENT : *\nDISALLOW : /a", "/a", False),
    ("User-agent: *\nDisallow: /a%20b", "/a b", False),
    ("<html>not found</html>", "/a", True),
])  # fmt: skip
def test_robots_txt_is_read_as_rfc_9309_says(robots, path, allowed):
    where, _, query = path.partition("?")
    assert read_rules(robots, where, query).can_fetch(PRODUCT, path) == allowed


@given(st.text(alphabet="User-agent: *\nDisallow/ab$#?", max_size=120), st.text(max_size=20))
def test_no_robots_txt_breaks_the_reading(robots, path):
    assert read_rules(robots, f"/{path}").can_fetch(PRODUCT, f"/{path}") in (True, False)


def test_what_robots_txt_forbids_is_not_asked_for():
    with serve("User-agent: *\nDisallow: /a") as server:
        with pytest.raises(Permanent, match="robots") as caught:
            source(server).page(f"{server.url}/a/b")
        assert caught.value.code == "robots"
        assert [ask.path for ask in server.asks] == ["/robots.txt"]
        assert "Hello" in source(server).page(f"{server.url}/b")
        # read once for all that ask within a day
        assert [ask.path for ask in server.asks] == ["/robots.txt", "/b"]


@pytest.mark.parametrize(("robots", "asked"), [
    (Reply(404, b"", "text/plain"), True), (Reply(410, b"", "text/plain"), True), (Reply(500), False), (Reply(503), False),
    (Reply(200, b"User-agent", promise=400), False), (Reply(403), False), (Reply(429), False),
])  # fmt: skip
def test_without_a_robots_txt_a_site_is_asked_and_with_one_that_cannot_be_read_it_is_not(robots, asked):
    with serve(robots) as server:
        if asked:
            assert "Hello" in source(server).page(f"{server.url}/a")
        else:
            with pytest.raises(Retryable):
                source(server).page(f"{server.url}/a")
        assert ("/a" in {ask.path for ask in server.asks}) == asked


def test_a_longer_pause_than_is_kept_here_is_a_no():
    with serve("User-agent: *\nCrawl-delay: 30") as server, pytest.raises(Permanent, match="30 s"):
        source(server).page(f"{server.url}/a")
    with serve("User-agent: *\nCrawl-delay: 5") as server:
        assert source(server).page(f"{server.url}/a")


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_refusal_ends_the_source_for_hours_and_is_asked_once(status):
    waits = []
    with serve("", Reply(status, b"<p>no</p>", "text/html")) as server:
        with pytest.raises(Retryable) as caught:
            source(server, waits).page(f"{server.url}/a")
        assert [ask.path for ask in server.asks] == ["/robots.txt", "/a"]
    assert (caught.value.code, caught.value.retry_after, waits) == ("throttled", REST_SECONDS, [])


@pytest.mark.parametrize(("page", "text"), [
    (Reply(404, b"<p>x</p>", "text/html"), None),
    (Reply(200, "<p>Öl</p>".encode("latin-1"), "text/html; charset=ISO-8859-1"), "<p>Öl</p>"),
    (Reply(200, "<p>Öl</p>".encode(), "text/html"), "<p>Öl</p>"),
])  # fmt: skip
def test_a_page_is_text_or_not_there(page, text):
    with serve("", page) as server:
        assert source(server).page(f"{server.url}/a") == text


def test_what_is_no_page_is_said():
    with serve("", Reply(200, b'{"error": 1}')) as server, pytest.raises(Permanent) as caught:
        source(server).page(f"{server.url}/a")
    assert caught.value.code == "not_html"


@pytest.mark.parametrize(("said", "seconds"), [
    ("PT2M5S", 125.0), ("PT1H", 3600.0), ("P1DT1S", 86401.0), ("2:05", 125.0), (" 1:00:01 ", 3601.0), ("PT", None), ("", None),
    (None, None), (7, None), ("soon", None), ("0:00", None), ("PT0.5S", 0.5),
])  # fmt: skip
def test_durations_are_read(said, seconds):
    assert seconds_of(said) == seconds


def test_links_lead_to_the_web_or_nowhere():
    assert link("https://a.example/b/c.html", "d.html") == "https://a.example/b/d.html"
    for href in ("javascript:void(0)", "mailto:a@b", "", None, 7, "http://[bad", "data:text/html,x"):
        assert link("https://a.example/", href) is None


def test_a_page_nested_beyond_reason_is_read_or_left():
    soup = soup_of("<div>" * 20_000 + "x")
    assert soup is None or soup.get_text() == "x"
    assert soup_of(None) is soup_of("plain") is soup_of(7) is None


def test_what_was_read_before_the_time_was_up_is_kept():
    def answer(ask):
        if ask.path == "/slow":
            return Reply(429, b"<p>x</p>", "text/html", {"Retry-After": "4000"})
        return Reply(200, b"" if ask.path == "/robots.txt" else b"<p>Hello</p>", "text/html")

    class Patient(Paper):
        def page(self, url, params=None):
            if url.endswith("/late"):
                raise Retryable("no time left", code="too_slow", retry_after=60.0)
            return super().page(url, params)

    with Loopback(answer) as server:
        one = Patient(client(server), settings(), base_url=server.url)
        assert len(list(one.items([f"{server.url}/a", f"{server.url}/late", f"{server.url}/b"]))) == 1
        with pytest.raises(Retryable):
            list(one.items([f"{server.url}/late"]))
        with pytest.raises(Retryable, match="429"):  # a refusal is told, whatever was read before
            list(one.items([f"{server.url}/a", f"{server.url}/slow"]))
