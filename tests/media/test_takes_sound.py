"""Takes' own sound in the mix: in its shot and nowhere else, under speech, at the asked loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import Permanent
from media.clips import trim_clip
from media.ffmpeg import run
from media.probe import probe
from media.sound import measure_loudness, mix
from media.tracks import TakeSound
from tests.tones import NOTHING, RATE, level, samples_of

HIGH, LOW = 3000, 5000  # where the speech has nothing


@pytest.fixture(scope="module")
def take(made: Path):
    """Make a film of so many seconds with a tone."""

    def make(hertz: int, seconds: float, volume: float = 1.0) -> Path:
        path = made / f"take-{hertz}-{seconds}-{volume}.mp4"
        if not path.exists():
            picture = ["-f", "lavfi", "-i", f"testsrc=s=64x64:d={seconds}:r=25"]
            tone = ["-f", "lavfi", "-i", f"sine={hertz}:r={RATE}:d={seconds},volume={volume}"]
            run([*picture, *tone, "-c:v", "libx264", "-c:a", "aac"], out=path, timeout=30)
        return path

    return make


def test_a_takes_sound_is_heard_in_its_shot_and_nowhere_else_and_gives_way_to_speech(
    take, speech: Path, tmp_path: Path
) -> None:
    shot = TakeSound(take(HIGH, 6), 3.0, 5.0)  # longer than its shot
    out = tmp_path / "mix.m4a"
    reached = mix([(speech, 4.5)], None, out, duration=12, takes=[shot])
    heard = samples_of(out, tmp_path)
    alone = level(heard, HIGH, 3.2, 4.3)
    assert alone > -30
    assert 5 < alone - level(heard, HIGH, 4.9, 6.3) < 18, "ducked under speech"
    assert level(heard, HIGH, 7.3, 7.9) == pytest.approx(alone, abs=3), "and comes back"
    for start, end in ((0, 2.95), (8.05, 12)):
        assert level(heard, HIGH, start, end) < NOTHING
    assert reached.integrated == pytest.approx(-14, abs=0.7)
    assert measure_loudness(out).true_peak <= -1.0


def test_every_shot_has_its_own_and_one_that_is_too_short_is_followed_by_silence(take, tmp_path) -> None:
    takes = [TakeSound(take(HIGH, 2), 1.0, 2.0), TakeSound(take(LOW, 1), 4.0, 1.0)]
    mix([], None, tmp_path / "mix.wav", duration=8, takes=takes)
    heard = samples_of(tmp_path / "mix.wav", tmp_path)
    assert level(heard, HIGH, 1.1, 2.9) > -30 > NOTHING > level(heard, LOW, 1.1, 2.9)
    assert level(heard, LOW, 4.1, 4.9) > -30 > NOTHING > level(heard, HIGH, 4.1, 4.9)
    for start, end in ((0, 0.95), (3.05, 3.95), (5.05, 8)):
        assert np.abs(heard[round(start * RATE) : round(end * RATE)]).max() < 1e-3


def test_a_cut_sound_does_not_click(take, tmp_path: Path) -> None:
    """A hard cut through a low tone is heard in all frequencies: here above where the tone is."""
    for name, seconds in (("cut", 1.5), ("whole", 2.0)):
        mix([], None, tmp_path / f"{name}.wav", duration=4, takes=[TakeSound(take(200, 2), 1.0, seconds)])
    for name, end in (("cut", 2.5), ("whole", 3.0)):
        heard = samples_of(tmp_path / f"{name}.wav", tmp_path)
        for edge in (1.0, end):
            part = heard[round((edge - 0.05) * RATE) : round((edge + 0.05) * RATE)]
            spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)))) * 4 / len(part)
            above = spectrum[np.fft.rfftfreq(len(part), 1 / RATE) > 4000].max()
            assert 20 * np.log10(above) < -70


def test_a_sound_that_begins_after_its_picture_stays_as_late(take, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    tone = ["-itsoffset", "0.5", "-i", str(take(HIGH, 2))]
    run(["-i", str(take(LOW, 3)), *tone, *("-map", "0:v", "-map", "1:a", "-c", "copy")], out=late, timeout=30)
    mix([], None, tmp_path / "mix.wav", duration=4, takes=[TakeSound(late, 1.0, 2.5)])
    heard = samples_of(tmp_path / "mix.wav", tmp_path)
    assert level(heard, HIGH, 1.0, 1.45) < NOTHING
    assert level(heard, HIGH, 1.6, 3.0) > -30


def test_music_and_takes_lie_under_speech_together_at_levels_of_their_own(take, speech, tmp_path) -> None:
    music = tmp_path / "music.wav"
    run(["-f", "lavfi", "-i", f"sine={LOW}:r={RATE}:d=10", "-c:a", "pcm_s16le"], out=music, timeout=30)
    shot = TakeSound(take(HIGH, 6, 0.4), 1.0, 6.0)
    mix([(speech, 3.0)], music, tmp_path / "mix.wav", duration=10, takes=[shot])
    heard = samples_of(tmp_path / "mix.wav", tmp_path)
    quiet, spoken = (1.8, 2.8), (3.4, 4.8)
    for hertz in (HIGH, LOW):
        assert 5 < level(heard, hertz, *quiet) - level(heard, hertz, *spoken) < 18
    assert abs(level(heard, HIGH, *quiet) - level(heard, LOW, *quiet)) < 6
    assert level(heard, HIGH, 7.1, 9.9) < NOTHING
    assert level(heard, LOW, 7.1, 7.9) > -40, "the music plays on"


def test_what_is_hardly_heard_is_not_made_loud(take, tmp_path: Path) -> None:
    """A hum far below everything else stays far below it."""
    music = tmp_path / "music.wav"
    run(["-f", "lavfi", "-i", f"sine={LOW}:r={RATE}:d=6", "-c:a", "pcm_s16le"], out=music, timeout=30)
    hum = TakeSound(take(HIGH, 4, 0.01), 0.0, 4.0)
    mix([], music, tmp_path / "mix.wav", duration=6, takes=[hum])
    heard = samples_of(tmp_path / "mix.wav", tmp_path)
    assert level(heard, LOW, 1.5, 3.5) - level(heard, HIGH, 1.5, 3.5) > 15


def test_the_same_takes_give_the_same_bytes(take, speech: Path, tmp_path: Path) -> None:
    made = set()
    for number in range(6):
        out = tmp_path / f"{number}.m4a"
        takes = [TakeSound(take(HIGH, 6), 0.5, 3.0), TakeSound(take(LOW, 1), 4.0, 1.0)]
        mix([(speech, 1.0)], take(200, 2), out, duration=6, takes=takes)
        made.add(out.read_bytes())
    assert len(made) == 1


def test_a_take_without_sound_is_named(make_clip, tmp_path: Path) -> None:
    with pytest.raises(Permanent) as caught:
        mix([], None, tmp_path / "a.wav", duration=2, takes=[TakeSound(make_clip("plain.mp4"), 0, 1)])
    assert caught.value.field == "take"


@pytest.mark.parametrize(("frames", "start"), [(50, 1.0), (100, 0.0), (200, 0.0)])
def test_a_clip_keeps_its_own_sound_for_exactly_as_long_as_its_picture(take, tmp_path, frames, start) -> None:
    made = set()
    for number in range(2):
        out = tmp_path / f"{number}.mp4"
        wish = {"width": 64, "height": 64, "fps": 25, "frames": frames}
        trim_clip(take(HIGH, 3.5), out, **wish, start=start, audio=True)
        made.add(out.read_bytes())
    seen = probe(out)
    assert (seen.frames, seen.audio_duration) == (frames, pytest.approx(frames / 25, abs=0.025))
    heard = samples_of(out, tmp_path)
    assert level(heard, HIGH, 0.2, min(frames / 25, 3.4)) > -25
    assert len(made) == 1


def test_a_clip_without_sound_makes_a_take_without_sound(make_clip, take, tmp_path: Path) -> None:
    wish = {"width": 320, "height": 180, "fps": 25, "frames": 10}
    trim_clip(make_clip("plain.mp4"), tmp_path / "a.mp4", **wish, audio=True)
    trim_clip(take(HIGH, 2), tmp_path / "b.mp4", **wish)
    assert not probe(tmp_path / "a.mp4").has_audio
    assert not probe(tmp_path / "b.mp4").has_audio
