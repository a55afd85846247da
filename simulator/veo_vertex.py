"""Veo on Vertex AI on the wire: longer addresses, a question that is a POST, and films inside its answer.

Read from google-genai's source and docs.cloud.google.com in 2026-11. Any token but `wrong` is taken.
"""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from simulator.books import Task
from simulator.google import error
from simulator.veo import REASON, Veo, reading, wrong

PRICES = {
    "veo-3.1-generate-001": {"720p": 400_000, "1080p": 400_000},
    "veo-3.1-fast-generate-001": {"720p": 100_000, "1080p": 120_000},
    "veo-3.1-lite-generate-001": {"720p": 50_000, "1080p": 80_000},
}
_PARAMETERS = {
    *("aspectRatio", "durationSeconds", "resolution", "negativePrompt", "personGeneration", "sampleCount"),
    *("generateAudio", "seed", "storageUri"),
}
_MODELS = "/<version>/projects/<project>/locations/<place>/publishers/google/models/<model>"


class VeoVertex(Veo):
    slug: ClassVar[str] = "veo_vertex"
    settings: ClassVar[dict[str, str]] = {"API_KEY": "any", "PROJECT": "simulated", "URL": "{here}"}

    def routes(self, doors: Blueprint) -> None:
        doors.post(f"{_MODELS}:predictLongRunning")(self.begin)
        doors.post(f"{_MODELS}:fetchPredictOperation")(self.ask)

    def begin(self, version: str, project: str, place: str, model: str) -> Any:  # noqa: ARG002
        body = request.get_json(silent=True)
        if (refusal := _stranger() or wrong(PRICES, _PARAMETERS, model, body)) is not None:
            return refusal
        assert isinstance(body, dict)
        taken = self.take(
            **reading(PRICES, model, body),
            audio=body.get("parameters", {}).get("generateAudio", True),
            facts={"home": f"projects/{project}/locations/{place}"},
        )
        return taken if isinstance(taken, Response) else jsonify({"name": self.name(taken)})

    def ask(self, version: str, project: str, place: str, model: str) -> Any:  # noqa: ARG002
        if (refusal := _stranger()) is not None:
            return refusal
        self.books.count("polls")
        body = request.get_json(silent=True)
        name = str(body.get("operationName", "")) if isinstance(body, dict) else ""
        task = self.task(name.rpartition("/")[2])
        if task is None or self.name(task) != name:
            return error(404, "NOT_FOUND", f"Operation {name} does not exist.")
        answer = jsonify(self.shown(task))
        if "truncated-once" in task.faults and self._brought(task) == 2:
            half = answer.get_data()
            cut = Response(iter([half[: len(half) // 2]]), mimetype="application/json")
            cut.headers["Content-Length"] = str(len(half))
            return cut
        return answer

    def name(self, task: Task) -> str:
        return f"{task.facts['home']}/publishers/google/models/{task.model}/operations/{task.id}"

    def shown(self, task: Task) -> dict[str, Any]:
        shown = super().shown(task)
        if "response" not in shown:
            return shown
        filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [REASON]}
        return {**shown, "response": filtered if task.fails else {"videos": [self._video(task)]}}

    def _video(self, task: Task) -> dict[str, str]:
        """The film in an answer. The first one says that it is made; faults begin with the next."""
        times = self.books.count(f"brought:{task.id}")
        film = self.footage(task)
        if times > 1 and ("missing" in task.faults or ("missing-once" in task.faults and times == 2)):
            return {"mimeType": "video/mp4"}
        if times > 1 and ("corrupt" in task.faults or ("corrupt-once" in task.faults and times == 2)):
            film = bytes(len(film))
        return {"bytesBase64Encoded": base64.b64encode(film).decode(), "mimeType": "video/mp4"}

    def _brought(self, task: Task) -> int:
        return self.books.count(f"brought:{task.id}", 0)


def _stranger() -> Response | None:
    said = request.headers.get("Authorization", "")
    if not said.startswith("Bearer ") or said == "Bearer wrong":
        return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    return None


DIALECT = VeoVertex
