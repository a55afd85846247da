"""Jobs: what is asked (one schema per kind) and what is shown."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate

from app.paging import PageArgs
from app.schemas.base import In, Out, currency, micros, page_of, shared, words
from app.schemas.submissions import SubmissionOut
from core.briefs import FILM_PHASES, GATES, PARAMS, dump_params
from db.work import JobKind, JobState
from services.plans import PlanState


class BudgetIn(In):
    """The most this job may spend."""

    amount = micros(required=True, metadata={"description": "Micro-units of the currency."})
    currency = currency(load_default="USD")


class JobFields(In):
    project_id = fields.UUID(load_default=None, allow_none=True)
    budget = fields.Nested(BudgetIn, load_default=None, allow_none=True)
    priority = fields.Integer(strict=True, load_default=0, validate=validate.Range(min=-100, max=100))
    display_name = words(
        300,
        load_default=None,
        allow_none=True,
        metadata={"description": "What people call it; null: after its file, its title or its words."},
    )
    timeout_minutes = fields.Float(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, min_inclusive=False, max=30 * 24 * 60),
        metadata={
            "description": "It fails with `timed_out` when it has not ended by then, waiting included; "
            "null: this installation's limit, for films none."
        },
    )


class FilmJobIn(JobFields):
    """A film, from words to master."""

    kind = fields.String(required=True, validate=validate.Equal("film"))
    params = fields.Nested(PARAMS["film"], required=True)
    gates = fields.List(
        fields.String(validate=validate.OneOf(GATES)),
        load_default=list,
        validate=validate.Length(max=len(GATES)),
        metadata={"description": "Where the job waits for a person."},
    )
    stop_after = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(FILM_PHASES),
        metadata={"description": "End after this phase; `resume` goes on."},
    )


class TextRemovalJobIn(JobFields):
    """Remove burnt-in text from a clip."""

    kind = fields.String(required=True, validate=validate.Equal("text_removal"))
    params = fields.Nested(PARAMS["text_removal"], required=True)


class ScrapeJobIn(JobFields):
    """Fetch stock as assets."""

    kind = fields.String(required=True, validate=validate.Equal("scrape"))
    params = fields.Nested(PARAMS["scrape"], required=True)


class ByKind(In):
    """Loads by the variant that `kind` names; documented as a union told apart by `kind`."""

    variants: dict[str, type[In]]

    def load(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            raise ValidationError({"body": ["Send a JSON object."]})
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in self.variants:
            raise ValidationError({"kind": [f"Must be one of: {', '.join(self.variants)}."]})
        loaded: dict[str, Any] = shared(self.variants[kind]).load(data)
        loaded["params"] = dump_params(kind, loaded["params"])
        return loaded


class JobIn(ByKind):
    variants = {  # noqa: RUF012 - a constant of the class
        "film": FilmJobIn,
        "text_removal": TextRemovalJobIn,
        "scrape": ScrapeJobIn,
    }


class JobListArgs(PageArgs):
    state = fields.String(load_default=None, validate=validate.OneOf([s.value for s in JobState]))
    kind = fields.String(load_default=None, validate=validate.OneOf([k.value for k in JobKind]))
    project_id = fields.UUID(load_default=None)
    created_after = fields.AwareDateTime(load_default=None)
    created_before = fields.AwareDateTime(load_default=None)


class WaitArgs(In):
    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(min=0, max=60),
        metadata={"description": "Answer when the job changes, after this many seconds at the latest."},
    )


class DownloadArgs(In):
    file = words(
        300,
        load_default=None,
        metadata={"description": "One of the names in `downloads`; unsaid: the film or the clean clip."},
    )


class AfterArgs(In):
    after_id = fields.Integer(load_default=None, validate=validate.Range(min=0, max=2**53))


class EventArgs(AfterArgs):
    limit = fields.Integer(load_default=200, validate=validate.Range(min=1, max=1000))


class AmountsOut(Out):
    captured = fields.Integer(required=True, metadata={"description": "Spent, less what was refunded."})
    held = fields.Integer(required=True)
    quoted = fields.Integer(
        required=True, metadata={"description": "The price of all that was asked for so far."}
    )
    currency = fields.String(required=True)


class CostOut(AmountsOut):
    others = fields.List(
        fields.Nested(AmountsOut), required=True, metadata={"description": "The same in further currencies."}
    )


class FaultOut(Out):
    code = fields.String(required=True)
    message = fields.String(required=True)


class AttemptOut(Out):
    """One try of a step."""

    number = fields.Integer(required=True)
    outcome = fields.String(
        required=True, allow_none=True, metadata={"description": "Null while it is worked on."}
    )
    worker = fields.String(required=True, allow_none=True)
    started_at = fields.DateTime(required=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    error = fields.Nested(FaultOut, required=True, allow_none=True)
    task_id = fields.String(required=True, allow_none=True)
    flower_url = fields.String(required=True, allow_none=True)


class StepOut(Out):
    id = fields.UUID(required=True)
    phase = fields.String(required=True)
    kind = fields.String(required=True)
    label = fields.String(required=True)
    variant = fields.String(required=True)
    subject_id = fields.UUID(required=True, allow_none=True)
    state = fields.String(required=True)
    attempt = fields.Integer(required=True)
    progress = fields.Float(required=True)
    seconds = fields.Float(required=True, allow_none=True)
    error = fields.Nested(FaultOut, required=True, allow_none=True)
    reused = fields.Boolean(required=True)
    task_id = fields.String(required=True, allow_none=True)
    flower_url = fields.String(required=True, allow_none=True)
    attempts = fields.List(fields.Nested(AttemptOut), required=True)


class PendingOut(Out):
    id = fields.UUID(required=True)
    gate = fields.String(required=True, allow_none=True)
    title = fields.String(required=True)
    respond_url = fields.String(required=True)


class JobItemOut(Out):
    """A job as lists show it."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    display_name = fields.String(required=True)
    state = fields.String(required=True)
    phase = fields.String(required=True, allow_none=True)
    waits_for = fields.String(required=True, allow_none=True)
    waits_reason = fields.String(required=True, allow_none=True)
    progress = fields.Float(required=True)
    eta_seconds = fields.Float(required=True, allow_none=True)
    gates = fields.List(fields.String(), required=True)
    stop_after = fields.String(required=True, allow_none=True)
    priority = fields.Integer(required=True)
    cost = fields.Nested(CostOut, required=True)
    estimated_credits = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "`cost.quoted`; null until a vendor that may be asked has been priced."},
    )
    actual_credits_used = fields.Integer(required=True, metadata={"description": "`cost.captured`."})
    warnings = fields.List(fields.Raw(), required=True)
    error = fields.Nested(FaultOut, required=True, allow_none=True)
    film_id = fields.UUID(required=True, allow_none=True)
    project_id = fields.UUID(required=True, allow_none=True)
    approvals = fields.List(fields.Nested(PendingOut), required=True)
    downloads = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={
            "description": "Signed links: `master` and more of a film, `cleaned` and more of a clean clip."
        },
    )
    result = fields.Dict(keys=fields.String(), required=True)
    params = fields.Dict(keys=fields.String(), required=True)
    phase_seconds = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    last_event = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
    started_at = fields.DateTime(required=True, allow_none=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    timeout_minutes = fields.Float(required=True, allow_none=True)
    deadline_at = fields.DateTime(required=True, allow_none=True)
    links = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class JobOut(JobItemOut):
    """A job with its steps, and with what vendors may still answer."""

    steps = fields.List(fields.Nested(StepOut), required=True)
    submissions = fields.List(fields.Nested(SubmissionOut), required=True)


class PlannedOut(Out):
    """One step of a plan."""

    step = fields.String(required=True, metadata={"description": "Its name as people read it."})
    step_id = fields.UUID(required=True, allow_none=True)
    phase = fields.String(required=True)
    kind = fields.String(required=True)
    label = fields.String(required=True)
    variant = fields.String(required=True)
    subject_id = fields.UUID(required=True, allow_none=True)
    state = fields.String(required=True, validate=validate.OneOf([state.value for state in PlanState]))
    why = fields.List(fields.String(), required=True)
    kept = fields.Boolean(
        required=True,
        metadata={"description": "Stale, and left so by a remake: a person chose the take that is shown."},
    )


class PlanOut(Out):
    """What a remake would do and why."""

    job_id = fields.UUID(required=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    items = fields.List(fields.Nested(PlannedOut), required=True)


class EventOut(Out):
    id = fields.Integer(required=True, attribute="seq")
    type = fields.String(required=True)
    asset_id = fields.UUID(required=True, allow_none=True)
    payload = fields.Dict(keys=fields.String(), required=True)
    created_at = fields.DateTime(required=True)


class ProjectEventOut(EventOut):
    id = fields.Integer(required=True)
    job_id = fields.UUID(required=True, allow_none=True)


class EventsOut(Out):
    items = fields.List(fields.Nested(EventOut), required=True)
    after_id = fields.Integer(required=True, metadata={"description": "Ask again with this."})


JobPage = page_of(JobItemOut, "JobPage")
