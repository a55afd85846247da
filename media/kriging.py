"""A hole filled from its surroundings by one fixed linear map: ordinary kriging.

The weights depend on where pixels lie and on how fast the picture loses likeness with distance, never on
the picture itself, so they are worked out once for a mask and then cost a product a frame. A fixed map of
its surroundings also flickers less than a fill that decides anew in every frame.
Source: Cressie, Statistics for Spatial Data (1993), 3.2, with the variogram nugget + distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

Bits = NDArray[np.bool_]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]

RING = 3
"""Known pixels up to so far from the mask are looked at."""
_NUGGET = 0.5
"""Variance of the codec's noise, against the variogram's rise over one pixel."""
NEIGHBOURS = (10, 6, 4)
"""So many of the whole ring, of one in 9 of its pixels, and of one in 64: a wide hole's middle has to see all
of its sides."""
MORE_NEIGHBOURS = (24, 12, 8)
"""For a mask that stands so long that working it out costs little a frame."""
_BATCH = 4096


@dataclass(frozen=True, eq=False)
class Hole:
    """A mask in a picture: the pixels to fill, the ring of known pixels around, and the map between them.

    `inside` and `ring` are positions in the flattened picture.
    """

    shape: tuple[int, int]
    inside: Places
    ring: Places
    weights: csr_matrix

    def spread(self, values: Floats) -> Floats:
        """Carry values of the ring (one column a picture) into the hole."""
        return np.asarray(self.weights @ values, np.float32)


def widen(mask: Bits, by: int) -> Bits:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel) > 0)


def dig(mask: Bits, unknown: Bits, neighbours: tuple[int, ...] = NEIGHBOURS) -> Hole:
    """Work out the map for `mask`; pixels of `unknown` (which takes in `mask`) are never read."""
    ring_mask = widen(mask, RING) & ~unknown
    inside, ring = np.flatnonzero(mask), np.flatnonzero(ring_mask)
    if not len(inside) or not len(ring):
        return Hole(mask.shape, inside[:0], ring[:0], csr_matrix((0, 0), dtype=np.float32))
    known, wanted = _points(ring, mask.shape[1]), _points(inside, mask.shape[1])
    y, x = known.T.astype(np.intp)
    sets = (
        np.arange(len(ring)),
        np.flatnonzero((y % 3 == 0) & (x % 3 == 0)),
        np.flatnonzero((y % 8 == 1) & (x % 8 == 1)),
    )
    picks = []
    for members, most in zip(sets, neighbours, strict=False):
        if len(members):
            nearest = [*range(1, min(most, len(members)) + 1)]
            found = cKDTree(known[members]).query(wanted, k=nearest)[1]
            picks.append(members[found])
    index = np.concatenate(picks, axis=1)
    weights = np.concatenate(
        [
            _ordinary(known[index[at : at + _BATCH]], wanted[at : at + _BATCH])
            for at in range(0, len(inside), _BATCH)
        ]
    )
    rows = np.arange(0, weights.size + 1, weights.shape[1])
    matrix = csr_matrix((weights.ravel(), index.ravel(), rows), shape=(len(inside), len(ring)))
    return Hole(mask.shape, inside, ring, matrix)


def _points(places: Places, width: int) -> Floats:
    return np.stack(np.divmod(places, width), axis=1).astype(np.float32)


def _ordinary(known: Floats, wanted: Floats) -> Floats:
    """Solve the kriging equations of many pixels at once: (n, k, 2) known, (n, 2) wanted -> (n, k)."""
    n, k = known.shape[:2]
    system = np.ones((n, k + 1, k + 1), np.float32)
    distance = system[:, :k, :k]
    y, x = known[..., 0], known[..., 1]
    np.subtract(y[:, :, None], y[:, None], out=distance)
    np.square(distance, out=distance)
    across = x[:, :, None] - x[:, None]
    np.square(across, out=across)
    distance += across
    np.sqrt(distance, out=distance)
    np.negative(distance, out=distance)
    distance[:, np.arange(k), np.arange(k)] = _NUGGET
    system[:, k, k] = 0
    right = np.ones((n, k + 1, 1), np.float32)
    right[:, :k, 0] = -np.hypot(y - wanted[:, :1], x - wanted[:, 1:])
    return np.asarray(np.linalg.solve(system, right)[:, :k, 0], np.float32)
