"""Small real films for simulated vendors to deliver, made once for every size and length."""

from __future__ import annotations

import struct
import subprocess
import threading
from pathlib import Path

from media.encoding import filter_value
from media.ffmpeg import ffmpeg_path
from media.fonts import FAMILY, install_fonts

_making = threading.Lock()
FPS = 12
TONE = 3000
_LABEL = f"""[Script Info]
PlayResX: {{width}}
PlayResY: {{height}}

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, BackColour, Bold, BorderStyle, Outline, Alignment
Style: Default,{FAMILY},{{size}},&H00FFFFFF,&H00000000,1,3,{{pad}},5

[Events]
Format: Start, End, Style, Text
Dialogue: 0:00:00.00,9:00:00.00,Default,SIMULATED
"""


def film_of(
    folder: Path, *, width: int, height: int, seconds: float, mark: str, audio: bool = False
) -> bytes:
    """A moving test card of the size and length asked for; `mark` makes the bytes of each film its own.

    With `audio` there is a tone of `TONE` hertz, which no voice is likely to hold.
    """
    path = folder / f"{width}x{height}-{seconds:g}s{'-tone' if audio else ''}.mp4"
    with _making:
        if not path.exists():
            _make(path, width, height, seconds, audio=audio)
    label = mark.encode()
    return path.read_bytes() + struct.pack(">I4s", 8 + len(label), b"free") + label


def _make(path: Path, width: int, height: int, seconds: float, *, audio: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    label = path.with_suffix(".ass")
    label.write_text(
        _LABEL.format(width=width, height=height, size=height // 9, pad=height // 40), encoding="utf-8"
    )
    fonts = install_fonts(path.parent / "fonts")
    card = f"testsrc2=size={width}x{height}:rate={FPS}:duration={seconds}"
    named = f"ass=filename={filter_value(str(label.resolve()))}:fontsdir={filter_value(str(fonts.resolve()))}"
    tone = f"sine=frequency={TONE}:sample_rate=48000:duration={seconds}"
    sound = ["-f", "lavfi", "-i", tone, "-c:a", "aac"] if audio else []
    subprocess.run(
        [
            *(str(ffmpeg_path()), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", card, *sound),
            *("-vf", named),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "38", "-pix_fmt", "yuv420p"),
            *("-movflags", "+faststart", str(part)),
        ],
        check=True,
        timeout=120,
    )
    part.replace(path)
