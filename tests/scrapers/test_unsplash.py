from __future__ import annotations

import time

import pytest
from hypothesis import given

from core.errors import Misconfigured, NotFound, Permanent, Rejected, Retryable
from core.licences import LicencePolicy
from scrapers.base import Candidate, Query
from scrapers.sources.unsplash import Unsplash
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, picture, readable, reply, settings
from tests.scrapers.recorded import Recorded, found_in

KEY = "Rw3mq0Zb-c_access"
UTM = "utm_source=callsheet&utm_medium=referral"


def photo(ident="NqkTxxK_2ZY", at="https://api.unsplash.com", **kw):
    files = f"https://images.unsplash.com/photo-{ident}"
    return {
        "id": ident, "slug": f"a-small-dog-{ident}", "width": 5472, "height": 3648, "color": "#404026",
        "description": None, "alt_description": "a man holding a small dog", "breadcrumbs": [],
        "urls": {
            "raw": f"{files}?ixid=M3wy&ixlib=rb-4.0.3", "full": f"{files}?q=85&fm=jpg&ixid=M3wy",
            "regular": f"{files}?w=1080", "small": f"{files}?w=400", "thumb": f"{files}?w=200",
        },
        "links": {
            "self": f"{at}/photos/{ident}", "html": f"https://unsplash.com/photos/{ident}",
            "download": f"https://unsplash.com/photos/{ident}/download?ixid=M3wy",
            "download_location": f"{at}/photos/{ident}/download?ixid=M3wy%7Cx",
        },
        "likes": 23, "sponsorship": None, "premium": False, "plus": False, "asset_type": "photo", "tags": [],
        "user": {"username": "dino", "name": "Dino Park", "links": {"html": "https://unsplash.com/@dino"}},
    } | kw  # fmt: skip


class Site:
    """Unsplash's rules: Client-ID and a version in the headers, 30 a page, an advertisement as the first hit."""

    def __init__(self, total=100):
        self.total = total

    def __call__(self, ask):
        if ask.headers.get("authorization") != f"Client-ID {KEY}":
            return reply({"errors": ["OAuth error: The access token is invalid"]}, 401)
        assert ask.headers["accept-version"] == "v1"
        parts = ask.path.strip("/").split("/")
        if parts[0] == "photos":
            if parts[1] == "missing":
                return reply({"errors": ["Couldn't find Photo"]}, 404)
            return reply({"url": "https://images.unsplash.com/x"} if parts[2:] else photo(parts[1]))
        size, page = int(ask.query["per_page"]), int(ask.query["page"])
        assert size <= 30
        start = size * (page - 1)
        hits = [photo(f"photo{n:03}") for n in range(start, min(start + size, self.total))]
        if hits:
            hits[0]["sponsorship"] = {"tagline": "Buy", "sponsor": {"username": "shop"}}
        return reply({"total": self.total + 1, "total_pages": -(-self.total // size), "results": hits})


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setenv("UNSPLASH_API_KEY", KEY)
    monkeypatch.setenv("UNSPLASH_ENABLED", "true")

    def make(server=None, waits=None, at=None):
        servers = [server] if server else []
        return Unsplash(
            client(*servers, waits=waits), settings(), base_url=at or (server.url if server else None)
        )

    return make


def test_it_is_off_until_somebody_has_read_its_terms(monkeypatch):
    assert Unsplash.enabled(settings()) == "UNSPLASH_API_KEY is not set"
    monkeypatch.setenv("UNSPLASH_API_KEY", KEY)
    why = Unsplash.enabled(settings())
    assert "non-automated" in why
    assert "UNSPLASH_ENABLED=true" in why
    one = Unsplash(client(), settings())
    for question in (lambda: one.search(Query(("dog",))), lambda: one.get("abcdef")):
        with pytest.raises(Misconfigured, match="UNSPLASH_ENABLED"):
            question()
    monkeypatch.setenv("UNSPLASH_ENABLED", "true")
    assert Unsplash.enabled(settings()) is None


def test_it_is_asked_with_every_filter_it_has_and_advertisements_are_left_out(source):
    with Loopback(Site()) as server:
        found = source(server).search(Query(("small", "dog"), limit=5, orientation="square"))
    assert [c.foreign_id for c in found] == [f"photo{n:03}" for n in range(1, 6)]
    assert [(ask.path, ask.query) for ask in server.asks] == [
        (
            "/search/photos",
            {
                "query": "small dog",
                "per_page": "30",
                "content_filter": "high",
                "orientation": "squarish",
                "page": "1",
            },
        )
    ]


@pytest.mark.parametrize(("total", "pages"), [(100, 4), (30, 1), (31, 2), (0, 1)])
def test_the_last_page_is_the_one_that_the_site_counts(source, total, pages):
    with Loopback(Site(total)) as server:
        assert len(source(server).search(Query(("dog",), limit=1000))) == total - (pages if total else 0)
    assert [ask.query["page"] for ask in server.asks] == [str(n + 1) for n in range(pages)]


# -- one item --------------------------------------------------------------------------------


def test_a_photo_is_credited_as_the_guidelines_ask_and_comes_at_the_size_a_film_needs(source):
    found = source().parse(photo())
    assert found == Candidate(
        source="unsplash",
        foreign_id="NqkTxxK_2ZY",
        kind="image",
        title="a man holding a small dog",
        landing_url="https://unsplash.com/photos/NqkTxxK_2ZY",
        media_url="https://images.unsplash.com/photo-NqkTxxK_2ZY?ixid=M3wy&ixlib=rb-4.0.3&w=3840&fit=max&q=85&fm=jpg",
        creator="Dino Park",
        creator_url="https://unsplash.com/@dino",
        licence=found.licence,
        raw_licence="Unsplash License",
        width=3840,
        height=2560,
        mime="image/jpeg",
        attribution=f"Photo by Dino Park on Unsplash (https://unsplash.com/@dino?{UTM}, https://unsplash.com/?{UTM})",
        description="a man holding a small dog",
        preview_url="https://images.unsplash.com/photo-NqkTxxK_2ZY?w=400",
        popularity=23,
        use_url="https://api.unsplash.com/photos/NqkTxxK_2ZY/download?ixid=M3wy%7Cx",
    )
    assert (found.licence.id, found.licence.url, found.licence.attribution_required) == (
        "LicenseRef-Unsplash",
        "https://unsplash.com/license",
        True,
    )
    assert LicencePolicy().verdict(found.licence).ok


def test_the_credit_names_the_application_that_is_registered(source, monkeypatch):
    monkeypatch.setenv("UNSPLASH_PROJECT", "Our Films")
    assert "utm_source=Our+Films&utm_medium=referral" in source().parse(photo()).attribution


@pytest.mark.parametrize(
    ("frame", "size", "got"),
    [
        ((1280, 720), (5472, 3648), (2560, 1707)),
        ((1920, 1080), (3000, 2000), (3000, 2000)),
        ((1080, 1920), (6000, 4000), (5760, 3840)),
        ((1080, 1920), (3692, 5538), (2560, 3840)),
        ((1920, 1080), (3692, 5538), (3692, 5538)),
    ],
)
def test_a_photo_is_fetched_twice_as_large_as_the_frame_and_never_larger_than_it_is(source, frame, size, got):
    page = {"total_pages": 1, "results": [photo(width=size[0], height=size[1])]}
    with Loopback(lambda ask: reply(page)) as server:
        (found,) = source(server).search(Query(("dog",), width=frame[0], height=frame[1]))
    assert (found.width, found.height) == got
    assert f"&w={got[0]}&" in found.media_url


def test_without_the_raw_file_the_next_best_is_taken_as_it_is(source):
    urls = photo()["urls"]
    full = source().parse(photo(urls={**urls, "raw": None}))
    assert (full.media_url, full.width, full.height) == (urls["full"], 5472, 3648)
    regular = source().parse(photo(urls={"regular": urls["regular"]}))
    assert (regular.media_url, regular.width, regular.height, regular.is_preview) == (
        urls["regular"],
        1080,
        720,
        True,
    )


def test_a_title_is_what_is_seen_then_what_is_said_then_the_address(source):
    parse = source().parse
    assert parse(photo(description="Rex, my dog")).title == "a man holding a small dog"
    assert parse(photo(description="Rex, my dog")).description == "Rex, my dog"
    assert parse(photo(alt_description=None, description="Rex, my dog")).title == "Rex, my dog"
    assert parse(photo(alt_description=None)).title == "A small dog"
    assert parse(photo(alt_description=None, slug=None)).title == "Photo NqkTxxK_2ZY"
    assert parse(photo(tags=[{"title": "dog"}, "pet", None, {"title": None}, {"title": "dog"}])).tags == (
        "dog",
        "pet",
    )


@pytest.mark.parametrize(
    "item",
    [
        None, 3, [], {}, photo(id=None), photo(id="../x"), photo(urls=None), photo(urls={"raw": "data:,x"}),
        photo(sponsorship={"sponsor": {}}), photo(sponsored=True), photo(premium=True), photo(plus=True),
        photo(asset_type="illustration"),
    ],
)  # fmt: skip
def test_what_is_paid_for_or_has_no_file_is_refused(source, item):
    assert source().parse(item) is None


@given(item=mangled(photo()))
def test_nothing_that_json_can_hold_breaks_the_reading(item):
    found = Unsplash(client(), settings()).parse(item)
    readable(found)


@pytest.mark.parametrize(
    "data", [{}, {"results": None}, {"results": [None, 4], "total_pages": "x"}, {"results": {}, "total": 5}]
)
def test_odd_or_empty_answers_are_no_result(source, data):
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("dog",))) == []


def test_one_photo_is_found_by_id(source):
    with Loopback(Site()) as server:
        one = source(server)
        assert one.get("NqkTxxK_2ZY").foreign_id == "NqkTxxK_2ZY"
        for wrong in ("missing", "a/b", "../x", "x?y", ""):
            with pytest.raises(NotFound):
                one.get(wrong)
    assert [ask.path for ask in server.asks] == ["/photos/NqkTxxK_2ZY", "/photos/missing"]


def test_a_paid_photo_is_not_found_by_id(source):
    with Loopback(lambda ask: reply(photo(plus=True))) as server, pytest.raises(NotFound, match="paid"):
        source(server).get("NqkTxxK_2ZY")


# -- being used ------------------------------------------------------------------------------


def test_a_use_is_told_with_the_key_and_the_ixid_and_may_be_told_again(source):
    with Loopback(Site()) as server:
        one = source(server)
        found = one.parse(photo(at=server.url))
        assert [one.used(found), one.used(found)] == [True, True]
    assert [(ask.method, ask.path, ask.query) for ask in server.asks] == [
        ("GET", "/photos/NqkTxxK_2ZY/download", {"ixid": "M3wy|x"})
    ] * 2
    assert server.asks[0].headers["authorization"] == f"Client-ID {KEY}"


@pytest.mark.parametrize("path", ["", "/relay"])
def test_the_key_is_not_told_to_another_host_that_calls_itself_the_place(source, path):
    with Loopback(lambda ask: reply({"url": "x"})) as server, Loopback(lambda ask: reply({})) as stranger:
        one = source(server, at=f"{server.url}{path}")
        one.used(one.parse(photo(at=stranger.url)))
        one.used(one.parse(photo(at=f"{server.url}{path}")))
    assert stranger.asks == []
    assert [ask.path for ask in server.asks] == [f"{path}/photos/NqkTxxK_2ZY/download"] * 2


def test_the_files_get_no_key(source, tmp_path):
    with Loopback(lambda ask: Reply(200, picture(), "image/jpeg")) as files:
        one = source(files)
        one.fetch(one.parse(photo(urls={"raw": f"{files.url}/photo-1?ixid=a"})), tmp_path / "a.jpg", 10**6)
    assert files.asks[0].query == {"ixid": "a", "w": "3840", "fit": "max", "q": "85", "fm": "jpg"}
    assert KEY not in str(files.asks)


# -- trouble ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, b"Rate Limit Exceeded"),
        Reply(403, b"{}", headers={"X-RateLimit-Remaining": "0"}),
        Reply(403, b'{"errors": ["Rate limit exceeded."]}', headers={"X-Ratelimit-Remaining": "3"}),
    ],
)
def test_a_403_is_the_rate_limit_when_nothing_remains_or_it_says_so(source, answer):
    with Loopback(lambda ask: answer) as server, pytest.raises(Retryable) as caught:
        source(server, []).search(Query(("dog",)))
    assert caught.value.code == "throttled"
    since = (time.time() + caught.value.retry_after) % 3600
    assert min(since, 3600 - since) < 30, "the next full hour"


@pytest.mark.parametrize("headers", [{}, {"X-Ratelimit-Remaining": "42"}])
def test_any_other_403_is_a_refusal_for_the_operator(source, headers):
    answer = reply({"errors": ["Missing permission"]}, 403, headers=headers)
    with Loopback(lambda ask: answer) as server, pytest.raises(Misconfigured, match="UNSPLASH_API_KEY"):
        source(server).search(Query(("dog",)))


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (
            reply({"errors": ["OAuth error: The access token is invalid"]}, 401),
            Misconfigured,
            "UNSPLASH_API_KEY",
        ),
        (Reply(410, b"Query flagged as spam", "text/plain"), Rejected, "spam"),
        (reply({"errors": ["query is missing"]}, 400), Rejected, "query is missing"),
        (reply({"errors": ["boom"]}, 500), Retryable, "500"),
        (Reply(200, b"<html>x</html>", "text/html"), Permanent, "JSON"),
        (reply(["odd"]), Permanent, "shape"),
        (Reply(200, b'{"results": [', promise=500), Retryable, "lost"),
    ],
)
def test_trouble_is_sorted_by_what_to_do(source, answer, error, says):
    with Loopback(lambda ask: answer) as server, pytest.raises(error, match=says) as caught:
        source(server).search(Query(("dog",)))
    assert KEY not in str(caught.value)


def test_the_key_does_not_follow_a_redirect(source):
    with Loopback(lambda ask: reply({})) as other:
        moved = Reply(302, headers={"Location": f"{other.url}/search"})
        with Loopback(lambda ask: moved) as server:
            one = Unsplash(client(server, other), settings(), base_url=server.url)
            assert one.search(Query(("dog",))) == []
    assert server.asks[0].headers["authorization"] == f"Client-ID {KEY}"
    assert KEY not in str(other.asks)
    assert len(other.asks) == 1


# -- recorded answers ------------------------------------------------------------------------


@pytest.fixture
def recorded(shared_dir):
    return Recorded(shared_dir, "unsplash")


def test_every_recorded_photo_is_read_and_every_advertisement_refused(source, recorded):
    read, refused = 0, 0
    for name in recorded.names():
        if "openapi" in name:
            continue
        _, _, body = recorded.answer(name)
        for item in found_in(body, "id", "urls", "links"):
            found = source().parse(item)
            if item.get("sponsorship") or item.get("sponsored") or item.get("premium") or item.get("plus"):
                assert found is None, (name, item["id"])
                refused += 1
                continue
            assert found is not None, (name, item["id"])
            read += 1
            assert (found.foreign_id, found.landing_url) == (item["id"], item["links"]["html"])
            assert (found.creator, found.popularity) == (
                item["user"]["name"].strip(),
                item["likes"],
            )
            assert found.use_url == item["links"]["download_location"]
            assert found.media_url.startswith(item["urls"]["raw"].partition("?")[0])
            assert found.media_url.endswith("&fit=max&q=85&fm=jpg")
            assert abs(found.width / found.height - item["width"] / item["height"]) < 0.01
            assert found.width <= item["width"]
    assert read >= 40
    assert refused >= 2


def test_the_recorded_search_of_2023_loses_its_advertisement(source, recorded):
    status, headers, body = recorded.answer("unsplash_rb/search_dog_2023.json")
    assert headers["X-Total"] != str(body["total"])
    with Loopback(lambda ask: reply({**body, "total_pages": 1}, status)) as server:
        found = source(server).search(Query(("dog",)))
    assert len(found) == len(body["results"]) - 1
    assert body["results"][0]["id"] not in {c.foreign_id for c in found}
    first = body["results"][1]
    assert (found[0].foreign_id, found[0].title) == (first["id"], first["alt_description"])
    assert "ixid=" in found[0].media_url
    assert "ixid=" in found[0].use_url


def test_the_recorded_refusals_are_told_apart(source, recorded):
    status, headers, body = recorded.answer("unsplash-php/rate_limit_403.json")
    limits = {name: value for name, value in headers.items() if name.startswith("X-RateLimit")}
    full = Reply(status, body.encode(), headers=limits)
    with Loopback(lambda ask: full) as server, pytest.raises(Retryable):
        source(server, []).search(Query(("dog",)))
    status, _, body = recorded.answer("unsplash_rb/random_404_2023.json")
    with Loopback(lambda ask: reply(body, status)) as server, pytest.raises(NotFound):
        source(server).get("nobody_there")


def test_a_recorded_download_is_told(source, recorded):
    status, _, body = recorded.answer("unsplash_rb/download_location_2019.json")
    with Loopback(lambda ask: reply(body, status)) as server:
        assert source(server).used(source().parse(photo())) is True
