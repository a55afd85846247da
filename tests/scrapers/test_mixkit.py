"""The pages are made up after what readers of the site wrote down of its markup."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from core.errors import NotFound, Permanent, Retryable
from core.licences import LicencePolicy
from scrapers.base import Candidate, Query
from scrapers.sources.mixkit import Mixkit
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, settings

FREE = '<p>Licensed under the <a href="/license/#videoFree">Mixkit Stock Video Free License</a></p>'
RESTRICTED = "<p>This item is under the Mixkit Restricted License: personal use.</p>"
FOOTER = '<footer>See the Mixkit Stock Video Free License <a href="/license/#videoFree">here</a></footer>'
CLIP = b"\0\0\0\x18ftypmp42" + b"\0" * 64


def option(number, size, label=None):
    pixels = f'<span class="video-item__download-resolution">{label}</span>' if label else ""
    return (
        f'<label><input name="download-option" data-label="{size}p" '
        f'value="https://assets.mixkit.co/videos/{number}/{number}-{size}.mp4">{pixels}</label>'
    )


def clip_page(number=8080, licence=FREE, options=None, **kw):
    options = options if options is not None else "".join(
        option(number, size, label) for size, label in ((2160, "3840x2160"), (720, "1280x720"), (1080, "1920x1080"), (360, "640x360"))
    )  # fmt: skip
    about = json.dumps(
        {"@context": "https://schema.org", "@graph": [{"@type": "VideoObject", "duration": "PT12S"}]}
    )
    return f"""<html><head><title>x</title><meta name="description" content="Waves  at a pier"><meta name="keywords" content="sea, pier">
    <meta property="og:image" content="https://assets.mixkit.co/videos/{number}/{number}-thumb-720-0.jpg">
    <script type="application/ld+json">{about}</script></head><body><header><a href="/license/#musicFree">Licenses</a></header>
    <main><h1>Waves at a pier</h1>{licence}<form>{options}</form>
    <video src="https://assets.mixkit.co/videos/{number}/{number}-360.mp4"></video></main>{FOOTER}</body></html>"""


def card(number, name="waves"):
    return f"""<div class="item-grid-video-player item-grid-video-player--4k" data-item-grid--video-player-item-id-value="{number}">
    <a class="item-grid-video-player__overlay-link" href="/free-stock-video/{name}-{number}/"></a></div><h2>x</h2>"""


def grid(*numbers, heading="Free Sea Videos"):
    return f"<html><body><h1>{heading}</h1>{''.join(card(n) for n in numbers)}</body></html>"


def track(**kw):
    facts = {
        "@type": "MusicRecording", "name": "Slow Harbour", "genre": ["Ambient", None, "Chill"], "byArtist": {"@type": "Person", "name": "Jane Doe"},
        "duration": "PT2M5S", "url": "https://assets.mixkit.co/music/77/77.mp3", "copyrightNotice": "Mixkit Stock Music Free License",
    }  # fmt: skip
    return {**facts, **kw}


def music_page(*tracks, broken=""):
    listed = [{"@type": "ListItem", "position": n, "item": one} for n, one in enumerate(tracks, 1)]
    data = json.dumps({"@context": "https://schema.org", "@type": "ItemList", "itemListElement": listed})
    return f'<html><head>{broken}<script type="application/ld+json">{data}</script></head><body><h1>Music</h1></body></html>'


def html(text, status=200):
    return Reply(status, text.encode(), "text/html; charset=utf-8")


ROBOTS = Reply(404, b"", "text/html")


@pytest.fixture(autouse=True)
def _on(monkeypatch):
    monkeypatch.setenv("MIXKIT_ENABLED", "true")


def source(server):
    return Mixkit(client(server), settings(), base_url=server.url)


def parse(page, url="https://mixkit.co/free-stock-video/waves-at-a-pier-8080/"):
    return Mixkit(client(), settings()).parse({"url": url, "html": page})


def parse_track(**kw):
    return Mixkit(client(), settings()).parse(
        {"url": "https://mixkit.co/free-stock-music/tag/sea/", "track": track(**kw)}
    )


def test_it_is_off_and_says_that_sending_files_by_hand_is_better(monkeypatch):
    monkeypatch.delenv("MIXKIT_ENABLED")
    said = Mixkit.enabled(settings())
    assert "upload the file with its page and licence" in said
    assert "MIXKIT_ENABLED=true" in said
    assert (Mixkit.limits.per_minute, Mixkit.limits.per_day) == (9, 15)


def test_a_clips_page_is_read_field_by_field():
    found = parse(clip_page())
    assert (found.foreign_id, found.kind, found.title) == ("video/8080", "clip", "Waves at a pier")
    assert found.media_url == "https://assets.mixkit.co/videos/8080/8080-1080.mp4"
    assert (found.width, found.height, found.duration, found.mime) == (1920, 1080, 12.0, "video/mp4")
    assert (found.licence.id, found.is_preview) == ("LicenseRef-Mixkit-Video-Free", False)
    assert (found.tags, found.description) == (("sea", "pier"), "Waves at a pier")
    assert found.preview_url.endswith("8080-thumb-720-0.jpg")
    assert found.landing_url == "https://mixkit.co/free-stock-video/waves-at-a-pier-8080/"


@pytest.mark.parametrize(("options", "width", "name"), [
    (option(8080, 720, "1280x720") + option(8080, 360, "640x360"), 1280, "8080-720"),
    (option(8080, 2160, "3840 \u00d7 2160") + option(8080, 360, "640x360"), 3840, "8080-2160"),
    (option(8080, 1080, "1080x1920") + option(8080, 2160, "2160x3840"), 1080, "8080-1080"),
    (option(8080, 720, "2560x1440") + option(8080, 2160, "3840x2160"), 2560, "8080-720"),  # by pixels, not by label
    (option(8080, 2160) + option(8080, 1080), None, "8080-1080"),
    (option(1, 1080, "1920x1080"), None, "8080-360"),  # another clip's file: what the page plays is left
    ("", None, "8080-360"),
])  # fmt: skip
def test_the_smallest_file_offered_that_covers_the_frame_is_taken(options, width, name):
    found = parse(clip_page(options=options))
    assert (found.width, found.media_url) == (width, f"https://assets.mixkit.co/videos/8080/{name}.mp4")
    assert found.is_preview == ("-360" in name)


@pytest.mark.parametrize(("licence", "spdx", "passes"), [
    (FREE, "LicenseRef-Mixkit-Video-Free", True),
    ("<p>License: Mixkit Stock Video Free License</p>", "LicenseRef-Mixkit-Video-Free", True),
    ('<a href="https://mixkit.co/license/#videoFree">License</a>', "LicenseRef-Mixkit-Video-Free", True),
    (RESTRICTED, "LicenseRef-Mixkit-Restricted", False),
    (FREE + RESTRICTED, "LicenseRef-Mixkit-Restricted", False),
    (FREE + "<p>Mixkit Editorial License</p>", "LicenseRef-Unknown", False),
    ("<p>Mixkit Brand New License</p>", "LicenseRef-Unknown", False),
])  # fmt: skip
def test_the_licence_is_the_one_that_the_clips_page_shows(licence, spdx, passes):
    found = parse(clip_page(licence=licence))
    assert found.licence.id == spdx
    assert LicencePolicy().verdict(found.licence).ok == passes


def test_what_every_page_says_of_licences_is_not_this_clips():
    assert parse(clip_page(licence="")) is None
    assert parse(clip_page(licence='<p>See <a href="/license/">licences</a></p>')) is None


def test_a_track_is_read_from_the_linked_data():
    found = parse_track()
    assert (found.foreign_id, found.kind, found.title, found.creator) == (
        "music/77",
        "audio",
        "Slow Harbour",
        "Jane Doe",
    )
    assert (found.duration, found.tags) == (125.0, ("Ambient", "Chill"))
    assert (found.licence.id, found.media_url) == (
        "LicenseRef-Mixkit-Music-Free",
        "https://assets.mixkit.co/music/77/77.mp3",
    )


@pytest.mark.parametrize("wrong", [
    {"copyrightNotice": None}, {"copyrightNotice": "  "}, {"copyrightNotice": 7}, {"url": None}, {"url": "https://assets.mixkit.co/x.mp3"},
    {"url": ["x"]}, {"url": "javascript:x"},
])  # fmt: skip
def test_a_track_without_licence_or_file_is_none(wrong):
    assert parse_track(**wrong) is None


@pytest.mark.parametrize(("odd", "field", "value"), [
    ({"copyrightNotice": "All rights reserved"}, "raw_licence", "All rights reserved"),
    ({"byArtist": [{"name": "Ann"}]}, "creator", "Ann"), ({"byArtist": "Ann"}, "creator", "Ann"), ({"byArtist": None}, "creator", None),
    ({"genre": "Jazz"}, "tags", ("Jazz",)), ({"genre": None}, "tags", ()), ({"name": None}, "title", "Mixkit music 77"), ({"duration": 7}, "duration", None),
])  # fmt: skip
def test_odd_tracks_are_read_as_far_as_they_go(odd, field, value):
    assert getattr(parse_track(**odd), field) == value


def test_an_unknown_licence_passes_no_policy():
    assert not LicencePolicy().verdict(parse_track(copyrightNotice="All rights reserved").licence).ok


def test_a_search_for_clips_reads_a_list_and_a_few_pages_each_once():
    def answer(ask):
        if ask.path == "/robots.txt":
            return ROBOTS
        if ask.path == "/free-stock-video/sea-pier/":
            return html("<p>not here</p>", 404)
        if ask.path == "/free-stock-video/sea/":
            return html(grid(1, 2, 1, 3, 4, 5))
        number = ask.path.rstrip("/").rpartition("-")[2]
        return html(clip_page(number=number, licence=RESTRICTED if number == "2" else FREE))

    with Loopback(answer) as server:
        found = source(server).search(Query(("sea", "pier"), kind="clip"))
        assert [ask.path for ask in server.asks] == [
            "/robots.txt", "/free-stock-video/sea-pier/", "/free-stock-video/sea/", "/free-stock-video/waves-1/",
            "/free-stock-video/waves-2/", "/free-stock-video/waves-3/",
        ]  # fmt: skip
    assert [(c.foreign_id, c.licence.commercial_ok) for c in found] == [
        ("video/1", True),
        ("video/2", False),
        ("video/3", True),
    ]


def test_a_list_of_something_else_is_nothing_found():
    with Loopback(
        lambda ask: ROBOTS if ask.path == "/robots.txt" else html(grid(1, heading="Free Videos"))
    ) as server:
        assert source(server).search(Query(("zebra",), kind="clip")) == []


def test_a_search_for_music_reads_one_list():
    page = music_page(
        track(),
        track(url="https://assets.mixkit.co/music/78/78.mp3"),
        track(),
        broken='<script type="application/ld+json">{</script>',
    )
    with Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else html(page)) as server:
        found = source(server).search(Query(("calm", "sea"), kind="audio"))
        assert [ask.path for ask in server.asks] == ["/robots.txt", "/free-stock-music/tag/calm-sea/"]
    assert [c.foreign_id for c in found] == ["music/77", "music/78"]


def test_one_clip_is_named_by_its_page():
    with Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else html(clip_page())) as server:
        assert source(server).get("waves-at-a-pier-8080").foreign_id == "video/8080"
        for name in ("waves", "../../x", ""):
            with pytest.raises(NotFound):
                source(server).get(name)


@pytest.mark.parametrize(("answer", "error", "code"), [
    (Reply(403, b"no", "text/html"), Permanent, "gone"),
    (Reply(404, b"no", "text/html"), Permanent, "http_404"),
    (Reply(429, b"no", "text/html"), Retryable, "throttled"),
    (html("<html>challenge</html>"), Permanent, "wrong_kind"),
    (Reply(200, CLIP, "text/html"), None, None),
])  # fmt: skip
def test_a_download_is_judged_by_its_bytes_and_a_missing_size_ends_nothing(tmp_path, answer, error, code):
    with Loopback(lambda ask: ROBOTS if ask.path == "/robots.txt" else answer) as server:
        page = clip_page().replace("https://assets.mixkit.co", server.url)
        found = parse(page)
        if error is None:
            source(server).fetch(found, tmp_path / "clip", 10_000)
            assert (tmp_path / "clip").read_bytes() == CLIP
            return
        with pytest.raises(error) as caught:
            source(server).fetch(found, tmp_path / "clip", 10_000)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


names = st.sampled_from(
    ["url", "html", "track", "name", "genre", "byArtist", "duration", "copyrightNotice", "@id"]
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["https://a/music/1/1.mp3", "http://[", "//x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=10,
)
pieces = st.sampled_from([FREE, RESTRICTED, FOOTER, option(1, 1080, "1920x1080"), "<h1>", "</h1>", "<main>", "<video src=/videos/1/1-360.mp4>", "<!", "<a href='http://['>",
                          '<script type="application/ld+json">', "</script>", '{"@type": "VideoObject", "duration": []}', "[[[", "x"])  # fmt: skip
urls = st.sampled_from(["https://mixkit.co/free-stock-video/a-1/", "/free-stock-video/1", "http://[", "x"])


@trying(deadline=None)
@given(
    anything
    | st.fixed_dictionaries({"url": urls, "html": st.lists(pieces, max_size=12).map("".join)})
    | st.fixed_dictionaries({"url": urls, "track": st.dictionaries(names, anything, max_size=7)})
)
def test_whatever_comes_is_a_candidate_or_nothing(item):
    found = Mixkit(client(), settings()).parse(item)
    assert found is None or (isinstance(found, Candidate) and found.raw_licence)
