"""Slack's chat.postMessage on the wire, read from docs.slack.dev and python-slack-sdk in 2026-11.

Any token but `wrong` is taken, and any channel but `nowhere`. A message is booked as a task, free of charge.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.answering import Answering, bearer_is_wrong

_REFUSALS = {"throttled": "ratelimited", "busy": "service_unavailable", "broke": "account_inactive"}
_REFUSALS |= {"used-up": "token_revoked", "moderated": "msg_too_long"}


class Slack(Answering):
    slug: ClassVar[str] = "slack"
    settings: ClassVar[dict[str, str]] = {"API_KEY": "any", "URL": "{here}", "RECIPIENT": "C123"}

    def routes(self, doors: Blueprint) -> None:
        doors.post("/chat.postMessage")(self.post)

    def refusal(self, fault: str) -> Response:
        if fault == "down-before":
            return Response("upstream connect error", 503)
        if fault == "throttled-wait":
            return Response("", 429, {"Retry-After": "1"})
        return jsonify({"ok": False, "error": _REFUSALS[fault]})

    def post(self) -> Any:
        if bearer_is_wrong():
            return jsonify({"ok": False, "error": "invalid_auth"})
        body = request.get_json(silent=True) or request.form
        channel, text = str(body.get("channel", "")), str(body.get("text") or "")
        if channel in ("", "nowhere"):
            return jsonify({"ok": False, "error": "channel_not_found"})
        if not text:
            return jsonify({"ok": False, "error": "no_text"})
        submit = self.submitting(text)
        if (refusal := submit.refused()) is not None:
            return refusal
        self.book(submit, model="chat.postMessage", prompt=text, channel=channel)
        said = {"ok": True, "channel": channel, "ts": f"{time.time():.6f}", "message": {"text": text}}
        return submit.answered(jsonify(said))


DIALECT = Slack
