"""Chat completions on the wire, read from openai/openai-openapi in 2026-11. Any key is taken."""

from __future__ import annotations

import json
import re
import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify

from simulator.chat import MODELS, STATUS, Chat, in_chunks


class OpenAICompatible(Chat):
    slug: ClassVar[str] = "openai_compatible"
    prices: ClassVar[tuple[int, int]] = (2, 8)
    settings: ClassVar[dict[str, str]] = {
        "URL": "{here}/v1",
        "MODEL": MODELS[0],
        **dict(zip(("INPUT_PRICE", "OUTPUT_PRICE"), (f"{rate}000000" for rate in prices), strict=True)),
    }

    def routes(self, doors: Blueprint) -> None:
        doors.get("/v1/models")(self.models)
        doors.post("/v1/chat/completions")(self.chat)

    def models(self) -> Any:
        return jsonify({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    def error(self, status: int, message: str, **more: str | None) -> Response:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        answer = jsonify({"error": error | more})
        answer.status_code = status
        return answer

    def chat(self) -> Any:
        body, fault, prompt, submit = self.asked()
        if (refusal := submit.refused()) is not None:
            return refusal
        if fault in STATUS:
            return self.error(STATUS[fault], f"simulated: {fault}", code=fault)
        if wrong := _wrong_format(body.get("response_format")):
            return self.error(400, wrong, param="response_format")
        said = self.say(submit, body, fault, prompt)
        message: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None}
        if fault == "refused":
            message |= {"content": None, "refusal": "simulated: I can't help with that."}
        reason = "length" if fault == "truncated" else "stop"
        if body.get("stream"):
            return _streamed(body, said, reason)
        used = dict(zip(("prompt_tokens", "completion_tokens"), self.tokens(prompt, said), strict=True))
        choice = {"index": 0, "finish_reason": reason, "message": message}
        shown = _head(body, "chat.completion") | {"choices": [choice]}
        return submit.answered(jsonify(shown | {"usage": used | {"total_tokens": sum(used.values())}}))


def _wrong_format(asked: Any) -> str | None:
    """Judge a `response_format` as the vendor does; None when it is in order."""
    if asked is None or asked.get("type") in ("text", "json_object"):
        return None
    schema = asked.get("json_schema")
    if asked.get("type") != "json_schema" or not isinstance(schema, dict):
        return "Invalid value for response_format"
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(schema.get("name", ""))):
        return "Invalid response_format name"
    if schema.get("strict") and (place := _loose(schema.get("schema", {}), "schema")):
        return f"Invalid schema: {place} needs additionalProperties false and every property required"
    return None


def _loose(schema: Any, place: str) -> str | None:
    """Where a schema is not strict: an object with properties that may be left out, or others."""
    if not isinstance(schema, dict):
        return None
    if schema.get("type") == "object":
        named = set(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != named:
            return place
    parts = [*schema.get("properties", {}).items(), ("items", schema.get("items"))]
    found = (_loose(part, f"{place}.{name}") for name, part in parts)
    return next((one for one in found if one), None)


def _streamed(body: dict[str, Any], said: str, reason: str) -> Response:
    head = _head(body, "chat.completion.chunk")
    parts: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": part}, "finish_reason": None} for part in in_chunks(said)
    ]
    parts.append({"index": 0, "delta": {}, "finish_reason": reason})
    lines = [f"data: {json.dumps(head | {'choices': [part]})}\n\n" for part in parts]
    return Response("".join([*lines, "data: [DONE]\n\n"]), mimetype="text/event-stream")


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-simulated",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model"),
    }


DIALECT = OpenAICompatible
