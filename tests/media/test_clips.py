from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import Permanent
from media.clips import trim_clip
from media.ffmpeg import run
from media.probe import probe
from tests.media.test_motion import read_grey

SMALL = {"width": 320, "height": 180, "fps": 25}


def test_a_clip_of_its_own_length_is_cut_from_the_start_asked_for(make_clip, tmp_path: Path) -> None:
    clip = make_clip("two.mp4", seconds=2)
    trim_clip(clip, tmp_path / "late.mp4", **SMALL, frames=10, start=1.0)
    trim_clip(clip, tmp_path / "early.mp4", **SMALL, frames=10)
    late, early = (read_grey(tmp_path / n, tmp_path) for n in ("late.mp4", "early.mp4"))
    assert len(late) == len(early) == 10
    assert np.abs(late[0].astype(int) - early[0]).mean() > 1


@pytest.mark.parametrize("frames", [30, 90])
def test_a_short_clip_is_held_or_looped_to_the_exact_count(make_clip, tmp_path: Path, frames: int) -> None:
    trim_clip(make_clip("plain.mp4", sound=False), tmp_path / "a.mp4", **SMALL, frames=frames, start=7)
    seen = probe(tmp_path / "a.mp4")
    assert seen.frames == frames
    assert seen.duration == pytest.approx(frames / 25)


def test_a_phone_clip_stands_upright_and_keeps_its_shape(make_clip, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    run(["-display_rotation", "90", "-i", str(make_clip("plain.mp4")), "-c", "copy"], out=turned, timeout=20)
    trim_clip(turned, tmp_path / "tall.mp4", width=180, height=320, fps=25, frames=5)
    trim_clip(turned, tmp_path / "wide.mp4", **SMALL, frames=5)
    tall, wide = (read_grey(tmp_path / n, tmp_path)[2] for n in ("tall.mp4", "wide.mp4"))
    assert tall.shape == (320, 180)
    edge, middle = wide[:, :60], wide[:, 115:205]
    assert edge.std() < middle.std()  # a blurred ground beside the sharp picture


@pytest.mark.parametrize(
    ("name", "extra", "size"),
    [
        ("vfr.mp4", ("-vf", "select='lt(n,10)+not(mod(n,4))'", "-fps_mode", "vfr"), "320x180"),
        ("odd.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv444p"), "97x51"),
        ("raw.h264", ("-f", "h264"), "320x180"),
        ("wide.mp4", ("-vf", "setsar=2"), "320x180"),
        ("one.mkv", ("-frames:v", "1", "-f", "matroska"), "320x180"),
    ],
)
def test_odd_clips_become_constant_takes(
    make_clip, tmp_path: Path, name: str, extra: tuple, size: str
) -> None:
    seconds = 2 if name == "vfr.mp4" else 1
    trim_clip(make_clip(name, *extra, size=size, seconds=seconds), tmp_path / "a.mp4", **SMALL, frames=40)
    seen = probe(tmp_path / "a.mp4")
    assert (seen.width, seen.height, seen.frames, seen.fps, seen.vfr) == (320, 180, 40, 25.0, False)


def test_a_sound_or_a_picture_is_no_clip(speech: Path, photo: Path, tmp_path: Path) -> None:
    for path in (speech, photo):
        with pytest.raises(Permanent) as e:
            trim_clip(path, tmp_path / "a.mp4", **SMALL, frames=5)
        assert e.value.field == "clip"
    assert list(tmp_path.iterdir()) == []
