"""What others do with burnt-in text, given the truth of where it is: ffmpeg's delogo, OpenCV's inpainting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from bench.burning import Box, Burnt
from bench.footage import Clip
from bench.judging import Picture, cut, picture_of, widened
from media.burnt_text import Planes
from media.ffmpeg import ffmpeg_path

RADIUS = 3
SMEAR = 1
"""Pixels by which compression smears text at the least; filling them helps some pictures."""


def inpainted(
    burnt: Burnt,
    encoded: Clip,
    boxes: Sequence[Box | None],
    *,
    method: int = cv2.INPAINT_TELEA,
    grown: int = 0,
) -> Iterator[Picture | None]:
    """Inpaint each frame by itself with the true mask, grown by so many pixels.

    Only the place round the text is converted and handed over, so that it is not slow on purpose.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * grown + 1, 2 * grown + 1))
    for number, box in enumerate(boxes):
        if box is None:
            yield None
            continue
        mask = cv2.dilate(cut(burnt.mask(number), box), kernel)
        picture = picture_of(encoded.frames[number], box, full_range=encoded.full_range)
        yield np.asarray(cv2.inpaint(picture, mask, RADIUS, method), np.uint8)


def put_back(planes: Planes, picture: Picture | None, box: Box | None) -> Planes:
    """Put a filled picture into its frame, as a script does that writes a clip again."""
    if picture is None or box is None:
        return planes
    (y, u, v), (left, top, width, height) = (plane.copy() for plane in planes), box
    yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)
    across, down = (y.shape[1] + 1) // u.shape[1], (y.shape[0] + 1) // u.shape[0]
    size = (-(-width // across), -(-height // down))
    y[top : top + height, left : left + width] = np.rint(yuv[:, :, 0] * np.float32(219 / 255) + 16)
    for plane, number in ((u, 2), (v, 1)):
        small = cv2.resize(yuv[:, :, number], size, interpolation=cv2.INTER_AREA)
        view = plane[top // down : top // down + size[1], left // across : left // across + size[0]]
        view[:] = np.rint((small - np.float32(128)) * np.float32(224 / 255) + 128)
    return y, u, v


def delogoed(burnt: Burnt, encoded: Clip) -> Clip:
    """Run ffmpeg's delogo over the true box of each line, only in the frames that have it."""
    filters = []
    for line in burnt.lines:
        box = burnt.box_of(line)
        if box is not None:
            x, y, width, height = _fitting(box, encoded)
            when = f"between(n\\,{line.first}\\,{line.last})"
            filters.append(f"delogo=x={x}:y={y}:w={width}:h={height}:enable='{when}'")
    size, pixels = f"{encoded.width}x{encoded.height}", ["-pix_fmt", encoded.pix_fmt]
    raw = ["-f", "rawvideo", *pixels, "-s", size]
    command = [ffmpeg_path(), "-v", "error", *raw, "-i", "pipe:0", "-vf", ",".join(filters or ["null"])]
    data = b"".join(plane.tobytes() for planes in encoded.frames for plane in planes)
    done = subprocess.run([*command, *raw, "pipe:1"], input=data, stdout=subprocess.PIPE, check=True)
    return encoded.with_frames(list(_split(done.stdout, encoded.frames[0], len(encoded.frames))))


def _fitting(box: Box, clip: Clip) -> Box:
    """Widen the true box by the smear and keep the pixel of frame round it that delogo reads."""
    x, y, width, height = widened(box, SMEAR, clip)
    left, top = max(1, x), max(1, y)
    return left, top, min(clip.width - 1, x + width) - left, min(clip.height - 1, y + height) - top


def _split(data: bytes, like: Planes, count: int) -> Iterator[Planes]:
    raw, at = np.frombuffer(data, np.uint8), 0
    for _ in range(count):
        planes = []
        for plane in like:
            planes.append(raw[at : at + plane.size].reshape(plane.shape))
            at += plane.size
        yield planes[0], planes[1], planes[2]
