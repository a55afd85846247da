"""Mix narration, music and the takes' own sound to a stated loudness.

Loudness is EBU R 128 / ITU-R BS.1770: integrated LUFS, true peak in dBTP. Speech and music are each
measured and levelled first, so that ducking does the same for loud and quiet material; then the sum is
brought to the target and limited at four times the sample rate (where the true peaks are). A take's own
sound gives way to speech with the music.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.errors import Invalid
from media.encoding import BITEXACT
from media.ffmpeg import run
from media.tracks import (
    LAYOUT,
    RATE,
    Loudness,
    TakeSound,
    exact,
    gain_to,
    lay_music,
    lay_speech,
    lay_takes,
    meter_to,
    read_meter,
)

SPEECH_LUFS = -17.0  # level of speech before the final gain
MUSIC_LUFS = -20.0  # level of music where nobody speaks, before the final gain
TAKE_LUFS = -20.0  # level of the takes' own sound, all of it together, likewise
_TAKE_GAIN = 12.0  # dB by which a quiet one is raised at most: what hums faintly should
_TOLERANCE = 0.4
_PEAK_TOLERANCE = 0.4  # dB above the asked true peak
_TRIES = 3
_REHEARSALS = 4
_NEAR = 0.15
_AAC_HEADROOM = 0.7  # dB by which AAC may raise a peak
_DUCK = "sidechaincompress=threshold=0.025:ratio=6:attack=30:release=450:knee=4:makeup=1:link=maximum"
# The compressor drops what it holds of one input when the other has ended: let that be silence, not music.
_TAIL = "apad=pad_dur=3"


def measure_loudness(path: Path, *, timeout: float = 300) -> Loudness:
    """Measure a sound or a film's sound. Permanent when there is none."""
    done = run(
        ["-i", str(path.resolve()), "-map", "0:a:0", "-af", "ebur128=peak=true", "-f", "null", "-"],
        timeout=timeout,
        role="sound",
    )
    return read_meter(done)


def mix(
    narrations: list[tuple[Path, float]],
    music: Path | None,
    out: Path,
    *,
    duration: float,
    takes: Sequence[TakeSound] = (),
    music_gain_db: float = 0.0,
    duck: bool = True,
    target_lufs: float = -14.0,
    true_peak: float = -1.5,
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Loudness:
    """Mix narrations (file, start in seconds) and looped, faded music into `out`; return its loudness.

    `out` is .wav (16 bit) or .m4a (AAC), stereo, exactly `duration` long. Speech goes over the music and over
    the own sound of `takes`, which give way while it lasts. Silence stays silence. Within 0.7 LU of the
    target, except where the peak limit forbids it.
    """
    if not 0 < duration <= 4 * 3600:
        raise Invalid(f"duration is {duration}; it must be over 0 and at most four hours.", field="duration")
    if out.suffix not in (".wav", ".m4a"):
        raise Invalid(f"A mix is written as .wav or .m4a, not {out.suffix}.", field="out")
    limit = 60 + 2 * duration
    with tempfile.TemporaryDirectory(prefix="mix-", dir=out.resolve().parent) as folder:
        speech, bed, own, under, mixed = (
            Path(folder) / f"{name}.wav" for name in ("speech", "bed", "own", "under", "mixed")
        )
        with ThreadPoolExecutor(2) as pool:
            spoken = pool.submit(lay_speech, narrations, speech, duration, limit)
            played = pool.submit(lay_music, music, bed, duration, limit) if music else None
            heard = pool.submit(lay_takes, takes, own, duration, limit) if takes else None
            speech_level = spoken.result()
            bed_level = played.result() if played else None
            own_level = heard.result() if heard else None
        gain = gain_to(bed_level, MUSIC_LUFS) + music_gain_db if bed_level else 0.0
        if own_level is not None:
            tracks = [(own, gain_to(own_level, TAKE_LUFS, _TAKE_GAIN))]
            tracks += [(bed, gain)] if bed_level else []
            bed_level, gain = _add(tracks, under, limit, should_stop), 0.0
        level = _blend(
            speech,
            under if takes else bed,
            mixed,
            speech_level=speech_level,
            bed_level=bed_level,
            bed_gain=gain,
            duration=duration,
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


def _add(
    tracks: Sequence[tuple[Path, float]], out: Path, limit: float, should_stop: Callable[[], bool] | None
) -> Loudness:
    """Level tracks, each by so many dB, and add them."""
    inputs = [part for path, _ in tracks for part in ("-i", str(path))]
    chains = [f"[{i}:a]volume={gain:.2f}dB[t{i}]" for i, (_, gain) in enumerate(tracks)]
    joined = "".join(f"[t{i}]" for i in range(len(tracks)))
    chains.append(f"{joined}amix=inputs={len(tracks)}:normalize=0:duration=first[m]")
    return meter_to(inputs, ";".join(chains), out, limit, role="take", should_stop=should_stop)


def _blend(
    speech: Path,
    bed: Path,
    out: Path,
    *,
    speech_level: Loudness,
    bed_level: Loudness | None,
    bed_gain: float,
    duration: float,
    duck: bool,
    limit: float,
    should_stop: Callable[[], bool] | None,
) -> Loudness:
    """Level speech and what lies under it, duck that under the speech and add them."""
    said = f"volume={gain_to(speech_level, SPEECH_LUFS):.2f}dB"
    if bed_level is None or bed_level.silent:
        return meter_to(
            ["-i", str(speech)], f"[0:a]{said}[m]", out, limit, role="narration", should_stop=should_stop
        )
    played = f"volume={bed_gain:.2f}dB"
    if duck and not speech_level.silent:
        graph = (
            f"[0:a]{said},asplit[s][k];[k]{_TAIL}[key];[1:a]{played},{_TAIL}[b];"
            f"[b][key]{_DUCK},{exact(duration)}[low];[s][low]amix=inputs=2:normalize=0:duration=first[m]"
        )
    else:
        graph = f"[0:a]{said}[s];[1:a]{played}[b];[s][b]amix=inputs=2:normalize=0:duration=first[m]"
    return meter_to(
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
        steps += [exact(duration), *([] if aac else ["ebur128=peak=true"]), LAYOUT]
        done = run(
            ["-i", str(mixed), "-af", ",".join(steps), "-vn", *codec, *BITEXACT],
            out=out,
            timeout=limit,
            on_progress=on_progress,
            should_stop=should_stop,
            role="mix",
        )
        # AAC overshoots by what only its own output tells
        reached = measure_loudness(out) if aac else read_meter(done)
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
    gain = gain_to(level, target)
    if level.silent or level.true_peak + gain <= ceiling:
        return gain
    for _ in range(_REHEARSALS):
        heard = read_meter(
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
