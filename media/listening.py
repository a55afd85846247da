"""Listen to a sound once, from beginning to end: does it decode, how good is it, which recording is it.

One run of ffmpeg gives the loudness (EBU R 128), the samples of the first minutes and the Chromaprint of the
first two. Short sounds have too few items for that: they are known by their samples, which finds copies only.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import Permanent, Retryable
from core.likeness import terms
from media.ffmpeg import ffmpeg_path, run
from media.probe import Probe

SHORTEST_MUSIC = 7.0
"""Seconds below which a Chromaprint says nothing."""
_LONGEST, _SAMPLED, _PRINTED = 3600.0, 300.0, 120.0
_TIMEOUT = 180.0
_WHOLE = 0.9
_FULL_SCALE = 32_767
_WINDOW, _WINDOWS = 4096, 400
_AUDIBLE = -60.0  # dB below the loudest frequency: what is weaker counts as not there
_BLOCK = 0.4
_QUIET_SHARE = 0.1
_FLOOR = -100.0
_LOUDNESS = re.compile(r"I:\s*(-?[\d.]+|-inf) LUFS")
_MEASURABLE = -69.9  # the gate of EBU R 128: nothing was loud enough

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Heard:
    """`trouble` says why it does not decode to its end.

    `bandwidth` in Hz, `clipped` a share of the samples, `loudness` in LUFS, `quietest` the level of the
    quietest tenth in dB; null where the sound is too short or silent. `items` is a Chromaprint, `samples` the
    beginning of a short sound's digest.
    """

    trouble: str | None = None
    bandwidth: float = 0.0
    clipped: float = 0.0
    loudness: float | None = None
    quietest: float | None = None
    items: tuple[int, ...] = ()
    samples: str | None = None


def listen(path: Path, seen: Probe, scratch: Path) -> Heard | None:
    """Listen to a probed sound; None when that takes longer than allowed."""
    raw, printed = scratch / "samples.s16", scratch / "chromaprint.raw"
    reached = [0.0]
    music = seen.duration >= SHORTEST_MUSIC and can_print()
    command = ["-t", f"{_LONGEST}", "-i", str(path), "-vn"]
    command += ["-map", "0:a:0", "-af", "ebur128=framelog=quiet", "-f", "null", "-"]
    command += ["-map", "0:a:0", "-t", f"{_SAMPLED}", "-c:a", "pcm_s16le", "-f", "s16le", str(raw)]
    if music:
        command += ["-map", "0:a:0", "-t", f"{_PRINTED}", "-c:a", "pcm_s16le", "-ac", "1"]
        command += ["-f", "chromaprint", "-fp_format", "raw", str(printed)]
    try:
        done = run(command, timeout=_TIMEOUT, role="sound", on_progress=reached.append)
        length = min(seen.duration, _LONGEST)
        if max(reached) < length * _WHOLE - 0.2:
            return Heard(trouble=f"It decodes up to {max(reached):.1f} of {length:.1f} seconds.")
        samples = _read(raw, seen.channels)
        return Heard(
            bandwidth=_bandwidth(samples, seen.sample_rate),
            clipped=float(np.mean(np.abs(samples.astype(np.int32)) >= _FULL_SCALE)) if samples.size else 0.0,
            loudness=_loudness(done.stderr),
            quietest=_quietest(samples, seen.sample_rate),
            items=_items(printed) if music else (),
            samples=None if seen.duration >= SHORTEST_MUSIC else _digest(samples, seen),
        )
    except Permanent as error:
        return Heard(trouble=error.message)
    except Retryable as error:
        if error.code != "timeout":
            raise
        return None
    finally:
        raw.unlink(missing_ok=True)
        printed.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def can_print() -> bool:
    """Whether our ffmpeg has Chromaprint; without it music has no fingerprint, only its bytes are found."""
    asked = [ffmpeg_path(), "-hide_banner", "-h", "muxer=chromaprint"]
    done = subprocess.run(asked, capture_output=True, timeout=10, check=False)
    return b"fp_format" in done.stdout


def _read(raw: Path, channels: int) -> Samples:
    values = np.fromfile(raw, "<i2")
    channels = max(1, channels)
    return values[: values.size // channels * channels].reshape(-1, channels)


def _items(printed: Path) -> tuple[int, ...]:
    """The fingerprint; none where it says nothing: silence, a held tone."""
    found = tuple(int(item) for item in np.fromfile(printed, "<i4")) if printed.exists() else ()
    return found if terms(found) else ()


def _digest(samples: Samples, seen: Probe) -> str | None:
    if not samples.any():
        return None
    facts = f"{seen.sample_rate} {seen.channels} ".encode()
    return hashlib.sha256(facts + samples.tobytes()).hexdigest()[:16]


def _loudness(stderr: str) -> float | None:
    found = _LOUDNESS.findall(stderr)
    value = float(found[-1]) if found else -np.inf
    return value if value > _MEASURABLE else None


def _quietest(samples: Samples, rate: int) -> float | None:
    """The mean level of the quietest tenth of all blocks of 400 ms, in dB of full scale."""
    size = round(rate * _BLOCK)
    if size == 0 or len(samples) < 2 * size:
        return None
    count = len(samples) // size
    blocks = samples[: count * size].astype(np.float32).reshape(count, -1) / (_FULL_SCALE + 1)
    levels = np.sort(20 * np.log10(np.sqrt(np.mean(blocks**2, axis=1)) + 1e-9))
    tenth = levels[: max(1, round(count * _QUIET_SHARE))]
    return float(max(_FLOOR, tenth.mean()))


def _bandwidth(samples: Samples, rate: int) -> float:
    """The highest frequency that is within 60 dB of the loudest one, in one of twenty windows at least."""
    mono = samples.astype(np.float32).mean(axis=1) if samples.size else np.zeros(0, np.float32)
    if len(mono) < _WINDOW:
        mono = np.pad(mono, (0, _WINDOW - len(mono)))
    starts = np.linspace(0, len(mono) - _WINDOW, min(_WINDOWS, len(mono) // _WINDOW)).astype(int)
    windows = np.stack([mono[at : at + _WINDOW] for at in starts]) * np.hanning(_WINDOW).astype(np.float32)
    spectrum = np.quantile(np.abs(np.fft.rfft(windows, axis=1)), 0.95, axis=0)
    loudest = float(spectrum.max())
    if loudest <= 0:
        return 0.0
    heard = np.flatnonzero(spectrum >= loudest * 10 ** (_AUDIBLE / 20))
    return float(heard[-1] * rate / _WINDOW)
