"""Score files from 0 to 100 in parts that can be explained to a person.

Each part runs in a straight line from zero to full marks; the marks of parts that cannot be judged are
spread over the others. What is judged is the file, never what its source says of it; ranking by relevance or
a source's reputation is somebody else's business. BRISQUE is no part: its two model files come with no
package we have, and it misjudges drawings and screenshots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from core.errors import Permanent
from core.pictures import LEAST_SIDE
from media.images import JUDGED_SIDE, Pixels, open_image, read_header, sharpness
from media.listening import Heard
from media.probe import Probe
from media.watching import Watched

SCORE_VERSION = 2
TOO_SMALL = "too_small"
NOT_WHOLE = "not_whole"
"""It does not decode to its end."""
NOT_JUDGED = "not_judged"
"""Decoding took too long to judge what only the pictures or the samples tell."""
_TOO_SMALL_TOTAL = 25
_FULL_BITS = {"hevc": 0.06, "vp9": 0.06, "av1": 0.04}  # bits per pixel and frame that earn full marks
_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "ape", "tta", "truehd")
_LOUDEST, _QUIETEST = (-8.0, -4.0), (-30.0, -45.0)  # LUFS: plausible up to the first, absurd from the second


@dataclass(frozen=True)
class Part:
    """One judged property: what was measured, marks reached and marks possible."""

    name: str
    value: float
    marks: float
    full: float


@dataclass(frozen=True)
class Score:
    """`flags` say what the parts do not: `too_small` caps the total, `not_whole` makes it 0 for `reason`."""

    parts: tuple[Part, ...]
    flags: tuple[str, ...] = ()
    reason: str | None = None
    version: int = SCORE_VERSION

    @property
    def total(self) -> int:
        """The share of possible marks that was reached, 0-100."""
        full = sum(p.full for p in self.parts)
        if NOT_WHOLE in self.flags or not full:
            return 0
        reached = round(100 * sum(p.marks for p in self.parts) / full)
        return min(reached, _TOO_SMALL_TOTAL) if TOO_SMALL in self.flags else reached

    def parts_to_json(self) -> dict[str, Any]:
        return {
            p.name: {"value": round(p.value, 4), "marks": round(p.marks, 1), "of": p.full} for p in self.parts
        }

    def to_json(self) -> dict[str, Any]:
        body = {"version": self.version, "total": self.total, "parts": self.parts_to_json()}
        return {**body, "flags": list(self.flags), "reason": self.reason}


def is_too_small(width: int, height: int) -> bool:
    """Whether a picture is below what a film should be made of: taken when there is nothing else."""
    return min(width, height) < LEAST_SIDE


def score_image(
    path: Path, *, width: int, height: int, metadata: float | None = None, pixels: Pixels | None = None
) -> Score:
    """Score a still for a frame of this size; `metadata` is the share (0-1) of facts known.

    `pixels` spares opening it again. Raises as `open_image` does, but a damaged picture scores 0.
    """
    with read_header(path) as header:
        jpeg = header.format == "JPEG"
    try:
        rgb = open_image(path) if pixels is None else pixels
    except Permanent as error:
        if error.code != "corrupt_media":
            raise
        return Score((), (NOT_WHOLE,), error.message)
    parts = [
        _part("resolution", min(rgb.shape[:2]) / min(width, height), 0.4, 1.0, 35),
        _part("sharpness", _log(sharpness(rgb)), math.log10(20), math.log10(500), 25),
        _part("exposure", clipped_share(rgb), 0.25, 0.01, 10),
    ]
    if jpeg:
        size = rgb.shape[0] * rgb.shape[1]
        parts.append(_part("compression", path.stat().st_size / size, 0.05, 0.25, 10))
    return _score(parts, metadata, 10, _small(rgb.shape[1], rgb.shape[0]))


def score_clip(
    seen: Probe,
    *,
    width: int,
    height: int,
    watched: Watched | None = None,
    need: float | None = None,
    metadata: float | None = None,
) -> Score:
    """Score a clip for a frame of this size and a shot of `need` seconds; `watched` is what it shows."""
    bits = seen.bitrate / max(1.0, seen.width * seen.height * (seen.fps or 25))
    parts = [
        _part("resolution", min(seen.width / width, seen.height / height), 0.4, 1.0, 30),
        _part("bits", bits, 0.02, _FULL_BITS.get(seen.video_codec or "", 0.10), 20),
        _part("frame_rate", seen.fps, 15, 24, 10),
    ]
    flags = _small(seen.width, seen.height)
    if watched is None:
        flags += (NOT_JUDGED,)
    elif watched.trouble is not None:
        return Score(tuple(parts), (*flags, NOT_WHOLE), watched.trouble)
    else:
        idle = max(watched.black, watched.frozen)
        parts.append(_part("idle", idle, 0.3, 0.0, 10))
        if watched.sharpness:
            middle = float(np.median(watched.sharpness))
            parts.append(_part("sharpness", _log(middle), math.log10(20), math.log10(500), 15))
    if need:
        parts.append(_part("duration", seen.duration / need, 0.5, 1.0, 5))
    return _score(parts, metadata, 10, flags)


def score_audio(
    seen: Probe, heard: Heard | None, *, ambience: bool = False, metadata: float | None = None
) -> Score:
    """Score a sound; of `ambience` nobody expects quiet moments, so its noise is not judged."""
    lossless = (seen.audio_codec or "").startswith(_LOSSLESS)
    kilobits = seen.bitrate / 1000
    parts = [
        _part("sample_rate", seen.sample_rate, 22_050, 44_100, 15),
        Part("bitrate", kilobits, 15, 15) if lossless else _part("bitrate", kilobits, 64, 192, 15),
    ]
    if heard is None:
        return _score(parts, metadata, 15, (NOT_JUDGED,))
    if heard.trouble is not None:
        return Score(tuple(parts), (NOT_WHOLE,), heard.trouble)
    parts += [
        _part("bandwidth", heard.bandwidth, 8_000, 15_000, 15),
        _part("clipping", heard.clipped, 0.01, 0.0001, 15),
    ]
    if heard.loudness is not None:
        loud, (best, worst) = heard.loudness, (_LOUDEST if heard.loudness > _QUIETEST[0] else _QUIETEST)
        parts.append(_part("loudness", loud, worst, best, 10))
        if heard.quietest is not None and not ambience:
            parts.append(_part("noise", loud - heard.quietest, 15, 40, 15))
    return _score(parts, metadata, 15, ())


def clipped_share(rgb: Pixels) -> float:
    """Measure the share of pixels that are pure black or pure white, on a grid of a million at most."""
    step = max(1, max(rgb.shape[:2]) // JUDGED_SIDE)
    grey = cv2.cvtColor(np.ascontiguousarray(rgb[::step, ::step]), cv2.COLOR_RGB2GRAY)
    return float(np.mean((grey == 0) | (grey == 255)))


def _small(width: int, height: int) -> tuple[str, ...]:
    return (TOO_SMALL,) if is_too_small(width, height) else ()


def _score(parts: list[Part], metadata: float | None, weight: float, flags: tuple[str, ...]) -> Score:
    if metadata is not None:
        parts = [*parts, _part("metadata", metadata, 0, 1, weight)]
    return Score(tuple(parts), flags)


def _log(value: float) -> float:
    return math.log10(max(1.0, value))


def _part(name: str, value: float, zero: float, best: float, full: float) -> Part:
    share = min(1.0, max(0.0, (value - zero) / (best - zero)))
    return Part(name, value, full * share, full)
