"""Small real files, made by ffmpeg and Pillow once per session."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media.ffmpeg import run
from media.fonts import install_fonts


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made media")  # a space in the path, on purpose


@pytest.fixture(scope="session")
def fonts(made: Path) -> Path:
    return install_fonts(made / "fonts")


@pytest.fixture(scope="session")
def make_clip(made: Path) -> Callable[..., Path]:
    """Make a test clip once; `extra` are ffmpeg options placed before the output."""

    def make(
        name: str, *extra: str, size: str = "320x180", seconds: float = 1.0, sound: bool = False
    ) -> Path:
        path = made / name
        if path.exists():
            return path
        inputs = ["-f", "lavfi", "-i", f"testsrc=s={size}:d={seconds}:r=25"]
        if sound:
            inputs += ["-f", "lavfi", "-i", f"sine=440:d={seconds}", "-c:a", "aac"]
        codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        run([*inputs, *codec, *extra], out=path, timeout=30)
        return path

    return make


@pytest.fixture(scope="session")
def photo(made: Path) -> Path:
    """A picture large enough to fill a small frame: soft shapes with grain."""
    path = made / "photo.jpg"
    rng = np.random.default_rng(1)
    shapes = Image.fromarray(rng.integers(20, 235, (9, 16, 3), np.uint8)).resize(
        (640, 360), Image.Resampling.BICUBIC
    )
    rgb = np.asarray(shapes, np.float32) + rng.normal(0, 4, (360, 640, 1))
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(path, quality=92)
    return path


@pytest.fixture(scope="session")
def speech(made: Path) -> Path:
    """Two seconds that sound to a meter like speech: syllables at 22 kHz, mono."""
    path = made / "speech.wav"
    rate = 22_050
    t = np.arange(2 * rate) / rate
    rng = np.random.default_rng(2)
    voice = (
        np.sin(2 * np.pi * 140 * t) + 0.5 * np.sin(2 * np.pi * 900 * t) + 0.2 * rng.standard_normal(len(t))
    )
    write_wav(path, voice * np.clip(np.sin(2 * np.pi * 3.5 * t), 0, 1) * 0.25, rate)
    return path


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes((samples * 32767).astype("<i2").tobytes())
