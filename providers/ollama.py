"""Write scripts with a model on an Ollama server of the operator.

Vendor: https://github.com/ollama/ollama (docs/api.md, docs/openapi.yaml); read 2026-11.
Auth: none for one's own server; OLLAMA_API_KEY goes out as a bearer token, for the hosted service, whose
cloud models know no structured output: there the words alone ask for JSON. Call: POST /api/chat with `stream:
false` and the JSON schema as `format`; safe to repeat. Limits: `OLLAMA_NUM_PARALLEL` (default 1) answers at a
time, 503 when 512 wait; the first call may take minutes while the model loads. Billing: none.
Quirks: `done_reason: length` means cut-off JSON; an `error` may come with status 200; a model that was never
pulled is 404; durations are nanoseconds.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from core.answers import raise_for
from core.errors import Misconfigured, Permanent, Retryable
from core.settings import Settings
from providers.base import Context, Quote, ScriptDraft, ScriptRequest
from providers.prompts import SCRIPT_SCHEMA, Message, Reply, write_script

# Two tries at room for the answer, in tokens: the second after a truncated one.
_ANSWER_TOKENS = (4096, 12288)
_PROMPT_TOKENS = 4096
_READ_TIMEOUT = 600.0
_SEED = 7


class Ollama:
    slug: ClassVar[str] = "ollama"
    kind: ClassVar[Literal["script"]] = "script"

    def __init__(self, context: Context) -> None:
        self._http = context.http
        self._url = (context.settings.ollama_url or "").rstrip("/")
        self.model = context.settings.ollama_model
        key = (context.own or context.settings.vendor(self.slug)).api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        return None if settings.ollama_url else "Set OLLAMA_URL to the address of an Ollama server."

    def quote(self, request: ScriptRequest) -> Quote:  # noqa: ARG002 - the same for every request
        return Quote(0, basis="free: the operator's own Ollama server")

    def write(self, request: ScriptRequest) -> ScriptDraft:
        reason = None if self._url else "Set OLLAMA_URL to the address of an Ollama server."
        if reason:
            raise Misconfigured(reason)
        return write_script(request, self.model, self._ask)

    def _ask(self, messages: list[Message]) -> Reply:
        for limit in _ANSWER_TOKENS:
            body = self._post(messages, limit)
            if body.get("done_reason") != "length":
                message = body.get("message")
                content = message.get("content") if isinstance(message, dict) else None
                if not isinstance(content, str):
                    raise Retryable(f"Ollama's answer has no message: {str(body)[:200]}", code="bad_answer")
                return Reply(content, body, _usage(body))
        raise Permanent(
            f"{self.model} did not finish its script within {_ANSWER_TOKENS[-1]} tokens. "
            "Ask for a shorter film or use another OLLAMA_MODEL.",
            code="truncated",
        )

    def _post(self, messages: list[Message], limit: int) -> dict[str, Any]:
        answer = self._http.post(
            f"{self._url}/api/chat",
            json_body={
                "model": self.model,
                "messages": messages,
                "stream": False,
                "format": SCRIPT_SCHEMA,
                "options": {
                    "temperature": 0.4,
                    "seed": _SEED,
                    "num_ctx": _PROMPT_TOKENS + limit,
                    "num_predict": limit,
                },
            },
            headers=self._headers,
            safe=True,
            expect=(404,),
            read_timeout=_READ_TIMEOUT,
        )
        if answer.status == 404:
            raise Misconfigured(
                f"Ollama has no model {self.model!r}: run `ollama pull {self.model}` there or change "
                f"OLLAMA_MODEL. It said: {answer.excerpt()}",
                code="model_missing",
            )
        raise_for(answer, (), write=False)
        body = answer.json()
        if not isinstance(body, dict):
            raise Permanent("Ollama answered with JSON that is no object.", code="bad_answer")
        if body.get("error"):
            raise Retryable(f"Ollama failed while writing: {str(body['error'])[:200]}")
        return body


def _usage(body: dict[str, Any]) -> dict[str, int]:
    names = {"input": "prompt_eval_count", "output": "eval_count"}
    return {ours: body[theirs] for ours, theirs in names.items() if isinstance(body.get(theirs), int)}


ADAPTER = Ollama
