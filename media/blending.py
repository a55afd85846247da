"""Candidates for what a text hides, weighed by how well each foretells the pixels around it.

The map of `media.kriging` gives the smooth part of a fill; a candidate (the same place in another frame) is
asked for detail alone: what it has inside the hole beyond what its own surroundings foretell there. How much
of that detail is believed is a local regression, on the ring of known pixels, of the picture's detail on the
candidates': one that shows something else explains nothing there and gets no weight, and the fill is never
worse off for having it. Offsets of light drop out by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from media.kriging import Floats, Places

TILE = 8
_DETAIL = 11
"""Detail is what differs from the mean of the ring over so many pixels: about as far as a stroke is thick."""
_SWEEPS = 12
_NOISE = 2.0
_WORTH = 0.3
"""Share of the variance that motion has to explain to be followed in full."""


@dataclass(frozen=True, eq=False)
class Weighing:
    """Where candidates are weighed: the known pixels around a mask, in tiles laid over their picture."""

    shape: tuple[int, int]
    around: Places
    """Positions in the flattened picture."""

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.shape[0] // TILE), -(-self.shape[1] // TILE)

    @cached_property
    def _tile(self) -> Places:
        y, x = np.divmod(self.around, self.shape[1])
        return np.asarray((y // TILE) * self.grid[1] + x // TILE)

    @cached_property
    def _count(self) -> Floats:
        seen = np.zeros(self.shape, np.float32)
        seen.ravel()[self.around] = 1
        return self._mean(seen) + np.float32(1e-9)

    @cached_property
    def _by_tile(self) -> Floats:
        return self._smooth(np.bincount(self._tile, minlength=self.grid[0] * self.grid[1])) + np.float32(1e-3)

    def _smooth(self, summed: NDArray[Any]) -> Floats:
        blurred = cv2.GaussianBlur(summed.reshape(self.grid).astype(np.float32), (0, 0), 1.2)
        return np.asarray(blurred.ravel(), np.float32)

    def _mean(self, picture: Floats) -> Floats:
        blurred = cv2.boxFilter(picture, -1, (_DETAIL, _DETAIL), borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred.ravel()[self.around], np.float32)

    def detail(self, values: Floats) -> Floats:
        """What each column of values has beyond its mean nearby."""
        out = np.empty_like(values)
        dense = np.zeros(self.shape, np.float32)
        for column in range(values.shape[1]):
            dense.ravel()[self.around] = values[:, column]
            out[:, column] = values[:, column] - self._mean(dense) / self._count
        return out

    def moments(self, detail: Floats) -> Floats:
        """Second moments of detail by tile; the first column is the picture, the others its candidates.

        Gives (tiles, columns, columns), means over neighbouring tiles.
        """
        columns = detail.shape[1]
        tiles = self.grid[0] * self.grid[1]
        moments = np.empty((tiles, columns, columns), np.float32)
        for one in range(columns):
            for other in range(one + 1):
                summed = np.bincount(self._tile, detail[:, one] * detail[:, other], tiles)
                moments[:, one, other] = moments[:, other, one] = self._smooth(summed) / self._by_tile
        return moments

    def between_tiles(self, places: Places, shape: tuple[int, int]) -> csr_matrix:
        """Bilinear interpolation from the tiles' middles to places of a plane of any size."""
        rows, columns = self.grid
        tall, wide = self.shape[0] / shape[0], self.shape[1] / shape[1]
        y, x = np.divmod(places, shape[1])
        v = np.clip((y + 0.5) * tall / TILE - 0.5, 0, rows - 1)
        h = np.clip((x + 0.5) * wide / TILE - 0.5, 0, columns - 1)
        top, left = v.astype(np.intp), h.astype(np.intp)
        bottom, right = np.minimum(top + 1, rows - 1), np.minimum(left + 1, columns - 1)
        down, along = v - top, h - left
        index = np.stack(
            [top * columns + left, top * columns + right, bottom * columns + left, bottom * columns + right],
            1,
        )
        share = np.stack([(1 - down) * (1 - along), (1 - down) * along, down * (1 - along), down * along], 1)
        at = np.arange(0, index.size + 1, 4)
        return csr_matrix(
            (share.astype(np.float32).ravel(), index.ravel(), at), shape=(len(y), rows * columns)
        )


def shares(moments: Floats, still: int) -> tuple[Floats, Floats, Floats]:
    """By tile: how much of each candidate's detail to believe, what variance is left, how far motion counts.

    Least squares, none below 0. The first `still` candidates are preferred: the others, which follow motion
    and so change with every frame, count as far as they explain what those do not.
    """
    calm, calm_left = _least_squares(moments[:, : still + 1, : still + 1])
    if moments.shape[1] == still + 1:
        return calm, calm_left, np.zeros_like(calm_left)
    free, free_left = _least_squares(moments)
    gain = np.clip((calm_left - free_left - _NOISE) / (_WORTH * calm_left + 1e-3), 0, 1)
    out = gain[:, None] * free
    out[:, :still] += (1 - gain[:, None]) * calm
    return out, calm_left + gain * (free_left - calm_left), gain


def _least_squares(moments: Floats) -> tuple[Floats, Floats]:
    count = moments.shape[1] - 1
    power, with_picture, among = moments[:, 0, 0], moments[:, 1:, 0], moments[:, 1:, 1:]
    # shrunk towards none: where the picture is flat there is nothing to learn from, and nothing to gain
    ridge = 0.01 * power + 0.3
    out = np.zeros((len(moments), count), np.float32)
    for _ in range(_SWEEPS):
        for one in range(count):
            left = with_picture[:, one] - np.einsum("tk,tk->t", among[:, one], out)
            step = (left - ridge * out[:, one]) / (among[:, one, one] + ridge)
            out[:, one] = np.clip(out[:, one] + step, 0, 1)
    unexplained = power - 2 * np.einsum("tk,tk->t", out, with_picture)
    for one in range(count):
        unexplained += out[:, one] * np.einsum("tk,tk->t", among[:, one], out)
    return out, np.maximum(unexplained, 0)


def compose(weights: csr_matrix, ring: Floats, inside: Floats, trust: Floats) -> tuple[Floats, Floats]:
    """Smooth part and detail of a hole: columns of `ring` are the picture, then its candidates.

    NaN inside = not seen.
    """
    smooth = np.asarray(weights @ ring, np.float32)
    detail = inside - smooth[:, 1:]
    np.nan_to_num(detail, copy=False, nan=0.0)
    return smooth[:, 0], np.einsum("nk,nk->n", trust, detail)
