"""What speech adapters share: words of a text, long texts in pieces, sound files, times of words.

A vendor that tells no times gets them fitted: the words share the time in which something is heard, by their
length. That is a guess, good to a few tenths of a second in plain sentences, and no measurement.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid, PipelineError, Retryable, Unconfirmed
from core.wording import clauses, is_unspaced, sentences
from providers.base import Word

Samples = NDArray[np.int16]
Span = tuple[int, int]
MAX_CHARACTERS = 20_000
QUIET = 60
"""Of 32767: below it nothing is heard."""
_UNSPOKEN_SYMBOLS = frozenset(map(chr, (0x200D, 0xFE0E, 0xFE0F, 0x20E3)))
_SPOKEN_SYMBOLS = frozenset("°©®№℃℉")
_WINDOW = 0.02
_PAUSE_WEIGHT = 1.5
"""Letters that the gap after a word counts as, when times are fitted."""


@dataclass(frozen=True)
class Sound:
    """Mono samples of one piece of text. `times` has start and end of each of its words, where told."""

    rate: int
    samples: Samples
    times: Sequence[tuple[float, float]] | None = None


def check_request(text: str, speed: float, slowest: float, fastest: float) -> None:
    """Raise Invalid for a text or a pace that no piece of it may have."""
    if len(text) > MAX_CHARACTERS:
        raise Invalid(
            f"{len(text)} characters are too many for one speech; the limit is {MAX_CHARACTERS}.",
            field="text",
        )
    if not slowest <= speed <= fastest:
        raise Invalid(f"Speed must be between {slowest} and {fastest}.", field="speed")


# -- words ----------------------------------------------------------------------------------------


def without_pictures(text: str) -> str:
    """Blank out emoji and the like, one for one, so that positions in the text hold."""
    return "".join(
        " "
        if c in _UNSPOKEN_SYMBOLS
        or (unicodedata.category(c) in ("So", "Sk", "Co", "Cn") and c not in _SPOKEN_SYMBOLS)
        else c
        for c in text
    )


def word_spans(text: str, spoken: str | None = None) -> list[Span]:
    """Spans of the words as written, marks and emoji kept with the word before (the first: after).

    A word is what stands between blanks; in a script without blanks every character is one. `spoken` is the
    text with blanks for what is not said.
    """
    spoken = without_pictures(text) if spoken is None else spoken
    pieces: list[Span] = []
    for match in re.finditer(r"\S+", text):
        start = match.start()
        for i in range(match.start() + 1, match.end()):
            if is_unspaced(text[i]) or is_unspaced(text[i - 1]):
                pieces.append((start, i))
                start = i
        pieces.append((start, match.end()))
    words: list[Span] = []
    lead: int | None = None
    for start, end in pieces:
        if any(c.isalnum() for c in spoken[start:end]):
            words.append((start if lead is None else lead, end))
            lead = None
        elif words:
            words[-1] = (words[-1][0], end)
        elif lead is None:
            lead = start
    return words


def pieces_of(text: str, limit: int) -> list[str]:
    """Split a text into pieces of at most `limit` characters: at sentences, else clauses, words, anywhere."""
    pieces: list[str] = []
    for part in _small_parts(text, limit):
        if pieces and len(pieces[-1]) + 1 + len(part) <= limit:
            pieces[-1] = f"{pieces[-1]} {part}"
        else:
            pieces.append(part)
    return pieces


def _small_parts(text: str, limit: int) -> Iterator[str]:
    for split in (sentences, clauses, str.split):
        if len(text) <= limit:
            break
        parts = split(text)
        if len(parts) > 1:
            for part in parts:
                yield from _small_parts(part, limit)
            return
    for start in range(0, len(text), limit):
        yield text[start : start + limit]


# -- speaking -------------------------------------------------------------------------------------


def speak_in_pieces(
    text: str, limit: int, say: Callable[[str], Sound], out: Path, *, paid: bool
) -> tuple[int, float, tuple[Word, ...]]:
    """Have a text said piece by piece, write it to `out` as a mono WAV; returns rate, seconds, words.

    Where a piece of it is paid for already, no later trouble may look as if nothing had been bought.
    """
    sounds: list[tuple[str, Sound]] = []
    for piece in pieces_of(text, limit):
        try:
            sounds.append((piece, say(piece)))
        except PipelineError as error:
            if paid and sounds and not isinstance(error, Unconfirmed):
                raise Unconfirmed(
                    f"Part of the text was spoken and is billed; then: {error.message}"
                ) from None
            raise
    rate = sounds[0][1].rate if sounds else 22050
    words: list[Word] = []
    begin = 0.0
    for piece, sound in sounds:
        spans = word_spans(piece)
        times = sound.times if sound.times and len(sound.times) == len(spans) else fit(piece, spans, sound)
        for (start, end), (since, until) in zip(spans, times, strict=True):
            words.append(Word(piece[start:end].strip(), round(begin + since, 4), round(begin + until, 4)))
        begin += len(sound.samples) / sound.rate
    joined = [_at_rate(sound, rate) for _, sound in sounds] or [np.zeros(rate, dtype=np.int16)]
    samples = np.concatenate(joined)
    write_wav(out, samples, rate)
    return rate, len(samples) / rate, tuple(words)


def fit(text: str, spans: Sequence[Span], sound: Sound) -> list[tuple[float, float]]:
    """Share the time in which something is heard among the words, by their letters."""
    window = max(1, round(_WINDOW * sound.rate))
    count = max(1, -(-len(sound.samples) // window))
    padded = np.pad(np.abs(sound.samples.astype(np.int32)), (0, count * window - len(sound.samples)))
    heard = np.flatnonzero(padded.reshape(count, window).max(axis=1) > QUIET)
    if not len(heard):
        heard = np.arange(count)
    weights = [sum(c.isalnum() for c in text[a:b]) + _PAUSE_WEIGHT for a, b in spans]
    edges = np.concatenate([[0.0], np.cumsum(weights)]) / (sum(weights) or 1.0) * len(heard)
    whole = len(sound.samples) / sound.rate

    def at(edge: float, *, end: bool) -> float:
        index = min(len(heard) - 1, max(0, int(np.ceil(edge)) - 1 if end else int(edge)))
        return min(whole, float(heard[index] + (1 if end else 0)) * window / sound.rate)

    times: list[tuple[float, float]] = []
    for left, right in pairwise(edges):
        start = max(at(left, end=False), times[-1][1] if times else 0.0)
        times.append((start, max(start, at(right, end=True))))
    return times


# -- sound files ----------------------------------------------------------------------------------


def read_wav(body: bytes, vendor: str) -> tuple[int, Samples]:
    """Read 16-bit PCM out of a RIFF file as (rate, mono samples).

    A streamed file may promise any length, so what is there counts. Raises Retryable when it is no such file.
    """
    if body[:4] != b"RIFF" or body[8:12] != b"WAVE":
        raise Retryable(f"{vendor} sent something that is no WAV file.", code="bad_answer")
    place, shape = 12, None
    while place + 8 <= len(body):
        name, size = body[place : place + 4], struct.unpack_from("<I", body, place + 4)[0]
        place += 8
        if name == b"fmt " and size >= 16:
            shape = struct.unpack_from("<HHIIHH", body, place)
        if name == b"data":
            size = min(size, len(body) - place) if size else len(body) - place
            break
        place += size + size % 2
    else:
        size = 0
    if shape is None or shape[0] not in (1, 0xFFFE) or shape[5] != 16 or not shape[1] or not size:
        raise Retryable(f"{vendor} sent sound that is not 16-bit PCM, or none.", code="bad_answer")
    channels, rate = shape[1], shape[2]
    frames = np.frombuffer(body[place : place + size // (2 * channels) * (2 * channels)], dtype="<i2")
    mono = frames.reshape(-1, channels).astype(np.int32).mean(axis=1).round()
    return int(rate), mono.astype(np.int16)


def write_wav(out: Path, samples: Samples, rate: int) -> None:
    """Write a mono WAV, whole or not at all."""
    part = out.with_name(f".{out.name}.part")
    try:
        with wave.open(str(part), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.astype("<i2").tobytes())
        part.replace(out)
    except OSError as exc:
        raise Retryable(f"Cannot write the speech: {exc.strerror}.", code="disk") from exc
    finally:
        part.unlink(missing_ok=True)


def _at_rate(sound: Sound, rate: int) -> Samples:
    """The samples at another rate; pieces of one voice have the same, unless a server changed its mind."""
    if sound.rate == rate:
        return sound.samples
    wanted = round(len(sound.samples) * rate / sound.rate)
    places = np.linspace(0, len(sound.samples) - 1, wanted)
    return np.interp(places, np.arange(len(sound.samples)), sound.samples).astype(np.int16)
