"""Money: holds before anything is bought, captures after, a double-entry ledger behind both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.errors import OverBudget
from core.ids import new_id
from db.assets import Project
from db.identity import WorkspaceRow
from db.money import AccountKind, Budget, BudgetScope, Hold, HoldState, LedgerAccount, LedgerEntry
from db.work import Job

HOLD_TTL = timedelta(hours=24)


def place_hold(session: Session, job: Job, *, amount: int, currency: str) -> Hold | None:
    """Set money aside for one purchase, or raise OverBudget naming the cap.

    The workspace's row is locked first, so two jobs cannot both pass one cap; in the mode that lets
    everybody else go on referring to it. Nothing is held for something free (None).
    """
    if amount <= 0:
        return None
    session.scalar(
        select(WorkspaceRow.id).where(WorkspaceRow.id == job.workspace_id).with_for_update(key_share=True)
    )
    caps: list[tuple[str, int | None, ColumnElement[bool]]] = [
        ("this job", _cap(session, job, BudgetScope.JOB, job.id, currency), Hold.job_id == job.id),
        (
            "the workspace's day",
            _cap(session, job, BudgetScope.WORKSPACE_DAY, None, currency),
            _today(),
        ),
    ]
    if job.project_id is not None:
        limit = _cap(session, job, BudgetScope.PROJECT, job.project_id, currency)
        if limit is None:
            limit = session.scalar(
                select(Project.budget).where(Project.id == job.project_id, Project.currency == currency)
            )
        caps.append(("the project", limit, Hold.project_id == job.project_id))
    for name, limit, scope in caps:
        if limit is None:
            continue
        committed = _committed(session, job.workspace_id, currency, scope)
        if committed + amount > limit:
            raise OverBudget(
                f"{amount} micro-{currency} would pass the cap of {name}: "
                f"{committed} of {limit} are committed.",
                field="budget",
            )
    hold = Hold(
        workspace_id=job.workspace_id,
        job_id=job.id,
        project_id=job.project_id,
        amount=amount,
        currency=currency,
        expires_at=func.now() + HOLD_TTL,
    )
    session.add(hold)
    session.flush()
    return hold


def capture_hold(session: Session, hold: Hold, *, actual: int, submission_id: UUID) -> int:
    """Spend what was held, at most that; returns the overrun in micro-units (0 = none). Repeatable.

    Of a hold that was released before, all is overrun.
    """
    row = session.get_one(Hold, hold.id, with_for_update=True)
    if row.state is HoldState.RELEASED:
        return actual
    if row.state is HoldState.CAPTURED:
        return 0
    captured = min(row.amount, actual)
    row.state = HoldState.CAPTURED
    row.captured = captured
    row.closed_at = func.now()
    if captured:
        _transfer(
            session,
            workspace_id=row.workspace_id,
            source=AccountKind.CREDITS,
            target=AccountKind.SPENT,
            amount=captured,
            currency=row.currency,
            reason="capture",
            key=f"capture:{row.id}",
            job_id=row.job_id,
            submission_id=submission_id,
        )
    return actual - captured


def release_hold(session: Session, hold_id: UUID) -> None:
    row = session.get_one(Hold, hold_id, with_for_update=True)
    if row.state is HoldState.OPEN:
        row.state = HoldState.RELEASED
        row.closed_at = func.now()


def release_expired_holds(session: Session, *, limit: int = 100) -> int:
    rows = session.scalars(
        select(Hold)
        .where(Hold.state == HoldState.OPEN, Hold.expires_at < func.now())
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        row.state = HoldState.RELEASED
        row.closed_at = func.now()
    return len(rows)


def committed_today(session: Session, workspace_id: UUID, currency: str) -> int:
    """What the workspace has spent and holds since midnight UTC, in micro-units."""
    return _committed(session, workspace_id, currency, _today())


def _today() -> ColumnElement[bool]:
    return Hold.created_at >= func.date_trunc("day", func.now())


def job_cost(session: Session, job_id: UUID) -> dict[str, Any]:
    """What a job has spent and holds, in micro-units."""
    captured, held, currency = session.execute(
        select(
            func.coalesce(func.sum(Hold.captured), 0),
            func.coalesce(func.sum(Hold.amount).filter(Hold.state == HoldState.OPEN), 0),
            func.coalesce(func.max(Hold.currency), "USD"),
        ).where(Hold.job_id == job_id)
    ).one()
    return {"captured": int(captured), "held": int(held), "currency": currency}


def unbalanced_transfers(session: Session, *, limit: int = 10) -> list[UUID]:
    """Transfers whose lines do not sum to zero: must be empty, whatever happened."""
    return list(
        session.scalars(
            select(LedgerEntry.transfer_id)
            .group_by(LedgerEntry.transfer_id, LedgerEntry.currency)
            .having(func.sum(LedgerEntry.amount) != 0)
            .limit(limit)
        )
    )


def _cap(session: Session, job: Job, scope: BudgetScope, scope_id: UUID | None, currency: str) -> int | None:
    return session.scalar(
        select(Budget.limit_amount).where(
            Budget.workspace_id == job.workspace_id,
            Budget.scope == scope,
            Budget.scope_id.is_(None) if scope_id is None else Budget.scope_id == scope_id,
            Budget.currency == currency,
        )
    )


def _committed(session: Session, workspace_id: UUID, currency: str, scope: ColumnElement[bool]) -> int:
    total = session.scalar(
        select(
            func.coalesce(
                func.sum(func.coalesce(Hold.captured, 0)).filter(Hold.state == HoldState.CAPTURED),
                0,
            )
            + func.coalesce(func.sum(Hold.amount).filter(Hold.state == HoldState.OPEN), 0)
        ).where(Hold.workspace_id == workspace_id, Hold.currency == currency, scope)
    )
    return int(total or 0)


def _account(session: Session, workspace_id: UUID, kind: AccountKind, currency: str) -> UUID:
    session.execute(
        upsert(LedgerAccount)
        .values(id=new_id(), workspace_id=workspace_id, kind=kind, currency=currency)
        .on_conflict_do_nothing()
    )
    return session.scalars(
        select(LedgerAccount.id).where(
            LedgerAccount.workspace_id == workspace_id,
            LedgerAccount.kind == kind,
            LedgerAccount.currency == currency,
        )
    ).one()


def _transfer(
    session: Session,
    *,
    workspace_id: UUID,
    source: AccountKind,
    target: AccountKind,
    amount: int,
    currency: str,
    reason: str,
    key: str,
    job_id: UUID | None,
    submission_id: UUID | None,
) -> None:
    transfer = new_id()
    for kind, signed in ((source, -amount), (target, amount)):
        session.execute(
            insert(LedgerEntry).values(
                workspace_id=workspace_id,
                transfer_id=transfer,
                account_id=_account(session, workspace_id, kind, currency),
                amount=signed,
                currency=currency,
                reason=reason,
                idempotency_key=key,
                job_id=job_id,
                submission_id=submission_id,
            )
        )
