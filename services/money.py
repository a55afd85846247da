"""Money: held before anything is bought, captured or released after, refunded when a vendor gives it back.

Each of these is one transfer in the ledger, so the books alone tell what is available, held and spent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound, OverBudget
from core.settings import get_settings
from db.money import AccountKind, Hold, HoldState, LedgerTransfer, Posting
from db.submissions import OPEN_SUBMISSION, Submission, SubmissionState
from db.work import ENDED_JOB, Job
from services.activities import record_activity
from services.caps import Cap, Payer, caps_in_force, explain, lock_workspace, refusing
from services.events import record
from services.ledger import balances, find_transfer, has_wallet, post
from services.steps import WORKABLE, lock_job

MoneyMode = Literal["off", "shadow", "enforce"]

HOLD_TTL = timedelta(hours=24)
OWED = tuple(state for state in OPEN_SUBMISSION if state is not SubmissionState.INTENDED)
"""States in which a vendor may still ask for money: no sweeper lets go of the hold."""


class Buyer(Protocol):
    """A job, as a row or as the plain value that a step has of it."""

    @property
    def id(self) -> UUID: ...


def money_mode() -> MoneyMode:
    return get_settings().money_mode


def place_hold(
    session: Session, job: Buyer, *, amount: int, currency: str, key: str | None = None
) -> Hold | None:
    """Set money aside for one purchase, or raise OverBudget naming what stands in the way.

    Checked and booked under the workspace's lock, so two jobs cannot both pass one cap. None: it is free,
    or the mode is `off`. In mode `shadow` a refusal becomes a warning on the job. A `key` makes it
    repeatable: the second ask gets the first one's hold.
    """
    mode = money_mode()
    if amount <= 0 or mode == "off":
        return None
    row = lock_job(session, job.id)
    lock_workspace(session, row.workspace_id)
    if key is not None and (known := _held_before(session, row, key, amount, currency)) is not None:
        return known
    if row.state not in WORKABLE:
        raise Conflict(f"The job is {row.state.value}; nothing more is bought for it.", field="state")
    payer = Payer(row.workspace_id, row.project_id, row.id)
    refused = refusing(caps_in_force(session, payer, currency), amount)
    if refused and mode == "enforce":
        raise OverBudget(explain(refused, amount), amount=amount, currency=currency, field="budget")
    hold = Hold(
        workspace_id=row.workspace_id,
        job_id=row.id,
        project_id=row.project_id,
        key=key,
        amount=amount,
        currency=currency,
        expires_at=func.now() + HOLD_TTL,
    )
    session.add(hold)
    session.flush()
    _move(session, hold, Posting.HOLD, {AccountKind.CREDITS: -amount, AccountKind.HELD: amount}, amount)
    for cap in refused:
        _warn(session, row, cap, amount)
    return hold


def capture_hold(session: Session, hold: Hold, *, actual: int, submission_id: UUID) -> int:
    """Spend what was held, at most that; the rest goes back. Returns the overrun (0 = none). Repeatable.

    Of a hold that was released before, all is overrun. An overrun stays on the hold, for the report.
    """
    row = _lock_hold(session, hold.id)
    if row.state is HoldState.CAPTURED:
        return row.overrun
    captured = min(row.amount, actual) if row.state is HoldState.OPEN else 0
    row.overrun = max(0, actual - captured)
    if row.state is HoldState.OPEN:
        row.state = HoldState.CAPTURED
        row.captured = captured
        row.closed_at = func.now()
        lines = {
            AccountKind.HELD: -row.amount,
            AccountKind.SPENT: captured,
            AccountKind.CREDITS: row.amount - captured,
        }
        _move(session, row, Posting.CAPTURE, lines, captured, submission_id=submission_id)
    if row.overrun:
        overrun = {"hold_id": str(row.id), "overrun": row.overrun, "currency": row.currency}
        record(
            session,
            workspace_id=row.workspace_id,
            job_id=row.job_id,
            kind="budget.overrun",
            payload=overrun | {"submission_id": str(submission_id)},
        )
    return row.overrun


def release_hold(session: Session, hold_id: UUID) -> None:
    """Give back what was held; of a hold that has ended, nothing is left to give. Repeatable."""
    row = _lock_hold(session, hold_id)
    if row.state is HoldState.OPEN:
        row.state = HoldState.RELEASED
        row.closed_at = func.now()
        lines = {AccountKind.HELD: -row.amount, AccountKind.CREDITS: row.amount}
        _move(session, row, Posting.RELEASE, lines, row.amount)


def refund(
    session: Session, hold_id: UUID, *, amount: int, key: str, submission_id: UUID, note: str = ""
) -> LedgerTransfer:
    """Take back what a vendor gave back of a captured hold; once per `key`.

    Raises Invalid for more than was captured and not refunded yet.
    """
    row = _lock_hold(session, hold_id)
    key = f"refund:{key}"
    if find_transfer(session, row.workspace_id, key) is None:
        left = row.captured - row.refunded
        if not 0 < amount <= left:
            raise Invalid(f"Between 1 and {left} micro-{row.currency} can be refunded.", field="amount")
        row.refunded += amount
    lines = {AccountKind.SPENT: -amount, AccountKind.CREDITS: amount}
    return _move(session, row, Posting.REFUND, lines, amount, key=key, submission_id=submission_id, note=note)


def top_up(
    session: Session,
    workspace_id: UUID,
    user_id: UUID | None,
    *,
    amount: int,
    currency: str,
    key: str,
    note: str = "",
) -> LedgerTransfer:
    """Pay credits in, once per `key`. The first top-up opens the wallet of its currency.

    What was held and spent before there was a wallet is booked as paid directly, so that `amount` is what
    is available then.
    """
    lock_workspace(session, workspace_id)
    known = balances(session, workspace_id, currency)
    before = max(0, -known.get(AccountKind.CREDITS, 0))
    opening: list[tuple[Posting, int, str, str]] = []
    if before and not has_wallet(known):
        opening = [
            (Posting.OPENING, before, f"opening:{currency}", "Paid directly, before there was a wallet")
        ]
    again = find_transfer(session, workspace_id, f"top-up:{key}") is not None
    for posting, sum_, name, said in (*opening, (Posting.TOP_UP, amount, f"top-up:{key}", note)):
        transfer = post(
            session,
            workspace_id=workspace_id,
            posting=posting,
            lines={AccountKind.FUNDING: -sum_, AccountKind.CREDITS: sum_},
            amount=sum_,
            currency=currency,
            key=name,
            note=said,
        )
    if not again:
        details = {"amount": amount, "currency": currency, "note": note}
        record_activity(session, workspace_id, user_id, "credits.topped_up", transfer.id, **details)
    return transfer


def stale_holds(session: Session, *, limit: int = 100) -> list[UUID]:
    """Open holds that nobody will come back for: past their time, or of a job that has ended."""
    owed = _submission_of(Hold.id, OWED)
    unsent = _submission_of(Hold.id, (SubmissionState.INTENDED,))
    ended, late = Job.state.in_(ENDED_JOB), Hold.expires_at < func.now()
    return list(
        session.scalars(
            select(Hold.id)
            .join(Job, Job.id == Hold.job_id)
            .where(
                Hold.state == HoldState.OPEN,
                ~owed,
                case(
                    (~unsent, ended | late),  # nothing is under way
                    else_=ended & late,  # of a job that goes on, it will still be sent
                ),
            )
            .order_by(Hold.id)
            .limit(limit)
        )
    )


def settle_hold(session: Session, hold_id: UUID) -> None:
    """End a stale hold: captured when its purchase succeeded, else released. One transaction each."""
    row = _lock_hold(session, hold_id)
    bought = session.scalar(
        select(Submission).where(Submission.hold_id == hold_id, Submission.actual_cost > 0)
    )
    if bought is not None and bought.actual_cost is not None:
        capture_hold(session, row, actual=bought.actual_cost, submission_id=bought.id)
    elif not session.scalar(select(_submission_of(hold_id, OWED))):
        release_hold(session, hold_id)


def _held_before(session: Session, job: Job, key: str, amount: int, currency: str) -> Hold | None:
    known = session.scalar(select(Hold).where(Hold.workspace_id == job.workspace_id, Hold.key == key))
    if known is not None and (known.job_id, known.amount, known.currency) != (job.id, amount, currency):
        raise Conflict("This key was used for another hold: send a new key.", code="idempotency_key_reused")
    return known


def _lock_hold(session: Session, hold_id: UUID) -> Hold:
    """Lock the hold's job and then the hold; see services/ledger.py for the order."""
    job_id = session.scalar(select(Hold.job_id).where(Hold.id == hold_id))
    if job_id is None:
        raise NotFound("There is no such hold.", field="hold_id")
    lock_job(session, job_id)
    return session.get_one(Hold, hold_id, with_for_update=True)


def _submission_of(hold_id: Any, states: tuple[SubmissionState, ...]) -> Any:
    return select(Submission.id).where(Submission.hold_id == hold_id, Submission.state.in_(states)).exists()


def _move(
    session: Session,
    hold: Hold,
    posting: Posting,
    lines: dict[AccountKind, int],
    amount: int,
    *,
    key: str | None = None,
    submission_id: UUID | None = None,
    note: str = "",
) -> LedgerTransfer:
    return post(
        session,
        workspace_id=hold.workspace_id,
        posting=posting,
        lines=lines,
        amount=amount,
        currency=hold.currency,
        key=key or f"{posting.value}:{hold.id}",
        hold_id=hold.id,
        job_id=hold.job_id,
        submission_id=submission_id,
        note=note,
    )


def _warn(session: Session, job: Job, cap: Cap, amount: int) -> None:
    """Say on the job what mode `enforce` would have refused; the last word of each cap is kept."""
    warning = {"code": "over_budget", "cap": cap.scope, "message": cap.explain(amount)}
    job.warnings = [w for w in job.warnings if w.get("cap") != cap.scope] + [warning]
    record(session, workspace_id=job.workspace_id, job_id=job.id, kind="budget.refused", payload=warning)
