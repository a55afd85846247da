"""One track of a film's sound: narrations, music or the takes' own, laid where they belong and measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Permanent
from media.ffmpeg import Result, run

RATE = 48_000
SILENCE = -69.0  # what the meter says of (nearly) nothing
LAYOUT = f"aresample={RATE},aformat=sample_fmts=fltp:channel_layouts=stereo"
STEADY = f"aresample={RATE}:async=1:first_pts=0,{LAYOUT}"
"""A sound that begins later than its picture stays as much later."""
_FADE = 0.03  # seconds at either end of a take's sound: nothing clicks, nothing is heard to fade


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness in LUFS and true peak in dBTP; both -inf for silence."""

    integrated: float
    true_peak: float

    @property
    def silent(self) -> bool:
        return self.integrated <= SILENCE


@dataclass(frozen=True)
class TakeSound:
    """A take's own sound: heard from `start` in the film for `seconds`, both in seconds."""

    path: Path
    start: float
    seconds: float


def lay_speech(
    narrations: Sequence[tuple[Path, float]], out: Path, duration: float, limit: float
) -> Loudness:
    """Put every narration at its time on one track."""
    chains = [f"{LAYOUT},{_delay(start)}" for _, start in narrations]
    return _lay([path for path, _ in narrations], chains, out, duration, limit, role="narration")


def lay_takes(takes: Sequence[TakeSound], out: Path, duration: float, limit: float) -> Loudness:
    """Put every take's own sound at its shot on one track, with short fades."""
    chains = [f"{','.join(_cut(take.seconds))},{_delay(take.start)}" for take in takes]
    return _lay([take.path for take in takes], chains, out, duration, limit, role="take")


def _cut(seconds: float) -> Iterator[str]:
    fade = min(_FADE, seconds / 4)
    yield STEADY
    yield f"atrim=end_sample={round(seconds * RATE)}"
    yield f"afade=t=in:d={fade:.4f}"
    yield f"afade=t=out:st={seconds - fade:.4f}:d={fade:.4f}"


def _delay(start: float) -> str:
    return f"adelay={round(max(0.0, start) * RATE)}S:all=1"


def _lay(
    paths: Sequence[Path], chains: Sequence[str], out: Path, duration: float, limit: float, *, role: str
) -> Loudness:
    inputs: list[str] = ["-f", "lavfi", "-i", f"anullsrc=r={RATE}:cl=stereo"]
    graph: list[str] = []
    for i, (path, chain) in enumerate(zip(paths, chains, strict=True), 1):
        inputs += ["-i", str(path.resolve())]
        graph.append(f"[{i}:a:0]{chain}[n{i}]")
    joined = "".join(f"[n{i}]" for i in range(1, len(paths) + 1))
    graph.append(
        f"[0:a]{joined}amix=inputs={len(paths) + 1}:normalize=0:duration=longest,{exact(duration)}[m]"
    )
    return meter_to(inputs, ";".join(graph), out, limit, role=role)


def lay_music(music: Path, out: Path, duration: float, limit: float) -> Loudness:
    """Loop and trim the music to the film, with fades."""
    fade = min(3.0, duration / 4)
    graph = (
        f"[0:a:0]{LAYOUT},{exact(duration)},afade=t=in:d={fade / 3:.3f},"
        f"afade=t=out:st={duration - fade:.3f}:d={fade:.3f}[m]"
    )
    return meter_to(["-stream_loop", "-1", "-i", str(music.resolve())], graph, out, limit, role="music")


def meter_to(
    inputs: list[str],
    graph: str,
    out: Path,
    limit: float,
    *,
    role: str,
    should_stop: Callable[[], bool] | None = None,
) -> Loudness:
    """Run a graph ending in [m] into a float WAV and measure it on the way."""
    done = run(
        [
            *inputs,
            *("-filter_complex", f"{graph};[m]ebur128=peak=true,{LAYOUT}[o]", "-map", "[o]"),
            *("-c:a", "pcm_f32le", "-rf64", "auto"),
        ],
        out=out,
        timeout=limit,
        should_stop=should_stop,
        role=role,
    )
    return read_meter(done)


def exact(duration: float) -> str:
    return f"apad,atrim=end_sample={round(duration * RATE)}"


def gain_to(level: Loudness, target: float, most: float = 30.0) -> float:
    """Say the gain in dB that takes a level to a target; none for silence, at most `most` for whispers."""
    return 0.0 if level.silent else min(most, target - level.integrated)


def read_meter(done: Result) -> Loudness:
    """Read the summary ebur128 writes at the end of stderr."""
    summary = done.stderr.rpartition("Summary:")[2]
    loud, peak = (
        re.search(r"I:\s+(-?[\d.]+|-inf) LUFS", summary),
        re.search(r"Peak:\s+(-?[\d.]+|-inf) dBFS", summary),
    )
    if loud is None:
        raise Permanent("The loudness of the sound could not be measured.", code="ffmpeg_failed")
    integrated = float(loud[1])
    return Loudness(integrated if integrated > SILENCE else -math.inf, float(peak[1]) if peak else -math.inf)
