"""Find text burnt into a clip: one look from beginning to end, a second or so of frames in memory.

A detector looks at every Nth frame and at the first of every shot. What it finds is followed by its edges: in
every frame between, whether it stands there, since which and until which frame. Text of the scene moves with
the scene; burnt-in text stands still before it, or moves by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from media.asked import asked, pieces
from media.burnt_text import Ask, BurntText, Found, Mask, Planes, TextKind
from media.cuts import Cuts
from media.marks import Marks, spread_over_shots
from media.moving import Moving
from media.ocr import (
    Box,
    Line,
    Picture,
    find_boxes,
    read_line,
    read_text,
    script_of,
    size_for,
    unread,
)
from media.recent import Recent
from media.strokes import segment
from media.together import together
from media.tracking import Track, overlap, same_line

__all__ = ["Line", "carries_text", "find_text", "read_text"]

_EVERY = {"fast": 0.4, "balanced": 0.32, "best": 0.24}
_LONG_SIDE = {"fast": 480, "balanced": 640, "best": 960}
_TILT = 12.0
_READ_WELL = 0.8
_SHORTEST = 0.2
_GATE_SIDE, _GATE_SURE = 640, 0.75


def carries_text(pictures: Iterable[Picture]) -> list[Line]:
    """Read a few pictures of a clip; the lines a person could read, none when there is nothing to clean."""
    return [
        line
        for picture in pictures
        for line in read_text(picture, long_side=_GATE_SIDE)
        if line.confidence >= _GATE_SURE and sum(c.isalnum() for c in line.words) >= 2
    ]


def find_text(
    frames: Iterable[Planes],
    *,
    width: int,
    height: int,
    frames_total: int,
    fps: float,
    ask: Ask = Ask(),  # noqa: B008 - frozen
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Found:
    """Look at every frame once; the frames' arrays must not be written to afterwards.

    `on_progress` is told how many frames are done. When `should_stop` says so, what was found so far is
    given back.
    """
    look = _Look(width, height, fps, ask)
    for number, planes in enumerate(frames):
        if should_stop is not None and should_stop():
            break
        look.at(planes)
        if on_progress is not None:
            on_progress(number + 1)
    look.end()
    notes = tuple(
        f"Words in {language} cannot be read here, so lines of them may stay: mark them as regions."
        for language in unread(ask.languages)
    )
    texts = asked(look.marked(), ask, width, height, fps, look.count, look.cuts)
    return Found(width, height, look.count or frames_total, fps, tuple(texts), tuple(look.cuts), notes)


class _Look:
    def __init__(self, width: int, height: int, fps: float, ask: Ask) -> None:
        self.texts: list[BurntText] = []
        self.cuts: list[int] = []
        self.count = 0
        self._size = (width, height)
        self._fps = fps or 25.0
        self._every = max(1, round(self._fps * _EVERY[ask.quality]))
        side = _LONG_SIDE[ask.quality] * (3 / 2 if max(width, height) > 1400 else 1)
        self._seen_at = size_for(width, height, round(side))
        self._recent = Recent(self._fps)
        self._find_cuts = Cuts()
        self._marks = Marks((width, height))
        self._moving = Moving((width, height), self._fps)
        self._tracks: list[Track] = []
        self._sampled = -(10**9)
        self._blind = bool(ask.clean)  # areas were named: they are filled whatever stands in them

    def at(self, planes: Planes) -> None:
        number = self.count
        self.count += 1
        self._recent.push(planes)
        cut = self._find_cuts.begins(self._recent.eight(planes[0]))
        if cut:
            self.cuts.append(number)
        if self._blind:
            return
        if cut:
            self._over_cut(number)
        if cut or number - self._sampled >= self._every:
            self._sample(number)

    def end(self) -> None:
        for track in self._tracks:
            self._close(track, self.count - 1)
        self._tracks = []
        self.texts = together(self.texts, self.cuts, self.count)
        self._moving.end(self._recent)
        self._marks.end_shot(self.count, last=True)

    def marked(self) -> list[BurntText]:
        return spread_over_shots(self._marks.joined(self._moving.without(self.texts))) + self._moving.texts

    def _over_cut(self, number: int) -> None:
        """What stands in the first frame of a shot as it did in the last goes on; the rest ends."""
        on: list[Track] = []
        for track in self._tracks:
            if track.first is None:
                self._begin(track)
            if (
                track.lost is None
                and track.here(self._recent, number)
                and track.here(self._recent, number - 1)
            ):
                track.cuts.append(number)
                on.append(track)
            else:
                self._close(track, number - 1)
        self._tracks = on
        self._marks.end_shot(number)

    def _sample(self, number: int) -> None:
        self._sampled = number
        picture = self._recent.picture(number, self._seen_at)
        self._marks.at([self._recent.eight(plane) for plane in self._recent.planes(number)], picture)
        sx, sy = self._size[0] / self._seen_at[0], self._size[1] / self._seen_at[1]
        boxes = [
            (round(x0 * sx), round(y0 * sy), round(x1 * sx), round(y1 * sy))
            for (x0, y0, x1, y1), _, tilt in find_boxes(picture, long_side=max(self._seen_at))
            if tilt <= _TILT
        ]
        free = [box for box in boxes if box[3] - box[1] >= 6 and not self._too_large(box)]
        standing = [t.box for t in self._tracks if t.lost is None and t.here(self._recent, number)]
        free = self._moving.claim(self._recent, number, free, standing)
        on: list[Track] = []
        for track in self._tracks:
            if track.lost is not None:
                self._close(track, number)
                continue
            mine = [box for box in free if same_line(box, track.box)]
            if track.here(self._recent, number) or (mine and track.recoloured(self._recent, number)):
                for box in mine:
                    free.remove(box)
                    track.grow(box, self._recent, number)
                track.seen += bool(mine)
                track.sampled += 1
                track.last_seen = number
                track.take(self._recent, number)
                if track.first is None:
                    self._begin(track)
            else:
                if track.first is None:
                    self._begin(track)
                track.lost = number
            on.append(track)
        for box in free:
            if any(t.lost is None and overlap(box, t.box) > 0.8 and t.last_seen == number for t in on):
                continue
            track = Track(box, self._size, number)
            track.take(self._recent, number)
            on.append(track)
        self._tracks = on

    def _too_large(self, box: Box) -> bool:
        """Whether a box is the picture itself: a face, a house; letters so large are not laid over it."""
        return box[3] - box[1] > 0.35 * self._size[1] and box[2] - box[0] > 0.25 * self._size[0]

    def _begin(self, track: Track) -> None:
        track.find_first(self._recent, self.cuts)

    def _close(self, track: Track, end: int) -> None:
        if track.first is None:
            self._begin(track)
        assert track.first is not None
        last = track.find_last(self._recent, end)
        text = _judged(track, last, self._fps)
        if text is None:
            return
        for begin, stop in pieces(track.first, last, track.cuts):
            self.texts.append(replace(text, first=begin, last=stop))


def _judged(track: Track, last: int, fps: float) -> BurntText | None:
    """Say what a line that was followed to its end is; None when it is not burnt in."""
    assert track.first is not None
    length = last - track.first + 1
    if length < max(2, _SHORTEST * fps) or track.slid:
        return None
    room = np.stack([crop for _, crop in track.crops])
    hidden = np.stack(track.hidden) if track.hidden else None
    found = segment(room, track.inside, hidden=hidden)
    if found is None:
        return None
    words, confidence = _read(track, found.strokes)
    letters = sum(c.isalnum() for c in words)
    wild, calm = _stillness(room, found.mask, found.strokes)
    moves = wild > calm + 8 and wild > 1.8 * calm
    burnt = track.appeared or track.went or moves or bool(track.cuts)
    if burnt:
        sure = confidence >= 0.6 and letters >= (1 if script_of(words) == "HAN" else 2)
    else:
        sure = confidence >= 0.85 and letters >= 3
    if not sure:
        return None
    ys, xs = np.nonzero(found.mask)
    y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    return BurntText(
        track.first, last, int(track.room[0] + x0), int(track.room[1] + y0),
        np.ascontiguousarray(found.mask[y0:y1, x0:x1]), np.ascontiguousarray(found.strokes[y0:y1, x0:x1]),
        _kind(track, length, fps), words, round(confidence, 3),
    )  # fmt: skip


def _read(track: Track, strokes: Mask) -> tuple[str, float]:
    """Read its box, and when that says little, what of it is strokes: a box may reach into the picture."""
    picture = track.picture()
    words, confidence = read_line(picture, track.inside)
    if confidence >= _READ_WELL or not strokes.any():
        return words, confidence
    ys, xs = np.nonzero(strokes)
    space = max(2, (ys.max() - ys.min()) // 8)
    close = (
        max(0, int(xs.min()) - space), max(0, int(ys.min()) - space),
        min(strokes.shape[1], int(xs.max()) + space), min(strokes.shape[0], int(ys.max()) + space),
    )  # fmt: skip
    return max((words, confidence), read_line(picture, close), key=lambda read: read[1])


def _stillness(shown: NDArray[np.uint8], mask: Mask, strokes: Mask) -> tuple[float, float]:
    """How far luma moves beside the text, and in it."""
    if len(shown) < 2:
        return 0.0, 0.0
    luma = shown[..., 0].astype(np.float32)
    spread = luma.max(axis=0) - luma.min(axis=0)
    core = cv2.erode(strokes, np.ones((3, 3), np.uint8)) > 0
    beside = mask == 0
    if not beside.any() or not core.any():
        return 0.0, 0.0
    return float(np.percentile(spread[beside], 60)), float(np.median(spread[core]))


def _kind(track: Track, length: int, fps: float) -> TextKind:
    width, height = track.size
    left, top, right, bottom = track.box
    low = (top + bottom) / 2 > 0.66 * height
    middle = abs((left + right) / 2 - width / 2) < 0.12 * width
    if len(track.cuts) >= 2 or length > 12 * fps:
        return TextKind.WATERMARK
    if not track.appeared and not track.went and not (low and middle) and right - left < 0.4 * width:
        return TextKind.WATERMARK
    if low or (bottom < 0.25 * height and middle):
        return TextKind.SUBTITLE
    return TextKind.TITLE
