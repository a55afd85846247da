"""Caps as people set them; services/money.py checks them when money is held."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Invalid
from db.assets import Project
from db.money import Budget, BudgetScope
from services.activities import record_activity
from services.caps import lock_workspace
from services.jobs import get_job
from services.library import find_asset
from services.paging import Page, Window, read_page


def list_budgets(session: Session, workspace_id: UUID, window: Window) -> Page[Budget]:
    return read_page(session, select(Budget).where(Budget.workspace_id == workspace_id), Budget.id, window)


def put_budget(
    session: Session,
    workspace_id: UUID,
    user_id: UUID,
    *,
    scope: str,
    scope_id: UUID | None,
    limit_amount: int,
    currency: str,
) -> Budget:
    """Set one cap, new or changed. The workspace's day has no `scope_id`; job and project need theirs."""
    chosen = BudgetScope(scope)
    if (scope_id is None) != (chosen is BudgetScope.WORKSPACE_DAY):
        raise Invalid(
            "Leave `scope_id` out for `workspace_day`; give the job's or the project's id otherwise.",
            field="scope_id",
        )
    if chosen is BudgetScope.PROJECT and scope_id is not None:
        find_asset(session, workspace_id, Project, scope_id)
    if chosen is BudgetScope.JOB and scope_id is not None:
        get_job(session, workspace_id, scope_id)
    lock_workspace(session, workspace_id)
    row = session.scalar(
        select(Budget).where(
            Budget.workspace_id == workspace_id,
            Budget.scope == chosen,
            Budget.scope_id.is_(None) if scope_id is None else Budget.scope_id == scope_id,
            Budget.currency == currency,
        )
    )
    if row is None:
        row = Budget(
            workspace_id=workspace_id, scope=chosen, scope_id=scope_id, currency=currency, limit_amount=0
        )
        session.add(row)
    row.limit_amount = limit_amount
    session.flush()
    record_activity(
        session,
        workspace_id,
        user_id,
        "budget.set",
        scope_id,
        scope=scope,
        limit=limit_amount,
        currency=currency,
    )
    return row
