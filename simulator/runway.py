"""Runway's developer API on the wire.

Read from runwayml's Python client and docs.dev.runwayml.com in 2026-11. Any key but `wrong` is taken. Bodies
of errors are as the vendor's pages have them; its clients read no more than the status.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.dialect import Dialect

WIDE = {"1280:720", "720:1280"}
SQUARISH = WIDE | {"1104:832", "960:960", "832:1104", "1584:672"}
FULL = WIDE | {"1920:1080", "1080:1920"}
SEEDANCE = FULL | {"960:960", "1440:1440"}
MODELS: dict[str, dict[str, Any]] = {
    "gen4.5": {"duration": range(2, 11), "ratio": WIDE, "shown": SQUARISH, "credits": 12},
    "gen4_turbo": {"duration": range(2, 11), "ratio": set(), "shown": SQUARISH, "credits": 5},
    "veo3.1": {"duration": (4, 6, 8), "ratio": FULL, "shown": FULL, "audio": 40, "credits": 20},
    "veo3.1_fast": {"duration": (4, 6, 8), "ratio": FULL, "shown": FULL, "audio": 15, "credits": 10},
    "seedance2": {
        "duration": range(4, 16),
        "ratio": SEEDANCE,
        "shown": SEEDANCE,
        "audio": 72,
        "credits": 36,
    },
    "gemini_omni_flash": {
        "duration": range(3, 11),
        "ratio": WIDE,
        "shown": WIDE,
        "seed": False,
        "loud": True,
        "credits": 10,
    },
}
PROMPTS = {"seedance2": 3500}
_REFUSALS = {
    "throttled": (429, "You have exceeded the rate limit."),
    "throttled-wait": (429, "You have exceeded the rate limit."),
    "busy": (429, "You have reached the daily generation limit."),
    "down-before": (502, "Bad gateway"),
    "broke": (400, "You do not have enough credits to run this task."),
    "used-up": (400, "You do not have enough credits to run this task."),
    "moderated": (400, "SAFETY.INPUT.TEXT: the prompt was rejected by content moderation."),
}
_WORDS = {
    "queued": "PENDING",
    "odd": "REVIEWING",
    "running": "RUNNING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
}
_CREDIT = 10_000


class Runway(Dialect):
    slug: ClassVar[str] = "runway"

    def routes(self, doors: Blueprint) -> None:
        doors.post("/v1/text_to_video", endpoint="text")(lambda: self.create(shown=False))
        doors.post("/v1/image_to_video", endpoint="image")(lambda: self.create(shown=True))
        doors.get("/v1/tasks/<task_id>")(self.show)
        doors.delete("/v1/tasks/<task_id>")(self.delete)
        doors.get("/results/<number>.mp4")(self.result)

    def refusal(self, fault: str) -> Response:
        answer = _error(*_REFUSALS[fault])
        if fault == "throttled-wait":
            answer.headers["Retry-After"] = "1"
        return answer

    def create(self, *, shown: bool) -> Any:
        if refusal := _unwelcome():
            return refusal
        body = request.get_json(silent=True)
        if fault := _misfit(body, shown=shown):
            return fault
        assert isinstance(body, dict)
        submit = self.submitting(body["promptText"])
        if (refusal := submit.refused()) is not None:
            return refusal
        facts = MODELS[body["model"]]
        across, down = map(int, body["ratio"].split(":"))
        units = facts["audio" if body.get("audio") else "credits"] * body["duration"]
        task = self.accept(
            submit,
            vendor_id=str(uuid.uuid4()),
            model=body["model"],
            prompt=body["promptText"],
            width=across,
            height=down,
            seconds=body["duration"],
            price=units * _CREDIT,
            audio=bool(body.get("audio") or facts.get("loud")),
        )
        assert task is not None
        return submit.answered(jsonify({"id": task.vendor_id, "estimatedCost": {"credits": units}}))

    def show(self, task_id: str) -> Any:
        if refusal := _unwelcome():
            return refusal
        self.books.count("polls")
        task = self.task(task_id)
        return (
            _error(404, "Task not found")
            if task is None or task.facts.get("gone")
            else jsonify(self._shown(task))
        )

    def delete(self, task_id: str) -> Any:
        """Stop a task that waits, and refund it; delete one that has begun, and do not."""
        if refusal := _unwelcome():
            return refusal
        task = self.task(task_id)
        if task is None:
            return _error(404, "Task not found")
        if self.phase(task) in ("queued", "odd"):
            self.stop(task, cancelled=True)
        else:
            self.books.change(task, facts={**task.facts, "gone": True})
        return Response(status=204)

    def _shown(self, task: Task) -> dict[str, Any]:
        status = "CANCELLED" if task.facts.get("cancelled") else _WORDS[self.phase(task)]
        created = datetime.fromtimestamp(task.created, UTC).isoformat().replace("+00:00", "Z")
        shown: dict[str, Any] = {"id": task.vendor_id, "status": status, "createdAt": created}
        if task.ended:
            shown["cost"] = {"credits": task.charged // _CREDIT}
        else:
            shown["estimatedCost"] = {"credits": task.price / _CREDIT}
        if status == "RUNNING":
            shown["progress"] = round(self.progress(task), 3)
        if status == "FAILED":
            shown |= {"failure": "simulated: the prompt was rejected", "failureCode": "SAFETY.INPUT.TEXT"}
        if status == "SUCCEEDED":
            shown["output"] = [self.result_url(task)]
        return shown


def _unwelcome() -> Response | None:
    said = request.headers.get("Authorization", "")
    if not said.startswith("Bearer ") or said == "Bearer wrong":
        return _error(401, "Missing or invalid API key")
    if request.headers.get("X-Runway-Version") != "2024-11-06":
        return _error(400, "You must specify a valid X-Runway-Version header")
    return None


def _misfit(body: Any, *, shown: bool) -> Response | None:
    """Judge a request as the vendor's schema does; None when it is in order."""
    facts = MODELS.get(str(body.get("model"))) if isinstance(body, dict) else None
    if facts is None:
        return _invalid("model", "Invalid input")
    known = {"model", "promptText", "ratio", "duration", *({"promptImage"} if shown else ())}
    known |= {name for name, usual in (("seed", True), ("audio", False)) if facts.get(name, usual)}
    if unknown := [name for name in body if name not in known]:
        return _invalid(unknown[0], "Unrecognized key")
    if not isinstance(body.get("audio", False), bool):
        return _invalid("audio", "Expected boolean")
    words = body.get("promptText")
    if not isinstance(words, str) or not 0 < len(words.encode("utf-16-le")) // 2 <= PROMPTS.get(
        body["model"], 1000
    ):
        return _invalid("promptText", "Must have 1 to 1000 UTF-16 code units")
    if body.get("ratio") not in facts["shown" if shown else "ratio"]:
        return _invalid("ratio", "Invalid option")
    if body.get("duration") not in facts["duration"] or isinstance(body["duration"], bool):
        return _invalid("duration", "Invalid option")
    if not isinstance(body.get("seed", 0), int) or not 0 <= body.get("seed", 0) < 1 << 32:
        return _invalid("seed", "Must be 0 to 4294967295")
    picture = body.get("promptImage", "")
    if isinstance(picture, list):
        picture = picture[0].get("uri", "") if picture and isinstance(picture[0], dict) else ""
    if shown and not (str(picture).startswith(("https://", "data:image/")) and len(picture) <= 5_000_000):
        return _invalid("promptImage", "Must be an HTTPS URL or a data URI of at most 5 MB")
    return None


def _invalid(field: str, message: str) -> Response:
    return _error(400, "Validation of body failed", [{"path": [field], "message": message}])


def _error(status: int, message: str, issues: list[dict[str, Any]] | None = None) -> Response:
    answer = jsonify(
        {"error": message, "docUrl": "https://docs.dev.runwayml.com/api", "issues": issues or []}
    )
    answer.status_code = status
    return answer


DIALECT = Runway
