from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from core.errors import Misconfigured, NotFound, Permanent
from core.licences import CC0, LicencePolicy
from scrapers.base import Query
from scrapers.sources.samples import SAMPLES, Samples, data_folder
from tests.scrapers.makers import client, settings


@pytest.fixture
def samples():
    return Samples(client(), settings(offline=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_there_with_the_size_and_licence_we_say(samples, name, tmp_path):
    found = samples.get(name)
    with Image.open(found.media_url) as image:
        assert image.size == (found.width, found.height)
    LicencePolicy(allow_share_alike=False).check(found.licence)
    samples.fetch(found, tmp_path / "deep" / "x", 10 << 20)
    assert (tmp_path / "deep" / "x").stat().st_size == found.size


@pytest.mark.parametrize("name", SAMPLES)
def test_the_package_itself_states_the_licence(name):
    tree = ast.parse((data_folder() / "_fetchers.py").read_text())
    docs = [
        ast.get_docstring(f) or ""
        for f in tree.body
        if isinstance(f, ast.FunctionDef) and f"data/{SAMPLES[name].file}" in ast.unparse(f)
    ]
    text = " ".join(docs[0].split()).lower()
    assert ("cc0" in text) if SAMPLES[name].licence == CC0 else ("public domain" in text)


@pytest.mark.parametrize(
    ("words", "first"),
    [(["rockets", "launching"], "rocket"), (["galaxies"], "hubble_deep_field"), (["night sky", "stars"], "hubble_deep_field"),
     (["astronauts"], "astronaut"), (["cats"], "chelsea"), (["coffee"], "coffee"), (["clocks", "time"], "clock_motion")],
)  # fmt: skip
def test_words_find_their_picture(samples, words, first):
    assert samples.search(Query(tuple(words)))[0].foreign_id == first


def test_words_that_fit_nothing_find_nothing(samples):
    assert samples.search(Query(("parliament",))) == []


def test_music_beds_are_offered_as_generated_sound(samples, tmp_path):
    (bed,) = samples.search(Query(("wonder",), "audio"))
    assert (bed.foreign_id, bed.media_url, bed.generated) == ("ambient-wonder", "ambient:wonder", "wonder")
    assert (bed.creator, bed.licence.id, bed.kind) == ("Callsheet", "CC0-1.0", "audio")
    assert {samples.get(f"ambient-{mood}").generated for mood in ("calm", "tense")} == {"calm", "tense"}
    assert len(samples.search(Query(("ambient", "music"), "audio"))) == 3
    with pytest.raises(Permanent, match="media craft"):
        samples.fetch(bed, tmp_path / "x", 10)


def test_an_unknown_name_lists_the_known_ones(samples):
    for name in ("moon", "../../secret", "ambient-loud"):
        with pytest.raises(NotFound, match="rocket"):
            samples.get(name)


def test_a_forged_path_is_not_followed(samples, tmp_path):
    forged = replace(samples.get("horse"), media_url="/etc/passwd")
    samples.fetch(forged, tmp_path / "x", 10 << 20)
    assert (tmp_path / "x").read_bytes().startswith(b"\x89PNG")


def test_a_size_limit_holds_for_local_files_too(samples, tmp_path):
    with pytest.raises(Permanent) as caught:
        samples.fetch(samples.get("astronaut"), tmp_path / "x", 1000)
    assert caught.value.code == "too_large"


def test_the_source_can_be_switched_off():
    with pytest.raises(Misconfigured, match="SAMPLES_ENABLED"):
        Samples(client(), settings(samples_enabled=False)).search(Query(("rocket",)))


def test_the_heavy_package_is_not_imported():
    code = (
        "import sys; from scrapers.sources.samples import data_folder; assert data_folder();"
        "assert not {'numpy', 'skimage', 'skimage.data'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, cwd=Path(__file__).parents[2])
