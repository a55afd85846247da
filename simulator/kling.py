"""Kling's new standard API on the wire.

Read from the vendor's pages (kling.ai/document-api) in 2026-11. Any key but `wrong` is taken, and no signed
token, which belongs to the older API. What a second task with the same `external_task_id` is answered is not
documented; here it is 400 with code 1201. A callback is sent when a task has ended, signed with the secret of
`simulator.webhooks`.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.dialect import Dialect
from simulator.webhooks import sign_standard

PRICES = {
    "kling-3.0": {"720p": 84_000, "1080p": 112_000, "4k": 420_000},
    "kling-3.0-turbo": {"720p": 84_000, "1080p": 112_000},
    "kling-2.6": {"720p": 42_000, "1080p": 70_000},
    "kling-2.5-turbo": {"720p": 42_000, "1080p": 70_000},
}
SIDES = {"720p": 720, "1080p": 1080, "4k": 2160}
ASPECTS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1)}
WITH_AUDIO = {"kling-3.0": {"720p": 126_000, "1080p": 168_000}}
"""Prices with sound where they are known; elsewhere it is half as much again, as it is there."""
SILENT = ("kling-2.5-turbo",)
FULL_ONLY = ("kling-2.6",)
"""Models that make sound at 1080p alone."""
_REFUSALS = {
    "throttled": (429, 1302, "Request rate over the limit"),
    "throttled-wait": (429, 1302, "Request rate over the limit"),
    "busy": (429, 1303, "Concurrency over the resource pack's limit"),
    "down-before": (500, 5000, "Internal server error"),
    "broke": (429, 1101, "Account in arrears"),
    "used-up": (429, 1102, "Resource pack used up"),
    "moderated": (400, 1301, "The request did not pass content safety"),
}
_WORDS = {
    "queued": "submitted",
    "odd": "reviewing",
    "running": "processing",
    "succeeded": "succeeded",
    "failed": "failed",
}


class Kling(Dialect):
    slug: ClassVar[str] = "kling"
    prices: ClassVar[dict[str, dict[str, int]]] = PRICES
    with_audio: ClassVar[dict[str, dict[str, int]]] = WITH_AUDIO

    def routes(self, doors: Blueprint) -> None:
        doors.post("/text-to-video/<model>")(self.create)
        doors.post("/image-to-video/<model>", endpoint="image")(self.create)
        doors.get("/tasks")(self.list_tasks)
        doors.get("/results/<number>.mp4")(self.result)

    def refusal(self, fault: str) -> Response:
        status, code, message = _REFUSALS[fault]
        wait = {"Retry-After": "1"} if fault == "throttled-wait" else {}
        return error(status, code, f"simulated: {message}", wait)

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        body = json.dumps(self.shown(task)).encode()
        return sign_standard(f"evt-{task.id}", body, time.time()), body

    def create(self, model: str) -> Any:
        if (refusal := unwelcome()) is not None:
            return refusal
        body = request.get_json(silent=True)
        begins = "image" in request.path
        if (fault := _wrong(model, body, begins=begins)) is not None:
            return fault
        assert isinstance(body, dict)
        settings, options = body.get("settings", {}), body.get("options", {})
        prompt = _content(body, "prompt", "text") if begins else body["prompt"]
        return self.order(
            model=model,
            prompt=prompt,
            resolution=settings.get("resolution", "720p"),
            aspect=settings.get("aspect_ratio", "16:9"),
            seconds=settings.get("duration", 5),
            options=options,
            picture=_content(body, "first_frame", "url") if begins else None,
            audio=settings.get("audio") == "native",
        )

    def order(
        self,
        *,
        model: str,
        prompt: str,
        resolution: str,
        aspect: str,
        seconds: int,
        options: dict[str, Any],
        picture: str | None,
        audio: bool,
    ) -> Any:
        """Take a request that is in order."""
        external = options.get("external_task_id")
        submit = self.submitting(prompt, external)
        if (refusal := submit.refused()) is not None:
            return refusal
        rate = self.prices[model][resolution]
        if audio:
            rate = self.with_audio.get(model, {}).get(resolution, rate * 3 // 2)
        across, down = ASPECTS[aspect]
        unit = SIDES[resolution] / min(across, down)
        task = self.accept(
            submit,
            token=external,
            model=model,
            prompt=prompt,
            width=round(across * unit),
            height=round(down * unit),
            seconds=seconds,
            price=rate * seconds,
            audio=audio,
            callback_url=options.get("callback_url"),
            facts={"picture": len(picture or "")},
        )
        if task is None:
            return error(400, 1201, f"external_task_id {external} already exists")
        return submit.answered(success(self.shown(task)))

    def list_tasks(self) -> Any:
        if (refusal := unwelcome()) is not None:
            return refusal
        ids, external = request.args.get("task_ids"), request.args.get("external_task_ids")
        if (ids is None) == (external is None):
            return error(400, 1201, "Give task_ids or external_task_ids")
        wanted = (ids or external or "").split(",")
        self.books.count("polls" if ids is not None else "lookups")
        self.books.count("polled ids" if ids is not None else "looked up ids", len(wanted))
        by_token = {} if ids is not None else {"external_ids": wanted}
        tasks = self.books.find(self.slug, **(by_token or {"ids": wanted}))
        return success([self.shown(task) for task in tasks])

    def shown(self, task: Task) -> dict[str, Any]:
        status = _WORDS[self.phase(task)]
        shown: dict[str, Any] = {
            "id": task.vendor_id,
            "status": status,
            "message": "Failure to pass the risk control system" if status == "failed" else "",
            "create_time": round(task.created * 1000),
            "update_time": round(time.time() * 1000),
            "external_id": task.external_id,
        }
        if status == "succeeded":
            url = self.result_url(task)
            shown["outputs"] = [
                {
                    "type": "video",
                    "id": f"v{task.id}",
                    "url": url,
                    "watermark_url": "",
                    "duration": f"{task.seconds:g}",
                }
            ]
            shown["billing"] = [
                {
                    "charge_type": "unit",
                    "amount": f"{task.price / 140_000:g}",
                    "package_type": "video",
                    "list_price": f"{task.price / 1_000_000:g}",
                }
            ]
        return shown


def unwelcome(*, tokens: bool = False) -> Response | None:
    """Refuse a caller without a key; `tokens` says whether a signed token may stand for one."""
    said = request.headers.get("Authorization", "")
    if not said.startswith("Bearer ") or said == "Bearer wrong":
        return error(401, 1002, "Authentication error")
    if said.count(".") == 2 and not tokens:
        return error(401, 1002, "Authentication error. The current API does not support AK/SK")
    return None


def _wrong(model: str, body: Any, *, begins: bool) -> Response | None:
    """Judge a request as the vendor's reference does; None when it is in order."""
    if model not in PRICES:
        return error(404, 1203, f"The model {model} does not exist")
    words = "contents" if begins else "prompt"
    if not isinstance(body, dict) or not body.get(words):
        return error(400, 1200, f"{words} is required")
    settings, options = body.get("settings", {}), body.get("options", {})
    known = {"multi_shot", "audio", "resolution", "duration", *(() if begins else ("aspect_ratio",))}
    unknown = [*(settings.keys() - known), *(body.keys() - {words, "settings", "options"})]
    unknown += options.keys() - {"callback_url", "external_task_id", "watermark_info"}
    if unknown:
        return error(400, 1201, f"unknown parameter {unknown[0]}")
    if begins and not is_picture(_content(body, "first_frame", "url")):
        return error(400, 1201, "first_frame is an address or base64")
    if model.endswith("3.0-turbo") and "audio" in settings:
        return error(400, 1201, "audio is not supported by this model")
    durations = range(3, 16) if model.startswith("kling-3") else (5, 10)
    prompt = _content(body, "prompt", "text") if begins else body["prompt"]
    sounds = ("off",) if model in SILENT else ("off", "native")
    offered = {
        "resolution": PRICES[model],
        "aspect_ratio": ASPECTS,
        "duration": durations,
        "audio": sounds,
    }
    fault = judge(prompt, 3072, settings, offered)
    if fault is None and settings.get("audio") == "native" and model in FULL_ONLY:
        full = settings.get("resolution", "720p") == "1080p"
        return None if full else error(400, 1201, "audio needs the resolution 1080p")
    return fault


def judge(prompt: Any, longest: int, settings: dict[str, Any], offered: dict[str, Any]) -> Response | None:
    """Refuse words that are too many, and a setting that is not among those offered."""
    if not isinstance(prompt, str) or not prompt:
        return error(400, 1200, "prompt is required")
    if len(prompt) > longest:
        return error(400, 1201, f"prompt is longer than {longest} characters")
    for name, values in offered.items():
        if name in settings and (isinstance(settings[name], bool) or settings[name] not in values):
            return error(400, 1201, f"{name} is not supported")
    return None


def is_picture(said: Any) -> bool:
    """An address, or base64 without `data:` before it."""
    if not isinstance(said, str) or not said:
        return False
    try:
        return said.startswith("https://") or bool(base64.b64decode(said, validate=True))
    except binascii.Error:
        return False


def _content(body: dict[str, Any], kind: str, field: str) -> Any:
    contents = body["contents"] if isinstance(body["contents"], list) else []
    return next((c.get(field) for c in contents if isinstance(c, dict) and c.get("type") == kind), None)


def success(data: Any) -> Response:
    return jsonify({"code": 0, "message": "SUCCEED", "request_id": f"sim-{time.time_ns():x}", "data": data})


def error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    answer = jsonify({"code": code, "message": message, "request_id": f"sim-{time.time_ns():x}"})
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer


DIALECT = Kling
