"""Frames of a scene filled: candidates gathered, weighed, and put where the text was."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from media.blending import compose, shares
from media.burnt_text import Planes
from media.kriging import Floats
from media.scenes import Patch, Scene, Trace

_HALO = 16.0
"""Variance of what a codec spills from text over the pixels next to it."""
_RIM_ERRS = 0.6
"""Kriging's error in the rim, against the detail that candidates leave unexplained (variances)."""
_CARRIED = 0.5
"""Share of a pixel's detail that comes from the frame before, moved along: what jitters is evened out."""


@dataclass(frozen=True, eq=False)
class Weighed:
    """What is known of a masked frame before it is filled: per plane, at the places of its patch."""

    values: list[Floats]
    candidates: list[Floats]
    moments: Floats


def weigh(scene: Scene, number: int) -> Weighed | None:
    n = number - scene.low
    segment = scene.of_frame[n]
    cover = segment.cover
    if cover is None:
        return None
    ways: list[list[Floats]] = [
        _seen_along(scene, way[n], cover.luma, (0,)) + _seen_along(scene, way[n], cover.chroma, (1, 2))
        for way in scene.traces
        if n in way
    ]
    while ways and len(ways) < len(scene.traces):
        ways.append(ways[0])
    values, candidates = [], []
    for plane in range(3):
        patch = cover.luma if plane == 0 else cover.chroma
        values.append(scene.stacks[plane][n].ravel()[patch.places].astype(np.float32))
        candidates.append(_complete(np.column_stack([segment.still[plane], *[way[plane] for way in ways]])))
    around = cover.luma.around
    known, seen = values[0][around, None], candidates[0][around]
    dark = np.isnan(seen)
    detail = cover.weighing.detail(
        np.hstack([known, np.where(dark, known, seen)]) * np.float32(255 / scene.peak)
    )
    detail[:, 1:][dark] = 0
    return Weighed(values, candidates, cover.weighing.moments(detail))


def fill(scene: Scene, number: int, weighed: Weighed, moments: Floats, out: Planes) -> None:
    """Write the pixels of a frame's masks into `out`, the whole planes of that frame.

    `moments` are those of the frame, or a mean of those near it in time. Frames are filled in turn.
    """
    cover = scene.of_frame[number - scene.low].cover
    assert cover is not None
    share, left, followed = shares(moments, 2)
    earlier = _carried(scene, number)
    for plane in range(3):
        patch = cover.luma if plane == 0 else cover.chroma
        values, candidates = weighed.values[plane], weighed.candidates[plane]
        blank = np.isnan(candidates)
        details = np.zeros(len(patch.places), np.float32)
        for part in (patch.rim, patch.core):
            if part is None or not len(part.inside):
                continue
            ring = np.column_stack(
                [
                    values[part.ring],
                    np.where(blank[part.ring], values[part.ring, None], candidates[part.ring]),
                ]
            )
            trust = np.asarray(part.between @ share, np.float32)
            smooth, detail = compose(part.weights, ring, candidates[part.inside], trust)
            if plane == 0 and earlier is not None:
                before = earlier[part.inside]
                kept = _CARRIED * np.asarray(part.between @ followed)
                detail += np.where(np.isnan(before), 0, kept * (before - detail))
            foretold = smooth + detail
            details[part.inside] = detail
            if part is patch.rim:
                doubt = _RIM_ERRS * np.asarray(part.between @ left)
                foretold += (values[part.inside] - foretold) * (doubt / (doubt + _HALO))
            values[part.inside] = foretold
        if plane == 0:
            scene.last = (number, details[patch.masked])
        whole = out[plane][scene.site.rect.of(out[plane], out[0])]
        y, x = np.divmod(patch.places[patch.masked], patch.shape[1])
        whole[y, x] = np.clip(np.rint(values[patch.masked]), 0, scene.peak).astype(whole.dtype)


def _carried(scene: Scene, number: int) -> Floats | None:
    """The detail given to the frame before, moved to this one: at luma's places, NaN where there was none."""
    n = number - scene.low
    here, trace = scene.of_frame[n].cover, scene.traces[0].get(n)
    if scene.last is None or scene.last[0] != number - 1 or here is None:
        return None
    there = scene.of_frame[n - 1].cover
    if there is None:
        return None
    height, width = here.luma.shape
    dense = np.full((height, width), np.nan, np.float32)
    dense.ravel()[there.luma.places[there.luma.masked]] = scene.last[1]
    y, x = np.divmod(here.luma.places[here.luma.masked], width)
    v, h = y.astype(np.float32), x.astype(np.float32)
    if trace is not None:
        v += trace.step[0]
        h += trace.step[1]
    moved = np.full(len(here.luma.places), np.nan, np.float32)
    moved[here.luma.masked] = _between(dense, v, h)
    return moved


def _complete(values: Floats) -> Floats:
    """Let a candidate that saw nothing at a pixel say what the others say."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    seen = (~missing).sum(1)
    mean = np.where(seen > 0, np.nansum(values, axis=1) / np.maximum(seen, 1), np.nan).astype(np.float32)
    return np.where(missing, mean[:, None], values)


def _seen_along(scene: Scene, trace: Trace, patch: Patch, planes: tuple[int, ...]) -> list[Floats]:
    """Values at a trace's ends for every place of a patch, NaN where there are none; one column a plane."""
    assert scene.hidden is not None
    height, width = patch.shape
    scale = height / scene.stacks[0].shape[1], width / scene.stacks[0].shape[2]
    frame = trace.frame[patch.nearest]
    y, x = np.divmod(patch.places, width)
    y = y + trace.down[patch.nearest] * np.float32(scale[0])
    x = x + trace.right[patch.nearest] * np.float32(scale[1])
    good = (frame >= 0) & (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    at = np.flatnonzero(good)
    frame, y, x = frame[at], y[at], x[at]
    hidden = scene.hidden[min(planes[0], 1)][
        scene.cover_of[frame], np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    ]
    top, left = np.minimum(y.astype(np.int32), height - 2), np.minimum(x.astype(np.int32), width - 2)
    down, along = (y - top).astype(np.float32), (x - left).astype(np.float32)
    place = (frame * np.int64(height) + top) * width + left
    out = []
    for plane in planes:
        flat = scene.stacks[plane].ravel()
        upper = flat[place] * (1 - along) + flat[place + 1] * along
        lower = flat[place + width] * (1 - along) + flat[place + width + 1] * along
        values = np.full(len(patch.places), np.nan, np.float32)
        values[at] = np.where(hidden, np.float32(np.nan), upper + (lower - upper) * down)
        out.append(values)
    return out


def _between(picture: Floats, y: Floats, x: Floats) -> Floats:
    """Values of a picture between its pixels; NaN beyond its edges."""
    # a map of one column would be too tall for OpenCV, whose pictures have fewer than 2^15 rows
    rows = -(-len(y) // 1024)
    maps = [np.resize(np.asarray(one, np.float32), (rows, 1024)) for one in (x, y)]
    seen = cv2.remap(
        picture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan
    )
    return np.asarray(seen.ravel()[: len(y)], np.float32)
