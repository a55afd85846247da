"""What stays while a shot goes on: running sums of its frames' slopes, and patches of lasting edges.

In the mean of the gradients the edges of what is laid over a shot stay, those of the picture behind it
cancel out (Dekel et al., On the Effectiveness of Visible Watermarks, 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.burnt_text import Mask
from media.ocr import Box, Picture

LASTING, WILD, HIDES = 0.62, 6.0, 0.3
"""Share of an edge's strength that is in the mean; how far luma spreads where a scene moves, in levels; the
share of that spread seen in what hides it."""
_EDGE, _STRONG, _DOUBT, _TAIL = 3.5, 9.0, 1.2, 0.12
_TALLEST, _WIDEST = 0.22, 0.45
_CHROMA = np.float32(0.6)
"""Chroma of half the size has slopes twice as steep; what of their square counts."""
_FAINT = 0.25
"""Of its mean strength a mark may have in the first and the last frame."""
_Plane = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Patch:
    """Lasting edges that hang together, filled; `through` is the share of the spread beside it seen in it."""

    box: Box
    mask: Mask
    lasting: float
    beside: float
    """Share of the edges around it that last too."""
    wild: float
    through: float
    whole: bool
    """In the first frame looked at and in the last."""


class Sums:
    def __init__(self, first: int) -> None:
        self.first, self.count = first, 0
        self.picture: _Plane = np.zeros(0)
        self._channels: list[list[_Plane]] = []  # of each plane: slopes across and down, their squares
        self._luma: list[_Plane] = []
        self._ends: list[list[tuple[_Plane, _Plane]]] = []

    def add(self, planes: Sequence[NDArray[Any]], picture: Picture) -> None:
        seen = [plane for plane in planes if plane.size]
        slopes = [_slopes(plane) for plane in seen]
        if not self.count:
            self._channels = [[np.zeros(plane.shape, np.float32) for _ in range(3)] for plane in seen]
            self._luma = [np.zeros(planes[0].shape, np.float32) for _ in range(2)]
            self.picture = np.zeros(picture.shape, np.float32)
        for (across, down), sums in zip(slopes, self._channels, strict=True):
            cv2.accumulate(across, sums[0])
            cv2.accumulate(down, sums[1])
            cv2.accumulateSquare(across, sums[2])
            cv2.accumulateSquare(down, sums[2])
        cv2.accumulate(planes[0], self._luma[0])
        cv2.accumulateSquare(planes[0], self._luma[1])
        cv2.accumulate(picture, self.picture)
        self._ends = [self._ends[0] if self._ends else slopes, slopes]
        self.count += 1

    def join(self, other: Sums) -> None:
        """Take in the sums of a shot that follows."""
        if not self.count:
            self.picture, self._ends = other.picture, other._ends
            self._channels, self._luma = other._channels, other._luma
        elif other.count:
            self.picture = self.picture + other.picture
            for mine, theirs in zip(self._all(), other._all(), strict=True):
                cv2.add(mine, theirs, dst=mine)
            self._ends = [self._ends[0], other._ends[1]]
        self.count += other.count

    def _all(self) -> list[_Plane]:
        return [*self._luma, *(plane for sums in self._channels for plane in sums)]

    def _strength(self) -> tuple[_Plane, _Plane]:
        """Of every pixel: the square of its mean slope, and the mean of its squares."""
        size = self._luma[0].shape[::-1]
        mean, energy = np.zeros_like(self._luma[0]), np.zeros_like(self._luma[0])
        for across, down, squares in self._channels:
            one: _Plane = (across * across + down * down) / self.count**2
            other: _Plane = squares / self.count
            if across.shape != mean.shape:
                one, other = (
                    cv2.resize(part * _CHROMA, size, interpolation=cv2.INTER_LINEAR) for part in (one, other)
                )
            mean, energy = mean + one, energy + other
        return mean, energy

    def patches(self) -> Iterable[Patch]:
        mean, energy = self._strength()
        total, squares = (plane / self.count for plane in self._luma)
        lasting = cv2.blur(mean, (3, 3)) / (cv2.blur(energy, (3, 3)) + 1.0)
        lasts = lasting > LASTING + _DOUBT / self.count
        spread = np.sqrt(np.maximum(squares - total * total, 0))
        top = cv2.dilate(mean, np.ones((5, 5), np.uint8))
        side = min(mean.shape)
        joint, near = disc(max(2, side // 180)), 6 + side // 60
        for step in (_EDGE, _STRONG):  # where the scene stands still, a mark stands out at most
            edges = ((mean > np.maximum(step * step, _TAIL * top)) & lasts).astype(np.uint8)
            closed = np.asarray(cv2.morphologyEx(edges, cv2.MORPH_CLOSE, joint), np.uint8)
            for left, above, body in _bodies(closed, near):
                here = (slice(above, above + body.shape[0]), slice(left, left + body.shape[1]))
                ring = (cv2.dilate(body, disc(near)) > 0) & (cv2.dilate(body, disc(5)) == 0)
                own = (edges[here] > 0) & (body > 0)
                if not ring.any() or not own.any():
                    continue
                core = cv2.erode(body, disc(1)) > 0
                core = core if core.any() else body > 0
                wild, calm = (float(np.median(spread[here][part])) for part in (ring, core))
                opaque = wild > WILD and calm < HIDES * wild
                yield Patch(
                    (left, above, left + body.shape[1], above + body.shape[0]),
                    _with_calm(body, spread[here] < 0.5 * HIDES * wild) if opaque else body,
                    float(mean[here][own].sum() / energy[here][own].sum()),
                    float(mean[here][ring].sum() / (energy[here][ring].sum() + 1e-3)),
                    wild,
                    calm / max(wild, 1e-3),
                    all(self._shown(ends, here, own) for ends in self._ends),
                )

    def _shown(
        self, slopes: list[tuple[_Plane, _Plane]], here: tuple[slice, slice], own: NDArray[np.bool_]
    ) -> bool:
        """Whether the edges of a patch are in one frame as they are in the mean."""
        both = power = 0.0
        for one, total in zip(slopes[0], self._channels[0], strict=False):
            mean = total[here][own] / self.count
            both, power = both + float((one[here][own] * mean).sum()), power + float((mean * mean).sum())
        return both >= _FAINT * power


def _slopes(plane: NDArray[Any]) -> tuple[_Plane, _Plane]:
    smooth = cv2.GaussianBlur(plane, (3, 3), 0)
    return (
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8),
        cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8),
    )


def _bodies(edges: Mask, near: int) -> Iterable[tuple[int, int, Mask]]:
    """Cut out what hangs together, filled, with room around it; of large things without their thin parts."""
    height, width = edges.shape
    large = np.zeros_like(edges)
    kernel = disc(max(3, min(height, width) // 120))
    for again in (False, True):
        layer = np.asarray(cv2.morphologyEx(large, cv2.MORPH_OPEN, kernel), np.uint8) if again else edges
        count, labels, stats, _ = cv2.connectedComponentsWithStats(layer, connectivity=8)
        for number in range(1, count):
            x, y, w, h, area = (int(value) for value in stats[number])
            if area < 12 or max(w, h) < 5:
                continue
            top, left = max(0, y - near), max(0, x - near)
            mine = (labels[top : y + h + near, left : x + w + near] == number).astype(np.uint8)
            outlines, _ = cv2.findContours(mine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            body = np.asarray(cv2.drawContours(np.zeros_like(mine), outlines, -1, 1, -1), np.uint8)
            if h <= _TALLEST * height and w <= _WIDEST * width:
                yield left, top, body
            elif not again:
                view = large[top : top + body.shape[0], left : left + body.shape[1]]
                np.maximum(view, body, out=view)


def _with_calm(body: Mask, calm: NDArray[np.bool_]) -> Mask:
    """Take in what hangs together with a patch and stays as it is while all else moves."""
    _, labels = cv2.connectedComponents((calm | (body > 0)).astype(np.uint8), connectivity=4)
    mine = np.isin(labels, np.unique(labels[body > 0])).astype(np.uint8)
    return mine if mine.sum() < 3 * body.sum() and not _on_edge(mine) else body


def _on_edge(mask: Mask) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)
