"""What simulated vendors share that answer in the call itself: a billed call is booked as an ended task."""

from __future__ import annotations

import time
from typing import Any

from flask import request

from simulator.books import Task
from simulator.dialect import Dialect, Submit


class Answering(Dialect):
    """A vendor without tasks, polls and callbacks."""

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        raise TypeError(f"{self.slug} calls nobody back about {task.vendor_id}.")

    def book(self, submit: Submit, *, model: str, prompt: str, price: int = 0, **facts: Any) -> None:
        """Charge a call that is about to be answered."""
        self.books.add(
            self.slug,
            model=model,
            prompt=prompt,
            width=0,
            height=0,
            seconds=0,
            price=price,
            done=time.time(),
            fails=False,
            faults=submit.faults,
            facts=facts,
        )


def bearer_is_wrong() -> bool:
    """Whether a call carries no bearer token, or the one that is never taken."""
    said = request.headers.get("Authorization", "")
    return not said.startswith("Bearer ") or said == "Bearer wrong"
