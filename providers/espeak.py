"""Read narration aloud with eSpeak NG, on this machine.

Vendor: https://github.com/espeak-ng/espeak-ng, 1.52 as packaged by espeakng-loader 0.2.4; read 2026-11.
Auth: none. Limits: none but ours (`MAX_CHARACTERS`). Billing: free. Licence: GPL-3.0-or-later, hence a
child process for every call (`providers.espeak_child`); the sound it makes is not covered by the licence.
Over a hundred languages, word times from the synthesiser itself, the same bytes for the same request.
Quality is that of a formant synthesiser: clear, plainly artificial.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import espeakng_loader
import numpy as np

from core.errors import Invalid, Permanent, Retryable
from core.settings import Settings
from core.wording import clean
from providers.base import FREE, Context, Quote, Speech, SpeechRequest, Voice, Word
from providers.speaking import (
    QUIET,
    Samples,
    Span,
    check_request,
    without_pictures,
    word_spans,
    write_wav,
)

MODEL = "espeak-ng-1.52"
_TIMEOUT = 60.0
_CHILD = Path(__file__).with_name("espeak_child.py")
_DATA = Path(espeakng_loader.get_data_path())

# A little slower and livelier than the library's own 175 words a minute at range 50: narration, not alerts.
_WORDS_PER_MINUTE, _PITCH, _RANGE = 152, 44, 60
_MIN_SPEED, _MAX_SPEED = 0.5, 2.0

_ALIASES = {"en": "en-gb", "zh": "cmn", "zh-cn": "cmn", "zh-tw": "cmn", "zh-hk": "yue", "no": "nb"}
_ALIASES |= {"nn": "nb", "iw": "he", "in": "id", "fr": "fr-fr"}
# Not for films: invented languages, test voices, spellings of a language in foreign letters.
_LEFT_OUT = re.compile(r"piqd|qdb|qya|sjn|py|xex|jbo|.*-latn.*|.*-shaw")

# Silence in seconds: kept before the first sound, after the last, and at most inside.
_LEAD, _TAIL, _PAUSE = 0.04, 0.18, 0.55
_SILENCE_SECONDS = 1.2


class Espeak:
    slug: ClassVar[str] = "espeak"
    kind: ClassVar[Literal["speech"]] = "speech"
    local: ClassVar[bool] = True

    def __init__(self, context: Context) -> None:
        self._context = context
        self.model = MODEL

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:  # noqa: ARG003 - it needs none
        return None

    def voices(self) -> tuple[Voice, ...]:
        """Return one voice a language; `<id>+<variant>` (`en-gb+f3`) changes its timbre."""
        return tuple(voice for voice, _ in _voices().values())

    def quote(self, characters: int) -> Quote:  # noqa: ARG002 - the price is nought for any length
        return FREE

    def speak(self, request: SpeechRequest, out: Path) -> Speech:
        text = clean(request.text)
        check_request(text, request.speed, _MIN_SPEED, _MAX_SPEED)
        voice, file = choose_voice(request.voice, request.language)
        spoken = without_pictures(text)
        if any(c.isalnum() for c in spoken):
            rate, samples, events = _synthesise(spoken, file, request.speed)
        else:
            rate, events = 22050, []
            samples = np.zeros(round(rate * _SILENCE_SECONDS), dtype=np.int16)
        tokens = word_spans(text, spoken)
        starts = _starts(tokens, events, len(samples))
        samples, starts, ends = _tighten(samples, starts, rate)
        write_wav(out, samples, rate)
        words = tuple(
            Word(text[a:b].strip(), round(start / rate, 4), round(end / rate, 4))
            for (a, b), start, end in zip(tokens, starts, ends, strict=True)
        )
        return Speech(out, len(samples) / rate, words, voice, MODEL, rate)


def choose_voice(voice: str | None, language: str) -> tuple[str, str]:
    """Return (voice id, the library's name for it); raise Invalid when there is none."""
    voices = _voices()
    if voice:
        base, plus, variant = voice.partition("+")
        found = voices.get(base.lower())
        if found is None:
            raise Invalid(
                f"There is no voice {voice!r}. Use a language such as en-gb, en-us, de, fr-fr, es or ar.",
                field="voice",
            )
        if plus and variant not in _variants():
            raise Invalid(
                f"There is no variant {variant!r}. Use one of: {', '.join(sorted(_variants()))}.",
                field="voice",
            )
        return voice, found[1] + plus + variant
    tag = language.lower().replace("_", "-")
    primary = tag.split("-")[0]
    for candidate in (_ALIASES.get(tag, tag), _ALIASES.get(primary, primary)):
        if candidate in voices:
            return candidate, voices[candidate][1]
    raise Invalid(
        f"No voice speaks {language!r}. Name a voice, or use a language such as en, de, fr, es, ar or zh.",
        field="language",
    )


@lru_cache(maxsize=1)
def _voices() -> dict[str, tuple[Voice, str]]:
    """Voice and file by id, read from the data folder: no library needed."""
    found: dict[str, tuple[Voice, str]] = {}
    root = _DATA / "lang"
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        lines = [line.split(maxsplit=1) for line in file.read_text("utf-8").splitlines()]
        pairs = [(line[0], line[1].split("//")[0].strip()) for line in lines if len(line) == 2]
        tag = next((value.split()[0].lower() for key, value in pairs if key == "language"), "")
        name = next((value for key, value in pairs if key == "name"), tag)
        if tag and tag not in found and not _LEFT_OUT.fullmatch(tag):
            found[tag] = Voice(tag, name, tag), str(file.relative_to(root))
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def _variants() -> frozenset[str]:
    return frozenset(path.name for path in (_DATA / "voices" / "!v").iterdir())


def _synthesise(text: str, voice: str, speed: float) -> tuple[int, Samples, list[tuple[int, int]]]:
    request = {
        "text": text,
        "voice": voice,
        "rate": round(_WORDS_PER_MINUTE * speed),
        "pitch": _PITCH,
        "range": _RANGE,
    }
    command = [sys.executable, "-I", "-S", str(_CHILD), espeakng_loader.get_library_path(), str(_DATA)]
    try:
        done = subprocess.run(
            command, input=json.dumps(request).encode(), capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise Retryable(f"espeak-ng took longer than {_TIMEOUT:.0f} s to speak.") from None
    except OSError as exc:
        raise Retryable(f"espeak-ng could not be started: {exc.strerror}.") from exc
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [str(done.returncode)]
        raise Permanent(f"espeak-ng could not speak the text: {reason[0][:300]}", code="speech_failed")
    head, _, body = done.stdout.partition(b"\n")
    answer = json.loads(head)
    events = [(int(position), int(sample)) for position, sample in answer["words"]]
    return int(answer["sample_rate"]), np.frombuffer(body, dtype="<i2").astype(np.int16), events


def _starts(tokens: list[Span], events: list[tuple[int, int]], length: int) -> list[int]:
    """First sample of each word.

    The library gives several events inside one written word (numbers, hyphens), and none for a word it
    joins to the next; such a word shares the time to the next known one.
    """
    firsts: dict[int, int] = {}
    begins = [start for start, _ in tokens]
    for position, sample in events:
        index = max(0, bisect_right(begins, position) - 1)
        firsts[index] = min(sample, firsts.get(index, sample))
    starts: list[int] = []
    known = sorted(firsts)
    for i in range(len(tokens)):
        if i in firsts:
            start = firsts[i]
        else:
            after = bisect_right(known, i)
            right, until = (
                (known[after], firsts[known[after]]) if after < len(known) else (len(tokens), length)
            )
            left, since = (i - 1, starts[i - 1]) if i else (-1, 0)
            start = since + (until - since) // (right - left)
        starts.append(min(max(start, starts[-1] if starts else 0), length))
    return starts


def _tighten(samples: Samples, starts: list[int], rate: int) -> tuple[Samples, list[int], list[int]]:
    """Cut silences to what a listener expects; return the sound, and starts and ends of words in it."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > QUIET)
    if not len(loud):
        return samples, starts, [*starts[1:], len(samples)] if starts else []
    cuts: list[tuple[int, int]] = [(0, max(0, int(loud[0]) - round(_LEAD * rate)))]
    pause = round(_PAUSE * rate)
    for i in np.flatnonzero(np.diff(loud) > pause):
        middle = int(loud[i]) + pause // 2
        cuts.append((middle, int(loud[i + 1]) - (pause - pause // 2)))
    tail = round(_TAIL * rate)
    cuts.append((min(len(samples), int(loud[-1]) + tail), len(samples)))
    keep = np.ones(len(samples), dtype=bool)
    for start, end in cuts:
        keep[start:end] = False
    moved = np.concatenate([[0], np.cumsum(keep)])
    limits = [*starts, len(samples)]
    ends = []
    for start, limit in pairwise(limits):
        # A word ends with its last sound, not with the pause before the next.
        last = int(np.searchsorted(loud, limit))
        end = int(loud[last - 1]) + 1 if last and loud[last - 1] >= start else limit
        ends.append(int(moved[end]))
    # The library stops at the last sound: what is missing of the tail is added.
    missing = max(0, tail - (len(samples) - int(loud[-1])))
    return np.pad(samples[keep], (0, missing)), [int(moved[start]) for start in starts], ends


ADAPTER = Espeak
