"""OpenAI's video API on the wire, as its relays speak it.

Read from openai-python's source and developers.openai.com in 2026-11, after OpenAI had shut it down. Any key
but `wrong` is taken. What the vendor's dashboard is for, an address for callbacks, is said here by
`POST /_dashboard {"webhook": "…"}`.
"""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request
from PIL import Image

from simulator.books import Task
from simulator.dialect import Dialect
from simulator.webhooks import sign_standard

SMALL = {"720x1280", "1280x720"}
LARGE = {"1024x1792", "1792x1024"}
SIZES = {"sora-2": SMALL, "sora-2-2025-12-08": SMALL, "sora-2-pro": SMALL | LARGE}
SECONDS = ("4", "8", "12")
_REFUSALS = {
    "throttled": (429, "rate_limit_exceeded", "Rate limit reached for sora-2"),
    "throttled-wait": (429, "rate_limit_exceeded", "Rate limit reached for sora-2"),
    "busy": (429, "rate_limit_exceeded", "Too many videos in progress"),
    "down-before": (500, "server_error", "The server had an error while processing your request"),
    "broke": (429, "insufficient_quota", "You exceeded your current quota"),
    "used-up": (403, "billing_hard_limit_reached", "Billing hard limit has been reached"),
    "moderated": (400, "moderation_blocked", "Your request was blocked by our moderation system"),
}
_WORDS = {
    "queued": "queued",
    "odd": "reviewing",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
}


class Sora(Dialect):
    slug: ClassVar[str] = "sora"

    def routes(self, doors: Blueprint) -> None:
        self._webhook: str | None = None
        doors.post("/_dashboard")(self.set_up)
        doors.post("/v1/videos")(self.create)
        doors.get("/v1/videos", endpoint="list")(self.list_videos)
        doors.get("/v1/videos/<video_id>")(self.show)
        doors.delete("/v1/videos/<video_id>")(self.delete)
        doors.get("/v1/videos/<video_id>/content")(self.content)

    def refusal(self, fault: str) -> Response:
        status, code, message = _REFUSALS[fault]
        answer = _error(status, f"simulated: {message}", code=code)
        if fault == "throttled-wait":
            answer.headers["retry-after-ms"] = "1000"
        return answer

    def set_up(self) -> Response:
        self._webhook = request.get_json()["webhook"]
        return jsonify({"webhook": self._webhook})

    def create(self) -> Any:
        if refusal := _unwelcome():
            return refusal
        body = request.get_json(silent=True) if request.is_json else dict(request.form)
        if not isinstance(body, dict):
            return _error(400, "We could not parse the body of your request.")
        asked = {"model": "sora-2", "seconds": "4", "size": "720x1280", **body}
        if fault := _misfit(asked):
            return fault
        submit = self.submitting(asked["prompt"])
        if (refusal := submit.refused()) is not None:
            return refusal
        across, down = map(int, asked["size"].split("x"))
        rate = 100_000 if asked["model"] != "sora-2-pro" else 300_000 if asked["size"] in SMALL else 500_000
        task = self.accept(
            submit,
            vendor_id=f"video_{time.time_ns():x}",
            model=asked["model"],
            prompt=asked["prompt"],
            width=across,
            height=down,
            seconds=int(asked["seconds"]),
            price=rate * int(asked["seconds"]),
            callback_url=self._webhook,
            audio=True,
        )
        assert task is not None
        return submit.answered(jsonify(self._shown(task)))

    def list_videos(self) -> Any:
        if refusal := _unwelcome():
            return refusal
        found = [task for task in self.books.find(self.slug) if not task.facts.get("deleted")]
        if request.args.get("order", "desc") == "desc":
            found.reverse()
        after = request.args.get("after")
        if after in (ids := [task.vendor_id for task in found]):
            found = found[ids.index(after) + 1 :]
        limit = int(request.args.get("limit", 20))
        page = [self._shown(task) for task in found[:limit]]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return jsonify({"object": "list", "data": page, "has_more": len(found) > limit, **ends})

    def show(self, video_id: str) -> Any:
        task = self._asked(video_id)
        if not isinstance(task, Task):
            return task
        self.books.count("polls")
        answer = jsonify(self._shown(task))
        answer.headers["openai-poll-after-ms"] = "1000"
        return answer

    def delete(self, video_id: str) -> Any:
        task = self._asked(video_id)
        if not isinstance(task, Task):
            return task
        if not task.ended:
            return _error(400, "Video is still in progress", code="video_not_ready")
        self.books.change(task, facts={**task.facts, "deleted": True})
        return jsonify({"id": video_id, "object": "video.deleted", "deleted": True})

    def content(self, video_id: str) -> Any:
        task = self._asked(video_id)
        if not isinstance(task, Task):
            return task
        if request.args.get("variant", "video") != "video":
            return _error(404, "simulated: only films are made here")
        return self.film(task) if task.ended and not task.fails else _error(404, "Video is not ready")

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        event = {
            "id": f"evt_{task.id}",
            "object": "event",
            "created_at": int(time.time()),
            "type": "video.failed" if task.fails else "video.completed",
            "data": {"id": task.vendor_id},
        }
        body = json.dumps(event).encode()
        headers = sign_standard(f"wh_{task.id}", body, time.time())
        return {**headers, "Content-Type": "application/json"}, body

    def _asked(self, video_id: str) -> Task | Response:
        if refusal := _unwelcome():
            return refusal
        task = self.task(video_id)
        gone = task is None or task.facts.get("deleted")
        return _error(404, f"Video with id '{video_id}' not found.") if task is None or gone else task

    def _shown(self, task: Task) -> dict[str, Any]:
        status = _WORDS[self.phase(task)]
        shown: dict[str, Any] = {
            "id": task.vendor_id,
            "object": "video",
            "model": task.model,
            "status": status,
            "progress": 0 if status == "failed" else round(100 * self.progress(task)),
            "created_at": int(task.created),
            "size": f"{task.width}x{task.height}",
            "seconds": f"{task.seconds:g}",
            "prompt": task.prompt,
        }
        if status == "completed":
            shown |= {"completed_at": int(task.done or 0), "expires_at": int(task.done or 0) + 3600}
        if status == "failed":
            shown["error"] = {"code": "moderation_blocked", "message": "simulated: blocked by moderation"}
        return shown


def _unwelcome() -> Response | None:
    said = request.headers.get("Authorization", "")
    if not said.startswith("Bearer ") or said == "Bearer wrong":
        return _error(401, "Incorrect API key provided", code="invalid_api_key")
    return None


def _misfit(asked: dict[str, Any]) -> Response | None:
    """Judge a request as the vendor's reference does; None when it is in order."""
    if unknown := sorted(asked.keys() - {"prompt", "model", "seconds", "size", "input_reference"}):
        return _invalid(unknown[0], f"Unknown parameter: '{unknown[0]}'.")
    if not isinstance(asked.get("prompt"), str) or not 0 < len(asked["prompt"]) <= 32_000:
        return _invalid("prompt", "Invalid 'prompt': a string of 1 to 32000 characters.")
    if asked["model"] not in SIZES:
        return _invalid("model", f"The model '{asked['model']}' does not exist.")
    if not isinstance(asked["seconds"], str) or asked["seconds"] not in SECONDS:
        return _invalid("seconds", f"Invalid 'seconds': expected one of {', '.join(SECONDS)}, as text.")
    if asked["size"] not in SIZES[asked["model"]]:
        return _invalid("size", f"Invalid 'size' for {asked['model']}.")
    return _unlike(asked["size"], asked.get("input_reference"))


def _unlike(size: str, named: Any) -> Response | None:
    """Judge the picture: a file of exactly the film's pixels, or one of two ways to name one."""
    sent = request.files.get("input_reference")
    if sent is not None:
        if sent.mimetype not in ("image/jpeg", "image/png", "image/webp"):
            return _invalid("input_reference", f"Unsupported file type '{sent.mimetype}'.")
        with Image.open(sent.stream) as seen:
            if f"{seen.width}x{seen.height}" != size:
                return _invalid("input_reference", "Inpaint image must match the requested width and height")
    if named is not None and (
        not isinstance(named, dict) or len(named.keys() & {"image_url", "file_id"}) != 1 or len(named) != 1
    ):
        return _invalid("input_reference", "Give exactly one of image_url and file_id.")
    return None


def _invalid(param: str, message: str) -> Response:
    return _error(400, message, param=param)


def _error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> Response:
    kind = "invalid_request_error" if status < 429 else "server_error" if status >= 500 else code
    answer = jsonify({"error": {"message": message, "type": kind, "param": param, "code": code}})
    answer.status_code = status
    answer.headers["x-request-id"] = f"req_{time.time_ns():x}"
    return answer


DIALECT = Sora
