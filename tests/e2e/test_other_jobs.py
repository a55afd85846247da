"""The smaller jobs: text removal from an uploaded clip, scraping."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import select

from db.assets import Derivation, Origin, Rendition, RenditionRole
from media.ffmpeg import run as ffmpeg
from media.probe import probe
from media.sound import measure_loudness
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A clip with sound and a bright burnt-in bar."""
    path = tmp_path_factory.mktemp("clips") / "with bar.mp4"
    ffmpeg(
        [
            "-f", "lavfi", "-i", "color=c=gray:s=320x180:d=2:r=24,drawbox=x=80:y=130:w=160:h=24:c=white:t=fill",
            "-f", "lavfi", "-i", "sine=440:d=2", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac",
        ],
        out=path, timeout=60,
    )  # fmt: skip
    return path


def upload(studio: Studio, path: Path, mime: str, **rights: str) -> dict:
    with path.open("rb") as file:
        answer = studio.http.post(
            f"{studio.base}/uploads", files={"file": (path.name, file, mime)}, data=rights, timeout=30
        )
    assert answer.status_code == 202, answer.text
    upload_id = answer.json()["id"]

    def inspected():
        shown = studio.get(f"/uploads/{upload_id}")
        return shown if shown["state"] in ("ready", "refused") else None

    return studio.until(inspected, seconds=30, why="the upload to be inspected", pause=0.2)


def brightness(path: Path, tmp_path: Path) -> int:
    out = tmp_path / f"{path.name[:8]}.png"
    ffmpeg(
        ["-ss", "1", "-i", str(path), "-frames:v", "1", "-update", "1", "-f", "image2", str(out)], timeout=60
    )
    return Image.open(out).convert("L").getpixel((160, 142))


def test_marked_text_is_removed_from_an_uploaded_clip_and_the_original_stays(studio, clip, tmp_path):
    asset_id = upload(studio, clip, "video/mp4")["asset_id"]
    region = {"x": 0.22, "y": 0.68, "width": 0.56, "height": 0.22}
    job_id = studio.submit("text_removal", {"asset_id": asset_id, "regions": [region]})
    job = studio.state_of(job_id, "succeeded")
    with studio.rows() as session:
        cleaned = session.get_one(Rendition, UUID(job.result["cleaned_rendition_id"]))
        assert (cleaned.role, cleaned.asset_id) == (RenditionRole.CLEANED, UUID(asset_id))
        original = session.scalars(
            select(Rendition)
            .join(Derivation, Derivation.parent_rendition_id == Rendition.id)
            .where(Derivation.child_rendition_id == cleaned.id)
        ).one()
        assert original.role is RenditionRole.ORIGINAL
    before, after = (studio.file(r.blob_sha256) for r in (original, cleaned))
    assert before.read_bytes() == clip.read_bytes()
    assert abs(probe(after).duration - probe(before).duration) < 0.1
    assert probe(after).has_audio
    assert brightness(before, tmp_path) > 200
    assert brightness(after, tmp_path) < 160


def test_the_same_removal_again_is_not_done_again(studio, clip):
    asset_id = upload(studio, clip, "video/mp4")["asset_id"]
    asked = {"asset_id": asset_id, "regions": [{"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}]}
    first, second = (studio.state_of(studio.submit("text_removal", asked), "succeeded") for _ in range(2))
    (step,) = studio.steps(second.id, "clean_clip")
    assert step.reused_from is not None
    assert first.result["cleaned_rendition_id"] == second.result["cleaned_rendition_id"]


def test_a_file_that_is_no_media_is_refused_with_its_reason(studio, tmp_path):
    page = tmp_path / "photo.jpg"
    page.write_text("<html><body>Not found</body></html>")
    shown = upload(studio, page, "image/jpeg")
    assert shown["state"] == "refused"
    assert shown["asset_id"] is None
    assert shown["error"]


def test_samples_become_licensed_assets(studio):
    job_id = studio.submit("scrape", {"words": ["rocket", "space"], "sources": ["samples"], "keep": 2})
    job = studio.state_of(job_id, "succeeded")
    ids = [UUID(i) for i in job.result["asset_ids"]]
    assert len(ids) == 2
    with studio.rows() as session:
        for asset_id in ids:
            origin = session.get_one(Origin, asset_id)
            assert origin.source == "samples"
            assert origin.licence
            assert origin.landing_url
            assert session.scalar(
                select(Rendition.id).where(
                    Rendition.asset_id == asset_id, Rendition.role == RenditionRole.ORIGINAL
                )
            )


def test_an_own_folder_is_a_source_and_what_has_no_licence_there_is_left_out(studio, clip):
    footage = studio.stack.folder / "footage"
    for name, facts in (
        ("lighthouse dawn.mp4", {"licence": "CC BY 4.0", "creator": "Ada", "title": "Lighthouse"}),
        ("lighthouse dusk.mp4", None),
        ("lighthouse noncommercial.mp4", {"licence": "CC BY-NC 4.0", "creator": "Bob"}),
    ):
        (footage / name).write_bytes(clip.read_bytes())
        if facts:
            (footage / f"{name}.json").write_text(json.dumps(facts))
    job_id = studio.submit(
        "scrape", {"words": ["lighthouse"], "kind": "clip", "sources": ["folder"], "keep": 5}
    )
    job = studio.state_of(job_id, "succeeded")
    (asset_id,) = job.result["asset_ids"]
    with studio.rows() as session:
        origin = session.get_one(Origin, UUID(asset_id))
        assert (origin.foreign_id, origin.licence, origin.creator) == (
            "lighthouse dawn.mp4",
            "CC-BY-4.0",
            "Ada",
        )
    (step,) = studio.steps(job_id, "search_source")
    assert [r["foreign_id"] for r in step.result["refused"]] == ["lighthouse noncommercial.mp4"]


def test_a_source_without_that_kind_is_refused_at_the_door(studio):
    answer = studio.post(
        "/jobs", {"kind": "scrape", "params": {"words": ["x"], "kind": "clip", "sources": ["samples"]}}
    )
    assert answer.status_code in (400, 422)
    assert "samples has no clips" in answer.text


def test_an_uploaded_clip_can_be_pinned_in_a_film(studio, clip):
    asset_id = upload(studio, clip, "video/mp4", licence="CC BY 4.0", creator="Ada")["asset_id"]
    job_id = studio.film(f"[clip: asset:{asset_id}]\nOur own clip.", captions="none", stop_after="shoot")
    job = studio.state_of(job_id, "succeeded")
    assert job.warnings == []
    entries = studio.get(f"/films/{job.film_id}/credits")
    entries = entries["items"] if isinstance(entries, dict) else entries
    assert [(e["licence"], e["creator"]) for e in entries] == [("CC-BY-4.0", "Ada")]


def test_music_of_ones_own_is_heard_and_credited_and_a_take_of_ones_own_is_cut(studio, clip, tmp_path):
    tune = tmp_path / "tune.wav"
    ffmpeg(["-f", "lavfi", "-i", "sine=880:d=3", "-c:a", "pcm_s16le"], out=tune, timeout=30)
    music = upload(studio, tune, "audio/wav", licence="CC BY 4.0", creator="Ada")["asset_id"]
    own = upload(studio, clip, "video/mp4")["asset_id"]
    job_id = studio.film(
        "[title: Silence]\n[search:]\n[duration: 2]",
        captions="none",
        music={"from": "asset", "id": music},
        gates=["takes"],
    )
    studio.state_of(job_id, "waiting")
    shot = studio.get(f"/shots?film_id={studio.job(job_id).film_id}")["items"][0]["id"]
    take = studio.post(f"/shots/{shot}/takes", {"asset_id": own}).json()["id"]
    studio.answer(job_id, "edit", edit={"selections": {shot: take}})
    job = studio.state_of(job_id, "succeeded")
    assert job.warnings == []

    manifest = studio.get(f"/jobs/{job_id}/manifest")
    assert manifest["music"]["licence"] == "CC-BY-4.0"
    assert manifest["shots"][0]["take"]["origin"] == "upload"
    assert {entry["asset_id"] for entry in manifest["credits"]} == {music, own}
    master = studio.file(manifest["master"]["sha256"])
    assert measure_loudness(master).integrated == pytest.approx(-14, abs=1)
