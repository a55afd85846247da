"""Fill marked rectangles of a clip from their surroundings (ffmpeg's delogo): plain, honest, spatial only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Permanent
from media.encoding import TAG_BT709, h264
from media.ffmpeg import run
from media.probe import Probe, probe


@dataclass(frozen=True)
class Region:
    """A rectangle as shares of the frame (0..1), and its seconds; None = from the start, to the end."""

    x: float
    y: float
    width: float
    height: float
    start: float | None = None
    end: float | None = None


def erase_regions(
    clip: Path,
    out: Path,
    regions: Sequence[Region],
    *,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Probe:
    """Write `clip` with every region filled from its border; sound is kept as it is.

    Returns the probe of the input. Raises Permanent when the file is not a clip.
    """
    seen = probe(clip)
    if seen.kind != "clip":
        raise Permanent(f"Text can only be removed from a clip; this is a {seen.kind}.", code="wrong_kind")
    fps = seen.fps or 25.0
    chain = ["fps=" + f"{fps:.6f}", "scale=trunc(iw/2)*2:trunc(ih/2)*2", "setsar=1"]
    width, height = seen.width // 2 * 2, seen.height // 2 * 2
    chain += [_delogo(region, width, height) for region in regions]
    chain += ["format=yuv420p", TAG_BT709]
    sound = (
        ["-map", "0:a:0?", "-c:a", "copy"]
        if seen.audio_codec in {"aac", "mp3", "ac3"}
        else ["-map", "0:a:0?"]
    )
    run(
        [
            *("-i", str(clip.resolve())),
            *("-filter_complex", f"[0:v:0]{','.join(chain)}[v]", "-map", "[v]"),
            *h264(fps, preset="veryfast", crf=18, sound=True),
            *sound,
        ],
        out=out,
        timeout=60 + seen.duration * 20,
        on_progress=on_progress,
        should_stop=should_stop,
        role="clip",
    )
    return seen


def _delogo(region: Region, width: int, height: int) -> str:
    """Delogo needs a pixel of picture around the rectangle on every side."""
    x = min(max(1, round(region.x * width)), width - 3)
    y = min(max(1, round(region.y * height)), height - 3)
    w = min(max(1, round(region.width * width)), width - 1 - x)
    h = min(max(1, round(region.height * height)), height - 1 - y)
    when = ""
    if region.start is not None or region.end is not None:
        end = region.end if region.end is not None else 1e6
        when = f":enable='between(t,{region.start or 0:.3f},{end:.3f})'"
    return f"delogo=x={x}:y={y}:w={w}:h={h}{when}"
