"""Show on one sheet what was taken out of a clip: frames before and after, boxes, words and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media.burnt_text import BurntText, Found, Planes
from media.ffmpeg import replacing
from media.fonts import install_fonts, runs
from media.frames import pick_frames
from media.ingest import Facts, inspect
from media.showing import Picture, to_picture

_MOST_ROWS = 8
_WIDE, _TALL = 620, 460
_MARGIN, _GAP, _HEAD, _LINE = 28, 16, 74, 44
_GROUND, _INK, _FAINT, _MARK = (247, 247, 245), (28, 30, 33), (112, 116, 122), (230, 60, 40)


@dataclass(frozen=True)
class _Row:
    number: int
    texts: tuple[BurntText, ...]


def contact_sheet(clip: Path, cleaned: Path, found: Found, out: Path) -> None:
    """Write a JPEG or PNG: a row for each of up to eight texts, the clip left, the cleaned one right."""
    was, now = inspect(clip), inspect(cleaned)
    rows = _rows(found)
    numbers = [row.number for row in rows]
    size = _fitted(was)
    old, new = (
        {n: _shown(planes, facts, size) for n, planes in pick_frames(path, facts, numbers)}
        for path, facts in ((clip, was), (cleaned, now))
    )
    rows = [row for row in rows if row.number in old and row.number in new]
    turned = was.rotation in (90, 270)
    wide, high = size[::-1] if turned else size
    width = 2 * _MARGIN + 2 * wide + _GAP
    height = _HEAD + len(rows) * (high + _LINE + _GAP)
    sheet = Image.new("RGB", (width, height), _GROUND)
    with TemporaryDirectory() as folder:
        pen = _Pen(ImageDraw.Draw(sheet), install_fonts(Path(folder)))
        pen.write((_MARGIN, 44), "Before", 24, _INK, bold=True)
        pen.write((_MARGIN + wide + _GAP, 44), "After", 24, _INK, bold=True)
        count = len(found.texts)
        told = f"{count} text{'s' if count != 1 else ''} found, {found.frames} frames"
        pen.write((width - _MARGIN, 44), told, 17, _FAINT, right=True)
        y = _HEAD
        for row in rows:
            before = _turned(_boxed(old[row.number], row, found, size), was.rotation)
            sheet.paste(_image(before), (_MARGIN, y))
            sheet.paste(_image(_turned(new[row.number], now.rotation)), (_MARGIN + wide + _GAP, y))
            seconds = row.number / (found.fps or 25)
            pen.write((_MARGIN, y + high + 24), _clock(seconds), 17, _INK, bold=True)
            pen.write(
                (_MARGIN + 92, y + high + 24), _said(row.texts), 17, _FAINT, room=width - 2 * _MARGIN - 92
            )
            y += high + _LINE + _GAP
    with replacing(out) as scratch:
        if out.suffix.lower() == ".png":
            sheet.save(scratch, optimize=True)
        else:
            sheet.save(scratch, "JPEG", quality=86, optimize=True)


def _rows(found: Found) -> list[_Row]:
    """Take the middles of texts spread over the clip, of each kind at least one, never a moment twice."""
    kinds: dict[str, list[BurntText]] = {}
    for text in sorted(found.texts, key=lambda t: (t.first - t.last, t.first)):
        kinds.setdefault(text.kind, []).append(text)
    chosen = [texts[0] for texts in kinds.values()]
    others = sorted((t for t in found.texts if t not in chosen), key=lambda t: t.first)
    room = max(0, _MOST_ROWS - len(chosen))
    chosen += [others[n] for n in np.linspace(0, len(others) - 1, min(room, len(others))).round().astype(int)]
    rows: list[_Row] = []
    for number in sorted({(text.first + text.last) // 2 for text in chosen}):
        shown = tuple(text for text in found.texts if text.first <= number <= text.last)
        if not any(row.texts == shown for row in rows):
            rows.append(_Row(number, shown))
    return rows[:_MOST_ROWS]


def _fitted(facts: Facts) -> tuple[int, int]:
    """The size of a frame on the sheet as coded, its pixels square, before it is turned."""
    wide, high = facts.width * float(facts.aspect), float(facts.height)
    across, down = (_TALL, _WIDE) if facts.rotation in (90, 270) else (_WIDE, _TALL)
    share = min(across / wide, down / high, 2.0)
    return max(2, round(wide * share)), max(2, round(high * share))


def _shown(planes: Planes, facts: Facts, size: tuple[int, int]) -> Picture:
    return to_picture(planes, size=size, facts=facts)


def _boxed(picture: Picture, row: _Row, found: Found, size: tuple[int, int]) -> Picture:
    """Draw one line around boxes that overlap."""
    marked = picture.copy()
    covered = np.zeros(picture.shape[:2], np.uint8)
    across, down = size[0] / found.width, size[1] / found.height
    for text in row.texts:
        x, y = text.corner(row.number)
        high, wide = text.mask.shape
        corner = (round(x * across) - 3, round(y * down) - 3)
        end = (round((x + wide) * across) + 2, round((y + high) * down) + 2)
        cv2.rectangle(covered, corner, end, 255, -1)
    outlines, _ = cv2.findContours(covered, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for colour, thick in (((255, 255, 255), 4), (_MARK[::-1], 2)):
        cv2.drawContours(marked, outlines, -1, colour, thick, cv2.LINE_AA)
    return marked


def _turned(picture: Picture, rotation: int) -> Picture:
    return np.ascontiguousarray(np.rot90(picture, rotation // 90))


def _image(picture: Picture) -> Image.Image:
    return Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"


def _said(texts: Sequence[BurntText]) -> str:
    return "  \u00b7  ".join(
        f"{text.kind.value}: {text.words}" if text.words else text.kind.value for text in texts
    )


class _Pen:
    """Writes lines in the packaged fonts, cut where room ends."""

    def __init__(self, draw: ImageDraw.ImageDraw, fonts: Path) -> None:
        self._draw, self._fonts = draw, fonts

    def write(
        self, at: tuple[int, int], words: str, size: int, colour: tuple[int, int, int],
        *, bold: bool = False, right: bool = False, room: float = 1e6,
    ) -> None:  # fmt: skip
        pieces = [
            (text, ImageFont.truetype(str(face.path), size))
            for text, face in runs(words, self._fonts, bold=bold)
        ]
        x = float(at[0]) - (sum(font.getlength(text) for text, font in pieces) if right else 0)
        end = at[0] + room
        for text, font in pieces:
            for character in text if x + font.getlength(text) > end else [text]:
                if x + font.getlength(character) > end - size:
                    self._draw.text((x, at[1]), "\u2026", fill=colour, font=font, anchor="ls")
                    return
                self._draw.text((x, at[1]), character, fill=colour, font=font, anchor="ls")
                x += font.getlength(character)
