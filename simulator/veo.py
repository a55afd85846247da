"""Veo on the wire, as the Gemini API had it until 2026-10-22 and relays still do.

Read from google-genai's source and ai.google.dev in 2026-11. Any key but `wrong` is taken, and one only.
"""

from __future__ import annotations

from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.gemini_events import EventDialect
from simulator.google import RATIOS, error, stranger

PRICES = {
    "veo-3.1-generate-preview": {"720p": 400_000, "1080p": 400_000, "4k": 600_000},
    "veo-3.1-fast-generate-preview": {"720p": 100_000, "1080p": 120_000, "4k": 300_000},
    "veo-3.1-lite-generate-preview": {"720p": 50_000, "1080p": 80_000},
}
REASON = "simulated: a film was filtered, it may show a celebrity. Support codes: 29310472"
_PARAMETERS = {
    *("aspectRatio", "durationSeconds", "resolution", "negativePrompt", "personGeneration", "sampleCount"),
}


class Veo(EventDialect):
    slug: ClassVar[str] = "veo"
    event: ClassVar[str | None] = "video.generated"

    def routes(self, doors: Blueprint) -> None:
        doors.post("/<version>/models/<model>:predictLongRunning")(self.create)
        doors.get("/<version>/models/<model>/operations/<number>")(self.show)
        self.file_routes(doors)
        self.event_routes(doors)

    def create(self, version: str, model: str) -> Any:  # noqa: ARG002
        body = request.get_json(silent=True)
        if (refusal := stranger() or wrong(PRICES, _PARAMETERS, model, body)) is not None:
            return refusal
        assert isinstance(body, dict)
        uris = body.get("webhookConfig", {}).get("uris", [])
        taken = self.take(**reading(PRICES, model, body), callback_url=self.address(uris))
        return taken if isinstance(taken, Response) else jsonify({"name": self.name(taken)})

    def show(self, version: str, model: str, number: str) -> Any:  # noqa: ARG002
        if (refusal := stranger()) is not None:
            return refusal
        self.books.count("polls")
        task = self.task(number)
        if task is None:
            return error(404, "NOT_FOUND", f"Operation {number} does not exist.")
        return jsonify(self.shown(task))

    def name(self, task: Task) -> str:
        return f"models/{task.model}/operations/{task.id}"

    def shown(self, task: Task) -> dict[str, Any]:
        phase = self.phase(task)
        if phase == "odd":
            return {"name": self.name(task), "status": "REVIEWING"}
        if phase not in ("succeeded", "failed"):
            return {"name": self.name(task)}
        made: dict[str, Any] = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [REASON]}
        if phase == "succeeded":
            made = {"generatedSamples": [{"video": {"uri": self.file_uri(task)}}]}
        return {"name": self.name(task), "done": True, "response": {"generateVideoResponse": made}}

    def subject(self, task: Task) -> dict[str, Any]:
        return {"id": self.name(task), "output_file_uri": self.file_uri(task), "file_name": f"film-{task.id}"}


def reading(prices: dict[str, dict[str, int]], model: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a request that is in order asks for."""
    parameters = body.get("parameters", {})
    resolution = parameters.get("resolution", "720p")
    return {
        "model": model,
        "prompt": body["instances"][0]["prompt"],
        "resolution": resolution,
        "ratio": parameters.get("aspectRatio", "16:9"),
        "seconds": int(parameters.get("durationSeconds", 8)),
        "price": prices[model][resolution],
    }


def wrong(prices: dict[str, dict[str, int]], known: set[str], model: str, body: Any) -> Response | None:
    """Judge a request as the vendor's reference does; None when it is in order."""
    if model not in prices:
        return error(404, "NOT_FOUND", f"models/{model} is no longer available.")
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, list) or len(instances) != 1 or not instances[0].get("prompt"):
        return _invalid("instances[0].prompt is required")
    image, parameters = instances[0].get("image", {}), body.get("parameters", {})
    if image and set(image) != {"bytesBase64Encoded", "mimeType"}:
        return _invalid("image has bytesBase64Encoded and mimeType")
    if unknown := parameters.keys() - known:
        return _invalid(f"`{min(unknown)}` isn't supported by this model.")
    resolution, seconds = parameters.get("resolution", "720p"), parameters.get("durationSeconds", 8)
    if resolution not in prices[model] or parameters.get("aspectRatio", "16:9") not in RATIOS:
        return _invalid("resolution or aspectRatio is not supported")
    if int(seconds) not in (4, 6, 8) or (resolution != "720p" and int(seconds) != 8):
        return _invalid("durationSeconds is out of bound")
    if not isinstance(parameters.get("generateAudio", True), bool):
        return _invalid("generateAudio is a boolean")
    return None if parameters.get("sampleCount", 1) == 1 else _invalid("sampleCount is 1")


def _invalid(said: str) -> Response:
    return error(400, "INVALID_ARGUMENT", said)


DIALECT = Veo
