from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

import scrapers.sources
from core.errors import Invalid, Misconfigured, Permanent, Retryable
from core.licences import CC0, parse_licence
from core.registry import SOURCES
from scrapers.base import Candidate, Query, Source
from scrapers.html_text import plain_text
from scrapers.kinds import sniff
from scrapers.words import stem, word_score
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import client, picture, settings


class Toy(Source):
    slug = "toy"
    kinds = ("image", "clip")
    asked = 0

    def pages(self, query):
        for start in (0, 3, 6):
            self.asked += 1
            yield [start, start + 1, start + 2]

    def parse(self, item):
        if item == 1:
            return None
        wide = item % 2 == 0
        return candidate(
            foreign_id=str(item % 8),
            width=160 if wide else 90,
            height=90 if wide else 160,
            duration=float(item),
        )


def candidate(**kw):
    facts = {
        "source": "toy", "foreign_id": "1", "kind": "image", "title": "A lake", "landing_url": "https://x.example/1",
        "media_url": "https://x.example/1.jpg", "creator": "Ann", "creator_url": None, "licence": CC0,
        "raw_licence": "cc0",
    }  # fmt: skip
    return Candidate(**{**facts, **kw})


@pytest.mark.parametrize(
    ("page", "same"),
    [("https://www.flickr.com/photos/ann/4711/", "http://flickr.com/photos/1@N04/4711/in/photostream?utm_source=x"),
     ("https://freesound.org/people/Ann/sounds/42/", "https://freesound.org/s/42/"),
     ("https://x.example/a/?b=1&a=2", "http://www.x.example/a?a=2&b=1&utm_medium=y")],
)  # fmt: skip
def test_one_page_is_written_one_way(page, same):
    assert candidate(landing_url=page).canonical_url == candidate(landing_url=same).canonical_url


def test_an_address_that_is_none_has_no_canonical_form():
    assert candidate(landing_url="https://[").canonical_url is None


@pytest.mark.parametrize("text", ["<![odd one[ x", "a<![if gte mso]>b<![endif]>", "<3", "&#xD800;", "<!x"])
def test_broken_markup_never_stops_the_reading(text):
    assert plain_text(f"{text}> after")[0].endswith("after")


def test_the_registry_finds_every_source_with_its_shape():
    found = SOURCES.all()
    files = sorted(Path(scrapers.sources.__file__).parent.glob("[a-z]*.py"))
    assert list(found) == [file.stem for file in files]
    for slug, source in found.items():
        assert issubclass(source, Source)
        assert (source.slug, bool(source.kinds)) == (slug, True)
    with pytest.raises(Invalid, match="wikimedia_commons"):
        SOURCES.get("no_such_source")


def test_a_search_stops_at_the_limit_and_drops_what_cannot_be_used():
    toy = Toy(client(), settings())
    assert [c.foreign_id for c in toy.search(Query(("x",), limit=2))] == ["0", "2"]
    assert toy.asked == 1
    assert [c.foreign_id for c in toy.search(Query(("x",), limit=99))] == ["0", "2", "3", "4", "5", "6", "7"]


def test_the_wanted_orientation_comes_first_and_nothing_is_lost():
    got = Toy(client(), settings()).search(Query(("x",), limit=99, orientation="portrait"))
    assert [c.foreign_id for c in got] == ["3", "5", "7", "0", "2", "4", "6"]


def test_too_short_clips_are_left_out():
    got = Toy(client(), settings()).search(Query(("x",), limit=99, min_duration=5))
    assert [c.foreign_id for c in got] == ["5", "6", "7", "0"]


def test_a_kind_the_source_has_not_or_no_words_give_nothing():
    toy = Toy(client(), settings())
    assert toy.search(Query(("x",), "audio")) == []
    assert toy.search(Query(("  ",))) == []
    assert toy.asked == 0


def test_an_offline_installation_asks_no_networked_source():
    toy = Toy(client(), settings(offline=True))
    for act in (lambda: toy.search(Query(("x",))), lambda: toy.fetch(candidate(), None, 1)):
        with pytest.raises(Misconfigured, match="toy is off: OFFLINE"):
            act()


def test_a_candidate_survives_json():
    one = candidate(licence=parse_licence(name="CC BY-SA 4.0"), tags=("a", "b"), sha1="0" * 40)
    assert Candidate.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_the_sources_own_credit_wins():
    assert candidate().credit.startswith('"A lake" by Ann (https://x.example/1) is marked with CC0 1.0')
    assert candidate(attribution="As I say").credit == "As I say"


# -- fetching --------------------------------------------------------------------------------


def fetch(reply, tmp_path, max_bytes=1 << 20, **facts):
    with Loopback(lambda ask: reply) as server:
        toy = Toy(client(server, retry_for=0), settings())
        toy.fetch(candidate(media_url=f"{server.url}/a.jpg", **facts), tmp_path / "a.jpg", max_bytes)


def test_a_file_with_the_promised_sha1_is_kept(tmp_path):
    data = picture()
    fetch(Reply(body=data, mime="image/jpeg"), tmp_path, sha1=hashlib.sha1(data).hexdigest().upper())
    assert (tmp_path / "a.jpg").read_bytes() == data


@pytest.mark.parametrize(
    ("reply", "facts", "limit", "error", "code"),
    [
        (Reply(body=picture(), mime="image/jpeg"), {"sha1": "0" * 40}, 1 << 20, Retryable, None),
        (Reply(body=b"<!DOCTYPE html><title>Sign in</title>", mime="image/jpeg"), {}, 1 << 20, Permanent, "wrong_kind"),
        (Reply(body=b"<svg xmlns='http://www.w3.org/2000/svg'/>", mime="image/jpeg"), {}, 1 << 20, Permanent, "wrong_kind"),
        (Reply(body=b"", mime="image/jpeg"), {}, 1 << 20, Permanent, "wrong_kind"),
        (Reply(body=b"OggS" + b"\0" * 99, mime="image/jpeg"), {}, 1 << 20, Permanent, "wrong_kind"),
        (Reply(body=picture() * 9, mime="image/jpeg"), {}, 500, Permanent, "too_large"),
        (Reply(body=picture(), mime="image/jpeg"), {"size": 10**9}, 1 << 20, Permanent, "too_large"),
        (Reply(body=picture(), mime="image/jpeg", promise=10**5), {}, 1 << 20, Retryable, None),
        (Reply(404, b"gone"), {}, 1 << 20, Permanent, "http_404"),
        (Reply(429, b"<html>slow</html>", "text/html", {"Retry-After": "60"}), {}, 1 << 20, Retryable, "throttled"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_and_nothing_is_kept(tmp_path, reply, facts, limit, error, code):
    with pytest.raises(error) as caught:
        fetch(reply, tmp_path, limit, **facts)
    assert code is None or caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_html_named_jpg_is_named_for_what_it_is(tmp_path):
    with pytest.raises(Permanent, match="should be image, but the file is a web page"):
        fetch(Reply(body=b"\n<html>", mime="image/jpeg"), tmp_path)


def test_a_generated_candidate_is_never_fetched(tmp_path):
    with pytest.raises(Permanent, match="media craft"):
        Toy(client(), settings()).fetch(
            replace(candidate(), media_url="ambient:calm", generated="calm"), tmp_path / "a", 10
        )


@pytest.mark.parametrize(
    ("head", "mime"),
    [(picture("JPEG"), "image/jpeg"), (picture("PNG"), "image/png"), (picture("WEBP"), "image/webp"), (picture("GIF"), "image/gif"),
     (picture("TIFF"), "image/tiff"), (picture("BMP"), "image/bmp"), (b"\0\0\0\x20ftypisom", "video/mp4"),
     (b"\0\0\0\x20ftypqt  ", "video/quicktime"), (b"\0\0\0\x20ftypavif", "image/avif"), (b"\x1aE\xdf\xa3", "video/webm"),
     (b"RIFF\0\0\0\0WAVE", "audio/wav"), (b"RIFF\0\0\0\0AVI ", "video/x-msvideo"), (b"fLaC", "audio/flac"), (b"ID3\x04", "audio/mpeg"),
     (b"\xff\xfb\x90\0", "audio/mpeg"), (b"\xff\xff\xff\xff", None), (b"MThd", None), (b"", None), (b"%PDF-1.7", None)],
)  # fmt: skip
def test_files_are_told_apart_by_their_bytes(head, mime):
    assert sniff(head[:512]) == mime


# -- words and HTML --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("rockets", "rocket"), ("galaxies", "galaxy"), ("launching", "launch"), ("looked", "looks")],
)
def test_light_stemming_joins_the_forms_of_a_word(one, other):
    assert stem(one) == stem(other)


def test_more_words_found_score_higher_and_the_title_counts_more():
    assert word_score(["night", "sky"], "Night", ["sky"]) > word_score(
        ["night", "sky"], "x", ["night", "sky"]
    )
    assert word_score(["night sky"], "x", ["night", "sky"]) > word_score(["night sky"], "x", ["night"])
    assert word_score([], "x", []) == 0
    assert word_score(["夜空"], "夜空", []) > 0


@pytest.mark.parametrize(
    ("html", "text", "link"),
    [
        ('<a href="https://a.example/x" title="t">Ann &amp; Bob</a>', "Ann & Bob", "https://a.example/x"),
        ('<a href="//commons.example/User:P">P</a>', "P", "https://commons.example/User:P"),
        ('<a href="/wiki/User:P">P</a>', "P", "https://base.example/wiki/User:P"),
        ('<div class="fn value">\nJona\n Lendering</div>', "Jona Lendering", None),
        ('<a href="javascript:alert(1)">x</a><script>evil()</script>', "x", None),
        ('<a href="http://[bad">x</a>', "x", None),
        ("a<br>b < c", "a b < c", None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_html_fields_become_plain_text_and_a_link(html, text, link):
    got_text, got_link = plain_text(html, "https://base.example")
    assert (got_text, got_link) == (text, link)
