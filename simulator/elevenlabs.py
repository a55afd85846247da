"""ElevenLabs' text to speech on the wire, with the time of every character.

Read from elevenlabs-python 2.78 and the vendor's reference in 2026-11. Any key but `wrong` is taken. Only pcm
is made here. A voice named `silent` sends no alignment. What a character costs hangs on the plan: here
nothing.
"""

from __future__ import annotations

import base64
import re
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.answering import Answering
from simulator.voice import say

MODELS = ("eleven_multilingual_v2", "eleven_turbo_v2_5", "eleven_flash_v2_5")
VOICES = {"21m00Tcm4TlvDq8ikWAM": "Simulated Rachel", "silent": "Simulated without times"}
_REFUSALS = {
    "throttled": (429, "too_many_concurrent_requests", "Too many concurrent requests"),
    "throttled-wait": (429, "rate_limit_exceeded", "Rate limit exceeded"),
    "busy": (429, "system_busy", "The system is busy"),
    "down-before": (500, "internal_server_error", "Something went wrong"),
    "broke": (401, "quota_exceeded", "This request exceeds your quota"),
    "used-up": (401, "quota_exceeded", "This request exceeds your quota"),
    "moderated": (403, "content_against_policy", "The text is against the policy"),
}


class ElevenLabs(Answering):
    slug: ClassVar[str] = "elevenlabs"

    def routes(self, doors: Blueprint) -> None:
        doors.post("/v1/text-to-speech/<voice>/with-timestamps")(self.speak)
        doors.get("/v2/voices")(self.voices)

    def refusal(self, fault: str) -> Response:
        status, word, message = _REFUSALS[fault]
        answer = _error(status, word, f"simulated: {message}")
        if fault == "throttled-wait":
            answer.headers["Retry-After"] = "1"
        return answer

    def voices(self) -> Any:
        if refused := _unwelcome():
            return refused
        listed = [{"voice_id": key, "name": name, "category": "premade"} for key, name in VOICES.items()]
        return jsonify({"voices": listed, "has_more": False, "total_count": len(listed)})

    def speak(self, voice: str) -> Any:
        if refused := _unwelcome():
            return refused
        body = request.get_json(silent=True) or {}
        text, model = body.get("text"), body.get("model_id", MODELS[0])
        if voice not in VOICES:
            return _error(404, "voice_not_found", f"A voice with voice_id {voice} was not found.")
        if not isinstance(text, str) or not text:
            detail = {"loc": ["body", "text"], "msg": "Field required", "type": "missing"}
            return _status(jsonify({"detail": [detail]}), 422)
        if model not in MODELS:
            return _error(400, "model_not_found", f"The model {model} does not exist.")
        if not (asked := re.fullmatch(r"pcm_(\d+)", request.args.get("output_format", ""))):
            return _error(400, "invalid_output_format", "simulated: only pcm is made here")
        submit = self.submitting(text)
        if (refusal := submit.refused()) is not None:
            return refusal
        rate, samples, words = say(text, rate=int(asked[1]))
        self.book(submit, model=model, prompt=text)
        alignment = None if voice == "silent" else _align(text, words, len(samples) / 2 / rate)
        said = {"audio_base64": base64.b64encode(samples).decode()}
        return submit.answered(jsonify({**said, "alignment": alignment, "normalized_alignment": alignment}))


def _align(text: str, words: Any, seconds: float) -> dict[str, list[Any]]:
    """A time for every character: those of a word share its time, a blank has the gap after it."""
    starts, ends, place, now = [0.0] * len(text), [0.0] * len(text), 0, 0.0
    for word in words:
        at = text.index(word.text, place)
        for i in range(place, at):
            starts[i] = ends[i] = now
        share = (word.end - word.start) / len(word.text)
        for i in range(len(word.text)):
            starts[at + i] = round(word.start + i * share, 4)
            ends[at + i] = round(word.start + (i + 1) * share, 4)
        place, now = at + len(word.text), word.end
    for i in range(place, len(text)):
        starts[i], ends[i] = now, seconds
    return {
        "characters": list(text),
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }


def _unwelcome() -> Any:
    if request.headers.get("xi-api-key", "wrong") == "wrong":
        return _error(401, "invalid_api_key", "Invalid API key")
    return None


def _error(status: int, word: str, message: str) -> Response:
    return _status(jsonify({"detail": {"status": word, "message": message}}), status)


def _status(answer: Response, status: int) -> Response:
    answer.status_code = status
    return answer


DIALECT = ElevenLabs
