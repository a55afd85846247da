"""Make takes with the models that fal hosts, through its queue.

Vendor: https://docs.fal.ai (queue, webhooks, errors) and fal-client's source; read 2026-11. Hosts:
queue.fal.run, and rest.fal.ai for the keys of callbacks; where FAL_URL names another, it is asked for both.
Auth: `Authorization: Key <id>:<secret>`; FAL_API_KEY is both halves with their colon.
Call: POST /{model}, then GET the `status_url` and the `response_url` of its answer. They lack the model's
sub-path, so they are kept with the submission, and made as fal-client does where they lead away from fal.
Models differ in their input: `fal.toml` says how each wants to be asked.
Limits: requests in work at once, by account (the number is not public: UNVERIFIED). No idempotency key and no
listing: a submit whose answer is lost stays unknown. Pictures go inside the request, limits by model; that
each model takes one as large inside a request is UNVERIFIED. Results stay 7 days or more (UNVERIFIED).
Billing: per second of film, for successes only; no answer names a cost, so the list price is what was paid.
Callbacks: `?fal_webhook=`, Ed25519 over id, user, time and the body's SHA-256; a request's id is its event.
Quirks: COMPLETED may be a failure, told by `error` or only by the status of the result; a cancelled request
is COMPLETED with `client_cancelled`. `X-Fal-Retryable` decides on trying again where the outcome is certain:
after a 5xx to a submit nobody knows it, whatever the header says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.utils import base64url_decode

from core.answers import Answer as HttpAnswer
from core.errors import Moderated, PipelineError, Rejected, Retryable
from core.redact import redact
from providers.asking import (
    STATUSES,
    data_uri,
    download,
    input_for,
    is_at,
    object_in,
    refusal,
)
from providers.base import (
    Answer,
    AnswerState,
    Callback,
    Handle,
    Limits,
    Submitted,
    VideoRequest,
)
from providers.models import Models, load
from providers.polled import PolledVendor
from providers.published_keys import PublishedKeys
from providers.webhooks import check_time

_KEYS = PublishedKeys()
_KEYS_AT = "https://rest.fal.ai/.well-known/jwks.json"
_HOSTS = ("fal.run", "falrun.com")  # the second stands in for the first in fal-client
_ADDRESSES = {"response_url": "", "status_url": "/status", "cancel_url": "/cancel"}
_NAMESPACES = ("workflows", "comfy")
_CANCELLED = {"client_cancelled", "client_disconnected"}
_MODERATED = "content_policy_violation"


class Fal(PolledVendor):
    slug: ClassVar[str] = "fal"
    called: ClassVar[str] = "fal"
    thing: ClassVar[str] = "request"
    scheme: ClassVar[str] = "Key"
    table: ClassVar[Models] = load("fal")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(poll_seconds=2.0)
    home: ClassVar[str] = "https://queue.fal.run"

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:  # noqa: ARG002 (fal keeps no tokens)
        model = self.table.find(self.model)
        shown = data_uri(request.image) if request.image else None
        told = self._send(
            f"{self.endpoint}/{model.wire['image_model'] if request.image else model.id}",
            id_name="request_id",
            params={"fal_webhook": self._callback_url} if self._callback_url else None,
            json_body=input_for(model, request, shown),
        )
        return Submitted(str(told["request_id"]), {name: told[name] for name in _ADDRESSES if name in told})

    def fetch(self, answer: Answer, out: Path) -> None:
        """Download the film; its link is public, so no key goes with it."""
        url = _link(answer.raw)
        if url is None:
            raise Retryable("fal says it is made and names no file.", code="no_result")
        download(self._http, url, out)

    def cancel(self, handle: Handle) -> bool:
        """Ask to stop; fal only takes note, and the next poll tells whether it did."""
        answer = self._http.post(
            self._place(handle, "cancel_url"),
            method="PUT",
            headers=self._headers,
            safe=True,
            expect=STATUSES,
        )
        if answer.status >= 400 and object_in(answer).get("status") not in ("ALREADY_COMPLETED", "NOT_FOUND"):
            raise self._refused(answer, write=False)
        return False

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        request_id, user, said, signature = (
            headers.get(f"x-fal-webhook-{name}", "")
            for name in ("request-id", "user-id", "timestamp", "signature")
        )
        if not request_id or not signature:
            raise Rejected("This callback is not signed.", code="unsigned")
        check_time(said, now)
        signed = "\n".join((request_id, user, said, hashlib.sha256(body).hexdigest())).encode()
        where = _KEYS_AT if self.endpoint == self.home else f"{self.endpoint}/.well-known/jwks.json"
        if not any(
            _fits(key, signature, signed)
            for newer in (False, True)  # the vendor may have changed its keys within the day
            for key in _KEYS.get(self._http, where, now, newer=newer)
        ):
            raise Rejected("This callback is not signed by the vendor.", code="bad_signature")
        return _news(request_id, object_in(HttpAnswer(200, {}, body, where)))

    # -- inside --------------------------------------------------------------------------------------

    def _place(self, handle: Handle, name: str) -> str:
        """Where fal said to ask; a key goes to fal alone, whatever an answer once said."""
        told = str(handle.receipt.get(name) or "")
        if is_at(told, self.endpoint, *_HOSTS):
            return told
        parts = (handle.model or self.model).split("/")
        app = "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])
        return f"{self.endpoint}/{app}/requests/{handle.vendor_id}{_ADDRESSES[name]}"

    def _address(self, handle: Handle) -> str:
        return self._place(handle, "status_url")

    def _look(self, url: str, params: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        return super()._look(url, params or {"logs": "false"})

    def _read(self, handle: Handle, told: dict[str, Any]) -> Answer:
        """Read the status and, once it is COMPLETED, what came of it."""
        if told.get("status") != "COMPLETED":
            return Answer(handle.vendor_id, AnswerState.RUNNING, raw=told)
        result = self._http.get(self._place(handle, "response_url"), headers=self._headers, expect=STATUSES)
        body = object_in(result)
        if result.status in (401, 403, 408, 429) or not (body or told.get("error")):
            raise self._refused(result, write=False)  # says nothing about the film
        if result.status >= 400 or told.get("error"):
            kind = str(told.get("error_type") or _kind(result) or "")
            return _failed(handle.vendor_id, kind, _said(body) or str(told.get("error") or ""), told)
        return Answer(handle.vendor_id, AnswerState.SUCCEEDED, raw={**told, "result": body})

    def _refused(self, answer: HttpAnswer, *, write: bool) -> PipelineError:
        kind, said = _kind(answer), _said(object_in(answer))
        if kind == _MODERATED:
            return Moderated(f"fal refused it: {redact(said)[:300]}", code="moderated", field="prompt")
        verdict = {"true": True, "false": False}.get(answer.headers.get("X-Fal-Retryable", "").lower())
        if verdict is None and answer.status == 409:
            verdict = True  # fal-client tries these again
        return refusal(
            "fal", answer, write=write, said=said, code=f"fal_{kind}" if kind else None, repeat=verdict
        )


def _news(request_id: str, body: Mapping[str, Any]) -> Callback:
    """What a callback says; one that lacks its payload only says that there is something to ask for."""
    payload = body.get("payload")
    vendor_id = str(body.get("request_id") or request_id)
    if body.get("status") == "OK" and isinstance(payload, dict):
        raw = {"status": "COMPLETED", "request_id": vendor_id, "result": payload}
        return Callback(request_id, (Answer(vendor_id, AnswerState.SUCCEEDED, raw=raw),))
    if body.get("status") == "ERROR":
        payload = payload if isinstance(payload, dict) else {}
        said = _said(payload) or str(body.get("error") or "")
        return Callback(request_id, (_failed(vendor_id, _typed(payload), said, dict(body)),))
    return Callback(request_id, ask=(vendor_id,))


def _failed(vendor_id: str, kind: str, said: str, raw: Any) -> Answer:
    code = "cancelled" if kind in _CANCELLED else "moderated" if kind == _MODERATED else "vendor_failed"
    error = redact(f"{kind}: {said}" if kind and said else kind or said)[:500]
    return Answer(
        vendor_id, AnswerState.FAILED, error=error or "fal says failed, and not why.", raw=raw, code=code
    )


def _kind(answer: HttpAnswer) -> str:
    """The vendor's word for what went wrong: in a header, or in one of the two shapes of its bodies."""
    return str(answer.headers.get("X-Fal-Error-Type") or "") or _typed(object_in(answer))


def _typed(body: Mapping[str, Any]) -> str:
    return str(body.get("error_type") or next((d["type"] for d in _details(body) if d.get("type")), ""))


def _said(body: Mapping[str, Any]) -> str:
    if isinstance(body.get("detail"), str):
        return str(body["detail"])
    return "; ".join(
        f"{'.'.join(map(str, d['loc']))}: {d.get('msg')}"
        if isinstance(d.get("loc"), list)
        else str(d.get("msg"))
        for d in _details(body)
    )


def _details(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    detail = body.get("detail")
    return [d for d in detail if isinstance(d, dict)] if isinstance(detail, list) else []


def _link(raw: Any) -> str | None:
    """The film among what a model made: models name it in one of a few ways."""
    result = raw.get("result") if isinstance(raw, dict) else None
    video = result.get("video") or result.get("videos") if isinstance(result, dict) else None
    video = video[0] if isinstance(video, list) and video else video
    url = video.get("url") if isinstance(video, dict) else video
    return url if isinstance(url, str) and url else None


def _fits(key: Mapping[str, Any], signature: str, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(base64url_decode(str(key["x"]))).verify(
            bytes.fromhex(signature), signed
        )
    except (InvalidSignature, KeyError, ValueError):
        return False
    return True


ADAPTER = Fal
