"""Kling's new standard API on the wire.

Read from the vendor's pages (kling.ai/document-api) in 2026-11. Any key but `wrong` is taken. What a second
task with the same `external_task_id` is answered is not documented; here it is 400 with code 1201.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.dialect import Dialect

PRICES = {
    "kling-3.0": {"720p": 84_000, "1080p": 112_000, "4k": 420_000},
    "kling-3.0-turbo": {"720p": 84_000, "1080p": 112_000},
    "kling-2.6": {"720p": 42_000, "1080p": 70_000},
    "kling-2.5-turbo": {"720p": 42_000, "1080p": 70_000},
}
SIDES = {"720p": 720, "1080p": 1080, "4k": 2160}
ASPECTS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1)}
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

    def routes(self, doors: Blueprint) -> None:
        doors.post("/text-to-video/<model>")(self.create)
        doors.get("/tasks")(self.list_tasks)
        doors.get("/results/<number>.mp4")(self.result)

    def refusal(self, fault: str) -> Response:
        status, code, message = _REFUSALS[fault]
        wait = {"Retry-After": "1"} if fault == "throttled-wait" else {}
        return _error(status, code, f"simulated: {message}", wait)

    def create(self, model: str) -> Any:
        if refusal := _unwelcome():
            return refusal
        body = request.get_json(silent=True)
        if fault := _wrong(model, body):
            return fault
        assert isinstance(body, dict)
        external = body.get("options", {}).get("external_task_id")
        submit = self.submitting(body["prompt"], external)
        if (refusal := submit.refused()) is not None:
            return refusal
        settings = body.get("settings", {})
        resolution, seconds = settings.get("resolution", "720p"), settings.get("duration", 5)
        across, down = ASPECTS[settings.get("aspect_ratio", "16:9")]
        unit = SIDES[resolution] / min(across, down)
        task = self.accept(
            submit,
            token=external,
            model=model,
            prompt=body["prompt"],
            width=round(across * unit),
            height=round(down * unit),
            seconds=seconds,
            price=PRICES[model][resolution] * seconds,
        )
        if task is None:
            return _error(400, 1201, f"external_task_id {external} already exists")
        return submit.answered(_success(self._shown(task)))

    def list_tasks(self) -> Any:
        if refusal := _unwelcome():
            return refusal
        ids, external = request.args.get("task_ids"), request.args.get("external_task_ids")
        if (ids is None) == (external is None):
            return _error(400, 1201, "Give task_ids or external_task_ids")
        wanted = (ids or external or "").split(",")
        self.books.count("polls" if ids is not None else "lookups")
        self.books.count("polled ids" if ids is not None else "looked up ids", len(wanted))
        by_token = {} if ids is not None else {"external_ids": wanted}
        tasks = self.books.find(self.slug, **(by_token or {"ids": wanted}))
        return _success([self._shown(task) for task in tasks])

    def _shown(self, task: Task) -> dict[str, Any]:
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


def _unwelcome() -> Any:
    said = request.headers.get("Authorization", "")
    if not said.startswith("Bearer ") or said == "Bearer wrong":
        return _error(401, 1002, "Authentication error")
    return None


def _wrong(model: str, body: Any) -> Any:
    """Judge a request as the vendor's reference does; None when it is in order."""
    if model not in PRICES:
        return _error(404, 1203, f"The model {model} does not exist")
    if not isinstance(body, dict) or not isinstance(body.get("prompt"), str) or not body["prompt"]:
        return _error(400, 1200, "prompt is required")
    if len(body["prompt"]) > 3072:
        return _error(400, 1201, "prompt is longer than 3072 characters")
    settings, options = body.get("settings", {}), body.get("options", {})
    known = {"multi_shot", "audio", "resolution", "aspect_ratio", "duration"}
    if unknown := [*(settings.keys() - known), *(body.keys() - {"prompt", "settings", "options"})]:
        return _error(400, 1201, f"unknown parameter {unknown[0]}")
    if unknown := [*(options.keys() - {"callback_url", "external_task_id", "watermark_info"})]:
        return _error(400, 1201, f"unknown parameter {unknown[0]}")
    if model.endswith("3.0-turbo") and "audio" in settings:
        return _error(400, 1201, "audio is not supported by this model")
    if settings.get("resolution", "720p") not in PRICES[model]:
        return _error(400, 1201, "resolution is not supported")
    if settings.get("aspect_ratio", "16:9") not in ASPECTS:
        return _error(400, 1201, "aspect_ratio is not supported")
    durations = range(3, 16) if model.startswith("kling-3") else (5, 10)
    if settings.get("duration", 5) not in durations or isinstance(settings.get("duration", 5), bool):
        return _error(400, 1201, "duration is not supported")
    return None


def _success(data: Any) -> Response:
    return jsonify({"code": 0, "message": "SUCCEED", "request_id": f"sim-{time.time_ns():x}", "data": data})


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    answer = jsonify({"code": code, "message": message, "request_id": f"sim-{time.time_ns():x}"})
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer


DIALECT = Kling
