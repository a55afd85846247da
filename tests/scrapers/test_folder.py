from __future__ import annotations

import json
import os

import pytest

from core.errors import Misconfigured, NotFound, Permanent, Retryable, Unlicensed
from core.licences import LicenceClass
from scrapers.base import Query
from scrapers.sources.folder import OWN_WORK, Folder
from tests.scrapers.makers import client, picture, settings


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "my footage"
    (folder / "trips").mkdir(parents=True)
    (folder / "trips" / "2024-lake_dawn.jpg").write_bytes(picture())
    (tmp_path / "secret.jpg").write_bytes(picture())
    (tmp_path / "secret.jpg.json").write_text('{"licence": "own work"}')
    return folder


@pytest.fixture
def source(root):
    return Folder(client(), settings(folder_sources=f"{root}, ", offline=True))


def sidecar(root, **facts):
    (root / "trips" / "2024-lake_dawn.jpg.json").write_text(json.dumps(facts))


LAKE = "trips/2024-lake_dawn.jpg"


def test_without_a_licence_a_file_is_not_offered_and_asking_for_it_says_what_to_write(source):
    assert source.search(Query(("lake",))) == []
    assert source.parse(LAKE) is None
    with pytest.raises(Unlicensed, match=r"2024-lake_dawn\.jpg\.json"):
        source.get(LAKE)


def test_a_sidecar_describes_its_file(source, root, tmp_path):
    sidecar(
        root,
        licence="CC BY 4.0",
        title="Dawn",
        creator="Ann",
        creator_url="https://a.example",
        source_url="https://a.example/1",
        tags=["mist"],
    )
    (found,) = source.search(Query(("misty", "lakes")))
    assert (found.foreign_id, found.title, found.creator, found.licence.id) == (
        LAKE,
        "Dawn",
        "Ann",
        "CC-BY-4.0",
    )
    assert (found.landing_url, found.tags, found.kind) == ("https://a.example/1", ("mist",), "image")
    source.fetch(found, tmp_path / "out" / "x.jpg", 1 << 20)
    assert (tmp_path / "out" / "x.jpg").read_bytes() == picture()


def test_own_work_is_free_and_credited_plainly(source, root):
    sidecar(root, licence="Own Work", creator="Ann")
    found = source.get(LAKE)
    assert found.licence == OWN_WORK
    assert found.credit == '"2024 lake dawn" by Ann.'


def test_the_american_spelling_is_understood(source, root):
    sidecar(root, license_url="https://creativecommons.org/licenses/by-sa/4.0/")
    assert source.get(LAKE).licence.id == "CC-BY-SA-4.0"


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("trips/licence.json", '{"licence": "CC0"}', "CC0-1.0"),
        ("licence.json", '{"licence": "CC0", "creator": "Ann"}', "CC0-1.0"),
        ("LICENCE.txt", "CC BY 4.0\nsome more", "CC-BY-4.0"),
        ("trips/LICENSE.txt", "See https://creativecommons.org/licenses/by/3.0/.", "CC-BY-3.0"),
    ],
)
def test_a_licence_for_a_folder_holds_for_the_files_below(source, root, name, text, licence):
    (root / name).write_text(text)
    assert source.get(LAKE).licence.id == licence


def test_the_nearest_licence_wins_and_a_sidecar_without_one_only_describes(source, root):
    (root / "licence.json").write_text('{"licence": "CC BY-NC 4.0", "title": "of the folder"}')
    (root / "trips" / "LICENCE.txt").write_text("CC0")
    sidecar(root, title="Dawn")
    found = source.get(LAKE)
    assert (found.licence.id, found.title) == ("CC0-1.0", "Dawn")


def test_an_unreadable_licence_is_custom(source, root):
    sidecar(root, licence="ask my uncle")
    assert source.get(LAKE).licence.licence_class is LicenceClass.CUSTOM


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '{"licence": 5}', '{"licence": ""}', "\udcff", "[" * 60_000]
)
def test_a_broken_sidecar_counts_as_none(source, root, text):
    (root / f"{LAKE}.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert source.parse(LAKE) is None


@pytest.mark.parametrize(
    "name",
    ["../secret.jpg", "trips/../../secret.jpg", "/etc/passwd", "", ".", "trips//2024-lake_dawn.jpg", "./trips/2024-lake_dawn.jpg",
     "a\0b.jpg", "nothing.jpg", "trips"],
)  # fmt: skip
def test_names_cannot_climb_out(source, name):
    with pytest.raises(NotFound):
        source.get(name)


def test_symbolic_links_are_neither_listed_nor_opened(source, root, tmp_path):
    (root / "licence.json").write_text('{"licence": "CC0"}')
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "door").symlink_to(tmp_path)
    (root / "inner.jpg").symlink_to(root / LAKE)
    assert [c.foreign_id for c in source.search(Query(("secret", "link", "inner", "lake")))] == [LAKE]
    for name in ("link.jpg", "door/secret.jpg", "inner.jpg"):
        with pytest.raises(NotFound):
            source.get(name)


def test_a_file_swapped_for_a_link_after_it_was_found_is_not_copied(source, root, tmp_path):
    sidecar(root, licence="CC0")
    found = source.get(LAKE)
    (root / LAKE).unlink()
    (root / LAKE).symlink_to(tmp_path / "secret.jpg")
    with pytest.raises((Permanent, Retryable)):
        source.fetch(found, tmp_path / "x.jpg", 1 << 20)
    assert not (tmp_path / "x.jpg").exists()


def test_a_pipe_does_not_hang_the_source(source, root):
    (root / "licence.json").write_text('{"licence": "CC0"}')
    os.mkfifo(root / "pipe.jpg")
    assert source.search(Query(("pipe",))) == []


def test_hidden_files_stay_hidden(source, root):
    (root / "licence.json").write_text('{"licence": "CC0"}')
    (root / ".hidden.jpg").write_bytes(picture())
    assert source.search(Query(("hidden",))) == []
    with pytest.raises(NotFound):
        source.get(".hidden.jpg")


def test_html_named_jpg_and_too_large_files_are_refused(source, root, tmp_path):
    sidecar(root, licence="CC0")
    with pytest.raises(Permanent) as caught:
        source.fetch(source.get(LAKE), tmp_path / "x", 10)
    assert caught.value.code == "too_large"
    (root / LAKE).write_text("<!doctype html>")
    with pytest.raises(Permanent, match="web page"):
        source.fetch(source.get(LAKE), tmp_path / "x", 1 << 20)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my footage", "secret.jpg", "secret.jpg.json"]


def test_the_source_is_off_without_folders_and_names_a_missing_one(tmp_path):
    assert "FOLDER_SOURCES" in Folder.enabled(settings())
    assert "not-there" in Folder.enabled(settings(folder_sources=str(tmp_path / "not-there")))
    with pytest.raises(Misconfigured, match="FOLDER_SOURCES"):
        Folder(client(), settings()).search(Query(("x",)))
