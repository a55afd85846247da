"""Trim somebody's clip into a take: upright, constant frame rate, our size, exactly so many frames."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from core.errors import Permanent
from media.encoding import TAG_BT709, budget, check_frame, rate, rate_text, take_options
from media.ffmpeg import run
from media.motion import CROP_MAX
from media.probe import probe
from media.tracks import STEADY, exact

_HOLD_MAX = 1.0  # seconds a short clip's last frame may stand still; a larger gap is filled by looping
_HDR = {"smpte2084", "arib-std-b67"}


def trim_clip(
    clip: Path,
    out: Path,
    *,
    width: int,
    height: int,
    fps: float | Fraction,
    frames: int,
    start: float = 0.0,
    audio: bool = False,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Cut a take out of a clip, with the clip's own sound if `audio` asks for it and there is one.

    A clip shorter than asked holds its last frame for up to a second, else it loops. A clip of another
    shape stands over a blurred enlargement of itself. Permanent when it is no clip or does not decode.
    """
    check_frame(width, height, fps, frames)
    seen = probe(clip)
    if seen.kind != "clip":
        raise Permanent(f"The clip is not a moving picture but {seen.kind}.", code="not_media", field="clip")
    need = float(frames / rate(fps))
    start = max(0.0, min(start, seen.duration - need))
    short = need - (seen.duration - start)
    loop = ["-stream_loop", "-1"] if short > _HOLD_MAX and seen.duration > 0 else []
    kept = min(seen.width / width, seen.height / height) / max(seen.width / width, seen.height / height)
    graph = _cover(width, height) if 1 - kept <= CROP_MAX else _over_blur(width, height)
    if seen.transfer in _HDR:
        graph = f"zscale=t=linear:npl=203,tonemap=mobius,zscale=t=bt709:m=bt709:p=bt709:r=tv,{graph}"
    steady = f"fps={rate_text(fps)}:start_time=0,tpad=stop_mode=clone:stop=-1"
    heard = audio and seen.has_audio
    sound = f";[0:a:0]{STEADY},{exact(need)}[a]" if heard else ""
    square = "scale=w='trunc(iw*sar/2)*2':h='trunc(ih/2)*2',setsar=1"
    run(
        [
            *loop,
            *(["-ss", f"{start:.6f}"] if start else []),
            *("-i", str(clip.resolve()), "-filter_threads", "1"),
            *(
                "-filter_complex",
                f"[0:v:0]setpts=PTS-STARTPTS,{steady},{square},{graph},setsar=1,{TAG_BT709}[v]{sound}",
            ),
            *("-map", "[v]", *(["-map", "[a]", "-c:a", "aac", "-b:a", "192k"] if heard else [])),
            *(*take_options(fps, crf=16, sound=heard), "-frames:v", str(frames)),
        ],
        out=out,
        timeout=budget(frames, fps, max(width, seen.width), max(height, seen.height)) + seen.duration,
        on_progress=on_progress,
        should_stop=should_stop,
        role="clip",
    )


_BT709 = "out_color_matrix=bt709:out_range=tv"


def _cover(width: int, height: int) -> str:
    return (
        f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=bicubic:{_BT709},"
        f"crop={width}:{height},format=yuv420p"
    )


def _over_blur(width: int, height: int) -> str:
    small_w, small_h = width // 8 * 2, height // 8 * 2
    return (
        f"format=yuv420p,split[a][b];"
        f"[a]scale={small_w}:{small_h}:force_original_aspect_ratio=increase:{_BT709},crop={small_w}:{small_h},"
        f"gblur=sigma={max(small_w, small_h) / 24:.2f},lutyuv=y='16+(val-16)*0.5',"
        f"scale={width}:{height}:flags=bicubic[back];"
        f"[b]scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:"
        f"flags=bicubic:{_BT709}[front];"
        f"[back][front]overlay=(W-w)/2:(H-h)/2:format=yuv420"
    )
