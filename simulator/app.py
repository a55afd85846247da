"""The simulated vendors as one application: each below its own name, and their common books.

`GET /_bill` is what they charged and how often each door was used, `POST /_faults` orders trouble.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from flask import Blueprint, Flask, Response, jsonify, request

from core.registry import Registry
from simulator.books import Books
from simulator.chat import FAULTS, MODELS
from simulator.dialect import FAULTS as TASK_FAULTS
from simulator.dialect import Postman, Temper

DIALECTS = Registry("simulator", "DIALECT", field="vendor")


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
