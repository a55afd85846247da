"""A Coqui TTS server on the wire, read from idiap/coqui-ai-TTS (TTS/server/server.py) in 2026-11."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.answering import Answering
from simulator.voice import say, wav


class Coqui(Answering):
    slug: ClassVar[str] = "coqui"

    def routes(self, doors: Blueprint) -> None:
        doors.route("/api/tts", methods=["GET", "POST"])(self.speak)

    def refusal(self, fault: str) -> Response:
        answer = jsonify({"error": f"TTS synthesis failed: simulated {fault}"})
        answer.status_code = 500
        return answer

    def speak(self) -> Any:
        text = request.values.get("text") or request.headers.get("text") or ""
        if not text:
            answer = jsonify({"error": "Text parameter is required"})
            answer.status_code = 400
            return answer
        submit = self.submitting(text)
        if (refusal := submit.refused()) is not None:
            return refusal
        rate, samples, _ = say(text)
        self.book(submit, model=request.values.get("speaker_id", "default"), prompt=text)
        return submit.answered(Response(wav(rate, samples), mimetype="audio/wav"))


DIALECT = Coqui
