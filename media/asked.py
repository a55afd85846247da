"""What of the text in a clip a person wants cleaned: areas, words to keep, languages, kinds."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import cv2
import numpy as np

from media.burnt_text import Area, Ask, BurntText, Mask, TextKind
from media.ocr import script_of, scripts_of


def pieces(first: int, last: int, cuts: list[int]) -> list[tuple[int, int]]:
    """Cut a stretch of frames where shots begin."""
    begins = [first, *(cut for cut in cuts if first < cut <= last)]
    return list(zip(begins, [*(cut - 1 for cut in begins[1:]), last], strict=True))


def asked(
    texts: list[BurntText], ask: Ask, width: int, height: int, fps: float, count: int, cuts: list[int]
) -> list[BurntText]:
    """Leave what a person wants cleaned."""
    if ask.clean:
        texts = [text for area in ask.clean for text in _area(area, width, height, fps, count, cuts)]
    kinds = {
        "all": set(TextKind),
        "subtitles": {TextKind.SUBTITLE, TextKind.TITLE},
        "watermark": {TextKind.WATERMARK},
    }[ask.what]
    scripts = scripts_of(ask.languages) if ask.languages else None
    out = []
    for text in texts:
        if not ask.clean and text.kind not in kinds:
            continue
        script = script_of(text.words)
        if scripts and script and script not in scripts and text.confidence >= 0.8:
            continue
        if any(plain(word) in plain(text.words) for word in ask.keep_words if plain(word)):
            continue
        out.extend(_without(text, ask.keep, width, height, fps, count))
    return sorted(out, key=lambda text: (text.first, text.y, text.x))


def plain(words: str) -> str:
    letters = unicodedata.normalize("NFKD", words.casefold())
    return "".join(c for c in letters if c.isalnum())


def _times(area: Area, fps: float, count: int) -> tuple[int, int]:
    """First and last frame of an area."""
    first = 0 if area.start is None else max(0, int(area.start * fps))
    last = count - 1 if area.end is None else min(count - 1, int(np.ceil(area.end * fps)) - 1)
    return first, last


def _drawn(area: Area, width: int, height: int) -> Mask:
    canvas = np.zeros((height, width), np.uint8)
    corners = np.array([[x * width, y * height] for x, y in area.corners])
    cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 255)
    return canvas


def _area(area: Area, width: int, height: int, fps: float, count: int, cuts: list[int]) -> list[BurntText]:
    first, last = _times(area, fps, count)
    canvas = _drawn(area, width, height)
    ys, xs = np.nonzero(canvas)
    if last < first or not len(ys):
        return []
    mask = np.ascontiguousarray(canvas[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
    whole = TextKind.WATERMARK if area.start is None and area.end is None else TextKind.SUBTITLE
    return [
        BurntText(begin, stop, int(xs.min()), int(ys.min()), mask, mask, whole, "", 1.0)
        for begin, stop in pieces(first, last, cuts)
    ]


def _without(
    text: BurntText, keep: tuple[Area, ...], width: int, height: int, fps: float, count: int
) -> list[BurntText]:
    """Take areas that are kept out of a text, in their times."""
    parts = [text]
    for area in keep:
        first, last = _times(area, fps, count)
        canvas = _drawn(area, width, height)
        parts = [left for piece in parts for left in _cut_out(piece, canvas, first, last)]
    return parts


def _cut_out(text: BurntText, canvas: Mask, first: int, last: int) -> list[BurntText]:
    begin, stop = max(first, text.first), min(last, text.last)
    if stop < begin:
        return [text]
    out = []
    if text.first < begin:
        out.append(_between(text, text.first, begin - 1))
    middle = _between(text, begin, stop)
    if middle.path is None:
        high, wide = text.mask.shape
        kept = canvas[text.y : text.y + high, text.x : text.x + wide] > 0
        mask, strokes = text.mask.copy(), text.strokes.copy()
        mask[kept], strokes[kept] = 0, 0
        middle = replace(middle, mask=mask, strokes=strokes)
    if middle.mask.any():
        out.append(middle)
    if text.last > stop:
        out.append(_between(text, stop + 1, text.last))
    return out


def _between(text: BurntText, first: int, last: int) -> BurntText:
    path = None if text.path is None else text.path[first - text.first : last - text.first + 1]
    return replace(text, first=first, last=last, path=path)
