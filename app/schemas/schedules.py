"""Schedules: a job to be submitted again and again, and when."""

from __future__ import annotations

from marshmallow import fields, validate

from app.schemas.base import In, Out, page_of, words
from app.schemas.jobs import JobIn
from core.cron import MOST_CHARACTERS
from core.licence_briefs import StrictBoolean
from db.schedules import CatchUp, RunOutcome

_CRON = {"description": "Minute, hour, day of the month, month, day of the week.", "example": "30 6 * * 1-5"}
_ZONE = {"description": "An IANA time zone; the cron expression goes by its clocks.", "example": "UTC"}
_CATCH_UP = {"description": "Times missed by more than a minute: `skip` them, or one late job for all."}
_JOB = {"description": "What POST /jobs takes; judged now, and again each time."}


class SchedulePatchIn(In):
    name = words(300)
    cron = words(MOST_CHARACTERS, metadata=_CRON)
    time_zone = words(64, metadata=_ZONE)
    catch_up = fields.Enum(CatchUp, by_value=True, metadata=_CATCH_UP)
    job = fields.Nested(JobIn, metadata=_JOB)


class ScheduleIn(In):
    name = words(300, required=True)
    cron = words(MOST_CHARACTERS, required=True, metadata=_CRON)
    time_zone = words(64, load_default="UTC", metadata=_ZONE)
    catch_up = fields.Enum(CatchUp, by_value=True, load_default=CatchUp.SKIP, metadata=_CATCH_UP)
    paused = StrictBoolean(load_default=False)
    job = fields.Nested(JobIn, required=True, metadata=_JOB)


class TemplateOut(Out):
    """The job as each run submits it, every default filled in."""

    kind = fields.String(required=True, attribute="kind.value")
    params = fields.Dict(keys=fields.String(), required=True)
    gates = fields.List(fields.String(), required=True)
    stop_after = fields.String(required=True, allow_none=True)
    budget = fields.Dict(keys=fields.String(), required=True, allow_none=True)
    priority = fields.Integer(required=True)
    display_name = fields.String(required=True, allow_none=True)
    timeout_minutes = fields.Float(required=True, allow_none=True)
    project_id = fields.UUID(required=True, allow_none=True)


class ScheduleItemOut(Out):
    id = fields.UUID(required=True)
    name = fields.String(required=True)
    cron = fields.String(required=True)
    time_zone = fields.String(required=True)
    catch_up = fields.Enum(CatchUp, by_value=True, required=True)
    paused = fields.Boolean(required=True)
    job = fields.Nested(TemplateOut, required=True)
    revision = fields.Integer(required=True)
    next_run_at = fields.DateTime(required=True, allow_none=True)
    last_run_at = fields.DateTime(required=True, allow_none=True)
    last_job_id = fields.UUID(required=True, allow_none=True)
    last_outcome = fields.Enum(RunOutcome, by_value=True, required=True, allow_none=True)
    last_error = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)


class ScheduleOut(ScheduleItemOut):
    next_times = fields.List(
        fields.DateTime(),
        required=True,
        validate=validate.Length(max=5),
        metadata={"description": "The next five times, also those that a pause would leave out."},
    )


class ScheduleRunOut(Out):
    id = fields.UUID(required=True)
    due_at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "Null: asked for out of turn."}
    )
    outcome = fields.Enum(RunOutcome, by_value=True, required=True)
    job_id = fields.UUID(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)


SchedulePage = page_of(ScheduleItemOut, "SchedulePage")
ScheduleRunPage = page_of(ScheduleRunOut, "ScheduleRunPage")
