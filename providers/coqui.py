"""Read narration aloud with a Coqui TTS server of the operator.

Vendor: https://github.com/idiap/coqui-ai-TTS (TTS/server/server.py, 7cde79e); read 2026-11.
Auth: none. Call: POST /api/tts with a form, answered with a WAV; safe to repeat. Limits: none but ours; one
synthesis at a time, further calls wait. Billing: free; mind the model's licence (XTTS: no commercial use).
Settings: COQUI_VOICE is the `speaker_id`, which models of many speakers need; COQUI_MODEL only names what was
started there, for the record. Quirks: errors are `{"error": "..."}`; no times of words, which are fitted; no
pace; `language_id` is for models of many languages, whose ids are UNVERIFIED: it is sent without a region
where a voice is named, and not at all for a model of one speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from core.answers import raise_for
from core.wording import clean
from providers.asking import STATUSES
from providers.base import Context, Quote, Speech, SpeechRequest, Vendor, Voice
from providers.speaking import MAX_CHARACTERS, Sound, check_request, read_wav, speak_in_pieces


class Coqui(Vendor):
    slug: ClassVar[str] = "coqui"
    kind: ClassVar[Literal["speech"]] = "speech"
    local: ClassVar[bool] = True
    models: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ("url",)
    home: ClassVar[str] = "http://localhost:5002"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or self._own.model or "coqui"

    def voices(self) -> Sequence[Voice]:
        """What the settings name: the server lists no speakers in a form of its own."""
        name = self._own.voice or "default"
        return (Voice(name, name, "mul"),)

    def quote(self, characters: int) -> Quote:  # noqa: ARG002 - the price is nought for any length
        return Quote(0, basis="free: the operator's own Coqui server")

    def speak(self, request: SpeechRequest, out: Path) -> Speech:
        text = clean(request.text)
        check_request(text, request.speed, 1.0, 1.0)
        voice = request.voice or self._own.voice
        form = {"speaker_id": voice, "language_id": request.language.split("-")[0]} if voice else {}
        rate, seconds, words = speak_in_pieces(
            text, MAX_CHARACTERS, lambda piece: self._say({"text": piece, **form}), out, paid=False
        )
        return Speech(out, seconds, words, voice or "default", self.model, rate)

    def _say(self, form: dict[str, str]) -> Sound:
        answer = self._http.post(
            f"{self.endpoint}/api/tts", form=form, safe=True, expect=STATUSES, read_timeout=300.0
        )
        raise_for(answer, (), write=False)
        return Sound(*read_wav(answer.body, "Coqui"))


ADAPTER = Coqui
