"""Read a cleaned clip again: is any of its text left, does the filling flicker, does its edge show."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from shutil import which
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import Retryable
from media.asked import plain
from media.burnt_text import Ask, BurntText, Found, Planes
from media.children import Stop
from media.frames import pick_frames
from media.ingest import Facts, inspect
from media.leash import leashed
from media.ocr import read_text
from media.showing import Box, Picture, to_picture

_MOST_FRAMES = 400
_MOST_UNREAD = 60
_EVERY_SECONDS = {"fast": 8.0, "balanced": 4.0, "best": 2.0}
_SURE = 0.6
_RING = 9
_READ_AT = 640
_SECOND_READER = "tesseract"
_SECOND_TIMEOUT = 10.0
_SECOND_SURE = 60.0
_TSV_CELLS = 12
_MOST_SECOND = 40


@dataclass(frozen=True)
class Left:
    """Characters of a burnt text that a reader still makes out in a cleaned frame."""

    seconds: float
    words: str
    characters: int
    reader: str


@dataclass(frozen=True)
class Proof:
    """What a second look at a cleaned clip shows.

    `flicker` is how much the filled pixels change from frame to frame, `seam` how steep the picture is across
    the edge of the filling, both over the same of the picture right around it: 1 is as around it.
    """

    residue_chars: int
    left: tuple[Left, ...]
    frames_checked: int
    texts_checked: int
    readers: tuple[str, ...]
    flicker: float | None
    seam: float | None
    seconds: float
    before: dict[str, Any]
    after: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def clean(self) -> bool:
        """Whether no reader makes out any of the text."""
        return self.residue_chars == 0

    @property
    def kept(self) -> bool:
        """Whether size, frames, rate, length, colours, turn and sound are as they were."""
        return self.before == self.after

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept}


def verify(
    clip: Path,
    cleaned: Path,
    found: Found,
    ask: Ask,
    *,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Stop = None,
) -> Proof:
    """Look at frames of every text in the cleaned clip, with the detector that found it and a second reader.

    Where nobody read the words when they were found, they are read now, in the clip itself.
    """
    started = time.monotonic()
    was, now = inspect(clip, should_stop=should_stop), inspect(cleaned, should_stop=should_stop)
    watched = _watched(found, _EVERY_SECONDS[ask.quality])
    unread = {n for n, texts in watched.items() if any(not plain(text.words) for text in texts)}
    look = _Look(found, second=which(_SECOND_READER))
    for number, planes in pick_frames(clip, was, sorted(unread)[:_MOST_UNREAD]):
        look.learn(number, planes, watched[number])
    pairs = {*watched, *(n + 1 for n in watched if n + 1 < found.frames and n + 1 not in found.cuts)}
    before: tuple[int, Planes] | None = None
    done = 0
    for number, planes in pick_frames(cleaned, now, pairs):
        if should_stop is not None and should_stop():
            raise Retryable("Stopped on request.", code="stopped")
        if before is not None and before[0] == number - 1 and before[0] in watched:
            look.compare(before[1], planes, number, watched[before[0]])
        if number in watched:
            look.read(number, planes, watched[number])
            done += 1
            if on_progress is not None:
                on_progress(done / len(watched))
        before = (number, planes)
    notes = [] if look.second else [f"There is no second reader here ({_SECOND_READER} is not installed)."]
    if now.frames != was.frames:
        notes.append(f"{was.frames} frames became {now.frames}.")
    return Proof(
        sum(left.characters for left in look.left),
        tuple(look.left),
        done,
        len({id(text) for texts in watched.values() for text in texts}),
        ("PP-OCR", *([_SECOND_READER] if look.second else [])),
        _mean(look.flicker),
        _mean(look.seam),
        round(time.monotonic() - started, 3),
        facts_of(was),
        facts_of(now),
        tuple(notes),
    )


def facts_of(facts: Facts) -> dict[str, Any]:
    """What has to be the same before and after, in words."""
    return {
        "size": [facts.width, facts.height],
        "frames": facts.frames,
        "fps": round(facts.fps, 4),
        "duration": round(facts.duration, 3),
        "pixels": facts.pix_fmt,
        "rotation": facts.rotation,
        "aspect": str(facts.aspect),
        "colours": list(facts.colours),
        "sound_and_subtitles": [digest[:16] for digest in facts.digests],
    }


def _watched(found: Found, seconds: float) -> dict[int, list[BurntText]]:
    """Choose frames to read: the first, middle and last of a text, and some of what stays long."""
    chosen: dict[int, list[BurntText]] = defaultdict(list)
    few = len(found.texts) * 3 <= _MOST_FRAMES
    every = max(1, round(seconds * (found.fps or 25)))
    for text in found.texts:
        middle = (text.first + text.last) // 2
        marks = {middle}
        if few:
            edge = min(2, (text.last - text.first) // 4)
            marks |= {text.first + edge, text.last - edge}
            marks |= set(range(middle, text.last, every)) | set(range(middle, text.first, -every))
        for mark in sorted(marks)[:: 1 + len(marks) // 24]:
            chosen[mark].append(text)
    numbers = sorted(chosen)
    numbers = numbers[:: 1 + len(numbers) // _MOST_FRAMES]
    return {number: chosen[number] for number in numbers}


class _Look:
    def __init__(self, found: Found, *, second: str | None) -> None:
        self.found, self.second = found, second
        self.left: list[Left] = []
        self.flicker: list[float] = []
        self.seam: list[float] = []
        self._learned: dict[tuple[int, int], str] = {}
        self._asked_second = 0

    def learn(self, number: int, planes: Planes, texts: Sequence[BurntText]) -> None:
        """Read what nobody has read yet, in a frame of the clip itself."""
        for text in texts:
            if not plain(text.words):
                box = self._around(text, number, planes)
                words = " ".join(self._lines(to_picture(planes, box), text, number, box))
                self._learned[number, id(text)] = words

    def read(self, number: int, planes: Planes, texts: Sequence[BurntText]) -> None:
        for text in texts:
            words = text.words if plain(text.words) else self._learned.get((number, id(text)), "")
            if not plain(words):
                continue
            box = self._around(text, number, planes)
            picture = to_picture(planes, box)
            lines = self._lines(picture, text, number, box)
            self._judge(number, words, " ".join(lines), "PP-OCR")
            if self.second and self._asked_second < _MOST_SECOND:
                self._asked_second += 1
                self._judge(number, words, read_second(self.second, picture), _SECOND_READER)

    def _judge(self, number: int, words: str, read: str, reader: str) -> None:
        count = still_there(words, read)
        if count:
            seconds = round(number / (self.found.fps or 25), 2)
            self.left.append(Left(seconds, read, count, reader))

    def _around(self, text: BurntText, number: int, planes: Planes) -> Box:
        """The text's box and a line's height around it, where readers expect some ground."""
        x, y = text.corner(number)
        (h, w), (high, wide) = text.mask.shape, planes[0].shape
        room = max(16, min(h, w))
        return max(0, x - room), max(0, y - room), min(wide, x + w + room), min(high, y + h + room)

    def _lines(self, picture: Picture, text: BurntText, number: int, box: Box) -> Iterator[str]:
        """Words that are read where the filling is."""
        x, y = (a - b for a, b in zip(text.corner(number), box, strict=False))
        canvas = np.zeros(picture.shape[:2], np.uint8)
        h, w = canvas[max(0, y) : y + text.mask.shape[0], max(0, x) : x + text.mask.shape[1]].shape
        canvas[max(0, y) : max(0, y) + h, max(0, x) : max(0, x) + w] = text.mask[
            max(0, -y) : max(0, -y) + h, max(0, -x) : max(0, -x) + w
        ]
        for line in read_text(picture, long_side=min(_READ_AT, max(picture.shape[:2]))):
            left, top, right, bottom = line.box
            inside = canvas[top:bottom, left:right]
            if line.confidence >= _SURE and inside.size and (inside > 0).mean() > 0.2:
                yield line.words

    def compare(self, first: Planes, then: Planes, number: int, texts: Sequence[BurntText]) -> None:
        """Measure flicker and seams of what stands still over two frames."""
        for text in texts:
            if number > text.last or text.corner(number) != text.corner(number - 1):
                continue
            left, top, right, bottom = self._around(text, number, then)
            a, b = (p[0][top:bottom, left:right].astype(np.float32) for p in (first, then))
            x, y = text.corner(number)
            mask = np.zeros(b.shape, np.uint8)
            whole = text.mask[max(0, top - y) : bottom - y, max(0, left - x) : right - x]
            mask[max(0, y - top) :, max(0, x - left) :][: whole.shape[0], : whole.shape[1]] = whole
            inside = mask > 0
            ring = (cv2.dilate(mask, np.ones((2 * _RING + 1,) * 2, np.uint8)) > 0) & ~inside
            if not inside.any() or ring.sum() < 50:
                continue
            unit = 1.0 if first[0].dtype == np.uint8 else 4.0
            moved = np.abs(a - b) / unit
            self.flicker.append(float((moved[inside].mean() + 0.5) / (moved[ring].mean() + 0.5)))
            steps = [
                (np.abs(np.diff(b, axis=axis)) / unit, *_pairs(inside, axis), _pairs(ring, axis)[1])
                for axis in (0, 1)
            ]
            across = np.concatenate([step[edge] for step, edge, _, _ in steps])
            near = np.concatenate([step[both] for step, _, _, both in steps])
            if len(across) and len(near):
                self.seam.append(float((across.mean() + 0.5) / (near.mean() + 0.5)))


def _pairs(where: NDArray[np.bool_], axis: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Neighbours of which one lies inside, and those of which both do."""
    a, b = (where[:-1], where[1:]) if axis == 0 else (where[:, :-1], where[:, 1:])
    return a != b, a & b


def still_there(words: str, read: str) -> int:
    """Count the characters of burnt words that were read again, in runs long enough to be no accident."""
    burnt, again = plain(words), plain(read)
    least = 3 if burnt.isascii() else 2
    blocks = SequenceMatcher(None, burnt, again, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= min(least, len(burnt)) > 0)


def read_second(program: str, picture: Picture) -> str:
    """Let tesseract read a picture; words it is not sure of, which it sees in any texture, are left out."""
    scale = 2 if picture.shape[0] < 120 else 1
    grown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    done, png = cv2.imencode(".png", grown)
    if not done:
        return ""
    try:
        said = subprocess.run(
            leashed([program, "stdin", "stdout", "--psm", "6", "tsv"]),
            input=png.tobytes(),
            capture_output=True,
            timeout=_SECOND_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    cells = (line.split("\t") for line in said.stdout.decode("utf-8", "replace").splitlines()[1:])
    return " ".join(row[-1] for row in cells if len(row) == _TSV_CELLS and float(row[10]) >= _SECOND_SURE)


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 3) if values else None
