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

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from media.kriging import Floats, Hole, Places

TILE = 8
_DETAIL = 11
"""Detail is what differs from the mean of the ring over so many pixels: about as far as a stroke is thick."""
_SWEEPS = 12


@dataclass(frozen=True, eq=False)
class Weighing:
    """Where the weights of a hole's candidates are worked out: a grid of tiles laid over its picture."""

    hole: Hole

    @property
    def grid(self) -> tuple[int, int]:
        height, width = self.hole.shape
        return -(-height // TILE), -(-width // TILE)

    @cached_property
    def _tile_of_ring(self) -> Places:
        y, x = np.divmod(self.hole.ring, self.hole.shape[1])
        return np.asarray((y // TILE) * self.grid[1] + x // TILE)

    @cached_property
    def _count(self) -> Floats:
        seen = np.zeros(self.hole.shape, np.float32)
        seen.ravel()[self.hole.ring] = 1
        return self._mean(seen) + np.float32(1e-9)

    def _mean(self, picture: Floats) -> Floats:
        blurred = cv2.boxFilter(picture, -1, (_DETAIL, _DETAIL), borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred.ravel()[self.hole.ring], np.float32)

    def detail(self, ring: Floats) -> Floats:
        """What each column of values of the ring has beyond its mean nearby."""
        out = np.empty_like(ring)
        dense = np.zeros(self.hole.shape, np.float32)
        for column in range(ring.shape[1]):
            dense.ravel()[self.hole.ring] = ring[:, column]
            out[:, column] = ring[:, column] - self._mean(dense) / self._count
        return out

    def moments(self, detail: Floats) -> Floats:
        """Second moments of detail by tile; the first column is the picture, the others its candidates.

        Gives (tiles, columns, columns), smoothed over neighbouring tiles.
        """
        columns = detail.shape[1]
        tiles = self.grid[0] * self.grid[1]
        moments = np.empty((tiles, columns, columns), np.float32)
        for one in range(columns):
            for other in range(one + 1):
                summed = np.bincount(self._tile_of_ring, detail[:, one] * detail[:, other], tiles)
                smooth = cv2.GaussianBlur(summed.reshape(self.grid).astype(np.float32), (0, 0), 1.2)
                moments[:, one, other] = moments[:, other, one] = smooth.ravel()
        return moments

    def between_tiles(self, hole: Hole) -> csr_matrix:
        """Bilinear interpolation from the tiles' middles to the pixels of a hole in a plane of any size."""
        rows, columns = self.grid
        tall, wide = self.hole.shape[0] / hole.shape[0], self.hole.shape[1] / hole.shape[1]
        y, x = np.divmod(hole.inside, hole.shape[1])
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


def shares(moments: Floats) -> Floats:
    """How much of each candidate's detail to believe, by tile: least squares, none below 0."""
    count = moments.shape[1] - 1
    # shrunk towards none: where the picture is flat there is nothing to learn from, and nothing to gain
    ridge = 0.02 * moments[:, 0, 0] + 1.0
    out = np.zeros((len(moments), count), np.float32)
    for _ in range(_SWEEPS):
        for one in range(count):
            left = moments[:, one + 1, 0].copy()
            for other in range(count):
                if other != one:
                    left -= moments[:, one + 1, other + 1] * out[:, other]
            out[:, one] = np.maximum(0, left / (moments[:, one + 1, one + 1] + ridge))
    return np.minimum(out, 1)


def compose(hole: Hole, ring: Floats, inside: Floats, trust: Floats) -> NDArray[np.float32]:
    """Values for the hole: columns of `ring` are the picture, then its candidates; NaN inside = not seen."""
    smooth = hole.spread(ring)
    detail = inside - smooth[:, 1:]
    np.nan_to_num(detail, copy=False, nan=0.0)
    value: NDArray[np.float32] = smooth[:, 0] + np.einsum("nk,nk->n", trust, detail)
    return value
