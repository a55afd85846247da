"""The pages are made up after the two generations of markup that readers of the site wrote down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.licences import LicencePolicy
from scrapers.base import Candidate, Query
from scrapers.sources.soundbible import SoundBible
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, settings

MP3 = b"ID3\x03\0\0\0\0\0\0" + b"\0" * 64
ROBOTS = Reply(200, b"User-agent: *\nDisallow: /admin", "text/plain")


def newer(
    number=4711, licence="License: Attribution 3.0", by="Recorded by Jane Doe", title="Harbour Bell", extra=""
):
    return f"""<html><head><title>{title} Sounds | Free</title><meta name="keywords" content="bell, harbour,  ship,,"></head>
    <body><nav><a href="free-sound-effects-1.html">License: none</a></nav>
    <section id="course-details"><div class="col-lg-8"><h2>{title}</h2>
    <p>Title: {title}</p><p>About: A bell on a pier, recorded by night.</p>
    <p>Uploaded: 11.14.09 | {licence} | {by} | File Size: 163 KB | Downloads: 1,234</p>
    <span class="total-time">0:07</span>
    <audio><source src="mp3/Harbour_Bell-Jane_Doe-555.mp3" type="audio/mpeg"></audio>
    <a href="grab.php?id={number}&amp;type=mp3"><img src="a.png"></a>
    <a href="grab.php?id={number}&amp;type=wav"><img src="b.png"></a>{extra}
    </div></section></body></html>"""


def older(
    licence="<b>License:</b> <a href='http://creativecommons.org/licenses/by/3.0/'>Attribution 3.0</a>",
):
    return f"""<HTML><BODY><TABLE><TR><TD><H1>Foghorn</H1>
    <B>Title:</B> Foghorn<BR><B>Uploaded:</B> 02.03.08<BR>{licence}<BR>Recorded by Ann Other<BR>
    <B>File Size:</B> 1 MB<BR><A HREF="/grab.php?id=99&type=mp3">mp3</A>
    <A HREF="/grab.php?id=12&type=wav">another sound</A></TD></TR></TABLE>
    <h3><a href="12-Bell.html">Bell</a></h3>License: Public Domain</BODY></HTML>"""


def listing(*names):
    cards = "".join(f'<div><h3><a href="{name}">x</a></h3></div>' for name in names)
    return f'<html><body><a href="about.html">About</a>{cards}<h3><a href="https://elsewhere.example/5-X.html">x</a></h3></body></html>'


def html(text, status=200):
    return Reply(status, text.encode(), "text/html; charset=utf-8")


def source(server, **kw):
    return SoundBible(client(server), settings(**kw), base_url=server.url)


@pytest.fixture(autouse=True)
def _on(monkeypatch):
    monkeypatch.setenv("SOUNDBIBLE_ENABLED", "true")


def parse(page, url="https://soundbible.com/4711-Harbour-Bell.html"):
    return SoundBible(client(), settings()).parse({"url": url, "html": page})


def test_it_is_off_until_an_operator_accepts_what_it_does(monkeypatch):
    monkeypatch.delenv("SOUNDBIBLE_ENABLED")
    assert "SOUNDBIBLE_ENABLED=true" in SoundBible.enabled(settings())
    with pytest.raises(Misconfigured, match="robots"):
        SoundBible(client(), settings()).search(Query(("rain",), kind="audio"))
    assert (SoundBible.limits.per_minute, SoundBible.limits.cache_seconds) == (9, 7 * 86400)


def test_a_page_of_the_newer_markup_is_read_field_by_field():
    found = parse(newer())
    assert (found.foreign_id, found.kind, found.title) == ("4711", "audio", "Harbour Bell")
    assert (found.creator, found.licence.id, found.raw_licence) == (
        "Jane Doe",
        "CC-BY-3.0",
        "Attribution 3.0",
    )
    assert found.media_url == "https://soundbible.com/grab.php?id=4711&type=wav"
    assert (found.mime, found.duration, found.popularity) == ("audio/wav", 7.0, 1234)
    assert found.tags == ("bell", "harbour", "ship")
    assert found.description == "A bell on a pier, recorded by night."
    assert found.attribution == '"Harbour Bell" recorded by Jane Doe (SoundBible.com), CC BY 3.0'
    assert found.landing_url == "https://soundbible.com/4711-Harbour-Bell.html"


def test_a_page_of_the_older_markup_is_read_by_the_same_labels():
    found = parse(older(), "http://soundbible.com/99-Foghorn.html")
    assert (found.foreign_id, found.title, found.creator) == ("99", "Foghorn", "Ann Other")
    assert (found.licence.id, found.mime) == ("CC-BY-3.0", "audio/mpeg")
    assert found.media_url == "http://soundbible.com/grab.php?id=99&type=mp3"


@pytest.mark.parametrize(("said", "spdx", "passes"), [
    ("License: Public Domain", "LicenseRef-Public-Domain", True),
    ("License: Attribution 3.0", "CC-BY-3.0", True),
    ("LICENCE : attribution 3.0", "CC-BY-3.0", True),
    ("License: Noncommercial 3.0", "CC-BY-NC-3.0", False),
    ("License: Sampling Plus 1.0", "LicenseRef-CC-Sampling-Plus-1.0", False),
    ("License: Personal Use Only", "LicenseRef-Unknown", False),
    ("License: Personal Use Only <a href='http://creativecommons.org/licenses/by/3.0/'>cc</a>", "LicenseRef-Unknown", False),
    ("License: Attribution <a href='http://creativecommons.org/licenses/by/3.0/'>cc</a>", None, False),
    ("License: Attribution", "LicenseRef-Unknown", False),
    ("License: Attribution 3.0 <a href='http://creativecommons.org/licenses/by-nc/3.0/'>deed</a>", None, False),
])  # fmt: skip
def test_the_licence_is_what_the_label_says(said, spdx, passes):
    found = parse(newer(licence=said))
    if spdx is not None:
        assert found.licence.id == spdx
    assert LicencePolicy().verdict(found.licence).ok == passes


@pytest.mark.parametrize("said", ["", "License:", "License: |", "Price: free"])
def test_without_a_stated_licence_there_is_no_candidate(said):
    assert parse(newer(licence=said)) is None


def test_the_licence_of_another_sound_on_the_page_is_not_taken():
    related = "<h3>More</h3><p>Title: Other</p><p>License: Public Domain</p>"
    assert parse(newer(licence="Rights: see below", extra=related)) is None
    assert parse(newer(licence="Rights", extra="<p>Title: Other | License: Public Domain</p>")) is None
    assert parse(newer(extra=related)).licence.id == "CC-BY-3.0"


def test_a_file_is_the_one_of_this_sound_or_a_preview_of_it():
    assert parse(newer(number=12)).is_preview  # the links are another sound's
    assert (
        parse(newer().replace("grab.php", "get.php").replace("<audio>", "<p>").replace("source", "b")) is None
    )


def test_author_and_title_may_be_missing():
    found = parse(newer(by="", title=""))
    assert (found.creator, found.title) == (None, "Harbour Bell")
    assert found.attribution == '"Harbour Bell" (SoundBible.com), CC BY 3.0'


def test_a_search_reads_the_list_and_then_the_pages_of_sounds():
    pages = {
        "/robots.txt": ROBOTS,
        "/search.php": html(listing("4711-Harbour-Bell.html", "/4711-Harbour-Bell.html", "99-Foghorn.html", "5-Gone.html")),
        "/4711-Harbour-Bell.html": html(newer()),
        "/99-Foghorn.html": html(older("no licence at all")),
        "/5-Gone.html": html("<p>gone</p>", 404),
    }  # fmt: skip
    with Loopback(lambda ask: pages[ask.path]) as server:
        found = source(server).search(Query(("harbour", "bell"), kind="audio"))
        assert [ask.path for ask in server.asks] == [
            "/robots.txt",
            "/search.php",
            "/4711-Harbour-Bell.html",
            "/99-Foghorn.html",
            "/5-Gone.html",
        ]
        assert server.asks[1].query == {"q": "harbour bell"}
    assert [c.foreign_id for c in found] == ["4711"]


@pytest.mark.parametrize("page", ["<html></html>", listing(), "<p>No sounds found</p>"])
def test_nothing_found_is_no_error(page):
    with Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else html(page)) as server:
        assert source(server).search(Query(("rain",), kind="audio")) == []


def test_robots_txt_may_forbid_the_search():
    robots = Reply(200, b"User-agent: *\nDisallow: /*?q=", "text/plain")
    with Loopback(lambda ask: robots if ask.path == "/robots.txt" else html(listing())) as server:
        with pytest.raises(Permanent, match="robots"):
            source(server).search(Query(("rain",), kind="audio"))
        assert len(server.asks) == 1


def test_one_sound_is_named_by_its_page():
    with Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else html(newer())) as server:
        assert source(server).get("4711-Harbour-Bell").foreign_id == "4711"
        for name in ("4711", "../etc", "Harbour"):
            with pytest.raises(NotFound):
                source(server).get(name)
    with (
        Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else html("<p>x</p>", 404)) as server,
        pytest.raises(NotFound),
    ):
        source(server).get("4711-Harbour-Bell")


@pytest.mark.parametrize(("answer", "error", "code"), [
    (html("<!DOCTYPE html><p>Please wait</p>"), Permanent, "wrong_kind"),
    (Reply(200, MP3, "text/html"), None, None),
    (Reply(403, b"no", "text/html"), Retryable, "throttled"),
    (Reply(429, b"no", "text/html"), Retryable, "throttled"),
    (Reply(404, b"no", "text/html"), Permanent, "http_404"),
    (Reply(200, MP3, "audio/mpeg", promise=5000), Retryable, None),
])  # fmt: skip
def test_a_download_is_judged_by_its_bytes(tmp_path, answer, error, code):
    out = tmp_path / "sound"
    with Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else answer) as server:
        one = source(server)
        found = one.parse({"url": f"{server.url}/4711-Harbour-Bell.html", "html": newer()})
        if error is None:
            one.fetch(found, out, 10_000)
            assert out.read_bytes() == MP3
            return
        with pytest.raises(error) as caught:
            one.fetch(found, out, 10_000)
        if code:
            assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


words = st.sampled_from(
    ["License:", "Title:", "Recorded by", "About:", "Attribution 3.0", "Public Domain", "<p>", "</p>", "<h3>", "|", "<!", "<b", "&#1;",
     "<a href='grab.php?id=1&type=mp3'>", "<a href=http://[>", "<audio src=a.mp3>", "\n", "<script>", "Downloads: 9"]
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["url", "html", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@trying(deadline=None)
@given(
    anything
    | st.fixed_dictionaries(
        {
            "url": st.just("https://soundbible.com/1-A.html"),
            "html": st.lists(words, max_size=25).map(" ".join) | anything,
        }
    )
)
def test_whatever_comes_is_a_candidate_or_nothing(item):
    found = SoundBible(client(), settings()).parse(item)
    assert found is None or isinstance(found, Candidate)
    if found is not None:
        assert found.raw_licence
