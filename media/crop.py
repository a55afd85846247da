"""Cut an edge off a clip's picture: its shape and size stay, what is left is enlarged."""

from __future__ import annotations

from pathlib import Path

from media.burnt_text import Found
from media.encoding import TAG_BT709, take_options
from media.ffmpeg import run
from media.probe import Probe

LEAST = 0.9
"""Share of either side that is left at least."""
_AIR = 0.008


def crop_around(found: Found) -> tuple[float, float, float, float] | None:
    """The largest part of the frame, of the frame's shape, without any of the text; x, y, width, height.

    As shares. None when too little would be left.
    """
    left, top, right, bottom = 0.0, 0.0, 1.0, 1.0
    for text in found.texts:
        height, width = text.mask.shape
        across = [text.x] if text.path is None else text.path[:, 0]
        down = [text.y] if text.path is None else text.path[:, 1]
        x0, x1 = min(across) / found.width - _AIR, (max(across) + width) / found.width + _AIR
        y0, y1 = min(down) / found.height - _AIR, (max(down) + height) / found.height + _AIR
        cut = min((x1 - left, "left"), (right - x0, "right"), (y1 - top, "top"), (bottom - y0, "bottom"))[1]
        if cut == "left":
            left = max(left, x1)
        elif cut == "right":
            right = min(right, x0)
        elif cut == "top":
            top = max(top, y1)
        else:
            bottom = min(bottom, y0)
    side = float(min(right - left, bottom - top))
    if side < LEAST:
        return None
    x = float(min(max(left, 0.5 - side / 2), right - side))
    y = float(min(max(top, 0.5 - side / 2), bottom - side))
    return x, y, side, side


def crop_clip(clip: Path, out: Path, seen: Probe, window: tuple[float, float, float, float]) -> None:
    """Write the part of a clip that `window` says, as large as the whole was; sound as it is."""
    x, y, width, height = window
    across, down = seen.width, seen.height
    box = ":".join(str(round(n)) for n in (width * across, height * down, x * across, y * down))
    chain = [f"crop={box}", f"scale={across}:{down}:flags=lanczos", "setsar=1", "format=yuv420p", TAG_BT709]
    run(
        [
            *("-i", str(clip), "-vf", ",".join(chain)),
            *take_options(seen.fps, sound=True),
            *("-map", "0:v:0", "-map", "0:a:0?", "-c:a", "aac"),
        ],
        out=out,
        timeout=60 + seen.duration * 20,
        role="clip",
    )
