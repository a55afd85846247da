from __future__ import annotations

import logging
import time
from dataclasses import replace

import pytest
from hypothesis import given

from core.errors import Misconfigured, NotFound, Permanent, Rejected, Retryable
from core.licences import LicencePolicy
from scrapers.base import Candidate, Query
from scrapers.sources.pixabay import LINKS_LAST, Pixabay
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, picture, readable, reply, settings
from tests.scrapers.recorded import Recorded, found_in

KEY = "4711000-c0ffee5ecre7"


def image(number=1, **kw):
    return {
        "id": number, "pageURL": f"https://pixabay.com/photos/quiet-lake-dawn-{number}/", "type": "photo",
        "tags": "lake, dawn,  still water", "previewURL": f"https://cdn.pixabay.com/photo/lake-{number}_150.jpg",
        "previewWidth": 150, "previewHeight": 100, "webformatURL": f"https://pixabay.com/get/g{number}_640.jpg",
        "webformatWidth": 640, "webformatHeight": 427, "largeImageURL": f"https://pixabay.com/get/g{number}_1280.jpg",
        "imageWidth": 6000, "imageHeight": 4000, "imageSize": 4731420, "views": 9, "downloads": 8, "collections": 7,
        "likes": 6, "comments": 5, "user_id": 48777, "user": "Josch13", "userImageURL": "",
    } | kw  # fmt: skip


def rendition(width, height, size=1000, **kw):
    facts = {
        "url": f"https://cdn.pixabay.com/video/1_{width}.mp4", "width": width, "height": height, "size": size,
        "thumbnail": f"https://cdn.pixabay.com/video/1_{width}.jpg",
    }  # fmt: skip
    return facts | kw


def video(number=1, **kw):
    return {
        "id": number, "pageURL": f"https://pixabay.com/videos/waves-on-a-shore-{number}/", "type": "film",
        "tags": "waves, shore", "duration": 12, "views": 4, "downloads": 3, "likes": 2, "comments": 1,
        "user_id": 1281706, "user": "Coverr-Free-Footage", "userImageURL": "",
        "videos": {
            "large": {"url": "", "width": 0, "height": 0, "size": 0, "thumbnail": ""},
            "medium": rendition(1920, 1080), "small": rendition(1280, 720), "tiny": rendition(640, 360),
        },
    } | kw  # fmt: skip


def text(status, said, **headers):
    return Reply(status, said.encode(), "text/plain; charset=utf-8", headers)


class Site:
    """Pixabay's rules: a key in the query, 3 to 200 a page, 500 in all, errors in plain text."""

    def __init__(self, total=1200, **more):
        self.total, self.more = total, more

    def __call__(self, ask):
        if ask.query.get("key") != KEY:
            return text(400, "[ERROR 400] Invalid or missing API key (https://pixabay.com/api/docs/).")
        make = {"/api/": image, "/api/videos/": video}[ask.path]
        if ident := ask.query.get("id"):
            return reply({"total": 1, "totalHits": 1, "hits": [make(int(ident), **self.more)]})
        size, page = int(ask.query["per_page"]), int(ask.query["page"])
        if not 3 <= size <= 200:
            return text(400, '[ERROR 400] "per_page" is out of valid range.')
        assert len(ask.query["q"]) <= 100
        reachable = min(500, self.total)
        if page > max(1, -(-reachable // size)):
            return text(400, '[ERROR 400] "page" is out of valid range.')
        numbers = range(size * (page - 1), min(size * page, reachable))
        hits = [make(n + 1, **self.more) for n in numbers]
        return reply({"total": self.total, "totalHits": reachable, "hits": hits})


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setenv("PIXABAY_API_KEY", KEY)

    def make(server=None, waits=None, files=None):
        servers = [one for one in (server, files) if one]
        at = f"{server.url}/api" if server else None
        return Pixabay(client(*servers, waits=waits), settings(), base_url=at)

    return make


def test_it_is_on_with_a_key_and_its_answers_are_kept_for_a_day():
    assert "PIXABAY_API_KEY" in Pixabay.enabled(settings())
    assert Pixabay.limits.cache_seconds == 86_400
    assert Pixabay.limits.per_minute == 100


def test_it_is_asked_with_every_filter_it_has(source):
    with Loopback(Site()) as server:
        one = source(server)
        found = one.search(Query(("quiet", "lake"), limit=5, orientation="portrait", width=1080, height=1920))
        one.search(Query(("lake",), limit=1, orientation="square"))
        one.search(Query(("waves",), "clip", limit=12))
    assert [c.foreign_id for c in found] == [f"photo/{n}" for n in range(1, 6)]
    asked = [(ask.path, {k: v for k, v in ask.query.items() if k != "key"}) for ask in server.asks]
    safe = {"safesearch": "true", "page": "1"}
    assert asked == [
        ("/api/", {"q": "quiet lake", "per_page": "5", "image_type": "photo", "orientation": "vertical",
                   "min_width": "1080", "min_height": "1080", **safe}),
        ("/api/", {"q": "lake", "per_page": "3", "image_type": "photo", **safe}),
        ("/api/videos/", {"q": "waves", "per_page": "12", **safe}),
    ]  # fmt: skip
    assert {ask.query["key"] for ask in server.asks} == {KEY}


@pytest.mark.parametrize(
    ("total", "limit", "pages", "got"),
    [(34436, 1000, 3, 500), (400, 1000, 2, 400), (401, 1000, 3, 401), (7, 20, 1, 7), (0, 20, 1, 0)],
)
def test_no_page_beyond_what_can_be_reached_is_asked_for(source, total, limit, pages, got):
    with Loopback(Site(total)) as server:
        assert len(source(server).search(Query(("lake",), limit=limit))) == got
    assert [ask.query["page"] for ask in server.asks] == [str(n + 1) for n in range(pages)]


def test_a_page_out_of_range_is_an_end_and_no_error(source):
    pages = [reply({"totalHits": 500, "hits": [image(n) for n in range(1, 4)]})]
    past = text(400, '[ERROR 400] "page" is out of valid range.')
    with Loopback(lambda ask: pages.pop() if pages else past) as server:
        assert len(source(server).search(Query(("lake",), limit=30))) == 3
    assert len(server.asks) == 2


def test_a_long_query_is_cut_between_words(source):
    with Loopback(Site()) as server:
        source(server).search(Query(("extraordinarily", "long words " * 20)))
        source(server).search(Query(("x" * 300,)))
    assert server.asks[0].query["q"] == ("extraordinarily" + " long words" * 20)[:97].strip()
    assert server.asks[1].query["q"] == "x" * 100


def test_of_many_videos_those_of_the_wanted_shape_come_first(source):
    tall = {"videos": {"medium": rendition(1080, 1920)}}
    hits = [video(1), video(2, **tall), video(3), video(4, duration=2, **tall), video(5, **tall)]
    with Loopback(lambda ask: reply({"totalHits": 5, "hits": hits})) as server:
        found = source(server).search(
            Query(("waves",), "clip", limit=3, orientation="portrait", min_duration=5)
        )
    assert [c.foreign_id for c in found] == ["video/2", "video/5", "video/1"]
    assert server.asks[0].query["per_page"] == "200"


# -- one item --------------------------------------------------------------------------------


def test_a_picture_has_the_size_of_the_file_that_a_plain_key_gets(source):
    found = source().parse(image(195893))
    assert found == Candidate(
        source="pixabay",
        foreign_id="photo/195893",
        kind="image",
        title="Quiet lake dawn",
        landing_url="https://pixabay.com/photos/quiet-lake-dawn-195893/",
        media_url="https://pixabay.com/get/g195893_1280.jpg",
        creator="Josch13",
        creator_url="https://pixabay.com/users/Josch13-48777/",
        licence=found.licence,
        raw_licence="Pixabay Content License",
        width=1280,
        height=853,
        size=None,
        mime="image/jpeg",
        tags=("lake", "dawn", "still water"),
        attribution="Josch13 / Pixabay (https://pixabay.com/photos/quiet-lake-dawn-195893/)",
        preview_url="https://cdn.pixabay.com/photo/lake-195893_150.jpg",
        popularity=8,
        is_preview=True,
    )
    assert (found.licence.id, found.licence.url) == (
        "LicenseRef-Pixabay-Content",
        "https://pixabay.com/service/license-summary/",
    )
    assert LicencePolicy().verdict(found.licence).ok


FULL = {"imageURL": "https://pixabay.com/get/o.jpg", "fullHDURL": "https://pixabay.com/get/f_1920.jpg"}


@pytest.mark.parametrize(
    ("links", "url", "size", "is_preview"),
    [
        (FULL, "https://pixabay.com/get/o.jpg", (6000, 4000), False),
        ({**FULL, "imageURL": None}, "https://pixabay.com/get/f_1920.jpg", (1920, 1280), True),
        ({"largeImageURL": ""}, "https://pixabay.com/get/g1_960.jpg", (960, 640), True),
        ({"imageWidth": 800, "imageHeight": 1000}, "https://pixabay.com/get/g1_1280.jpg", (800, 1000), False),
        ({"imageWidth": None}, "https://pixabay.com/get/g1_1280.jpg", (None, None), True),
    ],
)
def test_the_best_picture_there_is_is_taken_with_its_own_size(source, links, url, size, is_preview):
    found = source().parse(image(**links))
    assert (found.media_url, (found.width, found.height), found.is_preview) == (url, size, is_preview)
    assert found.size == (4731420 if url.endswith("o.jpg") else None)


def test_a_video_is_chosen_by_pixels_and_an_empty_large_one_is_none(source):
    found = source().parse(video(125))
    assert (found.foreign_id, found.kind, found.title, found.duration) == (
        "video/125",
        "clip",
        "Waves on a shore",
        12.0,
    )
    assert (found.media_url, found.width, found.height, found.size, found.mime) == (
        "https://cdn.pixabay.com/video/1_1920.mp4",
        1920,
        1080,
        1000,
        "video/mp4",
    )
    assert found.preview_url == "https://cdn.pixabay.com/video/1_1280.jpg"
    assert (
        found.attribution
        == "Coverr-Free-Footage / Pixabay (https://pixabay.com/videos/waves-on-a-shore-125/)"
    )
    odd = {"tiny": rendition(3840, 2160), "large": rendition(640, 360), "medium": None}
    assert source().parse(video(videos=odd)).width == 3840


def test_a_video_is_as_large_as_the_frame_needs(source):
    with Loopback(Site(1)) as server:
        (found,) = source(server).search(Query(("waves",), "clip", width=1280, height=720))
    assert (found.width, found.height) == (1280, 720)


def test_an_old_video_has_its_picture_by_number_and_a_title_from_its_tags(source):
    bare = rendition(1280, 720)
    del bare["thumbnail"]
    old = video(
        125, pageURL="https://pixabay.com/videos/id-125/", picture_id="529927645", videos={"small": bare}
    )
    found = source().parse(old)
    assert (found.title, found.preview_url) == (
        "Waves, shore",
        "https://i.vimeocdn.com/video/529927645_640x360.jpg",
    )


@pytest.mark.parametrize(
    "item",
    [
        None, 5, [], "x", {}, image(id=None), image(id="abc"), image(pageURL=""), image(pageURL="ftp://x/1"),
        image(largeImageURL=None, webformatURL=None), video(videos={}), video(videos={"large": {"url": ""}}),
        video(videos={"large": rendition(0, 0)}), video(videos={"large": rendition(None, 720)}),
    ],
)  # fmt: skip
def test_what_has_no_id_no_page_or_no_file_is_refused(source, item):
    assert source().parse(item) is None


@given(item=mangled(video()) | mangled(image()))
def test_nothing_that_json_can_hold_breaks_the_reading(item):
    found = Pixabay(client(), settings()).parse(item)
    readable(found)


@pytest.mark.parametrize(
    "data", [{}, {"hits": None}, {"hits": [None, 3], "totalHits": None}, {"hits": "x", "totalHits": "many"}]
)
def test_odd_or_empty_answers_are_no_result(source, data):
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("lake",))) == []


def test_one_item_is_found_by_kind_and_id(source):
    with Loopback(Site()) as server:
        one = source(server)
        assert one.get("7").foreign_id == one.get("photo/7").foreign_id == "photo/7"
        assert one.get("video/8").foreign_id == "video/8"
        for wrong in ("photo/x", "../8", "image/7/8", ""):
            with pytest.raises(NotFound):
                one.get(wrong)
    assert [ask.query.get("id") for ask in server.asks] == ["7", "7", "8"]


@pytest.mark.parametrize(
    "answer", [reply({"hits": []}), reply({"hits": [image(8)]}), text(400, '[ERROR 400] "id" is invalid.')]
)
def test_an_item_that_is_not_there_is_not_found(source, answer):
    with Loopback(lambda ask: answer) as server, pytest.raises(NotFound):
        source(server).get("photo/7")


# -- files whose links end -------------------------------------------------------------------


def lake(files, name="old"):
    return {"largeImageURL": f"{files.url}/get/{name}.jpg", "imageWidth": 1280, "imageHeight": 853}


@pytest.mark.parametrize("gone", [400, 403, 404, 410])
def test_a_link_that_is_refused_is_asked_for_again_once(source, tmp_path, gone):
    def give(ask):
        return Reply(200, picture(), "image/jpeg") if ask.path == "/get/new.jpg" else text(gone, "expired")

    with Loopback(give) as files, Loopback(Site(**lake(files, "new"))) as server:
        one = source(server, files=files)
        one.fetch(one.parse(image(7, **lake(files))), tmp_path / "a.jpg", 10**6)
        assert (tmp_path / "a.jpg").read_bytes() == picture()
    assert [ask.path for ask in files.asks] == ["/get/old.jpg", "/get/new.jpg"]
    assert [ask.query["id"] for ask in server.asks] == ["7"]


def test_an_old_candidate_is_asked_for_again_before_its_link_is_tried(source, tmp_path):
    jpeg = Reply(200, picture(), "image/jpeg")
    with Loopback(lambda ask: jpeg) as files, Loopback(Site(1, **lake(files))) as server:
        one = source(server, files=files)
        (found,) = one.search(Query(("lake",)))
        assert 0 < found.expires_at - time.time() <= LINKS_LAST
        one.fetch(found, tmp_path / "a.jpg", 10**6)
        assert len(server.asks) == 1
        kept = Candidate.from_json(replace(found, expires_at=time.time() - 1).to_json())
        one.fetch(kept, tmp_path / "b.jpg", 10**6)
    assert [ask.query.get("id") for ask in server.asks] == [None, "1"]
    assert all("key" not in ask.query for ask in files.asks)


def test_a_link_that_stays_refused_is_no_file(source, tmp_path):
    with Loopback(lambda ask: text(404, "gone")) as files, Loopback(Site(**lake(files))) as server:
        one = source(server, files=files)
        with pytest.raises(Permanent):
            one.fetch(one.parse(image(7, **lake(files))), tmp_path / "a.jpg", 10**6)
    assert (len(files.asks), len(server.asks)) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_moved_is_fetched_again_at_the_size_it_was_chosen_for(source, tmp_path):
    def give(ask):
        return text(404, "") if "old" in ask.path else Reply(200, b"\0\0\0\x18ftypmp42....", "video/mp4")

    with Loopback(give) as files:
        fresh = {
            "videos": {
                str(w): rendition(w, h, url=f"{files.url}/{w}.mp4") for w, h in ((640, 360), (1280, 720))
            }
        }
        old = video(7, videos={"tiny": rendition(640, 360, url=f"{files.url}/old.mp4")})
        with Loopback(Site(**fresh)) as server:
            one = source(server, files=files)
            one.fetch(one.parse(old), tmp_path / "a.mp4", 10**6)
    assert [ask.path for ask in files.asks] == ["/old.mp4", "/640.mp4"]


# -- trouble ---------------------------------------------------------------------------------


def test_a_bad_key_is_a_400_and_names_its_setting(source, monkeypatch):
    monkeypatch.setenv("PIXABAY_API_KEY", "not-the-right-one")
    with Loopback(Site()) as server:
        one = Pixabay(client(server), settings(), base_url=f"{server.url}/api")
        with pytest.raises(Misconfigured, match="PIXABAY_API_KEY") as caught:
            one.search(Query(("lake",)))
    assert "not-the-right-one" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-RateLimit-Reset": "47"}, 47),
        ({}, 60),
        ({"Retry-After": "90"}, 90),
        ({"X-RateLimit-Reset": "x"}, 60),
    ],
)
def test_the_reset_is_in_seconds(source, headers, wait):
    full = text(429, "API rate limit exceeded", **headers)
    with Loopback(lambda ask: full) as server, pytest.raises(Retryable) as caught:
        source(server).search(Query(("lake",)))
    assert (caught.value.code, caught.value.retry_after) == ("throttled", wait)


def test_a_short_wait_is_waited_for(source):
    waits, answers = (
        [],
        [text(429, "API rate limit exceeded", **{"X-RateLimit-Reset": "3"}), reply({"hits": []})],
    )
    with Loopback(lambda ask: answers.pop(0)) as server:
        assert source(server, waits).search(Query(("lake",))) == []
    assert waits == [3]


TROUBLE = [
    (text(400, '[ERROR 400] "per_page" is out of valid range.'), Rejected),
    (text(400, f"[ERROR 400] Invalid or missing API key {KEY}."), Misconfigured),
    (text(401, f"no {KEY}"), Misconfigured),
    (text(403, f"https://pixabay.com/api/?key={KEY}&q=lake"), Misconfigured),
    (text(404, f"nothing at {KEY}"), Permanent),
    (text(429, f"API rate limit exceeded for {KEY}"), Retryable),
    (text(500, f"boom {KEY}"), Retryable),
    (text(503, f"<html>{KEY}</html>"), Retryable),
    (Reply(200, f"<html>{KEY}</html>".encode(), "text/html"), Permanent),
    (Reply(200, f'"{KEY}"'.encode()), Permanent),
    (Reply(200, f'{{"{KEY}": [3'.encode(), promise=500), Retryable),
    (Reply(302, headers={"Location": f"http://10.0.0.1/?key={KEY}"}), Permanent),
    (Reply(302, headers={"Location": f"ftp://x.example/?key={KEY}"}), Permanent),
]


@pytest.mark.parametrize(("answer", "error"), TROUBLE)
@pytest.mark.parametrize("way", ["search", "get"])
def test_whatever_goes_wrong_the_key_is_shown_to_nobody(source, answer, error, way, caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")  # another test may have configured it to be quiet
    with Loopback(lambda ask: answer) as server, pytest.raises((error, NotFound)) as caught:
        source(server).search(Query(("lake",))) if way == "search" else source(server).get("photo/7")
    assert KEY not in f"{caught.value!r} {caught.value} {caplog.text}"
    assert "***" in caplog.text, "the request was logged, without its key"


def test_a_server_that_is_not_there_does_not_show_the_key(source, caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")  # another test may have configured it to be quiet
    with Loopback(Site()) as server:
        one = source(server)
    with pytest.raises(Retryable) as caught:
        one.search(Query(("lake",)))
    assert KEY not in f"{caught.value!r} {caplog.text}"


def test_the_key_is_not_in_what_is_kept_and_does_not_follow_a_redirect(source):
    with Loopback(Site(3)) as server:
        found = source(server).search(Query(("lake",)))
    assert KEY not in "".join(str(c.to_json()) for c in found)
    with Loopback(lambda ask: reply({"hits": []})) as other:

        def away(ask):
            said = "&".join(f"{name}={value}" for name, value in ask.query.items())
            return Reply(301, headers={"Location": f"{other.url}{ask.path}?{said}"})

        with Loopback(away) as server:
            one = source(server, files=other)
            with pytest.raises(Permanent) as caught:
                one.search(Query(("lake",)))
    assert other.asks == []
    assert KEY not in str(caught.value)


# -- recorded answers ------------------------------------------------------------------------


@pytest.fixture
def recorded(shared_dir):
    return Recorded(shared_dir, "pixabay")


def test_every_recorded_item_is_read(source, recorded):
    counted = {"photo": 0, "video": 0}
    for name in recorded.names():
        _, _, body = recorded.answer(name)
        for item in found_in(body, "id", "pageURL"):
            found = source().parse(item)
            assert found is not None, (name, item["id"])
            kind = "video" if "videos" in item else "photo"
            counted[kind] += 1
            assert found.foreign_id == f"{kind}/{item['id']}"
            assert (found.landing_url, found.creator) == (item["pageURL"], item["user"])
            assert found.tags == tuple(tag.strip() for tag in item["tags"].split(","))
            assert found.popularity == item["downloads"]
            assert found.licence.id == "LicenseRef-Pixabay-Content"
            if kind == "video":
                files = [f for f in item["videos"].values() if f["url"]]
                assert found.width * found.height == max(f["width"] * f["height"] for f in files)
                assert found.duration == item["duration"]
    assert counted["photo"] >= 2
    assert counted["video"] >= 1


def test_a_recorded_picture_of_full_access_is_the_original(source, recorded):
    _, _, body = recorded.answer("pixabay-mcp-server/image.json")
    with Loopback(lambda ask: reply(body)) as server:
        (found,) = source(server).search(Query(("flower",), limit=1))
    assert (found.title, found.width, found.height, found.size) == (
        "Blossom bloom flower",
        4000,
        2250,
        4731420,
    )
    assert found.media_url == "https://pixabay.com/get/ed6a9364a9fd0a76647.jpg"
    assert found.expires_at is not None


def test_a_recorded_video_of_old_is_read(source, recorded):
    _, _, body = recorded.answer("pixabay-library-php/SearchVideos.json")
    found = source().parse(body["hits"][0])
    assert (found.title, found.width, found.height, found.size) == (
        "Flowers, yellow, blossom",
        1920,
        1080,
        6615235,
    )
    assert found.preview_url == "https://i.vimeocdn.com/video/529927645_640x360.jpg"
