"""Make a bed of music: slow pads, soft bells and a low end, from a seed.

It is this project's own work and offered under CC0. Everything is computed block by block (one chord
each) with the room's tail carried over, so length costs time but hardly memory.
"""

from __future__ import annotations

import random
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid
from media.ffmpeg import replacing

Mood = Literal["wonder", "calm", "tense"]
Sound = NDArray[np.float32]
RATE = 48_000
_TAIL = 2.6  # seconds the room rings
_OVERLAP = 1.6  # seconds over which one chord melts into the next


@dataclass(frozen=True)
class Palette:
    """A mood: key (MIDI note), chords as semitones above it, seconds per chord, bells and brightness."""

    key: int
    chords: tuple[tuple[int, ...], ...]
    seconds: float
    bell_gap: float
    bell_chance: float
    bright: float


PALETTES: dict[str, Palette] = {
    # I(add9) - vi7 - IV(maj7) - V(sus4): open, rising
    "wonder": Palette(
        50, ((0, 7, 14, 16), (-3, 7, 12, 16), (-7, 5, 9, 16), (-5, 7, 12, 14)), 5.2, 0.65, 0.72, 1.0
    ),
    # I(maj7) - iii7 - IV(maj9) - I(6): hardly moving
    "calm": Palette(
        48, ((0, 7, 11, 16), (-8, 7, 11, 14), (-7, 9, 12, 16), (0, 7, 9, 16)), 6.4, 1.3, 0.5, 0.7
    ),
    # i(add9) - VI(maj7) - iv9 - v7: minor, low, few bells
    "tense": Palette(
        45, ((0, 7, 14, 15), (-4, 8, 12, 15), (-7, 8, 12, 19), (-5, 7, 10, 14)), 4.6, 0.58, 0.42, 0.85
    ),
}


def render_ambient(out: Path, *, duration: float, seed: int, mood: Mood = "wonder") -> None:
    """Write `duration` seconds of music as 16-bit stereo WAV at 48 kHz, fading in and out."""
    if mood not in PALETTES:
        raise Invalid(f"mood is {mood!r}; it must be one of {', '.join(PALETTES)}.", field="mood")
    if not 0 < duration <= 3600:
        raise Invalid(f"duration is {duration}; it must be over 0 and at most an hour.", field="duration")
    palette, rng = PALETTES[mood], random.Random(f"{mood}:{seed}")
    key = palette.key + rng.choice((-2, 0, 0, 2, 3))
    total = round(duration * RATE)
    music = np.zeros((2, total + round((_TAIL + palette.seconds + _OVERLAP) * RATE)), np.float32)
    room = _room(seed)
    for i, at in enumerate(np.arange(-_OVERLAP / 2, duration, palette.seconds)):
        chord = palette.chords[i % len(palette.chords)]
        dry = _chord(key, chord, palette, rng, lift=i // len(palette.chords) % 2)
        wet = dry_and_room(dry, room)
        start = max(0, round(at * RATE))
        skip = start - round(at * RATE)
        length = min(wet.shape[1] - skip, music.shape[1] - start)
        music[:, start : start + length] += wet[:, skip : skip + length]
    _write(out, _master(music[:, :total], duration))


def dry_and_room(dry: Sound, room: Sound) -> Sound:
    """Add the room's answer to a stereo sound (fast convolution)."""
    length = dry.shape[1] + room.shape[1] - 1
    size = 1 << (length - 1).bit_length()
    answer = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(room, size), size)[:, :length]
    mixed = answer.astype(np.float32) * 0.5
    mixed[:, : dry.shape[1]] += dry * 0.75
    return mixed


def _chord(key: int, chord: tuple[int, ...], palette: Palette, rng: random.Random, *, lift: int) -> Sound:
    """Play one chord: pad, low end and bells."""
    seconds = palette.seconds + _OVERLAP
    n = round(seconds * RATE)
    t = np.asarray(np.arange(n) / RATE, np.float32)
    swell = np.minimum(1, np.minimum(t / _OVERLAP, (seconds - t) / _OVERLAP))
    swell = np.sin(swell * (np.pi / 2)).astype(np.float32)
    pad = np.zeros((2, n), np.float32)
    for voice, step in enumerate(chord):
        for side in (0, 1):
            pad[side] += _voice(key + step, t, rng, palette.bright) * (0.8 if voice == 0 else 0.62)
    low = _hertz(key + chord[0] - (12 if key + chord[0] > 40 else 0))
    bass = np.sin(2 * np.pi * low * t) + 0.25 * np.sin(4 * np.pi * low * t)
    pad = np.asarray((pad * 0.085 + 0.14 * bass) * swell, np.float32)
    _bells(pad, key, chord, palette, rng, lift=lift)
    return pad


def _voice(note: int, t: Sound, rng: random.Random, bright: float) -> Sound:
    """Sing one note: a few soft harmonics that breathe, slightly out of tune."""
    hertz = _hertz(note + rng.uniform(-0.05, 0.05))
    phase = (2 * np.pi * hertz) * t + np.float32(rng.uniform(0, 6.28))
    breath = 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.08, 0.17) * t + rng.uniform(0, 6.28))
    sound = np.sin(phase) + bright * breath * (
        0.32 * np.sin(2 * phase) + 0.14 * np.sin(3 * phase + 0.4) + 0.05 * np.sin(5 * phase)
    )
    return np.asarray(sound, np.float32)


def _bells(
    pad: Sound, key: int, chord: tuple[int, ...], palette: Palette, rng: random.Random, *, lift: int
) -> None:
    """Scatter bells of the chord's notes over it, in even time, wandering between the ears."""
    order = [*sorted(chord)[1:], sorted(chord)[1] + 12]
    steps = int(palette.seconds / palette.bell_gap)
    for k in range(steps):
        if rng.random() > palette.bell_chance:
            continue
        note = key + 12 + order[(k + lift) % len(order)] + (12 if rng.random() < 0.25 else 0)
        start = round((_OVERLAP / 2 + k * palette.bell_gap) * RATE)
        n = min(round(2.4 * RATE), pad.shape[1] - start)
        t = np.arange(n, dtype=np.float32) / RATE
        hertz = _hertz(note)
        ring = np.exp(-t * 2.4) * np.sin(2 * np.pi * hertz * t)
        ring += 0.22 * np.exp(-t * 5) * np.sin(2 * np.pi * 2.76 * hertz * t)  # a bar's second partial
        ring *= np.minimum(1, t / 0.006) * np.minimum(1, (n / RATE - t) / 0.05)
        loud = rng.uniform(0.05, 0.1) * palette.bright
        ear = rng.uniform(0.25, 0.75)
        pad[0, start : start + n] += loud * np.sqrt(1 - ear) * ring
        pad[1, start : start + n] += loud * np.sqrt(ear) * ring


def _room(seed: int) -> Sound:
    """Build a room: decaying noise whose treble dies first."""
    rng = np.random.default_rng(seed)
    n = round(_TAIL * RATE)
    t = np.arange(n) / RATE
    spectrum = np.fft.rfft(rng.standard_normal((2, n)))
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    warm = np.fft.irfft(spectrum / np.sqrt(1 + (hertz / 900) ** 2) * (hertz > 90), n)
    shape = np.exp(-t * 2.7) * np.minimum(1, t / 0.02)
    room = warm * shape
    return np.asarray(room / np.sqrt((room**2).sum(axis=1, keepdims=True)), np.float32)


def _master(music: Sound, duration: float) -> Sound:
    """Fade the ends and bring the loudest peak to -3 dB."""
    n = music.shape[1]
    fade_in, fade_out = round(min(1.5, duration / 5) * RATE), round(min(3.0, duration / 4) * RATE)
    music[:, :fade_in] *= np.linspace(0, 1, fade_in, dtype=np.float32)
    music[:, n - fade_out :] *= np.linspace(1, 0, fade_out, dtype=np.float32) ** 2
    return np.asarray(music / max(float(np.abs(music).max()), 1e-6) * 0.7, np.float32)


def _hertz(note: float) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _write(out: Path, music: Sound) -> None:
    samples = (music.T * 32767).astype("<i2")
    with replacing(out) as scratch, wave.open(str(scratch), "wb") as f:
        f.setnchannels(2)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes(samples.tobytes())
