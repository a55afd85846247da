from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from core.errors import Misconfigured, NotFound, Permanent, Rejected, Retryable
from core.licences import LicenceClass, LicencePolicy
from core.settings import VendorSettings
from scrapers.base import Query
from scrapers.sources.freesound import Freesound
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, readable, settings

CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"


def sound(number=1, **kw):
    address = f"https://cdn.example/previews/0/{number}_7"
    facts = {
        "id": number, "url": f"https://freesound.org/people/ann%20b/sounds/{number}/", "name": f"rain {number}.wav",
        "tags": ["rain", "roof"], "description": "Rain on a <a href='https://x.example'>tin roof</a>.", "created": "2020-01-01T00:00:00",
        "license": "https://creativecommons.org/licenses/by/4.0/", "type": "wav", "channels": 2, "filesize": 5760140,
        "bitrate": 2250, "bitdepth": 24, "duration": 20.5, "samplerate": 96000.0, "username": "ann b", "pack": None,
        "previews": {f"preview-{q}-{k}": f"{address}-{q}.{k}" for q in ("hq", "lq") for k in ("ogg", "mp3")},
        "images": {"waveform_m": f"https://cdn.example/displays/{number}_wave_M.png"},
        "num_downloads": 563, "avg_rating": 3.9, "num_ratings": 10, "md5": "0" * 32, "is_explicit": False, "gen_ai_preference": None,
    }  # fmt: skip
    return {**facts, **kw}


def reply(data, status=200, **kw):
    return Reply(status, json.dumps(data).encode(), **kw)


class Fake:
    """Freesound's rules: a key in the header, a page that is cut at 150, 404 past the end, a `next` of no use."""

    def __init__(self, total=400, gone=()):
        self.total, self.gone = total, set(gone)

    def __call__(self, ask):
        if ask.headers.get("authorization") != "Token the-key":
            return reply({"detail": "Invalid token"}, 401)
        if ask.path.startswith("/sounds/"):
            number = int(ask.path.split("/")[2])
            return reply(sound(number)) if number < self.total else reply({"detail": "Not found."}, 404)
        size, page = min(150, int(ask.query.get("page_size", 15))), int(ask.query.get("page", 1))
        if not ask.query.get("filter"):
            return reply({"detail": "empty filter"}, 400)
        if (page - 1) * size >= max(1, self.total):
            return reply({"detail": "Not found"}, 404)
        wanted = ask.query["fields"].split(",")
        found = [
            None if n in self.gone else {key: value for key, value in sound(n).items() if key in wanted}
            for n in range((page - 1) * size, min(page * size, self.total))
        ]
        return reply(
            {
                "count": self.total,
                "next": f"https://freesound.org/apiv2/search/?&query=x&page={page + 1}",
                "results": found,
            }
        )


def source(server=None, waits=None, **own):
    one = Freesound(
        client(*([server] if server else []), waits=waits),
        settings(),
        base_url=server.url if server else None,
    )
    one.own = VendorSettings(api_key=own.pop("api_key", "the-key"), enabled=True, **own)
    return one


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch):
    monkeypatch.setenv("FREESOUND_API_KEY", "the-key")
    monkeypatch.setenv("FREESOUND_ENABLED", "true")


# -- asking ----------------------------------------------------------------------------------------


def test_it_is_off_until_there_is_a_key_and_somebody_has_read_the_terms(monkeypatch):
    assert Freesound.enabled(settings()) is None
    monkeypatch.delenv("FREESOUND_ENABLED")
    assert "non-commercial" in Freesound.enabled(settings())
    assert "FREESOUND_ENABLED=true" in Freesound.enabled(settings())
    monkeypatch.delenv("FREESOUND_API_KEY")
    assert "FREESOUND_API_KEY" in Freesound.enabled(settings())


def test_a_search_asks_by_licence_and_length_for_named_fields_with_the_key_in_a_header():
    with Loopback(Fake()) as server:
        found = source(server).search(Query(("heavy rain", '-"roof"'), "audio", limit=20, min_duration=2.5))
    assert len(found) == 20
    (ask,) = server.asks
    assert (ask.path, ask.query["query"], ask.query["page_size"]) == ("/search/", "heavy rain roof", "20")
    assert ask.query["filter"] == 'license:("Creative Commons 0" OR "Attribution") duration:[2.5 TO 1800]'
    assert {"previews", "license", "username", "is_explicit", "gen_ai_preference"} < set(
        ask.query["fields"].split(",")
    )
    assert "the-key" not in str(ask.query)


def test_all_words_must_match_so_a_search_without_hits_is_asked_with_fewer():
    def few(ask):
        known = ask.query["query"] == "rain on"
        return reply({"count": int(known), "next": None, "results": [sound(1)] * known})

    with Loopback(few) as server:
        assert len(source(server).search(Query(("rain on", "a roof"), "audio"))) == 1
    assert [ask.query["query"] for ask in server.asks] == ["rain on a roof", "rain on"]


def test_pages_are_asked_by_number_until_the_count_is_reached():
    with Loopback(Fake(total=310)) as server:
        assert len(source(server).search(Query(("rain",), "audio", limit=1000))) == 310
    assert [(a.query["page"], "filter" in a.query) for a in server.asks] == [
        ("1", True),
        ("2", True),
        ("3", True),
    ]


def test_a_page_past_the_end_is_the_end_and_a_missing_door_is_an_error():
    def lying(ask):
        if ask.query["page"] == "1":
            return reply({"results": [sound(1)], "next": "https://freesound.org/apiv2/?page=2"})
        return reply({"detail": "Not found"}, 404)

    with Loopback(lying) as server:
        assert len(source(server).search(Query(("rain",), "audio"))) == 1
    assert len(server.asks) == 2
    with (
        Loopback(lambda ask: Reply(404, b"<html>no such page", "text/html")) as server,
        pytest.raises(Permanent),
    ):
        source(server).search(Query(("rain",), "audio"))


def test_sounds_deleted_since_they_were_indexed_are_skipped():
    with Loopback(Fake(total=5, gone=(0, 3))) as server:
        assert [c.foreign_id for c in source(server).search(Query(("rain",), "audio"))] == ["1", "2", "4"]


def test_one_sound_is_found_by_its_number():
    with Loopback(Fake(total=5)) as server:
        assert source(server).get("3").foreign_id == "3"
        for missing in ("9", "../users", "3/download", "", "x"):
            with pytest.raises(NotFound):
                source(server).get(missing)


# -- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wait"),
    [("Request was throttled because of exceeding a request limit rate (60/minute)", 60),
     ("Request was throttled because of exceeding a request limit rate (2000/day)", 86_400),
     ("Request was throttled because of exceeding a concurrent ip limit rate (3/hour)", 3600),
     ("Request was throttled.", 60)],
)  # fmt: skip
def test_the_text_of_a_429_says_how_long_to_stay_away(text, wait):
    waits = []
    with Loopback(lambda ask: reply({"detail": text}, 429)) as server, pytest.raises(Retryable) as caught:
        source(server, waits).search(Query(("rain",), "audio"))
    assert (caught.value.retry_after, caught.value.code, waits) == (wait, "throttled", [])


def test_a_suspended_key_is_the_operators_and_is_not_asked_again():
    text = "Request was throttled because the ApiV2 credential has been suspended"
    with (
        Loopback(lambda ask: reply({"detail": text}, 429)) as server,
        pytest.raises(Misconfigured, match="FREESOUND_API_KEY"),
    ):
        source(server).search(Query(("rain",), "audio"))
    assert len(server.asks) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply({"detail": "Invalid token"}, 401), Misconfigured),
        (reply({"detail": "HTTPS required"}, 403), Misconfigured),
        (reply({"detail": "bad filter"}, 400), Rejected),
        (reply({"detail": "oops"}, 500), Retryable),
        (Reply(200, b"<html>maintenance</html>", "text/html"), Permanent),
        (reply(["odd"]), Permanent),
        (Reply(200, b'{"results": [', promise=500), Retryable),
    ],
)
def test_trouble_is_sorted_by_what_to_do(answer, error):
    with Loopback(lambda ask: answer) as server, pytest.raises(error):
        source(server).search(Query(("rain",), "audio"))


@pytest.mark.parametrize(
    "data", [{}, {"results": None}, {"results": []}, {"count": "3", "results": [None, 5, "x", {}]}]
)
def test_odd_or_empty_answers_are_no_result(data):
    with Loopback(lambda ask: reply(data)) as server:
        assert source(server).search(Query(("rain",), "audio")) == []


# -- one sound -------------------------------------------------------------------------------------


def parse(**kw):
    return source().parse(sound(**kw))


def test_a_sound_is_read_field_by_field_and_the_original_is_not_claimed_for_its_preview():
    found = parse(number=304842)
    assert (found.source, found.foreign_id, found.kind, found.title) == (
        "freesound",
        "304842",
        "audio",
        "rain 304842.wav",
    )
    assert found.landing_url == "https://freesound.org/people/ann%20b/sounds/304842/"
    assert (found.media_url, found.mime) == ("https://cdn.example/previews/0/304842_7-hq.ogg", "audio/ogg")
    assert (found.is_preview, found.size, found.sha1) == (True, None, None)
    assert (found.creator, found.creator_url) == ("ann b", "https://freesound.org/people/ann%20b/")
    assert (found.licence.id, found.raw_licence) == (
        "CC-BY-4.0",
        "https://creativecommons.org/licenses/by/4.0/",
    )
    assert (found.duration, found.tags, found.popularity) == (20.5, ("rain", "roof"), 563)
    assert (found.description, found.restrictions) == ("Rain on a tin roof.", ())
    assert found.preview_url == "https://cdn.example/displays/304842_wave_M.png"
    assert found.credit == (
        '"rain 304842.wav" by ann b (https://freesound.org/s/304842/), licensed under CC BY 4.0 '
        "(https://creativecommons.org/licenses/by/4.0/)"
    )


@pytest.mark.parametrize(
    ("stated", "spdx", "kind", "usable"),
    [
        (CC0, "CC0-1.0", "free", True),
        ("https://creativecommons.org/licenses/by/3.0", "CC-BY-3.0", "attribution", True),
        ("http://creativecommons.org/licenses/by-nc/3.0/", "CC-BY-NC-3.0", "noncommercial", False),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0", "noncommercial", False),
        (
            "http://creativecommons.org/licenses/sampling+/1.0/",
            "LicenseRef-CC-Sampling-Plus-1.0",
            "custom",
            False,
        ),
        ("Creative Commons 0", "CC0-1.0", "free", True),
        ("Attribution", "LicenseRef-Unknown", "custom", False),
        ("https://evil.example/licenses/by/4.0/", "LicenseRef-Unknown", "custom", False),
    ],
)
def test_the_licence_is_read_per_sound(stated, spdx, kind, usable):
    found = parse(license=stated)
    assert (found.licence.id, found.licence.licence_class) == (spdx, LicenceClass(kind))
    assert LicencePolicy().verdict(found.licence).ok is usable


def test_a_dedication_is_marked_not_licensed():
    assert "), marked with CC0 1.0 (https://" in parse(license=CC0).credit


@pytest.mark.parametrize(
    "gap",
    [
        {"license": None},
        {"license": ""},
        {"previews": None},
        {"previews": {}},
        {"id": None},
        {"is_explicit": True},
    ],
)
def test_a_sound_without_licence_file_or_number_or_that_is_explicit_is_dropped(gap):
    assert parse(**gap) is None


def test_the_mp3_stands_in_for_a_missing_ogg_and_low_quality_is_never_taken():
    previews = sound()["previews"]
    found = parse(previews={**previews, "preview-hq-ogg": None})
    assert (found.media_url, found.mime) == (previews["preview-hq-mp3"], "audio/mpeg")
    assert parse(previews={key: value for key, value in previews.items() if "lq" in key}) is None


@pytest.mark.parametrize(
    ("wish", "kept"),
    [("no-gen-ai", ("gen_ai:no-gen-ai",)), ("open-source-models", ("gen_ai:open-source-models",)),
     ("no-additional-preferences", ()), (None, ())],
)  # fmt: skip
def test_what_the_uploader_wishes_for_generative_models_is_kept(wish, kept):
    assert parse(gen_ai_preference=wish).restrictions == kept


@given(mangled(sound()))
def test_whatever_arrives_is_a_candidate_or_none(item):
    readable(source().parse(item))


# -- recorded answers ------------------------------------------------------------------------------


def _sounds(node):
    """Every object in a recording that is a sound: it has a licence."""
    if isinstance(node, dict):
        if "license" in node:
            yield node
        for value in node.values():
            yield from _sounds(value)
    elif isinstance(node, list):
        for value in node:
            yield from _sounds(value)


@pytest.fixture
def recorded(shared_dir) -> Path:
    return shared_dir / "sources" / "recorded" / "freesound"


def test_every_recorded_sound_is_a_candidate_when_its_answer_has_previews_and_none_when_not(recorded):
    seen = read = 0
    for file in sorted(recorded.rglob("*.json")):
        for item in _sounds(json.loads(file.read_text())):
            seen += 1
            found = source().parse(item)
            readable(found)
            if "previews" not in item:
                assert found is None
                continue
            read += 1
            assert found.media_url == item["previews"]["preview-hq-ogg"]
            assert (found.foreign_id, found.title, found.creator) == (
                str(item["id"]),
                item["name"],
                item["username"],
            )
            assert (found.duration, found.popularity) == (item["duration"], item["num_downloads"])
            assert (found.landing_url, found.tags) == (item["url"], tuple(item["tags"]))
            assert (found.licence.id, found.raw_licence) == ("CC-BY-3.0", item["license"])
            assert found.is_preview
            assert found.size is None
    assert (seen > 30, read) == (True, 3)


def test_every_recorded_licence_is_one_that_we_can_read(recorded):
    texts = {
        item["license"] for file in recorded.rglob("*.json") for item in _sounds(json.loads(file.read_text()))
    }
    previews = {"preview-hq-ogg": "https://x.example/a.ogg"}
    found = {stated: parse(license=stated, previews=previews).licence.id for stated in texts}
    assert len(found) >= 4
    assert "LicenseRef-Unknown" not in found.values()


def test_recorded_pages_served_as_they_were_end_the_search(recorded):
    for tape in json.loads((recorded / "freesound-ruby" / "content_search.json").read_text()):
        body = tape["response"]["body"]
        with Loopback(lambda ask, body=body: reply({**body, "count": 2})) as server:
            assert source(server).search(Query(("rain",), "audio")) == []
        assert len(server.asks) == 1
