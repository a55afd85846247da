"""Make takes with Gemini Omni, by the Interactions API: what the Gemini API has in Veo's place.

Vendor: https://ai.google.dev/gemini-api/docs/omni (webhooks, background execution, interactions),
google-genai's source; read 2026-11. Details were verified for 1.1 alone; that 1.2 is asked the same way,
and what it costs, is UNVERIFIED.
Auth: header `x-goog-api-key`, and nothing else besides: two credentials are refused.
Call: POST /v1beta/interactions with `background`, then GET it. No idempotency key and no listing: a submit
whose answer is lost stays unknown, and may have been charged. The vendor's pages never show `background`
with this model (UNVERIFIED): `wire = { background = false }` in the toml asks the way they do, and waits
for the film.
Pictures: one is the first frame, inside the request as base64. How large it may be is not told; 10 MB is
ours.
Result: a file of the Files API, for 48 hours (for this address UNVERIFIED), or the film itself inside the
answer, whatever was asked for; such a film is asked for again rather than kept with the submission.
Callbacks: `webhook_config.uris` in the request, signed with a published key; or registered for the project
and signed with GEMINI_OMNI_WEBHOOK_SECRET. Both only say what to ask about (`gemini_events`).
Limits: films of 3 to 10 s (1.2: 15 s), always with sound. No limit of prompts is told; 8000 characters is
ours.
Billing: by tokens of film, listed per second; an answer counts tokens and names no cost, so the list price
is what was paid. What a cancelled one costs is not told.
Quirks: `duration` is text such as "8s". A refusal on grounds of safety is `completed` with words and no
film. Asking about a running one may be answered 400 "Multiple authentication credentials": it is asked
again. An id nobody knows is 400, and 404 once it was deleted. Prompts tend to be cut into several shots
unless told otherwise.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from core.answers import Answer as HttpAnswer
from core.errors import Permanent, Retryable, Unconfirmed
from core.redact import redact
from providers.asking import STATUSES, TakeVendor, mime_of, words_for
from providers.base import (
    Answer,
    AnswerState,
    Callback,
    Context,
    Handle,
    Limits,
    Submitted,
    VideoRequest,
)
from providers.gemini_events import parse_event
from providers.google import by_policy, error_in, fetch_file, object_from, save, without_bytes
from providers.models import Models, load

_STATES = {
    "queued": AnswerState.RUNNING,
    "in_progress": AnswerState.RUNNING,
    "completed": AnswerState.SUCCEEDED,  # if there is a film in it, or one was charged
    "failed": AnswerState.FAILED,
    "incomplete": AnswerState.FAILED,
    "budget_exceeded": AnswerState.FAILED,
    "requires_action": AnswerState.FAILED,
    "cancelled": AnswerState.FAILED,
}
_BLOCKING_SECONDS = 900.0


class GeminiOmni(TakeVendor):
    slug: ClassVar[str] = "gemini_omni"
    table: ClassVar[Models] = load("gemini_omni")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(poll_seconds=5.0)
    home: ClassVar[str] = "https://generativelanguage.googleapis.com"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        key = self._own.api_key
        self._headers = {"x-goog-api-key": key.get_secret_value()} if key else {}

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:  # noqa: ARG002 (it keeps no tokens)
        body = self._body(request)
        answer = self._http.post(
            f"{self.endpoint}/v1beta/interactions",
            json_body=body,
            headers=self._headers,
            expect=STATUSES,
            read_timeout=None if body["background"] else _BLOCKING_SECONDS,
        )
        interaction = object_from(self.slug, answer, write=True)
        if not isinstance(interaction.get("id"), str) or not interaction["id"]:
            raise Unconfirmed(f"{self.slug}'s answer names no interaction: {answer.excerpt()}")
        return Submitted(interaction["id"])

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        return [self._read(handle.vendor_id, self._interaction(handle.vendor_id)) for handle in handles]

    def fetch(self, answer: Answer, out: Path) -> None:
        """Copy the film from where it is kept, or out of a fresh answer."""
        film = _film(answer.raw)
        if film.get("uri"):
            fetch_file(self._http, self.slug, self.endpoint, str(film["uri"]), self._headers, out)
        elif "data" in film:
            fresh = object_from(self.slug, self._interaction(answer.vendor_id))
            save(_film(fresh).get("data"), out)
        else:
            raise Permanent(
                f"{answer.vendor_id} was charged and has no film that we can see: look for it at the vendor.",
                code="no_result",
            )

    def cancel(self, handle: Handle) -> bool:
        """Ask to stop; what was made until then may be charged, and the next poll tells whether it did."""
        answer = self._http.post(
            f"{self._address(handle.vendor_id)}/cancel", headers=self._headers, safe=True, expect=STATUSES
        )
        if answer.status >= 400 and answer.status not in (400, 404):  # ended, or gone
            object_from(self.slug, answer)
        return False

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        return parse_event(
            self._http, self.endpoint, self._own.webhook_secret, self._callback_url, headers, body, now
        )

    # -- inside --------------------------------------------------------------------------------------

    def _body(self, request: VideoRequest) -> dict[str, Any]:
        model = self.table.find(self.model)
        words, task = f"{words_for(request).rstrip('.')}. One continuous shot.", "text_to_video"
        asked: Any = words
        if request.image is not None:
            shown = base64.b64encode(request.image.read_bytes()).decode()
            picture = {"type": "image", "data": shown, "mime_type": mime_of(request.image)}
            asked = [{"type": "user_input", "content": [{"type": "text", "text": words}, picture]}]
            task = "image_to_video"
        return {
            "model": model.id,
            "input": asked,
            "background": bool(model.wire.get("background", True)),
            "response_format": {
                "type": "video",
                "delivery": "uri",
                "aspect_ratio": model.ratio_for(request.width, request.height),
                "resolution": model.resolution_for(request.width, request.height),
                "duration": f"{model.seconds_for(request.frames / request.fps)}s",
            },
            "generation_config": {"video_config": {"task": task}},
            **({"webhook_config": {"uris": [self._callback_url]}} if self._callback_url else {}),
        }

    def _address(self, vendor_id: str) -> str:
        return f"{self.endpoint}/v1beta/interactions/{quote(vendor_id, safe='')}"

    def _interaction(self, vendor_id: str) -> HttpAnswer:
        return self._http.get(self._address(vendor_id), headers=self._headers, expect=STATUSES)

    def _read(self, vendor_id: str, answer: HttpAnswer) -> Answer:
        said = str(error_in(answer).get("message") or "")
        if answer.status == 400 and "Multiple authentication credentials" in said:
            raise Retryable(f"{self.slug} could not be asked: {said[:200]}", code="confused")
        if (answer.status == 400 and "Invalid interaction name" in said) or (answer.status == 404 and said):
            return Answer(vendor_id, AnswerState.FAILED, error="The vendor does not know this film any more.")
        return read(vendor_id, object_from(self.slug, answer))


def read(vendor_id: str, interaction: dict[str, Any]) -> Answer:
    """What an interaction says."""
    raw, status = without_bytes(interaction), str(interaction.get("status"))
    state = _STATES.get(status, AnswerState.RUNNING)
    # Tokens of film without a film were charged, so it succeeded as far as money goes; `fetch` says the rest.
    made = bool(_film(interaction)) or _film_tokens(interaction)
    if state is AnswerState.RUNNING or (state is AnswerState.SUCCEEDED and made):
        return Answer(vendor_id, state, raw=raw)
    said = " ".join(_words(interaction))
    code = "cancelled" if status == "cancelled" else "vendor_failed"
    if status == "completed" or by_policy(said):
        code = "moderated"
    error = redact(said)[:500] or f"It ended as {status}, without a film and without a reason."
    return Answer(vendor_id, AnswerState.FAILED, error=error, raw=raw, code=code)


def _parts(interaction: Any) -> list[dict[str, Any]]:
    """What the model put out, in order."""
    steps = interaction.get("steps") if isinstance(interaction, dict) else None
    made = [
        step.get("content")
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and step.get("type") == "model_output"
    ]
    return [part for parts in made if isinstance(parts, list) for part in parts if isinstance(part, dict)]


def _film(interaction: Any) -> dict[str, Any]:
    films = [part for part in _parts(interaction) if part.get("type") == "video"]
    return films[-1] if films and (films[-1].get("uri") or films[-1].get("data")) else {}


def _words(interaction: dict[str, Any]) -> list[str]:
    """Why there is no film: the vendor's errors, else what the model says."""
    errors = interaction.get("errors")
    told = [
        ": ".join(str(error[name]) for name in ("code", "message") if error.get(name))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    ]
    return told or [str(part["text"]) for part in _parts(interaction) if part.get("text")]


def _film_tokens(interaction: dict[str, Any]) -> bool:
    usage = interaction.get("usage")
    counts = usage.get("output_tokens_by_modality") if isinstance(usage, dict) else None
    return any(
        isinstance(count, dict) and count.get("modality") == "video" and count.get("tokens")
        for count in (counts if isinstance(counts, list) else [])
    )


ADAPTER = GeminiOmni
