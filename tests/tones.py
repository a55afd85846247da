"""How loud one tone is in a stretch of a sound, whatever else is heard there."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from media.ffmpeg import run

RATE = 48_000
NOTHING = -75.0
"""Decibels below which nobody put a tone there."""


def samples_of(path: Path, scratch: Path) -> np.ndarray:
    """The sound of any file, mono."""
    out = scratch / f"{path.stem[:12]}.f32"
    plain = [
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        str(RATE),
        "-c:a",
        "pcm_f32le",
        "-f",
        "f32le",
    ]
    run(plain, out=out, timeout=60)
    return np.fromfile(out, "<f4")


def level(samples: np.ndarray, hertz: float, start: float, end: float) -> float:
    """Decibels of a tone between two moments, in seconds; a full-scale sine has 0."""
    part = samples[round(start * RATE) : round(end * RATE)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    found = np.fft.rfftfreq(len(part), 1 / RATE)
    peak = spectrum[(found > hertz - 40) & (found < hertz + 40)].max() * 4 / len(part)
    return 20 * math.log10(max(float(peak), 1e-9))
