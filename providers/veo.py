"""Make takes with Veo, as the Gemini API had it. On Vertex it is `veo_vertex`.

Vendor: https://ai.google.dev/gemini-api/docs/veo (pricing, rate limits, deprecations) and google-genai's
source; read 2026-11. The vendor ended every model here on 2026-10-22, `gemini_omni` takes their place: this
file serves relays that keep the dialect (VEO_URL), whose prices nobody knows here.
Auth: header `x-goog-api-key`, and nothing else besides: two credentials are refused.
Call: POST /v1beta/models/{model}:predictLongRunning, then GET the operation that its answer names. No
idempotency key and no listing: a submit whose answer is lost stays unknown.
Pictures: `image`, as base64, png or jpeg of 20 MB; in the words of the vendor's client, not of its pages.
Callbacks: `webhookConfig.uris`; see `gemini_omni`, whose service it is. There is none for a failure.
Limits: 8 s where the film is larger than 720p; prompts of 1024 tokens, here 4000 characters. No cancelling.
Results are kept for 2 days. Billing: per second, with sound, for films that were delivered.
Quirks: what policy forbids is `done` without a film, and a reason; no word says that an operation waits. An
operation that is not found has run out. `personGeneration` is left out: what is allowed depends on the
place.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from core.answers import Answer as HttpAnswer
from core.errors import Rejected, Retryable, Unconfirmed
from core.redact import redact
from core.settings import VendorSettings
from providers.asking import STATUSES, TakeVendor, mime_of, words_for
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
from providers.gemini_events import parse_event
from providers.google import by_policy, error_in, fetch_file, object_from, save, without_bytes
from providers.models import Model, Models, load

_PICTURES = ("image/jpeg", "image/png")
_LARGE_SECONDS = 8


class Veo(TakeVendor):
    slug: ClassVar[str] = "veo"
    table: ClassVar[Models] = load("veo")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(poll_seconds=10.0)
    home: ClassVar[str] = "https://generativelanguage.googleapis.com"

    @classmethod
    def usable(cls, own: VendorSettings) -> str | None:
        if not cls.relayed(own):
            return (
                "The vendor ended Veo in this API on 2026-10-22. Use gemini_omni, or set VEO_URL to a relay."
            )
        return super().usable(own)

    @classmethod
    def relayed(cls, own: VendorSettings) -> bool:
        return own.url is not None

    def quote(self, request: VideoRequest) -> Quote:
        model = (
            self.table.find(self.model)
            if self.relayed(self._own)
            else self.table.get(self.model, self._today)
        )
        quote = self._quote(model, request, seconds=_seconds(model, request))
        if request.image is not None and (mime := mime_of(request.image)) not in _PICTURES:
            raise Rejected(
                f"{model.id} begins with pictures of {', '.join(_PICTURES)}; this one is {mime}.",
                code="bad_reference",
                field="reference",
            )
        if self.relayed(self._own):
            return replace(quote, known=False, basis=f"{quote.basis}; what the relay takes is not known")
        return quote

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:  # noqa: ARG002 (it keeps no tokens)
        answer = self._http.post(
            f"{self._place()}/models/{self.model}:predictLongRunning",
            json_body=self._body(self.table.find(self.model), request),
            headers=self._headers(),
            expect=STATUSES,
        )
        name = object_from(self.slug, answer, write=True).get("name")
        if not isinstance(name, str) or not name.rpartition("/")[2]:
            raise Unconfirmed(f"{self.slug}'s answer names no operation: {answer.excerpt()}")
        return Submitted(name.rpartition("/")[2], {"operation": name})

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        return [self._read(handle.vendor_id, self._operation(self._name(handle))) for handle in handles]

    def fetch(self, answer: Answer, out: Path) -> None:
        """Copy the film from where it is kept, or out of a fresh answer."""
        raw = answer.raw if isinstance(answer.raw, dict) else {}
        video = next(iter(_videos(raw)), {})
        if "bytesBase64Encoded" in video:
            fresh = object_from(self.slug, self._operation(str(raw.get("name"))))
            save(next(iter(_videos(fresh)), {}).get("bytesBase64Encoded"), out)
        elif video.get("uri"):
            fetch_file(self._http, self.slug, self.endpoint, str(video["uri"]), self._headers(), out)
        else:
            raise Retryable(f"{self.slug} says it is made and names no file.", code="no_result")

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        news = parse_event(
            self._http, self.endpoint, self._own.webhook_secret, self._callback_url, headers, body, now
        )
        return Callback(news.event_id, ask=tuple(name.rpartition("/")[2] for name in news.ask))

    # -- how this API is asked -----------------------------------------------------------------------

    def _place(self) -> str:
        return f"{self.endpoint}/v1beta"

    def _headers(self) -> dict[str, str]:
        return {"x-goog-api-key": self._own.api_key.get_secret_value()} if self._own.api_key else {}

    def _name(self, handle: Handle) -> str:
        named = handle.receipt.get("operation")
        return str(named or f"models/{handle.model or self.model}/operations/{handle.vendor_id}")

    def _operation(self, name: str) -> HttpAnswer:
        return self._http.get(f"{self.endpoint}/v1beta/{name}", headers=self._headers(), expect=STATUSES)

    def _body(self, model: Model, request: VideoRequest) -> dict[str, Any]:
        told = {"webhookConfig": {"uris": [self._callback_url]}} if self._callback_url else {}
        return {**asked(model, request), **told}

    def _read(self, vendor_id: str, answer: HttpAnswer) -> Answer:
        if answer.status == 404 and error_in(answer):
            return Answer(vendor_id, AnswerState.FAILED, error="The vendor does not know this film any more.")
        return read(vendor_id, object_from(self.slug, answer))


def asked(model: Model, request: VideoRequest) -> dict[str, Any]:
    """What is asked for, in the words that both of Veo's homes understand."""
    instance: dict[str, Any] = {"prompt": words_for(request)}
    if request.image is not None:
        shown = base64.b64encode(request.image.read_bytes()).decode()
        instance["image"] = {"bytesBase64Encoded": shown, "mimeType": mime_of(request.image)}
    parameters = {
        "aspectRatio": model.ratio_for(request.width, request.height),
        "durationSeconds": _seconds(model, request),
        "resolution": model.resolution_for(request.width, request.height),
        "sampleCount": 1,
    }
    return {"instances": [instance], "parameters": parameters}


def read(vendor_id: str, operation: dict[str, Any]) -> Answer:
    """What an operation says. Nothing but `done` ends it."""
    raw = without_bytes(operation)
    if operation.get("done") is not True:
        return Answer(vendor_id, AnswerState.RUNNING, raw=raw)
    if _videos(operation):
        return Answer(vendor_id, AnswerState.SUCCEEDED, raw=raw)
    error = operation.get("error")
    error = error if isinstance(error, dict) else {}
    reasons = _made(operation).get("raiMediaFilteredReasons")
    said = " ".join(map(str, reasons)) if isinstance(reasons, list) else str(error.get("message") or "")
    filtered = bool(reasons or _made(operation).get("raiMediaFilteredCount") or by_policy(said))
    code = f" (google.rpc code {error['code']})" if error.get("code") else ""
    return Answer(
        vendor_id,
        AnswerState.FAILED,
        error=f"{redact(said)[:500] or 'It ended without a film and without a reason.'}{code}",
        raw=raw,
        code="moderated" if filtered else "vendor_failed",
    )


def _seconds(model: Model, request: VideoRequest) -> int:
    seconds = model.seconds_for(request.frames / request.fps)
    large = model.resolution_for(request.width, request.height) != "720p"
    return _LARGE_SECONDS if large else seconds


def _made(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    response = operation.get("response")
    response = response if isinstance(response, dict) else {}
    inner = response.get("generateVideoResponse", response)
    return inner if isinstance(inner, dict) else {}


def _videos(operation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The films of an operation: Vertex lists them, the Gemini API lists samples that have one each."""
    made = _made(operation)
    samples = made.get("generatedSamples") or made.get("videos")
    listed = [one for one in samples if isinstance(one, dict)] if isinstance(samples, list) else []
    films = [one.get("video", one) for one in listed]
    return [
        film for film in films if isinstance(film, dict) and (film.keys() & {"uri", "bytesBase64Encoded"})
    ]


ADAPTER = Veo
