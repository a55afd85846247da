"""Beat's duty for schedules: what is due becomes a job, once, whoever looks and however often."""

from __future__ import annotations

import structlog
from marshmallow import ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from core.errors import PipelineError
from core.failpoints import reach
from db.schedules import Schedule, ScheduleRun
from db.session import after_commit, transaction
from services import schedules
from tasks import pipeline
from tasks.beat import duty

log = structlog.get_logger()

MOST_AT_ONCE = 200
"""One duty's share; what is left waits for the next, so that a pile holds no worker for long."""


@duty("run_due_schedules")
def run_due_schedules() -> None:
    """Submit a job for every schedule that is due, each in a transaction of its own."""
    for _ in range(MOST_AT_ONCE):
        if not _run_one():
            return


def _run_one() -> bool:
    """Take the schedule that has been due longest; False when none is left."""
    with transaction() as session:
        schedule = schedules.claim_due(session)
        if schedule is None:
            return False
        reach("schedule.claimed")
        run = schedules.open_run(session, schedule)
        if run is not None:
            _submit(session, schedule, run)
        reach("schedule.before_commit")
    reach("schedule.committed")
    return True


def _submit(session: Session, schedule: Schedule, run: ScheduleRun) -> None:
    """Make a run's job, or write down why there is none: one bad template must not hold up the others."""
    try:
        with session.begin_nested():
            job = schedules.submit_run(session, schedule, run, pipeline.check)
    except (OperationalError, InterfaceError):
        raise  # the database's trouble, not the template's: nothing is kept, and the next duty tries again
    except PipelineError as error:
        reason = f"{error.field}: {error.message}" if error.field else error.message
    except ValidationError as error:
        reason = f"params: {error.messages}"
    except Exception as error:
        log.exception("a schedule could not be run", schedule=str(schedule.id))
        reason = f"bug: {type(error).__name__}: {error}"
    else:
        after_commit(session, lambda: pipeline.advance(job.id))
        return
    log.warning("a schedule's job was refused", schedule=str(schedule.id), reason=reason)
    schedules.refuse_run(session, schedule, run, reason)
