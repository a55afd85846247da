"""A place of a shot where texts stand: its frames cut out, its masks over time, and their filling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from media.blending import Weighing, compose, shares
from media.burnt_text import BurntText, Planes
from media.kriging import Bits, Floats, Hole, dig

MARGIN = 40
"""Pixels around the masks that are cut out with them: room for motion to be seen in."""
HALO = 1
"""Pixels next to a mask that are not taken for true when another frame looks for them."""
_STILL_FRAMES = 4
"""Frames averaged into what was seen before, or after: codec noise halves."""


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


@dataclass(eq=False)
class Segment:
    """Frames [first, end) with one and the same mask."""

    first: int
    end: int
    mask: Bits
    unknown: Bits
    """The mask and its halo."""
    hole: Hole
    hole_of_chroma: Hole

    @cached_property
    def weighing(self) -> Weighing:
        return Weighing(self.hole)

    @cached_property
    def between(self) -> tuple[csr_matrix, csr_matrix]:
        return self.weighing.between_tiles(self.hole), self.weighing.between_tiles(self.hole_of_chroma)


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


@dataclass(eq=False)
class Scene:
    """A site over the frames of one window: cut out, its masks dug, what is seen before and after found."""

    site: Site
    low: int
    high: int
    stacks: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    """Per plane (frames, height, width), from frame `low` on."""
    segments: list[Segment] = field(default_factory=list)
    still: dict[int, list[tuple[Floats, Floats]]] = field(default_factory=dict)
    """By segment, for luma and both chroma planes: what stood in the ring and inside, before and after."""


def cut_out(site: Site, frames: Sequence[Planes], low: int) -> Scene:
    luma = frames[0][0]
    stacks = []
    for n in range(3):
        part = site.rect.of(frames[0][n], luma)
        stacks.append(np.stack([frame[n][part] for frame in frames]))
    return Scene(site, low, low + len(frames), (stacks[0], stacks[1], stacks[2]))


def dig_segments(
    scene: Scene, pool: Executor, known: dict[Any, tuple[Bits, Bits, Hole, Hole]]
) -> Iterator[None]:
    """Part the window at every change of the mask; `known` keeps holes from window to window."""
    runs: list[tuple[int, int, Any]] = []
    for number in range(scene.low, scene.high):
        key = scene.site.key(number)
        if runs and runs[-1][2] == key:
            runs[-1] = (runs[-1][0], number + 1, key)
        else:
            runs.append((number, number + 1, key))
    chroma = scene.stacks[1].shape[1:]
    made = {
        key: pool.submit(_dig, scene.site, key, chroma)
        for key in {run[2] for run in runs}
        if key not in known
    }
    for key, future in made.items():
        known[key] = future.result()
        yield
    scene.segments = [Segment(first, end, *known[key]) for first, end, key in runs]
    used = {run[2] for run in runs}
    for key in [key for key in known if key not in used]:
        del known[key]


def _dig(site: Site, key: Any, chroma: tuple[int, int]) -> tuple[Bits, Bits, Hole, Hole]:
    mask = site.mask(key)
    unknown = widen(mask, HALO)
    small = coarsen(mask, chroma)
    return mask, unknown, dig(mask, mask), dig(small, small)


def widen(mask: Bits, by: int) -> Bits:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel) > 0)


def coarsen(mask: Bits, shape: tuple[int, int]) -> Bits:
    """The mask of a subsampled plane: every sample that a masked pixel has a part in."""
    tall, wide = -(-mask.shape[0] // shape[0]), -(-mask.shape[1] // shape[1])
    padded = np.pad(mask, ((0, shape[0] * tall - mask.shape[0]), (0, shape[1] * wide - mask.shape[1])))
    return np.asarray(padded.reshape(shape[0], tall, shape[1], wide).any((1, 3)))


def look_before_and_after(scene: Scene) -> None:
    """Find for every segment what was last seen before it, and first after it, where the mask is."""
    for n, segment in enumerate(scene.segments):
        if len(segment.hole.inside):
            scene.still[n] = [
                (
                    np.full((len(hole.ring), 2), np.nan, np.float32),
                    np.full((len(hole.inside), 2), np.nan, np.float32),
                )
                for hole in _holes(segment)
            ]
    for column, order in enumerate((range(len(scene.segments)), range(len(scene.segments) - 1, -1, -1))):
        for stack, plane in zip(scene.stacks, range(3), strict=True):
            seen = np.full(stack.shape[1:], np.nan, np.float32)
            for n in order:
                segment = scene.segments[n]
                if n in scene.still:
                    ring, inside = scene.still[n][plane]
                    hole = _holes(segment)[plane]
                    ring[:, column] = seen.ravel()[hole.ring]
                    inside[:, column] = seen.ravel()[hole.inside]
                first, end = segment.first - scene.low, segment.end - scene.low
                near = (
                    slice(max(first, end - _STILL_FRAMES), end)
                    if column == 0
                    else slice(first, min(end, first + _STILL_FRAMES))
                )
                known = ~(
                    segment.unknown if plane == 0 else coarsen(segment.unknown, segment.hole_of_chroma.shape)
                )
                np.copyto(seen, stack[near].mean(0, dtype=np.float32), where=known)


def _holes(segment: Segment) -> tuple[Hole, Hole, Hole]:
    return segment.hole, segment.hole_of_chroma, segment.hole_of_chroma


def fill(scene: Scene, segment_number: int, number: int, out: Planes) -> None:
    """Write the pixels of a frame's mask into `out` (whole planes of that frame)."""
    segment = scene.segments[segment_number]
    trust: list[Floats] = []
    for plane, hole in enumerate(_holes(segment)):
        stack = scene.stacks[plane]
        if not len(hole.inside):
            continue
        picture = stack[number - scene.low].ravel()[hole.ring].astype(np.float32)
        ring, inside = scene.still[segment_number][plane]
        ring, inside = _complete(ring), _complete(inside)
        ring = np.concatenate([picture[:, None], ring], axis=1)
        if plane == 0:
            smooth = picture - segment.weighing.detail(ring[:, :1])[:, 0]
            blank = np.isnan(ring)
            ring = np.where(blank, smooth[:, None], ring)
            share = shares(segment.weighing.moments(segment.weighing.detail(ring)))
            trust = [np.asarray(between @ share, np.float32) for between in segment.between]
        else:
            ring = np.where(np.isnan(ring), picture[:, None], ring)
        values = compose(hole, ring, inside, trust[min(plane, 1)])
        part = out[plane][scene.site.rect.of(out[plane], out[0])]
        top = np.iinfo(part.dtype).max
        y, x = np.divmod(hole.inside, hole.shape[1])
        part[y, x] = np.clip(np.rint(values), 0, top).astype(part.dtype)


def _complete(values: Floats) -> Floats:
    """Let a candidate that saw nothing at a pixel say what the others say."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    seen = (~missing).sum(1)
    mean = np.where(seen > 0, np.nansum(values, axis=1) / np.maximum(seen, 1), np.nan).astype(np.float32)
    return np.where(missing, mean[:, None], values)
