from __future__ import annotations

import io
import json
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Misconfigured, NotFound, Permanent, PipelineError, Retryable, Unlicensed
from core.licences import LicencePolicy
from scrapers.base import Query
from scrapers.manifest import read_pasted
from scrapers.sources.youtube_audio_library import YouTubeAudioLibrary
from tests.scrapers.makers import client, mangled, readable, settings

PASTED = (
    "Stand by Rain by Jane Doe is licensed under a Creative Commons Attribution license "
    "(https://creativecommons.org/licenses/by/4.0/)\nSource: http://example.org/track\nArtist: http://example.org/"
)
COLUMNS = (
    "file",
    "title",
    "artist",
    "licence",
    "attribution_text",
    "kind",
    "genre",
    "mood",
    "bpm",
    "duration",
    "source_url",
    "downloaded_on",
)


def sound():
    out = io.BytesIO()
    with wave.open(out, "wb") as f:
        f.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        f.writeframes(b"\0\0" * 800)
    return out.getvalue()


def row(**kw):
    facts = {"file": "audio/Rainy Day.wav", "title": "Rainy Day", "artist": "Jane Doe", "licence": "YOUTUBE_AUDIO_LIBRARY", "kind": "music",
             "genre": "Ambient", "mood": "Calm", "bpm": "80", "duration": "2:05", "downloaded_on": "2026-01-31"}  # fmt: skip
    return {**facts, **kw}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "from studio"
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "Rainy Day.wav").write_bytes(sound())
    (tmp_path / "secret.wav").write_bytes(sound())
    return folder


def write(root, *rows, delimiter=",", columns=COLUMNS, bom=""):
    def cell(value):
        return '"' + str(value or "").replace('"', '""') + '"'

    lines = [delimiter.join(columns)] + [
        delimiter.join(cell(one.get(name.strip().lower())) for name in columns) for one in rows
    ]
    (root / "manifest.csv").write_bytes((bom + "\r\n".join(lines)).encode())


def source(root, **kw):
    return YouTubeAudioLibrary(
        client(), settings(youtube_audio_library_folder=f"{root}, ", offline=True, **kw)
    )


# -- a row that is taken ---------------------------------------------------------------------------


def test_a_track_is_read_field_by_field_and_copied(root, tmp_path):
    write(root, row())
    (found,) = source(root).search(Query(("rainy",), "audio"))
    assert (found.source, found.foreign_id, found.kind) == (
        "youtube_audio_library",
        "audio/Rainy Day.wav",
        "audio",
    )
    assert (found.title, found.creator, found.duration, found.tags) == (
        "Rainy Day",
        "Jane Doe",
        125,
        ("music", "Ambient", "Calm"),
    )
    assert (found.licence.id, found.raw_licence) == (
        "LicenseRef-YouTube-Audio-Library",
        "YOUTUBE_AUDIO_LIBRARY, downloaded on 2026-01-31",
    )
    assert (found.size, found.attribution) == (len(sound()), None)
    assert LicencePolicy().verdict(found.licence).ok
    source(root).fetch(found, tmp_path / "out" / "x.wav", 1 << 20)
    assert (tmp_path / "out" / "x.wav").read_bytes() == sound()


def test_tracks_are_found_by_title_artist_genre_and_mood_and_by_nothing_else(root):
    write(root, row())
    for words in (("rainy days",), ("jane",), ("ambient",), ("calm",)):
        assert len(source(root).search(Query(words, "audio"))) == 1
    assert source(root).search(Query(("explosion",), "audio")) == []
    assert source(root).search(Query(("rainy",), "image")) == []


def test_the_librarys_own_licence_is_bound_to_youtube_until_the_operator_knows_better(root):
    write(root, row())
    assert source(root).get("audio/Rainy Day.wav").restrictions == ("platforms:youtube",)
    assert source(root, youtube_audio_library_anywhere=True).get("audio/Rainy Day.wav").restrictions == ()


def test_a_creative_commons_track_shows_the_pasted_text_as_it_is(root):
    write(root, row(licence="CC-BY-4.0", attribution_text=PASTED, title="", artist=""))
    found = source(root).get("audio/Rainy Day.wav")
    assert found.credit == PASTED
    assert (found.title, found.creator) == ("Stand by Rain", "Jane Doe")
    assert (found.landing_url, found.creator_url) == ("http://example.org/track", "http://example.org/")
    assert (found.licence.id, found.restrictions) == ("CC-BY-4.0", ())


@pytest.mark.parametrize(
    ("said", "text", "spdx"),
    [("CC BY 3.0", "some words", "CC-BY-3.0"), ("CC BY", PASTED, "CC-BY-4.0"), ("cc-by", PASTED.replace("4.0", "3.0"), "CC-BY-3.0"),
     ("Creative Commons Attribution", PASTED, "CC-BY-4.0"), ("https://creativecommons.org/licenses/by/4.0/", PASTED, "CC-BY-4.0"),
     ("youtube audio library", None, "LicenseRef-YouTube-Audio-Library")],
)  # fmt: skip
def test_the_version_is_that_of_the_row_or_of_the_text(root, said, text, spdx):
    write(root, row(licence=said, attribution_text=text))
    assert source(root).get("audio/Rainy Day.wav").licence.id == spdx


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_manifest_may_come_from_any_spreadsheet(root, bom, delimiter):
    columns = (" File", "TITLE", "Artist", "License", "attribution_text", "Downloaded_On", "notes")
    facts = row(license="CC BY 4.0", attribution_text=PASTED, notes="a;b,c")
    write(root, facts, {}, delimiter=delimiter, columns=columns, bom=bom)
    assert source(root).get("audio/Rainy Day.wav").credit == PASTED


def test_a_title_is_the_files_name_when_none_is_given(root):
    write(root, row(title=""))
    assert source(root).get("audio/Rainy Day.wav").title == "Rainy Day"


# -- rows that are refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"licence": ""}, "has no licence"),
        ({"licence": "CC BY 4.0"}, "attribution text"),
        ({"licence": "CC BY-NC 4.0", "attribution_text": PASTED}, "not taken without review"),
        ({"licence": "CC0"}, "not taken without review"),
        ({"licence": "royalty free"}, "not taken without review"),
        ({"licence": "CC BY", "attribution_text": "by hand"}, "not taken without review"),
        ({"licence": "CC BY 3.0", "attribution_text": PASTED}, "not taken without review"),
        ({"downloaded_on": ""}, "2026-01-31"),
        ({"downloaded_on": "yesterday"}, "2026-01-31"),
        ({"artist": ""}, "no artist"),
    ],
)
def test_a_row_that_lacks_something_is_refused_and_whoever_asks_is_told(root, wrong, why):
    (root / "audio" / "Good.wav").write_bytes(sound())
    write(root, row(file="audio/Good.wav"), row(**wrong))
    assert [c.foreign_id for c in source(root).search(Query(("rainy",), "audio"))] == ["audio/Good.wav"]
    with pytest.raises(Unlicensed, match=why) as caught:
        source(root).get("audio/Rainy Day.wav")
    assert "row 3" in caught.value.message


def test_the_log_names_the_rows_that_are_refused(root, capsys, caplog):
    write(root, row(), row(file="audio/b.wav", licence=""), row(file="c.txt"))
    assert len(source(root).search(Query(("rainy",), "audio"))) == 1
    said = capsys.readouterr().out + caplog.text  # the one, or the other once logging is configured
    assert "audio/b.wav has no licence" in said
    assert "c.txt is no sound file" in said


@pytest.mark.parametrize(
    "name",
    [
        "../secret.wav",
        "/etc/passwd.wav",
        "audio/../../secret.wav",
        "audio//Rainy Day.wav",
        "audio/none.wav",
        "door/secret.wav",
        "link.wav",
        "a\0.wav",
    ],
)
def test_names_neither_climb_out_nor_follow_links(root, tmp_path, name):
    (root / "link.wav").symlink_to(tmp_path / "secret.wav")
    (root / "door").symlink_to(tmp_path)
    write(root, row(), row(file=name, title="Secret"))
    assert source(root).search(Query(("secret",), "audio")) == []
    with pytest.raises((NotFound, Unlicensed)):
        source(root).get(name)


def test_a_manifest_that_is_a_link_is_not_read(root, tmp_path):
    write(root, row())
    (root / "manifest.csv").rename(tmp_path / "manifest.csv")
    (root / "manifest.csv").symlink_to(tmp_path / "manifest.csv")
    assert "no plain file manifest.csv" in YouTubeAudioLibrary.enabled(
        settings(youtube_audio_library_folder=str(root))
    )


def test_a_file_swapped_or_not_what_it_says_is_not_kept(root, tmp_path):
    write(root, row())
    one = source(root)
    found = one.get("audio/Rainy Day.wav")
    with pytest.raises(Permanent) as caught:
        one.fetch(found, tmp_path / "x", 10)
    assert caught.value.code == "too_large"
    (root / "audio" / "Rainy Day.wav").write_text("<!doctype html>")
    with pytest.raises(Permanent, match="web page"):
        one.fetch(found, tmp_path / "x", 1 << 20)
    (root / "audio" / "Rainy Day.wav").unlink()
    (root / "audio" / "Rainy Day.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises((Permanent, Retryable)):
        one.fetch(found, tmp_path / "x", 1 << 20)
    assert not (tmp_path / "x").exists()


# -- switched on -----------------------------------------------------------------------------------


def test_it_is_off_without_a_folder_a_manifest_or_a_single_usable_row_and_says_which(root, monkeypatch):
    def why(**kw):
        return YouTubeAudioLibrary.enabled(settings(**kw))

    assert "YOUTUBE_AUDIO_LIBRARY_FOLDER is empty" in why()
    here = {"youtube_audio_library_folder": str(root)}
    assert "no plain file manifest.csv" in why(**here)
    (root / "manifest.csv").write_bytes("file;title\nä".encode("latin-1"))
    assert "not UTF-8" in why(**here)
    write(root, row(licence=""), row(file="../x.wav"))
    assert "2 rows are refused: row 2: audio/Rainy Day.wav has no licence" in why(**here)
    with pytest.raises(Misconfigured):
        source(root).search(Query(("rainy",), "audio"))
    write(root, row(), row(licence=""))
    assert why(**here) is None
    monkeypatch.setenv("YOUTUBE_AUDIO_LIBRARY_ENABLED", "false")
    assert "YOUTUBE_AUDIO_LIBRARY_ENABLED" in why(**here)


# -- the pasted text -------------------------------------------------------------------------------


def test_a_pasted_text_is_taken_apart():
    found = read_pasted(PASTED)
    assert (found.title, found.artist) == ("Stand by Rain", "Jane Doe")
    assert found.licence_url == "https://creativecommons.org/licenses/by/4.0/"
    assert (found.source_url, found.artist_url) == ("http://example.org/track", "http://example.org/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Thanks to Jane",
        "by is licensed under",
        "Source:\nArtist: none",
        "https://example.org/licenses/by/4.0/",
    ],
)
def test_a_text_of_another_shape_says_nothing(text):
    found = read_pasted(text)
    assert (found.title, found.artist, found.licence_url, found.source_url, found.artist_url) == (None,) * 5


@given(mangled({**row(attribution_text=PASTED), "_folder": "/nowhere"}) | st.text())
def test_whatever_a_row_holds_is_a_candidate_or_none(item):
    readable(YouTubeAudioLibrary(client(), settings()).parse(item))


@given(
    st.binary(max_size=400)
    | st.text(max_size=400).map(str.encode)
    | st.lists(st.sampled_from([*COLUMNS, ",", ";", '"', "\n", json.dumps(PASTED), "a.wav", "\0"]))
    .map("".join)
    .map(str.encode)
)
def test_whatever_the_manifest_holds_is_read_or_explained(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("any")
    (root / "manifest.csv").write_bytes(content)
    reason = YouTubeAudioLibrary.enabled(settings(youtube_audio_library_folder=str(root)))
    assert reason is None or "YOUTUBE_AUDIO_LIBRARY_FOLDER" in reason
    try:
        source(root).get("a.wav")
    except PipelineError:
        return
