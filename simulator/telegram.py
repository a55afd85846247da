"""Telegram's sendMessage on the wire, read from core.telegram.org/bots/api in 2026-11.

Any token is taken but `1:wrong`, and any chat but 404. A message is booked as a task, free of charge.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.answering import Answering

_REFUSALS = {
    "throttled": (429, "Too Many Requests: retry after 1", {"retry_after": 1}),
    "throttled-wait": (429, "Too Many Requests: retry after 1", {"retry_after": 1}),
    "busy": (429, "Too Many Requests: retry after 1", {"retry_after": 1}),
    "down-before": (502, "Bad Gateway", {}),
    "broke": (401, "Unauthorized", {}),
    "used-up": (403, "Forbidden: bot was kicked from the group chat", {}),
    "moderated": (
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        {"migrate_to_chat_id": -100987},
    ),
}


class Telegram(Answering):
    slug: ClassVar[str] = "telegram"
    settings: ClassVar[dict[str, str]] = {"API_KEY": "123:any", "URL": "{here}", "RECIPIENT": "-100123"}

    def routes(self, doors: Blueprint) -> None:
        doors.post("/bot<token>/sendMessage")(self.send)

    def refusal(self, fault: str) -> Response:
        return _error(*_REFUSALS[fault])

    def send(self, token: str) -> Any:
        if token == "1:wrong":  # noqa: S105 (no secret)
            return _error(401, "Unauthorized", {})
        body = request.get_json(silent=True) or {}
        chat, text = str(body.get("chat_id", "")), str(body.get("text") or "")
        if chat in ("", "404"):
            return _error(400, "Bad Request: chat not found", {})
        if not 1 <= len(text) <= 4096:
            return _error(400, "Bad Request: message is too long", {})
        submit = self.submitting(text)
        if (refusal := submit.refused()) is not None:
            return refusal
        self.book(submit, model="sendMessage", prompt=text, chat=chat)
        said = {"message_id": 42, "chat": {"id": chat}, "date": int(time.time()), "text": text}
        return submit.answered(jsonify({"ok": True, "result": said}))


def _error(status: int, description: str, parameters: dict[str, Any]) -> Response:
    said: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    answer = jsonify(said | ({"parameters": parameters} if parameters else {}))
    answer.status_code = status
    return answer


DIALECT = Telegram
