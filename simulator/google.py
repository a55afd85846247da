"""What Google's simulated vendors share: keys, refusals, and the files that films are kept in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.dialect import Dialect

SIDES = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}
RATIOS = {"16:9": (16, 9), "9:16": (9, 16)}
_REFUSALS: dict[str, tuple[int, str, str]] = {
    "throttled": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "throttled-wait": (429, "RESOURCE_EXHAUSTED", "Please retry in 1s."),
    "busy": (429, "RESOURCE_EXHAUSTED", "Too many operations in work."),
    "down-before": (500, "INTERNAL", "An internal error has occurred."),
    "broke": (402, "FAILED_PRECONDITION", "Your prepayment credits are depleted."),
    "used-up": (429, "RESOURCE_EXHAUSTED", "You exceeded your quota: requests per day."),
    "moderated": (400, "INVALID_ARGUMENT", "The prompt could not be submitted: it violates safety policies."),
}


class GoogleDialect(Dialect):
    """A vendor whose films are files of the Files API."""

    def file_routes(self, doors: Blueprint) -> None:
        doors.get("/<version>/files/<number>")(self.file)
        doors.get("/<version>/files/<number>:download", endpoint="download")(self.download)

    def refusal(self, fault: str) -> Response:
        status, word, said = _REFUSALS[fault]
        wait = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]
        return error(status, word, f"simulated: {said}", wait if fault == "throttled-wait" else None)

    def take(
        self, *, model: str, prompt: str, resolution: str, ratio: str, seconds: int, price: int, **more: Any
    ) -> Task | Response:
        """Accept what is in order, or answer as its faults say. Nothing here protects against a repeat.

        Films have sound, unless `more` says otherwise.
        """
        submit = self.submitting(prompt)
        if (refusal := submit.refused()) is not None:
            answer: Response = refusal
            return answer
        across, down = RATIOS[ratio]
        unit = SIDES[resolution] / min(across, down)
        task = self.accept(
            submit,
            model=model,
            prompt=prompt,
            price=price * seconds,
            width=round(across * unit),
            height=round(down * unit),
            seconds=seconds,
            **{"audio": True, **more},
        )
        assert task is not None
        trouble: Response | None = submit.answered(None)
        return task if trouble is None else trouble

    def file_uri(self, task: Task) -> str:
        return f"{task.facts['host']}{self.slug}/v1beta/files/film-{task.id}:download?alt=media"

    def file(self, version: str, number: str) -> Any:  # noqa: ARG002
        """What is known of a file; the file itself is at `:download` with `alt=media`."""
        if (refusal := stranger()) is not None:
            return refusal
        task = self._kept(number)
        if task is None:
            return error(404, "NOT_FOUND", f"File {number} does not exist.")
        return jsonify({"name": f"files/{number}", "mimeType": "video/mp4", "state": "ACTIVE"})

    def download(self, version: str, number: str) -> Any:
        task = self._kept(number)
        if request.args.get("alt") != "media" or task is None or stranger() is not None:
            return self.file(version, number)
        return self.film(task)

    def _kept(self, number: str) -> Task | None:
        found = [task for task in self.books.find(self.slug) if f"film-{task.id}" == number]
        return found[0] if found and found[0].ended and not found[0].fails else None


def stranger() -> Response | None:
    """Refuse a caller without a key, with a wrong one, or with two."""
    keys = [
        key
        for key in (
            request.headers.get("x-goog-api-key"),
            request.args.get("key"),
            request.headers.get("Authorization"),
        )
        if key
    ]
    if len(keys) > 1:
        said = "Multiple authentication credentials received. Please pass only one."
        return error(400, "INVALID_ARGUMENT", said)
    if not keys:
        return error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
    if keys[0] == "wrong":
        invalid = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return error(400, "INVALID_ARGUMENT", "API key not valid.", [invalid])
    return None


def error(status: int, word: str, said: str, details: list[dict[str, Any]] | None = None) -> Response:
    told: dict[str, Any] = {"code": status, "message": said, "status": word}
    answer = jsonify({"error": told | ({"details": details} if details else {})})
    answer.status_code = status
    return answer
