"""Film still pictures and trim clips into takes of an exact number of frames.

A picture that fills the frame well is filmed by a camera moving over it. One that is too small or of
another shape is set as a framed print over a blurred, darkened, drifting enlargement of itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid
from media.encoding import TAG_BT709, budget, check_frame, rate, raw_input, take_options
from media.ffmpeg import run
from media.images import Pixels, open_image, shrink
from media.planes import Frame, View, to_planes
from media.prints import (
    ENLARGE_MAX,
    OVERSAMPLE,
    Backdrop,
    crop_towards,
    ease,
    enlarge,
    lay_centred,
    make_print,
)

MOVES = ("push in", "pull out", "pan left", "pan right", "tilt up", "tilt down", "still")
CROP_MAX = 0.45  # share of the picture that may be cut off to fill the frame


@dataclass(frozen=True)
class Camera:
    """A camera's path: closeness (1 = whole picture) and position in the slack (-1 to 1), by time 0-1."""

    near: tuple[float, float]
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, t: float) -> tuple[float, float, float]:
        e = ease(t)
        near = self.near[0] * (self.near[1] / self.near[0]) ** e  # equal ratios look like equal speed
        return near, _mix(self.x, e), _mix(self.y, e)


def plan_camera(move: str, seconds: float, seed: int, focus: tuple[float, float] = (0.0, 0.0)) -> Camera:
    """Choose the path of a move; speed is bounded, so long shots move as calmly as short ones."""
    rng = random.Random(seed)
    if move == "auto":
        move = rng.choice(("push in", "push in", "pull out", "pan left", "pan right", "tilt up", "tilt down"))
    if move not in MOVES:
        raise Invalid(f"camera is {move!r}; it must be one of {', '.join(MOVES)} or auto.", field="camera")
    zoom = 1 + min(0.22, max(0.06, 0.028 * seconds))
    fx, fy = focus
    reach = min(0.9, 0.2 * seconds)
    drift = rng.uniform(0.1, 0.25) * rng.choice((-1, 1))
    near = {"push in": (1.0, zoom), "pull out": (zoom, 1.0), "still": (1.0, 1.0)}.get(move, (1.13, 1.15))
    x, y = (fx - drift * 0.4, fx + drift * 0.4), (fy, fy)
    if move in ("pan left", "pan right"):
        sign = 1 if move == "pan right" else -1
        x = (-reach * sign, reach * sign)
    elif move in ("tilt up", "tilt down"):
        sign = 1 if move == "tilt down" else -1
        y = (-reach * sign, reach * sign)
        x = (fx, fx)
    elif move == "still":
        x = (fx, fx)
    return Camera(near, x, y)


def render_still(
    image: Path,
    out: Path,
    *,
    width: int,
    height: int,
    fps: float | Fraction,
    frames: int,
    move: str = "auto",
    seed: int = 0,
    crf: int = 14,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Film a still picture into a take. Same picture, numbers and seed give the same bytes."""
    check_frame(width, height, fps, frames)
    rgb = open_image(image)
    seconds = float(frames / rate(fps))
    film = _film if fills(rgb.shape[1], rgb.shape[0], width, height) else _film_print
    pictures = film(rgb, width=width, height=height, frames=frames, move=move, seconds=seconds, seed=seed)
    encode_frames(
        pictures,
        out,
        width=width,
        height=height,
        fps=fps,
        frames=frames,
        crf=crf,
        on_progress=on_progress,
        should_stop=should_stop,
    )


def encode_frames(
    pictures: Iterator[Frame],
    out: Path,
    *,
    width: int,
    height: int,
    fps: float | Fraction,
    frames: int,
    crf: int = 14,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Encode drawn frames into a take."""
    run(
        [*raw_input(width, height, fps), "-vf", TAG_BT709, *take_options(fps, crf), "-frames:v", str(frames)],
        out=out,
        frames=(p.buffer.data for p in pictures),
        timeout=budget(frames, fps, width, height),
        on_progress=on_progress,
        should_stop=should_stop,
        role="picture",
    )


def fills(picture_width: int, picture_height: int, width: int, height: int) -> bool:
    """Say whether a picture may fill the frame: little is cut off, and it is not blown up."""
    scale = max(width / picture_width, height / picture_height)
    kept = (width / scale) * (height / scale) / (picture_width * picture_height)
    return 1 - kept <= CROP_MAX and scale <= ENLARGE_MAX


def find_focus(rgb: Pixels, width: int, height: int) -> tuple[float, float]:
    """Find where to put a frame of another shape on a picture: (x, y) from -1 to 1.

    The detail (gradient) under the window decides, with a liking for the middle and the upper third.
    """
    grey = cv2.cvtColor(shrink(rgb, 160), cv2.COLOR_RGB2GRAY)
    detail = cv2.GaussianBlur(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), (0, 0), 4)
    h, w = detail.shape
    scale = min(w / width, h / height)
    return _best(detail.sum(axis=0), width * scale, 0.0, 0.12), _best(
        detail.sum(axis=1), height * scale, -0.5, 0.3
    )


def _best(profile: NDArray[np.float32], window: float, liked: float, liking: float) -> float:
    size, room = round(window), len(profile) - round(window)
    if room < 2:
        return 0.0
    total = np.concatenate([[0.0], np.cumsum(profile)])
    held = (total[size:] - total[: room + 1]) / max(float(total[-1]), 1e-6)
    places = np.linspace(-1, 1, room + 1)
    return float(places[int(np.argmax(held - liking * (places - liked) ** 2))]) * 0.85


def _mix(ends: tuple[float, float], e: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * e


def _times(frames: int) -> Iterator[float]:
    return (i / max(1, frames - 1) for i in range(frames))


def _film(
    rgb: Pixels, *, width: int, height: int, frames: int, move: str, seconds: float, seed: int
) -> Iterator[Frame]:
    camera = plan_camera(move, seconds, seed, find_focus(rgb, width, height))
    cover = min(rgb.shape[1] / width, rgb.shape[0] / height)  # source pixels per frame pixel
    work = to_planes(enlarge(rgb, OVERSAMPLE / cover))
    cover = min(work.width / width, work.height / height)
    frame = Frame(width, height)
    for t in _times(frames):
        near, dx, dy = camera.at(t)
        scale = cover / near
        slack_x, slack_y = (work.width - width * scale) / 2, (work.height - height * scale) / 2
        frame.fill(work, View(work.width / 2 + dx * slack_x, work.height / 2 + dy * slack_y, scale))
        yield frame


def _film_print(
    rgb: Pixels, *, width: int, height: int, frames: int, move: str, seconds: float, seed: int
) -> Iterator[Frame]:
    """Draw the framed print over its own blurred enlargement."""
    camera = plan_camera(move, seconds, seed)
    backdrop = Backdrop(rgb, width, height, seed)
    layer = make_print(crop_towards(rgb, width, height, find_focus(rgb, width, height)), width, height)
    frame = Frame(width, height)
    lift = -0.08 * height if height > width else 0.0  # captions live below
    for t in _times(frames):
        backdrop.paint(frame, t)
        near, dx, dy = camera.at(t)
        zoom = 0.985 + (near - 1) * 0.3
        middle_x = width / 2 + dx * 0.012 * width
        middle_y = height / 2 + lift + dy * 0.012 * height
        lay_centred(frame, layer, (middle_x, middle_y), OVERSAMPLE / zoom)
        yield frame
