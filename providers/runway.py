"""Make takes with Runway's developer API: its own models, and others' that it passes on.

Vendor: https://docs.dev.runwayml.com and the source of runwayml's Python client; read 2026-11. Host:
api.dev.runwayml.com.
Auth: `Authorization: Bearer key_...`, and `X-Runway-Version`, without which nothing is answered.
Call: POST /v1/text_to_video or /v1/image_to_video, then GET /v1/tasks/{id} every 5 seconds or more.
Limits: prompts in UTF-16 units; pictures go inside the request, 5 MB as a data URI; tasks over the account's
number wait as THROTTLED, which is no error. No callbacks, no listing, no idempotency key: a submit whose
answer is lost stays unknown. Whether other makers' models are still passed on was not checked after 2026-07.
Billing: in credits of 0.01 USD; an ended task names what it cost, a refunded one 0. Prices by model are from
the vendor's notes for agents; `failureCode` and the shape of errors are UNVERIFIED, as is the message that
tells of an empty account.
Quirks: DELETE stops a task and deletes it; one that RUNS is not refunded, so only waiting ones are stopped,
and a stop is certain once the task says that it cost nothing. Links of results last 24 to 48 hours; another
look at the task has fresh ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from core.answers import Answer as HttpAnswer
from core.errors import Misconfigured, Moderated, PipelineError, Rejected, Retryable
from core.redact import redact
from providers.asking import data_uri, download, object_in, refusal, switches, words_for
from providers.base import (
    Answer,
    AnswerState,
    Context,
    Handle,
    Limits,
    Quote,
    Submitted,
    VideoRequest,
)
from providers.models import Model, Models, load
from providers.polled import PolledVendor

_VERSION = "2024-11-06"
_STATES = {
    "PENDING": AnswerState.RUNNING,
    "THROTTLED": AnswerState.RUNNING,
    "RUNNING": AnswerState.RUNNING,
    "SUCCEEDED": AnswerState.SUCCEEDED,
    "FAILED": AnswerState.FAILED,
    "CANCELLED": AnswerState.FAILED,
}
_WAITING = ("PENDING", "THROTTLED")
_CREDIT = 10_000


class Runway(PolledVendor):
    slug: ClassVar[str] = "runway"
    called: ClassVar[str] = "Runway"
    thing: ClassVar[str] = "task"
    table: ClassVar[Models] = load("runway")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(poll_seconds=5.0)
    home: ClassVar[str] = "https://api.dev.runwayml.com"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._headers["X-Runway-Version"] = _VERSION

    def quote(self, request: VideoRequest) -> Quote:
        model = self.table.get(self.model, self._today)
        quoted = super().quote(request)
        units = len(words_for(request).encode("utf-16-le")) // 2
        if model.limits.prompt and units > model.limits.prompt:
            raise Rejected(
                f"{model.id} takes prompts of at most {model.limits.prompt} UTF-16 units; this has {units}.",
                code="too_long",
                field="prompt",
            )
        return quoted

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:  # noqa: ARG002 (it keeps none)
        path = "image_to_video" if request.image else "text_to_video"
        told = self._send(f"{self.endpoint}/v1/{path}", json_body=_body(self.table.find(self.model), request))
        return Submitted(str(told["id"]))

    def fetch(self, answer: Answer, out: Path) -> None:
        """Download the film; its link carries its own signature, so no key goes with it."""
        output = answer.raw.get("output") if isinstance(answer.raw, dict) else None
        url = output[0] if isinstance(output, list) and output else None
        if not isinstance(url, str):
            raise Retryable("Runway says it is made and names no file.", code="no_result")
        download(self._http, url, out)

    def cancel(self, handle: Handle) -> bool:
        """Stop it while it waits; what runs is paid for already, and stopping it would delete the film."""
        before = self._look(self._address(handle))
        if before is None or before.get("status") not in _WAITING:
            return False
        self._stop(self._address(handle), "DELETE")
        after = self._look(self._address(handle))
        return after is not None and after.get("status") == "CANCELLED" and _cost(after) == 0

    def _address(self, handle: Handle) -> str:
        return f"{self.endpoint}/v1/tasks/{handle.vendor_id}"

    def _read(self, handle: Handle, told: dict[str, Any]) -> Answer:
        state = _STATES.get(str(told.get("status")), AnswerState.RUNNING)
        progress = told.get("progress")
        share = float(progress) if isinstance(progress, int | float) else None
        if state is not AnswerState.FAILED:
            cost = _cost(told) if state is AnswerState.SUCCEEDED else None
            return Answer(handle.vendor_id, state, raw=told, progress=share, cost=cost)
        why = str(told.get("failureCode") or "")
        code = "vendor_failed"
        if told["status"] == "CANCELLED":
            code = "cancelled"
        elif "SAFETY" in why.split("."):
            code = "moderated"
        said = ": ".join(filter(None, (why, str(told.get("failure") or ""))))
        error = redact(said)[:500] or f"Runway says {told['status']}, and not why."
        return Answer(handle.vendor_id, state, error=error, raw=told, cost=_cost(told), code=code)

    def _refused(self, answer: HttpAnswer, *, write: bool) -> PipelineError:
        body = object_in(answer)
        issues = body.get("issues")
        told = (
            [_issue(issue) for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
        )
        said = "; ".join([str(body.get("error") or ""), *told]).strip("; ")
        if answer.status == 400 and "SAFETY" in said:
            return Moderated(f"Runway refused it: {redact(said)[:300]}", code="moderated", field="prompt")
        if answer.status == 400 and "enough credits" in said:
            return Misconfigured(f"Runway's account is empty: {redact(said)[:300]}", code="runway_credits")
        return refusal("Runway", answer, write=write, said=said)


def _body(model: Model, request: VideoRequest) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": model.id,
        "promptText": words_for(request),
        **switches(model, request),
    }
    if request.image:
        asked["promptImage"] = data_uri(request.image)
        model = replace(model, sizes=tuple(model.wire.get("from_picture", model.sizes)))
    asked["ratio"] = model.size_for(request.width, request.height)
    asked["duration"] = model.seconds_for(request.frames / request.fps)
    if model.wire.get("seed"):
        asked["seed"] = request.seed % (1 << 32)
    return asked


def _cost(task: Mapping[str, Any]) -> int | None:
    """What an ended task was charged, in micro-USD."""
    cost = task.get("cost")
    units = cost.get("credits") if isinstance(cost, dict) else None
    return round(units * _CREDIT) if isinstance(units, int | float) and units >= 0 else None


def _issue(issue: Mapping[str, Any]) -> str:
    path = issue.get("path")
    where = ".".join(map(str, path)) if isinstance(path, list) else str(path or "")
    return f"{where}: {issue.get('message')}"


ADAPTER = Runway
