"""Motion between frames of a shot seen only where no text stands: dense Lucas-Kanade with pixels left out.

Text that stands still over a moving picture would hold the motion back; here its pixels weigh nothing, and
where a window has nothing else in it the motion of the coarser picture stays. Half size and below: what a
subtitle hides moves as its surroundings do, and a quarter of the pixels cost a quarter.
Source: Bouguet, Pyramidal implementation of the Lucas Kanade feature tracker (2000), with weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from media.kriging import Bits, Floats

_WINDOW = 23
_STEPS = (2, 3, 3, 4)
"""Looks at half size, a quarter and so on."""
_LEAST_SIDE = 10
_STIFF = 30.0
"""Keeps motion as the coarser picture has it where no structure shows it (grey levels squared)."""
_FASTEST_STEP = 2.0


@dataclass(frozen=True, eq=False)
class Level:
    """A frame at one size: its values, how much of each is known, and its slopes where they are known."""

    picture: Floats
    known: Floats

    @cached_property
    def slopes(self) -> tuple[Floats, Floats, Floats]:
        across = cv2.Scharr(self.picture, cv2.CV_32F, 1, 0, scale=1 / 32)
        down = cv2.Scharr(self.picture, cv2.CV_32F, 0, 1, scale=1 / 32)
        sure = cv2.erode(self.known, np.ones((3, 3), np.uint8))
        return np.asarray(across, np.float32), np.asarray(down, np.float32), np.asarray(sure, np.float32)


def levels(luma: NDArray[np.generic], unknown: Bits, peak: float) -> list[Level]:
    """Make a frame smaller by halves, known pixels alone entering."""
    known = (~unknown).astype(np.float32)
    picture = luma.astype(np.float32) * np.float32(255 / peak) * known
    made: list[Level] = []
    while len(made) < len(_STEPS) and min(picture.shape) >= 2 * _LEAST_SIDE:
        size = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
        known = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
        made.append(Level(np.asarray(picture / np.maximum(known, 1e-3), np.float32), known))
    return made


def motion(one: list[Level], other: list[Level]) -> Floats:
    """Where pixels of `one` lie in `other`: (height / 2, width / 2, x and y), in pixels of full size."""
    move: Floats | None = None
    for level in range(len(one) - 1, -1, -1):
        height, width = one[level].picture.shape
        if move is None:
            move = np.zeros((height, width, 2), np.float32)
        else:
            move = cv2.resize(move, (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(2)
        move = _refine(one[level], other[level], move, _STEPS[level])
    return np.zeros((1, 1, 2), np.float32) if move is None else move * np.float32(2)


def _refine(one: Level, other: Level, move: Floats, steps: int) -> Floats:
    across, down, sure = one.slopes
    height, width = one.picture.shape
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    u, v = move[..., 0].copy(), move[..., 1].copy()
    seen = None
    for _ in range(steps):
        x, y = u + columns, v + rows
        there = cv2.remap(other.picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        weight = cv2.remap(other.known, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) * sure
        weight[weight < 0.6] = 0
        change = there - one.picture
        # a step of light or a thing that comes into sight weighs less than what is seen in both
        weight /= 1 + np.square(change) * np.float32(1 / 400)
        gx, gy = weight * across, weight * down
        xx, xy, yy = _near(gx * across), _near(gx * down), _near(gy * down)
        xt, yt = _near(gx * change), _near(gy * change)
        seen = xx + yy
        xx += _STIFF / _WINDOW**2
        yy += _STIFF / _WINDOW**2
        det = xx * yy - xy * xy
        u -= np.clip((yy * xt - xy * yt) / det, -_FASTEST_STEP, _FASTEST_STEP)
        v -= np.clip((xx * yt - xy * xt) / det, -_FASTEST_STEP, _FASTEST_STEP)
    if seen is not None:
        # where nothing was seen, as nearby
        trust = seen + np.float32(0.02)
        total = _near(trust)
        u, v = _near(u * trust) / total, _near(v * trust) / total
    return np.dstack([u, v])


def _near(values: Floats) -> Floats:
    return np.asarray(
        cv2.boxFilter(values, -1, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REPLICATE), np.float32
    )
