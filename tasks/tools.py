"""The versions of everything that shapes a film's bytes."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from importlib.metadata import version

from media.ffmpeg import ffmpeg_path

_PACKAGES = ("av", "numpy", "opencv-python-headless", "pillow", "espeakng-loader", "pymupdf-fonts")


@lru_cache(maxsize=1)
def tool_versions() -> dict[str, str]:
    """Name and version of ffmpeg and of the packages that draw, speak and decode."""
    said = subprocess.run(
        [str(ffmpeg_path()), "-version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    return {"ffmpeg": said.splitlines()[0].removeprefix("ffmpeg version ").split(" Copyright")[0]} | {
        name: version(name) for name in _PACKAGES
    }
