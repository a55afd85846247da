"""Measure, wrap and draw lines of text in any script, piece by piece in the face that has the glyphs."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media.fonts import Face, runs
from media.images import Pixels


@dataclass(frozen=True)
class Line:
    """One line to draw: its text, size in pixels and whether it is bold."""

    text: str
    size: int
    bold: bool = False
    shade: int = 255
    gap: int = 0  # pixels of air above it


def is_rtl(text: str) -> bool:
    """Say whether a text reads from right to left: by its first strong character (UAX #9, P2)."""
    strong = (unicodedata.bidirectional(c) for c in text)
    return next((b in ("R", "AL") for b in strong if b in ("L", "R", "AL")), False)


def columns(text: str) -> int:
    """Count the columns a text takes, wide East Asian characters as two, marks as none."""
    wide = {"W": 2, "F": 2}
    return sum(0 if unicodedata.combining(c) else wide.get(unicodedata.east_asian_width(c), 1) for c in text)


def measure(text: str, fonts: Path, size: int, *, bold: bool = False) -> float:
    """Measure the width of one line in pixels."""
    return sum(float(_font(face, size).getlength(piece)) for piece, face in runs(text, fonts, bold=bold))


def wrap(text: str, fonts: Path, size: int, room: float, *, bold: bool = False) -> list[str]:
    """Break text into lines of at most `room` pixels and of similar length; long words are cut."""
    drawable = [word for word in text.split() if runs(word, fonts, bold=bold)]
    words = [piece for word in drawable for piece in _cut(word, fonts, size, room, bold=bold)]
    lines = _fill(words, fonts, size, room, bold=bold)
    best = lines
    while len(lines) > 1 and len(lines) == len(best):  # the narrowest column with as few lines
        best = lines
        room = max(measure(line, fonts, size, bold=bold) for line in lines) - 1
        if any(measure(w, fonts, size, bold=bold) > room for w in words):
            break
        lines = _fill(words, fonts, size, room, bold=bold)
    return best


def draw(lines: list[Line], fonts: Path, *, align_left: bool = False, leading: float = 1.22) -> Pixels:
    """Draw lines below one another; the coverage (0-255) of even size, cut to what is needed."""
    widths = [measure(line.text, fonts, line.size, bold=line.bold) for line in lines]
    heights = [round(line.size * leading) + line.gap for line in lines]
    pad = max((line.size for line in lines), default=16) // 2
    full = (int(max(widths, default=2)) + 2 * pad + 2) // 2 * 2, (sum(heights) + 2 * pad + 2) // 2 * 2
    canvas = Image.new("L", full, 0)
    pen, y = ImageDraw.Draw(canvas), float(pad)
    for line, width, height in zip(lines, widths, heights, strict=True):
        x = float(pad) if align_left else (full[0] - width) / 2
        pieces = runs(line.text, fonts, bold=line.bold)
        base = y + line.gap + line.size * 0.95
        for text, face in reversed(pieces) if is_rtl(line.text) else pieces:
            font = _font(face, line.size)
            pen.text((x, base), text, fill=line.shade, font=font, anchor="ls")
            x += font.getlength(text)
        y += height
    return np.asarray(canvas, np.uint8)


def _fill(words: list[str], fonts: Path, size: int, room: float, *, bold: bool) -> list[str]:
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer, fonts, size, bold=bold) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(word: str, fonts: Path, size: int, room: float, *, bold: bool) -> list[str]:
    pieces: list[str] = []
    while measure(word, fonts, size, bold=bold) > room and len(word) > 1:
        n = max(1, int(len(word) * room / measure(word, fonts, size, bold=bold)))
        pieces.append(word[:n])
        word = word[n:]
    return [*pieces, word]


@lru_cache(maxsize=64)
def _load(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


def _font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return _load(face.path, size)
