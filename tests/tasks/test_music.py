"""Music found by words: ranked, licensed, fetched; another piece in the project's next film."""

from __future__ import annotations

import json
import math
import struct
import wave

import pytest
from sqlalchemy import select

from core.settings import get_settings
from db.assets import Asset, Film, Origin
from db.candidates import Candidate
from db.session import reading
from services.steps import StepPlan
from tests.services.makers import make_job, make_series, plan, see_job, see_step
from tests.tasks.conftest import work_on


@pytest.fixture
def folder(house, tmp_path, monkeypatch):
    """The operator's own folder, and no network; returns a function that puts a tone there."""
    root = tmp_path / "sound"
    root.mkdir()
    monkeypatch.setenv("FOLDER_SOURCES", str(root))
    monkeypatch.setenv("OFFLINE", "true")
    get_settings.cache_clear()

    def put(name: str, *, seconds=12, pitch=440, licence="CC0-1.0", **facts):
        path = root / f"{name}.wav"
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            samples = (round(9000 * math.sin(n * pitch * math.tau / 8000)) for n in range(seconds * 8000))
            out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
        said = {"licence": licence, "creator": "A. Player", "title": name, **facts}
        path.with_name(f"{path.name}.json").write_text(json.dumps(said))
        return path

    return put


def find(house, music, sources=None, **more):
    job_id = make_job(house, params={"music": music, "sources": sources}, **more)
    (row,) = plan(job_id, StepPlan("find_music"), phase="source")
    work_on(row)
    return job_id, see_step(row)


def heard(job_id):
    """Of the film's music its item, and of every candidate its title and state, in order."""
    with reading() as session:
        film = session.get_one(Film, see_job(job_id).film_id)
        asset = film.metadata_.get("music_asset_id")
        rows = session.scalars(
            select(Candidate)
            .where(Candidate.film_id == film.id, Candidate.shot_id.is_(None))
            .order_by(Candidate.position.asc().nulls_last())
        ).all()
        named = session.get_one(Asset, asset).name if asset else None
        return named, [(row.facts["title"], row.state.value, row.reason) for row in rows]


def test_music_is_found_by_words_and_what_may_not_be_used_says_why(house, folder):
    folder("Rainy piano", pitch=220)
    folder("Piano for sale", pitch=330, licence="CC-BY-NC-4.0")
    folder("Drums", pitch=550)
    job_id, made = find(house, {"from": "folder", "words": ["piano"]})
    assert made.state == "succeeded", made.error_message
    name, (first, refused) = heard(job_id)
    assert name == "Rainy piano" == first[0]
    assert first[1] == "chosen"
    assert refused[:2] == ("Piano for sale", "refused")
    assert "forbids commercial use" in refused[2]
    with reading() as session:
        assert session.get_one(Origin, made.result["asset_id"]).licence == "CC0-1.0"
    again, taken = find(house, {"from": "folder", "words": ["piano"]})
    assert taken.reused_from == made.id
    assert heard(again) == (name, [first, refused])


def test_every_source_of_sound_is_searched_and_one_mood_is_enough(house, folder):
    folder("Calm piano", pitch=220)
    job_id, made = find(house, {"from": "search", "mood": "calm"})
    assert made.state == "succeeded", made.error_message
    name, rows = heard(job_id)
    assert {title for title, _, _ in rows} >= {"Calm piano"}
    assert len(rows) > 1, "the packaged samples have a calm piece too"
    assert name


def test_a_piece_whose_file_is_gone_gives_way_to_the_next(house, folder):
    folder("Piano alone", pitch=220).write_bytes(b"<html>not sound</html>")
    folder("Piano at night", pitch=330)
    job_id, made = find(house, {"from": "folder", "words": ["piano"]})
    assert made.state == "succeeded", made.error_message
    name, rows = heard(job_id)
    assert name == "Piano at night"
    assert {title: state for title, state, _ in rows} == {"Piano alone": "failed", "Piano at night": "chosen"}


def test_the_next_film_of_a_project_has_other_music_while_there_is_some(house, folder):
    folder("Piano", pitch=220)
    folder("Piano at night", pitch=330)
    series = make_series(house)
    names = [
        heard(find(house, {"from": "folder", "words": ["piano"]}, project_id=series)[0]) for _ in range(3)
    ]
    assert {names[0][0], names[1][0]} == {"Piano", "Piano at night"}
    _, rows = names[2]
    assert rows[0][1] == "chosen"
    assert rows[0][2].startswith("chosen although used in the film “")
    other = find(house, {"from": "folder", "words": ["piano"]})
    assert heard(other[0])[0] == names[0][0], "a film of no project has no earlier films"


def test_a_piece_that_is_made_here_from_a_seed_is_known_again_in_the_next_film(house, folder):
    series = make_series(house)
    brief = {"params": {"music": {"from": "samples", "words": ["ambient"]}, "seed": 7}, "project_id": series}
    names = []
    for _ in range(2):
        job_id = make_job(house, **brief)
        (row,) = plan(job_id, StepPlan("find_music"), phase="source")
        work_on(row)
        names.append(heard(job_id)[0])
    assert len(set(names)) == 2


def test_a_film_for_which_nothing_is_found_is_silent_and_says_so(house, folder):
    folder("Drums")
    job_id, made = find(house, {"from": "folder", "words": ["bagpipe"]})
    assert (made.state, made.error_code) == ("failed", "no_music")
    assert "bagpipe" in made.error_message
    assert heard(job_id) == (None, [])


@pytest.mark.parametrize(
    "music",
    [
        {"from": "search"},
        {"from": "search", "words": []},
        {"from": "asset", "words": ["piano"]},
        {"from": "none", "words": ["piano"]},
        {"from": "folder", "words": ["piano"], "id": "x"},
        {"from": "folder"},
    ],
)
def test_a_brief_says_one_way_to_music(house, music):
    from marshmallow import ValidationError

    with pytest.raises(ValidationError) as caught:
        make_job(house, params={"music": music})
    assert list(caught.value.messages) == ["music"]


def test_music_is_looked_for_in_the_sources_that_the_brief_names(house, folder):
    folder("piano")
    _, step = find(house, {"from": "search", "words": ["piano"]}, sources=["samples"])
    assert (step.state.value, step.error_code) == ("failed", "no_music")
    _, step = find(house, {"from": "search", "words": ["piano"]}, sources=["samples", "folder"])
    assert step.state.value == "succeeded"
