"""Scores of real files, made here: each part moves with what it measures, and says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import Permanent
from media.listening import Heard, listen
from media.probe import Probe, probe
from media.quality import (
    NOT_JUDGED,
    NOT_WHOLE,
    SCORE_VERSION,
    TOO_SMALL,
    is_too_small,
    score_audio,
    score_clip,
    score_image,
)
from media.watching import Watched
from tests.media.conftest import write_wav

CLIP = Probe(
    "clip", "mov", 10.0, 1920, 1080, 25.0, frames=250, video_codec="h264", bitrate=int(0.1 * 1920 * 1080 * 25)
)
SHOWN = Watched(sharpness=(600.0,) * 9)


def marks(score):
    return {part.name: part.marks for part in score.parts}


def test_a_larger_sharper_picture_scores_higher_and_says_why(photo: Path, tmp_path: Path) -> None:
    soft = tmp_path / "soft.jpg"
    Image.open(photo).resize((80, 45)).resize((320, 180)).save(soft, quality=30)
    good, bad = (score_image(p, width=640, height=360, metadata=1.0) for p in (photo, soft))
    assert marks(good)["resolution"] == 35
    for part in ("resolution", "sharpness", "compression"):
        assert marks(good)[part] > marks(bad)[part], part
    assert good.to_json()["version"] == SCORE_VERSION == 2
    assert sum(part.full for part in good.parts) == 90  # the ten marks of BRISQUE are spread over these


def test_the_marks_of_what_cannot_be_judged_are_spread_over_the_rest(photo: Path, tmp_path: Path) -> None:
    large = np.asarray(Image.open(photo).resize((1920, 1080)))
    for name in ("a.png", "a.jpg"):
        Image.fromarray(large).save(tmp_path / name, quality=97)
    png, jpeg = (score_image(tmp_path / name, width=1920, height=1080) for name in ("a.png", "a.jpg"))
    assert set(marks(jpeg)) - set(marks(png)) == {"compression"}
    assert abs(png.total - round(100 * sum(marks(png).values()) / 70)) == 0


def test_clipped_whites_and_missing_facts_cost_marks(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    fine = rng.integers(20, 235, (1080, 1920, 3), np.uint8)
    burnt = np.where(np.arange(1920)[None, :, None] < 300, 255, fine).astype(np.uint8)
    for name, pixels in (("fine", fine), ("burnt", burnt)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    good, bad = (
        score_image(tmp_path / f"{name}.png", width=1920, height=1080, metadata=known)
        for name, known in (("fine", 1.0), ("burnt", 0.25))
    )
    assert (marks(good)["exposure"], marks(good)["metadata"]) == (10, 10)
    assert 3 < marks(bad)["exposure"] < 6
    assert marks(bad)["metadata"] == 2.5


def test_a_picture_below_the_minimum_is_flagged_and_stays_behind_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, size in (("small", (427, 640)), ("enough", (470, 640))):
        Image.fromarray(rng.integers(20, 235, (*size, 3), np.uint8)).save(tmp_path / f"{name}.png")
    small, enough = (
        score_image(tmp_path / f"{n}.png", width=640, height=360, metadata=1.0) for n in ("small", "enough")
    )
    assert small.flags == (TOO_SMALL,)
    assert enough.flags == ()
    assert 0 < small.total <= 25 < enough.total
    assert is_too_small(8000, 469)
    assert not is_too_small(512, 512)


def test_a_picture_that_does_not_decode_to_its_end_scores_nothing(photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:6000])
    score = score_image(cut, width=640, height=360, metadata=1.0)
    assert (score.total, score.flags) == (0, (NOT_WHOLE,))
    assert "cut off" in (score.reason or "")
    (tmp_path / "text.jpg").write_bytes(b"<html>")
    with pytest.raises(Permanent):
        score_image(tmp_path / "text.jpg", width=640, height=360)


def test_a_clip_has_full_marks_where_it_covers_the_frame_with_enough_bits():
    score = score_clip(CLIP, width=1920, height=1080, watched=SHOWN, need=5, metadata=1.0)
    assert score.total == 100
    assert sum(part.full for part in score.parts) == 100


@pytest.mark.parametrize(
    ("codec", "bits", "reached"),
    [
        ("h264", 0.06, 10.0),
        ("hevc", 0.06, 20.0),
        ("vp9", 0.04, 10.0),
        ("av1", 0.04, 20.0),
        ("h264", 0.02, 0.0),
    ],
)
def test_bits_are_judged_by_the_codec(codec, bits, reached):
    seen = replace(CLIP, video_codec=codec, bitrate=round(bits * 1920 * 1080 * 25))
    assert marks(score_clip(seen, width=1920, height=1080))["bits"] == pytest.approx(reached, abs=0.01)


def test_black_frozen_soft_and_slow_clips_lose_marks():
    slow = score_clip(
        replace(CLIP, fps=15.0), width=1920, height=1080, watched=Watched(black=0.15, sharpness=(20.0,) * 9)
    )
    assert (marks(slow)["frame_rate"], marks(slow)["sharpness"]) == (0, 0)
    assert marks(slow)["idle"] == pytest.approx(5)
    frozen = score_clip(CLIP, width=1920, height=1080, watched=replace(SHOWN, frozen=0.6), need=20)
    assert (marks(frozen)["idle"], marks(frozen)["duration"]) == (0, 0)
    assert score_clip(CLIP, width=1920, height=1080).flags == (NOT_JUDGED,)


def test_a_clip_that_breaks_off_scores_nothing():
    score = score_clip(CLIP, width=1920, height=1080, watched=Watched(trouble="It decodes up to 3 seconds."))
    assert (score.total, score.flags, score.reason) == (0, (NOT_WHOLE,), "It decodes up to 3 seconds.")


def hear(path: Path, tmp_path: Path) -> tuple[Probe, Heard]:
    seen = probe(path)
    heard = listen(path, seen, tmp_path)
    assert heard is not None
    return seen, heard


def spoken(rate: int = 44_100) -> np.ndarray:
    """Bright bursts with silence between, as a good recording of a voice has."""
    rng = np.random.default_rng(3)
    t = np.arange(6 * rate) / rate
    return rng.standard_normal(len(t)) * 0.1 * (np.sin(2 * np.pi * 0.8 * t) > 0)


def test_a_clean_recording_has_full_marks(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", spoken(), 44_100)
    score = score_audio(*hear(tmp_path / "a.wav", tmp_path), metadata=1.0)
    assert score.total == 100
    assert sum(part.full for part in score.parts) == 100


def test_noise_clipping_and_a_dull_upsampled_file_cost_their_marks(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    noisy = spoken() + rng.standard_normal(6 * 44_100) * 0.03
    write_wav(tmp_path / "noisy.wav", np.clip(noisy, -1, 1), 44_100)
    write_wav(tmp_path / "loud.wav", np.clip(spoken() * 30, -1, 1), 44_100)
    dull = np.repeat(spoken(11_025), 4)
    smooth = np.convolve(dull, np.hanning(33) / np.hanning(33).sum(), "same")
    write_wav(tmp_path / "dull.wav", smooth, 44_100)
    noisy_marks, loud_marks, dull_marks = (
        marks(score_audio(*hear(tmp_path / f"{name}.wav", tmp_path))) for name in ("noisy", "loud", "dull")
    )
    assert noisy_marks["noise"] == 0
    assert (loud_marks["clipping"], loud_marks["loudness"]) == (0, 0)
    assert dull_marks["sample_rate"] == 15
    assert dull_marks["bandwidth"] < 8
    assert "noise" not in marks(score_audio(*hear(tmp_path / "noisy.wav", tmp_path), ambience=True))


def test_a_low_bitrate_is_seen_and_a_lossless_file_is_not_asked_for_one():
    seen = Probe("audio", "mp3", 60.0, audio_codec="mp3", channels=2, sample_rate=22_050, bitrate=64_000)
    assert marks(score_audio(seen, None)) == {"sample_rate": 0, "bitrate": 0}
    lossless = replace(seen, audio_codec="flac", sample_rate=48_000, bitrate=300)
    assert marks(score_audio(lossless, None)) == {"sample_rate": 15, "bitrate": 15}
    assert score_audio(seen, Heard(trouble="It breaks off.")).total == 0


def test_silence_is_no_reason_to_fail(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(44_100 * 2), 44_100)
    seen, heard = hear(tmp_path / "a.wav", tmp_path)
    assert (heard.loudness, heard.bandwidth, heard.items, heard.samples) == (None, 0.0, (), None)
    assert marks(score_audio(seen, heard))["bandwidth"] == 0
