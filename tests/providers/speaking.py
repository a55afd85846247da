"""What every speech adapter's tests ask of a speech."""

from __future__ import annotations

import wave
from itertools import pairwise

from providers.base import Speech


def check_speech(speech: Speech, text: str) -> None:
    """A mono WAV that sounds, and every word of the text in order inside it."""
    with wave.open(str(speech.path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, speech.sample_rate)
        assert abs(file.getnframes() / speech.sample_rate - speech.duration) < 0.01
        assert len(set(file.readframes(file.getnframes()))) > 50
    assert [word.text for word in speech.words] == text.split()
    assert all(0 <= word.start <= word.end <= speech.duration + 0.01 for word in speech.words)
    assert all(left.start <= right.start for left, right in pairwise(speech.words))
