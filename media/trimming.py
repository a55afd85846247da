"""A mask's rim tested against its surroundings: pixels that look as foretold were never written on.

A mask drawn wide to be sure is filled from further away than need be, and what it needlessly covers is lost.
From its edge inwards, layer by layer, a pixel is let go while over the frames it differs from what kriging
foretells there by no more than kriging errs, which the ring's own detail tells.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from media.kriging import Bits, Floats, Hole, dig

SAMPLES = 8
"""Frames looked at."""
_ERRS = (0.45, 0.8, 1.0)
"""How far kriging errs one, two, three pixels from what it knows, in mean absolute detail of the ring.
Measured over ten clips."""
_FAITH = 1.35
_NOISE = 1.0
_GAP_ERRS = 1.2
_ACROSS, _AROUND, _ALONG = 11, 15, 5


def trim(mask: Bits, pictures: NDArray[np.float32], *, gaps: bool = False) -> tuple[Bits, Hole]:
    """Give the mask without those pixels of its rim that text did not change in the (frames, h, w) pictures.

    With it comes the map that foretells the rim from around the whole mask. With `gaps`, what lies between
    strokes is tested too: less surely, so only where nothing better than the surroundings will fill it.
    """
    depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
    layer = np.rint(depth).astype(np.uint8)
    rim = mask & (layer <= len(_ERRS))
    hole = dig(rim, mask, (10,))
    if not len(hole.inside):
        return mask, hole
    values = pictures.reshape(len(pictures), -1).T
    differs = np.zeros(mask.shape, np.float32)
    differs.ravel()[hole.inside] = np.abs(values[hole.inside] - hole.spread(values[hole.ring])).mean(1)
    known = np.zeros(mask.shape, np.float32)
    known.ravel()[hole.ring] = 1
    detail = np.mean(
        [_mean(np.abs(one - _mean(one, known, _ACROSS)), known, _AROUND) for one in pictures], axis=0
    )
    left = mask
    for number, errs in enumerate(_ERRS, 1):
        here = rim & (layer == number)
        as_foretold = _mean(differs, here.astype(np.float32), _ALONG) < _NOISE + _FAITH * errs * (
            detail + 0.3
        )
        beside = cv2.dilate((~left).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        left = left & ~(here & as_foretold & beside)
    return (left & ~_gaps(left, values, detail)) if gaps else left, hole


def _gaps(mask: Bits, values: Floats, detail: Floats) -> Bits:
    """Find pixels between strokes that look as foretold, in blocks wider than a stroke's soft edge."""
    hole = dig(mask, mask)
    found = np.zeros(mask.shape, np.uint8)
    if len(hole.inside):
        differs = np.abs(values[hole.inside] - hole.spread(values[hole.ring])).mean(1)
        doubt = _GAP_ERRS * (detail.ravel()[hole.inside] + 0.3)
        found.ravel()[hole.inside] = differs < _NOISE + doubt
    return cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def _mean(picture: Floats, known: Floats, size: int) -> Floats:
    """The mean nearby over known pixels alone."""
    total = cv2.boxFilter(picture * known, -1, (size, size), normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(known, -1, (size, size), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total / np.maximum(count, 1e-6), np.float32)
