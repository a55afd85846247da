"""The Gemini API's callbacks: registered for a project, or named in one request.

Read from ai.google.dev/gemini-api/docs/webhooks and google-genai's source in 2026-11. Registered ones are
signed by Standard Webhooks, each with a secret of its own, the others with an RS256 token. What such a
token says is not documented; here it has times and the address as its audience.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Blueprint, jsonify, request

from simulator.books import Task
from simulator.google import GoogleDialect, error, stranger
from simulator.webhooks import sign_standard

_KID = "simulated-1"


class EventDialect(GoogleDialect):
    event: ClassVar[str | None] = None

    def event_routes(self, doors: Blueprint) -> None:
        self._registered: dict[str, dict[str, Any]] = {}
        doors.post("/<version>/webhooks")(self.register)
        doors.get("/.well-known/jwks.json")(lambda: jsonify({"keys": [_published()]}))

    def register(self, version: str) -> Any:  # noqa: ARG002
        body = request.get_json(silent=True)
        if (refusal := stranger()) is not None:
            return refusal
        if not isinstance(body, dict) or not body.get("uri") or not body.get("subscribed_events"):
            return error(400, "INVALID_ARGUMENT", "uri and subscribed_events are required")
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        self._registered[body["uri"]] = {**body, "id": f"wh{len(self._registered)}", "secret": secret}
        shown = {**self._registered[body["uri"]], "new_signing_secret": secret}
        del shown["secret"]
        return jsonify(shown)

    def address(self, named: list[str]) -> str | None:
        """Where to call back about a request: the address it names, else a registered one."""
        return next(iter([*named, *self._registered]), None)

    def kind(self, task: Task) -> str | None:  # noqa: ARG002
        """Which event the end of a task is."""
        return self.event

    def subject(self, task: Task) -> dict[str, Any]:
        return {"id": task.vendor_id}

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        event = {
            "type": self.kind(task),
            "version": "v1",
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": self.subject(task),
        }
        body, now = json.dumps(event).encode(), time.time()
        where = str(task.facts["callback_url"])
        headers = sign_standard(f"evt-{task.id}", body, now)
        if where in self._registered:
            return sign_standard(f"evt-{task.id}", body, now, self._registered[where]["secret"]), body
        claims = {"iss": "simulator", "aud": where, "iat": int(now), "exp": int(now) + 600}
        token = jwt.encode(claims, _key(), algorithm="RS256", headers={"kid": _KID})
        return {**headers, "webhook-signature": token}, body


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _published() -> dict[str, Any]:
    return {
        **jwt.algorithms.RSAAlgorithm.to_jwk(_key().public_key(), as_dict=True),
        "kid": _KID,
        "alg": "RS256",
    }
