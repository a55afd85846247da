"""OpenAI's speech API on the wire.

Read from openai/openai-openapi (CreateSpeechRequest) and openai-python 3.54 in 2026-11. Any key but `wrong`
is taken. Only `wav` and `pcm` are made here. Sounds are simulated: eSpeak NG reads whichever voice is asked
for.
"""

from __future__ import annotations

from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.answering import Answering, bearer_is_wrong
from simulator.voice import say, wav

PRICES = {"tts-1": 15, "tts-1-hd": 30, "gpt-4o-mini-tts": 0, "gpt-4o-mini-tts-2025-12-15": 0}
"""Micro-dollars a character; what the others cost a character is not published."""
VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx"),
    *("nova", "sage", "shimmer", "verse", "marin", "cedar"),
)
_FIELDS = {"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"}
_REFUSALS = {
    "throttled": (429, "requests", "rate_limit_exceeded", "Rate limit reached"),
    "throttled-wait": (429, "requests", "rate_limit_exceeded", "Rate limit reached"),
    "busy": (429, "requests", "rate_limit_exceeded", "Too many requests at once"),
    "down-before": (500, "server_error", None, "The server had an error"),
    "broke": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota"),
    "used-up": (429, "insufficient_quota", "billing_hard_limit_reached", "Billing hard limit reached"),
    "moderated": (400, "invalid_request_error", "content_policy_violation", "Not allowed by our policy"),
}


class OpenAISpeech(Answering):
    slug: ClassVar[str] = "openai_speech"

    def routes(self, doors: Blueprint) -> None:
        doors.post("/audio/speech")(self.speak)

    def refusal(self, fault: str) -> Response:
        status, kind, code, message = _REFUSALS[fault]
        wait = {"retry-after-ms": "1000"} if fault == "throttled-wait" else {}
        return _error(status, f"simulated: {message}", kind=kind, code=code, headers=wait)

    def speak(self) -> Any:
        if bearer_is_wrong():
            return _error(401, "Incorrect API key provided", code="invalid_api_key")
        body = request.get_json(silent=True)
        if wrong := _wrong(body):
            return wrong
        assert isinstance(body, dict)
        submit = self.submitting(body["input"])
        if (refusal := submit.refused()) is not None:
            return refusal
        rate, samples, _ = say(body["input"], speed=body.get("speed", 1.0), rate=24_000)
        price = PRICES[body["model"]] * len(body["input"])
        self.book(submit, model=body["model"], prompt=body["input"], price=price)
        if body.get("response_format") == "pcm":
            return submit.answered(Response(samples, mimetype="application/octet-stream"))
        return submit.answered(Response(wav(rate, samples, streamed=True), mimetype="audio/wav"))


def _wrong(body: Any) -> Any:
    """Judge a request as the vendor's schema does; None when it is in order."""
    if not isinstance(body, dict):
        return _error(400, "the body is no JSON object")
    if unknown := body.keys() - _FIELDS:
        return _error(400, f"Unknown parameter: {min(unknown)}", param=min(unknown))
    if body.get("model") not in PRICES:
        return _error(404, "The model does not exist", param="model", code="model_not_found")
    text = body.get("input")
    if not isinstance(text, str) or not 0 < len(text) <= 4096:
        return _error(400, "input must have 1 to 4096 characters", param="input")
    voice = body.get("voice")
    named = isinstance(voice, dict) and str(voice.get("id", "")).startswith("voice_")
    if voice not in VOICES if not isinstance(voice, dict) else not named:
        return _error(400, f"{voice} is no voice", param="voice", code="invalid_value")
    if body.get("response_format", "mp3") not in ("wav", "pcm"):
        return _error(400, "simulated: only wav and pcm are made here", param="response_format")
    if not 0.25 <= body.get("speed", 1.0) <= 4.0:
        return _error(400, "speed must be between 0.25 and 4.0", param="speed")
    return None


def _error(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    answer = jsonify({"error": {"message": message, "type": kind, "param": param, "code": code}})
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer


DIALECT = OpenAISpeech
