"""How sources answered what steps asked of them, written down for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from core.errors import PipelineError
from db.session import transaction
from services import sources
from services.sources import Asker
from tasks.step import Run

_NOT_ITS_OWN = frozenset({"source_off", "not_found", "disk", "disk_full"})
"""Codes of what is no failure of a source."""
_NOT_ASKED = frozenset({"calls_per_day"})


@contextmanager
def asking(run: Run, slug: str) -> Iterator[None]:
    """Surround what is asked of one source; how that ends is written down."""
    try:
        yield
    except PipelineError as error:
        note(run, failed={slug: error})
        raise
    note(run, answered=[slug])


def note(
    run: Run, *, answered: Iterable[str] = (), failed: Mapping[str, PipelineError] | None = None
) -> None:
    """Write down who answered and who failed; in one order always, so that steps cannot deadlock."""
    asker = Asker(run.held.workspace_id, run.job.id, f"{run.held.kind} {run.held.label}".strip())
    errors = {slug: error for slug, error in (failed or {}).items() if error.code not in _NOT_ITS_OWN}
    with transaction() as session:
        for slug in sorted({*answered, *errors}):
            if (error := errors.get(slug)) is None:
                sources.note_answer(session, asker, slug)
                continue
            sources.note_failure(
                session,
                asker,
                slug,
                code=error.code,
                message=error.message,
                counts=error.code not in _NOT_ASKED,
            )
