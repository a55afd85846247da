from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest

from core.errors import Invalid, Permanent
from media.ambient import PALETTES, render_ambient
from media.ffmpeg import run
from media.probe import probe
from media.sound import measure_loudness, mix


@pytest.fixture(scope="module")
def music(made: Path) -> Path:
    render_ambient(made / "music.wav", duration=5, seed=1)
    return made / "music.wav"


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as f:
        samples = np.frombuffer(f.readframes(f.getnframes()), "<i2")
        return samples.reshape(-1, f.getnchannels()).astype(float) / 32768


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
@pytest.mark.parametrize("target", [-14.0, -23.0])
def test_a_mix_reaches_its_loudness_under_its_peak(
    speech, music, tmp_path: Path, suffix: str, target: float
) -> None:
    out = tmp_path / f"mix{suffix}"
    mix([(speech, 0.5), (speech, 4.0), (speech, 7.5)], music, out, duration=11, target_lufs=target)
    heard = measure_loudness(out)
    assert heard.integrated == pytest.approx(target, abs=0.7)
    assert heard.true_peak <= -1.0


def test_a_mix_is_exactly_as_long_as_asked(speech: Path, music: Path, tmp_path: Path) -> None:
    mix([(speech, 0.0)], music, tmp_path / "a.wav", duration=7.123)
    assert len(read_wav(tmp_path / "a.wav")) == round(7.123 * 48_000)
    mix([(speech, 1.5)], None, tmp_path / "b.m4a", duration=2.5)
    assert probe(tmp_path / "b.m4a").duration == pytest.approx(2.5, abs=0.022)


def test_music_gives_way_to_speech(made: Path, speech: Path, tmp_path: Path) -> None:
    """The music sits at 3 kHz, where the speech has nothing: its level can be read in the mix."""
    t = np.arange(10 * 48_000) / 48_000
    tone = (np.sin(2 * np.pi * 3000 * t) * 0.2 * 32767).astype("<i2")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(48_000)
        f.writeframes(tone.tobytes())
    mix([(speech, 3.0)], tmp_path / "tone.wav", tmp_path / "a.wav", duration=10, target_lufs=-20)
    samples = read_wav(tmp_path / "a.wav")[:, 0]

    def level(start: float, end: float) -> float:
        part = samples[round(start * 48_000) : round(end * 48_000)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        hertz = np.fft.rfftfreq(len(part), 1 / 48_000)
        return 20 * math.log10(spectrum[(hertz > 2950) & (hertz < 3050)].max() / len(part))

    assert 5 < level(1.8, 2.8) - level(3.3, 4.8) < 18
    assert level(6.5, 7.0) - level(1.8, 2.8) > -3 - 6  # and comes back


def test_a_mix_with_music_under_speech_is_the_same_bytes_every_time(
    speech: Path, music: Path, tmp_path: Path
) -> None:
    """ffmpeg reads its inputs in threads; which of them ends first must not cut the other's tail."""
    made = set()
    for number in range(10):
        out = tmp_path / f"{number}.wav"
        mix([(speech, 0.5)], music, out, duration=6.0)
        made.add(out.read_bytes())
    assert len(made) == 1


def test_silence_stays_silence_and_music_alone_is_levelled(music: Path, tmp_path: Path) -> None:
    assert mix([], None, tmp_path / "a.m4a", duration=2).silent
    assert mix([], music, tmp_path / "b.wav", duration=12).integrated == pytest.approx(-14, abs=0.7)


def test_a_broken_narration_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF nothing")
    with pytest.raises(Permanent) as e:
        mix([(bad, 0.0)], None, tmp_path / "a.wav", duration=2)
    assert e.value.field == "narration"
    assert [p.name for p in tmp_path.iterdir()] == ["bad.wav"]


def test_impossible_lengths_and_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as e:
        mix([], None, tmp_path / "a.wav", duration=0)
    assert e.value.field == "duration"
    with pytest.raises(Invalid):
        mix([], None, tmp_path / "a.mp3", duration=1)
    with pytest.raises(Invalid):
        render_ambient(tmp_path / "a.wav", duration=1, seed=1, mood="jolly")


@pytest.mark.parametrize("mood", PALETTES)
def test_a_bed_of_music_is_repeatable_full_and_never_clips(tmp_path: Path, mood: str) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        render_ambient(tmp_path / f"{name}.wav", duration=8.5, seed=seed, mood=mood)
    a, b, c = ((tmp_path / f"{n}.wav").read_bytes() for n in "abc")
    assert a == b != c
    samples = read_wav(tmp_path / "a.wav")
    assert samples.shape == (round(8.5 * 48_000), 2)
    assert 0.5 < np.abs(samples).max() < 0.95
    blocks = np.sqrt((samples[: 8 * 48_000].reshape(16, -1) ** 2).mean(axis=1))
    assert blocks[3:-4].min() > 0.02  # no holes between chords
    assert abs(samples[:, 0].mean()) < 0.01


def test_a_film_without_sound_has_no_loudness(make_clip) -> None:
    with pytest.raises(Permanent) as e:
        measure_loudness(make_clip("plain.mp4"))
    assert e.value.field == "sound"


def test_hard_transients_keep_below_the_true_peak_after_aac(tmp_path: Path) -> None:
    clicks = tmp_path / "clicks.wav"
    run(
        [
            "-f",
            "lavfi",
            "-i",
            "aevalsrc='(random(0)*2-1)*pow(1-mod(t,0.25)*4,12)':s=22050:d=6",
            "-c:a",
            "pcm_s16le",
        ],
        out=clicks,
        timeout=30,
    )
    out = tmp_path / "mix.m4a"
    reached = mix([(clicks, 0.0)], None, out, duration=6.0)
    assert measure_loudness(out).true_peak <= -1.0
    assert reached.true_peak == pytest.approx(measure_loudness(out).true_peak, abs=0.1)
