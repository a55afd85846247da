"""Where a cut-out of one frame lies in another, and whether it does at all."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.ocr import Box
from media.recent import Recent

Shift = tuple[float, float]
"""Pixels to the right, and down."""


def find_shift(
    luma: NDArray[Any], recent: Recent, number: int, box: Box, guess: Shift, reach: tuple[int, int]
) -> tuple[float, float, float] | None:
    """How far away a cut-out is in another frame, near a guess, to parts of a pixel; and how alike it is."""
    x, y = round(guess[0]), round(guess[1])
    high, wide = recent.planes(number)[0].shape
    # What may have come from beyond the frame is left out of the cut-out.
    cut = [
        max(0, reach[0] - x - box[0]), max(0, reach[1] - y - box[1]),
        max(0, box[2] + x + reach[0] - wide), max(0, box[3] + y + reach[1] - high),
    ]  # fmt: skip
    piece = luma[cut[1] : luma.shape[0] - cut[3], cut[0] : luma.shape[1] - cut[2]]
    left, top = box[0] + cut[0], box[1] + cut[1]
    if piece.shape[0] < 5 or piece.shape[1] < 12:
        return None
    room = (
        left + x - reach[0], top + y - reach[1],
        left + x + piece.shape[1] + reach[0], top + y + piece.shape[0] + reach[1],
    )  # fmt: skip
    fine = _fine(piece)
    if float(fine.std()) < 2:
        return None
    scores = cv2.matchTemplate(_fine(recent.luma(number, room)), fine, cv2.TM_CCOEFF_NORMED)
    _, best, _, (px, py) = cv2.minMaxLoc(scores)
    return (
        x + px - reach[0] + _peak(scores[py], px),
        y + py - reach[1] + _peak(scores[:, px], py),
        float(best),
    )


def _peak(scores: NDArray[Any], at: int) -> float:
    """Where between samples the top of a parabola lies."""
    if not 0 < at < len(scores) - 1:
        return 0.0
    before, top, after = (float(value) for value in scores[at - 1 : at + 2])
    bend = before - 2 * top + after
    return 0.0 if bend > -1e-6 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def alike(one: NDArray[Any], other: NDArray[Any]) -> float:
    a, b = _fine(one), _fine(other)
    return float((a * b).sum() / max(1e-3, float((a * a).sum() * (b * b).sum()) ** 0.5))


def _fine(luma: NDArray[Any]) -> NDArray[Any]:
    values = luma.astype(np.float32)
    return values - cv2.GaussianBlur(values, (0, 0), 5)


def moved(box: Box, dx: float, dy: float) -> Box:
    x, y = round(dx), round(dy)
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def clipped(box: Box, size: tuple[int, int]) -> Box:
    left, top = min(max(0, box[0]), size[0]), min(max(0, box[1]), size[1])
    return left, top, max(left, min(size[0], box[2])), max(top, min(size[1], box[3]))


def size_of(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]
