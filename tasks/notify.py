"""People told of a job in Slack, Telegram and the like; a message that cannot be sent holds nothing up."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from core.errors import PipelineError, Retryable
from core.settings import Settings, get_settings
from db.assets import Film
from db.session import reading
from db.work import Job
from tasks import pipeline
from tasks.app import app
from tasks.wiring import open_notifier

log = structlog.get_logger()

TRIES = 6
LONGEST_WAIT = 300.0


@app.task(name="notify_people", soft_time_limit=60, time_limit=90)
def notify_people(notifier: str, job: str, news: str, tries: int = 0) -> None:
    """Send one message about a job, unless what it says is no longer so.

    Only what was certainly not sent is tried again: nobody wants the same message twice.
    """
    with reading() as session:
        row = session.get(Job, UUID(job))
        if row is None or pipeline.news_of(row) != news:
            return
        text = _words(session, row, news)
    try:
        open_notifier(notifier).notify(text, _link(get_settings(), row.id))
    except Retryable as error:
        wait = error.retry_after if error.retry_after is not None else 5.0 * 2**tries
        log.warning("a message was not taken", provider=notifier, job=job, code=error.code)
        if tries + 1 < TRIES:
            pipeline.tell(notifier, row.id, news, tries=tries + 1, countdown=min(wait, LONGEST_WAIT))
    except PipelineError as error:
        log.warning("people were not told", provider=notifier, job=job, code=error.code, error=error.message)


def _words(session: Session, job: Job, news: str) -> str:
    film = session.get(Film, job.film_id) if job.film_id else None
    what = f"The film “{film.name}”" if film is not None else f"A job ({job.kind.value})"
    if news == "succeeded":
        warned = f", with {len(job.warnings)} warnings" if job.warnings else ""
        return f"{what} is finished{warned}."
    if news == "failed":
        return f"{what} has failed. {job.error_message or job.error_code}"
    return f"{what} waits for {'a person' if news == 'reviewer' else 'money'}. {job.waits_reason}"


def _link(settings: Settings, job_id: UUID) -> str:
    base = settings.public_url or f"http://{settings.api_host}:{settings.api_port}"
    return f"{base.rstrip('/')}/api/v1/jobs/{job_id}"
