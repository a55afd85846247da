"""A site over the frames of a window: its masks dug, what other frames show behind them, and its filling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from media.alignment import Level, levels, motion
from media.blending import Weighing
from media.burnt_text import Planes
from media.kriging import MORE_NEIGHBOURS, NEIGHBOURS, RING, Bits, Floats, Hole, Places, dig, widen
from media.sites import Site, coarsen
from media.trimming import SAMPLES, trim

_STILL_FRAMES = 4
"""Frames averaged into what was seen before, or after: codec noise halves."""
_DEEP = 4.0
"""The ring is tested with the motion of pixels so deep in the mask: one at its edge is followed over fewer
frames than most, and would promise too much."""
_OLDEST = 40
"""Frames that motion is followed over."""


@dataclass(frozen=True, eq=False)
class Part:
    """Pixels filled together by one map; `inside` and `ring` count along the patch's places."""

    weights: csr_matrix
    inside: Places
    ring: Places
    between: csr_matrix
    """From the tiles of the weighing to the pixels inside."""


@dataclass(frozen=True, eq=False)
class Patch:
    """What a mask makes of one plane: the places that matter, and the parts to fill in turn."""

    shape: tuple[int, int]
    places: Places
    around: Places
    """Which places are known ones, outside of the mask."""
    masked: Places
    rim: Part | None
    core: Part
    nearest: Places
    """For every place, which of luma's masked places lies nearest."""


@dataclass(eq=False)
class Cover:
    """A mask, whenever it stands so."""

    unknown: Bits
    luma: Patch
    chroma: Patch
    weighing: Weighing


@dataclass(eq=False)
class Segment:
    """Frames [first, end) with one and the same mask; without a cover, with none."""

    first: int
    end: int
    cover: Cover | None
    still: list[Floats] = field(default_factory=list)
    """Per plane: what stood at its places before, and after."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Where masked pixels of a frame are seen: in which frame of the window (-1: none), how far away."""

    frame: NDArray[np.int32]
    down: Floats
    right: Floats
    step: tuple[Floats, Floats]
    """The first frame's part of the way."""


@dataclass(eq=False)
class Scene:
    site: Site
    low: int
    stacks: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    """Per plane (frames, height, width), from frame `low` of the clip on."""
    peak: float
    segments: list[Segment] = field(default_factory=list)
    of_frame: list[Segment] = field(default_factory=list)
    hidden: tuple[Bits, Bits] | None = None
    """For luma and chroma, every mask met; `cover_of` says which is whose."""
    cover_of: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    traces: tuple[dict[int, Trace], dict[int, Trace]] = field(default_factory=lambda: ({}, {}))
    last: tuple[int, Floats] | None = None
    """The frame filled last, and the detail given to its masked pixels."""


def open_scene(
    site: Site, frames: Sequence[Planes], low: int, pool: Executor, *, moving: bool
) -> Iterator[Scene]:
    """Make a scene ready to fill from; gives it again and again, ready when it is given last."""
    luma = frames[0][0]
    stacks = [np.stack([frame[n][site.rect.of(frame[n], luma)] for frame in frames]) for n in range(3)]
    peak = (
        255.0
        if luma.dtype == np.uint8
        else float(2 ** int(np.ceil(np.log2(max(256, int(stacks[0].max()) + 1)))) - 1)
    )
    scene = Scene(site, low, (stacks[0], stacks[1], stacks[2]), peak)
    yield scene
    runs: list[tuple[int, int, Any]] = []
    for number in range(low, low + len(frames)):
        key = site.key(number)
        if runs and runs[-1][2] == key:
            runs[-1] = (runs[-1][0], number + 1, key)
        else:
            runs.append((number, number + 1, key))
    covers = {
        key: pool.submit(_cover, scene, key, [run[:2] for run in runs if run[2] == key])
        for key in {run[2] for run in runs}
    }
    while wait(covers.values(), timeout=0.2).not_done:
        yield scene
    scene.segments = [Segment(first, end, covers[key].result()) for first, end, key in runs]
    scene.of_frame = [segment for segment in scene.segments for _ in range(segment.first, segment.end)]
    _stack_masks(scene)
    _look_before_and_after(scene)
    yield scene
    if moving:
        for _ in _follow(scene, pool):
            yield scene
    yield scene


class _Hidden:
    """Masked places of luma, and which of them lies nearest to a point."""

    def __init__(self, mask: Bits) -> None:
        points = np.stack(np.nonzero(mask), 1)
        depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)[mask]
        self._deep = np.flatnonzero(depth >= min(_DEEP, float(depth.max())))
        self._all_tree, self._deep_tree = cKDTree(points), cKDTree(points[self._deep])

    def nearest(self, points: NDArray[np.float64], *, deep: Bits) -> Places:
        """For those `deep` is set for, the nearest of the places that lie deep in the mask."""
        out = np.asarray(self._all_tree.query(points)[1], np.intp)
        out[deep] = self._deep[self._deep_tree.query(points[deep])[1]]
        return out


def _stack_masks(scene: Scene) -> None:
    met: dict[int, int] = {}
    masks: list[list[Bits]] = [[], []]
    for segment in scene.segments:
        if id(segment.cover) not in met:
            met[id(segment.cover)] = len(met)
            for n, stack in enumerate(scene.stacks[:2]):
                mask = np.zeros(stack.shape[1:], bool)
                if segment.cover is not None:
                    patch = segment.cover.luma if n == 0 else segment.cover.chroma
                    mask.ravel()[patch.places[patch.masked]] = True
                masks[n].append(mask)
    scene.hidden = (np.stack(masks[0]), np.stack(masks[1]))
    scene.cover_of = np.array([met[id(segment.cover)] for segment in scene.of_frame])


def _cover(scene: Scene, key: Any, runs: list[tuple[int, int]]) -> Cover | None:
    wide = scene.site.mask(key)
    if not wide.any() or wide.all():
        return None
    numbers = [number - scene.low for run in runs for number in range(*run)]
    core, rim = wide, None
    # where text never goes, nothing is seen in its place but what surrounds it
    stays = len(numbers) == len(scene.stacks[0])
    if len(numbers) >= SAMPLES // 2:
        some = numbers[:: -(-len(numbers) // SAMPLES)]
        core, rim = trim(
            wide, scene.stacks[0][some].astype(np.float32) * np.float32(255 / scene.peak), gaps=stays
        )
    around = widen(wide, RING) & ~wide
    weighing = Weighing(wide.shape, np.flatnonzero(around))
    hidden = _Hidden(wide)
    neighbours = MORE_NEIGHBOURS if stays and len(numbers) > 50 else NEIGHBOURS
    luma = _patch(wide, core, rim, weighing, hidden, neighbours)
    small = coarsen(wide, (scene.stacks[1].shape[1], scene.stacks[1].shape[2]))
    if not (~small).any():
        return None
    return Cover(wide, luma, _patch(small, small, None, weighing, hidden, NEIGHBOURS), weighing)


def _patch(
    wide: Bits, core: Bits, rim: Hole | None, weighing: Weighing, hidden: _Hidden, neighbours: tuple[int, ...]
) -> Patch:
    hole = dig(core, core, neighbours)
    places = np.flatnonzero(widen(wide, RING))
    known = ~wide.ravel()[places]

    def part(hole: Hole, kept: Bits | None = None) -> Part:
        inside, weights = hole.inside, hole.weights
        if kept is not None:
            inside, weights = inside[kept], weights[kept]
        return Part(
            weights,
            np.searchsorted(places, inside),
            np.searchsorted(places, hole.ring),
            weighing.between_tiles(inside, wide.shape),
        )

    let_go = None if rim is None or not len(rim.inside) else part(rim, ~core.ravel()[rim.inside])
    scale = np.array([weighing.shape[0] / wide.shape[0], weighing.shape[1] / wide.shape[1]])
    points = (np.stack(np.divmod(places, wide.shape[1]), 1) + 0.5) * scale - 0.5
    return Patch(
        wide.shape, places, np.flatnonzero(known), np.flatnonzero(~known), let_go, part(hole),
        hidden.nearest(points, deep=known),
    )  # fmt: skip


def _look_before_and_after(scene: Scene) -> None:
    """Find for every segment what was last seen before it, and first after it, where the mask is."""
    for segment in scene.segments:
        if segment.cover is not None:
            patches = (segment.cover.luma, segment.cover.chroma, segment.cover.chroma)
            segment.still = [np.empty((len(patch.places), 2), np.float32) for patch in patches]
    for column, order in enumerate((scene.segments, scene.segments[::-1])):
        for plane, stack in enumerate(scene.stacks):
            seen = np.full(stack.shape[1:], np.nan, np.float32)
            for segment in order:
                first, end = segment.first - scene.low, segment.end - scene.low
                near = (
                    slice(max(first, end - _STILL_FRAMES), end)
                    if column == 0
                    else slice(first, min(end, first + _STILL_FRAMES))
                )
                now = stack[near].mean(0, dtype=np.float32)
                if segment.cover is None:
                    seen = now
                    continue
                patch = segment.cover.luma if plane == 0 else segment.cover.chroma
                segment.still[plane][:, column] = seen.ravel()[patch.places]
                hidden = patch.places[patch.masked]
                kept = seen.ravel()[hidden]
                seen = now
                seen.ravel()[hidden] = kept


def _follow(scene: Scene, pool: Executor) -> Iterator[None]:
    """Trace masked pixels along the motion to the frames where they are seen, both ways in time."""
    count = len(scene.of_frame)
    busy = [n for n in range(count) if scene.of_frame[n].cover is not None]
    needed = sorted({n + step for n in busy for step in (-1, 0, 1) if 0 <= n + step < count})
    made: dict[int, list[Level]] = {}

    def prepare(n: int) -> list[Level]:
        cover = scene.of_frame[n].cover
        unknown = np.zeros(scene.stacks[0].shape[1:], bool) if cover is None else cover.unknown
        return levels(scene.stacks[0][n], unknown, scene.peak)

    def move(n: int, to: int) -> tuple[Floats, Floats]:
        field_ = motion(made[n], made[to])
        cover = scene.of_frame[n].cover
        assert cover is not None
        y, x = np.divmod(cover.luma.places[cover.luma.masked], cover.luma.shape[1])
        field_ = field_[np.minimum(y // 2, field_.shape[0] - 1), np.minimum(x // 2, field_.shape[1] - 1)]
        return field_[:, 1], field_[:, 0]

    for n, result in zip(needed, pool.map(prepare, needed), strict=True):
        made[n] = result
        yield
    for way, step in enumerate((-1, 1)):
        pairs = [n for n in (busy if step < 0 else busy[::-1]) if 0 <= n + step < count]
        for n, (down, right) in zip(pairs, pool.map(move, pairs, [n + step for n in pairs]), strict=True):
            scene.traces[way][n] = _trace(scene, n, n + step, down, right, scene.traces[way].get(n + step))
            yield


def _trace(scene: Scene, n: int, to: int, down: Floats, right: Floats, beyond: Trace | None) -> Trace:
    """Follow a frame's masked pixels into the next one, and on from there where that is masked too."""
    here, there = scene.of_frame[n].cover, scene.of_frame[to].cover
    assert here is not None
    height, width = here.luma.shape
    step = (down.copy(), right.copy())
    y, x = np.divmod(here.luma.places[here.luma.masked], width)
    y, x = np.rint(y + down).astype(np.intp), np.rint(x + right).astype(np.intp)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    frame = np.where(inside, np.int32(to), np.int32(-1))
    if there is not None:
        place = np.where(inside, y * width + x, 0)
        hidden = inside & there.unknown.ravel()[place]
        if beyond is None:
            frame[hidden] = -1
        else:
            index = np.searchsorted(there.luma.places[there.luma.masked], place[hidden])
            frame[hidden] = beyond.frame[index]
            down[hidden] += beyond.down[index]
            right[hidden] += beyond.right[index]
    frame[np.abs(frame - n) > _OLDEST] = -1
    return Trace(frame, down, right, step)
