"""Make takes with Kling, by its new standard API. The older one is `kling_legacy`.

Vendor: https://kling.ai/document-api (authentication, error codes, callbacks, concurrency, video 3.0);
read 2026-11. Host: api-singapore.klingai.com, in mainland China api-beijing.klingai.com.
Auth: `Authorization: Bearer <API key>`; the older keys that sign a JWT are refused here.
Call: POST /text-to-video/{model} or /image-to-video/{model}, then GET /tasks?task_ids=a,b; `external_task_id`
is ours, unique per account, and finds a task whose answer was lost (GET /tasks?external_task_ids=x). What a
repeated one is answered with is not documented: it is read as "look it up".
Pictures: the first frame, as base64 (that this API takes what the older one takes is not documented).
Callbacks: at every change of status; signed by Standard Webhooks only where a secret was made in the vendor's
console. Without KLING_WEBHOOK_SECRET none are asked for and none are taken: anybody could send them.
Limits: tasks in work at once, per model and resource pack (429 1303); no cancelling; no limit of ids in one
poll is told, 100 keep the address short. Results are kept for 30 days.
Billing: per second of film, when a task succeeds; one unit is 0.14 USD. Prices stand in `kling.toml`.
Quirks: `code: 0` only says that the call worked; 429 with 1100 to 1102 or 1304 is final; `multi_shot` is on
unless switched off; `audio` is `native` or `off`, Turbo knows none, and 2.6 makes sound at 1080p alone;
what 4k costs with sound is not told; the field sent as `external_task_id` comes back as `external_id`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

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
from providers.asking import (
    STATUSES,
    TakeVendor,
    download,
    mime_of,
    object_in,
    resolution_of,
    size_of,
    words_for,
)
from providers.base import (
    Answer,
    AnswerState,
    Callback,
    Handle,
    Limits,
    Quote,
    Submitted,
    VideoRequest,
)
from providers.models import Model, Models, load
from providers.webhooks import verify_standard

_STATES = {
    "submitted": AnswerState.RUNNING,
    "processing": AnswerState.RUNNING,
    "succeeded": AnswerState.SUCCEEDED,
    "succeed": AnswerState.SUCCEEDED,  # the older API's word
    "failed": AnswerState.FAILED,
}
_ACCOUNT = {1000, 1001, 1002, 1100, 1101, 1102, 1103, 1304}
_CONTENT = {1300, 1301}
_LATER = {1302, 1303}
_CLOCK = {1003, 1004}
"""A signed token that does not count yet, or no longer: every call signs a fresh one."""
_UNIT = 140_000
_SHORTEST_SIDE = 300
_WIDEST = 2.5


class Kling(TakeVendor):
    slug: ClassVar[str] = "kling"
    table: ClassVar[Models] = load("kling")
    models: ClassVar[tuple[str, ...]] = table.ids
    batch: ClassVar[int] = 100
    can_look_up: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits(poll_seconds=2.0)
    home: ClassVar[str] = "https://api-singapore.klingai.com"

    def quote(self, request: VideoRequest) -> Quote:
        quote = super().quote(request)
        if request.image is not None:
            _check_picture(request.image)
        return quote

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:
        path, body = self._order(self.table.find(self.model), request, client_token)
        answer = self._http.post(
            f"{self.endpoint}{path}", json_body=body, headers=self._headers(), expect=STATUSES
        )
        data = self._data(answer, write=True)
        number = data.get("id", data.get("task_id")) if isinstance(data, dict) else None
        if not number:
            raise Unconfirmed(f"Kling's answer names no task: {answer.excerpt()}")
        return Submitted(str(number))

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """A task that is not listed may be too young to be: it counts as running."""
        vendor_ids = [handle.vendor_id for handle in handles]
        found = {answer.vendor_id: answer for answer in self._tasks("task_ids", vendor_ids)}
        return [found.get(vendor_id, unlisted(vendor_id)) for vendor_id in vendor_ids]

    def lookup(self, client_token: str) -> Answer | None:
        answers = self._tasks("external_task_ids", [client_token])
        return next((a for a in answers if a.raw.get("external_id", client_token) == client_token), None)

    def fetch(self, answer: Answer, out: Path) -> None:
        """Download the film. A link that leads nowhere may have expired: ask for the task once more."""
        url = next((o["url"] for o in _outputs(answer.raw) if o.get("url")), None)
        if url is None:
            raise Retryable("Kling says it is made and names no file.", code="no_result")
        download(self._http, str(url), out)

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        secret = self._own.webhook_secret
        if secret is None:
            raise Rejected(f"{self.slug} is polled: no webhook secret is set.", code="unsigned")
        event_id = verify_standard(secret.get_secret_value(), headers, body, now)
        try:
            answer = read(json.loads(body))
        except ValueError:
            answer = None
        if answer is None:
            raise Rejected("This callback names no task.", code="bad_callback")
        # The vendor's example of a signed callback says "succeeded" and names no file.
        if answer.state is AnswerState.SUCCEEDED and not _outputs(answer.raw):
            return Callback(event_id, ask=(answer.vendor_id,))
        return Callback(event_id, answers=(answer,))

    # -- how this API is asked -----------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        key = self._own.api_key
        return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def _order(self, model: Model, request: VideoRequest, client_token: str) -> tuple[str, dict[str, Any]]:
        settings: dict[str, Any] = {
            "multi_shot": False,
            "resolution": resolution_of(model, request),
            "duration": model.seconds_for(request.frames / request.fps),
        }
        if not model.id.endswith("3.0-turbo"):
            settings["audio"] = "native" if request.audio else "off"
        body: dict[str, Any] = {
            "settings": settings,
            "options": {"external_task_id": client_token, **self._callback()},
        }
        if request.image is None:
            settings["aspect_ratio"] = model.ratio_for(request.width, request.height)
            return f"/text-to-video/{model.id}", {"prompt": words_for(request), **body}
        contents = [
            {"type": "prompt", "text": words_for(request)},
            {"type": "first_frame", "url": as_base64(request.image)},
        ]
        return f"/image-to-video/{model.id}", {"contents": contents, **body}

    def _callback(self) -> dict[str, str]:
        told = self._callback_url if self._own.webhook_secret else None
        return {"callback_url": told} if told else {}

    def _tasks(self, kind: str, ids: Sequence[str]) -> list[Answer]:
        answer = self._http.get(
            f"{self.endpoint}/tasks", params={kind: ",".join(ids)}, headers=self._headers(), expect=STATUSES
        )
        data = self._data(answer, write=False)
        found = [read(task) for task in (data if isinstance(data, list) else [data])]
        return [answer for answer in found if answer is not None]

    def _data(self, answer: HttpAnswer, *, write: bool) -> Any:
        """What is inside the vendor's envelope; raises what a refusal means."""
        try:
            body = answer.json() if answer.status < 400 else None
        except Permanent as error:
            if write:
                raise Unconfirmed(error.message) from None
            raise
        if not isinstance(body, dict) or body.get("code") not in (0, None):
            raise _refusal(answer, self.slug.upper(), write=write)
        return body.get("data")


def as_base64(picture: Path) -> str:
    return base64.b64encode(picture.read_bytes()).decode()


def unlisted(vendor_id: str) -> Answer:
    return Answer(vendor_id, AnswerState.RUNNING, error="Kling does not list this task.")


def read(task: Any) -> Answer | None:
    """What a task says, in the words of either API; None when it is no task."""
    number = task.get("id", task.get("task_id")) if isinstance(task, dict) else None
    if not number:
        return None
    state = _STATES.get(str(task.get("status", task.get("task_status"))), AnswerState.RUNNING)
    if state is not AnswerState.FAILED:
        return Answer(
            str(number), state, raw=task, cost=_cost(task) if state is AnswerState.SUCCEEDED else None
        )
    message = str(task.get("message", task.get("task_status_msg")) or "").strip()
    return Answer(
        str(number),
        state,
        error=redact(message)[:500] or "Kling says failed, and not why.",
        raw=task,
        code="moderated" if "risk control" in message.lower() else "vendor_failed",
    )


def _check_picture(picture: Path) -> None:
    """Refuse a picture that the older API's reference does; the newer one's says no more than its bytes."""
    if (mime := mime_of(picture)) not in ("image/jpeg", "image/png"):
        raise Rejected(
            f"Kling begins with pictures of image/jpeg or image/png; this one is {mime}.",
            code="bad_reference",
            field="reference",
        )
    width, height = size_of(picture)
    if min(width, height) < _SHORTEST_SIDE or max(width, height) > _WIDEST * min(width, height):
        raise Rejected(
            f"Kling begins with pictures of {_SHORTEST_SIDE} pixels a side at least and of a shape from "
            f"1:{_WIDEST} to {_WIDEST}:1; this one is {width}x{height}.",
            code="bad_reference",
            field="reference",
        )


def _cost(task: dict[str, Any]) -> int | None:
    """What was charged in micro-USD: the list price where it is told, else the units."""
    if units := task.get("final_unit_deduction"):
        return _sum([{"amount": units}])
    lines = task.get("billing")
    return _sum(lines) if isinstance(lines, list) and lines else None


def _sum(lines: list[Any]) -> int | None:
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
    task = task if isinstance(task, dict) else {}
    result = task.get("task_result")
    outputs = task.get("outputs") or (result.get("videos") if isinstance(result, dict) else None)
    found = [o for o in outputs if isinstance(o, dict)] if isinstance(outputs, list) else []
    return [o for o in found if o.get("type", "video") == "video"]


def _refusal(answer: HttpAnswer, slug: str, *, write: bool) -> PipelineError:
    """Sort a refusal by the code in its body, else by its status."""
    body = object_in(answer)
    said = str(body.get("code", ""))
    code = int(said) if said.isdigit() and said != "0" else None
    message = redact(str(body.get("message", "")))[:300] if body else answer.excerpt()
    status = answer.status
    what = f"Kling answered {status}{f' ({code})' if code else ''}: {message}"
    ours = f"kling_{code}" if code else f"http_{status}"
    if code in _ACCOUNT or (code is None and status in (401, 402, 403)):
        return Misconfigured(f"{what} Check the account and {slug}_API_KEY.", code=ours)
    if code in _CLOCK:
        return Retryable(f"{what} Check this machine's clock.", code=ours)
    if code in _CONTENT:
        return Moderated(what, code="moderated", field="prompt")
    if code in _LATER or status == 429:
        return Retryable(what, retry_after=retry_after(answer), code="throttled")
    if code in (1202, 1203) or status == 404:
        return Misconfigured(f"{what} Check {slug}_MODEL and {slug}_URL.", code=ours)
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


ADAPTER = Kling
