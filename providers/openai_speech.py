"""Read narration aloud with OpenAI's speech API, or a server that speaks it.

Vendor: https://github.com/openai/openai-openapi (CreateSpeechRequest), openai-python 3.54; read 2026-11.
Auth: `Authorization: Bearer <OPENAI_SPEECH_API_KEY>`. Call: POST /audio/speech, answered with the sound
itself.
Limits: 4096 characters a call: longer texts are split at sentences and joined. Rates are told by 429.
Billing: per character (tts-1, tts-1-hd), per token for the others, whose price by the character is not known.
No token of ours and nothing to look up: a call without an answer may have been billed, and is not repeated.
Quirks: no times of words, which are fitted; a streamed WAV promises any length; unknown fields are refused;
`instructions` and some voices are not for tts-1, and which voices is UNVERIFIED: its refusal names them. The
SDK's documentation announces that all of these models end on 2027-01-06.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from core.answers import Answer as HttpAnswer
from core.answers import retry_after
from core.errors import Invalid, Misconfigured, Moderated, PipelineError, Rejected, Retryable, Unconfirmed
from core.wording import clean
from providers.asking import STATUSES, object_in, refusal
from providers.base import Context, Quote, Speech, SpeechRequest, Vendor, Voice
from providers.models import load
from providers.speaking import Sound, check_request, read_wav, speak_in_pieces

_MODELS = load("openai_speech")
LIMIT = 4096
VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx"),
    *("nova", "sage", "shimmer", "verse", "marin", "cedar"),
)
_DEFAULT_VOICE = "alloy"
_NEVER_BY_WAITING = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_CONTENT = ("content_policy_violation", "content_filter", "moderation_blocked")


class OpenAISpeech(Vendor):
    slug: ClassVar[str] = "openai_speech"
    kind: ClassVar[Literal["speech"]] = "speech"
    models: ClassVar[tuple[str, ...]] = _MODELS.ids
    home: ClassVar[str] = "https://api.openai.com/v1"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or self._own.model or _MODELS.default
        key = self._own.api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def voices(self) -> Sequence[Voice]:
        return tuple(Voice(name, name.capitalize(), "mul") for name in VOICES)

    def quote(self, characters: int) -> Quote:
        on = self._own.prices_checked_on
        return _MODELS.price(self.model, characters, today=self._today, checked_on=on)

    def speak(self, request: SpeechRequest, out: Path) -> Speech:
        text = clean(request.text)
        check_request(text, request.speed, 0.25, 4.0)
        voice = request.voice or self._own.voice or _DEFAULT_VOICE
        if voice not in VOICES and not voice.startswith("voice_"):
            raise Invalid(
                f"There is no voice {voice!r}. Use a custom voice's id (voice_…) or: {', '.join(VOICES)}.",
                field="voice",
            )
        rate, seconds, words = speak_in_pieces(
            text, LIMIT, lambda piece: self._say(piece, voice, request.speed), out, paid=True
        )
        return Speech(out, seconds, words, voice, self.model, rate)

    def _say(self, text: str, voice: str, speed: float) -> Sound:
        body = {
            "model": self.model,
            "input": text,
            "voice": {"id": voice} if voice.startswith("voice_") else voice,
            "response_format": "wav",
        }
        answer = self._http.post(
            f"{self.endpoint}/audio/speech",
            json_body=body | ({"speed": speed} if speed != 1.0 else {}),
            headers=self._headers,
            expect=STATUSES,
            read_timeout=120.0,
        )
        if answer.status >= 400:
            raise _refusal(answer)
        try:
            return Sound(*read_wav(answer.body, "OpenAI"))
        except Retryable as error:
            raise Unconfirmed(f"{error.message} It may be billed.") from None


def _refusal(answer: HttpAnswer) -> PipelineError:
    """Sort a refusal, with the vendor's own word on trying again; no waiting gives an account credit."""
    said = object_in(answer).get("error")
    error = said if isinstance(said, dict) else {}
    code, message = str(error.get("code") or error.get("type") or ""), str(error.get("message") or "")
    what = f"OpenAI answered {answer.status} ({code}): {message[:300]}"
    if code in _CONTENT:
        return Moderated(what, field="text")
    if code in _NEVER_BY_WAITING:
        return Misconfigured(f"{what} Check the account's plan and billing.", code=code)
    if answer.status == 409:
        return Retryable(what, retry_after=retry_after(answer), code="http_409")
    if answer.status in (400, 422) and "voice" in str(error.get("param")):
        return Rejected(what, code=code or "http_400", field="voice")
    should = answer.headers.get("x-should-retry", "").lower()
    repeat = {"true": True, "false": False}.get(should)
    return refusal("OpenAI_speech", answer, write=True, said=message, code=code or None, repeat=repeat)


ADAPTER = OpenAISpeech
