"""Find and read text in one picture: PP-OCRv6 (small), whose weights ship inside `rapidocr`.

The detector is a DB network (Liao et al., 2020): a map of shrunk text, cut at a threshold and grown again.
The reader's characters are decoded by CTC. It knows Latin, Greek, Chinese and Japanese; text in other scripts
is found all the same, only its words are not known.
"""

from __future__ import annotations

import importlib.util
import os
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]
"""Height x width x 3, blue first."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are outside of it."""

THREADS = 2
_SEED, _SURE, _GROW = 0.3, 0.5, 1.6  # of the map: a pixel of text, the mean of a box, how far it grows
_LEAST_SIDE = 3
_LINE_HEIGHT, _LONGEST_LINE = 48, 2400
_SCRIPTS = {
    "LATIN": "en fr de es it pt nl sv da no nb fi is pl cs sk sl hr hu ro sq et lv lt tr vi id ms tl sw af",
    "GREEK": "el",
    "HAN": "zh ja",
    "CYRILLIC": "ru uk be bg sr mk kk mn",
    "HANGUL": "ko",
    "ARABIC": "ar fa ur ps",
    "HEBREW": "he yi",
    "THAI": "th",
    "DEVANAGARI": "hi mr ne sa",
    "BENGALI": "bn as",
    "TAMIL": "ta",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
}
_READ = {"LATIN", "GREEK", "HAN"}
_HAN = ("CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH", "HALFWIDTH")


@dataclass(frozen=True)
class Line:
    """A line of text in a picture; `confidence` is how sure the reader is of its words (0..1)."""

    box: Box
    words: str
    confidence: float
    tilt: float = 0.0
    """Degrees off the horizontal."""


@lru_cache(maxsize=4)
def _session(weights: str, process: int) -> Any:  # noqa: ARG001 - a session does not live on in a forked child
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    # Waiting threads would take the cores from the filler and the encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    spec = importlib.util.find_spec("rapidocr")  # importing it would set up its logger and its downloads
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "models" / weights
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _detector() -> Any:
    return _session("PP-OCRv6_det_small.onnx", os.getpid())


def _reader() -> Any:
    return _session("PP-OCRv6_rec_small.onnx", os.getpid())


@lru_cache(maxsize=1)
def _characters() -> list[str]:
    known = _reader().get_modelmeta().custom_metadata_map["character"].splitlines()
    return ["", *known, " "]


def size_for(width: int, height: int, long_side: int) -> tuple[int, int]:
    """The size a frame is looked at: multiples of 32 (the network's), never larger than it is by a third."""
    scale = min(long_side / max(width, height), 4 / 3)
    return tuple(max(32, round(side * scale / 32) * 32) for side in (width, height))  # type: ignore[return-value]


def find_boxes(picture: Picture, *, long_side: int) -> list[tuple[Box, float, float]]:
    """Find lines of text: box, the detector's score, degrees off the horizontal."""
    height, width = picture.shape[:2]
    wide, high = size_for(width, height, long_side)
    small = (
        picture
        if (wide, high) == (width, height)
        else cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
    )
    values = (small.astype(np.float32) * (2 / 255) - 1).transpose(2, 0, 1)[None]
    likely = _detector().run(None, {"x": np.ascontiguousarray(values)})[0][0, 0]
    return _boxes(likely, width / wide, height / high, width, height)


def _boxes(
    likely: NDArray[Any], sx: float, sy: float, width: int, height: int
) -> list[tuple[Box, float, float]]:
    seeds = cv2.dilate((likely > _SEED).astype(np.uint8), np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(seeds, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in outlines:
        (_, (w, h), _) = cv2.minAreaRect(outline)
        if min(w, h) < _LEAST_SIDE:
            continue
        left, top, wide, high = cv2.boundingRect(outline)
        inside = np.zeros((high, wide), np.uint8)
        cv2.drawContours(inside, [outline], -1, 1, -1, offset=(-left, -top))
        score = cv2.mean(likely[top : top + high, left : left + wide], inside)[0]
        if score < _SURE:
            continue
        grow = w * h * _GROW / (2 * (w + h))  # Vatti's offset of a rectangle, as in the paper
        box = (
            max(0, round((left - grow) * sx)),
            max(0, round((top - grow) * sy)),
            min(width, round((left + wide + grow) * sx)),
            min(height, round((top + high + grow) * sy)),
        )
        found.append((box, float(score), _tilt(outline)))
    return found


def _tilt(outline: NDArray[Any]) -> float:
    (_, (w, h), angle) = cv2.minAreaRect(outline)
    if max(w, h) < 2 * min(w, h):
        return 0.0
    along = angle if w >= h else angle - 90
    return abs((along + 90) % 180 - 90)


def read_line(picture: Picture, box: Box) -> tuple[str, float]:
    """Read one line; its words and how sure the reader is of them (0..1)."""
    left, top, right, bottom = box
    line = picture[top:bottom, left:right]
    height, width = line.shape[:2]
    if not height or not width:
        return "", 0.0
    if height > 1.5 * width:  # words stood on their side
        line = np.rot90(line)
        height, width = line.shape[:2]
    wide = min(_LONGEST_LINE, max(_LINE_HEIGHT, -(-width * _LINE_HEIGHT // height)))
    line = cv2.resize(line, (wide, _LINE_HEIGHT))
    values = (line.astype(np.float32) * (2 / 255) - 1).transpose(2, 0, 1)[None]
    odds = _reader().run(None, {"x": np.ascontiguousarray(values)})[0][0]
    best = odds.argmax(axis=1)
    new = np.flatnonzero((best != 0) & (best != np.concatenate([[0], best[:-1]])))
    if not len(new):
        return "", 0.0
    known = _characters()
    return "".join(known[best[at]] for at in new).strip(), float(odds[new, best[new]].mean())


def read_text(picture: Picture, *, long_side: int = 960) -> list[Line]:
    """Find and read every line of one picture, from the top down."""
    lines = []
    for box, _, tilt in sorted(
        find_boxes(picture, long_side=long_side), key=lambda found: (found[0][1], found[0][0])
    ):
        words, confidence = read_line(picture, box)
        if words:
            lines.append(Line(box, words, confidence, tilt))
    return lines


def script_of(words: str) -> str | None:
    """Name the script most letters are of; None when there is no letter."""
    counts: dict[str, int] = {}
    for letter in words:
        if letter.isalpha():
            name = unicodedata.name(letter, "?").split()[0]
            name = "HAN" if name in _HAN else name
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name]) if counts else None


def scripts_of(languages: tuple[str, ...]) -> set[str]:
    """Name the scripts of these languages (ISO 639-1, regions left out); unknown ones are Latin's."""
    names = {language.replace("_", "-").split("-")[0].lower() for language in languages}
    named = {script for script, codes in _SCRIPTS.items() if names & set(codes.split())}
    return named | (
        {"LATIN"} if any(all(n not in c.split() for c in _SCRIPTS.values()) for n in names) else set()
    )


def unread(languages: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these languages whose script the reader does not know."""
    return tuple(language for language in languages if not scripts_of((language,)) & _READ)
