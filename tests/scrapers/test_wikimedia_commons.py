from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.licences import LicenceClass
from scrapers.base import Query
from scrapers.sources.wikimedia_commons import WikimediaCommons
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, picture, readable, settings
from tests.scrapers.recorded import Recorded, found_in

CONTACT = "https://films.example/; ops@films.example"
BY_SA = {
    "License": "cc-by-sa-4.0",
    "LicenseShortName": "CC BY-SA 4.0",
    "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
}


def page(number=1, index=1, meta=BY_SA, **info):
    facts = {
        "url": f"https://upload.example/{number}.jpg", "descriptionurl": f"https://commons.example/wiki/File:{number}.jpg",
        "mediatype": "BITMAP", "mime": "image/jpeg", "size": 5000, "width": 3000, "height": 2000, "user": "Uploader",
        "sha1": "ab" * 20, "thumburl": f"https://upload.example/thumb/{number}/1920px-{number}.jpg", "thumbwidth": 1920, "thumbheight": 1280,
        "extmetadata": {key: {"value": value, "source": "commons-desc-page"} for key, value in meta.items()},
    }  # fmt: skip
    return {
        "pageid": number,
        "ns": 6,
        "title": f"File:Lake {number}.jpg",
        "index": index,
        "videoinfo": [{**facts, **info}],
    }


def reply(data, status=200, **kw):
    return Reply(status, json.dumps(data).encode(), **kw)


def answer(*pages, going_on=None, complete=True):
    data = {"query": {"pages": list(pages)}} if pages else {}
    return reply(
        data | ({"batchcomplete": True} if complete else {}) | ({"continue": going_on} if going_on else {})
    )


def source(*servers, waits=None, **kw):
    base = servers[0].url if servers else None
    return WikimediaCommons(
        client(*servers, waits=waits, contact=CONTACT), settings(contact=CONTACT, **kw), base_url=base
    )


def parse(meta=BY_SA, **info):
    return source().parse(page(meta=meta, **info))


def replies(*items):
    left = list(items)
    return lambda ask: left.pop(0) if len(left) > 1 else left[0]


# -- asking ----------------------------------------------------------------------------------


def test_without_a_contact_the_source_is_off_and_says_why():
    assert "CONTACT is empty" in WikimediaCommons.enabled(settings(contact="  "))
    with pytest.raises(Misconfigured, match="CONTACT"):
        WikimediaCommons(client(), settings()).search(Query(("lake",)))
    assert WikimediaCommons.enabled(settings(contact=CONTACT)) is None


def test_a_search_names_its_contact_and_follows_the_rules_of_the_api():
    with Loopback(replies(answer(page()))) as server:
        source(server).search(Query(("mountain lake", "dawn"), "clip"))
    ask = server.asks[0]
    assert ask.path == "/w/api.php"
    assert CONTACT in ask.headers["user-agent"]
    assert ask.query["gsrsearch"] == "filetype:video mountain lake dawn"
    assert (ask.query["formatversion"], ask.query["maxlag"], ask.query["viurlwidth"]) == ("2", "5", "1920")


def test_pages_are_ranked_by_index_not_by_id():
    with Loopback(replies(answer(page(1, 3), page(2, 1), page(3, 2)))) as server:
        assert [c.foreign_id for c in source(server).search(Query(("lake",)))] == ["2", "3", "1"]


def test_the_whole_continue_object_is_sent_and_halves_of_a_page_are_joined():
    bare = {k: v for k, v in page(1).items() if k != "videoinfo"}
    half = answer(bare, page(2, 2), going_on={"vistart": "x", "continue": "||videoinfo"}, complete=False)
    rest = answer(
        page(1),
        {"pageid": 2, "title": "File:Lake 2.jpg"},
        going_on={"gsroffset": 50, "continue": "gsroffset||"},
    )
    last = answer(page(3, 51))
    with Loopback(replies(half, rest, last)) as server:
        found = source(server).search(Query(("lake",), limit=3))
    assert [c.foreign_id for c in found] == ["1", "2", "3"]
    assert (server.asks[1].query["vistart"], server.asks[1].query["continue"]) == ("x", "||videoinfo")
    assert (server.asks[2].query["gsroffset"], "vistart" in server.asks[2].query) == ("50", False)
    assert server.asks[2].query["gsrsearch"] == server.asks[0].query["gsrsearch"]


def test_a_server_that_continues_for_ever_is_left():
    with Loopback(lambda ask: answer(page(1), going_on={"continue": "x"}, complete=False)) as server:
        assert len(source(server).search(Query(("lake",), limit=9))) == 1
    assert len(server.asks) <= 60


def test_a_search_that_finds_nothing_is_asked_again_with_fewer_words():
    def few(ask):
        return answer(page()) if ask.query["gsrsearch"] == "filetype:bitmap red" else answer()

    with Loopback(few) as server:
        assert len(source(server).search(Query(("red", "lake", "dawn", "fog")))) == 1
    assert [a.query["gsrsearch"].removeprefix("filetype:bitmap ") for a in server.asks] == [
        "red lake dawn fog",
        "red lake",
        "red",
    ]


def test_operators_in_the_words_are_not_passed_on():
    with Loopback(replies(answer())) as server:
        source(server).search(Query(('incategory:Secret "lake"',)))
    assert {a.query["gsrsearch"] for a in server.asks} == {"filetype:bitmap lake"}


# -- trouble ---------------------------------------------------------------------------------


def test_maxlag_comes_with_status_200_and_is_waited_for():
    lag = reply(
        {"error": {"code": "maxlag", "info": "Waiting for 10.0.0.1: 6 seconds lagged", "lag": 6.1}},
        headers={"Retry-After": "5"},
    )
    waits = []
    with Loopback(replies(lag, answer(page()))) as server:
        assert len(source(server, waits=waits).search(Query(("lake",)))) == 1
    assert waits == [5]


def test_lasting_maxlag_is_retryable():
    with Loopback(lambda ask: reply({"error": {"code": "maxlag", "info": "lagged"}})) as server:
        with pytest.raises(Retryable) as caught:
            source(server).search(Query(("lake",)))
        assert len(server.asks) == 4
    assert caught.value.retry_after == 5


def test_a_429_with_an_html_body_hands_on_the_wait():
    with (
        Loopback(
            lambda ask: Reply(
                429, b"<html><b>Too many</b> requests</html>", "text/html", {"Retry-After": "120"}
            )
        ) as server,
        pytest.raises(Retryable, match="Too many requests") as caught,
    ):
        source(server).search(Query(("lake",)))
    assert caught.value.retry_after == 120


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (
            {"error": {"code": "unknown_action", "info": "no such action", "docref": "x"}, "servedby": "mw1"},
            Permanent,
        ),
        ({"errors": [{"code": "badvalue", "text": "Unrecognized value"}]}, Permanent),
        ({"error": {"code": "blocked", "info": "You are blocked"}}, Misconfigured),
        ({"error": {"code": "internal_api_error_DBQueryError", "info": "x"}}, Retryable),
        (["odd"], Permanent),
    ],
)
def test_errors_with_status_200_are_errors(data, error):
    with Loopback(lambda ask: reply(data)) as server, pytest.raises(error) as caught:
        source(server).search(Query(("lake",)))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("broken", "error"), [(Reply(body=b'{"batch', promise=99), Retryable), (Reply(body=b"<html>"), Permanent)]
)
def test_broken_answers_are_errors(broken, error):
    with Loopback(lambda ask: broken) as server, pytest.raises(error):
        source(server).search(Query(("lake",)))


# -- one file --------------------------------------------------------------------------------


def test_html_in_the_fields_becomes_text_and_links():
    found = parse(
        {
            **BY_SA,
            "Artist": '<a href="//commons.example/User:Ann">Ann &amp; Co</a>',
            "ObjectName": "<i>Dawn</i>",
            "Categories": "Lakes|Fog",
        }
    )
    assert (found.creator, found.creator_url) == ("Ann & Co", "https://commons.example/User:Ann")
    assert (found.title, found.tags) == ("Dawn", ("Lakes", "Fog"))
    assert found.raw_licence == "cc-by-sa-4.0"


def test_without_an_artist_the_uploader_and_the_file_name_stand_in():
    assert (parse().creator, parse().title) == ("Uploader", "Lake 1.jpg")


@pytest.mark.parametrize(
    ("meta", "spdx", "kind"),
    [
        (BY_SA, "CC-BY-SA-4.0", "attribution"),
        ({"License": "cc0", "LicenseUrl": "http://creativecommons.org/publicdomain/zero/1.0/deed.en"}, "CC0-1.0", "free"),
        ({"License": "pd", "LicenseShortName": "Public domain"}, "LicenseRef-Public-Domain", "free"),
        ({"License": "cc-by-sa-3.0-migrated", "LicenseShortName": "CC BY-SA 3.0"}, "CC-BY-SA-3.0", "attribution"),
        ({"License": "cc-by-3.0-de", "LicenseUrl": "https://creativecommons.org/licenses/by/3.0/de/deed.en"}, "CC-BY-3.0-DE", "attribution"),
        ({"License": "attribution", "LicenseShortName": "Attribution"}, "LicenseRef-Commons-Attribution", "attribution"),
        ({"LicenseShortName": "Copyrighted free use"}, "LicenseRef-Commons-Free-Use", "free"),
        ({"LicenseShortName": "GFDL 1.2"}, "GFDL-1.2-only", "custom"),
        ({"License": "cc-by-4.0", "LicenseShortName": "CC BY 4.0", "LicenseUrl": "https://creativecommons.org/licenses/by-nc/4.0/"}, "LicenseRef-Unknown", "custom"),
    ],
)  # fmt: skip
def test_the_licence_is_read_per_file(meta, spdx, kind):
    found = parse(meta)
    assert (found.licence.id, found.licence.licence_class) == (spdx, LicenceClass(kind))


def test_files_without_a_licence_or_marked_non_free_are_dropped():
    assert parse({}) is None
    assert parse({**BY_SA, "NonFree": "true"}) is None


def test_files_without_address_page_or_known_kind_are_dropped():
    assert parse(url=None) is None
    assert parse(descriptionurl=None) is None
    assert parse(mediatype="OFFICE", url="https://upload.example/1.pdf") is None
    assert source().parse({"pageid": 1, "missing": True}) is None


def test_the_credit_the_uploader_asks_for_wins():
    found = parse({**BY_SA, "Attribution": "Photo by <b>Ann</b>"})
    assert found.credit.startswith(
        "Photo by Ann, CC BY-SA 4.0 <https://creativecommons.org/licenses/by-sa/4.0/>, via Wikimedia Commons"
    )


def test_restrictions_are_kept_with_the_raw_licence():
    assert (
        parse({**BY_SA, "Restrictions": "personality|trademarked"}).raw_licence
        == "cc-by-sa-4.0; restrictions: personality|trademarked"
    )


def test_a_plain_picture_is_taken_as_it_is_with_its_sha1():
    found = parse()
    assert (found.media_url, found.sha1, found.size, found.width) == (
        "https://upload.example/1.jpg",
        "ab" * 20,
        5000,
        3000,
    )


@pytest.mark.parametrize(
    "info", [{"size": 400 << 20}, {"mime": "image/tiff"}, {"mime": "image/svg+xml", "mediatype": "DRAWING"}]
)
def test_huge_scans_and_odd_formats_are_taken_as_thumbnails_without_the_originals_sha1(info):
    found = parse(**info)
    assert (found.media_url, found.sha1, found.size) == (
        "https://upload.example/thumb/1/1920px-1.jpg",
        None,
        None,
    )
    assert (found.width, found.height) == (1920, 1280)
    without = parse(**info, thumburl=None)
    assert (without and without.media_url) == (
        "https://upload.example/1.jpg" if info.get("mime") == "image/tiff" else None
    )


def derivative(key, width, height, kind="video/webm", bandwidth=1):
    made = {
        "src": f"https://upload.example/{key}",
        "type": kind,
        "width": width,
        "height": height,
        "bandwidth": bandwidth,
    }
    return made | ({"transcodekey": key} if key != "original" else {})


VIDEO = {
    "mediatype": "VIDEO",
    "mime": "video/webm",
    "url": "https://upload.example/original",
    "duration": 634.553,
    "width": 4000,
    "height": 2250,
}


@pytest.mark.parametrize(
    ("made", "chosen"),
    [
        ([("original", 4000, 2250), ("240p.vp9.webm", 426, 240), ("1080p.vp9.webm", 1920, 1080), ("1440p.vp9.webm", 2560, 1440)], "1080p.vp9.webm"),
        ([("original", 640, 480), ("240p.vp9.webm", 426, 240)], "original"),
        ([("240p.vp9.webm", 426, 240), ("480p.vp9.webm", 854, 480)], "480p.vp9.webm"),
        ([("1080p.vp9.webm", 1080, 1920), ("original", 2160, 3840)], "1080p.vp9.webm"),
        ([("144p.mjpeg.mov", 1920, 1080, "video/quicktime"), ("a.m3u8", 1920, 1080, "application/vnd.apple.mpegurl"), ("480p.webm", 854, 480)], "480p.webm"),
        ([], "original"),
    ],
)  # fmt: skip
def test_the_smallest_rendition_that_covers_the_frame_is_chosen(made, chosen):
    found = parse(**VIDEO, derivatives=[derivative(*d) for d in made])
    assert (found.kind, found.media_url, found.duration) == (
        "clip",
        f"https://upload.example/{chosen}",
        634.553,
    )
    assert (found.sha1 is not None) == (chosen == "original")


def test_a_film_wider_than_the_frame_counts_by_its_longer_side_and_a_quicktime_key_never():
    made = [derivative("480p.webm", 854, 356), derivative("1080p.vp9.webm", 1920, 800), derivative("2160p.vp9.webm", 3840, 1600),
            derivative("360p.mpeg4.mov", 1920, 1080, "video/mp4")]  # fmt: skip
    assert parse(**VIDEO, derivatives=made).media_url.endswith("/1080p.vp9.webm")


@pytest.mark.parametrize(
    ("frame", "chosen"),
    [
        ((1280, 720), "720p.vp9.webm"),
        ((1920, 1080), "1080p.vp9.webm"),
        ((3840, 2160), "original"),
        (None, "1080p.vp9.webm"),
    ],
)
def test_the_frame_that_is_asked_for_decides(frame, chosen):
    made = [
        derivative("original", 4000, 2250),
        derivative("1080p.vp9.webm", 1920, 1080),
        derivative("720p.vp9.webm", 1280, 720),
    ]
    whole = page(**VIDEO, derivatives=made)
    with Loopback(replies(answer(whole))) as server:
        (found,) = source(server).search(
            Query(("bunny",), "clip", width=frame and frame[0], height=frame and frame[1])
        )
    assert found.media_url.endswith(chosen)


@pytest.mark.parametrize(
    ("info", "chosen"),
    [
        ({"size": 2_964_839_055, "derivatives": [derivative("original", 4000, 2250, bandwidth=37_378_615), derivative("720p.webm", 1280, 720, bandwidth=900_000)]}, "720p.webm"),
        ({"size": 9, "derivatives": [derivative("1080p.webm", 1920, 1080, bandwidth=90_000_000), derivative("480p.webm", 854, 480, bandwidth=900_000)]}, "480p.webm"),
        ({"size": 2_964_839_055, "derivatives": []}, None),
        ({"size": 2_964_839_055, "derivatives": [derivative("original", 4000, 2250)]}, None),
    ],
)  # fmt: skip
def test_a_film_of_gigabytes_is_never_chosen(info, chosen):
    found = parse(**{**VIDEO, **info})
    assert (found and found.media_url.rpartition("/")[2]) == chosen


@pytest.mark.parametrize(
    ("mime", "size", "chosen"),
    [("audio/flac", 9, "1.oga"), ("audio/midi", 9, "mp3"), ("audio/flac", 900 << 20, "mp3")],
)
def test_sound_is_the_original_unless_it_is_too_large_or_only_notes(mime, size, chosen):
    made = [
        {**derivative("mp3", 0, 0, "audio/mpeg"), "bandwidth": 128_000},
        {**derivative("ogg", 0, 0, "audio/ogg"), "bandwidth": 112_000},
    ]
    found = parse(
        mediatype="AUDIO",
        mime=mime,
        size=size,
        url="https://upload.example/1.oga",
        width=0,
        height=0,
        duration=2.9,
        derivatives=made,
    )
    assert (found.kind, found.media_url, found.preview_url) == (
        "audio",
        f"https://upload.example/{chosen}",
        None,
    )


def test_what_else_is_said_of_a_file_is_read():
    found = parse(
        {
            **BY_SA,
            "Restrictions": "Personality| trademarked|",
            "ImageDescription": "<b>Fog</b> at dawn",
            "Artist": "Ann",
            "ObjectName": "Dawn",
        }
    )
    assert found.restrictions == ("personality", "trademarked")
    assert (found.description, found.preview_url) == (
        "Fog at dawn",
        "https://upload.example/thumb/1/1920px-1.jpg",
    )
    assert found.credit == (
        "Dawn, Ann, CC BY-SA 4.0 <https://creativecommons.org/licenses/by-sa/4.0/>, via Wikimedia Commons <https://commons.example/wiki/File:1.jpg>"
    )
    assert (
        parse({"License": "pd"}).credit
        == "Lake 1.jpg, Uploader, Public domain, via Wikimedia Commons <https://commons.example/wiki/File:1.jpg>"
    )


def test_values_in_several_languages_give_english_or_what_there_is():
    many = {"en": "Lake", "de": "See", "_type": "lang"}
    assert parse({**BY_SA, "ObjectName": many}).title == "Lake"
    assert parse({**BY_SA, "ObjectName": {"_type": "lang", "de": "See"}}).title == "See"


def test_a_file_that_another_wiki_shares_is_as_good_as_one_of_its_own():
    shared = {**page(), "missing": True, "known": True, "imagerepository": "shared"}
    del shared["pageid"]
    assert source().parse(shared).foreign_id == "File:Lake 1.jpg"


def test_what_a_file_is_shows_in_its_title_when_nothing_else_says_it():
    found = parse(mediatype=None, mime="image/jpeg", url="https://upload.example/0815")
    assert (found.kind, found.media_url) == ("image", "https://upload.example/0815")


def test_it_is_asked_once_a_second_and_for_two_files_at_once():
    limits = WikimediaCommons.limits_for(settings())
    assert (limits.per_minute, limits.downloads_at_once) == (60, 2)


def test_the_same_file_has_one_address_from_commons_and_from_elsewhere():
    original = parse(url="https://upload.wikimedia.org/wikipedia/commons/2/25/Tr%C3%A4d.jpg")
    thumb = parse(
        mime="image/tiff",
        thumburl="https://upload.wikimedia.org/wikipedia/commons/thumb/2/25/Tr%C3%A4d.tif/1920px-Tr.jpg",
    )
    assert original.canonical_url == "commons.wikimedia.org/wiki/File:Träd.jpg"
    assert thumb.canonical_url == "commons.wikimedia.org/wiki/File:Träd.tif"


@given(
    mangled(
        page(
            derivatives=[derivative("1080p.vp9.webm", 1920, 1080), derivative("mp3", 0, 0)],
            duration=5.5,
            meta={**BY_SA, "Artist": "<a href='//x'>A</a>"},
        )
    )
)
def test_whatever_arrives_is_a_candidate_or_none(whole):
    readable(source().parse(whole))


@pytest.mark.parametrize("data", [{"error": "x"}, {"errors": ["x"]}, {"error": ["x"]}])
def test_an_error_of_another_shape_is_still_an_error(data):
    with Loopback(lambda ask: reply(data)) as server, pytest.raises(Permanent) as caught:
        source(server).search(Query(("lake",)))
    assert caught.value.code == "source_error"


@pytest.mark.parametrize(
    "data",
    [
        {"query": []},
        {"query": {"pages": [None, 5, {}]}},
        {"continue": "x"},
        {"query": {"pages": {"-1": None}}},
    ],
)
def test_odd_answers_are_no_result(data):
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("lake",))) == []


def test_ogg_is_sound_or_film_by_its_media_type():
    assert (
        parse(
            mediatype="AUDIO", mime="application/ogg", url="https://upload.example/1.ogg", width=0, height=0
        ).kind
        == "audio"
    )
    assert parse(mediatype="VIDEO", mime="application/ogg", url="https://upload.example/1.ogg").kind == "clip"


def test_a_file_is_found_by_page_id_and_by_name():
    def lookup(ask):
        wanted = ask.query.get("pageids") or ask.query.get("titles")
        return (
            answer(page(7))
            if wanted in ("7", "File:Lake 7.jpg")
            else answer({"title": wanted, "missing": True})
        )

    with Loopback(lookup) as server:
        one = source(server)
        assert one.get("7") == one.get("File:Lake 7.jpg")
        for missing in ("8", "File:No.jpg", "Lake 7.jpg", "File:A|File:B", ""):
            with pytest.raises(NotFound):
                one.get(missing)


def test_a_found_file_is_fetched_and_checked_against_its_sha1(tmp_path):
    data = picture()
    with Loopback(lambda ask: Reply(body=data, mime="image/jpeg")) as files:
        found = parse(url=f"{files.url}/1.jpg", size=len(data), sha1=hashlib.sha1(data).hexdigest())
        source(files).fetch(found, tmp_path / "a.jpg", 1 << 20)
        wrong = parse(url=f"{files.url}/1.jpg", size=len(data))
        with pytest.raises(Retryable, match="SHA-1"):
            source(files).fetch(wrong, tmp_path / "b.jpg", 1 << 20)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]


# -- recorded answers ------------------------------------------------------------------------


@pytest.fixture
def recorded(shared_dir):
    folder = shared_dir / "sources" / "recorded" / "wikimedia_commons"
    return lambda name: json.loads((folder / name).read_text())


def test_a_recorded_file_is_read_whole(recorded):
    found = source().parse(recorded("openverse-catalog/image_data_example.json"))
    assert (found.licence.id, found.creator, found.kind) == ("CC-BY-SA-4.0", "PtrQs", "image")
    assert found.creator_url.endswith("commons.wikimedia.org/wiki/User:PtrQs")
    assert found.credit.startswith("Photo by PtrQs, CC BY-SA 4.0 <https://")
    assert "<a" not in found.title + found.credit


def test_recorded_gaps_drop_the_file_or_are_filled(recorded):
    assert source().parse(recorded("openverse-catalog/image_data_missing_image_url.json")) is None
    assert source().parse(recorded("openverse-catalog/image_data_missing_foreign_url.json")) is None
    assert source().parse(recorded("openverse-catalog/image_data_missing_imageinfo.json")) is None
    assert source().parse(recorded("openverse-catalog/image_data_minimal.json")).licence.id == "CC-BY-SA-4.0"
    without_url = {
        "pageid": 1,
        "imageinfo": [recorded("openverse-catalog/image_info_missing_license_url.json")],
    }
    assert source().parse(without_url).licence.id == "CC-BY-SA-4.0"


@pytest.mark.parametrize(
    ("name", "creator", "link"),
    [("div", "Jona Lendering", None), ("link", "link text", "https://test.com/linkspot"), ("string", None, None),
     ("internal_link", None, "https"), ("partial_link", None, "http")],
)  # fmt: skip
def test_recorded_artists_become_plain_names(recorded, name, creator, link):
    html = recorded(f"openverse-catalog/image_info_artist_{name}.json")["extmetadata"]["Artist"]["value"]
    found = parse({**BY_SA, "Artist": html})
    assert "<" not in found.creator
    assert creator in (None, found.creator)
    assert (found.creator_url or "").startswith(link or "")


def test_a_recorded_error_and_a_recorded_empty_answer_are_understood(recorded):
    for name in ("api_error.json", "api_error_assert_user_failed.json"):
        data = recorded(f"apps-android-wikipedia/{name}")
        with Loopback(lambda ask, data=data: reply(data)) as server, pytest.raises(Permanent):
            source(server).search(Query(("lake",)))
    data = recorded("apps-android-wikipedia/full_text_search_results_empty.json")
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("lake",))) == []


def test_a_recorded_continuation_joins_three_answers_into_one_batch(recorded):
    parts = [recorded(f"openverse-catalog/continuation/wmc_pretty{n}.json") for n in (1, 2, 3, 4)]
    with Loopback(replies(*map(reply, parts), reply({"batchcomplete": True}))) as server:
        batches = list(source(server)._batches({"action": "query"}))
    assert [len(batch) for batch in batches] == [9, 50, 0]
    first = parts[0]["query"]["pages"]
    assert {str(item["pageid"]): item["imageinfo"] for item in batches[0]} == {
        k: v["imageinfo"] for k, v in first.items()
    }
    assert server.asks[1].query["gucontinue"] == parts[0]["continue"]["gucontinue"]
    assert "gucontinue" not in server.asks[3].query


def test_recorded_derivatives_yield_a_film_of_fair_size(recorded):
    item = recorded("commons-android/videoinfo_page_with_timedtext.json")
    info = item["videoinfo"][0]
    found = parse(**{**VIDEO, "derivatives": info["derivatives"]})
    assert found.kind == "clip"
    assert found.media_url in {d["src"] for d in info["derivatives"]} | {VIDEO["url"]}
    assert found.height >= 360


def test_a_recorded_sound_is_told_by_its_name_when_no_type_is_given(recorded):
    info = recorded("openverse-catalog/audio_filedata_ogg.json")
    meta = {key: {"value": value} for key, value in BY_SA.items()}
    found = source().parse({"pageid": 1, "title": "File:x.ogg", "videoinfo": [{**info, "extmetadata": meta}]})
    assert (found.kind, found.duration, found.size) == ("audio", 2.9, 26706)


def test_every_recorded_page_is_read_field_by_field(shared_dir):
    tapes = Recorded(shared_dir, "wikimedia_commons")
    one, read, dropped = source(), 0, []
    for name in tapes.names():
        data = tapes.answer(name)[2]
        for raw in found_in(data, "imageinfo") + found_in(data, "videoinfo"):
            info = (raw.get("imageinfo") or raw["videoinfo"])[0]
            meta = {key: entry["value"] for key, entry in info.get("extmetadata", {}).items()}
            found = one.parse(raw)
            if found is None:
                dropped.append(
                    (name, {"url", "descriptionshorturl"} - info.keys() or info["size"] > 25 << 20)
                )
                continue
            read += 1
            readable(found)
            assert (found.media_url, found.width, found.height, found.size) == (
                info["url"],
                info.get("width"),
                info.get("height"),
                info.get("size"),
            )
            assert found.landing_url == info.get("descriptionurl", info["descriptionshorturl"])
            assert found.foreign_id == str(raw.get("pageid", "File:image.jpg"))
            assert found.kind == "image"
            said = meta.get("License") or meta.get("LicenseShortName", "")
            by_name = {
                "pd": "LicenseRef-Public-Domain",
                "cc0": "CC0-1.0",
                "cc-by-sa-3.0-de": "CC-BY-SA-3.0-DE",
                "No restrictions": "LicenseRef-Public-Domain",
                "": "CC-BY-SA-4.0",
            }
            assert found.licence.id == by_name.get(said, said.upper().removesuffix("-ES")), name
            assert found.tags == tuple(tag for tag in meta.get("Categories", "").split("|") if tag)
            assert found.restrictions == tuple(
                part for part in meta.get("Restrictions", "").split("|") if part
            )
            assert "<" not in found.title + (found.creator or "") + found.description.replace("< ", "")
            assert found.creator_url is None or found.creator_url.startswith("http")
            assert found.credit.endswith(f"via Wikimedia Commons <{found.landing_url}>")
    assert read > 130
    assert [name for name, gap in dropped if not gap] == []  # a scan of 25 MB without a thumbnail is one


def test_recorded_halves_of_a_page_join_to_the_recorded_whole(recorded):
    folder = "openverse-catalog/continuation"
    for number in ("44672185", "44672210", "44672212"):
        left, right = (recorded(f"{folder}/page_{number}_{side}.json") for side in ("left", "right"))
        first = reply(
            {"continue": {"gucontinue": "x", "continue": "||imageinfo"}, "query": {"pages": {number: left}}}
        )
        second = reply({"batchcomplete": "", "query": {"pages": {number: right}}})
        with Loopback(replies(first, second)) as server:
            (found,) = source(server).search(Query(("lake",)))
        assert found.foreign_id == number
        assert found.media_url == left["imageinfo"][0]["url"]


def test_recorded_answers_of_every_shape_are_pages_or_the_right_error(recorded, shared_dir):
    for name in Recorded(shared_dir, "wikimedia_commons").names():
        data = recorded(name)
        if not isinstance(data, dict) or not {"query", "batchcomplete", "errors"} & data.keys():
            continue
        with Loopback(replies(reply(data), reply({"batchcomplete": True}))) as server:
            if "errors" in data:
                with pytest.raises(Permanent):
                    source(server).search(Query(("lake",)))
                continue
            usable = [raw for raw in found_in(data, "imageinfo") if raw["imageinfo"][0]["size"] <= 25 << 20]
            found = source(server).search(Query(("lake",), limit=100))
        assert len(found) == len(usable), name
