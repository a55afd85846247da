"""Which pixels of a picture a line of text changed: glyphs, their outline, shadow and box.

The line stands still while the picture behind it moves. The median of some of its frames keeps the text and
blurs the rest; the spread between them is small where the text is opaque; the frames just before it came show
what it hid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.burnt_text import Mask
from media.ocr import Box

Stack = NDArray[np.uint8]
"""Pictures x height x width x (luma, blue, red difference): the same crop of several frames."""
_Plane = NDArray[Any]
_LEAST_CONTRAST = 14.0
_CHROMA = 1.6  # a step of colour difference is worth more than one of luma: it has less room
_HALO = 2
_OTHER_COLOUR = 0.35
_SPACE, _STEP, _MOST, _SOME = 0.06, 4.0, 65, 30
"""Of a box: how far from the letters it ends at least (in heights of the line), how many shades its sides
step on the mean, and how many per cent of their pixels step at least half as far."""
_SMOOTH = 30.0
"""How far the luma round a line varies where any ring that differs from it is the line's own."""


@dataclass(frozen=True)
class Segment:
    mask: Mask
    strokes: Mask
    contrast: float
    flatness: float
    """How much the colour of the glyphs differs within itself: burnt-in text is painted in one."""


def segment(shown: Stack, box: Box, *, hidden: Stack | None = None) -> Segment | None:
    """Mask a line of text in `box` of the crops `shown`; `hidden` are crops without it. None: no strokes."""
    middle = np.median(shown, axis=0).astype(np.float32)
    spread = _spread(shown)
    before = np.median(hidden, axis=0).astype(np.float32) if hidden is not None and len(hidden) else None
    height = box[3] - box[1]
    fill = _glyphs(middle, spread, box)
    if fill is None:
        return None
    glyphs, contrast, flatness = fill
    width = _outline_width(glyphs, middle, spread, before, height)
    body = _grown(glyphs, width)
    body = np.maximum(body, _shadow(body, middle[..., 0], height))
    body = _boxed(body, glyphs, middle[..., 0], box)
    mask = _grown(body, _HALO)
    return Segment(mask * np.uint8(255), _grown(body, 1) * np.uint8(255), contrast, flatness)


def _spread(shown: Stack) -> _Plane:
    """How far a pixel's luma moves between the frames; the odd one out does not count."""
    luma: _Plane = np.sort(shown[..., 0], axis=0)
    out = len(luma) // 6
    high, low = luma[len(luma) - 1 - out], luma[out]
    return np.asarray(high - low, np.float32)


def _round(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)


def _grown(mask: Mask, radius: int) -> Mask:
    return np.asarray(cv2.dilate(mask, _round(radius)), np.uint8) if radius > 0 else mask


def _glyphs(middle: _Plane, spread: _Plane, box: Box) -> tuple[Mask, float, float] | None:
    """The letters themselves: of light, dark and coloured strokes those that are strong and of one colour."""
    left, top, right, bottom = box
    height = bottom - top
    around = max(2, height // 5)
    rows = slice(max(0, top - around), bottom + around)
    columns = slice(max(0, left - around), right + around)
    inside = np.zeros(middle.shape[:2], np.uint8)
    inside[rows, columns] = 1
    side = 2 * max(2, round(height * 0.22)) + 1
    kernel = np.ones((side, side), np.uint8)  # a square of bytes: a disc of floats takes a second each
    ways: list[tuple[float, Mask, float, float]] = []
    for channel, sign in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)):
        by = 1.0 if channel == 0 else _CHROMA
        plane = cv2.convertScaleAbs(middle[..., channel], alpha=by, beta=128 * (1 - by) if channel else 0)
        response = cv2.morphologyEx(plane, cv2.MORPH_TOPHAT if sign > 0 else cv2.MORPH_BLACKHAT, kernel)
        level = _otsu(response[top:bottom, left:right])
        if level < _LEAST_CONTRAST / (1 if channel == 0 else 2):
            continue
        seeds = ((response > level) & (inside > 0)).astype(np.uint8)
        seeds = _of_text(seeds, box)
        count = int(seeds.sum())
        if count < 0.03 * height * (right - left):
            continue
        contrast = float(response[seeds > 0].mean())
        flatness = float(plane[seeds > 0].std())
        calm = float(np.median(spread[seeds > 0]))
        score = contrast / (12 + flatness) / (1 + calm / 24)
        ways.append((score, seeds, contrast, flatness))
    if not ways:
        return None
    ways.sort(key=lambda way: -way[0])
    best, seeds, contrast, flatness = ways[0]
    letters = _filled(seeds, middle, spread, box)
    for score, other, _, _ in ways[1:]:
        rest = _beside(other, letters, height) if score > _OTHER_COLOUR * best else None
        if rest is not None:
            letters = letters | _filled(rest, middle, spread, box)
    return letters, contrast, flatness


def _beside(seeds: Mask, letters: Mask, height: int) -> Mask | None:
    """Those strokes that stand where the line has no letters yet: it may change its colour half-way."""
    reach = max(3, height // 2)
    there = np.convolve(letters.any(axis=0), np.ones(2 * reach + 1), "same") > 0
    rest = seeds * (~there[None, :]).astype(np.uint8)
    if np.count_nonzero(rest.any(axis=0)) < height:
        return None
    return np.asarray(rest, np.uint8)


def _otsu(response: _Plane) -> float:
    level, _ = cv2.threshold(response, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(level)


def _of_text(seeds: Mask, box: Box) -> Mask:
    """Leave out specks, and what reaches into the box from outside."""
    left, top, right, bottom = box
    height = bottom - top
    count, labels, stats, _ = cv2.connectedComponentsWithStats(seeds, connectivity=8)
    keep = np.zeros(count, np.uint8)
    for number in range(1, count):
        x, y, w, h, area = stats[number]
        within = min(x + w, right) - max(x, left) > 0 and min(y + h, bottom) - max(y, top) > 0.5 * h
        keep[number] = within and area >= max(3, 0.0015 * height * height)
    return np.asarray(keep[labels], np.uint8)


def _filled(seeds: Mask, middle: _Plane, spread: _Plane, box: Box) -> Mask:
    """Take in what has the colour of the strokes and touches them: parts too thick for a stroke."""
    top, bottom = box[1], box[3]
    height = bottom - top
    colours = middle[seeds > 0]
    centre = np.median(colours, axis=0)
    room = np.maximum(2.2 * 1.4826 * np.median(np.abs(colours - centre), axis=0), (14, 6, 6))
    alike = (np.abs(middle - centre) <= room).all(axis=2) & (
        spread < max(24.0, 2 * float(np.median(spread[seeds > 0])))
    )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (alike | (seeds > 0)).astype(np.uint8), connectivity=8
    )
    touched = np.bincount(labels[seeds > 0], minlength=count)
    out = seeds.copy()
    for number in range(1, count):
        _, y, _, h, area = stats[number]
        if not touched[number]:
            continue
        leaks = y < top - 0.25 * height or y + h > bottom + 0.25 * height or area > 6 * touched[number] + 30
        if not leaks:
            out[labels == number] = 1
    return out


def _outline_width(glyphs: Mask, middle: _Plane, spread: _Plane, before: _Plane | None, height: int) -> int:
    """How many pixels round the letters are the text's, ring by ring against the picture further out."""
    reach = max(3, round(height * 0.3))
    distance = cv2.distanceTransform(1 - glyphs, cv2.DIST_L2, 5)
    far = (distance > reach) & (distance <= 1.7 * reach)
    if far.sum() < 20:
        return 2
    luma = middle[..., 0]
    rings = [(distance > d - 1) & (distance <= d) for d in range(1, reach + 1)]
    wild = float(np.median(spread[far]))
    calm = float(np.median(spread[glyphs > 0]))
    mean_far, std_far = float(np.median(luma[far])), float(luma[far].std())
    change = np.abs(middle - before).max(axis=2) if before is not None else None
    quiet = float(np.median(change[far])) if change is not None else 0.0
    width = 0
    for number, ring in enumerate(rings, 1):
        if not ring.any():
            break
        own = luma[ring]
        still = wild > calm + 10 and float(np.median(spread[ring])) < calm + 0.4 * (wild - calm)
        changed = change is not None and float(np.median(change[ring])) > quiet + 10
        alike = std_far < _SMOOTH or float(own.std()) < 0.6 * std_far
        apart = alike and abs(float(np.median(own)) - mean_far) > 20 + 0.3 * std_far
        if still or changed or apart:
            width = number
        elif number > width + 1:
            break
    return width


def _boxed(body: Mask, glyphs: Mask, luma: _Plane, box: Box) -> Mask:
    """Where letters stand in a box, all of it: a rectangle darker, or lighter, than what is around it."""
    ys, xs = np.nonzero(glyphs)
    height = box[3] - box[1]
    top, bottom = max(int(ys.min()), box[1]), min(int(ys.max()), box[3])
    left, right = int(xs.min()), int(xs.max())
    if top >= bottom or left >= right:
        return body
    reach, space = max(5, round(0.45 * height)), max(1, round(_SPACE * height))
    down, across = np.diff(luma[:, left:right], axis=0), np.diff(luma[top:bottom], axis=1).T
    for sign in (-1, 1):
        left_, right_ = (
            _step(sign * across, left - reach, left - space, _MOST),
            _step(-sign * across, right + space, right + reach, _MOST),
        )
        if left_ is None and right_ is None:
            continue
        # between two sides that are seen, less of the others has to be
        share = _MOST if left_ is None or right_ is None else _SOME
        top_ = _step(sign * down, top - reach, top - space, share)
        bottom_ = _step(-sign * down, bottom + space, bottom + reach, share)
        if top_ is None or bottom_ is None:
            continue
        out = body.copy()
        columns = slice(left if left_ is None else left_ + 1, right if right_ is None else right_ + 1)
        out[top_ + 1 : bottom_ + 1, columns] = 1
        return out
    return body


def _step(inward: _Plane, low: int, high: int, share: int) -> int | None:
    """Where, between two places, a side of pixels steps inward by itself; None when none stands out.

    `share` per cent of it have to: under a line of letters there is a step too, but not between them.
    """
    low, high = max(0, low), min(len(inward), high)
    if high - low < 2:
        return None
    steps = inward[low:high]
    mean, most = steps.mean(axis=1), np.percentile(steps, 100 - share, axis=1)
    mean[most < _STEP / 2] = 0
    at = int(mean.argmax())
    return low + at if mean[at] >= _STEP else None


def _shadow(body: Mask, luma: _Plane, height: int) -> Mask:
    """What is darker right below the letters than left above them."""
    out = np.zeros_like(body)
    free = body == 0
    for k in range(1, max(3, round(height * 0.2))):
        below, above = _moved(body, k) > 0, _moved(body, -k) > 0
        one, other = below & ~above & free & (out == 0), above & ~below & free
        if one.sum() < 20 or other.sum() < 20:
            break
        darker = float(np.median(luma[other])) - float(np.median(luma[one]))
        if darker < 12:
            break
        out[below & free] = 1
    return out


def _moved(mask: Mask, k: int) -> Mask:
    out = np.zeros_like(mask)
    if k > 0:
        out[k:, k:] = mask[:-k, :-k]
    else:
        out[:k, :k] = mask[-k:, -k:]
    return out
