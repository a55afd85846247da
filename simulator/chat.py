"""What simulated language models share: names, faults by the model's name, and what they were asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from flask import Response, request

from simulator.answering import Answering
from simulator.dialect import Submit
from simulator.writing import write_answer

MODELS = ("simulated",)
FAULTS = ("throttled", "down", "missing", "refused", "truncated", "garbage")
"""A model named `fault-<what>` answers with that; every other model writes."""
STATUS = {"throttled": 429, "down": 503, "missing": 404}


class Chat(Answering):
    """A vendor of words: each answer is booked, at what its tokens cost."""

    prices: ClassVar[tuple[int, int]] = (0, 0)
    """Micro-USD a token read and written."""

    def error(self, status: int, message: str, **more: str | None) -> Response:
        """A refusal in the dialect's own envelope."""
        raise NotImplementedError

    def refusal(self, fault: str) -> Response:
        return self.error(429 if fault.startswith("throttled") else 503, f"simulated: {fault}")

    def asked(self) -> tuple[dict[str, Any], str, str, Submit]:
        """The request's body, the fault its model names, the user's first message, and the submit it is."""
        body: dict[str, Any] = request.get_json(force=True)
        messages = body.get("messages") or []
        prompt = str(next((m["content"] for m in messages if m.get("role") == "user"), ""))
        model = str(body.get("model", ""))
        fault = model.removeprefix("fault-") if model.startswith("fault-") else ""
        return body, fault, prompt, self.submitting(model)

    def say(self, submit: Submit, body: dict[str, Any], fault: str, prompt: str) -> str:
        """Book the call and write its answer, cut off or beside the point where a fault says so."""
        answer = "…" if fault == "garbage" else write_answer(prompt)
        said = answer[: len(answer) // 2] if fault == "truncated" else answer
        price = sum(count * rate for count, rate in zip(self.tokens(prompt, said), self.prices, strict=True))
        self.book(submit, model=str(body.get("model")), prompt=prompt, price=price)
        return said

    @staticmethod
    def tokens(prompt: str, said: str) -> tuple[int, int]:
        """Tokens read and written, as these models count them."""
        return len(prompt.split()), len(said.split())


def in_chunks(text: str, size: int = 40) -> Iterator[str]:
    yield from (text[start : start + size] for start in range(0, len(text), size))
