"""Text that moves over the picture by itself: tickers that scroll, credits that roll.

Where the detector sees a line that does not stand, it is looked for in the frames before, along one axis.
What moves as the picture around it does is of the scene; what moves on its own, evenly, is burnt in. Its
pixels are told from the median of its frames, each shifted by as much as the text has moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.burnt_text import BurntText, Mask, TextKind
from media.ocr import Box, read_line
from media.recent import Recent, shown
from media.shifts import Shift, alike, clipped, find_shift, moved, size_of
from media.strokes import segment
from media.tracking import overlap, union

_BACK = 2
"""Frames over which a first look at a motion is taken."""
_FASTEST = 0.035
"""Share of the frame's longer side a text may move by in a frame."""
_SLOWEST = 0.4
_ALIKE, _BETTER, _STILL_THERE = 0.5, 0.12, 0.4
_APART = 0.6
"""Pixels a frame by which a text has to move otherwise than the picture around it."""
_FEWEST = 4
_UNEVEN = 1.2
_MOST_CROPS, _SECONDS = 14, 20.0


@dataclass(eq=False)
class _Run:
    """A text that moves; `box` is in its own coordinates, those of the frame it was seen in first."""

    box: Box
    seen: list[tuple[int, float, float]]
    """Frames it was looked at in, and how far it had moved."""
    first: int = 0
    crops: list[tuple[int, int, NDArray[Any]]] = field(default_factory=list)
    """Left top in its own coordinates, and what was cut out."""

    @property
    def across(self) -> bool:
        """Whether it moves along the lines."""
        (_, x0, y0), (_, x1, y1) = self.seen[0], self.seen[-1]
        return abs(x1 - x0) >= abs(y1 - y0)

    def at(self, number: int) -> Shift:
        """How far it has moved by a frame, going on as it did."""
        if len(self.seen) == 1:
            return self.seen[0][1:]
        frames, xs, ys = np.array(self.seen[-_FEWEST:], float).T
        speed = [float(np.polyfit(frames, values, 1)[0]) for values in (xs, ys)]
        frame, x, y = self.seen[-1]
        return x + speed[0] * (number - frame), y + speed[1] * (number - frame)


class Moving:
    """Runs of moving text, followed from one look of the detector to the next."""

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        self.texts: list[BurntText] = []
        self._size, self._fps = size, fps
        self._runs: list[_Run] = []

    def claim(self, recent: Recent, number: int, boxes: Sequence[Box], standing: Sequence[Box]) -> list[Box]:
        """Take the boxes of moving text; give those left. Boxes that touch `standing` are not looked at."""
        left = list(boxes)
        for run in list(self._runs):
            if not self._follow(run, recent, number, left):
                self._close(run, recent)
        for box in list(left):
            if any(overlap(box, other) > 0.5 for other in standing):
                continue
            motion = self._own_motion(box, recent, number)
            if motion is None:
                continue
            left.remove(box)
            back = number - _BACK
            run = _Run(box, [(back, -motion[0] * _BACK, -motion[1] * _BACK), (number, 0.0, 0.0)])
            self._keep(run, recent, number, (0.0, 0.0))
            run.first = self._walk(run, recent, back, -1, [(way, -way * number) for way in motion])
            self._runs.append(run)
        return left

    def end(self, recent: Recent) -> None:
        for run in list(self._runs):
            self._close(run, recent)

    def without(self, texts: Sequence[BurntText]) -> list[BurntText]:
        """Leave out what was taken to stand still while it moved."""
        return [text for text in texts if not any(_covers(moving, text) for moving in self.texts)]

    def _follow(self, run: _Run, recent: Recent, number: int, left: list[Box]) -> bool:
        last, *before = run.seen[-1]
        if last < recent.first or number - run.seen[0][0] > _SECONDS * self._fps:
            return False
        dx, dy = run.at(number)
        mine = [
            box for box in left if overlap(box, moved(run.box, dx, dy)) > 0.5 or _on_line(run, box, dx, dy)
        ]
        if not mine:
            return False
        box = mine[0]
        for other in mine[1:]:
            box = union(box, other)
        step = (dx - before[0], dy - before[1])
        there = clipped(moved(box, -step[0], -step[1]), self._size)
        here = clipped(moved(there, step[0], step[1]), self._size)
        found = find_shift(recent.luma(number, here), recent, last, here, (-step[0], -step[1]), (4, 4))
        if found is None or found[2] < _ALIKE:
            return False
        x, y = before[0] - found[0], before[1] - found[1]
        run.seen.append((number, x, y))
        run.box = union(run.box, moved(box, -x, -y))
        self._keep(run, recent, number, (x, y))
        for taken in mine:
            left.remove(taken)
        return True

    def _keep(self, run: _Run, recent: Recent, number: int, shift: Shift) -> None:
        left, top, right, bottom = moved(run.box, *shift)
        margin = max(8, (run.box[3] - run.box[1]) * 7 // 10)
        if run.across:
            left, right = 0, self._size[0]
        room = clipped((left - margin, top - margin, right + margin, bottom + margin), self._size)
        if room[2] - room[0] < 8 or room[3] - room[1] < 8:
            return
        x, y = round(shift[0]), round(shift[1])
        run.crops.append((room[0] - x, room[1] - y, recent.crop(number, room)))

    def _own_motion(self, box: Box, recent: Recent, number: int) -> Shift | None:
        """How far a line moves a frame, when it moves along one axis and the picture around it does not."""
        back = number - _BACK
        if back < recent.first:
            return None
        reach = max(4, round(_FASTEST * max(self._size) * _BACK))
        luma = recent.luma(number, box)
        best: tuple[float, float, float] | None = None
        for room in ((reach, 1), (1, reach)):
            found = find_shift(luma, recent, back, box, (0.0, 0.0), room)
            if found is not None and (best is None or found[2] > best[2] + 0.02):
                best = found
        still = alike(luma, recent.luma(back, box))
        if best is None or best[2] < _ALIKE or best[2] < still + _BETTER:
            return None
        motion = -best[0] / _BACK, -best[1] / _BACK
        if max(map(abs, motion)) < _SLOWEST or min(map(abs, motion)) > _APART:
            return None
        around = self._around(box, recent, number, back, reach)
        if not around or any(max(abs(motion[0] - x), abs(motion[1] - y)) < _APART for x, y in around):
            return None
        return motion

    def _around(self, box: Box, recent: Recent, number: int, back: int, reach: int) -> list[Shift]:
        """How the picture above and below moves, as far as it can be told."""
        high = box[3] - box[1]
        out = []
        for top in (box[1] - round(1.6 * high), box[3] + high // 3):
            band = clipped((box[0], top, box[2], top + round(1.3 * high)), self._size)
            if band[3] - band[1] < 8 or band[2] - band[0] < 24:
                continue
            luma = recent.luma(number, band)
            found = find_shift(luma, recent, back, band, (0.0, 0.0), (reach, reach // 2))
            if alike(luma, recent.luma(back, band)) > 0.9:
                out.append((0.0, 0.0))
            elif found is not None and found[2] > 0.6:
                out.append((-found[0] / _BACK, -found[1] / _BACK))
        return out

    def _close(self, run: _Run, recent: Recent) -> None:
        self._runs.remove(run)
        if len(run.seen) < _FEWEST + 1:
            return
        frames, xs, ys = np.array(run.seen, float).T
        lines = [np.polyfit(frames, values, 1) for values in (xs, ys)]
        off = np.abs([np.polyval(line, frames) for line in lines] - np.stack([xs, ys])).max()
        if off > _UNEVEN + 0.004 * float(np.ptp(xs) + np.ptp(ys)):
            return
        segmented = _drawn(run)
        if segmented is None:
            return
        x, y, mask, strokes = segmented
        speeds = [(float(line[0]), float(line[1])) for line in lines]
        first, last = run.first, self._walk(run, recent, run.seen[-1][0], 1, speeds)
        number = np.arange(first, last + 1)
        path = np.stack([np.rint(np.polyval(line, number)) for line in lines], axis=1).astype(np.int32)
        path += np.array([x, y], np.int32)
        words, sure = _read(run)
        if sum(c.isalnum() for c in words) < 2:
            return
        self.texts.append(
            BurntText(
                first,
                last,
                int(path[0, 0]),
                int(path[0, 1]),
                mask,
                strokes,
                TextKind.TICKER,
                words,
                round(sure, 3),
                path,
            )
        )

    def _walk(self, run: _Run, recent: Recent, at: int, way: int, lines: Sequence[Shift]) -> int:
        """From a frame on in one direction while the text is there; `lines` say where it is."""
        while recent.first <= at + way <= recent.last and recent.first <= at <= recent.last:
            here = clipped(moved(run.box, *(speed * at + off for speed, off in lines)), self._size)
            step = [way * speed for speed, _ in lines]
            there = clipped(moved(here, *step), self._size)
            back = clipped(moved(there, -step[0], -step[1]), self._size)
            if min(there[2] - there[0], there[3] - there[1]) < 6 or size_of(back) != size_of(there):
                break
            if alike(recent.luma(at, back), recent.luma(at + way, there)) < _STILL_THERE:
                break
            at += way
        return at


def _drawn(run: _Run) -> tuple[int, int, Mask, Mask] | None:
    """Its mask and strokes, piece by piece, and their left top in its own coordinates."""
    left, top, right, bottom = run.box
    high = bottom - top
    margin = max(8, high * 7 // 10)
    pieces = max(1, round((right - left) / (8 * high))) if run.across else 1
    marks = np.linspace(left, right, pieces + 1).astype(int)
    canvas = np.zeros((2, high + 2 * margin, right - left + 2 * margin), np.uint8)
    for begin, stop in pairwise(marks):
        room = (int(begin) - margin, top - margin, int(stop) + margin, bottom + margin)
        stack = [crop for x, y, whole in run.crops if (crop := _piece(whole, x, y, room)) is not None]
        stack = stack[:: max(1, -(-len(stack) // _MOST_CROPS))]
        if len(stack) < 2:
            continue
        found = segment(np.stack(stack), (margin, margin, margin + int(stop - begin), margin + high))
        if found is None:
            continue
        x = room[0] - left + margin
        view = canvas[:, :, x : x + found.mask.shape[1]]
        part = np.stack([found.mask, found.strokes])[:, :, : view.shape[2]]
        np.maximum(view, part, out=view)
    mask = np.asarray(
        cv2.dilate(canvas[0], np.ones((3, 3), np.uint8)), np.uint8
    )  # it moves by parts of pixels
    if not mask.any():
        return None
    return left - margin, top - margin, mask, np.ascontiguousarray(canvas[1])


def _piece(whole: NDArray[Any], x: int, y: int, room: Box) -> NDArray[Any] | None:
    """Cut a room out of a crop; outside of the frame its edge is repeated, if that is little."""
    left, top, right, bottom = room[0] - x, room[1] - y, room[2] - x, room[3] - y
    high, wide = whole.shape[:2]
    out = (max(0, -left), max(0, right - wide), max(0, -top), max(0, bottom - high))
    if max(out[:2]) > (right - left) // 4 or max(out[2:]) > (bottom - top) // 3:
        return None
    rows, columns = np.clip(np.arange(top, bottom), 0, high - 1), np.clip(np.arange(left, right), 0, wide - 1)
    return whole[rows][:, columns]


def _read(run: _Run) -> tuple[str, float]:
    best = ("", 0.0)
    for x, y, crop in run.crops[:: max(1, len(run.crops) // 3)]:
        picture = shown([np.ascontiguousarray(crop[..., channel]) for channel in range(3)])
        top, bottom = max(0, run.box[1] - y), min(crop.shape[0], run.box[3] - y)
        left, right = max(0, run.box[0] - x), min(crop.shape[1], run.box[2] - x)
        read = read_line(picture, (left, top, right, bottom)) if right > left and bottom > top else ("", 0.0)
        if read[1] * len(read[0]) > best[1] * len(best[0]):
            best = read
    return best


def _on_line(run: _Run, box: Box, dx: float, dy: float) -> bool:
    """Whether a box goes on with a line that moves along itself."""
    _, top, _, bottom = moved(run.box, dx, dy)
    high = min(bottom, box[3]) - max(top, box[1])
    return run.across and high > 0.6 * max(bottom - top, box[3] - box[1])


def _covers(moving: BurntText, text: BurntText) -> bool:
    """Whether a text that was taken to stand lies where another moves, most of its time."""
    if text.path is not None or min(moving.last, text.last) - max(moving.first, text.first) < 0.5 * (
        text.last - text.first
    ):
        return False
    at = (max(moving.first, text.first) + min(moving.last, text.last)) // 2
    box = (text.x, text.y, text.x + text.mask.shape[1], text.y + text.mask.shape[0])
    x, y = moving.corner(at)
    return overlap(box, (x, y, x + moving.mask.shape[1], y + moving.mask.shape[0])) > 0.6
