"""What jobs have cost so far, in a fixed number of queries however many jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.money import Hold, HoldState
from db.submissions import Submission
from db.work import ENDED_STEP, Step


def job_cost(session: Session, job_id: UUID) -> dict[str, Any]:
    return job_costs(session, [job_id])[job_id]


def no_cost() -> dict[str, Any]:
    return {"captured": 0, "held": 0, "quoted": 0, "currency": "USD", "others": []}


def job_costs(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """What each job has spent (net of refunds), holds, and was quoted for all it asked for so far.

    In the currency that comes first; what was asked for in others stands under `others`.
    """
    figures: dict[UUID, dict[str, dict[str, Any]]] = {job_id: {} for job_id in job_ids}

    def add(job_id: UUID, currency: str, **more: int) -> None:
        line = figures[job_id].setdefault(
            currency, {"captured": 0, "held": 0, "quoted": 0, "currency": currency}
        )
        for name, amount in more.items():
            line[name] += amount

    for job_id, currency, captured, held in session.execute(
        select(
            Hold.job_id,
            Hold.currency,
            func.sum(Hold.captured - Hold.refunded),
            func.coalesce(func.sum(Hold.amount).filter(Hold.state == HoldState.OPEN), 0),
        )
        .where(Hold.job_id.in_(job_ids))
        .group_by(Hold.job_id, Hold.currency)
    ):
        add(job_id, currency, captured=int(captured), held=int(held))
    for job_id, currency, quoted in session.execute(
        select(Submission.job_id, Submission.currency, func.sum(Submission.quote))
        .where(Submission.job_id.in_(job_ids), Submission.quote > 0)
        .group_by(Submission.job_id, Submission.currency)
    ):
        add(job_id, currency, quoted=int(quoted))
    for job_id, needed, short in session.execute(
        select(Step.job_id, Step.short_currency, func.sum(Step.short_amount))
        .where(Step.job_id.in_(job_ids), Step.short_amount.is_not(None), Step.state.not_in(ENDED_STEP))
        .group_by(Step.job_id, Step.short_currency)
    ):
        add(job_id, str(needed), quoted=int(short or 0))
    return {job_id: _in_one(lines) for job_id, lines in figures.items()}


def _in_one(lines: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not lines:
        return no_cost()
    first, *others = sorted(lines)
    return {**lines[first], "others": [lines[currency] for currency in others]}
