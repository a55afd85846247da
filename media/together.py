"""Lines of text put beside each other: those that come or go together, and those that follow each other."""

from __future__ import annotations

from dataclasses import replace

from media.burnt_text import BurntText
from media.tracking import same_line

_AT_ONCE = 3


def together(texts: list[BurntText], cuts: list[int], count: int) -> list[BurntText]:
    """Let lines that come or go within a few frames of each other, or of a cut, do so at once.

    Where the picture is like the text, a frame more or less is hard to tell; a frame too many costs little,
    but not where the next line stands already.
    """
    begins = [0, *cuts]
    ends = [*(cut - 1 for cut in cuts), count - 1]
    out = []
    for text in texts:
        near = [other for other in texts if other is not text and _stacked(text, other)]
        earlier = [n for n in (*begins, *(other.first for other in near)) if 0 < text.first - n <= _AT_ONCE]
        later = [n for n in (*ends, *(other.last for other in near)) if 0 < n - text.last <= _AT_ONCE]
        out.append(replace(text, first=min([text.first, *earlier]), last=max([text.last, *later])))
    return [_parted(text, out) for text in out]


def _parted(text: BurntText, texts: list[BurntText]) -> BurntText:
    """End a line where the next one at its place begins, when both reach for the frames between."""
    others = [other for other in texts if other is not text and _same_place(text, other)]
    after = any(text.first < other.first and 0 <= text.last - other.first <= 1 for other in others)
    before = any(other.first < text.first and other.last - text.first == 1 for other in others)
    first, last = text.first + before, text.last - after
    return replace(text, first=first, last=last) if first <= last else text


def _same_place(one: BurntText, other: BurntText) -> bool:
    (a, b), (c, d) = one.mask.shape, other.mask.shape
    return same_line((one.x, one.y, one.x + b, one.y + a), (other.x, other.y, other.x + d, other.y + c))


def _stacked(one: BurntText, other: BurntText) -> bool:
    """Whether two lines stand one above the other at the same time."""
    (a, b), (c, d) = one.mask.shape, other.mask.shape
    at_once = min(one.last, other.last) > max(one.first, other.first)
    beside = min(one.x + b, other.x + d) > max(one.x, other.x)
    apart = max(one.y, other.y) - min(one.y + a, other.y + c)
    return at_once and beside and apart < min(a, c)
