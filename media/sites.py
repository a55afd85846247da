"""A place of a shot where texts stand, and what of it they cover in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.burnt_text import BurntText
from media.kriging import Bits

MARGIN = 40
"""Pixels around the masks that are cut out with them: room for motion to be seen in."""


@dataclass(frozen=True)
class Rect:
    """A cut-out of luma, left top included, right bottom not."""

    top: int
    left: int
    bottom: int
    right: int

    def of(self, plane: NDArray[Any], luma: NDArray[Any]) -> tuple[slice, slice]:
        """The same part of a plane that may be subsampled."""
        tall, wide = -(-luma.shape[0] // plane.shape[0]), -(-luma.shape[1] // plane.shape[1])
        return (
            slice(self.top // tall, -(-self.bottom // tall)),
            slice(self.left // wide, -(-self.right // wide)),
        )


@dataclass(frozen=True, eq=False)
class Site:
    """Texts of one shot whose surroundings touch, and where they are."""

    rect: Rect
    texts: tuple[BurntText, ...]

    def key(self, number: int) -> tuple[tuple[int, int, int], ...]:
        """What masks lie where in a frame."""
        return tuple(
            (n, *text.corner(number))
            for n, text in enumerate(self.texts)
            if text.first <= number <= text.last
        )

    def mask(self, key: Iterable[tuple[int, int, int]]) -> Bits:
        out = np.zeros((self.rect.bottom - self.rect.top, self.rect.right - self.rect.left), bool)
        for n, x, y in key:
            _lay(self.texts[n].mask > 0, out, y - self.rect.top, x - self.rect.left)
        return out


def lay_sites(texts: Sequence[BurntText], height: int, width: int) -> list[Site]:
    """Join texts whose surroundings touch, whenever they are seen, into sites."""
    boxes: list[tuple[list[int], list[BurntText]]] = []
    for text in texts:
        xs, ys = (
            ([text.x], [text.y])
            if text.path is None
            else (text.path[:, 0].tolist(), text.path[:, 1].tolist())
        )
        tall, wide = text.mask.shape
        box = [min(ys) - MARGIN, min(xs) - MARGIN, max(ys) + tall + MARGIN, max(xs) + wide + MARGIN]
        members = [text]
        for other in [one for one in boxes if _touch(one[0], box)]:
            boxes.remove(other)
            members = other[1] + members
            box = [*map(min, box[:2], other[0][:2]), *map(max, box[2:], other[0][2:])]
        boxes.append((box, members))
    sites = []
    for (top, left, bottom, right), members in boxes:
        # even, so that chroma is cut at whole pixels whatever its subsampling (4:1:0 has not been met)
        rect = Rect(max(0, top) // 4 * 4, max(0, left) // 4 * 4, min(height, bottom), min(width, right))
        if rect.bottom > rect.top and rect.right > rect.left:
            sites.append(Site(rect, tuple(members)))
    return sites


def _touch(one: Sequence[int], other: Sequence[int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _lay(piece: Bits, out: Bits, top: int, left: int) -> None:
    """Add a mask to another where they overlap; what lies outside of it is dropped."""
    y, x = max(0, -top), max(0, -left)
    bottom, right = min(piece.shape[0], out.shape[0] - top), min(piece.shape[1], out.shape[1] - left)
    if bottom > y and right > x:
        out[top + y : top + bottom, left + x : left + right] |= piece[y:bottom, x:right]


def coarsen(mask: Bits, shape: tuple[int, int]) -> Bits:
    """The mask of a subsampled plane: every sample that a masked pixel has a part in."""
    tall, wide = -(-mask.shape[0] // shape[0]), -(-mask.shape[1] // shape[1])
    padded = np.pad(mask, ((0, shape[0] * tall - mask.shape[0]), (0, shape[1] * wide - mask.shape[1])))
    return np.asarray(padded.reshape(shape[0], tall, shape[1], wide).any((1, 3)))
