"""A Piper server on the wire, read from OHF-Voice/piper1-gpl (docs/API_HTTP.md) in 2026-11.

As there, a voice it does not have is another one, and an empty text is a page with 500.
"""

from __future__ import annotations

from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.answering import Answering
from simulator.voice import say, wav

VOICES = ("de_DE-thorsten-medium", "en_US-lessac-medium")


class Piper(Answering):
    slug: ClassVar[str] = "piper"

    def routes(self, doors: Blueprint) -> None:
        doors.post("/synthesize")(self.synthesize)
        doors.get("/voices")(lambda: jsonify({name: {"audio": {"sample_rate": 22050}} for name in VOICES}))

    def refusal(self, fault: str) -> Response:
        status = 429 if fault.startswith(("throttled", "busy")) else 500
        return Response(f"<h1>simulated: {fault}</h1>", status, mimetype="text/html")

    def synthesize(self) -> Any:
        body = request.get_json(silent=True) or {}
        submit = self.submitting(str(body.get("text", "")))
        if (refusal := submit.refused()) is not None:
            return refusal
        if not body.get("text"):
            return Response("<h1>Internal Server Error</h1>", 500, mimetype="text/html")
        rate, samples, _ = say(body["text"], speed=1 / float(body.get("length_scale", 1.0)))
        self.book(submit, model=str(body.get("voice")), prompt=body["text"])
        return submit.answered(Response(wav(rate, samples), mimetype="audio/wav"))


DIALECT = Piper
