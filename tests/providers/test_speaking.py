"""The parts that speech adapters share: splitting, reading sound, and times that are fitted."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Permanent, Retryable, Unconfirmed
from providers.speaking import Sound, fit, pieces_of, read_wav, speak_in_pieces, word_spans
from simulator.voice import say, wav


@given(st.text(alphabet="ab, .!?—", max_size=200), st.integers(1, 40))
def test_pieces_are_short_enough_and_lose_no_letter(text, limit):
    pieces = pieces_of(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces if piece)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_pieces_end_at_sentences_where_they_can():
    assert pieces_of("One two. Three four. Five.", 20) == ["One two. Three four.", "Five."]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_wav_is_read_whatever_length_it_promises(streamed):
    rate, samples, _ = say("Hello there.")
    assert read_wav(wav(rate, samples, streamed=streamed), "X")[0] == rate
    assert read_wav(wav(rate, samples, streamed=streamed), "X")[1].tobytes() == samples


def test_two_channels_become_one(tmp_path):
    with wave.open(str(tmp_path / "two.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.array([[100, 300], [-100, -300]], dtype="<i2").tobytes())
    rate, samples = read_wav((tmp_path / "two.wav").read_bytes(), "X")
    assert (rate, samples.tolist()) == (8000, [200, -200])


@pytest.mark.parametrize("body", [b"", b"RIFF", b"ID3\x04mp3", b"RIFF\0\0\0\0WAVEdata\0\0\0\0", bytes(100)])
def test_what_is_no_wav_is_told(body):
    with pytest.raises(Retryable, match="X sent"):
        read_wav(body, "X")


def test_fitted_times_are_near_the_measured_ones():
    text = "The lighthouse stands on a rock in the sea, and every night its lamp is lit."
    rate, samples, words = say(text)
    sound = Sound(rate, np.frombuffer(samples, dtype="<i2"))
    fitted = fit(text, word_spans(text), sound)
    misses = [abs(start - word.start) for (start, _), word in zip(fitted, words, strict=True)]
    assert max(misses) < 0.5
    assert sum(misses) / len(misses) < 0.2


def test_a_part_that_is_paid_makes_every_later_trouble_unconfirmed(tmp_path):
    calls = []

    def say_once(piece):
        calls.append(piece)
        if len(calls) > 1:
            raise Permanent("no")
        return Sound(8000, np.ones(800, dtype=np.int16))

    with pytest.raises(Unconfirmed, match="Part of the text"):
        speak_in_pieces("One two. Three four.", 10, say_once, tmp_path / "a.wav", paid=True)
    calls.clear()
    with pytest.raises(Permanent):
        speak_in_pieces("One two. Three four.", 10, say_once, tmp_path / "a.wav", paid=False)
    assert list(tmp_path.iterdir()) == []


def test_pieces_are_joined_with_their_words_after_one_another(tmp_path):
    tone = np.full(8000, 1000, dtype=np.int16)
    rate, seconds, words = speak_in_pieces(
        "One two. Three.", 8, lambda _: Sound(8000, tone), tmp_path / "a.wav", paid=True
    )
    assert (rate, seconds) == (8000, 2.0)
    assert [word.text for word in words] == ["One", "two.", "Three."]
    assert words[2].start >= 1.0
