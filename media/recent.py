"""The last second or so of a clip's frames, to look back when something is first seen between two samples."""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.burnt_text import Planes
from media.ocr import Box, Picture

_SECONDS, _FEWEST, _MOST, _ROOM = 1.5, 8, 96, 160e6


class Recent:
    """A ring of frames; the arrays given to it must stay as they are."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._frames: deque[Planes] = deque(maxlen=_MOST)
        self._after = 0
        self._deep = 10

    def push(self, planes: Planes) -> None:
        size = sum(plane.nbytes for plane in planes)
        while len(self._frames) >= max(_FEWEST, min(_MOST, round(self._fps * _SECONDS), int(_ROOM / size))):
            self._frames.popleft()
        self._frames.append(planes)
        self._after += 1
        if planes[0].dtype != np.uint8 and len(self._frames) == 1:
            highest = int(planes[0].max())
            self._deep = max(self._deep, 12 if 1024 <= highest < 4096 else 16 if highest >= 4096 else 10)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def first(self) -> int:
        return self._after - len(self._frames)

    @property
    def last(self) -> int:
        return self._after - 1

    def planes(self, number: int) -> Planes:
        return self._frames[number - self.first]

    def eight(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Make a plane, or a part of one, 8 bits deep."""
        return plane if plane.dtype == np.uint8 else (plane >> (self._deep - 8)).astype(np.uint8)

    def luma(self, number: int, box: Box) -> NDArray[Any]:
        left, top, right, bottom = box
        return self.eight(self.planes(number)[0][top:bottom, left:right])

    def crop(self, number: int, box: Box) -> NDArray[Any]:
        """Cut a box out of a frame: height x width x (luma, blue, red difference)."""
        left, top, right, bottom = box
        planes = self.planes(number)
        high, wide = planes[0].shape
        out = np.full((bottom - top, right - left, 3), 128, np.uint8)
        out[..., 0] = self.luma(number, box)
        for channel in (1, 2):
            plane = planes[channel]
            if not plane.size:
                continue
            sy, sx = -(-high // plane.shape[0]), -(-wide // plane.shape[1])
            part = self.eight(plane[top // sy : -(-bottom // sy), left // sx : -(-right // sx)])
            if (sx, sy) != (1, 1):
                part = np.repeat(np.repeat(part, sy, axis=0), sx, axis=1)
            oy, ox = top % sy, left % sx
            part = part[oy : oy + bottom - top, ox : ox + right - left]
            out[: part.shape[0], : part.shape[1], channel] = part
        return out

    def picture(self, number: int, size: tuple[int, int]) -> Picture:
        """Show a frame in a size, blue first."""
        return shown(
            [
                cv2.resize(self.eight(plane), size, interpolation=cv2.INTER_AREA)
                if plane.size
                else np.full(size[::-1], 128, np.uint8)
                for plane in self.planes(number)
            ]
        )


def shown(planes: list[NDArray[Any]]) -> Picture:
    """Turn luma and colour differences of one size into blue, green, red (BT.601, near enough to read)."""
    return cv2.cvtColor(cv2.merge([planes[0], planes[2], planes[1]]), cv2.COLOR_YCrCb2BGR)
