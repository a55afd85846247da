"""Mix narration and music to a stated loudness.

Loudness is EBU R 128 / ITU-R BS.1770: integrated LUFS, true peak in dBTP. Speech and music are each
measured and levelled first, so that ducking does the same for loud and quiet material; then the sum is
brought to the target and limited at four times the sample rate (where the true peaks are).
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.errors import Invalid, Permanent
from media.encoding import BITEXACT
from media.ffmpeg import Result, run

RATE = 48_000
SPEECH_LUFS = -17.0  # level of speech before the final gain
MUSIC_LUFS = -20.0  # level of music where nobody speaks, before the final gain
_SILENCE = -69.0  # what the meter says of (nearly) nothing
_TOLERANCE = 0.4
_PEAK_TOLERANCE = 0.4  # dB above the asked true peak
_TRIES = 3
_REHEARSALS = 4
_NEAR = 0.15
_AAC_HEADROOM = 0.7  # dB by which AAC may raise a peak
_LAYOUT = f"aresample={RATE},aformat=sample_fmts=fltp:channel_layouts=stereo"
_DUCK = "sidechaincompress=threshold=0.025:ratio=6:attack=30:release=450:knee=4:makeup=1:link=maximum"
# The compressor drops what it holds of one input when the other has ended: let that be silence, not music.
_TAIL = "apad=pad_dur=3"


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness in LUFS and true peak in dBTP; both -inf for silence."""

    integrated: float
    true_peak: float

    @property
    def silent(self) -> bool:
        return self.integrated <= _SILENCE


def measure_loudness(path: Path, *, timeout: float = 300) -> Loudness:
    """Measure a sound or a film's sound. Permanent when there is none."""
    done = run(
        ["-i", str(path.resolve()), "-map", "0:a:0", "-af", "ebur128=peak=true", "-f", "null", "-"],
        timeout=timeout,
        role="sound",
    )
    return _read_meter(done)


def mix(
    narrations: list[tuple[Path, float]],
    music: Path | None,
    out: Path,
    *,
    duration: float,
    music_gain_db: float = 0.0,
    duck: bool = True,
    target_lufs: float = -14.0,
    true_peak: float = -1.5,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Loudness:
    """Mix narrations (file, start in seconds) and looped, faded music into `out`; return its loudness.

    `out` is .wav (16 bit) or .m4a (AAC), stereo, exactly `duration` long. Speech goes over the music,
    which gives way while it lasts. Silence stays silence. Within 0.7 LU of the target, except where the
    peak limit forbids it.
    """
    if not 0 < duration <= 4 * 3600:
        raise Invalid(f"duration is {duration}; it must be over 0 and at most four hours.", field="duration")
    if out.suffix not in (".wav", ".m4a"):
        raise Invalid(f"A mix is written as .wav or .m4a, not {out.suffix}.", field="out")
    limit = 60 + 2 * duration
    with tempfile.TemporaryDirectory(prefix="mix-", dir=out.resolve().parent) as folder:
        speech, bed, mixed = (Path(folder) / name for name in ("speech.wav", "bed.wav", "mixed.wav"))
        with ThreadPoolExecutor(2) as pool:
            spoken = pool.submit(_lay_speech, narrations, speech, duration, limit)
            played = pool.submit(_lay_music, music, bed, duration, limit) if music else None
            speech_level = spoken.result()
            bed_level = played.result() if played else None
        level = _blend(
            speech,
            bed,
            mixed,
            speech_level=speech_level,
            bed_level=bed_level,
            duration=duration,
            music_gain_db=music_gain_db,
            duck=duck,
            limit=limit,
            should_stop=should_stop,
        )
        return _finish(
            mixed,
            level,
            out,
            duration=duration,
            target=target_lufs,
            peak=true_peak,
            limit=limit,
            on_progress=on_progress,
            should_stop=should_stop,
        )


def _lay_speech(narrations: list[tuple[Path, float]], out: Path, duration: float, limit: float) -> Loudness:
    """Put every narration at its time on one track."""
    inputs: list[str] = ["-f", "lavfi", "-i", f"anullsrc=r={RATE}:cl=stereo"]
    chains: list[str] = []
    for i, (path, start) in enumerate(narrations, 1):
        inputs += ["-i", str(path.resolve())]
        delay = round(max(0.0, start) * RATE)
        chains.append(f"[{i}:a:0]{_LAYOUT},adelay={delay}S:all=1[n{i}]")
    joined = "".join(f"[n{i}]" for i in range(1, len(narrations) + 1))
    chains.append(
        f"[0:a]{joined}amix=inputs={len(narrations) + 1}:normalize=0:duration=longest,{_exact(duration)}[m]"
    )
    return _meter_to(inputs, ";".join(chains), out, limit, role="narration")


def _lay_music(music: Path, out: Path, duration: float, limit: float) -> Loudness:
    """Loop and trim the music to the film, with fades."""
    fade = min(3.0, duration / 4)
    graph = (
        f"[0:a:0]{_LAYOUT},{_exact(duration)},afade=t=in:d={fade / 3:.3f},"
        f"afade=t=out:st={duration - fade:.3f}:d={fade:.3f}[m]"
    )
    return _meter_to(["-stream_loop", "-1", "-i", str(music.resolve())], graph, out, limit, role="music")


def _blend(
    speech: Path,
    bed: Path,
    out: Path,
    *,
    speech_level: Loudness,
    bed_level: Loudness | None,
    duration: float,
    music_gain_db: float,
    duck: bool,
    limit: float,
    should_stop: Callable[[], bool] | None,
) -> Loudness:
    """Level speech and music, duck the music under the speech and add them."""
    said = f"volume={_gain(speech_level, SPEECH_LUFS):.2f}dB"
    if bed_level is None or bed_level.silent:
        return _meter_to(
            ["-i", str(speech)], f"[0:a]{said}[m]", out, limit, role="narration", should_stop=should_stop
        )
    played = f"volume={_gain(bed_level, MUSIC_LUFS) + music_gain_db:.2f}dB"
    if duck and not speech_level.silent:
        graph = (
            f"[0:a]{said},asplit[s][k];[k]{_TAIL}[key];[1:a]{played},{_TAIL}[b];"
            f"[b][key]{_DUCK},{_exact(duration)}[low];[s][low]amix=inputs=2:normalize=0:duration=first[m]"
        )
    else:
        graph = f"[0:a]{said}[s];[1:a]{played}[b];[s][b]amix=inputs=2:normalize=0:duration=first[m]"
    return _meter_to(
        ["-i", str(speech), "-i", str(bed)], graph, out, limit, role="music", should_stop=should_stop
    )


def _finish(
    mixed: Path,
    level: Loudness,
    out: Path,
    *,
    duration: float,
    target: float,
    peak: float,
    limit: float,
    on_progress: Callable[[float], None] | None,
    should_stop: Callable[[], bool] | None,
) -> Loudness:
    """Bring the mix to its loudness; limiting takes some away, so the result is measured and mended."""
    aac = out.suffix == ".m4a"
    ceiling = peak - (_AAC_HEADROOM if aac else 0.1)
    gain = _rehearse(mixed, level, target, ceiling, limit)
    codec = ["-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart"] if aac else ["-c:a", "pcm_s16le"]
    for _ in range(_TRIES):
        steps = [f"volume={gain:.3f}dB"]
        if level.true_peak + gain > ceiling:
            steps += [f"aresample={4 * RATE}", _limiter(ceiling), f"aresample={RATE}"]
        # the meter works in doubles at its own rate; encoders want floats at ours
        steps += [_exact(duration), "ebur128=peak=true", _LAYOUT]
        done = run(
            ["-i", str(mixed), "-af", ",".join(steps), "-vn", *codec, *BITEXACT],
            out=out,
            timeout=limit,
            on_progress=on_progress,
            should_stop=should_stop,
            role="mix",
        )
        # AAC overshoots by what only its own output tells
        reached = measure_loudness(out) if aac else _read_meter(done)
        loud_enough = reached.silent or abs(reached.integrated - target) <= _TOLERANCE
        over = reached.true_peak - peak
        if loud_enough and over <= _PEAK_TOLERANCE:
            return reached
        if over > _PEAK_TOLERANCE:
            ceiling -= over
        if not reached.silent:
            gain += target - reached.integrated
    return reached


def _rehearse(mixed: Path, level: Loudness, target: float, ceiling: float, limit: float) -> float:
    """Find the gain that reaches the target in spite of what limiting takes away.

    Nothing is written and the limiter works at the plain rate: a tenth of what a try of the whole costs.
    """
    gain = _gain(level, target)
    if level.silent or level.true_peak + gain <= ceiling:
        return gain
    for _ in range(_REHEARSALS):
        heard = _read_meter(
            run(
                [
                    "-i",
                    str(mixed),
                    "-af",
                    f"volume={gain:.3f}dB,{_limiter(ceiling)},ebur128",
                    "-f",
                    "null",
                    "-",
                ],
                timeout=limit,
                role="mix",
            )
        )
        if heard.silent or abs(target - heard.integrated) <= _NEAR:
            break
        gain += target - heard.integrated
    return gain


def _limiter(ceiling: float) -> str:
    return f"alimiter=limit={10 ** (ceiling / 20):.6f}:level=0:attack=4:release=60:latency=1"


def _meter_to(
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
            *("-filter_complex", f"{graph};[m]ebur128=peak=true,{_LAYOUT}[o]", "-map", "[o]"),
            *("-c:a", "pcm_f32le", "-rf64", "auto"),
        ],
        out=out,
        timeout=limit,
        should_stop=should_stop,
        role=role,
    )
    return _read_meter(done)


def _exact(duration: float) -> str:
    return f"apad,atrim=end_sample={round(duration * RATE)}"


def _gain(level: Loudness, target: float) -> float:
    """Say the gain in dB that takes a level to a target; none for silence, at most 30 for whispers."""
    return 0.0 if level.silent else min(30.0, target - level.integrated)


def _read_meter(done: Result) -> Loudness:
    """Read the summary ebur128 writes at the end of stderr."""
    summary = done.stderr.rpartition("Summary:")[2]
    loud, peak = (
        re.search(r"I:\s+(-?[\d.]+|-inf) LUFS", summary),
        re.search(r"Peak:\s+(-?[\d.]+|-inf) dBFS", summary),
    )
    if loud is None:
        raise Permanent("The loudness of the sound could not be measured.", code="ffmpeg_failed")
    integrated = float(loud[1])
    return Loudness(integrated if integrated > _SILENCE else -math.inf, float(peak[1]) if peak else -math.inf)
