"""An Ollama server on the wire, read from ollama/ollama (docs/api.md, docs/openapi.yaml) in 2026-11."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify

from simulator.chat import MODELS, STATUS, Chat, in_chunks


class Ollama(Chat):
    slug: ClassVar[str] = "ollama"
    settings: ClassVar[dict[str, str]] = {"URL": "{here}", "MODEL": MODELS[0]}

    def routes(self, doors: Blueprint) -> None:
        doors.get("/api/version")(self.version)
        doors.get("/api/tags")(self.tags)
        doors.post("/api/chat")(self.chat)

    def version(self) -> Any:
        return jsonify({"version": "0.0.0-simulated"})

    def tags(self) -> Any:
        return jsonify({"models": [{"name": name, "model": name} for name in MODELS]})

    def error(self, status: int, message: str, **more: str | None) -> Response:  # noqa: ARG002 (words only)
        answer = jsonify({"error": message})
        answer.status_code = status
        return answer

    def chat(self) -> Any:
        body, fault, prompt, submit = self.asked()
        if (refusal := submit.refused()) is not None:
            return refusal
        if fault in STATUS:
            return self.error(STATUS[fault], f"simulated: model {body.get('model')!r}: {fault}")
        shape = body.get("format")
        if shape is not None and shape != "json" and not isinstance(shape, dict):
            return self.error(400, 'invalid format: it is "json" or a JSON schema')
        said = self.say(submit, body, fault, prompt)
        last = {
            "done": True,
            "done_reason": "length" if fault == "truncated" else "stop",
            "total_duration": 1_000_000,
            "prompt_eval_count": len(prompt.split()),
            "eval_count": len(said.split()),
        }
        if body.get("stream", True):
            lines = [_message(body, part) | {"done": False} for part in in_chunks(said)]
            lines.append(_message(body, "") | last)
            return Response(
                "".join(json.dumps(line) + "\n" for line in lines), mimetype="application/x-ndjson"
            )
        return submit.answered(jsonify(_message(body, said) | last))


def _message(body: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "model": body.get("model"),
        "created_at": datetime.now(UTC).isoformat(),
        "message": {"role": "assistant", "content": text},
    }


DIALECT = Ollama
