"""What is known of text burnt into a clip: where, when, how sure, and which pixels it changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""A frame as decoded: luma and two chroma planes, 8 bits or more, any subsampling; nothing converted."""
Mask = NDArray[np.uint8]


class TextKind(StrEnum):
    SUBTITLE = "subtitle"
    WATERMARK = "watermark"
    """Stands still for (nearly) a whole shot or clip: a logo, a station's mark, a name in the corner."""
    TITLE = "title"
    TICKER = "ticker"
    """Moves: scrolls or rolls."""


@dataclass(frozen=True)
class Area:
    """A polygon of shares of the frame (0..1), and its seconds; None = from the start, to the end."""

    corners: tuple[tuple[float, float], ...]
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Ask:
    """What a person wants cleaned: nothing said means all text, anywhere, in any language."""

    what: Literal["all", "subtitles", "watermark"] = "all"
    languages: tuple[str, ...] = ()
    clean: tuple[Area, ...] = ()
    """Filled whether or not text is read there; when there are any, nothing outside of them is touched."""
    keep: tuple[Area, ...] = ()
    keep_words: tuple[str, ...] = ()
    quality: Literal["fast", "balanced", "best"] = "balanced"


@dataclass(frozen=True, eq=False)
class BurntText:
    """One line, logo or box, from its first to its last frame (both counted from 0, both included).

    `mask` (255 = changed) lies with its left top at `x`, `y` in luma pixels and takes in outline, shadow,
    box and the halo that compression made. `strokes` are the opaque pixels in it: where a translucent box or
    logo lets the picture through they are fewer. `path`, when it moves, is the left top in each of its
    frames. Frames of a fade belong to it.
    """

    first: int
    last: int
    x: int
    y: int
    mask: Mask
    strokes: Mask
    kind: TextKind
    words: str = ""
    confidence: float = 0.0
    path: NDArray[np.int32] | None = None

    def corner(self, frame: int) -> tuple[int, int]:
        """Left top of the mask in a frame."""
        if self.path is None:
            return self.x, self.y
        x, y = self.path[frame - self.first]
        return int(x), int(y)


@dataclass(frozen=True, eq=False)
class Found:
    """What a whole look at a clip found; `cuts` are the first frames of every shot but the first."""

    width: int
    height: int
    frames: int
    fps: float
    texts: tuple[BurntText, ...] = ()
    cuts: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What a person should know of how it was looked at: a language that cannot be read, a limit reached."""

    def save(self, path: Path) -> None:
        """Write it to a compressed file that `load_found` reads."""
        arrays: dict[str, NDArray[Any]] = {}
        facts = []
        for number, text in enumerate(self.texts):
            arrays[f"mask{number}"] = np.packbits(text.mask > 0, axis=1)
            arrays[f"strokes{number}"] = np.packbits(text.strokes > 0, axis=1)
            if text.path is not None:
                arrays[f"path{number}"] = text.path
            height, width = text.mask.shape
            facts.append(
                [text.first, text.last, text.x, text.y, width, height, text.kind, text.words, text.confidence]
            )
        about = {
            "width": self.width, "height": self.height, "frames": self.frames, "fps": self.fps,
            "cuts": self.cuts, "notes": self.notes, "texts": facts,
        }  # fmt: skip
        with path.open("wb") as file:
            np.savez_compressed(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)  # type: ignore[arg-type]


def load_found(path: Path) -> Found:
    """Read what `Found.save` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        about = json.loads(kept["about"].tobytes())
        texts = []
        for number, (first, last, x, y, width, height, kind, words, confidence) in enumerate(
            about.pop("texts")
        ):
            mask, strokes = (
                np.unpackbits(kept[f"{name}{number}"], axis=1, count=width)[:height] * np.uint8(255)
                for name in ("mask", "strokes")
            )
            path_ = kept.get(f"path{number}")
            texts.append(
                BurntText(first, last, x, y, mask, strokes, TextKind(kind), words, confidence, path_)
            )
    about |= {"cuts": tuple(about["cuts"]), "notes": tuple(about["notes"])}
    return Found(texts=tuple(texts), **about)
