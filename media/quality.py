"""Score files from 0 to 100 in parts that can be explained to a person.

Each part runs in a straight line from zero to full marks; the marks of parts that cannot be judged are
spread over the others. Ranking by relevance or a source's reputation is somebody else's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from media.images import Pixels, open_image, read_header, shrink
from media.probe import Probe

SCORE_VERSION = 1
_SHARPNESS_SIDE = 1024  # the variance of the Laplacian depends on size: always judged at this one
_FULL_BITS = {"hevc": 0.06, "vp9": 0.06, "av1": 0.04}  # bits per pixel and frame that earn full marks


@dataclass(frozen=True)
class Part:
    """One judged property: what was measured, marks reached and marks possible."""

    name: str
    value: float
    marks: float
    full: float


@dataclass(frozen=True)
class Score:
    parts: tuple[Part, ...]
    version: int = SCORE_VERSION

    @property
    def total(self) -> int:
        """The share of possible marks that was reached, 0-100."""
        full = sum(p.full for p in self.parts)
        return round(100 * sum(p.marks for p in self.parts) / full) if full else 0

    def to_json(self) -> dict[str, Any]:
        parts = {
            p.name: {"value": round(p.value, 4), "marks": round(p.marks, 1), "of": p.full} for p in self.parts
        }
        return {"version": self.version, "total": self.total, "parts": parts}


def score_image(path: Path, *, width: int, height: int, metadata: float | None = None) -> Score:
    """Score a still picture for a frame of this size; `metadata` is the share (0-1) of facts known."""
    rgb = open_image(path)
    with read_header(path) as header:
        jpeg = header.format == "JPEG"
    pixels = rgb.shape[0] * rgb.shape[1]
    parts = [
        _part("resolution", min(rgb.shape[:2]) / min(width, height), 0.4, 1.0, 35),
        _part("sharpness", math.log10(max(1.0, sharpness(rgb))), math.log10(20), math.log10(500), 25),
        _part("exposure", clipped_share(rgb), 0.25, 0.01, 10),
    ]
    if jpeg:
        parts.append(_part("compression", path.stat().st_size / pixels, 0.05, 0.25, 10))
    if metadata is not None:
        parts.append(_part("metadata", metadata, 0, 1, 10))
    return Score(tuple(parts))


def score_clip(
    seen: Probe, *, width: int, height: int, need: float | None = None, metadata: float | None = None
) -> Score:
    """Score a clip by its probe, for a frame of this size and a shot of `need` seconds."""
    bits = seen.bitrate / max(1.0, seen.width * seen.height * (seen.fps or 25))
    parts = [
        _part("resolution", min(seen.width / width, seen.height / height), 0.4, 1.0, 30),
        _part("bits", bits, 0.02, _FULL_BITS.get(seen.video_codec or "", 0.10), 20),
        _part("frame_rate", seen.fps, 15, 24, 10),
    ]
    if need:
        parts.append(_part("duration", seen.duration / need, 0.5, 1.0, 5))
    if metadata is not None:
        parts.append(_part("metadata", metadata, 0, 1, 10))
    return Score(tuple(parts))


def sharpness(rgb: Pixels) -> float:
    """Measure the variance of the Laplacian, grey, at 1024 pixels on the long side."""
    grey = cv2.cvtColor(shrink(rgb, _SHARPNESS_SIDE), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def clipped_share(rgb: Pixels) -> float:
    """Measure the share of pixels that are pure black or pure white."""
    grey = cv2.cvtColor(shrink(rgb, _SHARPNESS_SIDE), cv2.COLOR_RGB2GRAY)
    return float(np.mean((grey == 0) | (grey == 255)))


def _part(name: str, value: float, zero: float, best: float, full: float) -> Part:
    share = min(1.0, max(0.0, (value - zero) / (best - zero)))
    return Part(name, value, full * share, full)
