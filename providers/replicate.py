"""Make takes with the models that Replicate runs.

Vendor: https://replicate.com/docs (predictions, files, webhooks, rate limits) and its OpenAPI; read 2026-11.
Auth: `Authorization: Bearer r8_...`.
Call: POST /v1/models/{owner}/{name}/predictions, then GET /v1/predictions/{id}. Models differ in their input:
`replicate.toml` says how each wants to be asked.
Limits: 600 predictions a minute and 3000 other calls, far fewer without a payment method; the wait may stand
only in the text of a 429. Pictures up to 256 KB go inside the request, larger ones as files by POST
/v1/files, which the vendor keeps for a day. No idempotency key: a submit whose answer is lost stays unknown,
because the list of predictions tells ours from no other of the same words.
Billing: by the second or by the output, whatever the model; no answer names a cost. Some prices come from
resellers (UNVERIFIED).
Callbacks: `webhook` in the request, Standard Webhooks; REPLICATE_WEBHOOK_SECRET is the account's
(GET /v1/webhooks/default/secret). An end is told for about a minute only.
Quirks: output, logs and files are deleted after one hour (`data_removed`); `canceled` and `aborted` also mean
that a deadline passed; an output is a link, a list or an object. Whether a download needs the key is
UNVERIFIED: it goes to the vendor's own hosts alone. That a model refuses its input is told in words only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from core.answers import Answer as HttpAnswer
from core.errors import Misconfigured, Moderated, Permanent, PipelineError, Retryable
from core.redact import redact
from providers.asking import (
    STATUSES,
    data_uri,
    data_uri_length,
    download,
    input_for,
    is_at,
    mime_of,
    object_in,
    refusal,
    words_in,
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
from providers.webhooks import verify_standard

_STATES = {
    "starting": AnswerState.RUNNING,
    "processing": AnswerState.RUNNING,
    "succeeded": AnswerState.SUCCEEDED,
    "failed": AnswerState.FAILED,
    "canceled": AnswerState.FAILED,
    "aborted": AnswerState.FAILED,
}
_STOPPED = ("canceled", "aborted")
_INSIDE = 256 << 10
_FILES = ("replicate.delivery", "api.replicate.com")
_POLICY = re.compile(r"(?i)\bnsfw\b|flagged as sensitive|\(E005\)|content polic|moderation")


class Replicate(PolledVendor):
    slug: ClassVar[str] = "replicate"
    called: ClassVar[str] = "Replicate"
    thing: ClassVar[str] = "prediction"
    table: ClassVar[Models] = load("replicate")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(per_minute=3000, poll_seconds=2.0)
    home: ClassVar[str] = "https://api.replicate.com"

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:  # noqa: ARG002 (it keeps no tokens)
        shown = self._shown(request.image) if request.image else None
        asked: dict[str, Any] = {"input": input_for(self.table.find(self.model), request, shown)}
        if self._callback_url and self._own.webhook_secret:  # one that cannot be checked is not asked for
            asked |= {"webhook": self._callback_url, "webhook_events_filter": ["completed"]}
        told = self._send(f"{self.endpoint}/v1/models/{self.model}/predictions", json_body=asked)
        return Submitted(str(told["id"]))

    def fetch(self, answer: Answer, out: Path) -> None:
        """Download the film, with the key where the link is the vendor's own."""
        prediction = answer.raw if isinstance(answer.raw, dict) else {}
        url = _link(prediction.get("output"))
        if url is None and prediction.get("data_removed"):
            raise Permanent(
                "Replicate deleted the film, as it does an hour after it is made.", code="result_gone"
            )
        if url is None:
            raise Retryable("Replicate says it is made and names no file.", code="no_result")
        ours = is_at(url, self.endpoint, *_FILES)
        download(self._http, url, out, headers=self._headers if ours else None)

    def cancel(self, handle: Handle) -> bool:
        """Stop it; only what had not begun is certain to cost nothing."""
        prediction = object_in(self._stop(f"{self._address(handle)}/cancel", "POST"))
        return prediction.get("status") in _STOPPED and not prediction.get("started_at")

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        secret = self._own.webhook_secret
        if secret is None:
            raise Misconfigured("Set REPLICATE_WEBHOOK_SECRET to read Replicate's callbacks.")
        event_id = verify_standard(secret.get_secret_value(), headers, body, now)
        prediction = object_in(HttpAnswer(200, {}, body, self.endpoint))
        if not prediction.get("id"):
            return Callback(event_id)
        return Callback(event_id, (_answer(str(prediction["id"]), prediction),))

    # -- inside --------------------------------------------------------------------------------------

    def _shown(self, picture: Path) -> str:
        """The picture as the request names it: inside it, or as a file that was sent before."""
        mime = mime_of(picture)
        if data_uri_length(picture) <= _INSIDE:
            return data_uri(picture)
        answer = self._http.post(
            f"{self.endpoint}/v1/files",
            files={"content": (f"picture.{mime.partition('/')[2]}", picture.read_bytes(), mime)},
            headers=self._headers,
            safe=True,
            expect=STATUSES,
        )
        if answer.status >= 400:
            raise self._refused(answer, write=False)
        urls = object_in(answer).get("urls")
        if not isinstance(urls, dict) or not urls.get("get"):
            raise Retryable(f"Replicate's answer names no file: {answer.excerpt()}", code="bad_answer")
        return str(urls["get"])

    def _address(self, handle: Handle) -> str:
        return f"{self.endpoint}/v1/predictions/{handle.vendor_id}"

    def _read(self, handle: Handle, told: dict[str, Any]) -> Answer:
        return _answer(handle.vendor_id, told)

    def _refused(self, answer: HttpAnswer, *, write: bool) -> PipelineError:
        said = words_in(object_in(answer), "title", "detail")
        if answer.status in (400, 422) and _POLICY.search(said):
            return Moderated(f"Replicate refused it: {redact(said)[:300]}", code="moderated", field="prompt")
        return refusal("Replicate", answer, write=write, said=said)


def _answer(vendor_id: str, prediction: Mapping[str, Any]) -> Answer:
    status = str(prediction.get("status"))
    state = _STATES.get(status, AnswerState.RUNNING)
    # The input may hold a whole picture, and neither it nor the logs say what became of it.
    raw = {name: value for name, value in prediction.items() if name not in ("input", "logs")}
    if state is not AnswerState.FAILED:
        return Answer(vendor_id, state, raw=raw)
    said = redact(str(prediction.get("error") or ""))[:500]
    code = "cancelled" if status in _STOPPED else "moderated" if _POLICY.search(said) else "vendor_failed"
    return Answer(
        vendor_id, state, error=said or f"Replicate says {status}, and not why.", raw=raw, code=code
    )


def _link(output: Any) -> str | None:
    """The film among what a model made: a link, the first of a list, or a link by a name."""
    if isinstance(output, list):
        return next((link for one in output if (link := _link(one))), None)
    if isinstance(output, dict):
        return _link(output.get("video") or output.get("url") or list(output.values()))
    return output if isinstance(output, str) and output.startswith(("https://", "http://")) else None


ADAPTER = Replicate
