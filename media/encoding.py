"""How pictures become H.264 here: one table of options, so that all segments join without re-encoding."""

from __future__ import annotations

from fractions import Fraction

from core.errors import Invalid

# Fixed: x264's output depends on the number of threads, and equal inputs must give equal bytes.
THREADS = "2"
# With a thread of its own to look ahead, x264 gave one short film in fifty other bytes on a busy machine.
_X264 = "open-gop=0:sync-lookahead=0"
BITEXACT = ["-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1", "-map_chapters", "-1"]
TAG_BT709 = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
SIDE_MAX = 8192


def rate(fps: float | Fraction) -> Fraction:
    """Turn frames per second into the exact fraction (29.97 is 30000/1001)."""
    exact = Fraction(fps).limit_denominator(1001)
    for ntsc in (24, 30, 48, 60, 120):
        if abs(exact - Fraction(ntsc * 1000, 1001)) < Fraction(1, 200):
            return Fraction(ntsc * 1000, 1001)
    return exact


def rate_text(fps: float | Fraction) -> str:
    exact = rate(fps)
    return f"{exact.numerator}/{exact.denominator}"


def check_frame(width: int, height: int, fps: float | Fraction, frames: int) -> None:
    """Refuse a frame H.264 4:2:0 cannot hold. Invalid names the field."""
    for name, side in (("width", width), ("height", height)):
        if side % 2 or not 16 <= side <= SIDE_MAX:
            raise Invalid(f"{name} is {side}; it must be even and from 16 to {SIDE_MAX}.", field=name)
    if not 1 <= fps <= 120:
        raise Invalid(f"fps is {fps}; it must be from 1 to 120.", field="fps")
    if frames < 1:
        raise Invalid(f"frames is {frames}; a shot has at least one.", field="frames")


def timescale(fps: float | Fraction) -> list[str]:
    """Options that give movie and track the same fine clock.

    With the default clock of 1/1000 s every join of a concat copy drifts by up to half a millisecond.
    """
    ticks = rate(fps).numerator
    while ticks < 10_000:
        ticks *= 10
    return ["-video_track_timescale", str(ticks), "-movie_timescale", str(ticks)]


def h264(fps: float | Fraction, *, preset: str, crf: int, sound: bool = False) -> list[str]:
    """Options of a video track, without sound unless asked: closed GOPs of two seconds, yuv420p, bt709."""
    gop = max(1, round(2 * rate(fps)))
    return [
        *([] if sound else ["-an"]),
        *("-sn", "-dn", "-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
        *("-pix_fmt", "yuv420p", "-threads", THREADS, "-g", str(gop), "-x264-params", _X264),
        *("-fps_mode", "cfr", "-r", rate_text(fps), *timescale(fps), *BITEXACT),
    ]


def take_options(fps: float | Fraction, crf: int = 14, *, sound: bool = False) -> list[str]:
    """Options of a take: it is decoded once more, so fast and nearly lossless."""
    return h264(fps, preset="ultrafast", crf=crf, sound=sound)


def raw_input(width: int, height: int, fps: float | Fraction) -> list[str]:
    """Options that read planar 4:2:0 frames from the pipe."""
    size = f"{width}x{height}"
    return ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", rate_text(fps), "-i", "pipe:0"]


def filter_value(text: str) -> str:
    """Escape a value (a path) for use inside a filter graph: first as option, then as graph text."""
    for special in ("\\'", "\\'[],;"):
        text = "".join("\\" + c if c in special or (c == ":" and special == "\\'") else c for c in text)
    return text


def budget(frames: int, fps: float | Fraction, width: int, height: int) -> float:
    """Seconds after which encoding so many frames counts as hung, even on a busy small machine."""
    return 60 + frames * width * height / 250_000 + float(frames / rate(fps))
