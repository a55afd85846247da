"""Replicate's predictions on the wire.

Read from its OpenAPI and its Python client's source in 2026-11. Any key but `wrong` is taken. Inputs are
judged at once, as official models' are. What models say of inputs that they will not work on differs; here it
is the words of the vendor's example.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.dialect import Dialect
from simulator.webhooks import SECRET, sign_standard

MODES = {"standard": 720, "pro": 1080}
SIDES = {"720p": 720, "1080p": 1080}
RATIOS = {"16:9", "9:16", "1:1"}
FIELDS: dict[str, dict[str, Any]] = {
    "kwaivgi/kling-v2.5-turbo-pro": {"duration": (5, 10), "aspect_ratio": RATIOS, "image": "start_image"},
    "kwaivgi/kling-v2.1": {"duration": (5, 10), "mode": MODES, "image": "start_image", "needs": True},
    "kwaivgi/kling-v3-video": {
        "duration": range(3, 16),
        "aspect_ratio": RATIOS,
        "mode": MODES,
        "generate_audio": (True, False),
        "image": "start_image",
    },
    "google/veo-3.1": {
        "duration": (4, 6, 8),
        "aspect_ratio": {"16:9", "9:16"},
        "resolution": SIDES,
        "generate_audio": (True, False),
        "seed": range(1 << 32),
        "image": "image",
    },
}
RATES = {
    "kwaivgi/kling-v2.5-turbo-pro": {1080: 70_000},
    "kwaivgi/kling-v2.1": {720: 50_000, 1080: 90_000},
    "kwaivgi/kling-v3-video": {720: 84_000, 1080: 112_000},
    "google/veo-3.1": {720: 200_000, 1080: 200_000},
}
"""A second without sound; with it, twice as much here: the vendor's price was not found."""
_REFUSALS = {
    "throttled": (429, "", "Request was throttled."),
    "throttled-wait": (429, "", "Request was throttled. Your rate limit resets in ~1s."),
    "busy": (429, "", "Request was throttled."),
    "down-before": (500, "Internal server error", "simulated: something went wrong"),
    "broke": (402, "Insufficient credit", "simulated: You have insufficient credit to run this model."),
    "used-up": (402, "Monthly spend limit reached", "simulated: You have reached your spend limit."),
    "moderated": (422, "Input validation failed", "simulated: NSFW content detected"),
}
_WORDS = {"queued": "starting", "odd": "reviewing", "running": "processing"}


class Replicate(Dialect):
    slug: ClassVar[str] = "replicate"

    def routes(self, doors: Blueprint) -> None:
        self._files: dict[str, dict[str, Any]] = {}
        doors.post("/v1/models/<owner>/<name>/predictions")(self.create_of_model)
        doors.post("/v1/predictions")(self.create)
        doors.get("/v1/predictions/<prediction_id>")(self.show)
        doors.post("/v1/predictions/<prediction_id>/cancel")(self.cancel)
        doors.post("/v1/files")(self.keep)
        doors.get("/v1/webhooks/default/secret")(self.secret)
        doors.get("/results/<number>.mp4")(self.result)

    def refusal(self, fault: str) -> Response:
        return _error(*_REFUSALS[fault])

    def create_of_model(self, owner: str, name: str) -> Any:
        return self._create(f"{owner}/{name}")

    def create(self) -> Any:
        body = request.get_json(silent=True)
        return self._create(str(body.get("version")) if isinstance(body, dict) else "")

    def _create(self, model: str) -> Any:
        if refusal := _unwelcome():
            return refusal
        if model not in FIELDS:
            return _error(404, "Not found", "The requested resource could not be found.")
        body = request.get_json(silent=True)
        if fault := self._misfit(FIELDS[model], body):
            return fault
        assert isinstance(body, dict)
        asked: dict[str, Any] = body["input"]
        submit = self.submitting(asked["prompt"])
        if (refusal := submit.refused()) is not None:
            return refusal
        across, down = map(int, asked.get("aspect_ratio", "16:9").split(":"))
        fields = FIELDS[model]
        side = (
            MODES[asked.get("mode", "pro")] if "mode" in fields else SIDES[asked.get("resolution", "1080p")]
        )
        side = side if "mode" in fields or "resolution" in fields else 720
        seconds = asked.get("duration", 5)
        rates, audio = RATES[model], bool(asked.get("generate_audio"))
        task = self.accept(
            submit,
            vendor_id=secrets.token_hex(13),
            model=model,
            prompt=asked["prompt"],
            width=round(across * side / min(across, down)),
            height=round(down * side / min(across, down)),
            seconds=seconds,
            price=seconds * rates.get(side, max(rates.values())) * (2 if audio else 1),
            audio=audio,
            callback_url=body.get("webhook"),
            facts={"input": {**asked, **({"image": "…"} if "image" in asked else {})}},
        )
        assert task is not None
        return submit.answered((jsonify(self._shown(task)), 201))

    def show(self, prediction_id: str) -> Any:
        if refusal := _unwelcome():
            return refusal
        self.books.count("polls")
        task = self.task(prediction_id)
        return (
            _error(404, "Not found", "Prediction not found") if task is None else jsonify(self._shown(task))
        )

    def cancel(self, prediction_id: str) -> Any:
        if refusal := _unwelcome():
            return refusal
        task = self.task(prediction_id)
        if task is None:
            return _error(404, "Not found", "Prediction not found")
        if not task.ended:
            task = self.stop(task, stopped=True, begun=self.phase(task) == "running")
        return jsonify(self._shown(task))

    def keep(self) -> Any:
        if refusal := _unwelcome():
            return refusal
        sent = request.files.get("content")
        if sent is None:
            return _error(400, "Bad request", "Missing content")
        data, file_id = sent.read(), secrets.token_hex(16)
        url = f"{request.host_url}replicate/v1/files/{file_id}"
        self._files[url] = {
            "id": file_id,
            "name": sent.filename,
            "content_type": sent.mimetype,
            "size": len(data),
            "etag": secrets.token_hex(8),
            "checksums": {"sha256": hashlib.sha256(data).hexdigest()},
            "metadata": {},
            "created_at": _at(time.time()),
            "expires_at": _at(time.time() + 86_400),
            "urls": {"get": url},
        }
        self.books.count("files")
        return jsonify(self._files[url]), 201

    def secret(self) -> Any:
        return _unwelcome() or jsonify({"key": SECRET})

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        body = json.dumps(self._shown(task)).encode()
        headers = sign_standard(f"msg_{task.id}", body, time.time())
        return {**headers, "Content-Type": "application/json"}, body

    def _shown(self, task: Task) -> dict[str, Any]:
        phase = self.phase(task)
        stopped = task.facts.get("stopped")
        begun = task.facts["begun"] if stopped else phase not in ("queued", "odd")
        status = "canceled" if stopped else _WORDS.get(phase, phase)
        base = f"{task.facts['host']}replicate/v1/predictions/{task.vendor_id}"
        shown: dict[str, Any] = {
            "id": task.vendor_id,
            "model": task.model,
            "version": "hidden",
            "input": task.facts["input"],
            "logs": "",
            "output": None,
            "error": None,
            "status": status,
            "created_at": _at(task.created),
            "started_at": _at(task.created) if begun else None,
            "completed_at": _at(task.done or 0) if task.ended else None,
            "data_removed": False,
            "source": "api",
            "urls": {
                "get": base,
                "cancel": f"{base}/cancel",
                "web": f"https://replicate.com/p/{task.vendor_id}",
            },
        }
        if status == "failed":
            shown["error"] = "simulated: NSFW content detected"
        if status == "succeeded":
            shown["output"] = self.result_url(task)
            shown["metrics"] = {"predict_time": round((task.done or 0) - task.created, 3)}
        return shown

    def _misfit(self, fields: dict[str, Any], body: Any) -> Response | None:
        """Judge a request as a model's schema does; None when it is in order."""
        asked = body.get("input") if isinstance(body, dict) else None
        if not isinstance(asked, dict) or not isinstance(asked.get("prompt"), str) or not asked["prompt"]:
            return _invalid("prompt is required")
        picture = fields["image"]
        if unknown := [
            name for name in asked if name not in {"prompt", picture, *fields.keys() - {"image", "needs"}}
        ]:
            return _invalid(f"Additional property {unknown[0]} is not allowed")
        for name in fields.keys() & asked.keys() - {"image", picture}:
            if asked[name] not in fields[name] or isinstance(asked[name], bool) != (name == "generate_audio"):
                return _invalid(f"{name} must be one of {sorted(map(str, fields[name]))[:20]}")
        shown = asked.get(picture)
        if shown is None:
            return _invalid(f"{picture} is required") if fields.get("needs") else None
        if not isinstance(shown, str) or (
            shown not in self._files and not shown.startswith(("data:", "https://"))
        ):
            return _invalid(f"{picture}: Does not match format 'uri'")
        if shown.startswith("data:") and len(shown) > 256 << 10:
            return _invalid(f"{picture}: data URLs may have 256 KB")
        return None


def _at(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z")


def _unwelcome() -> Response | None:
    said = request.headers.get("Authorization", "")
    if not said.startswith("Bearer ") or said == "Bearer wrong":
        return _error(401, "Unauthenticated", "You did not pass a valid authentication token")
    return None


def _invalid(message: str) -> Response:
    return _error(422, "Input validation failed", f"- input: {message}")


def _error(status: int, title: str, detail: str) -> Response:
    answer = jsonify(
        {"detail": detail} if status == 429 else {"title": title, "detail": detail, "status": status}
    )
    answer.status_code = status
    answer.mimetype = "application/problem+json"
    return answer


DIALECT = Replicate
