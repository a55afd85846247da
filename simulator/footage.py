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


def film_of(folder: Path, *, width: int, height: int, seconds: float, mark: str) -> bytes:
    """A moving test card of the size and length asked for; `mark` makes the bytes of each film its own."""
    path = folder / f"{width}x{height}-{seconds:g}s.mp4"
    with _making:
        if not path.exists():
            _make(path, width, height, seconds)
    label = mark.encode()
    return path.read_bytes() + struct.pack(">I4s", 8 + len(label), b"free") + label


def _make(path: Path, width: int, height: int, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    label = path.with_suffix(".ass")
    label.write_text(
        _LABEL.format(width=width, height=height, size=height // 9, pad=height // 40), encoding="utf-8"
    )
    fonts = install_fonts(path.parent / "fonts")
    card = f"testsrc2=size={width}x{height}:rate={FPS}:duration={seconds}"
    named = f"ass=filename={filter_value(str(label.resolve()))}:fontsdir={filter_value(str(fonts.resolve()))}"
    subprocess.run(
        [
            *(str(ffmpeg_path()), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", card, "-vf", named),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "38", "-pix_fmt", "yuv420p"),
            *("-movflags", "+faststart", str(part)),
        ],
        check=True,
        timeout=120,
    )
    part.replace(path)
