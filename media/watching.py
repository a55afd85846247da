"""Watch a clip once, from beginning to end: does it decode, how much of it shows something, and what.

One run of ffmpeg gives everything: black and frozen stretches, nine frames to judge sharpness by, 25 for the
sprite that stands for the whole clip, and one a second that tell whether two clips share a stretch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import Permanent, Retryable
from media.ffmpeg import Result, run
from media.images import JUDGED_SIDE, Pixels, perceptual_hashes, sharpness
from media.probe import Probe

LONGEST = 600.0
"""Seconds that are watched at most: what a film takes of a clip is a few."""
_TIMEOUT = 180.0
_WHOLE = 0.9  # as in the probe: what ends before this share of its length is cut off
_HIDDEN_FRAMES = {"vp8", "vp9", "av1"}  # their packets that show nothing are never as many as those that do
_SPRITE, _SPRITE_EDGE, _TILE = 5, 0.05, 160
_MOST_FRAMES = 120
_SHARP_FRAMES = 9
_BAR = 24  # a row whose brightest pixel in all frames is darker is a letterbox' bar
_LEAST_PICTURE = 0.3
_BLACK = re.compile(r"black_duration:\s*([\d.]+)")
_FREEZE = re.compile(r"freeze_(start|duration): ([\d.]+)")


@dataclass(frozen=True)
class Watched:
    """`trouble` says why it does not decode to its end; shares are of its length; hashes may be none."""

    trouble: str | None = None
    black: float = 0.0
    frozen: float = 0.0
    sharpness: tuple[float, ...] = ()
    sprite: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()


def watch(path: Path, seen: Probe, scratch: Path) -> Watched | None:
    """Watch a probed clip; None when that takes longer than allowed."""
    length = min(seen.duration, LONGEST)
    tile = _fit(seen, _TILE, by_width=True)
    sharp = _fit(seen, JUDGED_SIDE, by_width=seen.width >= seen.height)
    raw = {name: scratch / f"{name}.gray" for name in ("sharp", "sprite", "frames")}
    reached: list[float] = [0.0]
    try:
        done = run(
            _command(path, length, tile, sharp, raw),
            timeout=_TIMEOUT,
            role="clip",
            on_progress=reached.append,
        )
        return _judge(seen, length, done, max(reached), raw, tile, sharp)
    except Permanent as error:
        return Watched(trouble=error.message)
    except Retryable as error:
        if error.code != "timeout":
            raise
        return None
    finally:
        for file in raw.values():
            file.unlink(missing_ok=True)


def _command(
    path: Path, length: float, tile: tuple[int, int], sharp: tuple[int, int], raw: dict[str, Path]
) -> list[str]:
    first, last = length * _SPRITE_EDGE, length * (1 - _SPRITE_EDGE)
    sprite_rate = _SPRITE**2 / max(last - first, 0.04)
    small, large = f"scale={tile[0]}:{tile[1]}:flags=area", f"scale={sharp[0]}:{sharp[1]}:flags=area"
    graph = ";".join(
        [
            "[0:v:0]split[large][all]",
            f"[large]fps={_SHARP_FRAMES / max(length, 0.04):.6f},{large},format=gray[sharp]",
            f"[all]{small},format=yuv420p,split=3[idle][some][steady]",
            "[idle]blackdetect=d=0.1:pix_th=0.10,freezedetect=n=-60dB:d=1[shown]",
            f"[some]trim={first:.3f}:{last:.3f},setpts=PTS-STARTPTS,fps={sprite_rate:.6f},format=gray[sprite]",
            f"[steady]fps=1,trim=end_frame={_MOST_FRAMES},format=gray[frames]",
        ]
    )
    files = [
        word
        for name, file in raw.items()
        for word in ("-map", f"[{name}]", "-c:v", "rawvideo", "-f", "rawvideo", str(file))
    ]
    shown = ["-map", "[shown]", "-fps_mode", "passthrough", "-f", "null", "-"]
    return ["-t", f"{LONGEST}", "-i", str(path), "-an", "-sn", "-filter_complex", graph, *shown, *files]


def _judge(
    seen: Probe,
    length: float,
    done: Result,
    reached: float,
    raw: dict[str, Path],
    tile: tuple[int, int],
    sharp: tuple[int, int],
) -> Watched:
    expected = seen.frames * min(1.0, length / seen.duration) if seen.duration else 0
    least = 0.5 if seen.video_codec in _HIDDEN_FRAMES else _WHOLE
    if reached < length * _WHOLE - 0.2:
        return Watched(trouble=f"It decodes up to {reached:.1f} of {length:.1f} seconds.")
    if done.frames < expected * least - 2:
        return Watched(trouble=f"Only {done.frames} of its {expected:.0f} frames decode.")
    tiles, steady = _without_bars(_read(raw["sprite"], tile)), _without_bars(_read(raw["frames"], tile))
    return Watched(
        black=_share(sum(float(found) for found in _BLACK.findall(done.stderr)), length),
        frozen=_share(_frozen(done.stderr, length), length),
        sharpness=tuple(round(sharpness(frame), 1) for frame in _read(raw["sharp"], sharp)[:_SHARP_FRAMES]),
        sprite=perceptual_hashes(_sprite(tiles))[:1] if len(tiles) else (),
        frames=tuple(value for frame in steady for value in perceptual_hashes(frame)[:1]),
    )


def _frozen(stderr: str, length: float) -> float:
    """Seconds that stand still; a stretch that lasts to the end has no duration in the log."""
    total, open_since = 0.0, None
    for what, value in _FREEZE.findall(stderr):
        if what == "start":
            open_since = float(value)
        else:
            total, open_since = total + float(value), None
    return total + (length - open_since if open_since is not None else 0.0)


def _share(seconds: float, length: float) -> float:
    return round(min(1.0, max(0.0, seconds / length)), 4) if length else 0.0


def _fit(seen: Probe, side: int, *, by_width: bool) -> tuple[int, int]:
    """The size with this width (else this height) and the clip's ratio, in even numbers."""
    scale = side / max(1, seen.width if by_width else seen.height)
    width, height = (max(2, round(edge * scale / 2) * 2) for edge in (seen.width, seen.height))
    return min(width, 4096), min(height, 4096)


def _read(file: Path, size: tuple[int, int]) -> Pixels:
    if not file.exists():
        return np.zeros((0, size[1], size[0]), np.uint8)
    values = np.fromfile(file, np.uint8)
    count = values.size // (size[0] * size[1])
    return values[: count * size[0] * size[1]].reshape(count, size[1], size[0])


def _without_bars(frames: Pixels) -> Pixels:
    """Cut off rows and columns that are dark in all frames."""
    if not len(frames):
        return frames
    brightest = frames.max(axis=0)
    rows, columns = (np.flatnonzero(brightest.max(axis=axis) > _BAR) for axis in (1, 0))
    if len(rows) < _LEAST_PICTURE * frames.shape[1] or len(columns) < _LEAST_PICTURE * frames.shape[2]:
        return frames
    return np.ascontiguousarray(frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _sprite(tiles: Pixels) -> Pixels:
    """Lay 25 frames out in five rows; too few are filled up with the last."""
    wanted = [tiles[min(place, len(tiles) - 1)] for place in range(_SPRITE**2)]
    rows = [np.hstack(wanted[at : at + _SPRITE]) for at in range(0, _SPRITE**2, _SPRITE)]
    return np.vstack(rows)
