"""fal's queue on the wire.

Read from fal-client's source and docs.fal.ai in 2026-11. Any key but `wrong` is taken. Inputs
are judged at once here; the vendor may judge them only when the model runs. Callbacks are signed with a key
that everybody knows, published where the vendor publishes its own.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Blueprint, Response, jsonify, request
from jwt.utils import base64url_encode

from simulator.books import Task
from simulator.dialect import Dialect

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
USER = "user_42"
KLING: dict[str, set[Any]] = {
    "duration": {str(n) for n in range(3, 16)},
    "aspect_ratio": {"16:9", "9:16", "1:1"},
    "generate_audio": {True, False},
}
VEO: dict[str, set[Any]] = {
    "duration": {"4s", "6s", "8s"},
    "aspect_ratio": {"16:9", "9:16"},
    "resolution": {"720p", "1080p", "4k"},
    "generate_audio": {True, False},
}
TURBO = {name: KLING[name] for name in ("duration", "aspect_ratio")}
MODELS: dict[str, tuple[dict[str, set[Any]], str | None, int]] = {
    "fal-ai/kling-video/v3/standard/text-to-video": (KLING, None, 84_000),
    "fal-ai/kling-video/v3/standard/image-to-video": (KLING, "start_image_url", 84_000),
    "fal-ai/kling-video/v3/pro/text-to-video": (KLING, None, 112_000),
    "fal-ai/kling-video/v3/pro/image-to-video": (KLING, "start_image_url", 112_000),
    "fal-ai/kling-video/v3/turbo/pro/text-to-video": (TURBO, None, 140_000),
    "fal-ai/kling-video/v3/turbo/pro/image-to-video": (TURBO, "image_url", 140_000),
    "fal-ai/veo3.1": (VEO, None, 200_000),
    "fal-ai/veo3.1/image-to-video": (VEO, "image_url", 200_000),
}
"""What a model's fields may say, the field of its picture, and its price for a second without sound.

Where sound can be switched off it is on unless it is.
"""
SIDES = {"720p": 720, "1080p": 1080, "4k": 2160}
_REFUSALS = {
    "throttled": (429, "rate_limited", "Too many requests"),
    "throttled-wait": (429, "rate_limited", "Too many requests"),
    "busy": (429, "concurrency_limit", "Concurrent requests over the account's limit"),
    "down-before": (500, "internal_error", "Internal server error"),
    "broke": (403, "user_locked", "User is locked. Reason: Exhausted balance."),
    "used-up": (403, "user_locked", "User is locked. Reason: Exhausted balance."),
}
_WORDS = {"queued": "IN_QUEUE", "odd": "IN_REVIEW", "running": "IN_PROGRESS"}


class Fal(Dialect):
    slug: ClassVar[str] = "fal"

    def routes(self, doors: Blueprint) -> None:
        doors.get("/.well-known/jwks.json")(self.keys)
        doors.get("/results/<number>.mp4")(self.result)
        doors.post("/<path:model>")(self.create)
        doors.get("/<path:app>/requests/<request_id>/status")(self.status)
        doors.get("/<path:app>/requests/<request_id>")(self.response)
        doors.put("/<path:app>/requests/<request_id>/cancel")(self.cancel)

    def refusal(self, fault: str) -> Response:
        if fault == "moderated":
            return _wrong(["prompt"], "simulated: flagged by a content checker", "content_policy_violation")
        status, kind, message = _REFUSALS[fault]
        answer = _error(status, kind, f"simulated: {message}")
        if fault == "throttled-wait":
            answer.headers["Retry-After"] = "1"
        return answer

    def keys(self) -> Response:
        self.books.count("key sets")
        x = base64url_encode(KEY.public_key().public_bytes_raw()).decode()
        return jsonify({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})

    def create(self, model: str) -> Any:
        if refusal := _unwelcome():
            return refusal
        if model not in MODELS:
            return _error(404, "not_found", f"Application {model} not found")
        fields, picture, rate = MODELS[model]
        body = request.get_json(silent=True)
        if fault := _misfit(body, fields, picture):
            return fault
        assert isinstance(body, dict)
        submit = self.submitting(body["prompt"])
        if (refusal := submit.refused()) is not None:
            return refusal
        seconds = int(body.get("duration", "5").rstrip("s"))
        resolution = body.get("resolution", "720p")
        across, down = map(int, body.get("aspect_ratio", "16:9").split(":"))
        unit = SIDES[resolution] / min(across, down)
        audio = body.get("generate_audio", True)
        task = self.accept(
            submit,
            vendor_id=str(uuid.uuid4()),
            model=model,
            prompt=body["prompt"],
            width=round(across * unit),
            height=round(down * unit),
            seconds=seconds,
            price=seconds * _rate(fields, rate, audio=audio, large=resolution == "4k"),
            audio=audio,
            callback_url=request.args.get("fal_webhook"),
        )
        assert task is not None
        return submit.answered(jsonify({"status": "IN_QUEUE", "queue_position": 0, **self._addresses(task)}))

    def status(self, app: str, request_id: str) -> Any:
        task = self._asked(app, request_id)
        if not isinstance(task, Task):
            return task
        self.books.count("polls")
        phase = self.phase(task)
        shown: dict[str, Any] = {
            "status": _WORDS.get(phase, "COMPLETED"),
            **self._addresses(task),
            "logs": [],
        }
        if phase == "queued":
            shown["queue_position"] = 2
        if shown["status"] == "COMPLETED":
            shown["metrics"] = {"inference_time": round((task.done or 0) - task.created, 3)}
        if phase == "failed":
            shown |= {"error": "Request failed", "error_type": _why(task)[1]}
        return jsonify(shown), 200 if shown["status"] == "COMPLETED" else 202

    def response(self, app: str, request_id: str) -> Any:
        task = self._asked(app, request_id)
        if not isinstance(task, Task):
            return task
        if not task.ended:
            return _error(400, "bad_request", "Request is still in progress")
        return _error(*_why(task)) if task.fails else jsonify(self._output(task))

    def cancel(self, app: str, request_id: str) -> Any:
        task = self._asked(app, request_id)
        if not isinstance(task, Task):
            return (jsonify({"status": "NOT_FOUND"}), 404) if task.status_code == 404 else task
        if task.ended:
            return jsonify({"status": "ALREADY_COMPLETED"}), 400
        self.stop(task, cancelled=True)
        return jsonify({"status": "CANCELLATION_REQUESTED"}), 202

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        told: dict[str, Any] = {"request_id": task.vendor_id, "gateway_request_id": task.vendor_id}
        if task.fails:
            status, kind, message = _why(task)
            told |= {"status": "ERROR", "error": f"Invalid status code: {status}"}
            told["payload"] = {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": kind}]}
        else:
            told |= {"status": "OK", "payload": self._output(task)}
        body = json.dumps(told).encode()
        return sign(task.vendor_id, body, time.time()), body

    def _asked(self, app: str, request_id: str) -> Task | Response:
        """The task at an address; the address has no more of the model than its owner and its name."""
        if refusal := _unwelcome():
            return refusal
        if app.count("/") != 1:
            return _error(405, "method_not_allowed", "Method Not Allowed")
        task = self.task(request_id)
        if task is None or not task.model.startswith(app):
            return _error(404, "not_found", "Request not found")
        return task

    def _addresses(self, task: Task) -> dict[str, str]:
        app = "/".join(task.model.split("/")[:2])
        base = f"{task.facts['host']}fal/{app}/requests/{task.vendor_id}"
        return {
            "request_id": task.vendor_id,
            "response_url": base,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }

    def _output(self, task: Task) -> dict[str, Any]:
        name = f"{task.id}.mp4"
        return {"video": {"url": self.result_url(task), "content_type": "video/mp4", "file_name": name}}


def sign(request_id: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a callback."""
    said = str(int(now))
    signed = "\n".join((request_id, USER, said, hashlib.sha256(body).hexdigest())).encode()
    return {
        "Content-Type": "application/json",
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": USER,
        "X-Fal-Webhook-Timestamp": said,
        "X-Fal-Webhook-Signature": KEY.sign(signed).hex(),
    }


def _rate(fields: dict[str, set[Any]], rate: int, *, audio: bool, large: bool) -> int:
    """For a second: with sound Kling takes half as much again and Veo 0.20 USD more."""
    silent = rate * (2 if large else 1)
    if not audio or "generate_audio" not in fields:
        return silent
    return silent + 200_000 if fields is VEO else silent * 3 // 2


def _why(task: Task) -> tuple[int, str, str]:
    if task.facts.get("cancelled"):
        return 499, "client_cancelled", "Request was cancelled"
    return 422, "content_policy_violation", "simulated: flagged by a content checker"


def _unwelcome() -> Response | None:
    said = request.headers.get("Authorization", "")
    if not said.startswith("Key ") or said == "Key wrong":
        return _error(401, "unauthorized", "No user found for this key")
    return None


def _misfit(body: Any, fields: dict[str, set[Any]], picture: str | None) -> Response | None:
    """Judge an input as a model's schema does; None when it is in order."""
    if not isinstance(body, dict) or not isinstance(body.get("prompt"), str) or not body["prompt"]:
        return _wrong(["prompt"], "Field required", "missing")
    known = {"prompt", "seed", "negative_prompt", *fields, *([picture] if picture else [])}
    if unknown := [name for name in body if name not in known]:
        return _wrong([unknown[0]], "Extra inputs are not permitted", "extra_forbidden")
    for name, allowed in fields.items():
        if name in body and (
            isinstance(body[name], int) != (name == "generate_audio") or body[name] not in allowed
        ):
            return _wrong([name], f"Input should be one of {sorted(allowed, key=str)}", "literal_error")
    if picture is not None and not str(body.get(picture, "")).startswith(
        ("data:image/", "https://", "http://")
    ):
        return _wrong([picture], "Field required", "missing")
    return None


def _wrong(where: list[str], message: str, kind: str) -> Response:
    answer = jsonify({"detail": [{"loc": ["body", *where], "msg": message, "type": kind}]})
    answer.status_code = 422
    return answer


def _error(status: int, kind: str, message: str) -> Response:
    answer = jsonify({"detail": message, "error_type": kind})
    answer.status_code = status
    answer.headers["X-Fal-Error-Type"] = kind
    return answer


DIALECT = Fal
