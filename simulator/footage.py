"""Small real films for simulated vendors to deliver, made once for every size and length."""

from __future__ import annotations

import struct
import subprocess
import threading
from pathlib import Path

from media.ffmpeg import ffmpeg_path

_making = threading.Lock()
FPS = 12


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
    card = f"testsrc2=size={width}x{height}:rate={FPS}:duration={seconds}"
    subprocess.run(
        [
            *(str(ffmpeg_path()), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", card),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "38", "-pix_fmt", "yuv420p"),
            *("-movflags", "+faststart", str(part)),
        ],
        check=True,
        timeout=120,
    )
    part.replace(path)
