from __future__ import annotations

import logging
import time

import pytest
from hypothesis import given

from core.errors import Misconfigured, NotFound, Permanent, PipelineError, Rejected, Retryable
from core.licences import LicencePolicy
from scrapers.base import Candidate, Query
from scrapers.sources.pexels import Pexels
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, picture, readable, reply, settings
from tests.scrapers.recorded import Recorded, found_in

KEY = "563492ad6f91700001000001abcdef"


def photo(number=1, **kw):
    file = f"https://images.pexels.com/photos/{number}/pexels-photo-{number}.jpeg"
    return {
        "id": number, "width": 4000, "height": 3000, "url": f"https://www.pexels.com/photo/a-quiet-lake-{number}/",
        "photographer": "Ann Lee", "photographer_url": "https://www.pexels.com/@ann", "photographer_id": 7,
        "avg_color": "#978E82", "liked": False, "alt": "Lake at dawn",
        "src": {"original": file, "large2x": f"{file}?dpr=2", "medium": f"{file}?h=350", "tiny": f"{file}?h=200"},
    } | kw  # fmt: skip


def file(width, height, **kw):
    facts = {
        "id": width, "quality": "hd", "file_type": "video/mp4", "width": width, "height": height, "fps": 25.0,
        "size": 1000, "link": f"https://videos.pexels.com/video-files/1/{width}_{height}.mp4",
    }  # fmt: skip
    return facts | kw


def video(number=1, *files, **kw):
    return {
        "id": number, "width": 3840, "height": 2160, "duration": 12, "full_res": None, "tags": [], "avg_color": None,
        "url": f"https://www.pexels.com/video/a-dog-on-a-couch-{number}/",
        "image": f"https://images.pexels.com/videos/{number}/a.jpg",
        "user": {"id": 9, "name": "Viktoria B.", "url": "https://www.pexels.com/@viktoriab"},
        "video_files": list(files) or [file(1920, 1080)],
        "video_pictures": [{"id": 1, "nr": 0, "picture": "https://images.pexels.com/videos/1/0.jpeg"}],
    } | kw  # fmt: skip


class Site:
    """Pexels' rules: a key without Bearer, 80 a page, no `next_page` on the last one."""

    def __init__(self, total=100, *, old=False):
        self.total, self.old = total, old

    def __call__(self, ask):
        if ask.headers.get("authorization") != KEY:
            return reply({"status": 401, "code": "Unauthorized"}, 401)
        videos = {"/videos/search"} if self.old else {"/v1/videos/search"}
        if ask.path not in {"/v1/search", *videos}:
            return reply({"error": "Not Found"}, 404)
        size, page = int(ask.query["per_page"]), int(ask.query["page"])
        assert size <= 80
        start = size * (page - 1)
        name, make = ("photos", photo) if ask.path == "/v1/search" else ("videos", video)
        answer = {
            "page": page, "per_page": size, "total_results": self.total,
            name: [make(n + 1) for n in range(start, min(start + size, self.total))],
        }  # fmt: skip
        if start + size < self.total:
            answer["next_page"] = "https://api-server.pexels.com/v1/search?page=2"
        return reply(answer)


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setenv("PEXELS_API_KEY", KEY)

    def make(server=None, waits=None, path="/v1"):
        servers = [server] if server else []
        return Pexels(
            client(*servers, waits=waits), settings(), base_url=f"{server.url}{path}" if server else None
        )

    return make


def test_it_is_on_with_a_key():
    assert "PEXELS_API_KEY" in Pexels.enabled(settings())


def test_it_is_asked_with_the_bare_key_and_every_filter_it_has(source):
    with Loopback(Site()) as server:
        found = source(server).search(
            Query(("quiet", "lake"), limit=5, orientation="portrait", width=1080, height=1920)
        )
        source(server).search(Query(("lake",), "clip", limit=5, orientation="square", width=1280, height=720))
    assert [c.foreign_id for c in found] == [f"photo/{n}" for n in range(1, 6)]
    assert [(ask.path, ask.query) for ask in server.asks] == [
        ("/v1/search", {"query": "quiet lake", "per_page": "15", "orientation": "portrait", "size": "small", "page": "1"}),
        ("/v1/videos/search", {"query": "lake", "per_page": "15", "orientation": "square", "size": "small", "page": "1"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("total", "limit", "asked"),
    [(100, 1000, ["1", "2"]), (80, 1000, ["1"]), (0, 20, ["1"]), (161, 1000, ["1", "2", "3"])],
)
def test_pages_are_counted_never_followed_and_end_with_the_last(source, total, limit, asked):
    with Loopback(Site(total)) as server:
        assert len(source(server).search(Query(("lake",), limit=limit))) == total
    assert [ask.query["page"] for ask in server.asks] == asked
    assert {ask.query["per_page"] for ask in server.asks} <= {"80", "20"}


def test_a_total_that_is_reached_ends_the_search_though_a_next_page_is_named(source):
    page = {"page": 1, "per_page": 15, "total_results": 2, "photos": [photo(1), photo(2)], "next_page": "x"}
    with Loopback(lambda ask: reply(page)) as server:
        assert len(source(server).search(Query(("lake",)))) == 2
    assert len(server.asks) == 1


def test_a_relay_that_knows_the_old_address_of_videos_only_is_asked_there(source):
    with Loopback(Site(3, old=True)) as server:
        assert len(source(server).search(Query(("dog",), "clip"))) == 3
    assert [ask.path for ask in server.asks] == ["/v1/videos/search", "/videos/search"]


def test_short_clips_are_left_out_and_looked_for_on_large_pages(source):
    clips = {"videos": [video(1, duration=3), video(2, duration=20)]}
    with Loopback(lambda ask: reply(clips)) as server:
        found = source(server).search(Query(("dog",), "clip", min_duration=5))
    assert [c.foreign_id for c in found] == ["video/2"]
    assert server.asks[0].query["per_page"] == "80"


# -- one item --------------------------------------------------------------------------------


def test_a_photo_is_taken_whole(source):
    found = source().parse(photo(2014422))
    assert found == Candidate(
        source="pexels",
        foreign_id="photo/2014422",
        kind="image",
        title="Lake at dawn",
        landing_url="https://www.pexels.com/photo/a-quiet-lake-2014422/",
        media_url="https://images.pexels.com/photos/2014422/pexels-photo-2014422.jpeg",
        creator="Ann Lee",
        creator_url="https://www.pexels.com/@ann",
        licence=found.licence,
        raw_licence="Pexels License",
        width=4000,
        height=3000,
        mime="image/jpeg",
        attribution="Photo by Ann Lee on Pexels (https://www.pexels.com/photo/a-quiet-lake-2014422/)",
        description="Lake at dawn",
        preview_url="https://images.pexels.com/photos/2014422/pexels-photo-2014422.jpeg?h=350",
    )
    assert (found.licence.id, found.licence.url, found.licence.attribution_required) == (
        "LicenseRef-Pexels",
        "https://www.pexels.com/license/",
        False,
    )
    assert LicencePolicy().verdict(found.licence).ok


def test_a_photo_of_2020_has_its_title_from_the_address(source):
    old = photo()
    del old["alt"], old["avg_color"]
    assert (source().parse(old).title, source().parse(old).description) == ("A quiet lake", "")


def test_a_photo_without_its_original_is_a_preview_of_unknown_size(source):
    found = source().parse(photo(src={"original": None, "large": "https://images.pexels.com/1.png?h=650"}))
    assert (found.media_url, found.width, found.is_preview, found.mime) == (
        "https://images.pexels.com/1.png?h=650",
        None,
        True,
        "image/png",
    )


def test_a_video_is_titled_by_its_address_and_credited_in_pexels_words(source):
    found = source().parse(video(2834230))
    assert (found.foreign_id, found.kind, found.title, found.attribution) == (
        "video/2834230",
        "clip",
        "A dog on a couch",
        "Video by Viktoria B. on Pexels (https://www.pexels.com/video/a-dog-on-a-couch-2834230/)",
    )
    assert (found.width, found.height, found.fps, found.size, found.duration, found.mime) == (
        1920,
        1080,
        25.0,
        1000,
        12.0,
        "video/mp4",
    )
    assert found.preview_url == "https://images.pexels.com/videos/2834230/a.jpg"
    assert source().parse(video(5, url="https://www.pexels.com/video/5/")).title == "Video 5"


FILES = [
    file(640, 360, quality="hd"),
    file(3840, 2160, quality=None),
    file(1280, 720, quality="uhd"),
    file(1920, 1080, quality="sd"),
    file(2560, 1440),
    file(None, None, quality="hls", link="https://player.vimeo.com/external/1.m3u8?s=1"),
    file(7680, 4320, link="https://player.vimeo.com/external/2.m3u8?s=1"),
    file(7680, 4320, file_type="video/webm"),
    file(7680, 4320, link=""),
]


@pytest.mark.parametrize(
    ("frame", "width"),
    [
        (None, 3840),
        ((1920, 1080), 1920),
        ((1080, 1920), 1920),
        ((1280, 720), 1280),
        ((1921, 1080), 2560),
        ((320, 180), 640),
        ((8000, 8000), 3840),
    ],
)
def test_the_smallest_file_that_covers_the_frame_is_taken_by_its_pixels(source, frame, width):
    page = {"videos": [video(1, *FILES)]}
    asked = Query(("dog",), "clip", width=frame and frame[0], height=frame and frame[1])
    with Loopback(lambda ask: reply(page)) as server:
        (found,) = source(server).search(asked)
    assert found.width == width


def test_of_equal_files_the_one_with_more_frames_and_then_more_bytes_is_taken(source):
    twins = [
        file(1920, 1080, fps=25, size=9),
        file(1920, 1080, fps=50, size=1),
        file(1920, 1080, fps=50, size=5),
    ]
    found = source().parse(video(1, *twins))
    assert (found.fps, found.size) == (50, 5)
    bare = file(1920, 1080)
    del bare["fps"], bare["size"]
    assert (source().parse(video(1, bare)).fps, source().parse(video(1, bare)).size) == (None, None)


def test_numbers_may_be_text_and_links_may_lack_their_scheme(source):
    found = source().parse(video("17", file("1920", "1080", link="//videos.pexels.com/1.mp4", size="12")))
    assert (found.foreign_id, found.width, found.size) == ("video/17", 1920, 12)
    assert found.media_url == "https://videos.pexels.com/1.mp4"


@pytest.mark.parametrize(
    "item",
    [
        None, [], "x", 5, {}, photo(id=None), photo(id="x"), photo(url=None), photo(url="javascript:alert(1)"),
        photo(src=None), photo(src={}), photo(src={"original": "file:///etc/passwd"}), video(1, video_files=None),
        video(1, video_files=[]), video(1, file(None, None)), video(1, file(0, 0)),
    ],
)  # fmt: skip
def test_what_has_no_id_no_page_or_no_file_of_a_known_size_is_refused(source, item):
    assert source().parse(item) is None


@given(item=mangled(video(1, *FILES)) | mangled(photo()))
def test_nothing_that_json_can_hold_breaks_the_reading(item):
    found = Pexels(client(), settings()).parse(item)
    readable(found)


@pytest.mark.parametrize(
    "data",
    [{}, {"photos": None}, {"photos": [None, 3, "x"]}, {"photos": {}, "per_page": None, "next_page": 7}],
)
def test_odd_or_empty_answers_are_no_result(source, data):
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("lake",))) == []


def test_one_item_is_found_by_kind_and_id(source):
    answers = {
        "/v1/photos/5": reply(photo(5)),
        "/v1/videos/videos/6": reply(video(6)),
        "/v1/photos/9": reply({}),
    }
    with Loopback(lambda ask: answers.get(ask.path, reply({"error": "Not Found"}, 404))) as server:
        one = source(server)
        assert one.get("5").foreign_id == one.get("photo/5").foreign_id == "photo/5"
        assert one.get("video/6").foreign_id == "video/6"
        for missing in ("photo/4", "video/5", "9", "photo/x", "../search", "photo/5?x", "clip/6"):
            with pytest.raises(NotFound):
                one.get(missing)


# -- trouble ---------------------------------------------------------------------------------


def test_a_refused_key_names_its_setting_and_is_not_shown(source):
    refused = reply({"error": f"bad key {KEY}"}, 401)
    with (
        Loopback(lambda ask: refused) as server,
        pytest.raises(Misconfigured, match="PEXELS_API_KEY") as caught,
    ):
        source(server).search(Query(("lake",)))
    assert KEY not in str(caught.value)


def wait_of(source, **headers):
    full = Reply(429, b"Too Many Requests", "text/plain", headers)
    with Loopback(lambda ask: full) as server, pytest.raises(Retryable) as caught:
        source(server, []).search(Query(("lake",)))
    assert caught.value.code == "throttled"
    return caught.value.retry_after


def test_the_end_of_the_month_is_an_epoch_and_waited_for_when_the_month_is_used_up(source):
    ends = int(time.time()) + 5 * 86_400
    assert (
        5 * 86_400 - 60
        < wait_of(source, **{"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": str(ends)})
        <= 5 * 86_400
    )
    assert wait_of(source, **{"Retry-After": "300"}) == 300


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Ratelimit-Remaining": "19958", "X-Ratelimit-Reset": "9591398163"},
        {"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "1591398163"},
        {"X-Ratelimit-Reset": "soon"},
    ],
)
def test_past_the_hourly_limit_which_no_header_tells_the_next_hour_is_waited_for(source, headers):
    wait = wait_of(source, **headers)
    assert 0 < wait <= 3600
    since = (time.time() + wait) % 3600
    assert min(since, 3600 - since) < 30


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply({"error": "Bad request"}, 400), Rejected),
        (reply({"error": "boom"}, 500), Retryable),
        (Reply(503, b"<html>down</html>", "text/html"), Retryable),
        (Reply(200, b"<html>hello</html>", "text/html"), Permanent),
        (reply(["odd"]), Permanent),
        (reply({"error": "strange"}), Permanent),
        (reply({"status": 403, "code": "x"}, 403), Misconfigured),
        (Reply(200, b'{"photos": [', promise=500), Retryable),
    ],
)
def test_trouble_is_sorted_by_what_to_do_and_never_shows_the_key(source, answer, error, caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")  # another test may have configured it to be quiet
    with Loopback(lambda ask: answer) as server, pytest.raises(error) as caught:
        source(server).search(Query(("lake",)))
    assert isinstance(caught.value, PipelineError)
    assert KEY not in f"{caught.value!r}{caplog.text}"


def test_the_key_goes_to_the_api_only_not_where_it_redirects_and_not_to_the_files(source, tmp_path):
    with Loopback(lambda ask: Reply(200, picture(), "image/jpeg")) as files:
        with Loopback(lambda ask: Reply(302, headers={"Location": f"{files.url}/v1/search"})) as api:
            one = Pexels(client(api, files), settings(), base_url=api.url)
            with pytest.raises(Permanent):
                one.search(Query(("lake",)))
        one.fetch(one.parse(photo(src={"original": f"{files.url}/1.jpg"})), tmp_path / "a.jpg", 10**6)
    assert api.asks[0].headers["authorization"] == KEY
    assert len(files.asks) == 2
    assert all("authorization" not in ask.headers for ask in files.asks)
    assert not any(KEY in str(ask) for ask in files.asks)


# -- recorded answers ------------------------------------------------------------------------


@pytest.fixture
def recorded(shared_dir):
    return Recorded(shared_dir, "pexels")


def test_every_recorded_item_is_read(source, recorded):
    counted = {"photo": 0, "video": 0}
    for name in recorded.names():
        _, _, body = recorded.answer(name)
        items = found_in(body, "id", "src") + found_in(body, "id", "video_files")
        for item in items:
            found = source().parse(item)
            assert found is not None, (name, item["id"])
            kind = found.foreign_id.split("/")[0]
            counted[kind] += 1
            assert found.foreign_id == f"{kind}/{item['id']}"
            assert found.landing_url == item["url"]
            assert found.licence.id == "LicenseRef-Pexels"
            if kind == "photo":
                assert found.media_url == item["src"]["original"]
                assert (found.width, found.height) == (item["width"], item["height"])
                assert found.creator == item["photographer"]
            else:
                files = [f for f in item["video_files"] if f["width"] and ".m3u8" not in f["link"]]
                most = max(f["width"] * f["height"] for f in files)
                assert found.width * found.height == most
                assert found.media_url in {f["link"] for f in files if f["width"] == found.width}
                assert (found.creator, found.duration) == (item["user"]["name"], item["duration"])
    assert counted["photo"] >= 20
    assert counted["video"] >= 8


def test_a_recorded_page_of_2020_is_read_with_its_hls_list_left_out(source, recorded):
    status, headers, body = recorded.answer("pypexels/videos_popular_per_page_5_page_2.json")
    assert headers["X-Ratelimit-Reset"] == "1591398163"
    with Loopback(lambda ask: reply(body, status)) as server:
        found = source(server).search(Query(("sun",), "clip", limit=5, width=1920, height=1080))
    assert len(server.asks) == 1, "without `next_page` it is the last one"
    assert [(c.width, c.height, c.fps, c.size) for c in found[:1]] == [(1920, 1080, None, None)]
    assert found[0].title == "The sun illuminating earth s surface"
    assert not any("m3u8" in c.media_url for c in found)


def test_a_recorded_second_page_of_photos_is_read(source, recorded):
    _, _, body = recorded.answer("pypexels/search_per_page_5_page_2_query_red_flower.json")
    with Loopback(lambda ask: reply({**body, "next_page": None})) as server:
        found = source(server).search(Query(("red", "flower"), limit=5))
    assert found[0].title == "Female monarch butterfly perching on red petal flower"
    assert (found[0].creator, found[0].width, found[0].height) == ("Tinthia Clemant", 5184, 3456)
