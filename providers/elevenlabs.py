"""Read narration aloud with ElevenLabs, every word with the time at which it is said.

Vendor: https://elevenlabs.io/docs/api-reference, elevenlabs-python 2.78; read 2026-11.
Auth: `xi-api-key: <ELEVENLABS_API_KEY>`. Call: POST /v1/text-to-speech/{voice}/with-timestamps, answered with
JSON: the sound as base64 (24 kHz mono PCM here: 44.1 kHz needs a larger plan) and a time for every character.
Limits: characters a call by model, UNVERIFIED: texts are split at 2500. Calls at once by plan, told by 429.
Billing: credits by the character; what one is in money hangs on the plan, so no price is known here.
No token of ours and nothing to look up: a call without an answer may have been billed, and is not repeated.
Quirks: `alignment` may be null, then times are fitted; 401 is also said where the quota is used up; errors
are `{"detail": {"status", "message"}}`, or a list of fields (422). Which models take `language_code` is
UNVERIFIED, so it is not sent: the voice and the text decide. Error words come from users' reports.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import numpy as np

from core.answers import Answer as HttpAnswer
from core.errors import Invalid, Misconfigured, PipelineError, Unconfirmed
from core.wording import clean
from providers.asking import STATUSES, object_in, refusal
from providers.base import Context, Quote, Speech, SpeechRequest, Vendor, Voice
from providers.models import load
from providers.speaking import Sound, check_request, speak_in_pieces, word_spans

_MODELS = load("elevenlabs")
LIMIT = 2500
RATE = 24_000


class ElevenLabs(Vendor):
    slug: ClassVar[str] = "elevenlabs"
    kind: ClassVar[Literal["speech"]] = "speech"
    models: ClassVar[tuple[str, ...]] = _MODELS.ids
    home: ClassVar[str] = "https://api.elevenlabs.io"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or self._own.model or _MODELS.default
        key = self._own.api_key
        self._headers = {"xi-api-key": key.get_secret_value()} if key else {}

    def voices(self) -> Sequence[Voice]:
        """The voices of the account, as the vendor lists them; a voice speaks any language."""
        answer = self._http.get(
            f"{self.endpoint}/v2/voices",
            params={"page_size": 100},
            headers=self._headers,
            expect=STATUSES,
        )
        if answer.status >= 400:
            raise _refusal(answer, write=False)
        listed = object_in(answer).get("voices") or []
        return tuple(
            Voice(str(v["voice_id"]), str(v.get("name") or v["voice_id"]), _language(v), _gender(v))
            for v in listed
            if isinstance(v, dict) and v.get("voice_id")
        )

    def quote(self, characters: int) -> Quote:
        on = self._own.prices_checked_on
        return _MODELS.price(self.model, characters, today=self._today, checked_on=on)

    def speak(self, request: SpeechRequest, out: Path) -> Speech:
        text = clean(request.text)
        check_request(text, request.speed, 0.7, 1.2)
        voice = request.voice or self._own.voice or self._first_voice()
        rate, seconds, words = speak_in_pieces(
            text, LIMIT, lambda piece: self._say(piece, voice, request.speed), out, paid=True
        )
        return Speech(out, seconds, words, voice, self.model, rate)

    def _first_voice(self) -> str:
        found = self.voices()
        if not found:
            raise Misconfigured("The ElevenLabs account has no voice: set ELEVENLABS_VOICE.")
        return found[0].id

    def _say(self, text: str, voice: str, speed: float) -> Sound:
        body: dict[str, Any] = {"text": text, "model_id": self.model}
        if speed != 1.0:
            body["voice_settings"] = {"speed": speed}
        answer = self._http.post(
            f"{self.endpoint}/v1/text-to-speech/{quote(voice, safe='')}/with-timestamps",
            params={"output_format": f"pcm_{RATE}"},
            json_body=body,
            headers=self._headers,
            expect=STATUSES,
            read_timeout=120.0,
        )
        if answer.status >= 400:
            raise _refusal(answer, write=True)
        said = object_in(answer)
        try:
            sound = base64.b64decode(str(said.get("audio_base64") or ""), validate=True)
        except binascii.Error:
            sound = b""
        if len(sound) < 2:
            raise Unconfirmed("ElevenLabs answered without a sound. It may be billed.")
        samples = np.frombuffer(sound[: len(sound) // 2 * 2], dtype="<i2").astype(np.int16)
        return Sound(RATE, samples, _times(text, said.get("alignment")))


def _times(text: str, alignment: Any) -> list[tuple[float, float]] | None:
    """Start and end of every word, by the times of its characters; None where these do not spell the text."""
    if not isinstance(alignment, dict):
        return None
    names = ("characters", "character_start_times_seconds", "character_end_times_seconds")
    lists = [alignment.get(name) for name in names]
    if not all(isinstance(one, list) and len(one) == len(text) for one in lists):
        return None
    characters, starts, ends = lists
    if "".join(map(str, characters or [])) != text:
        return None
    times: list[tuple[float, float]] = []
    try:
        for first, last in word_spans(text):
            here = [i for i in range(first, last) if not text[i].isspace()]
            start = max(0.0, min(float(starts[i]) for i in here), times[-1][1] if times else 0.0)  # type: ignore[index]
            times.append((start, max(start, *(float(ends[i]) for i in here))))  # type: ignore[index]
    except (TypeError, ValueError):
        return None
    return times


def _language(voice: dict[str, Any]) -> str:
    labels = voice.get("labels")
    return str(labels.get("language") or "mul").lower() if isinstance(labels, dict) else "mul"


def _gender(voice: dict[str, Any]) -> str | None:
    labels = voice.get("labels")
    return str(labels["gender"]) if isinstance(labels, dict) and labels.get("gender") else None


def _refusal(answer: HttpAnswer, *, write: bool) -> PipelineError:
    detail = object_in(answer).get("detail")
    status, message = "", ""
    if isinstance(detail, dict):
        status, message = str(detail.get("status") or ""), str(detail.get("message") or "")
    elif isinstance(detail, list):
        message = "; ".join(str(one.get("msg")) for one in detail if isinstance(one, dict))
    what = f"ElevenLabs answered {answer.status} ({status}): {message[:300]}"
    if status == "quota_exceeded":
        return Misconfigured(f"{what} The plan's characters are used up.", code=status)
    if answer.status == 404 or status in ("voice_not_found", "invalid_voice"):
        return Invalid(what, code=status or "http_404", field="voice")
    return refusal("ElevenLabs", answer, write=write, said=message, code=status or None)


ADAPTER = ElevenLabs
