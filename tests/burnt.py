"""Small clips with words burnt in by libass, for tests that have them removed."""

from __future__ import annotations

from pathlib import Path

from media.encoding import filter_value
from media.ffmpeg import run as ffmpeg
from media.fonts import install_fonts

_ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 480
PlayResY: 270

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, Bold, BorderStyle, Outline, Alignment, MarginV
Style: Line,{font},26,&H00FFFFFF,&H00000000,-1,1,2,2,20

[Events]
Format: Start, End, Style, Text
"""


def burnt(
    out: Path,
    *lines: tuple[str, float, float],
    seconds: float = 3.0,
    rate: int = 10,
    sound: bool = False,
    seed: int = 1,
) -> Path:
    """Write a drifting gradient of 480x270 with these lines in it: words, first and last second."""
    script = out.with_suffix(".ass")
    said = "".join(f"Dialogue: {_time(a)},{_time(b)},Line,{words}\n" for words, a, b in lines)
    script.write_text(_ASS.replace("{font}", "Noto Sans") + said, encoding="utf-8")
    fonts = install_fonts(out.parent / "fonts")
    colours = ":".join(
        f"c{n}=0x{(seed * 0x35A1C3 + n * 0x1F2B17) % 0x808080 + 0x303030:06x}" for n in range(4)
    )
    picture = f"gradients=s=480x270:d={seconds}:r={rate}:speed=0.02:seed={seed}:n=4:x0=0:y0=0:x1=480:y1=270:{colours}"
    words = f",ass={filter_value(str(script))}:fontsdir={filter_value(str(fonts))}" if lines else ""
    tone = ["-f", "lavfi", "-i", f"sine=440:d={seconds}", "-c:a", "aac"] if sound else []
    ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            picture,
            *tone,
            "-vf",
            f"format=yuv420p{words}",
            "-c:v",
            "libx264",
            "-crf",
            "16",
        ],
        out=out,
        timeout=60,
    )
    script.unlink()
    return out


def _time(seconds: float) -> str:
    return f"0:00:{seconds:05.2f}"
