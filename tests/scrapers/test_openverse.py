from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Misconfigured, NotFound, Permanent, Rejected, Retryable
from core.licences import LicencePolicy
from scrapers.base import Query
from scrapers.sources.openverse import Openverse
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, readable, settings
from tests.scrapers.recorded import Recorded, found_in


def item(number=1, **kw):
    facts = {
        "id": f"00000000-0000-0000-0000-{number:012d}", "title": f"Lake {number}", "url": f"https://files.example/{number}.jpg",
        "foreign_landing_url": f"https://site.example/{number}", "creator": "Ann", "creator_url": None,
        "license": "by", "license_version": "2.0", "license_url": "https://creativecommons.org/licenses/by/2.0/",
        "filesize": None, "filetype": None, "category": None, "mature": None, "tags": [{"name": "lake"}, {"name": None}],
        "attribution": None, "width": 1024, "height": 683,
    }  # fmt: skip
    return {**facts, **kw}


def reply(data, status=200, **kw):
    return Reply(status, json.dumps(data).encode(), **kw)


class Fake:
    """Openverse's rules: 20 or 50 a page, 240 in all, tokens that end."""

    def __init__(self, total=300, tokens=("t1", "t2", "t3")):
        self.total, self.tokens, self.valid = total, list(tokens), set()
        self.endless = True

    def __call__(self, ask):
        if ask.path == "/auth_tokens/token/":
            assert ask.headers["content-type"].startswith("application/x-www-form-urlencoded")
            if b"client_secret=right" not in ask.body:
                return reply({"error": "invalid_client"}, 401)
            token = self.tokens.pop(0)
            self.valid = {token} if self.endless else set()
            return reply({"access_token": token, "token_type": "Bearer", "expires_in": 36000})
        bearer = ask.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer and bearer not in self.valid:
            return reply({"detail": "Incorrect authentication credentials."}, 401)
        size, page = int(ask.query.get("page_size", 20)), int(ask.query.get("page", 1))
        if size > (50 if bearer else 20):
            return reply({"detail": "Ensure this value is less than or equal to 20."}, 401)
        if size * page > 240:
            return reply({"detail": "too deep"}, 401)
        start = size * (page - 1)
        found = [item(n) for n in range(start, min(start + size, self.total))]
        return reply(
            {"result_count": self.total, "page_count": 20, "page_size": size, "page": page, "results": found}
        )


KEYS = {"openverse_client_id": "me", "openverse_client_secret": "right"}


def source(server, waits=None, **kw):
    return Openverse(client(server, waits=waits), settings(**kw), base_url=server.url)


def test_a_search_asks_for_what_may_be_edited_and_sold():
    with Loopback(Fake()) as server:
        found = source(server).search(Query(("mountain", "lake"), limit=5, orientation="portrait"))
    assert [c.title for c in found] == [f"Lake {n}" for n in range(5)]
    assert (server.asks[0].path, server.asks[0].query) == (
        "/images/",
        {
            "q": "mountain lake",
            "license_type": "commercial,modification",
            "page_size": "5",
            "aspect_ratio": "tall",
            "page": "1",
        },
    )


def test_an_anonymous_search_ends_at_240_in_pages_of_20():
    with Loopback(Fake()) as server:
        found = source(server).search(Query(("lake",), limit=1000))
    assert len(found) == 240
    assert len(server.asks) == 12
    assert {ask.query["page_size"] for ask in server.asks} == {"20"}


def test_with_a_token_pages_are_larger_and_all_that_can_be_reached_is():
    with Loopback(Fake()) as server:
        found = source(server, **KEYS).search(Query(("lake",), limit=1000))
    assert len(found) == 240
    assert [a.query["page_size"] for a in server.asks if a.path == "/images/"] == ["48"] * 5
    assert [a.path for a in server.asks].count("/auth_tokens/token/") == 1


def test_the_last_page_ends_the_search():
    with Loopback(Fake(total=7)) as server:
        assert len(source(server).search(Query(("lake",), limit=50))) == 7


def test_an_ended_token_is_renewed_once():
    fake = Fake()
    with Loopback(fake) as server:
        one = source(server, **KEYS)
        one.search(Query(("lake",), limit=1))
        fake.valid = set()
        assert len(one.search(Query(("lake",), limit=1))) == 1
    assert fake.tokens == ["t3"]


def test_a_token_refused_twice_asks_for_the_operator():
    fake = Fake()
    fake.endless = False
    with Loopback(fake) as server, pytest.raises(Misconfigured, match="OPENVERSE_CLIENT_ID"):
        source(server, **KEYS).search(Query(("lake",)))
    assert len(server.asks) == 4


def test_wrong_client_credentials_ask_for_the_operator_and_are_not_shown():
    with Loopback(Fake()) as server, pytest.raises(Misconfigured) as caught:
        source(server, openverse_client_id="me", openverse_client_secret="wrong-secret").search(
            Query(("lake",))
        )
    assert "wrong-secret" not in str(caught.value)


def test_half_a_pair_of_credentials_names_both_settings():
    assert "OPENVERSE_CLIENT_SECRET" in Openverse.enabled(settings(openverse_client_id="me"))
    assert Openverse.enabled(settings()) is None
    assert "OFFLINE" in Openverse.enabled(settings(offline=True))


def test_a_401_about_the_page_size_is_not_taken_for_a_bad_token():
    text = {"detail": "Ensure this value is less than or equal to 20."}
    with Loopback(lambda ask: reply(text, 401)) as server, pytest.raises(Permanent) as caught:
        source(server).search(Query(("lake",)))
    assert caught.value.code == "page_refused"
    assert not isinstance(caught.value, Misconfigured)


def test_throttling_is_waited_for_when_short_and_handed_on_when_long():
    def detail(seconds):
        return reply({"detail": f"Request was throttled. Expected available in {seconds} seconds."}, 429)

    waits = []
    answers = [detail(4), reply({"results": [item()], "page_count": 1})]
    with Loopback(lambda ask: answers.pop(0)) as server:
        assert len(source(server, waits).search(Query(("lake",)))) == 1
    assert waits == [4]
    with Loopback(lambda ask: detail(3600)) as server, pytest.raises(Retryable) as caught:
        source(server, waits).search(Query(("lake",)))
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply({"detail": {"license": ["not a licence"]}}, 400), Rejected),
        (reply({"detail": "A server error occurred."}, 500), Retryable),
        (Reply(503, b"<html>CDN</html>", "text/html"), Retryable),
        (Reply(200, b"<html>CDN</html>", "text/html"), Permanent),
        (reply(["unexpected"]), Permanent),
        (Reply(200, b'{"results": [', promise=500), Retryable),
    ],
)
def test_trouble_is_sorted_by_what_to_do(answer, error):
    with Loopback(lambda ask: answer) as server, pytest.raises(error):
        source(server).search(Query(("lake",)))


@pytest.mark.parametrize(
    "data", [{}, {"results": None}, {"results": []}, {"results": [None, 5, "x"], "page_count": None}]
)
def test_odd_or_empty_answers_are_no_result(data):
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("lake",))) == []


# -- one item --------------------------------------------------------------------------------


def parse(**kw):
    return Openverse(client(), settings()).parse(item(**kw))


def test_every_optional_field_may_be_null():
    found = parse(
        **dict.fromkeys(
            (
                "title",
                "creator",
                "creator_url",
                "tags",
                "width",
                "height",
                "filesize",
                "filetype",
                "attribution",
            )
        )
    )
    assert (found.title, found.creator, found.tags, found.width, found.size, found.mime) == (
        "Untitled",
        None,
        (),
        None,
        None,
        None,
    )
    assert found.licence.id == "CC-BY-2.0"


def test_a_licence_is_read_without_its_url_and_one_that_is_not_stated_drops_the_item():
    assert parse(license_url=None).licence.id == "CC-BY-2.0"
    assert parse(license=None, license_version=None).licence.id == "CC-BY-2.0"
    assert parse(license=None, license_version="2.0", license_url=None) is None


@pytest.mark.parametrize(
    "gap",
    [
        {"license": "by-nc"},
        {"license_version": None, "license_url": None},
        {"license": "mine", "license_url": ""},
    ],
)
def test_a_contradiction_or_a_licence_that_cannot_be_read_is_taken_by_no_policy(gap):
    found = parse(**gap)
    assert found.licence.id == "LicenseRef-Unknown"
    assert not LicencePolicy().verdict(found.licence).ok


@pytest.mark.parametrize(
    ("code", "version", "deed", "spdx"),
    [("cc0", "1.0", "https://creativecommons.org/licenses/cc0/1.0/", "CC0-1.0"), ("pdm", "1.0", "https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
     ("pdm", "1.0", "https://creativecommons.org/licenses/mark/1.0/", "CC-PDM-1.0"), ("by-sa", "4.0", None, "CC-BY-SA-4.0"),
     ("by-nc-nd", "3.0", None, "CC-BY-NC-ND-3.0"), ("sampling+", "1.0", "https://creativecommons.org/licenses/sampling+/1.0/", "LicenseRef-CC-Sampling-Plus-1.0"),
     ("nc-sampling+", "1.0", None, "LicenseRef-CC-NC-Sampling-Plus-1.0"), ("by", "3.0", "http://creativecommons.org/licenses/by/3.0/de/deed.de", "CC-BY-3.0-DE")],
)  # fmt: skip
def test_every_licence_of_its_list_is_read(code, version, deed, spdx):
    found = parse(license=code, license_version=version, license_url=deed)
    assert found.licence.id == spdx
    assert found.raw_licence == " ".join(said for said in (code, version, deed) if said)


@pytest.mark.parametrize("gone", ["url", "foreign_landing_url", "id"])
def test_an_item_without_file_page_or_id_is_dropped(gone):
    assert parse(**{gone: None}) is None


def test_mature_items_are_dropped():
    assert parse(mature=True) is None


def test_audio_counts_milliseconds_and_takes_the_best_alternative_file():
    found = parse(
        _kind="audio", duration=6750, bit_rate=128000, filetype="mp3", filesize=10,
        alt_files=[{"url": "https://files.example/1.flac", "bit_rate": 900000, "filesize": 99, "filetype": "flac"},
                   {"url": "https://files.example/1.ogg", "bit_rate": 64000}, {"url": None, "bit_rate": 10**9}, None],
    )  # fmt: skip
    assert (found.kind, found.duration, found.media_url, found.size) == (
        "audio",
        6.75,
        "https://files.example/1.flac",
        99,
    )


def test_the_sources_attribution_is_the_credit():
    assert (
        parse(attribution='"Lake" by Ann is licensed under CC BY 2.0.').credit
        == '"Lake" by Ann is licensed under CC BY 2.0.'
    )


def test_one_item_is_found_by_id():
    ident = item()["id"]
    answers = {f"/images/{ident}/": reply(item()), f"/audio/{ident}/": reply({"detail": "Not found."}, 404)}
    with Loopback(lambda ask: answers[ask.path]) as server:
        one = source(server)
        assert one.get(ident).foreign_id == one.get(f"image/{ident}").foreign_id == f"image/{ident}"
        for missing in (f"audio/{ident}", "../auth_tokens", "image/x?y", "video/00000000"):
            with pytest.raises(NotFound):
                one.get(missing)


@pytest.mark.parametrize(
    ("url", "reduced"),
    [("https://live.staticflickr.com/894/40593461235_b72593df28_b.jpg", True), ("https://live.staticflickr.com/894/1_abc_o.jpg", False),
     ("https://cdn.freesound.org/previews/455/455493_1138747-hq.mp3", True), ("https://freesound.org/data/previews/455/455493_1-hq.mp3", True),
     ("https://upload.wikimedia.org/wikipedia/commons/2/25/Tree.jpg", False), ("https://files.example/1_b.jpg", False)],
)  # fmt: skip
def test_a_file_that_is_less_than_its_author_gave_says_so(url, reduced):
    assert parse(url=url).is_preview is reduced


@pytest.mark.parametrize(
    ("landing", "url", "canonical"),
    [("https://www.flickr.com/photos/126953422@N04/40593461235/in/photostream/", "https://x.example/1.jpg", "flickr.com/photos/-/40593461235"),
     ("https://freesound.org/people/ann%20b/sounds/455493", "https://x.example/1.mp3", "freesound.org/s/455493"),
     ("https://commons.wikimedia.org/w/index.php?curid=81754323", "https://upload.wikimedia.org/wikipedia/commons/2/25/Tr%C3%A4d.jpg",
      "commons.wikimedia.org/wiki/File:Träd.jpg")],
)  # fmt: skip
def test_the_same_work_at_its_own_site_has_the_same_address(landing, url, canonical):
    found = parse(foreign_landing_url=landing, url=url)
    assert (found.landing_url, found.canonical_url) == (landing, canonical)


def test_an_alternative_file_brings_its_own_type_and_a_picture_has_no_length():
    found = parse(
        _kind="audio",
        filetype="mp32",
        alt_files=[{"url": "https://files.example/1.flac", "bit_rate": "900000", "filetype": "flac"}],
    )
    assert (found.media_url, found.mime, found.width) == ("https://files.example/1.flac", "audio/flac", None)
    assert parse(_kind="audio", filetype="mp32").mime == "audio/mpeg"
    assert parse(_kind="image", duration=5).duration is None


@given(
    mangled(
        item(
            thumbnail="https://x.example/t",
            alt_files=[{"url": "https://x.example/1.mp3", "bit_rate": 1}],
            duration=5,
        )
    ),
    st.sampled_from(["image", "audio", None]),
)
def test_whatever_arrives_is_a_candidate_or_none(whole, kind):
    one = Openverse(client(), settings())
    readable(one.parse(whole))
    if isinstance(whole, dict):
        readable(one.parse({**whole, "_kind": kind}))


def test_limits_depend_on_whether_there_is_a_token():
    assert (Openverse.limits_for(settings()).per_minute, Openverse.limits_for(settings()).per_day) == (
        20,
        200,
    )
    known = Openverse.limits_for(settings(**KEYS))
    assert (known.per_minute, known.per_day) == (100, 10_000)


@pytest.mark.parametrize(
    ("headers", "text", "wait"),
    [({}, "Expected available in 3600 seconds.", 3600), ({"Retry-After": "77"}, "", 77), ({"X-RateLimit-Available-anon_sustained": "0"}, "", 86_400),
     ({"x-ratelimit-available-anon_sustained": "12", "x-ratelimit-available-anon_burst": "0"}, "", 60), ({}, "<html>", 60)],
)  # fmt: skip
def test_a_429_says_how_long_by_header_by_text_or_by_the_limit_that_ran_out(headers, text, wait):
    with (
        Loopback(lambda ask: reply({"detail": text}, 429, headers=headers)) as server,
        pytest.raises(Retryable) as caught,
    ):
        source(server).search(Query(("lake",)))
    assert (caught.value.code, caught.value.retry_after) == ("throttled", wait)


def test_a_filter_that_was_not_taken_is_in_the_log_and_the_answer_still_counts(capsys):
    warned = {
        "results": [item()],
        "page_count": 1,
        "warnings": [{"code": "partially invalid request parameter", "message": "license_type"}],
    }
    with Loopback(lambda ask: reply(warned)) as server:
        assert len(source(server).search(Query(("lake",)))) == 1
    assert "license_type" in capsys.readouterr().out


def test_what_people_write_is_words_and_never_syntax():
    with Loopback(Fake()) as server:
        source(server).search(Query(('"red lake" -night', "a|b* (fog) well-known"), limit=1))
    assert server.asks[0].query["q"] == "red lake night a b fog well-known"


# -- recorded answers ------------------------------------------------------------------------


@pytest.fixture
def recorded(shared_dir):
    folder = shared_dir / "sources" / "recorded" / "openverse"
    return lambda name: json.loads((folder / name).read_text())


def test_a_recorded_search_without_results_is_empty(recorded):
    tape = recorded("openverse-tapes/no_results.json")["response"]
    with Loopback(lambda ask: reply(tape["body"], tape["status"])) as server:
        assert source(server).search(Query(("querywithnoresults",))) == []


def test_every_recorded_result_is_read_field_by_field(shared_dir):
    tapes = Recorded(shared_dir, "openverse")
    one, seen = Openverse(client(), settings()), 0
    for name in tapes.names():
        for raw in found_in(tapes.answer(name)[2], "foreign_landing_url", "url"):
            found, seen = one.parse(raw), seen + 1
            kind = "audio" if "audio" in name else "image"
            assert (found.kind, found.foreign_id) == (kind, f"{kind}/{raw['id']}")
            assert (found.media_url, found.landing_url) == (raw["url"], raw["foreign_landing_url"])
            assert (found.title, found.creator, found.creator_url) == (
                raw["title"],
                raw.get("creator"),
                raw.get("creator_url"),
            )
            assert found.preview_url == raw["thumbnail"]
            assert (found.width, found.height, found.size) == (
                raw.get("width"),
                raw.get("height"),
                raw.get("filesize"),
            )
            assert found.tags == tuple(tag["name"] for tag in raw["tags"] or ())
            assert found.attribution == raw.get("attribution")
            assert found.raw_licence == f"{raw['license']} {raw['license_version']} {raw['license_url']}"
            assert found.licence.id == {"cc0": "CC0-1.0", "pdm": "CC-PDM-1.0"}.get(
                raw["license"], f"CC-{raw['license'].upper()}-{raw['license_version']}"
            )
            assert found.duration == (raw["duration"] / 1000 if kind == "audio" else None)
            readable(found)
    assert seen == 24


def test_a_recorded_last_page_is_read(recorded):
    page = recorded("openverse-frontend/images_search_last_page.json")
    with Loopback(lambda ask: reply(page)) as server:
        found = source(server).search(Query(("x",), limit=20))
    assert len(found) == len(page["results"])


def test_a_recorded_image_and_a_recorded_404_are_read(recorded):
    tapes = {
        "feb91b13-422d-46fa-8ef4-cbf1e6ddee9b": recorded("openverse-tapes/image_detail_flickr_by-sa.json")[
            "response"
        ],
        "da5cb478-c093-4d62-b721-cda18797e3fc": recorded("openverse-tapes/image_404.json")["response"],
    }
    with Loopback(lambda ask: reply((t := tapes[ask.path.split("/")[-2]])["body"], t["status"])) as server:
        found = source(server).get("feb91b13-422d-46fa-8ef4-cbf1e6ddee9b")
        with pytest.raises(NotFound):
            source(server).get("da5cb478-c093-4d62-b721-cda18797e3fc")
    assert (found.licence.id, found.creator, found.width, found.size) == (
        "CC-BY-SA-2.0",
        "Graham Winterflood",
        1024,
        None,
    )
    assert found.credit.startswith('"Galah in Darwin')
    LicencePolicy().check(found.licence)


def test_recorded_sounds_are_read(recorded):
    page = recorded("openverse-tapes/audio_search_cat_cc0_trimmed.json")["response"]["body"]
    with Loopback(lambda ask: reply({**page, "page_count": 1})) as server:
        found = source(server).search(Query(("cat",), "audio"))
    assert (found[0].duration, found[0].licence.id, found[0].kind) == (6.75, "CC0-1.0", "audio")
    assert len(found) == 3
