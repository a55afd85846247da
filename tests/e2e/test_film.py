"""From a brief to a finished film: what comes out, what is credited, what is not done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from db.assets import Film, Rendition, Script, ScriptVersion
from db.work import JobState
from media.ffmpeg import run as ffmpeg
from media.probe import probe
from media.sound import measure_loudness
from services.films import film_shots
from tests.e2e.conftest import Studio, open_studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PINNED = ("hubble_deep_field", "retina", "rocket", "astronaut", "camera", "coffee")
LINES = (
    "We look up.",
    "The eye was first.",
    "Then we built a ladder.",
    "Somebody climbed it.",
    "We took pictures.",
    "And came home.",
)
WORKED = ("narrate", "submit_take", "render_segment", "mix_sound", "credits_card", "compose", "export")
"""Kinds that cost seconds."""
MUSIC = {"from": "samples", "id": "ambient-wonder"}


def script_of(lines=LINES, pictures=PINNED):
    shots = [f"[image: samples:{p}]\n{line}" for p, line in zip(pictures, lines, strict=True)]
    return "# Looking up\n\n## Night\n\n" + "\n\n".join(shots) + "\n"


ARABIC = "# السماء\n\n## الليل\n\n[image: samples:rocket]\nننظر إلى السماء كل ليلة.\n\nالنجوم بعيدة جدا."  # noqa: RUF001 (it is Arabic)
EMOJI = "🚀🌙\n\n⭐⭐⭐ 👩‍🚀"
BAD_PINS = """# Pins

[image: samples:nothing_like_it]
One.

[image: https://example.com/picture.jpg]
Two.

[image: folder:broken.jpg]
Three.

[clip: asset:01a1fa9b-a7f9-70e8-a6f4-409605509cdc]
Four.
"""


class Premiere:
    """Several films of one studio, asked for at once."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        footage = studio.stack.folder / "footage"
        (footage / "broken.jpg").write_text("<html>not a picture</html>")
        (footage / "broken.jpg.json").write_text('{"licence": "own work", "title": "Broken"}')
        self.six = studio.film(script_of(), music=MUSIC, captions="karaoke")
        self.bare = studio.film(script_of(), captions="none")
        self.arabic = studio.film(ARABIC, language="ar", format="9:16", captions="boxed")
        self.emoji = studio.film(EMOJI, captions="plain")
        self.pins = studio.film(BAD_PINS, sources=[])
        self.halted = studio.film(BAD_PINS.partition("\n\nThree")[0], sources=[], on_shot_failure="halt")

    def master(self, job_id) -> Path:
        job = self.studio.state_of(job_id, "succeeded")
        with self.studio.rows() as session:
            film = session.get_one(Film, job.film_id)
            return self.studio.file(session.get_one(Rendition, film.master_rendition_id).blob_sha256)


@pytest.fixture(scope="module")
def premiere(running_stack) -> Iterator[Premiere]:
    with open_studio(running_stack) as studio:
        yield Premiere(studio)


def frames_of(path: Path, start: float, count: int, tmp_path: Path) -> np.ndarray:
    """`count` frames from `start` seconds on as grey values."""
    out = tmp_path / f"{path.name}-%02d.png"
    ffmpeg(
        ["-ss", str(start), "-i", str(path), "-frames:v", str(count), "-f", "image2", str(out)], timeout=60
    )
    pictures = sorted(tmp_path.glob(f"{path.name}-*.png"))
    return np.stack([np.asarray(Image.open(p).convert("L"), dtype=np.int16) for p in pictures])


def worked(studio, job_id):
    return [s for s in studio.steps(job_id) if s.kind in WORKED and s.variant != "manifest"]


def test_a_film_of_six_shots_is_exactly_as_long_as_its_shots_and_credits(premiere):
    seen = probe(premiere.master(premiere.six))
    job = premiere.studio.job(premiere.six)
    assert job.warnings == []
    with premiere.studio.rows() as session:
        shots = film_shots(session, job.film_id)
    (card,) = premiere.studio.steps(premiere.six, "credits_card")
    assert len(shots) == 6
    assert seen.frames == sum(shot.frames for shot in shots) + card.result["frames"]
    assert (seen.width, seen.height, seen.fps, seen.vfr) == (426, 240, 24, False)
    assert seen.video_codec == "h264"
    assert abs(seen.audio_duration - seen.frames / 24) < 0.1


def test_every_shot_is_as_long_as_its_narration(premiere):
    premiere.studio.state_of(premiere.six, "succeeded")
    for step in premiere.studio.steps(premiere.six, "narrate"):
        spoken = step.result["duration"]
        assert spoken > 0.3
        assert spoken < step.result["frames"] / 24 < spoken + 1.0


def test_its_sound_is_at_minus_fourteen_lufs(premiere):
    heard = measure_loudness(premiere.master(premiere.six))
    assert abs(heard.integrated + 14) <= 1
    assert heard.true_peak <= -0.5


def test_captions_are_burnt_in_where_somebody_speaks(premiere, tmp_path):
    """The same frames with and without captions differ below, and not above."""
    with_words, without = (
        frames_of(premiere.master(job), 1.0, 1, tmp_path)[0] for job in (premiere.six, premiere.bare)
    )
    changed = np.abs(with_words - without) > 60
    height = changed.shape[0]
    assert changed[height // 2 :].mean() > 0.01
    assert changed[: height // 3].mean() < 0.001


def test_pictures_move(premiere, tmp_path):
    first, *_, last = frames_of(premiere.master(premiere.bare), 0.8, 12, tmp_path)
    assert np.abs(first - last).mean() > 0.5


def test_every_asset_of_the_film_is_credited(premiere):
    job = premiere.studio.state_of(premiere.six, "succeeded")
    entries = premiere.studio.get(f"/films/{job.film_id}/credits")
    entries = entries["items"] if isinstance(entries, dict) else entries
    assert {e["foreign_id"] for e in entries} == {*PINNED, "ambient-wonder"}
    assert all(e["licence"] and e["credit"] for e in entries)
    shown = premiere.studio.get(f"/jobs/{job.id}")
    text = requests.get(shown["downloads"]["credits.txt"], timeout=20).text
    for entry in entries:
        assert entry["credit"] in text


def test_the_manifest_names_every_input_and_licence(premiere):
    master = premiere.master(premiere.six)
    manifest = premiere.studio.get(f"/jobs/{premiere.six}/manifest")
    assert len(manifest["shots"]) == 6
    for shot, picture in zip(manifest["shots"], PINNED, strict=True):
        source = shot["take"]["made_from"]
        assert (source["source"], source["foreign_id"]) == ("samples", picture)
        assert source["licence"]
        assert source["landing_url"]
        assert shot["take"]["provider"] == "local"
        assert shot["take"]["seed"] is not None
        assert shot["narration_file"]["facts"]["provider"] == "espeak"
        for file in (source["file"], shot["take"]["file"], shot["narration_file"], shot["segment"]):
            stored = premiere.studio.file(file["sha256"])
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == file["sha256"]
    assert manifest["music"]["licence"]
    assert manifest["script"]["text"] == script_of()
    assert manifest["tools"]["ffmpeg"]
    assert manifest["master"]["sha256"] == hashlib.sha256(master.read_bytes()).hexdigest()
    assert all(step["input_hash"] for step in manifest["steps"] if step["kind"] in WORKED)


def test_every_deliverable_can_be_fetched_by_its_link(premiere):
    premiere.studio.state_of(premiere.six, "succeeded")
    downloads = premiere.studio.get(f"/jobs/{premiere.six}")["downloads"]
    assert {"master", "poster", "captions.srt", "captions.vtt", "credits.csv", "manifest.json"} <= set(
        downloads
    )
    for name, url in downloads.items():
        answer = requests.get(url, timeout=20)
        assert answer.status_code == 200, name
        assert answer.content, name
    srt = requests.get(downloads["captions.srt"], timeout=20).text
    assert "We look up." in srt.replace("\n", " ")


def test_the_events_of_a_film_have_no_gap(premiere):
    premiere.studio.state_of(premiere.six, "succeeded")
    seen, after = [], 0
    while page := premiere.studio.get(f"/jobs/{premiere.six}/events?after_id={after}&limit=50")["items"]:
        seen += page
        after = page[-1]["seq"] if "seq" in page[-1] else page[-1]["id"]
    types = [e["type"] for e in seen]
    assert types[0] == "job.queued"
    assert types[-1] == "job.succeeded"
    assert types.count("phase.started") == 5


def test_a_script_in_arabic_gives_an_upright_film(premiere):
    seen = probe(premiere.master(premiere.arabic))
    assert (seen.width, seen.height) == (240, 426)
    assert premiere.studio.job(premiere.arabic).warnings == []


def test_a_script_in_emoji_gives_a_film(premiere):
    seen = probe(premiere.master(premiere.emoji))
    assert seen.frames > 24


def test_pins_that_cannot_be_used_are_warnings_that_name_the_shot_and_the_reason(premiere):
    job = premiere.studio.state_of(premiere.pins, "succeeded")
    said = {w["step"]: w["message"] for w in job.warnings}
    assert set(said) == {f"keep_stock shot {n}" for n in (1, 2, 3, 4)}
    assert "nothing_like_it" in said["keep_stock shot 1"]
    assert "licence" in said["keep_stock shot 2"]
    assert "broken" in said["keep_stock shot 3"].lower() or "not" in said["keep_stock shot 3"]
    assert "01a1fa9b" in said["keep_stock shot 4"]
    seen = probe(premiere.master(premiere.pins))
    assert seen.frames > 0


def test_a_brief_that_wants_no_cards_halts_at_such_a_pin(premiere):
    job = premiere.studio.state_of(premiere.halted, "failed")
    assert "shot 1" in job.error_message.lower()
    assert "nothing_like_it" in job.error_message


def test_changing_one_line_does_only_that_shot_again(premiere):
    studio = premiere.studio
    studio.state_of(premiere.six, "succeeded")
    lines = (*LINES[:2], "And then we built a taller ladder.", *LINES[3:])
    job = studio.state_of(studio.film(script_of(lines), music=MUSIC, captions="karaoke"), "succeeded")
    anew = {f"{s.kind} {s.label}".strip() for s in worked(studio, job.id) if s.reused_from is None}
    per_shot = {name for name in anew if "shot" in name}
    assert per_shot == {"narrate shot 3", "submit_take shot 3", "render_segment shot 3"}
    assert {"mix_sound", "compose"} <= anew
    assert "credits_card" not in anew


def test_a_written_script_belongs_to_its_film(premiere):
    studio = premiere.studio
    job_id = studio.submit(
        "film",
        {"text": "Why do people look up at night? Because it is dark.", "size": 240, "fps": 24,
         "sources": ["samples"], "writer": "outline", "target_duration": 5},
        stop_after="write",
    )  # fmt: skip
    job = studio.state_of(job_id, "succeeded")
    assert (job.state, job.phase) == (JobState.SUCCEEDED, "write")
    with studio.rows() as session:
        film = session.get_one(Film, job.film_id)
        version = session.get_one(ScriptVersion, session.get_one(Script, film.script_id).current_version_id)
        assert version.author.startswith("outline")
        assert film_shots(session, film.id)
