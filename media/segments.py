"""Render takes to segments: the final picture of a shot, ready to be joined without re-encoding."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from core.errors import Permanent
from media.encoding import TAG_BT709, budget, check_frame, filter_value, h264, rate_text
from media.ffmpeg import replacing, run

PROXY_SIDE = 480
PROXY_CRF = 27
SCALE = "bicubic+accurate_rnd+bitexact"
"""Exact, whichever of its ways the scaler takes."""


def render_segment(
    take: Path,
    out: Path,
    *,
    width: int,
    height: int,
    fps: float | Fraction,
    frames: int,
    captions_ass: Path | None = None,
    fonts_dir: Path | None = None,
    fade_in: float = 0.0,
    fade_out: float = 0.0,
    preset: str = "veryfast",
    crf: int = 20,
    proxy: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Encode exactly `frames` frames of a take, captions burnt in, without sound.

    A shorter take holds its last frame; one of another size is fitted with black bars (takes made by
    this package have the right size). Fades are from and to black, in seconds. `proxy` is written beside it
    from the same pictures, its short side at most 480: joined, proxies are a film that streams at once.
    """
    check_frame(width, height, fps, frames)
    seconds = float(frames / Fraction(rate_text(fps)))
    chain = [
        "setpts=PTS-STARTPTS",
        f"fps={rate_text(fps)}:start_time=0",
        "tpad=stop_mode=clone:stop=-1",
        (
            f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
            f":out_color_matrix=bt709:out_range=tv:flags={SCALE}"
        ),
        f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2",
        "setsar=1",
        "format=yuv420p",
    ]
    if fade_in > 0:
        chain.append(f"fade=t=in:st=0:d={fade_in:.3f}")
    if fade_out > 0:
        chain.append(f"fade=t=out:st={max(0.0, seconds - fade_out):.3f}:d={fade_out:.3f}")
    if captions_ass is not None:
        fonts = f":fontsdir={filter_value(str(fonts_dir.resolve()))}" if fonts_dir else ""
        chain.append(f"ass=filename={filter_value(str(captions_ass.resolve()))}{fonts}")
    graph, light = f"[0:v:0]{','.join([*chain, TAG_BT709])}", []
    with ExitStack() as kept:
        if proxy is None:
            graph += "[v]"
        else:
            small = proxy_size(width, height)
            graph += f",split[v][w];[w]scale={small[0]}:{small[1]}:flags={SCALE},setsar=1[p]"
            light = ["-map", "[p]", *h264(fps, preset="veryfast", crf=PROXY_CRF), "-frames:v", str(frames)]
            light.append(str(kept.enter_context(replacing(proxy))))
        result = run(
            [
                *("-i", str(take.resolve()), "-filter_complex_threads", "1", "-filter_complex", graph),
                *(*light, "-map", "[v]", *h264(fps, preset=preset, crf=crf), "-frames:v", str(frames)),
            ],
            out=out,
            timeout=budget(frames, fps, width, height),
            on_progress=on_progress,
            should_stop=should_stop,
            role="take",
        )
    if result.frames != frames:
        for path in filter(None, (out, proxy)):
            path.unlink(missing_ok=True)
        raise Permanent(f"The take gave {result.frames} of {frames} frames.", code="short_take", field="take")


def proxy_size(width: int, height: int) -> tuple[int, int]:
    """The size with its short side at most PROXY_SIDE, even both ways."""
    share = min(1.0, PROXY_SIDE / min(width, height))
    return max(2, 2 * round(width * share / 2)), max(2, 2 * round(height * share / 2))
