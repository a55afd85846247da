"""Kling's new standard API on the wire, with a bill and faults on request.

Read from the vendor's pages (kling.ai/document-api) in 2026-11. Any key but `wrong` is taken. A task is
charged when it succeeds. What a second task with the same `external_task_id` is answered is not documented;
here it is 400 with code 1201.

A prompt that says `fault-<name>` meets that fault, and so does the next submit after
`POST /_faults {"submit": ["<name>"]}`; `--fault-rate` and `--seed` strike at random, the same tasks each
time. Faults of a submit strike a task's first submit only, unless they are final.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, request

from simulator.books import Books, Task
from simulator.footage import film_of

PRICES = {
    "kling-3.0": {"720p": 84_000, "1080p": 112_000, "4k": 420_000},
    "kling-3.0-turbo": {"720p": 84_000, "1080p": 112_000},
    "kling-2.6": {"720p": 42_000, "1080p": 70_000},
    "kling-2.5-turbo": {"720p": 42_000, "1080p": 70_000},
}
SIDES = {"720p": 720, "1080p": 1080, "4k": 2160}
ASPECTS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1)}
BEFORE = {
    "throttled": (429, 1302, "Request rate over the limit"),
    "throttled-wait": (429, 1302, "Request rate over the limit"),
    "busy": (429, 1303, "Concurrency over the resource pack's limit"),
    "down-before": (500, 5000, "Internal server error"),
    "broke": (429, 1101, "Account in arrears"),
    "used-up": (429, 1102, "Resource pack used up"),
    "moderated": (400, 1301, "The request did not pass content safety"),
}
"""Refused before a task is made: status, code, message."""
FINAL = {"broke", "used-up", "moderated"}
WIRE = ("hang-before", "reset-before", "hang-after", "reset-after", "down-after", "garbage-after")
"""Trouble on the wire, before or after the task was made."""
LATER = (
    "slow",
    "never",
    "odd",
    "failed",
    "missing",
    "missing-once",
    "truncated-once",
    "corrupt",
    "corrupt-once",
)
"""What a task meets later: its status, or its file."""
FAULTS = (*BEFORE, *WIRE, *LATER)
_AT_RANDOM = (
    *("throttled", "throttled-wait", "busy", "down-before", "hang-after", "reset-before", "reset-after"),
    *("down-after", "garbage-after", "odd", "failed", "missing-once", "truncated-once", "corrupt-once"),
)
_SAID = re.compile(r"fault-([a-z]+(?:-[a-z]+)?)")


@dataclass(frozen=True)
class Temper:
    """How the simulated vendor behaves. `slots` limits the tasks in work at once; 0 = as many as come."""

    task_seconds: float = 2.0
    hang_seconds: float = 90.0
    slots: int = 0
    fault_rate: float = 0.0
    seed: int = 0


def kling(folder: Path, temper: Temper) -> Blueprint:
    """The vendor's doors, and `/_bill` and `/_faults` for whoever watches it."""
    vendor = _Vendor(folder, temper)
    blueprint = Blueprint("kling", __name__)
    blueprint.post("/text-to-video/<model>")(vendor.create)
    blueprint.get("/tasks")(vendor.list_tasks)
    blueprint.get("/results/<task_id>.mp4")(vendor.result)
    blueprint.get("/_bill")(vendor.bill)
    blueprint.post("/_faults")(vendor.order)
    return blueprint


class _Vendor:
    def __init__(self, folder: Path, temper: Temper) -> None:
        self._books = Books(folder / "kling.sqlite")
        self._films = folder / "films"
        self._temper = temper

    def create(self, model: str) -> Any:
        self._books.count("submits")
        if refusal := _unwelcome():
            return refusal
        body = request.get_json(silent=True)
        if fault := _wrong(model, body):
            return fault
        assert isinstance(body, dict)
        external = body.get("options", {}).get("external_task_id")
        faults = self._faults_of(body["prompt"], external)
        first = self._books.count(f"submit:{external or time.time_ns()}") == 1
        for name in faults:
            if name in BEFORE and (first or name in FINAL):
                status, code, message = BEFORE[name]
                wait = {"Retry-After": "1"} if name == "throttled-wait" else {}
                return _error(status, code, f"simulated: {message}", wait)
        if first and (trouble := self._on_the_wire(faults, "before")):
            return trouble
        if self._temper.slots and sum(not t.ended for t in self._books.find()) >= self._temper.slots:
            return _error(429, 1303, "Concurrency over the resource pack's limit")
        task = self._accept(model, body, external, faults)
        if task is None:
            return _error(400, 1201, f"external_task_id {external} already exists")
        if first and (trouble := self._on_the_wire(faults, "after")):
            return trouble
        return _success(_shown(task))

    def list_tasks(self) -> Any:
        if refusal := _unwelcome():
            return refusal
        ids, external = request.args.get("task_ids"), request.args.get("external_task_ids")
        if (ids is None) == (external is None):
            return _error(400, 1201, "Give task_ids or external_task_ids")
        wanted = (ids or external or "").split(",")
        self._books.count("polls" if ids is not None else "lookups")
        self._books.count("polled ids" if ids is not None else "looked up ids", len(wanted))
        tasks = self._books.find(ids=wanted) if ids is not None else self._books.find(external_ids=wanted)
        return _success([_shown(task) for task in tasks])

    def result(self, task_id: str) -> Any:
        found = self._books.find(ids=[task_id])
        if not found or not found[0].ended or found[0].fails:
            return Response("NoSuchKey", 404)
        task, first = found[0], self._books.count(f"download:{task_id}") == 1
        self._books.count("downloads")
        film = film_of(
            self._films, width=task.width, height=task.height, seconds=task.seconds, mark=f"task {task.id}"
        )
        if "missing" in task.faults or ("missing-once" in task.faults and first):
            return Response("NoSuchKey", 404)
        if "corrupt" in task.faults or ("corrupt-once" in task.faults and first):
            return Response(bytes(len(film)), mimetype="video/mp4")
        if "truncated-once" in task.faults and first:
            half = Response(iter([film[: len(film) // 2]]), mimetype="video/mp4")
            half.headers["Content-Length"] = str(len(film))
            return half
        return Response(film, mimetype="video/mp4")

    def bill(self) -> Any:
        """What was charged, task by task, and how often each door was used."""
        tasks = self._books.find()
        lines = [
            {
                "vendor_id": str(task.id),
                "external_id": task.external_id,
                "model": task.model,
                "prompt": task.prompt,
                "status": _status(task),
                "charged": task.charged,
            }
            for task in tasks
        ]
        total = sum(task.charged for task in tasks)
        return jsonify({"total": total, "currency": "USD", "tasks": lines, "calls": self._books.counts()})

    def order(self) -> Any:
        body = request.get_json(silent=True)
        wanted = body.get("submit") if isinstance(body, dict) else None
        if not isinstance(wanted, list) or not set(wanted) <= set(FAULTS):
            return _error(400, 1201, f"submit is a list of: {', '.join(FAULTS)}")
        self._books.order(wanted)
        return jsonify({"ordered": wanted})

    def _faults_of(self, prompt: str, external: str | None) -> tuple[str, ...]:
        named = tuple(name for name in _SAID.findall(prompt) if name in FAULTS)
        if ordered := self._books.take_order():
            named = (*named, ordered)
        dice = random.Random(f"{self._temper.seed}:{external}")
        if not named and dice.random() < self._temper.fault_rate:
            named = (dice.choice(_AT_RANDOM),)
        return named

    def _accept(
        self, model: str, body: dict[str, Any], external: str | None, faults: tuple[str, ...]
    ) -> Task | None:
        settings = body.get("settings", {})
        resolution, seconds = settings.get("resolution", "720p"), settings.get("duration", 5)
        across, down = ASPECTS[settings.get("aspect_ratio", "16:9")]
        unit = SIDES[resolution] / min(across, down)
        takes = self._temper.task_seconds * (5 if "slow" in faults else 1)
        return self._books.add(
            external_id=external,
            model=model,
            prompt=body["prompt"],
            width=round(across * unit),
            height=round(down * unit),
            seconds=seconds,
            price=PRICES[model][resolution] * seconds,
            done=None if "never" in faults else time.time() + takes,
            fails="failed" in faults,
            faults=faults,
        )

    def _on_the_wire(self, faults: tuple[str, ...], when: str) -> Any:
        """Fail as a network does, where a fault says so; None when all is well."""
        for name in faults:
            if name not in WIRE or not name.endswith(when):
                continue
            if name.startswith("hang"):
                time.sleep(self._temper.hang_seconds)
                return _hang_up()
            if name.startswith("reset"):
                return _hang_up()
            if name.startswith("garbage"):
                return Response("<html>Bad gateway, or good: who knows?", 200, mimetype="text/html")
            return _error(500, 5000, "simulated: Internal server error")
        return None


def _hang_up() -> Response:
    """Reset the connection, so that nothing of the answer arrives."""
    wire: socket.socket | None = request.environ.get("werkzeug.socket")
    if wire is not None:
        with contextlib.suppress(OSError):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.shutdown(socket.SHUT_RDWR)
    return Response(status=502)


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


def _status(task: Task) -> str:
    if task.ended:
        return "failed" if task.fails else "succeeded"
    age = time.time() - task.created
    half = (task.done or age * 4) - task.created
    if age < half / 2:
        return "reviewing" if "odd" in task.faults else "submitted"
    return "processing"


def _shown(task: Task) -> dict[str, Any]:
    status = _status(task)
    shown: dict[str, Any] = {
        "id": str(task.id),
        "status": status,
        "message": "Failure to pass the risk control system" if status == "failed" else "",
        "create_time": round(task.created * 1000),
        "update_time": round(time.time() * 1000),
        "external_id": task.external_id,
    }
    if status == "succeeded":
        url = f"{request.host_url}results/{task.id}.mp4"
        shown["outputs"] = [
            {
                "type": "video",
                "id": f"v{task.id}",
                "url": url,
                "watermark_url": "",
                "duration": str(task.seconds),
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


def _success(data: Any) -> Response:
    return jsonify({"code": 0, "message": "SUCCEED", "request_id": f"sim-{time.time_ns():x}", "data": data})


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    answer = jsonify({"code": code, "message": message, "request_id": f"sim-{time.time_ns():x}"})
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer
