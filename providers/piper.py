"""Read narration aloud with a Piper server of the operator.

Vendor: https://github.com/OHF-Voice/piper1-gpl (docs/API_HTTP.md), 1.7.0; read 2026-11. Licence: GPL-3.0,
asked over HTTP only. Auth: none. Call: POST /synthesize since June 2026, POST / before: the older is tried
where the newer is not there. Safe to repeat. Limits: none but ours. Billing: free.
Quirks: an unknown voice is silently another one, so it is looked for in /voices first; an empty text is a
500; errors are pages and no codes. `/info` has the times of the last speech of anybody, so times are fitted
instead. What /voices lists is UNVERIFIED in its shape: an object by name and a list are both read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from core.answers import raise_for
from core.errors import Invalid, Permanent
from core.wording import clean
from providers.asking import STATUSES
from providers.base import Context, Quote, Speech, SpeechRequest, Vendor, Voice
from providers.speaking import MAX_CHARACTERS, Sound, check_request, read_wav, speak_in_pieces

_NOT_THERE = (404, 405)


class Piper(Vendor):
    slug: ClassVar[str] = "piper"
    kind: ClassVar[Literal["speech"]] = "speech"
    local: ClassVar[bool] = True
    models: ClassVar[tuple[str, ...]] = ("piper",)
    needs: ClassVar[tuple[str, ...]] = ("url",)
    home: ClassVar[str] = "http://localhost:5000"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = "piper"

    def voices(self) -> Sequence[Voice]:
        answer = self._http.get(f"{self.endpoint}/voices")
        listed = answer.json()
        names = listed if isinstance(listed, list | dict) else []
        found = [str(one.get("name")) if isinstance(one, dict) else str(one) for one in names]
        return tuple(Voice(name, name, _language(name)) for name in sorted(found))

    def quote(self, characters: int) -> Quote:  # noqa: ARG002 - the price is nought for any length
        return Quote(0, basis="free: the operator's own Piper server")

    def speak(self, request: SpeechRequest, out: Path) -> Speech:
        text = clean(request.text)
        check_request(text, request.speed, 0.5, 2.0)
        voice = self._choose(request.voice or self._own.voice, request.language)
        rate, seconds, words = speak_in_pieces(
            text, MAX_CHARACTERS, lambda piece: self._say(piece, voice, request.speed), out, paid=False
        )
        return Speech(out, seconds, words, voice, self.model, rate)

    def _choose(self, voice: str | None, language: str) -> str:
        found = self.voices()
        names = [one.id for one in found]
        if voice is not None:
            if voice not in names:
                raise Invalid(
                    f"The Piper server has no voice {voice!r}. It has: {', '.join(names) or 'none'}.",
                    field="voice",
                )
            return voice
        tag = language.lower()
        exact = [one.id for one in found if one.language == tag]
        near = [one.id for one in found if one.language.split("-")[0] == tag.split("-")[0]]
        if exact or near:
            return (exact or near)[0]
        raise Invalid(
            f"No voice of the Piper server speaks {language!r}. It has: {', '.join(names) or 'none'}.",
            field="language",
        )

    def _say(self, text: str, voice: str, speed: float) -> Sound:
        body: dict[str, Any] = {"text": text, "voice": voice, "length_scale": round(1 / speed, 4)}
        for path in ("/synthesize", "/"):
            answer = self._http.post(
                f"{self.endpoint}{path}", json_body=body, safe=True, expect=STATUSES, read_timeout=120.0
            )
            if answer.status not in _NOT_THERE:
                raise_for(answer, (), write=False)
                return Sound(*read_wav(answer.body, "Piper"))
        raise Permanent("There is no Piper server at PIPER_URL.", code="not_there")


def _language(name: str) -> str:
    """`en_US-lessac-medium` speaks en-us."""
    return name.split("-", maxsplit=1)[0].replace("_", "-").lower()


ADAPTER = Piper
