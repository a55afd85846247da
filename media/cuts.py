"""Where one shot ends and the next begins: small pictures are compared, so that it costs next to nothing."""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Small = NDArray[Any]
SIZE = (64, 36)
_LEAST, _TIMES, _OTHER_LIGHT = 12.0, 3.0, 0.25
_FEW, _FEW_LEAST = 3, 24.0


class Cuts:
    """Ask of frame after frame whether it begins a shot.

    It does when it differs from the frame before by far more than frames have lately, and in its histogram
    too: a fast pan changes every pixel but hardly how many are dark.
    """

    def __init__(self) -> None:
        self._last: Small | None = None
        self._lately: deque[float] = deque(maxlen=12)

    def begins(self, luma: NDArray[Any]) -> bool:
        small = cv2.resize(luma, SIZE, interpolation=cv2.INTER_AREA)
        last, self._last = self._last, small
        if last is None:
            return False
        change = float(cv2.absdiff(small, last).mean())
        usual = float(np.median(self._lately)) if self._lately else 0.0
        least = _LEAST if len(self._lately) >= _FEW else _FEW_LEAST
        cut = change > max(least, _TIMES * usual) and (
            _light(small, last) > _OTHER_LIGHT or change > 2.5 * max(least, _TIMES * usual)
        )
        if cut:
            self._lately.clear()
        else:
            self._lately.append(change)
        return cut


def _light(a: Small, b: Small) -> float:
    """Share of pixels that moved to another of 16 shades."""
    one, other = (np.bincount(picture.ravel() >> 4, minlength=16) for picture in (a, b))
    return float(np.abs(one - other).sum()) / (2 * a.size)
