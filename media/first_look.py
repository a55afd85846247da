"""A quick look at a clip: whether a person could read anything in a few of its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from media.ffmpeg import run
from media.probe import Probe
from media.text import Line, carries_text

_EVERY, _LEAST, _MOST = 1.25, 3, 10
"""Seconds between two pictures, and how many there are."""
_LONG_SIDE = 640


def first_look(clip: Path, seen: Probe, scratch: Path) -> list[Line]:
    """Read pictures spread over a probed clip; returns the lines they have, none when it carries no text.

    What is shown between two of them can be missed, and a sign in the scene is read too: `find_text` knows.
    """
    count = min(_MOST, max(_LEAST, round(seen.duration / _EVERY)))
    scale = min(1.0, _LONG_SIDE / max(seen.width, seen.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (seen.width, seen.height))
    raw = scratch / "first-look.bgr"
    rate = count / max(seen.duration, 0.04)
    run(
        [
            *("-i", str(clip), "-an", "-sn", "-dn"),
            *("-vf", f"fps={rate:.6f}:start_time=0,scale={width}:{height}:flags=area,format=bgr24"),
            *("-frames:v", str(count), "-c:v", "rawvideo", "-f", "rawvideo", str(raw)),
        ],
        timeout=60 + seen.duration,
        role="clip",
    )
    values = np.fromfile(raw, np.uint8)
    raw.unlink()
    size = width * height * 3
    whole = values[: values.size // size * size].reshape(-1, height, width, 3)
    return carries_text(whole)
