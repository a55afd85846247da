"""All sources asked side by side: for a film's shots and for the job scrape, by the same code."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from core.errors import Permanent, PipelineError, Retryable
from db.session import transaction
from scrapers.base import Candidate, Query
from services import steps
from tasks.asked import note
from tasks.step import Run
from tasks.wiring import open_source

log = structlog.get_logger()

SECONDS = 20.0
"""How long a search waits for its slowest source."""
SOURCE_FAILED = "source_failed"


@dataclass
class Searched:
    """By source, in the order asked: one list for each query of a kind it has, and why it failed if it did.

    A source that failed may have answered some of the queries before.
    """

    found: dict[str, list[list[Candidate]]] = field(default_factory=dict)
    errors: dict[str, PipelineError] = field(default_factory=dict)


def search(
    run: Run, slugs: Sequence[str], queries: Sequence[Query], *, besides: Sequence[str] = ()
) -> Searched:
    """Search for a step; a source that fails is a warning of the job, unless none answers: then it raises.

    That is tried again, unless other steps ask other sources `besides`: the job goes on without this one.
    """
    with run.timing("search_seconds"):
        searched = search_sources(slugs, queries)
    answered = [slug for slug, lists in searched.found.items() if lists and slug not in searched.errors]
    note(run, answered=answered, failed=searched.errors)
    for slug, error in searched.errors.items():
        log.warning("a source did not answer", source=slug, code=error.code, error=error.message)
    if searched.errors and not any(searched.found.values()):
        errors = list(searched.errors.values())
        first = next((error for error in errors if isinstance(error, Retryable)), errors[0])
        if not besides:
            raise first
        _warn(run, searched.errors)
        raise Permanent(first.message, code=first.code)
    _warn(run, searched.errors)
    return searched


def search_sources(slugs: Sequence[str], queries: Sequence[Query], *, seconds: float = SECONDS) -> Searched:
    """Ask every source at once; whoever has not answered in time is left behind."""
    own: dict[str, Searched] = {slug: Searched({slug: []}) for slug in slugs}
    threads = {
        slug: threading.Thread(
            target=contextvars.copy_context().run,
            args=(_search_one, slug, queries, seconds, own[slug]),
            name=f"search-{slug}",
            daemon=True,
        )
        for slug in own
    }
    ends = time.monotonic() + seconds
    for thread in threads.values():
        thread.start()
    for slug, thread in threads.items():
        thread.join(max(0.0, ends - time.monotonic()))
        if thread.is_alive():
            late = Retryable(f"{slug} did not answer within {seconds:.0f} s.", code="too_slow")
            own[slug] = Searched({slug: list(own[slug].found[slug])}, {slug: late})
    together = Searched()
    for one in own.values():
        together.found |= one.found
        together.errors |= one.errors
    return together


def _search_one(slug: str, queries: Sequence[Query], seconds: float, into: Searched) -> None:
    try:
        source = open_source(slug, seconds=seconds)
        for query in queries:
            if query.kind in source.kinds:
                into.found[slug].append(source.search(query))
    except PipelineError as error:
        into.errors[slug] = error
    except Exception as error:  # a source that cannot read an answer is no reason to ask no other
        log.exception("a bug in a source", source=slug)
        into.errors[slug] = Permanent(f"{slug}: {type(error).__name__}: {error}", code="bug")


def _warn(run: Run, errors: dict[str, PipelineError]) -> None:
    """Note on the job which sources it does without, each once."""
    if not errors:
        return
    with transaction() as session:
        job = steps.lock_job(session, run.job.id)
        known = {warning["source"] for warning in job.warnings if warning.get("code") == SOURCE_FAILED}
        job.warnings = [
            *job.warnings,
            *(
                {
                    "code": SOURCE_FAILED,
                    "source": slug,
                    "message": f"Searched without {slug}: {error.message}",
                }
                for slug, error in errors.items()
                if slug not in known
            ),
        ]
