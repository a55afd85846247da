"""Copies of clips and sounds are known by their fingerprints, other works are not. All of it is made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.likeness import BIT_ERROR, FRAME_SHARE, NEAR, bit_error, frame_share, terms
from media.ffmpeg import run
from media.images import hamming
from media.listening import can_print, listen
from media.probe import probe
from media.watching import Watched, watch
from tests.media.conftest import write_wav

X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
MOVING = "mandelbrot=s=480x270:r=25:end_scale=0.01,hue=H=0.3*t"


def watched(path: Path, scratch: Path) -> Watched:
    found = watch(path, probe(path), scratch)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("copies")


@pytest.fixture(scope="module")
def clip(folder) -> Path:
    run(["-f", "lavfi", "-i", MOVING, "-t", "9", *X264], out=folder / "clip.mp4", timeout=60)
    return folder / "clip.mp4"


@pytest.mark.parametrize(
    "changes",
    [
        [*X264, "-crf", "36"],
        ["-r", "30", *X264],
        ["-r", "12", "-vf", "scale=320:-2", *X264],
        ["-vf", "pad=480:360:0:45", *X264],
        ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"],
    ],
    ids=["re-encoded", "other frame rate", "smaller and slower", "letterbox", "vp9"],
)
def test_a_copy_of_a_clip_has_its_sprite_and_its_frames(clip, folder, changes):
    out = folder / ("copy.webm" if "libvpx-vp9" in changes else "copy.mp4")
    run(["-i", str(clip), *changes], out=out, timeout=60)
    one, copy = watched(clip, folder), watched(out, folder)
    assert hamming(one.sprite[0], copy.sprite[0]) <= NEAR
    assert frame_share(one.frames, copy.frames) >= FRAME_SHARE


def test_a_clip_without_its_first_seconds_is_an_excerpt_by_its_frames(clip, folder):
    run(["-ss", "2", "-i", str(clip), *X264], out=folder / "cut.mp4", timeout=60)
    one, cut = watched(clip, folder), watched(folder / "cut.mp4", folder)
    assert (len(one.frames), len(cut.frames)) == (9, 7)
    assert frame_share(one.frames, cut.frames) >= FRAME_SHARE


def test_another_clip_is_not_alike(clip, folder):
    run(["-f", "lavfi", "-i", "testsrc2=s=480x270:r=25", "-t", "9", *X264], out=folder / "o.mp4", timeout=60)
    one, other = watched(clip, folder), watched(folder / "o.mp4", folder)
    assert hamming(one.sprite[0], other.sprite[0]) > NEAR
    assert frame_share(one.frames, other.frames) == 0


def test_black_and_frozen_stretches_are_measured_and_leave_no_fingerprint(folder):
    run(
        ["-f", "lavfi", "-i", "color=black:s=320x180:r=25", "-t", "3", *X264],
        out=folder / "b.mp4",
        timeout=60,
    )
    black = watched(folder / "b.mp4", folder)
    assert (black.sprite, black.frames) == ((), ())
    assert black.black > 0.9
    still = ["-f", "lavfi", "-i", "testsrc=s=320x180:r=25", "-vf", "trim=end_frame=1,loop=100:1", "-t", "4"]
    run([*still, *X264], out=folder / "s.mp4", timeout=60)
    assert watched(folder / "s.mp4", folder).frozen > 0.9


def test_a_clip_that_is_damaged_inside_says_so(clip, folder):
    data = bytearray(clip.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes((n * 7) % 256 for n in range(third))
    (folder / "damaged.mp4").write_bytes(data)
    assert "frames decode" in (watched(folder / "damaged.mp4", folder).trouble or "")
    assert not list(folder.glob("*.gray"))


def music(seed: int, seconds: int = 30, rate: int = 44_100) -> np.ndarray:
    """Plucked notes in another order for each seed."""
    rng = np.random.default_rng(seed)
    out, at = np.zeros(seconds * rate), 0
    while at < len(out):
        length = int(rng.uniform(0.2, 0.6) * rate)
        t = np.arange(min(length * 3 // 2, len(out) - at)) / rate
        pitch = 220 * 2 ** (rng.integers(0, 24) / 12)
        for overtone in range(1, 8):
            out[at : at + len(t)] += np.exp(-3 * t) * np.sin(2 * np.pi * pitch * overtone * t) / overtone
        at += length
    return out / np.abs(out).max() * 0.6


@pytest.fixture(scope="module")
def piece(folder) -> Path:
    write_wav(folder / "piece.wav", music(1), 44_100)
    return folder / "piece.wav"


def items(path: Path, scratch: Path) -> tuple[int, ...]:
    heard = listen(path, probe(path), scratch)
    assert heard is not None
    return heard.items


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bitrate.mp3", ["-b:a", "64k"]),
        ("gain.wav", ["-af", "volume=-9dB"]),
        ("trim.flac", ["-ss", "1"]),
        ("resampled.ogg", ["-ar", "22050"]),
    ],
)
def test_a_copy_of_music_is_the_same_recording(piece, folder, name, changes):
    assert can_print()
    run(["-i", str(piece), *changes], out=folder / name, timeout=60)
    one, copy = items(piece, folder), items(folder / name, folder)
    assert bit_error(one, copy) <= BIT_ERROR
    assert len(set(terms(one)) & set(terms(copy))) > 20  # and an index finds it


def test_another_piece_is_another_recording(piece, folder):
    write_wav(folder / "other.wav", music(2), 44_100)
    assert bit_error(items(piece, folder), items(folder / "other.wav", folder)) > 2 * BIT_ERROR


def test_a_short_sound_is_known_by_its_samples_in_any_lossless_file(folder):
    write_wav(folder / "short.wav", music(5, 2), 44_100)
    write_wav(folder / "other.wav", music(6, 2), 44_100)
    run(["-i", str(folder / "short.wav")], out=folder / "short.flac", timeout=60)
    heard = {
        name: listen(folder / name, probe(folder / name), folder)
        for name in ("short.wav", "short.flac", "other.wav")
    }
    assert heard["short.wav"].items == ()
    assert heard["short.wav"].samples == heard["short.flac"].samples != heard["other.wav"].samples


def test_a_held_tone_has_no_fingerprint(folder):
    run(["-f", "lavfi", "-i", "sine=440:d=10"], out=folder / "tone.wav", timeout=60)
    assert items(folder / "tone.wav", folder) == ()
