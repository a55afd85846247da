"""A line of text through time: does it stand in a frame, since when, until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media.ocr import Box, Picture
from media.recent import Recent, shown

_MOST_CROPS = 12
_HERE, _ALIKE = 0.5, 0.5
_SAME_EDGES = 0.6
_FADE_LOW, _FADE_HIGH = 0.04, 0.9
_Plane = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a line of text, by which it is known again; those of the picture behind it cancel out."""

    across: _Plane
    down: _Plane
    power: float
    inside: Box

    def share(self, luma: NDArray[Any]) -> tuple[float, float]:
        """How much of the text is there (0 none, 1 as strong as known), and how alike the edges (0..1)."""
        across, down = _slopes(luma)
        there = self.across != 0
        both = float((across * self.across).sum() + (down * self.down).sum())
        theirs = float(((across * across + down * down) * there).sum())
        return both / self.power, both / max(1e-6, (self.power * theirs) ** 0.5)

    def same_strokes(self, other: Edges) -> float:
        """How alike two texts' edges are, whatever their colours (0..1)."""
        left, top, right, bottom = self.inside
        one, two = (np.hypot(edges.across, edges.down)[top:bottom, left:right] for edges in (self, other))
        one, two = one - one.mean(), two - two.mean()
        return float((one * two).sum() / max(1e-6, float((one * one).sum() * (two * two).sum()) ** 0.5))


def _slopes(luma: NDArray[Any]) -> tuple[_Plane, _Plane]:
    smooth = cv2.GaussianBlur(luma, (3, 3), 0)
    return (
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) / 8,
        cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) / 8,
    )


def edges_of(luma: NDArray[Any], inside: Box) -> Edges:
    """Take the strong edges inside a box of a crop."""
    left, top, right, bottom = inside
    across, down = _slopes(luma)
    strength = np.hypot(across, down)
    part = np.zeros_like(strength)
    part[top:bottom, left:right] = 1
    level = max(4.0, 0.3 * float(np.percentile(strength[top:bottom, left:right], 95)))
    part[strength < level] = 0
    across, down = across * part, down * part
    return Edges(across, down, max(1e-6, float((across * across + down * down).sum())), inside)


def overlap(a: Box, b: Box) -> float:
    """Share of the smaller box that lies in the other."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def same_line(a: Box, b: Box) -> bool:
    """Whether two boxes lie on one line of writing and touch."""
    high = min(a[3], b[3]) - max(a[1], b[1])
    return high > 0.5 * max(a[3] - a[1], b[3] - b[1]) and overlap(a, b) > 0.3


def union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


@dataclass(eq=False)
class Track:
    """One line that is followed; `room` is what is cut out of frames for it, a margin round its box."""

    box: Box
    size: tuple[int, int]
    born: int
    """The frame it was seen in first, not the first it stands in."""
    room: Box = (0, 0, 0, 0)
    crops: list[tuple[int, NDArray[Any]]] = field(default_factory=list)
    hidden: list[NDArray[Any]] = field(default_factory=list)
    """The same room in frames right before or after it."""
    first: int | None = None
    seen: int = 1
    sampled: int = 1
    last_seen: int = 0
    lost: int | None = None
    """The sample at which it was no longer there."""
    cuts: list[int] = field(default_factory=list)
    appeared: bool = False
    went: bool = False
    slid: bool = False
    _every: int = 1
    _known: dict[str, Edges] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last_seen = self.born
        self._fit()

    def _fit(self) -> None:
        left, top, right, bottom = self.box
        margin = max(8, (bottom - top) * 7 // 10)
        self.room = (
            max(0, left - margin) // 2 * 2,
            max(0, top - margin) // 2 * 2,
            min(self.size[0], right + margin),
            min(self.size[1], bottom + margin),
        )

    @property
    def inside(self) -> Box:
        """Its box in its crops."""
        x, y = self.room[:2]
        return self.box[0] - x, self.box[1] - y, self.box[2] - x, self.box[3] - y

    def take(self, recent: Recent, number: int) -> None:
        """Keep its crop of a frame: the first and the last one, and others evenly between."""
        crop = recent.crop(number, self.room)
        if len(self.crops) > 2 and (self.sampled % self._every):
            self.crops[-1] = (number, crop)
        else:
            self.crops.append((number, crop))
        if len(self.crops) > _MOST_CROPS:
            self.crops = [self.crops[0], *self.crops[2:-1:2], self.crops[-1]]
            self._every *= 2
        self._known.clear()

    def grow(self, box: Box, recent: Recent, number: int) -> None:
        """Take in a box that reaches further; crops that are too small for it are cut again or let go."""
        wider = union(self.box, box)
        if wider == self.box:
            return
        self.box = wider
        old = self.room
        if wider[0] < old[0] or wider[1] < old[1] or wider[2] > old[2] or wider[3] > old[3]:
            self._fit()
            kept = [n for n, _ in self.crops if recent.first <= n <= number]
            self.crops = [(n, recent.crop(n, self.room)) for n in kept or [number]]
            self.hidden = []
        self._known.clear()

    def edges(self, which: str = "late") -> Edges:
        """Its edges as they were early or are of late; they may have changed colour in between."""
        if which not in self._known:
            few = self.crops[:4] if which == "early" else self.crops[-4:]
            middle = np.median(np.stack([crop[..., 0] for _, crop in few]), axis=0).astype(np.uint8)
            self._known[which] = edges_of(middle, self.inside)
        return self._known[which]

    def here(self, recent: Recent, number: int, which: str = "late") -> bool:
        share, alike = self.edges(which).share(recent.luma(number, self.room))
        return share >= _HERE and alike >= _ALIKE

    def recoloured(self, recent: Recent, number: int) -> bool:
        """Whether the same strokes stand there in another colour, as karaoke does."""
        now = edges_of(recent.luma(number, self.room), self.inside)
        return self.edges().same_strokes(now) > _SAME_EDGES

    def picture(self) -> Picture:
        """Show it as the median of its crops."""
        middle = np.median(np.stack([crop for _, crop in self.crops[-7:]]), axis=0).astype(np.uint8)
        return shown([np.ascontiguousarray(middle[..., channel]) for channel in range(3)])

    def find_first(self, recent: Recent, cuts: list[int]) -> None:
        """Look back from where it was seen first, over cuts too: a line may stay as the picture changes."""
        floor = recent.first
        if self.born < floor:
            self.first = self.born
            return
        stop = min([recent.last + 1, self.last_seen + 1, *(cut for cut in cuts if cut > self.born)])
        full = self._fullest(recent, range(self.born, stop), "early")
        shares = [self._share(recent, number, "early") for number in range(floor, full + 1)][::-1]
        back, clear = _edge_of(shares)
        self.first = max(floor, min(self.born, full - back))
        self.cuts = [cut for cut in cuts if self.first < cut <= self.born] + self.cuts
        if clear and self.first - 1 >= floor and self.first not in cuts:
            self.appeared = True
            before = range(max(floor, self.first - 3), self.first)
            self.hidden = [recent.crop(number, self.room) for number in before]
            self.slid |= self._slides(recent, max(floor, self.first - 2), "early")

    def find_last(self, recent: Recent, end: int) -> int:
        """Look forward from where it was seen last; `end` is the last frame it may stand in."""
        end = min(end, recent.last)
        floor = max(recent.first, self.first or 0, self.last_seen - len(recent) // 2)
        begin = self._fullest(recent, range(min(end, max(self.last_seen, floor)), floor - 1, -1), "late")
        shares = [self._share(recent, number, "late") for number in range(begin, end + 1)]
        on, clear = _edge_of(shares)
        last = min(end, max(begin + on, min(self.last_seen, end)))
        if clear and last < end:
            self.went = True
            if not self.hidden:
                self.hidden = [recent.crop(n, self.room) for n in range(last + 1, min(end, last + 3) + 1)]
            self.slid |= self._slides(recent, min(end, last + 2), "late")
        return last

    def _fullest(self, recent: Recent, numbers: range, which: str) -> int:
        """The first of these frames in which it is not fading, or else where it is strongest."""
        best, most = numbers.start, 0.0
        for number in numbers:
            share = self._share(recent, number, which)
            if share > most:
                best, most = number, share
            if share >= _FADE_HIGH:
                break
        return best

    def _share(self, recent: Recent, number: int, which: str) -> float:
        share, alike = self.edges(which).share(recent.luma(number, self.room))
        return share if alike > 0.25 else min(share, 0.2)

    def _slides(self, recent: Recent, number: int, which: str) -> bool:
        """Whether it is still there where it should be gone, only moved: then it is of the scene."""
        left, top, right, bottom = self.room
        reach = max(8, (self.box[3] - self.box[1]) // 2)
        wide = (
            max(0, left - reach), max(0, top - reach),
            min(self.size[0], right + reach), min(self.size[1], bottom + reach),
        )  # fmt: skip
        crop = (self.crops[0] if which == "early" else self.crops[-1])[1][..., 0]
        x0, y0, x1, y1 = self.inside
        piece, around = _fine(crop)[y0:y1, x0:x1], _fine(recent.luma(number, wide))
        if piece.shape[0] > around.shape[0] or piece.shape[1] > around.shape[1] or float(piece.std()) < 1:
            return False
        likeness = cv2.matchTemplate(around, piece, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(likeness)
        dx, dy = x - (self.box[0] - wide[0]), y - (self.box[1] - wide[1])
        return best > 0.7 and max(abs(dx), abs(dy)) >= 2


def _fine(luma: NDArray[Any]) -> _Plane:
    values = luma.astype(np.float32)
    return values - cv2.GaussianBlur(values, (0, 0), 6)


def _edge_of(shares: list[float]) -> tuple[int, bool]:
    """How many frames after the first the text stands in, a fade included; and whether it ends there."""
    full = float(np.median([share for share in shares[:4] if share > _HERE] or [1.0]))
    level = [share / full for share in shares]
    gone = next(
        (at for at, value in enumerate(level) if value < _HERE and max(level[at : at + 2]) < _HERE), None
    )
    if gone is None:
        return len(level) - 1, False
    begin = gone
    while begin > 0 and level[begin - 1] < _FADE_HIGH:
        begin -= 1
    end = gone
    while end < len(level) and level[end] > _FADE_LOW and _falls(level, end):
        end += 1
    if begin == gone and end <= gone + 1:
        return end - 1, True
    if end - begin < 3:
        return min(len(level) - 1, end), True
    # A fade: the line through it says where it comes to nothing.
    slope, offset = np.polyfit(np.arange(begin, end), np.array(level[begin:end]), 1)
    nothing = -offset / slope if slope < -0.005 else float(end)
    # One more, since the last of a fade is too faint to be told.
    return min(len(level) - 1, int(np.ceil(max(end, min(nothing, end + 12)))) + 1), True


def _falls(level: list[float], at: int) -> bool:
    """Whether a text goes on fading; what stays as it is has come to the picture behind it."""
    following = level[at + 1] if at + 1 < len(level) else level[at]
    return level[at] < level[at - 1] - 0.012 and min(level[at], following) < level[at - 1] - 0.025
