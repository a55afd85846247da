"""Write scripts with any server that speaks the chat-completions dialect.

Vendor: https://github.com/openai/openai-openapi (openapi.yaml) and openai-python's retry rules; read 2026-11.
Auth: `Authorization: Bearer <key>`; local servers take any key or none. Call: POST <base>/chat/completions.
Limits: the vendor's, told by 429 with `retry-after-ms` or `retry-after`. Billing: per token, at the prices
that the settings say; a repeat costs again, so a call whose outcome is unknown is not repeated here.
Quirks: servers know different `response_format`s, tried from strict to none on a 400 that names it;
newer models want `max_completion_tokens`, most servers know only `max_tokens`; errors come as
`{"error": {...}}`, `{"error": "text"}` or `{"detail": ...}`; no waiting helps 429 `insufficient_quota`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from core.answers import Answer, retry_after
from core.errors import Misconfigured, Moderated, Permanent, PipelineError, Retryable
from core.redact import redact
from core.settings import Settings
from providers.base import Context, Quote, ScriptDraft, ScriptRequest
from providers.prompts import SCRIPT_SCHEMA, Message, Reply, messages_for, write_script

_ANSWER_TOKENS = (4096, 12288)
_WISH_TOKENS = 500
"""At most, for saying what was wrong with an answer."""
_READ_TIMEOUT = 300.0
_STATUSES = (400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504, 529)
_RESPONSE_FORMATS: tuple[dict[str, Any] | None, ...] = (
    {
        "type": "json_schema",
        "json_schema": {"name": "script", "strict": True, "schema": SCRIPT_SCHEMA},
    },
    {"type": "json_object"},
    None,
)
_NEVER_BY_WAITING = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_REFUSED_CONTENT = {"content_filter", "content_policy_violation", "moderation_blocked"}


class OpenAICompatible:
    slug: ClassVar[str] = "openai_compatible"
    kind: ClassVar[Literal["script"]] = "script"

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._http = context.http
        self._disabled = self.enabled(settings)
        self._url = (settings.openai_compatible_url or "").rstrip("/")
        self.model = settings.openai_compatible_model or ""
        self._prices = (settings.openai_compatible_input_price, settings.openai_compatible_output_price)
        key = settings.openai_compatible_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        missing = [
            name
            for name, value in (
                ("OPENAI_COMPATIBLE_URL", settings.openai_compatible_url),
                ("OPENAI_COMPATIBLE_MODEL", settings.openai_compatible_model),
            )
            if not value
        ]
        return f"Set {' and '.join(missing)}." if missing else None

    def quote(self, request: ScriptRequest) -> Quote:
        """The most it can take: two answers, each begun again with more room; a token is a byte at least."""
        asked = sum(len(message["content"].encode()) for message in messages_for(request))
        written = 2 * sum(_ANSWER_TOKENS)
        read = 4 * asked + 2 * (_ANSWER_TOKENS[-1] + _WISH_TOKENS)
        cost = self._cost({"input": read, "output": written})
        if cost is None:
            why = "set OPENAI_COMPATIBLE_INPUT_PRICE and OPENAI_COMPATIBLE_OUTPUT_PRICE"
            return Quote(
                0, basis=f"{self.model}: what its server takes is not known here; {why}", known=False
            )
        basis = f"{self.model}: at most {read} tokens read and {written} written; what is used is paid"
        return Quote(cost, basis=basis)

    def write(self, request: ScriptRequest) -> ScriptDraft:
        if self._disabled:
            raise Misconfigured(self._disabled)
        # What this server turned out to understand, and took, kept for the length of one script.
        talk = _Dialect()
        try:
            draft = write_script(request, self.model, lambda messages: self._ask(messages, talk))
        except PipelineError as error:
            cost = self._cost(talk.used)
            error.cost = (self.quote(request).amount if cost is None else cost) if talk.answers else 0
            raise
        return replace(draft, cost=self._cost(talk.used))

    def _cost(self, used: dict[str, int] | None) -> int | None:
        """Micro-USD for so many tokens; None where prices or numbers are not known."""
        read, written = self._prices
        if read == written == 0:
            return 0
        if read is None or written is None or used is None:
            return None
        return -(-(used["input"] * read + used["output"] * written) // 1_000_000)

    def _ask(self, messages: list[Message], talk: _Dialect) -> Reply:
        usage: dict[str, int] = {}
        for limit in _ANSWER_TOKENS:
            body = self._post(messages, limit, talk)
            talk.count(counts := _usage(body))
            for name, count in counts.items():
                usage[name] = usage.get(name, 0) + count
            choice = _choice(body)
            said = choice.get("message")
            message: dict[str, Any] = said if isinstance(said, dict) else {}
            if message.get("refusal"):
                raise Moderated(f"{self.model} refused: {str(message['refusal'])[:300]}", field="brief")
            if choice.get("finish_reason") == "content_filter":
                raise Moderated(f"The vendor's filter stopped {self.model}'s answer.", field="brief")
            if choice.get("finish_reason") != "length":
                return Reply(_content(message), body, usage)
        raise Permanent(
            f"{self.model} did not finish its script within {_ANSWER_TOKENS[-1]} tokens. "
            "Ask for a shorter film or use another OPENAI_COMPATIBLE_MODEL.",
            code="truncated",
        )

    def _post(self, messages: list[Message], limit: int, talk: _Dialect) -> dict[str, Any]:
        """Post until the server understands the dialect; each 400 takes one way out, so it ends."""
        while True:
            answer = self._http.post(
                f"{self._url}/chat/completions",
                json_body=talk.body(self.model, messages, limit),
                headers=self._headers,
                expect=_STATUSES,
                read_timeout=_READ_TIMEOUT,
            )
            if 200 <= answer.status < 300:
                body = answer.json()
                if isinstance(body, dict) and body.get("error"):
                    raise Retryable(f"The server failed while writing: {_Error(answer).message}")
                if not isinstance(body, dict):
                    raise Permanent("The server answered with JSON that is no object.", code="bad_answer")
                return body
            error = _Error(answer)
            if not (answer.status in (400, 422) and talk.simplify(error)):
                raise error.as_ours(self.model)


class _Dialect:
    """How much of the dialect the server understands, and the tokens it has `used`; None: it did not say."""

    def __init__(self) -> None:
        self._format = 0
        self._limit_name = "max_tokens"
        self.used: dict[str, int] | None = {"input": 0, "output": 0}
        self.answers = 0

    def count(self, usage: dict[str, int]) -> None:
        """Add what an answer took; from one that does not say, nobody knows the sum."""
        self.answers += 1
        known = self.used is not None and usage.keys() == self.used.keys()
        self.used = {name: self.used[name] + usage[name] for name in usage} if known and self.used else None

    def body(self, model: str, messages: list[Message], limit: int) -> dict[str, Any]:
        response_format = _RESPONSE_FORMATS[self._format]
        return {
            "model": model,
            "messages": messages,
            self._limit_name: limit,
            **({"response_format": response_format} if response_format else {}),
        }

    def simplify(self, error: _Error) -> bool:
        """Take the next simpler form that the refusal points to; False when there is none."""
        said = f"{error.parameter} {error.message}".lower()
        if "max_completion_tokens" in said and self._limit_name == "max_tokens":
            self._limit_name = "max_completion_tokens"
            return True
        names_format = any(word in said for word in ("response_format", "json_schema", "json_object"))
        if names_format and self._format + 1 < len(_RESPONSE_FORMATS):
            self._format += 1
            return True
        return False


class _Error:
    """A refusal, whichever envelope it came in."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.message, self.code, self.parameter = answer.excerpt(300), "", ""
        try:
            body = answer.json()
        except Permanent:
            return
        inner = (body.get("error") or body.get("detail") or body) if isinstance(body, dict) else body
        if isinstance(inner, dict):
            self.message = redact(str(inner.get("message") or self.message))[:300]
            self.code = str(inner.get("code") or inner.get("type") or "")
            self.parameter = str(inner.get("param") or "")
        else:
            self.message = redact(str(inner))[:300]

    def as_ours(self, model: str) -> PipelineError:
        status = self._answer.status
        said = f"The chat server answered {status}: {self.message}"
        should_retry = self._answer.headers.get("x-should-retry", "").lower()
        if self.code in _REFUSED_CONTENT:
            return Moderated(said, field="brief")
        if self.code in _NEVER_BY_WAITING:
            return Misconfigured(f"{said} Check the account's plan and billing.", code=self.code)
        if status in (401, 402, 403):
            return Misconfigured(f"{said} Check OPENAI_COMPATIBLE_KEY.", code=f"http_{status}")
        if status == 404:
            return Misconfigured(
                f"{said} Check OPENAI_COMPATIBLE_MODEL ({model}) and OPENAI_COMPATIBLE_URL.",
                code="model_missing",
            )
        if should_retry == "true" or (
            (status in (408, 409, 429) or status >= 500) and should_retry != "false"
        ):
            return Retryable(said, retry_after=retry_after(self._answer), code=f"http_{status}")
        return Permanent(said, code=f"http_{status}")


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Retryable(f"The chat server's answer has no choice: {str(body)[:200]}", code="bad_answer")
    return choices[0]


def _content(message: dict[str, Any]) -> str:
    """Text of a message; some servers send it in parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(body: dict[str, Any]) -> dict[str, int]:
    said = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    assert isinstance(said, dict)
    names = {"input": "prompt_tokens", "output": "completion_tokens"}
    return {ours: said[theirs] for ours, theirs in names.items() if isinstance(said.get(theirs), int)}


ADAPTER = OpenAICompatible
