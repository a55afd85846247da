from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from core.errors import NotFound, Permanent, PipelineError, Retryable, Unlicensed
from scrapers.base import Query
from scrapers.sources.internet_archive import InternetArchive
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, mangled, picture, readable, settings

BY = "http://creativecommons.org/licenses/by/3.0/"


def file(name, format_, source="derivative", **kw):
    return {
        "name": name,
        "source": source,
        "format": format_,
        "size": "1000",
        "md5": "1" * 32,
        "sha1": "2" * 40,
        **kw,
    }


FILM = [
    file("Rain 1950.mpeg", "MPEG2", "original", size="734003200", width="720", height="480", length="640.5"),
    file("Rain 1950.mp4", "h.264", original="Rain 1950.mpeg", size="62000000", width="640", height="480", length="10:40"),
    file("Rain 1950_512kb.mp4", "512Kb MPEG4", original="Rain 1950.mpeg", size="30000000", width="320", height="240"),
    file("Rain 1950.ogv", "Ogg Video", original="Rain 1950.mpeg", size="40000000", width="400", height="300"),
    *(file(f"Rain 1950.thumbs/Rain_{n:06}.jpg", "Thumbnail", original="Rain 1950.mpeg") for n in (1, 300, 600)),
    file("__ia_thumb.jpg", "Item Tile", "original"),
    {"name": "rain_files.xml", "source": "metadata", "format": "Metadata"},
    file("rain_meta.xml", "Metadata", "metadata"),
]  # fmt: skip


def item(identifier="rain", files=FILM, top=(), **kw):
    facts = {
        "identifier": identifier, "mediatype": "movies", "title": "Rain", "creator": "Jam Handy", "collection": ["prelinger", "ephemera"],
        "licenseurl": BY, "subject": "rain;weather; city", "description": "<b>Rain</b> in a &amp; city", "uploader": "someone@example.org",
    }  # fmt: skip
    return {
        "created": 1541888942, "d1": "ia902700.us.archive.org", "dir": "/0/items/rain", "server": "ia902700.us.archive.org",
        "files": list(files), "files_count": len(files), "metadata": {**facts, **kw}, **dict(top),
    }  # fmt: skip


def reply(data, status=200, **kw):
    return Reply(status, json.dumps(data).encode(), **kw)


class Fake:
    """The Archive's rules: errors with status 200, `{}` for what is not there, Lucene that may not parse."""

    def __init__(self, *items, docs=None):
        self.items = {one["metadata"]["identifier"]: one for one in items}
        self.docs = docs if docs is not None else [self.doc(one) for one in items]

    @staticmethod
    def doc(one, **kw):
        facts = one["metadata"]
        return {name: facts[name] for name in ("identifier", "title", "licenseurl") if name in facts} | {
            "downloads": 42,
            **kw,
        }

    def __call__(self, ask):
        if ask.path == "/advancedsearch.php":
            if ask.query.get("output") != "json" or ask.query["q"].count("(") != ask.query["q"].count(")"):
                return reply({"error": "query could not be parsed", "forensics": {"query": ask.query["q"]}})
            rows, page = int(ask.query["rows"]), int(ask.query["page"])
            return reply(
                {
                    "responseHeader": {"status": 0},
                    "response": {
                        "numFound": len(self.docs),
                        "start": 0,
                        "docs": self.docs[(page - 1) * rows : page * rows],
                    },
                }
            )
        return reply(self.items.get(ask.path.removeprefix("/metadata/"), {}))


def source(server=None, waits=None, others=(), **own):
    servers = [*([server] if server else []), *others]
    one = InternetArchive(client(*servers, waits=waits), settings(), base_url=server.url if server else None)
    one.own = one.own.model_copy(update=own)
    return one


def search(fake, *words, kind="clip", **kw):
    with Loopback(fake) as server:
        return source(server).search(Query(words or ("rain",), kind, **kw)), server.asks


# -- asking ----------------------------------------------------------------------------------------


def test_it_is_on_by_default_and_slow():
    assert InternetArchive.enabled(settings()) is None
    assert (InternetArchive.limits.per_minute, InternetArchive.limits.downloads_at_once) == (60, 2)


def test_a_search_asks_listed_collections_for_items_with_a_licence_and_then_for_their_files():
    found, asks = search(Fake(item()), "heavy rain")
    assert [c.foreign_id for c in found] == ["rain/Rain 1950.mp4"]
    assert [a.path for a in asks] == ["/advancedsearch.php", "/metadata/rain"]
    assert asks[0].query["q"] == (
        "(heavy rain) AND mediatype:(movies) AND collection:(prelinger OR nasa OR netlabels) "
        "AND licenseurl:*creativecommons* AND -collection:(stream_only) AND -access-restricted-item:true"
    )
    assert (asks[0].query["output"], "callback" in asks[0].query) == ("json", False)
    assert "Callsheet" in asks[0].headers["user-agent"]


@pytest.mark.parametrize(
    ("word", "asked"),
    [('say:"hi"', r"(say\:\"hi\")"), ("a(b", r"(a\(b)"), ("x && y", r"(x \&\& y)"), ("rock/pop", r"(rock\/pop)"), ("this OR that", "(this or that)"),
     (r"back\slash", r"(back\\slash)"), ("-not *all?", r"(\-not \*all\?)")],
)  # fmt: skip
def test_what_people_write_is_words_and_never_syntax(word, asked):
    with Loopback(lambda ask: reply({"response": {"numFound": 0, "docs": []}})) as server:
        assert source(server).search(Query((word,), "clip")) == []
    assert server.asks[0].query["q"].startswith(f"{asked} AND mediatype")


def test_all_words_must_match_so_a_search_without_hits_is_asked_with_fewer():
    def few(ask):
        if ask.path.startswith("/metadata"):
            return reply(item())
        docs = [Fake.doc(item())] if ask.query["q"].startswith("(rain) ") else []
        return reply({"response": {"numFound": len(docs), "docs": docs}})

    found, asks = search(few, "rain", "on", "a", "roof")
    assert len(found) == 1
    assert [a.query["q"].split(")")[0] for a in asks if a.path == "/advancedsearch.php"] == [
        "(rain on a roof",
        "(rain on",
        "(rain",
    ]


def test_items_whose_licence_is_of_no_use_cost_no_further_question():
    free, nc = item("free"), item("nc", licenseurl="http://creativecommons.org/licenses/by-nc/3.0/")
    nd = item("nd", licenseurl=["https://creativecommons.org/licenses/by-nd/4.0"])
    found, asks = search(Fake(nc, nd, free))
    assert [c.foreign_id.split("/")[0] for c in found] == ["free"]
    assert [a.path for a in asks][1:] == ["/metadata/free"]


def test_one_search_asks_for_half_a_dozen_items_at_most():
    found, asks = search(Fake(*(item(f"rain{n}", files=()) for n in range(80))), limit=80)
    assert found == []
    assert len([a for a in asks if a.path.startswith("/metadata")]) == 6


def test_the_operators_collections_take_the_place_of_ours():
    ours = item(collection="my_films")
    with Loopback(Fake(ours)) as server:
        assert source(server).search(Query(("rain",), "clip")) == []
        one = source(server, collections="my_films, ) OR (x ,")
        assert len(one.search(Query(("rain",), "clip"))) == 1
    assert "collection:(my_films) AND" in server.asks[-2].query["q"]


# -- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (reply({"error": "query could not be parsed", "forensics": {}}), Permanent, "source_error"),
        (Reply(200, b""), Permanent, "not_json"),
        (Reply(200, b"<html>search</html>", "text/html"), Permanent, "not_json"),
        (Reply(200, b'callback({"response": {}})'), Permanent, "not_json"),
        (reply({}), Permanent, "not_json"),
        (reply([]), Permanent, "not_json"),
        (reply({"response": {"docs": None}}), None, None),
        (Reply(503, b"slow down", "text/html"), Retryable, "throttled"),
        (Reply(429, b"", headers={"Retry-After": "90"}), Retryable, "throttled"),
        (Reply(200, b'{"response": {', promise=99), Retryable, "retryable"),
    ],
)
def test_trouble_is_sorted_by_what_to_do(answer, error, code):
    with Loopback(lambda ask: answer) as server:
        if error is None:
            assert source(server).search(Query(("rain",), "clip")) == []
            return
        with pytest.raises(error) as caught:
            source(server).search(Query(("rain",), "clip"))
    assert (type(caught.value), caught.value.code) == (error, code)


@pytest.mark.parametrize(
    "gone",
    [
        reply({}),
        reply([]),
        Reply(200, b""),
        reply({"error": "no such item"}),
        reply({"is_dark": True}),
        Reply(404, b"<html>"),
    ],
)
def test_an_item_that_is_not_there_is_skipped_by_a_search_and_missing_by_name(gone):
    good = item("good")
    fake = Fake(good, docs=[{"identifier": "gone"}, {"identifier": "../etc"}, {}, Fake.doc(good)])
    found, _ = search(lambda ask: gone if ask.path == "/metadata/gone" else fake(ask))
    assert [c.foreign_id for c in found] == ["good/Rain 1950.mp4"]
    with Loopback(lambda ask: gone) as server, pytest.raises(NotFound):
        source(server).get("gone")


def test_an_item_that_answers_under_another_name_is_not_the_one_asked_for():
    with Loopback(lambda ask: reply(item("renamed"))) as server, pytest.raises(NotFound):
        source(server).get("rain")


# -- one item --------------------------------------------------------------------------------------


def parse(files=FILM, top=(), name=None, **kw):
    whole = item(files=files, top=top, **kw)
    return source().parse({**whole, "_file": name} if name else whole)


def test_an_item_is_read_field_by_field():
    found = parse(rights="Public domain, says the donor")
    assert (found.source, found.foreign_id, found.kind, found.title) == (
        "internet_archive",
        "rain/Rain 1950.mp4",
        "clip",
        "Rain",
    )
    assert found.landing_url == "https://archive.org/details/rain"
    assert found.media_url == "https://archive.org/download/rain/Rain%201950.mp4"
    assert (found.creator, found.creator_url) == ("Jam Handy", None)
    assert (found.width, found.height, found.duration, found.size) == (640, 480, 640, 62_000_000)
    assert (found.sha1, found.tags, found.description) == (
        "2" * 40,
        ("rain", "weather", "city"),
        "Rain in a & city",
    )
    assert found.preview_url == "https://archive.org/download/rain/Rain%201950.thumbs/Rain_000300.jpg"
    assert found.licence.id == "CC-BY-3.0"
    assert (
        found.raw_licence == f"{BY}; rights: Public domain, says the donor; collection: prelinger, ephemera"
    )
    assert found.credit == (
        "Rain by Jam Handy, CC BY 3.0 (https://creativecommons.org/licenses/by/3.0/), via Internet Archive <https://archive.org/details/rain>"
    )
    assert "someone@example.org" not in json.dumps(found.to_json())


def test_an_email_address_is_nobodys_name():
    assert parse(creator=["someone@example.org", "Ann"]).creator == "Ann"
    assert parse(creator="someone@example.org").creator is None


@pytest.mark.parametrize(
    "closed",
    [{"top": {"is_dark": True}}, {"top": {"nodownload": True}}, {"top": {"is_collection": "true"}}, {"mediatype": "collection"}, {"mediatype": None},
     {"collection": ["prelinger", "stream_only"]}, {"access-restricted-item": "true"}, {"licenseurl": None}, {"licenseurl": []},
     {"collection": "opensource_movies"}, {"collection": None}, {"files": ()}, {"files": None}, {"identifier": None}],
)  # fmt: skip
def test_removed_restricted_unlicensed_and_unlisted_items_are_dropped(closed):
    whole = item()
    top, files = closed.pop("top", {}), closed.pop("files", whole["files"])
    assert (
        source().parse({**whole, **top, "files": files, "metadata": {**whole["metadata"], **closed}}) is None
    )


def test_a_collection_or_rights_without_a_licence_are_no_licence():
    assert (
        parse(licenseurl=None, rights="Public domain", **{"possible-copyright-status": "NOT_IN_COPYRIGHT"})
        is None
    )


@pytest.mark.parametrize(
    ("stated", "spdx"),
    [("https://creativecommons.org/publicdomain/mark/1.0", "CC-PDM-1.0"), ("http://creativecommons.org/licenses/publicdomain/", "CC-PDDC"),
     ([BY, BY.replace("http:", "https:")], "CC-BY-3.0"), ([BY, "https://creativecommons.org/publicdomain/zero/1.0/"], "LicenseRef-Unknown"),
     ("https://example.org/mine", "LicenseRef-Unknown"), ("http://creativecommons.org/licenses/by-nc-nd/3.0/", "CC-BY-NC-ND-3.0")],
)  # fmt: skip
def test_the_licence_is_the_one_address_that_the_item_states(stated, spdx):
    assert parse(licenseurl=stated).licence.id == spdx


def test_an_item_outside_the_listed_collections_is_for_a_person_to_review():
    with (
        Loopback(Fake(item(collection=["opensource_movies"]))) as server,
        pytest.raises(Unlicensed, match="INTERNET_ARCHIVE_COLLECTIONS"),
    ):
        source(server).get("rain")


# -- the best rendition ----------------------------------------------------------------------------


def best(*files, mediatype="movies"):
    found = parse(files=files, mediatype=mediatype)
    return found and found.foreign_id.removeprefix("rain/")


HD = file("a.mp4", "h.264 HD", original="a.avi", size="90000000", width="1280", height="720")
SD = file("a_sd.mp4", "h.264", original="a.avi", size="20000000", width="640", height="480")
KB = file("a_512kb.mp4", "512Kb MPEG4", original="a.avi", size="9000000", width="320", height="240")
OGV = file("a.ogv", "Ogg Video", original="a.avi", size="8000000", width="400", height="300")


def avi(**kw):
    return file("a.avi", "AVI", "original", **{"size": "140000000", "width": "1920", "height": "1080", **kw})


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ([avi(), KB, SD, HD, OGV], "a.mp4"),
        ([avi(), KB, SD, OGV], "a.avi"),
        ([avi(size="999000000"), KB, SD, OGV], "a_sd.mp4"),
        ([avi(width="640", height="480"), SD], "a_sd.mp4"),
        ([avi(), KB, OGV], "a.avi"),
        ([avi(size="999000000"), KB, OGV], "a_512kb.mp4"),
        ([avi(size="999000000"), OGV], "a.ogv"),
        ([avi(size="999000000")], None),
        ([{**HD, "private": "true"}, {**SD, "private": True}, OGV], "a.ogv"),
        ([{**HD, "source": "metadata"}, OGV], "a.ogv"),
        ([{"name": "a.mp4"}], "a.mp4"),
        ([{**HD, "name": "../a.mp4"}, {**HD, "name": "x//a.mp4"}, OGV], "a.ogv"),
    ],
)  # fmt: skip
def test_of_a_film_the_largest_modern_rendition_under_the_limit_is_taken(files, chosen):
    assert best(*files) == chosen


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ([file("a.flac", "24bit Flac", "original", size="9000"), file("a.mp3", "VBR MP3", original="a.flac")], "a.flac"),
        ([file("a.flac", "Flac", "original", size=str(200 << 20)), file("a.mp3", "VBR MP3", original="a.flac"), file("a.ogg", "Ogg Vorbis", original="a.flac")], "a.mp3"),
        ([file("a.shn", "Shorten", "original"), file("a_64kb.mp3", "64Kbps MP3", original="a.shn", size="90"), file("a.mp3", "VBR MP3", original="a.shn", size="80")], "a.mp3"),
        ([file("a.shn", "Shorten", "original"), file("a.ogg", "Ogg Vorbis", original="a.shn")], "a.ogg"),
        ([file("a.shn", "Shorten", "original")], None),
    ],
)  # fmt: skip
def test_of_a_sound_the_lossless_original_then_the_better_mp3_is_taken(files, chosen):
    assert best(*files, mediatype="audio") == chosen


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ([file("a.tif", "TIFF", "original"), file("a.jpg", "JPEG", original="a.tif"), file("a_thumb.jpg", "JPEG Thumb", original="a.tif")], "a.tif"),
        ([file("a.tif", "TIFF", "original", size=str(200 << 20)), file("a.jpg", "JPEG", original="a.tif"), file("a_thumb.jpg", "JPEG Thumb", original="a.tif", size="9999")], "a.jpg"),
        ([file("__ia_thumb.jpg", "Item Tile", "original"), file("a_thumb.jpg", "JPEG Thumb")], None),
        ([file("thumbelina.png", "PNG", "original")], "thumbelina.png"),
    ],
)  # fmt: skip
def test_of_a_picture_the_original_is_taken_and_never_a_thumbnail(files, chosen):
    assert best(*files, mediatype="image") == chosen


def test_the_frame_decides_whether_a_derivative_is_tall_enough():
    with Loopback(Fake(item(files=[avi(), SD]))) as server:
        one = source(server)
        found = [
            one.search(Query(("rain",), "clip", width=w, height=h))[0] for w, h in ((640, 360), (1920, 1080))
        ]
    assert [c.foreign_id for c in found] == ["rain/a_sd.mp4", "rain/a.avi"]


def test_an_album_holds_many_works_each_with_an_address_of_its_own():
    tracks = [
        track
        for n, name in enumerate(("Casey Jones", "Rain & #1", "Sun", "Dew"), start=1)
        for track in (
            file(f"disc 1/{n}.flac", "Flac", "original", title=name, length=f"0{n}:37", artist="The Band"),
            file(f"disc 1/{n}.mp3", "VBR MP3", original=f"disc 1/{n}.flac"),
        )
    ]
    album = item("album", files=tracks, mediatype="audio", collection="netlabels", title="Live")
    found, _ = search(Fake(album), "rain", kind="audio")
    assert (found[0].foreign_id, found[0].title, found[0].duration) == (
        "album/disc 1/2.flac",
        "Rain & #1",
        157,
    )
    assert len(found) == 3
    assert len({c.canonical_url for c in found}) == 3
    assert found[0].media_url.endswith("/download/album/disc%201/2.flac")
    assert (found[0].creator, found[0].popularity) == ("The Band", 42)


def test_a_script_names_an_item_or_any_file_of_it():
    with Loopback(Fake(item())) as server:
        assert source(server).get("rain").foreign_id == "rain/Rain 1950.mp4"
        assert source(server).get("rain/Rain 1950.mpeg").size == 734_003_200
        for missing in ("rain/none.mp4", "rain/rain_meta.xml", "rain/__ia_thumb.jpg", "", "/x", "..", "a b"):
            with pytest.raises(NotFound):
                source(server).get(missing)


@given(mangled({**item(), "_file": "Rain 1950.mp4", "_downloads": 7}))
def test_whatever_arrives_is_a_candidate_or_none(whole):
    readable(source().parse(whole))


def test_whatever_the_archive_answers_is_pages_or_an_error_of_ours():
    answers = {}

    @hypothesis_settings(deadline=None, max_examples=60)
    @given(mangled({"response": {"numFound": 1, "docs": [Fake.doc(item())]}}), mangled(item()))
    def ask_for(listed, whole):
        answers.update(search=listed, item=whole)
        with contextlib.suppress(PipelineError):
            for candidate in one.search(Query(("rain",), "clip")):
                readable(candidate)

    with Loopback(lambda ask: reply(answers["search" if "advanced" in ask.path else "item"])) as server:
        one = source(server)
        ask_for()
    assert server.asks


# -- fetching --------------------------------------------------------------------------------------


def promises(data, **wrong):
    hashes = {"sha1": hashlib.sha1(data).hexdigest(), "md5": hashlib.md5(data).hexdigest()}
    return {"size": str(len(data)), **hashes, **wrong}


def test_a_file_comes_from_a_storage_node_whole_or_not_at_all(tmp_path):
    data = picture()

    def scan(name, **wrong):
        return item(name, [file("a b.jpg", "JPEG", "original", **promises(data, **wrong))], mediatype="image")

    bare = scan("bare", sha1=None, md5=None, size=None)
    fake = Fake(
        scan("good"),
        bare,
        scan("sha1", sha1="0" * 40),
        scan("size", size="9"),
        scan("md5", sha1=None, md5="0" * 32),
    )

    def serve(ask):
        return Reply(body=data, mime="image/jpeg") if ask.path.startswith("/download") else fake(ask)

    with Loopback(serve) as server:
        one = source(server)
        for name in ("good", "bare"):
            one.fetch(one.get(name), tmp_path / name, 1 << 20)
        for name, why in (("sha1", "SHA-1"), ("size", "size"), ("md5", "MD5")):
            with pytest.raises(Retryable, match=why):
                one.fetch(one.get(name), tmp_path / name, 1 << 20)
    assert server.asks[1].path == "/download/good/a%20b.jpg"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare", "good"]


def test_a_file_is_not_followed_out_of_the_archive(tmp_path):
    data = picture()
    one_file = [file("a.jpg", "JPEG", "original", **promises(data))]
    fake = Fake(item(files=one_file, mediatype="image"))
    with Loopback(lambda ask: Reply(body=data, mime="image/jpeg")) as elsewhere:
        away = Reply(302, headers={"Location": f"http://localhost:{elsewhere.port}/a.jpg"})
        near = Reply(302, headers={"Location": "/node/a.jpg"})

        def serve(ask, leads=[near, away]):  # noqa: B006 (a list to draw from)
            if ask.path.startswith("/node"):
                return Reply(body=data, mime="image/jpeg")
            return leads.pop(0) if ask.path.startswith("/download") else fake(ask)

        with Loopback(serve) as server:
            one = source(server, others=[elsewhere])
            one.fetch(one.get("rain"), tmp_path / "a", 1 << 20)
            with pytest.raises(Permanent, match=r"outside archive\.org") as caught:
                one.fetch(one.get("rain"), tmp_path / "b", 1 << 20)
    assert (caught.value.code, elsewhere.asks) == ("address_refused", [])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
