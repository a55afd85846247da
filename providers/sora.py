"""Make takes by OpenAI's video API, `/v1/videos`, at a relay that speaks it.

Vendor: developers.openai.com (videos, webhooks, deprecations) and openai-python's source; read 2026-11.
OpenAI removed every `/v1/videos` on 2026-09-24 and named no replacement: its own hosts are refused before any
hold. SORA_URL names a relay (with or without `/v1`), and only then is this provider on. A relay has models
and prices of its own: SORA_MODEL may be any name it knows, asked as `sora-2` was, and no price is known here.
Auth: `Authorization: Bearer <key>`.
Call: POST /v1/videos, as form data like OpenAI's client; GET /v1/videos/{id}; GET /v1/videos/{id}/content
with the key. A picture, JPEG or PNG here, has exactly the pixels of `size`; how large its file may be is
UNVERIFIED: that of a data URL is taken.
Limits: requests a minute by model (UNVERIFIED). No idempotency key: GET /v1/videos lists what was made, yet
nothing in it tells ours from another of the same words, so a submit whose answer is lost stays unknown.
Billing: per second of film; no answer names a cost.
Callbacks: set up in the vendor's dashboard, Standard Webhooks; SORA_WEBHOOK_SECRET without `whsec_` is taken
as it is. An event only names the film: it is asked for then.
Quirks: `seconds` is text; there is no cancelling; results are kept for an hour; the codes of errors are not
listed (`moderation_blocked` is UNVERIFIED), nor is it said that `insufficient_quota` is final (UNVERIFIED).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from core.answers import Answer as HttpAnswer
from core.errors import Misconfigured, Moderated, PipelineError, Rejected
from core.redact import redact
from core.settings import VendorSettings
from providers.asking import download, mime_of, object_in, refusal, size_of, words_for
from providers.base import (
    Answer,
    AnswerState,
    Callback,
    Context,
    Handle,
    Limits,
    Quote,
    Submitted,
    VideoRequest,
)
from providers.models import Model, Models, load
from providers.polled import PolledVendor
from providers.webhooks import verify_standard

_STATES = {
    "queued": AnswerState.RUNNING,
    "in_progress": AnswerState.RUNNING,
    "completed": AnswerState.SUCCEEDED,
    "failed": AnswerState.FAILED,
    "expired": AnswerState.FAILED,
}
_POLICY = re.compile(r"(?i)moderation|content_policy|safety")
_EVENTS = ("video.completed", "video.failed")


class Sora(PolledVendor):
    slug: ClassVar[str] = "sora"
    called: ClassVar[str] = "The relay"
    thing: ClassVar[str] = "video"
    table: ClassVar[Models] = load("sora")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(poll_seconds=10.0)
    home: ClassVar[str] = "https://api.openai.com"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.endpoint = self.endpoint.removesuffix("/v1")

    @classmethod
    def usable(cls, own: VendorSettings) -> str | None:
        if not cls.relayed(own):
            ended = cls.table.find(cls.table.default).retires_at
            return f"OpenAI shut Sora down on {ended}: set SORA_URL to a relay that speaks its API."
        return None if own.api_key else "Set SORA_API_KEY to the relay's key."

    @classmethod
    def relayed(cls, own: VendorSettings) -> bool:
        return own.url is not None and not _is_openai(own.url)

    def quote(self, request: VideoRequest) -> Quote:
        model = self._model()
        quoted = self._quote(model, request)
        if request.image is not None:
            _check_pixels(request.image, model.size_for(request.width, request.height))
        if _is_openai(self.endpoint):
            return quoted
        basis = f"{self.model}: the relay's price is its own, not OpenAI's"
        return dataclasses.replace(quoted, known=False, basis=f"{basis} ({quoted.basis})")

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:  # noqa: ARG002 (the API keeps none)
        model = self._model()
        size = model.size_for(request.width, request.height)
        asked = {
            "prompt": words_for(request),
            "model": model.id,
            "seconds": str(model.seconds_for(request.frames / request.fps)),
            "size": size,
        }
        parts: dict[str, tuple[str | None, bytes, str | None]] = {
            name: (None, value.encode(), None) for name, value in asked.items()
        }
        if request.image is not None:
            mime = _check_pixels(request.image, size)
            name = f"reference.{mime.partition('/')[2]}"
            parts["input_reference"] = (name, request.image.read_bytes(), mime)
        return Submitted(str(self._send(f"{self.endpoint}/v1/videos", files=parts)["id"]))

    def fetch(self, answer: Answer, out: Path) -> None:
        """Download the film from where it was asked for; it is kept there for an hour."""
        download(self._http, f"{self._address(Handle(answer.vendor_id))}/content", out, headers=self._headers)

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        secret = self._own.webhook_secret
        if secret is None:
            raise Misconfigured("Set SORA_WEBHOOK_SECRET to read the relay's callbacks.")
        event_id = verify_standard(secret.get_secret_value(), headers, body, now, bare="text")
        event = object_in(HttpAnswer(200, {}, body, self.endpoint))
        data = event.get("data")
        vendor_id = data.get("id") if isinstance(data, dict) else None
        if event.get("type") not in _EVENTS or not vendor_id:
            return Callback(event_id)
        return Callback(event_id, ask=(str(vendor_id),))

    # -- inside --------------------------------------------------------------------------------------

    def _model(self) -> Model:
        """What is known of the model; raises Rejected at OpenAI, which has none left."""
        if _is_openai(self.endpoint):
            return self.table.get(self.model, self._today)
        if self.model in self.table.ids:
            return self.table.find(self.model)
        return dataclasses.replace(self.table.find(self.table.default), id=self.model, price=None)

    def _address(self, handle: Handle) -> str:
        return f"{self.endpoint}/v1/videos/{handle.vendor_id}"

    def _read(self, handle: Handle, told: dict[str, Any]) -> Answer:
        state = _STATES.get(str(told.get("status")), AnswerState.RUNNING)
        progress = told.get("progress")
        share = progress / 100 if isinstance(progress, int | float) else None
        if state is not AnswerState.FAILED:
            return Answer(handle.vendor_id, state, raw=told, progress=share)
        code, said = _error_in(told)
        why = redact(": ".join(filter(None, (code, said))))[:500]
        return Answer(
            handle.vendor_id,
            state,
            error=why or f"The relay says {told['status']}, and not why.",
            raw=told,
            progress=share,
            code="moderated" if _POLICY.search(code) else "vendor_failed",
        )

    def _refused(self, answer: HttpAnswer, *, write: bool) -> PipelineError:
        code, said = _error_in(object_in(answer))
        if answer.status == 429 and code == "insufficient_quota":
            return Misconfigured(
                f"The account of SORA_API_KEY is empty: {redact(said)[:300]}", code=f"sora_{code}"
            )
        if answer.status in (400, 403, 422) and _POLICY.search(code):
            return Moderated(f"The relay refused it: {redact(said)[:300]}", code="moderated", field="prompt")
        verdict = {"true": True, "false": False}.get(answer.headers.get("x-should-retry", "").lower())
        if verdict is None and answer.status == 409:
            verdict = True  # OpenAI's client tries these again
        return refusal(
            "Sora", answer, write=write, said=said, code=f"sora_{code}" if code else None, repeat=verdict
        )


def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _check_pixels(picture: Path, size: str) -> str:
    """The type of a picture of exactly this size; raises Rejected for any other."""
    mime = mime_of(picture)
    width, height = size_of(picture)
    if f"{width}x{height}" != size:
        raise Rejected(
            f"A film of {size} begins with a picture of {size}; this one has {width}x{height}.",
            code="wrong_size",
            field="reference",
        )
    return mime


def _error_in(body: Mapping[str, Any]) -> tuple[str, str]:
    """The code of an error, or its type, and its words; relays write less than OpenAI did."""
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or ""), str(error.get("message") or "")
    return "", error if isinstance(error, str) else json.dumps(error) if error else ""


ADAPTER = Sora
