"""Gemini Omni on the wire: the Interactions API, its files and its callbacks.

Read from google-genai's source and ai.google.dev in 2026-11. Any key but `wrong` is taken, and one only. A
prompt that says `inline` has its film inside the answer, and one that says `confused` has its first
question about it answered with 400, as clients have seen it.
"""

from __future__ import annotations

import base64
import re
import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.gemini_events import EventDialect
from simulator.google import RATIOS, error, stranger

PRICES = {
    "gemini-omni-1.1-flash": {"360p": 30_000, "720p": 100_000, "1080p": 150_000, "4k": 300_000},
    "gemini-omni-1.2-flash": {"360p": 23_000, "720p": 70_000, "1080p": 105_000, "4k": 300_000},
}
LONGEST = {"gemini-omni-1.1-flash": 10, "gemini-omni-1.2-flash": 15}
TASKS = {"text_to_video", "image_to_video", "reference_to_video", "edit", "extend"}
_TOKENS_A_SECOND = 5792
_WORDS = {"running": "in_progress", "odd": "reviewing", "succeeded": "completed", "failed": "completed"}
_KNOWN = {
    *("model", "input", "background", "response_format", "generation_config", "webhook_config", "store"),
    *("stream", "previous_interaction_id"),
}


class GeminiOmni(EventDialect):
    slug: ClassVar[str] = "gemini_omni"

    def routes(self, doors: Blueprint) -> None:
        doors.post("/<version>/interactions")(self.create)
        doors.get("/<version>/interactions/<number>")(self.show)
        doors.delete("/<version>/interactions/<number>", endpoint="delete")(self.delete)
        doors.post("/<version>/interactions/<number>/cancel")(self.cancel)
        self.file_routes(doors)
        self.event_routes(doors)

    def create(self, version: str) -> Any:  # noqa: ARG002
        body = request.get_json(silent=True)
        if (refusal := stranger() or _wrong(body)) is not None:
            return refusal
        assert isinstance(body, dict)
        wanted = body.get("response_format", {})
        resolution, prompt = wanted.get("resolution", "720p"), _prompt(body["input"])
        taken = self.take(
            model=body["model"],
            prompt=prompt,
            resolution=resolution,
            ratio=wanted.get("aspect_ratio", "16:9"),
            seconds=int(wanted.get("duration", "8s")[:-1]),
            price=PRICES[body["model"]][resolution],
            callback_url=self.address(body.get("webhook_config", {}).get("uris", [])),
            facts={"inline": wanted.get("delivery") != "uri" or "inline" in prompt},
        )
        if isinstance(taken, Response):
            return taken
        if not body.get("background"):  # the call takes as long as the film
            time.sleep(max(0.0, (taken.done or time.time() + self.temper.hang_seconds) - time.time()))
        return jsonify(self.shown(taken))

    def show(self, version: str, number: str) -> Any:  # noqa: ARG002
        task = self._asked(number)
        if isinstance(task, Response):
            return task
        self.books.count("polls")
        if "confused" in task.prompt and self.books.count(f"asked:{task.id}") == 1:
            said = "Multiple authentication credentials received. Please pass only one."
            return _refused(400, "invalid_request", said)
        return jsonify(self.shown(task))

    def cancel(self, version: str, number: str) -> Any:  # noqa: ARG002
        task = self._asked(number)
        if isinstance(task, Response):
            return task
        if task.ended:
            return _refused(400, "invalid_request", "The interaction is not running.")
        return jsonify(self.shown(self.stop(task, cancelled=True)))

    def delete(self, version: str, number: str) -> Any:  # noqa: ARG002
        task = self._asked(number)
        if isinstance(task, Response):
            return task
        self.books.change(task, facts={**task.facts, "deleted": True})
        return jsonify({})

    def kind(self, task: Task) -> str | None:
        return "interaction.cancelled" if task.facts.get("cancelled") else "interaction.completed"

    def shown(self, task: Task) -> dict[str, Any]:
        phase = self.phase(task)
        shown: dict[str, Any] = {
            "id": task.vendor_id,
            "object": "interaction",
            "model": task.model,
            "status": "cancelled" if task.facts.get("cancelled") else _WORDS.get(phase, phase),
        }
        if shown["status"] != "completed":
            return shown
        film = {"modality": "video", "tokens": round(task.seconds * _TOKENS_A_SECOND)}
        part = {
            "type": "text",
            "text": "simulated: I can't make this film, it is against our safety policies.",
        }
        if phase == "succeeded":
            part = self._part(task)
        shown["steps"] = [
            {"type": "user_input", "content": [{"type": "text", "text": task.prompt}]},
            {"type": "thought"},
            {"type": "model_output", "content": [part]},
        ]
        shown["usage"] = {"output_tokens_by_modality": [film] if phase == "succeeded" else []}
        return shown

    def _part(self, task: Task) -> dict[str, str]:
        part = {"type": "video", "mime_type": "video/mp4"}
        if not task.facts["inline"]:
            return {**part, "uri": self.file_uri(task)}
        return {**part, "data": base64.b64encode(self.footage(task)).decode()}

    def _asked(self, number: str) -> Task | Response:
        if (refusal := stranger()) is not None:
            return refusal
        task = self.task(number)
        if task is None:
            return _refused(400, "invalid_request", f"Invalid interaction name: {number}")
        if task.facts.get("deleted"):
            return _refused(404, "not_found", "The interaction was deleted.")
        return task


def _prompt(asked: Any) -> str:
    """The words of a request: text, parts, or turns of parts."""
    if isinstance(asked, str):
        return asked
    parts = [part for one in asked for part in one.get("content", [one])]
    return " ".join(str(part["text"]) for part in parts if part.get("type") == "text")


def _wrong(body: Any) -> Response | None:
    """Judge a request as the vendor's reference does; None when it is in order."""
    if not isinstance(body, dict) or not body.get("input") or not _prompt(body["input"]):
        return _invalid("input is required")
    if body.get("model") not in PRICES:
        return error(404, "NOT_FOUND", f"models/{body.get('model')} is not found for API version v1beta")
    if unknown := body.keys() - _KNOWN:
        return _invalid(f"Unknown parameter {min(unknown)}")
    wanted = body.get("response_format", {})
    seconds = wanted.get("duration", "8s")
    if not isinstance(seconds, str) or not re.fullmatch(r"\d+s", seconds):
        return error(400, "INVALID_ARGUMENT", "duration is a Duration such as 8s")
    offered: dict[str, Any] = {
        "resolution": PRICES[body["model"]],
        "aspect_ratio": RATIOS,
        "delivery": ("inline", "uri"),
    }
    for name, values in offered.items():
        if name in wanted and wanted[name] not in values:
            return _invalid(f"{name} is not supported")
    task = body.get("generation_config", {}).get("video_config", {}).get("task")
    if not 3 <= int(seconds[:-1]) <= LONGEST[body["model"]] or (task is not None and task not in TASKS):
        return _invalid("duration or task is not supported")
    return None


def _invalid(said: str) -> Response:
    return _refused(400, "invalid_request", said)


def _refused(status: int, code: str, said: str) -> Response:
    answer = jsonify({"error": {"code": code, "message": said}})
    answer.status_code = status
    return answer


DIALECT = GeminiOmni
