"""Ranked candidates tried in turn: a file that is gone, or not what it says, costs a film only a note."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog

from core.errors import PipelineError, Retryable
from db.session import transaction
from scrapers.base import Candidate
from services.candidates import Failed, mark_kept
from tasks.step import Run

log = structlog.get_logger()

T = TypeVar("T")
MOST_TRIES, TRY_SECONDS = 5, 240.0
"""Candidates that one attempt tries, and how long it goes on beginning with another."""


@dataclass(frozen=True)
class Tried(Generic[T]):
    """What the first usable candidate gave, and those before it that could not be had."""

    got: T
    found: Candidate
    failed: tuple[Failed, ...] = ()

    @property
    def item(self) -> str:
        return f"{self.found.source}:{self.found.foreign_id}"


def first_of(
    run: Run, shot_id: UUID | None, tries: Sequence[Candidate], fetch: Callable[[int, Candidate], T]
) -> Tried[T]:
    """Fetch the first of the candidates that can be had.

    Raises a failure when none can: one that may pass, if there was one. Else all of them are marked, and
    whoever tries again goes on with the next ones.
    """
    ends = time.monotonic() + TRY_SECONDS
    failed: list[Failed] = []
    errors: list[PipelineError] = []
    for number, one in enumerate(tries[:MOST_TRIES]):
        if errors and (run.stopped() or time.monotonic() > ends):
            break
        try:
            return Tried(fetch(number, one), one, tuple(failed))
        except PipelineError as error:
            log.warning("a candidate cannot be had", source=one.source, item=one.foreign_id, code=error.code)
            failed.append((one.source, one.foreign_id, error.message))
            errors.append(error)
    passing = next((error for error in errors if isinstance(error, Retryable)), None)
    if passing is None:
        with transaction() as session:
            mark_kept(session, run.film_id, shot_id, None, None, failed)
    raise passing or errors[0]


def tell(tried: Tried[Any]) -> dict[str, Any]:
    """What a step's result says of its candidates, for whoever takes it over."""
    return {"picture": tried.item, "failed": [list(one) for one in tried.failed]}
