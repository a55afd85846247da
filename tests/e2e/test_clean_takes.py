"""Takes of films that carry burnt-in text: what the cut shows instead, and what the take says of it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from db.assets import Rendition, Take
from media.first_look import first_look
from media.probe import probe
from tests.burnt import burnt

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SAID = "Nobody asked for this line"
SCRIPT = "[search: {word}]\n[duration: 2]\n"
_OWN = {"captions": "none", "sources": ["folder"]}


def stock(studio, word: str, *lines) -> None:
    """Put a clip into the operator's folder of footage."""
    path = burnt(studio.stack.folder / "footage" / f"{word}.mp4", *lines, seed=len(word))
    path.with_name(f"{path.name}.json").write_text(json.dumps({"licence": "CC BY 4.0", "creator": "Ada"}))


def take_of(studio, job) -> tuple[Take, dict[str, list[Rendition]]]:
    """The only take of a film, and its files by role."""
    with studio.rows() as session:
        (take,) = session.scalars(select(Take).where(Take.workspace_id == job.workspace_id))
        files: dict[str, list[Rendition]] = {}
        for row in session.scalars(select(Rendition).where(Rendition.asset_id == take.id)):
            files.setdefault(row.role.value, []).append(row)
    return take, files


def words_in(path, scratch) -> str:
    return " ".join(line.words for line in first_look(path, probe(path), scratch))


def test_a_stock_clip_that_carries_a_subtitle_is_cleaned_before_it_is_cut(studio, tmp_path):
    stock(studio, "meadow", (SAID, 0.0, 3.0))
    job = studio.state_of(studio.film(SCRIPT.format(word="meadow"), size=360, **_OWN), "succeeded")
    assert job.warnings == []
    take, files = take_of(studio, job)
    assert take.quality["text"]["found"] == 1
    assert take.quality["text"]["words"] == [SAID]
    assert (take.quality["text"]["done"], take.quality["text"]["clean"]) == ("filled", True)
    (original,), (cleaned,) = files["original"], files["cleaned"]
    assert cleaned.blob_sha256 == take.quality["text"]["cleaned"]
    assert SAID in words_in(studio.file(original.blob_sha256), tmp_path)
    assert words_in(studio.file(cleaned.blob_sha256), tmp_path) == ""
    manifest = studio.get(f"/jobs/{job.id}/manifest")
    assert words_in(studio.file(manifest["shots"][0]["segment"]["sha256"]), tmp_path) == ""
    assert words_in(studio.file(manifest["master"]["sha256"]), tmp_path).find(SAID) == -1

    kinds = {row.filename: row for row in files["report"]}
    report = json.loads(studio.file(kinds["text-report.json"].blob_sha256).read_text(encoding="utf-8"))
    assert report["found"]["texts"][0]["words"] == SAID
    assert report["proof"]["residue_chars"] == 0
    assert "before-after.jpg" in kinds
    assert [line["state"] for line in studio.get(f"/jobs/{job.id}/plan")["items"]].count("stale") == 0


def test_takes_are_shown_as_they_come_where_the_brief_says_so_and_cards_are_never_looked_at(studio):
    stock(studio, "river", (SAID, 0.0, 3.0))
    script = SCRIPT.format(word="river") + "\n[title: Words of our own]\n[search:]\n[duration: 2]\n"
    film = studio.film(script, size=240, burnt_text={"remove": False}, stop_after="finish", **_OWN)
    job = studio.state_of(film, "succeeded")
    with studio.rows() as session:
        takes = session.scalars(select(Take).where(Take.workspace_id == job.workspace_id)).all()
        told = {take.origin.value: take.quality["text"] for take in takes}
    assert told["stock"] == {"looked": False, "why": "The brief wants takes as they come."}
    assert told["rendered"]["looked"] is False
