"""Marks that stand through a shot: a logo's graphic beside its words, and marks too faint for a single frame.

What is laid over a shot keeps its edges while those of the picture behind it come and go: in the mean of the
gradients they stay, the others cancel out (Dekel et al., On the Effectiveness of Visible Watermarks, 2017).
Where nothing moves, nothing tells a mark from scenery, and words alone are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.asked import pieces
from media.burnt_text import BurntText, TextKind
from media.lasting import HIDES, LASTING, WILD, Patch, Sums, disc
from media.ocr import Box, Picture, find_boxes, read_line
from media.tracking import overlap

_FEWEST = 6
"""Frames of a shot looked at before anything is said of it."""
_MOVES, _MOVES_WILDLY = 0.45, 0.65
"""Share of the edges beside a mark that may last, and how far luma there spreads at least."""
_REACH = 0.6
"""Of a line's height: how far from words or graphics another part of the same mark may stand."""
_TALL, _WIDE = 4.0, 9.0
_LETS_THROUGH = 0.45
_ALONE_SIDE, _CORNER = 0.2, 0.3
_ROOM = 2
_SURE = 0.8
_STANDS = 0.4
_STEPS = 3


@dataclass(frozen=True, eq=False)
class Shot:
    first: int
    last: int
    patches: tuple[Patch, ...]
    words: tuple[tuple[Box, str, float], ...]
    """Read in the mean picture."""


class Marks:
    """Sums over the frames of a shot that were looked at, and what they said of the shots before."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._shots: list[Shot] = []
        self._cuts: list[int] = []
        self._now, self._ever = Sums(0), Sums(0)

    def at(self, planes: Sequence[NDArray[Any]], picture: Picture) -> None:
        """Add a frame of the shot, 8 bits deep, and a smaller picture of it."""
        self._now.add(planes, picture)

    def end_shot(self, end: int, *, last: bool = False) -> None:
        """Say what lasted in the shot that ends before frame `end`; the next begins with it."""
        self._look(self._now, end)
        if self._cuts or not last:
            self._ever.join(self._now)
        if last and self._cuts:
            self._look(self._ever, end)
        self._cuts.append(end)
        self._now = Sums(end)

    def _look(self, sums: Sums, end: int) -> None:
        if sums.count >= _FEWEST:
            patches = tuple(sums.patches())
            if patches:
                words = tuple(self._faint(patches, sums))
                self._shots.append(Shot(sums.first, end - 1, patches, words))

    def _faint(self, patches: Sequence[Patch], sums: Sums) -> Iterable[tuple[Box, str, float]]:
        """Words that are read in the mean picture, where the rest of it moves."""
        moving = [_seen(patch) for patch in patches if _moves(patch)]
        if not moving:
            return
        mean = np.clip(np.rint(sums.picture / sums.count), 0, 255).astype(np.uint8)
        sx, sy = self._size[0] / mean.shape[1], self._size[1] / mean.shape[0]
        for box, _, tilt in find_boxes(mean, long_side=max(mean.shape)):
            real = (round(box[0] * sx), round(box[1] * sy), round(box[2] * sx), round(box[3] * sy))
            if tilt > 12 or not any(_gap(real, other) <= 0 for other in moving):
                continue
            words, confidence = read_line(mean, box)
            if confidence >= _SURE and sum(c.isalnum() for c in words) >= 2:
                yield real, words, confidence

    def joined(self, texts: Sequence[BurntText]) -> list[BurntText]:
        """Give texts with what belongs to them, and marks nobody has read in a single frame."""
        out = list(texts)
        for shot in reversed(self._shots):  # what lasts over all shots comes first
            out = _with_graphics(shot, out, self._size)
        return [
            replace(text, first=begin, last=stop) if text.path is None else text
            for text in out
            for begin, stop in (
                pieces(text.first, text.last, self._cuts) if text.path is None else [(text.first, text.last)]
            )
        ]


def _with_graphics(shot: Shot, texts: list[BurntText], size: tuple[int, int]) -> list[BurntText]:
    inside = [text for text in texts if _is_mark(text, shot, size)]
    length = shot.last - shot.first + 1
    standing = [text for text in inside if _together(text, inside) >= _STANDS * length]
    out = [text for text in texts if text not in standing]
    boxes = [(_box(text), text) for text in standing]
    near = [_box(text) for text in texts if text.first <= shot.last and text.last >= shot.first]
    for box, words, sure in shot.words:
        if not any(_gap(box, other) <= 0 for other in near):
            boxes.append((box, _bare(shot, box, words, sure)))
    free = list(shot.patches)
    while boxes:
        box, text = boxes.pop(0)
        high = max(8, min(box[3] - box[1], box[2] - box[0]))
        mine, parts = [text], [patch for patch in free if _is_of(patch, box, high)]
        whole = box
        for patch in parts:
            whole = _union(whole, _seen(patch))
        for _ in range(_STEPS):
            more = [p for p in free if parts and p not in parts and _belongs(p, box, whole, high)]
            others = [pair for pair in boxes if _gap(pair[0], whole) <= _REACH * high]
            if not more and not others:
                break
            parts += more
            mine += [other for _, other in others]
            boxes = [pair for pair in boxes if pair not in others]
            for reach in [*map(_seen, more), *(other for other, _ in others)]:
                whole = _union(whole, reach)
        free = [patch for patch in free if patch not in parts]
        if parts:
            out.append(_mark(shot, mine, parts, size))
        else:
            out += [one for one in mine if one.mask.any()]
    return out + [_mark(shot, [], [patch], size) for patch in free if _stands_alone(patch, size)]


def _together(text: BurntText, others: Sequence[BurntText]) -> int:
    """In how many frames texts stand in its place."""
    return sum(o.last - o.first + 1 for o in others if overlap(_box(o), _box(text)) > _STANDS)


def _is_of(patch: Patch, box: Box, high: int) -> bool:
    """Whether lasting edges are the words' own."""
    left, top, right, bottom = _seen(patch)
    room = 4 * high
    level = box[1] - 0.8 * high < top and bottom < box[3] + 0.8 * high
    return level and left > box[0] - room and right < box[2] + room and overlap(_seen(patch), box) > 0.3


def _moves(patch: Patch) -> bool:
    return (
        (patch.beside < _MOVES or (patch.beside < _MOVES_WILDLY and patch.wild > 2 * WILD))
        and patch.wild > WILD
        and patch.lasting > LASTING
    )


def _belongs(patch: Patch, words: Box, whole: Box, high: int) -> bool:
    """Whether lasting edges are a graphic that goes with words: near, not much larger, on their height."""
    left, top, right, bottom = _seen(patch)
    if _gap((left, top, right, bottom), whole) > _REACH * high:
        return False
    if _moves(patch):
        return bottom - top <= _TALL * high and right - left <= _WIDE * high
    level = abs(top + bottom - words[1] - words[3]) < 0.6 * high
    return (
        level and 0.4 * high < bottom - top < 2.2 * high and right - left < 3 * high and patch.lasting > 0.9
    )


def _seen(patch: Patch) -> Box:
    x, y, w, h = cv2.boundingRect(patch.mask)
    return patch.box[0] + x, patch.box[1] + y, patch.box[0] + x + w, patch.box[1] + y + h


def _stands_alone(patch: Patch, size: tuple[int, int]) -> bool:
    """A graphic without words is a mark only where marks are, when it is compact and all else moves."""
    width, height = size
    left, top, right, bottom = _seen(patch)
    small = max(right - left, bottom - top) <= _ALONE_SIDE * min(size)
    large = min(right - left, bottom - top) >= max(8, 0.025 * min(size))
    corner = (right < _CORNER * width or left > (1 - _CORNER) * width) and (
        bottom < _CORNER * height or top > (1 - _CORNER) * height
    )
    full = patch.mask.sum() > 0.4 * (right - left) * (bottom - top)
    still = patch.beside < 0.2 and patch.wild > 12 and patch.lasting > 0.85 and patch.whole
    return small and large and corner and full and still and patch.through < HIDES


def _is_mark(text: BurntText, shot: Shot, size: tuple[int, int]) -> bool:
    left, top, right, bottom = _box(text)
    subtitle = top + bottom > 1.32 * size[1] and abs(left + right - size[0]) < 0.24 * size[0]
    within = text.path is None and shot.first <= text.first and text.last <= shot.last
    return within and (text.kind is TextKind.WATERMARK or not subtitle)


def _bare(shot: Shot, box: Box, words: str, sure: float) -> BurntText:
    none = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    return BurntText(shot.first, shot.last, box[0], box[1], none, none, TextKind.WATERMARK, words, sure)


def _mark(shot: Shot, texts: Sequence[BurntText], parts: Sequence[Patch], size: tuple[int, int]) -> BurntText:
    """Join words and graphics to one mark."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    for part in parts:
        left, top, right, bottom = part.box
        view = canvas[top:bottom, left:right]
        np.maximum(view, part.mask[: view.shape[0], : view.shape[1]], out=view)
    body = np.asarray(cv2.morphologyEx(canvas, cv2.MORPH_CLOSE, disc(1)), np.uint8)
    mask = np.asarray(cv2.dilate(body, disc(_ROOM)), np.uint8)
    weights = [float(part.mask.sum()) for part in parts]
    through = float(np.average([part.through for part in parts], weights=weights))
    opaque = through < _LETS_THROUGH or not any(map(_moves, parts))
    for text in texts:
        view = mask[text.y : text.y + text.mask.shape[0], text.x : text.x + text.mask.shape[1]]
        np.maximum(view, (text.mask > 0)[: view.shape[0], : view.shape[1]].astype(np.uint8), out=view)
    solid = np.asarray(cv2.dilate(body, disc(1)), np.uint8) if opaque else np.zeros_like(body)
    x, y, w, h = cv2.boundingRect(mask)
    whole = sum(part.whole for part in parts) * 2 >= len(parts) or not texts
    first = shot.first if whole else min(text.first for text in texts)
    last = shot.last if whole else max(text.last for text in texts)
    read = sorted((text for text in texts if text.words), key=lambda text: (text.y // 8, text.x))
    return BurntText(
        first, last, x, y,
        np.ascontiguousarray(mask[y : y + h, x : x + w]) * np.uint8(255),
        np.ascontiguousarray(solid[y : y + h, x : x + w]) * np.uint8(255),
        TextKind.WATERMARK, " ".join(dict.fromkeys(text.words for text in read)),
        round(max([text.confidence for text in texts] or [min(part.lasting for part in parts)]), 3),
    )  # fmt: skip


def spread_over_shots(texts: Sequence[BurntText]) -> list[BurntText]:
    """Give a text that stands through several shots the widest mask it has in any of them."""
    out = []
    for text in texts:
        best = text
        for other in texts:
            alike = text.words and other.words == text.words and other.kind is TextKind.WATERMARK
            if (
                alike
                and text.path is None
                and _gap(_box(text), _box(other)) <= 0
                and _size(other) > _size(best)
            ):
                best = other
        out.append(
            text
            if best is text
            else replace(best, first=text.first, last=text.last, confidence=text.confidence)
        )
    return out


def _size(text: BurntText) -> int:
    return int((text.mask > 0).sum())


def _box(text: BurntText) -> Box:
    return text.x, text.y, text.x + text.mask.shape[1], text.y + text.mask.shape[0]


def _union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _gap(a: Box, b: Box) -> int:
    """Pixels between two boxes; 0 or less when they touch."""
    return max(max(a[0], b[0]) - min(a[2], b[2]), max(a[1], b[1]) - min(a[3], b[3]))
