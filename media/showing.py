"""Show frames as decoded to people and to readers: cut, sized, in blue, green and red."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from media.burnt_text import Planes
from media.ingest import Facts

Box = tuple[int, int, int, int]
Picture = NDArray[np.uint8]
_WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
_MATRICES = {1: "709", 5: "601", 6: "601", 9: "2020", 10: "2020"}  # ITU-T H.273


def to_picture(
    planes: Planes, box: Box | None = None, size: tuple[int, int] | None = None, facts: Facts | None = None
) -> Picture:
    """Cut a box out of a frame and give it in a size; without `facts` colours are near enough to read."""
    high, wide = planes[0].shape
    left, top, right, bottom = box or (0, 0, wide, high)
    size = size or (right - left, bottom - top)
    parts = []
    for plane in planes:
        sy, sx = -(-high // plane.shape[0]), -(-wide // plane.shape[1])
        part = plane[top // sy : -(-bottom // sy), left // sx : -(-right // sx)]
        if part.shape != size[::-1]:
            smaller = part.shape[0] > size[1]
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        parts.append(part.astype(np.float32) / (1 if plane.dtype == np.uint8 else 4))
    full = facts is not None and (facts.colours[3] == 2 or facts.planes.startswith("yuvj"))
    name = _MATRICES.get(facts.colours[2], "709" if high >= 720 else "601") if facts is not None else "601"
    red, blue = _WEIGHTS[name]
    luma = parts[0] if full else (parts[0] - 16) * (255 / 219)
    blues, reds = ((part - 128) * (1 if full else 255 / 224) for part in parts[1:])
    b = luma + 2 * (1 - blue) * blues
    r = luma + 2 * (1 - red) * reds
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.dstack([b, g, r]) + 0.5, 0, 255).astype(np.uint8)
