import hashlib
import re
import shutil
import wave
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.errors import Invalid, Permanent
from providers import espeak
from providers.base import SpeechRequest
from providers.espeak import ADAPTER, choose_voice

TEXT = "In 1969, two people walked. The moon is 384,400 km away — a well-known fact 🚀 now."


@pytest.fixture
def speaker():
    return ADAPTER(context=None)


def samples_of(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def longest_quiet(samples: np.ndarray) -> float:
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 60)
    return float(np.diff(loud).max()) / 22050


def test_every_word_has_its_time_in_order_and_inside_the_sound(speaker, tmp_path):
    speech = speaker.speak(SpeechRequest(TEXT), tmp_path / "a.wav")
    assert [word.text for word in speech.words] == (
        [
            "In",
            "1969,",
            "two",
            "people",
            "walked.",
            "The",
            "moon",
            "is",
            "384,400",
            "km",
            "away —",
            "a",
            "well-known",
            "fact 🚀",
            "now.",
        ]
    )
    assert all(0 <= word.start < word.end <= speech.duration for word in speech.words)
    assert all(left.end <= right.start + 1e-9 for left, right in pairwise(speech.words))
    samples = samples_of(speech.path)
    assert speech.duration == len(samples) / 22050
    assert np.abs(samples).max() > 3000


def test_words_sound_while_they_are_said(speaker, tmp_path):
    speech = speaker.speak(SpeechRequest(TEXT), tmp_path / "a.wav")
    samples = samples_of(speech.path).astype(float)
    for word in speech.words:
        piece = samples[int(word.start * 22050) : int(word.end * 22050)]
        assert np.sqrt((piece**2).mean()) > 150, word


def test_long_silences_are_cut_and_the_end_is_not_abrupt(speaker, tmp_path):
    speech = speaker.speak(SpeechRequest("One.\n\n\nTwo... ... ... three."), tmp_path / "a.wav")
    samples = samples_of(speech.path)
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 60)
    assert longest_quiet(samples) <= 0.56
    assert loud[0] / 22050 <= 0.05
    assert 0.15 <= (len(samples) - loud[-1]) / 22050 <= 0.2


def test_the_same_request_gives_the_same_bytes_also_in_parallel(speaker, tmp_path):
    def speak(i: int) -> str:
        path = speaker.speak(SpeechRequest(TEXT), tmp_path / f"{i}.wav").path
        return hashlib.sha256(path.read_bytes()).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(speak, range(8)))) == 1


def test_the_gpl_library_never_enters_this_process(speaker, tmp_path):
    speaker.speak(SpeechRequest("Hello there."), tmp_path / "a.wav")
    speaker.voices()
    assert "espeak" not in re.sub(r"\.py\b.*", "", Path("/proc/self/maps").read_text())


@pytest.mark.parametrize(
    ("language", "voice", "text", "words"),
    [
        ("ar", "ar", "ينظر الناس إلى القمر.", 4),
        ("de-AT", "de", "Der Mond geht auf.", 4),
        ("en-US", "en-us", "The moon rises.", 3),
        ("zh", "cmn", "月亮很亮。", 4),
        ("pt_BR", "pt-br", "A lua sobe.", 3),
        ("hi", "hi", "चाँद निकलता है।", 3),
    ],
)
def test_many_languages_are_spoken(speaker, tmp_path, language, voice, text, words):
    speech = speaker.speak(SpeechRequest(text, language=language), tmp_path / "a.wav")
    assert (speech.voice, len(speech.words)) == (voice, words)
    assert np.abs(samples_of(speech.path)).max() > 3000


@pytest.mark.parametrize("text", ["🚀🌕", "— … !", "", "👩‍🚀 ❤️"])
def test_a_text_with_nothing_to_say_is_a_short_silence(speaker, tmp_path, text):
    speech = speaker.speak(SpeechRequest(text), tmp_path / "a.wav")
    assert speech.words == ()
    assert 1 <= speech.duration <= 2
    assert not samples_of(speech.path).any()


def test_speed_and_variant_change_the_sound(speaker, tmp_path):
    def duration(**wish) -> float:
        return speaker.speak(SpeechRequest(TEXT, **wish), tmp_path / "a.wav").duration

    assert duration(speed=1.5) < duration() * 0.8
    plain = speaker.speak(SpeechRequest(TEXT, voice="en-us"), tmp_path / "b.wav").path.read_bytes()
    other = speaker.speak(SpeechRequest(TEXT, voice="en-us+f3"), tmp_path / "c.wav").path.read_bytes()
    assert plain != other


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"voice": "klingon"}, "voice"),
        ({"voice": "en-us+../../x"}, "voice"),
        ({"language": "xx"}, "language"),
        ({"speed": 9.0}, "speed"),
        ({"text": "a" * 20_001}, "text"),
    ],
)
def test_what_cannot_be_spoken_is_refused_with_its_field(speaker, tmp_path, wish, field):
    with pytest.raises(Invalid) as caught:
        speaker.speak(SpeechRequest(**{"text": "Hello.", **wish}), tmp_path / "a.wav")
    assert caught.value.field == field
    assert not (tmp_path / "a.wav").exists()


def test_every_offered_voice_is_known_and_english_is_among_them(speaker):
    ids = {voice.id for voice in speaker.voices()}
    assert {"en-gb", "en-us", "de", "ar", "fr-fr", "cmn"} <= ids
    assert len(ids) > 100
    assert all(choose_voice(voice, "en")[0] == voice for voice in ids)


def test_an_install_path_longer_than_the_library_can_hold_works(speaker, tmp_path, monkeypatch):
    deep = tmp_path / ("with space " + "x" * 100) / ("y" * 120)
    deep.mkdir(parents=True)
    shutil.copytree(espeak._DATA, deep / "espeak-ng-data")
    monkeypatch.setattr(espeak, "_DATA", deep / "espeak-ng-data")
    assert len(speaker.speak(SpeechRequest("Hello there."), tmp_path / "a.wav").words) == 2


def test_a_library_without_its_data_is_a_clear_error(speaker, tmp_path, monkeypatch):
    choose_voice(None, "en")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(espeak, "_DATA", tmp_path / "empty" / "espeak-ng-data")
    with pytest.raises(Permanent, match="espeak-ng"):
        speaker.speak(SpeechRequest("Hello."), tmp_path / "a.wav")


def test_a_text_that_looks_like_options_or_markup_is_only_read(speaker, tmp_path):
    speech = speaker.speak(SpeechRequest("--help <break/> [[hello]] \x00 end"), tmp_path / "a.wav")
    assert speech.words[-1].text == "end"
