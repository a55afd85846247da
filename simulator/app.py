"""The simulated vendors as one application: each below its own name, and their common books.

`GET /_bill` is what they charged and how often each door was used, `POST /_faults` orders trouble.
Language models on the wire: Ollama's `/api/chat` and the OpenAI dialect's `/v1/chat/completions`.

Read from the vendors' public API references in 2026-11. Any key is taken. A model named `fault-<what>`
answers with that fault; every other model writes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request

from core.registry import Registry
from simulator.books import Books
from simulator.dialect import FAULTS as TASK_FAULTS
from simulator.dialect import Postman, Temper
from simulator.writing import write_answer

MODELS = ("simulated",)
DIALECTS = Registry("simulator", "DIALECT", field="vendor")
FAULTS = ("throttled", "down", "missing", "refused", "truncated", "garbage")


def create_app(folder: Path | None = None, temper: Temper | None = None) -> Flask:
    """`folder` keeps the books, and the films that are delivered; unset, they end with the machine."""
    app = Flask("simulator")
    home = folder or Path(tempfile.mkdtemp(prefix="callsheet-simulator-"))
    books, temper, postman = Books(home / "books.sqlite"), temper or Temper(), Postman()
    for slug, dialect in DIALECTS.all().items():
        doors = Blueprint(slug, __name__, url_prefix=f"/{slug}")
        dialect(books, home / "films", temper, postman).routes(doors)
        app.register_blueprint(doors)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.get("/_bill", endpoint="bill")(lambda: _bill(books))
    app.post("/_faults", endpoint="order")(lambda: _order(books))

    @app.get("/")
    def about() -> Response:
        return jsonify(
            {
                "models": list(MODELS),
                "faults": [f"fault-{name}" for name in FAULTS],
                "vendors": list(DIALECTS.slugs()),
                "task_faults": [f"fault-{name}" for name in TASK_FAULTS],
            }
        )

    @app.get("/api/version")
    def version() -> Response:
        return jsonify({"version": "simulated"})

    @app.get("/api/tags")
    def tags() -> Response:
        return jsonify({"models": [{"name": name, "model": name} for name in MODELS]})

    @app.get("/v1/models")
    def models() -> Response:
        return jsonify({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    app.post("/api/chat")(_ollama)
    app.post("/v1/chat/completions")(_chat)
    return app


def _bill(books: Books) -> Response:
    """What was charged, task by task, of one vendor (`?vendor=kling`) or of all."""
    tasks = books.find(request.args.get("vendor"))
    lines = [
        {
            "vendor": task.vendor,
            "vendor_id": task.vendor_id,
            "external_id": task.external_id,
            "model": task.model,
            "prompt": task.prompt,
            "status": ("failed" if task.fails else "succeeded") if task.ended else "open",
            "charged": task.charged,
            "currency": DIALECTS.get(task.vendor).currency,
        }
        for task in tasks
    ]
    total = sum(line["charged"] for line in lines if line["currency"] == "USD")
    return jsonify({"total": total, "currency": "USD", "tasks": lines, "calls": books.counts()})


def _order(books: Books) -> tuple[Response, int]:
    body = request.get_json(silent=True)
    body = body if isinstance(body, dict) else {}
    wanted = body.get("submit")
    if not isinstance(wanted, list) or not set(wanted) <= set(TASK_FAULTS):
        return jsonify({"error": f"submit is a list of: {', '.join(TASK_FAULTS)}"}), 400
    books.order(wanted, body.get("vendor"))
    return jsonify({"ordered": wanted}), 200


def _ollama() -> tuple[Response, int]:
    body, fault, prompt = _asked()
    if fault in _STATUS:
        return jsonify({"error": f"simulated: {fault}"}), _STATUS[fault]
    answer = "…" if fault == "garbage" else write_answer(prompt)
    reason = "length" if fault == "truncated" else "stop"
    said = answer[: len(answer) // 2] if fault == "truncated" else answer
    return jsonify(
        {
            "model": body.get("model"),
            "message": {"role": "assistant", "content": said},
            "done": True,
            "done_reason": reason,
            "prompt_eval_count": len(prompt.split()),
            "eval_count": len(answer.split()),
        }
    ), 200


def _chat() -> tuple[Response, int]:
    body, fault, prompt = _asked()
    if fault in _STATUS:
        return jsonify({"error": {"message": f"simulated: {fault}", "code": fault}}), _STATUS[fault]
    answer = "…" if fault == "garbage" else write_answer(prompt)
    message: dict[str, Any] = {"role": "assistant", "content": answer, "refusal": None}
    reason = "stop"
    if fault == "refused":
        message |= {"content": None, "refusal": "simulated: I can't help with that."}
    if fault == "truncated":
        reason, message["content"] = "length", answer[: len(answer) // 2]
    used = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(answer.split())}
    return jsonify(
        {
            "id": "chatcmpl-simulated",
            "object": "chat.completion",
            "model": body.get("model"),
            "choices": [{"index": 0, "finish_reason": reason, "message": message}],
            "usage": used | {"total_tokens": sum(used.values())},
        }
    ), 200


_STATUS = {"throttled": 429, "down": 503, "missing": 404}


def _asked() -> tuple[dict[str, Any], str, str]:
    """The request's body, the fault its model names, and the user's first message."""
    body: dict[str, Any] = request.get_json(force=True)
    messages = body.get("messages") or []
    prompt = next((m["content"] for m in messages if m.get("role") == "user"), "")
    model = str(body.get("model", ""))
    return body, model.removeprefix("fault-") if model.startswith("fault-") else "", str(prompt)
