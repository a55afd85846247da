"""Caps on what may be spent."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import wakeups
from app.api import Blueprint
from app.auth import identity
from app.paging import PageArgs, page_reply, window_of
from app.reply import reply
from app.schemas.money import BudgetOut, BudgetPage, BudgetPutIn
from db.session import reading, transaction
from services.budgets import list_budgets, put_budget

blp = Blueprint(
    "budgets", __name__, url_prefix="/api/v1", description="Caps, checked before anything is bought."
)


@blp.get("/budgets")
@blp.arguments(PageArgs, location="query")
@blp.response(200, BudgetPage)
def show_budgets(args: dict[str, Any]) -> Response:
    """List caps."""
    window, _ = window_of(args)
    with reading() as session:
        return page_reply(BudgetOut, list_budgets(session, identity().workspace_id, window), args)


@blp.put("/budgets")
@blp.arguments(BudgetPutIn)
@blp.response(200, BudgetOut)
def set_budget(data: dict[str, Any]) -> Response:
    """Set the cap of a job, a project, or the workspace's day."""
    caller = identity()
    with transaction() as session:
        wakeups.recheck_after(session, caller.workspace_id)
        return reply(BudgetOut, put_budget(session, caller.workspace_id, caller.user_id, **data))
