"""Make takes with Kling, by its new standard API.

Vendor: https://kling.ai/document-api (authentication, error codes, callbacks, concurrency, video 3.0);
read 2026-11. Host: api-singapore.klingai.com, in mainland China api-beijing.klingai.com.
Auth: `Authorization: Bearer <API key>`; the older keys that sign a JWT are refused here.
Call: POST /text-to-video/{model}, then GET /tasks?task_ids=a,b; `external_task_id` is ours, unique per
account, and finds a task whose answer was lost (GET /tasks?external_task_ids=x). What a repeated one is
answered with is not documented: it is read as "look it up".
Limits: tasks in work at once, per model and resource pack (429 1303); prompts of 3072 characters; no
cancelling; no limit of ids in one poll is told, 100 keep the address short. Results are kept for 30 days.
Billing: per second of film, when a task succeeds; one unit is 0.14 USD. Prices stand in `kling.toml`.
Quirks: `code: 0` only says that the call worked; 429 with 1100 to 1102 or 1304 is final; `multi_shot` is on
unless switched off; Turbo knows no `audio`; the field sent as `external_task_id` comes back as `external_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

from core.answers import Answer as HttpAnswer
from core.answers import retry_after
from core.errors import (
    Misconfigured,
    Moderated,
    Permanent,
    PipelineError,
    Rejected,
    Retryable,
    Unconfirmed,
)
from core.redact import redact
from providers.base import (
    Answer,
    AnswerState,
    Context,
    Handle,
    Limits,
    Quote,
    Submitted,
    Vendor,
    VideoRequest,
)
from providers.models import Model, load

_STATES = {
    "submitted": AnswerState.RUNNING,
    "processing": AnswerState.RUNNING,
    "succeeded": AnswerState.SUCCEEDED,
    "succeed": AnswerState.SUCCEEDED,  # the older API's word
    "failed": AnswerState.FAILED,
}
_STATUSES = tuple(range(400, 600))
_ACCOUNT = {1000, 1001, 1002, 1003, 1004, 1100, 1101, 1102, 1103, 1304}
_CONTENT = {1300, 1301}
_LATER = {1302, 1303}
_UNIT = 140_000
_MODELS = load("kling")
_MAX_BYTES = 2 << 30
_GONE = ("http_403", "http_404", "http_410")


class Kling(Vendor):
    slug: ClassVar[str] = "kling"
    kind: ClassVar[Literal["video"]] = "video"
    models: ClassVar[tuple[str, ...]] = _MODELS.ids
    batch: ClassVar[int] = 100
    can_look_up: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits(poll_seconds=2.0)
    home: ClassVar[str] = "https://api-singapore.klingai.com"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or self._own.model or _MODELS.default
        key = self._own.api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def quote(self, request: VideoRequest) -> Quote:
        model = _MODELS.get(self.model, self._today)
        _prompt(request, model)
        resolution = model.resolution_for(request.width, request.height)
        return model.quote(model.seconds_for(request.frames / request.fps), resolution, today=self._today)

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:
        answer = self._http.post(
            f"{self.endpoint}/text-to-video/{self.model}",
            json_body=_body(_MODELS.find(self.model), request, client_token),
            headers=self._headers,
            expect=_STATUSES,
        )
        if answer.status >= 400:
            raise _refusal(answer, write=True)
        try:
            body = answer.json()
        except Permanent as error:
            raise Unconfirmed(error.message) from None
        data = body.get("data") if isinstance(body, dict) else None
        if isinstance(body, dict) and body.get("code") not in (0, None):
            raise _refusal(answer, write=True)
        if not isinstance(data, dict) or not data.get("id"):
            raise Unconfirmed(f"Kling's answer names no task: {answer.excerpt()}")
        return Submitted(str(data["id"]))

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """A task that is not listed may be too young to be: it counts as running."""
        vendor_ids = [handle.vendor_id for handle in handles]
        found = {task["id"]: task for task in self._tasks("task_ids", vendor_ids)}
        return [
            _read(found[vendor_id])
            if vendor_id in found
            else Answer(vendor_id, AnswerState.RUNNING, error="Kling does not list this task.")
            for vendor_id in vendor_ids
        ]

    def lookup(self, client_token: str) -> Answer | None:
        tasks = self._tasks("external_task_ids", [client_token])
        return next(
            (_read(task) for task in tasks if task.get("external_id", client_token) == client_token), None
        )

    def fetch(self, answer: Answer, out: Path) -> None:
        """Download the film. A link that leads nowhere may have expired: ask for the task once more."""
        url = next((o["url"] for o in _outputs(answer.raw) if o.get("url")), None)
        if url is None:
            raise Retryable("Kling says it is made and names no file.", code="no_result")
        try:
            self._http.download(str(url), out, _MAX_BYTES)
        except Permanent as error:
            if error.code in _GONE:
                raise Retryable(f"The result is not there: {error.message}", code="result_missing") from None
            raise

    def _tasks(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        answer = self._http.get(
            f"{self.endpoint}/tasks", params={kind: ",".join(ids)}, headers=self._headers, expect=_STATUSES
        )
        body = answer.json() if answer.status < 400 else None
        if not isinstance(body, dict) or body.get("code") not in (0, None):
            raise _refusal(answer, write=False)
        data = body.get("data")
        tasks = data if isinstance(data, list) else [data]
        return [
            {**task, "id": str(task["id"])} for task in tasks if isinstance(task, dict) and task.get("id")
        ]


def _prompt(request: VideoRequest, model: Model) -> str:
    """What is asked for in words; the camera's move has no field of its own."""
    if request.image is not None or request.clip is not None:
        raise Rejected("Kling is asked with words only here; a picture is shown by another provider.")
    prompt = request.prompt.strip()
    if prompt and request.move not in (None, "auto"):
        prompt = f"{prompt.rstrip('.')}. Camera: {request.move}."
    return model.check_prompt(prompt)


def _body(model: Model, request: VideoRequest, client_token: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "multi_shot": False,
        "resolution": model.resolution_for(request.width, request.height),
        "aspect_ratio": model.ratio_for(request.width, request.height),
        "duration": model.seconds_for(request.frames / request.fps),
    }
    if not model.id.endswith("3.0-turbo"):
        settings["audio"] = "off"
    return {
        "prompt": _prompt(request, model),
        "settings": settings,
        "options": {"external_task_id": client_token},
    }


def _read(task: dict[str, Any]) -> Answer:
    state = _STATES.get(str(task.get("status")), AnswerState.RUNNING)
    message = str(task.get("message") or "").strip()
    return Answer(
        task["id"],
        state,
        error=redact(message)[:500] or "Kling says failed, and not why."
        if state is AnswerState.FAILED
        else None,
        raw=task,
        cost=_cost(task) if state is AnswerState.SUCCEEDED else None,
    )


def _cost(task: dict[str, Any]) -> int | None:
    """What was charged in micro-USD: the list price where it is told, else the units."""
    lines = task.get("billing")
    if not isinstance(lines, list) or not lines:
        return None
    total = Decimal(0)
    for line in lines:
        try:
            price, units = line.get("list_price"), line.get("amount")
            total += (
                Decimal(str(price)) * 1_000_000 if price not in (None, "") else Decimal(str(units)) * _UNIT
            )
        except (AttributeError, ArithmeticError):
            return None
    return int(total.to_integral_value()) if total.is_finite() else None


def _outputs(task: Any) -> list[dict[str, Any]]:
    outputs = task.get("outputs") if isinstance(task, dict) else None
    found = [o for o in outputs or [] if isinstance(o, dict)]
    return [o for o in found if o.get("type", "video") == "video"]


def _refusal(answer: HttpAnswer, *, write: bool) -> PipelineError:
    """Sort a refusal by the code in its body, else by its status."""
    code, message = _said(answer)
    status = answer.status
    what = f"Kling answered {status}{f' ({code})' if code else ''}: {message}"
    ours = f"kling_{code}" if code else f"http_{status}"
    if code in _ACCOUNT or (code is None and status in (401, 402, 403)):
        return Misconfigured(f"{what} Check the account and KLING_API_KEY.", code=ours)
    if code in _CONTENT:
        return Moderated(what, code="moderated", field="prompt")
    if code in _LATER or status == 429:
        return Retryable(what, retry_after=retry_after(answer), code="throttled")
    if code in (1202, 1203) or status == 404:
        return Misconfigured(f"{what} Check KLING_MODEL and KLING_URL.", code=ours)
    if write and "external_task_id" in message:
        return Unconfirmed(f"{what} A task of this name may be there already.")
    if code in (1200, 1201) or status in (400, 422):
        return Rejected(what, code=ours)
    if status >= 500 or status == 408 or (code or 0) >= 5000:
        if write:
            return Unconfirmed(f"{what} Nobody knows whether it was accepted.")
        return Retryable(what, retry_after=retry_after(answer), code=ours)
    if status < 400:
        return Unconfirmed(what) if write else Retryable(what, code="bad_answer")
    return Permanent(what, code=ours)


def _said(answer: HttpAnswer) -> tuple[int | None, str]:
    try:
        body = answer.json()
    except Permanent:
        return None, answer.excerpt()
    if not isinstance(body, dict):
        return None, answer.excerpt()
    code = str(body.get("code", ""))
    return int(code) if code.isdigit() and code != "0" else None, redact(str(body.get("message", "")))[:300]


ADAPTER = Kling
