"""The voice of simulated speech vendors: eSpeak NG on this machine, with the time of every word."""

from __future__ import annotations

import struct
import tempfile
import wave
from pathlib import Path

import numpy as np

from core.http import HttpClient
from core.settings import get_settings
from providers.base import Context, SpeechRequest, Word
from providers.espeak import Espeak


def say(text: str, *, speed: float = 1.0, rate: int | None = None) -> tuple[int, bytes, tuple[Word, ...]]:
    """Speak a text; returns the rate, mono 16-bit samples, and its words."""
    with tempfile.TemporaryDirectory(prefix="simulated-voice-") as folder:
        out = Path(folder, "said.wav")
        pace = min(2.0, max(0.5, speed))
        speech = Espeak(Context(HttpClient(), get_settings())).speak(SpeechRequest(text, speed=pace), out)
        with wave.open(str(out)) as file:
            own, samples = file.getframerate(), file.readframes(file.getnframes())
    if rate is None or rate == own:
        return own, samples, speech.words
    heard = np.frombuffer(samples, dtype="<i2")
    places = np.linspace(0, len(heard) - 1, round(len(heard) * rate / own))
    return rate, np.interp(places, np.arange(len(heard)), heard).astype("<i2").tobytes(), speech.words


def wav(rate: int, samples: bytes, *, streamed: bool = False) -> bytes:
    """A WAV file; one that is streamed cannot know its length, and promises the most there is."""
    length = 0xFFFFFFFF if streamed else len(samples)
    whole = 0xFFFFFFFF if streamed else 36 + len(samples)
    shape = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", whole)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + shape
        + (b"data" + struct.pack("<I", length) + samples)
    )
