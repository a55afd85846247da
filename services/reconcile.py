"""Our books against our submissions, and against what a vendor says it billed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.errors import Invalid
from core.money import say_money
from db.money import Hold, HoldState
from db.submissions import Submission, SubmissionState
from db.work import ENDED_JOB, Job
from services.money import money_mode

DIFFERENCES = (
    "captured_without_submission",
    "succeeded_without_capture",
    "hold_on_ended_job",
    "overrun",
    "billed_unknown",
    "billed_differently",
    "not_billed",
)
MOST = 1000
USUAL_SPAN = timedelta(days=31)


@dataclass(frozen=True)
class Difference:
    """One thing that two accounts of the same purchase do not agree on; amounts in micro-units."""

    kind: str
    provider: str
    currency: str
    message: str
    ours: int = 0
    theirs: int = 0
    job_id: UUID | None = None
    hold_id: UUID | None = None
    submission_id: UUID | None = None
    vendor_id: str | None = None


@dataclass(frozen=True)
class Statement:
    """What one vendor billed: micro-units of one currency by the vendor's own ids."""

    provider: str
    currency: str
    billed: Mapping[str, int]


@dataclass(frozen=True)
class _Span:
    """What is looked at: submissions and holds made in a time, of one provider or of all."""

    workspace_id: UUID
    since: datetime
    until: datetime
    provider: str | None

    @property
    def submissions(self) -> ColumnElement[bool]:
        named = Submission.provider == self.provider if self.provider is not None else True
        return (
            (Submission.workspace_id == self.workspace_id)
            & Submission.created_at.between(self.since, self.until)
            & named
        )

    @property
    def holds(self) -> ColumnElement[bool]:
        return (Hold.workspace_id == self.workspace_id) & Hold.created_at.between(self.since, self.until)


def reconcile(
    session: Session,
    workspace_id: UUID,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    provider: str | None = None,
    statement: Statement | None = None,
) -> dict[str, Any]:
    """Report per provider what was asked, booked and billed, and list every difference.

    Nothing is stored or changed. A statement is compared with what was made in the same time; a line with
    an id of an older submission is recognised all the same.
    """
    now = session.scalars(select(func.now())).one()
    until = until or now
    since = since or until - USUAL_SPAN
    if since > until:
        raise Invalid("`since` must not be later than `until`.", field="since")
    span = _Span(workspace_id, since, until, provider)
    found = list(islice(_differences(session, span, statement), MOST + 1))
    return {
        "since": since,
        "until": until,
        "providers": _totals(session, span, statement),
        "differences": [asdict(difference) for difference in found[:MOST]],
        "truncated": len(found) > MOST,
    }


def _totals(session: Session, span: _Span, statement: Statement | None) -> list[dict[str, Any]]:
    succeeded = Submission.state == SubmissionState.SUCCEEDED
    rows = session.execute(
        select(
            Submission.provider,
            Submission.currency,
            func.count().label("submissions"),
            func.count().filter(succeeded).label("succeeded"),
            _sum(Submission.actual_cost, succeeded).label("actual_cost"),
            _sum(Hold.captured).label("captured"),
            _sum(Hold.refunded).label("refunded"),
            _sum(Hold.amount, Hold.state == HoldState.OPEN).label("held"),
            _sum(Hold.overrun).label("overrun"),
        )
        .outerjoin(Hold, Hold.id == Submission.hold_id)
        .where(span.submissions)
        .group_by(Submission.provider, Submission.currency)
        .order_by(Submission.provider, Submission.currency)
    )
    found = [{**row._mapping, "billed": None} for row in rows]  # noqa: SLF001 (SQLAlchemy's public name)
    if statement is not None:
        billed = sum(statement.billed.values())
        same = [
            line
            for line in found
            if (line["provider"], line["currency"]) == (statement.provider, statement.currency)
        ]
        for line in same:
            line["billed"] = billed
        if not same:
            names = ("submissions", "succeeded", "actual_cost", "captured", "refunded", "held", "overrun")
            own = {"provider": statement.provider, "currency": statement.currency, "billed": billed}
            found.append(own | dict.fromkeys(names, 0))
    return found


def _differences(session: Session, span: _Span, statement: Statement | None) -> Iterator[Difference]:
    yield from _unexplained_captures(session, span)
    yield from _submissions(session, span)
    if statement is not None:
        yield from _statement(session, span, statement)


def _unexplained_captures(session: Session, span: _Span) -> Iterator[Difference]:
    if span.provider is not None:
        return  # a hold without a submission is nobody's
    bought = select(Submission.id).where(Submission.hold_id == Hold.id).exists()
    holds = session.scalars(
        select(Hold).where(span.holds, Hold.captured > 0, ~bought).order_by(Hold.id).limit(MOST)
    )
    for hold in holds:
        said = say_money(hold.captured, hold.currency)
        yield Difference(
            "captured_without_submission",
            "",
            hold.currency,
            f"{said} were captured, and no submission says what for.",
            ours=hold.captured,
            job_id=hold.job_id,
            hold_id=hold.id,
        )


def _submissions(session: Session, span: _Span) -> Iterator[Difference]:
    rows = session.execute(
        select(Submission, Hold, Job.state)
        .join(Job, Job.id == Submission.job_id)
        .outerjoin(Hold, Hold.id == Submission.hold_id)
        .where(span.submissions, (Submission.actual_cost > 0) | Hold.id.is_not(None))
        .order_by(Submission.id)
        .execution_options(yield_per=500)
    )
    for submission, hold, state in rows:
        for kind, message, ours, theirs in _judge(submission, hold, ended=state in ENDED_JOB):
            yield _of(submission, kind, message, ours, theirs)


def _judge(submission: Submission, hold: Hold | None, *, ended: bool) -> Iterator[tuple[str, str, int, int]]:
    """Kind, message, our amount and the vendor's, for each rule that a purchase breaks."""
    cost = submission.actual_cost or 0
    captured = hold.captured if hold is not None else 0
    if cost and (hold is None or hold.state is not HoldState.CAPTURED) and money_mode() != "off":
        cost_said = say_money(cost, submission.currency)
        yield "succeeded_without_capture", f"It cost {cost_said}, and nothing was captured.", 0, cost
    if hold is not None and hold.state is HoldState.OPEN and ended:
        said = say_money(hold.amount, hold.currency)
        word = submission.state.value
        yield "hold_on_ended_job", f"{said} are held for a job that has ended; it is {word}.", hold.amount, 0
    if hold is not None and hold.overrun > 0:
        over = say_money(hold.overrun, hold.currency)
        message = f"The vendor took {over} more than the {say_money(hold.amount, hold.currency)} held."
        yield "overrun", message, captured, captured + hold.overrun


def _statement(session: Session, span: _Span, statement: Statement) -> Iterator[Difference]:
    known = {
        row.vendor_id: row
        for row in session.scalars(
            select(Submission).where(
                Submission.workspace_id == span.workspace_id,
                Submission.provider == statement.provider,
                Submission.currency == statement.currency,
                Submission.vendor_id.in_(list(statement.billed)),
            )
        )
    }
    for vendor_id, billed in statement.billed.items():
        row = known.get(vendor_id)
        said = say_money(billed, statement.currency)
        if row is None:
            yield Difference(
                "billed_unknown",
                statement.provider,
                statement.currency,
                f"The vendor billed {said} for an id that no submission of this workspace has.",
                theirs=billed,
                vendor_id=vendor_id,
            )
        elif billed != (row.actual_cost or 0):
            ours = say_money(row.actual_cost or 0, row.currency)
            message = f"The vendor billed {said}, we booked {ours} ({row.state.value})."
            yield _of(row, "billed_differently", message, row.actual_cost or 0, billed)
    rows = session.scalars(
        select(Submission)
        .where(
            span.submissions,
            Submission.provider == statement.provider,
            Submission.currency == statement.currency,
            Submission.actual_cost > 0,
        )
        .order_by(Submission.id)
        .execution_options(yield_per=500)
    )
    for row in rows:
        if row.vendor_id not in statement.billed:
            said = say_money(row.actual_cost or 0, row.currency)
            yield _of(
                row, "not_billed", f"We booked {said}; the statement has no such id.", row.actual_cost or 0
            )


def _of(row: Submission, kind: str, message: str, ours: int, theirs: int = 0) -> Difference:
    return Difference(
        kind,
        row.provider,
        row.currency,
        message,
        ours=ours,
        theirs=theirs,
        job_id=row.job_id,
        hold_id=row.hold_id,
        submission_id=row.id,
        vendor_id=row.vendor_id,
    )


def _sum(amount: Any, only: ColumnElement[bool] | None = None) -> Any:
    total = func.sum(amount)
    return func.coalesce(total if only is None else total.filter(only), 0)
