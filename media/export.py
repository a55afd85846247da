"""Derive what people look at from a master: poster, WebM, animated preview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.errors import Permanent
from media.encoding import BITEXACT, THREADS, budget
from media.ffmpeg import replacing, run
from media.images import open_image, save_jpeg, shrink
from media.probe import Probe, probe


def poster(master: Path, out: Path, *, at: float = 0.0, side: int = 1280) -> None:
    """Write the frame at a time as JPEG, at most `side` pixels long."""
    seen = _film(master)
    at = max(0.0, min(at, seen.duration - 1.5 / (seen.fps or 25)))
    with replacing(out.with_suffix(".png")) as still:
        run(
            ["-ss", f"{at:.3f}", "-i", str(master.resolve()), "-frames:v", "1", "-update", "1", str(still)],
            timeout=60,
            role="master",
        )
        if not still.exists():
            raise Permanent(f"There is no picture at {at:.1f} s.", code="no_frame", field="at")
        save_jpeg(shrink(open_image(still), side), out)
    out.with_suffix(".png").unlink(missing_ok=True)


def webm(
    master: Path,
    out: Path,
    *,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Write VP9/Opus .webm at the master's size."""
    seen = _film(master)
    run(
        [
            *("-i", str(master.resolve()), "-map", "0:v:0", "-map", "0:a:0?"),
            *("-c:v", "libvpx-vp9", "-crf", "33", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "6"),
            *("-row-mt", "1", "-threads", THREADS, "-c:a", "libopus", "-b:a", "112k", *BITEXACT),
        ],
        out=out,
        timeout=4 * _patience(seen),
        on_progress=on_progress,
        should_stop=should_stop,
        role="master",
    )


def gif(master: Path, out: Path, *, at: float = 0.0, seconds: float = 4.0, width: int = 480) -> None:
    """Write a looping preview with its own palette."""
    _film(master)
    graph = (
        f"fps=12,scale={width}:-2:flags=lanczos,split[a][b];[a]palettegen=stats_mode=diff[p];"
        "[b][p]paletteuse=dither=bayer:bayer_scale=4"
    )
    run(
        [
            *("-ss", f"{at:.3f}", "-t", f"{seconds:.3f}", "-i", str(master.resolve())),
            *("-filter_complex", graph, "-loop", "0"),
        ],
        out=out,
        timeout=120,
        role="master",
    )


def _film(master: Path) -> Probe:
    seen = probe(master)
    if seen.kind != "clip":
        raise Permanent(f"The master is no film but {seen.kind}.", code="not_media", field="master")
    return seen


def _patience(seen: Probe) -> float:
    return budget(max(1, seen.frames), max(1.0, seen.fps), seen.width, seen.height)
