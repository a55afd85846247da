from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import Invalid
from media.ffmpeg import run
from media.motion import MOVES, fills, plan_camera, render_still
from media.probe import probe

SMALL = {"width": 320, "height": 180, "fps": 25}


def read_grey(clip: Path, folder: Path) -> np.ndarray:
    seen = probe(clip)
    run(["-i", str(clip), "-f", "rawvideo", "-pix_fmt", "gray"], out=folder / "raw.gray", timeout=30)
    return np.fromfile(folder / "raw.gray", np.uint8).reshape(-1, seen.height, seen.width)


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (240, 240)])
def test_a_take_has_exactly_the_frames_and_size_asked_for(
    photo: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    out = tmp_path / "a.mp4"
    render_still(photo, out, width=size[0], height=size[1], fps=29.97, frames=31, move="auto", seed=4)
    seen = probe(out)
    assert (seen.width, seen.height, seen.frames) == (*size, 31)
    assert seen.fps == pytest.approx(30000 / 1001)
    assert not seen.has_audio


def test_the_same_picture_and_seed_give_the_same_bytes_and_another_seed_others(
    photo: Path, tmp_path: Path
) -> None:
    def digest(seed: int) -> str:
        render_still(photo, tmp_path / "a.mp4", **SMALL, frames=12, move="auto", seed=seed)
        return hashlib.sha256((tmp_path / "a.mp4").read_bytes()).hexdigest()

    assert digest(1) == digest(1)
    assert len({digest(seed) for seed in range(4)}) > 1


def test_the_camera_moves_smoothly(photo: Path, tmp_path: Path) -> None:
    render_still(photo, tmp_path / "a.mp4", **SMALL, frames=40, move="pan right", seed=1, crf=4)
    frames = read_grey(tmp_path / "a.mp4", tmp_path).astype(np.float32)
    window = cv2.createHanningWindow((320, 180), cv2.CV_32F)
    steps = [cv2.phaseCorrelate(a, b, window)[0][0] for a, b in itertools.pairwise(frames)]
    assert np.all(np.array(steps) < 0)  # the picture goes left when the camera goes right
    assert np.abs(np.diff(steps)).mean() < 0.08


@pytest.mark.parametrize("move", MOVES)
def test_every_move_stays_inside_the_picture(move: str) -> None:
    camera = plan_camera(move, 8.0, 3, (0.5, -0.5))
    for t in np.linspace(0, 1, 20):
        near, x, y = camera.at(float(t))
        assert near >= 1
        assert abs(x) <= 1
        assert abs(y) <= 1


def test_an_unknown_move_names_the_known_ones(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="push in") as e:
        render_still(photo, tmp_path / "a.mp4", **SMALL, frames=5, move="spin", seed=1)
    assert e.value.field == "camera"


@pytest.mark.parametrize(("field", "value"), [("width", 321), ("height", 8), ("frames", 0), ("fps", 0)])
def test_an_impossible_frame_is_refused_by_field(photo: Path, tmp_path: Path, field: str, value: int) -> None:
    with pytest.raises(Invalid) as e:
        render_still(photo, tmp_path / "a.mp4", **{**SMALL, "frames": 5, field: value}, move="auto", seed=1)
    assert e.value.field == field


@pytest.mark.parametrize("size", [(31, 47), (1, 1), (900, 3), (3, 700), (333, 221)])
def test_pictures_of_odd_size_are_filmed(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (200, 80, 20)).save(tmp_path / "odd.png")
    render_still(tmp_path / "odd.png", tmp_path / "a.mp4", **SMALL, frames=3, move="push in", seed=1)
    assert probe(tmp_path / "a.mp4").frames == 3


def test_a_picture_too_small_or_of_another_shape_is_framed_not_blown_up() -> None:
    assert fills(1920, 1080, 1280, 720)
    assert fills(640, 427, 1280, 720)
    assert not fills(320, 180, 1280, 720)  # would be enlarged four times
    assert not fills(1000, 3000, 1280, 720)  # would lose most of it


def test_a_stop_while_filming_leaves_nothing(photo: Path, tmp_path: Path) -> None:
    from core.errors import Retryable

    with pytest.raises(Retryable) as e:
        render_still(photo, tmp_path / "a.mp4", **SMALL, frames=5000, seed=1, should_stop=lambda: True)
    assert e.value.code == "stopped"
    assert list(tmp_path.iterdir()) == []
