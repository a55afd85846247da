"""What may be spent: the caps of job, project and workspace-day, and the wallet, all read the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.money import say_money
from db.assets import Project
from db.identity import WorkspaceRow
from db.money import AccountKind, Budget, BudgetScope, Hold, HoldState
from services.ledger import balances, has_wallet

CapScope = Literal["job", "project", "workspace_day", "wallet"]
_WORDS: dict[CapScope, tuple[str, str]] = {
    "job": ("the cap of this job", "raise it with PUT /budgets (scope job)"),
    "project": ("the cap of the project", "raise it with PUT /budgets (scope project)"),
    "workspace_day": (
        "the cap of the workspace's day",
        "raise it with PUT /budgets (scope workspace_day), or wait for midnight UTC",
    ),
    "wallet": ("the wallet", "top it up with POST /credits/top-ups"),
}


@dataclass(frozen=True)
class Payer:
    """Whose caps apply. Without a job, as in a quote, `job_limit` is the cap that the job would have."""

    workspace_id: UUID
    project_id: UUID | None = None
    job_id: UUID | None = None
    job_limit: int | None = None


@dataclass(frozen=True)
class Cap:
    """One limit and what is committed under it: captured and not refunded, or held."""

    scope: CapScope
    limit: int
    committed: int
    currency: str

    @property
    def room(self) -> int:
        return self.limit - self.committed

    def explain(self, amount: int) -> str:
        """Say why `amount` does not fit, what is missing, and what to do."""
        name, remedy = _WORDS[self.scope]
        of, more, missing = (
            say_money(figure, self.currency) for figure in (self.limit, amount, amount - self.room)
        )
        committed = say_money(self.committed, self.currency)
        return (
            f"{name[0].upper()}{name[1:]} has {committed} of {of} committed; "
            f"{more} more is {missing} too much: {remedy}."
        )


def caps_in_force(session: Session, payer: Payer, currency: str) -> list[Cap]:
    """Every cap that a purchase of `payer` in this currency has to fit under, the narrowest scope first."""
    return caps_of(session, payer.workspace_id, [payer], currency)[payer]


def caps_of(
    session: Session, workspace_id: UUID, payers: Sequence[Payer], currency: str
) -> dict[Payer, list[Cap]]:
    """The caps of several jobs of one workspace, in a fixed number of queries however many jobs."""
    limits = _limits(session, workspace_id, payers, currency)
    jobs = [payer.job_id for payer in payers if payer.job_id and (BudgetScope.JOB, payer.job_id) in limits]
    projects = {project_id for scope, project_id in limits if scope is BudgetScope.PROJECT and project_id}
    ours = (Hold.workspace_id == workspace_id) & (Hold.currency == currency)
    by_job = _committed(session, ours & Hold.job_id.in_(jobs), Hold.job_id) if jobs else {}
    by_project = (
        _committed(session, ours & Hold.project_id.in_(projects), Hold.project_id) if projects else {}
    )
    shared = _shared_caps(session, workspace_id, limits, ours, currency)
    found = {}
    for payer in payers:
        own: list[Cap] = []
        limit = limits.get((BudgetScope.JOB, payer.job_id), payer.job_limit)
        if limit is not None:
            own.append(Cap("job", limit, by_job.get(payer.job_id, 0), currency))
        limit = limits.get((BudgetScope.PROJECT, payer.project_id))
        if limit is not None:
            own.append(Cap("project", limit, by_project.get(payer.project_id, 0), currency))
        found[payer] = own + shared
    return found


def _shared_caps(
    session: Session,
    workspace_id: UUID,
    limits: dict[tuple[BudgetScope, UUID | None], int],
    ours: ColumnElement[bool],
    currency: str,
) -> list[Cap]:
    """The caps that all jobs of a workspace share: its day, and its wallet."""
    found: list[Cap] = []
    limit = limits.get((BudgetScope.WORKSPACE_DAY, None))
    if limit is not None:
        today = Hold.created_at >= func.date_trunc("day", func.now())
        committed = _committed(session, ours & today, Hold.workspace_id)
        found.append(Cap("workspace_day", limit, committed.get(workspace_id, 0), currency))
    known = balances(session, workspace_id, currency)
    if has_wallet(known):
        gone = known.get(AccountKind.HELD, 0) + known.get(AccountKind.SPENT, 0)
        found.append(Cap("wallet", gone + known.get(AccountKind.CREDITS, 0), gone, currency))
    return found


def refusing(caps: Iterable[Cap], amount: int) -> list[Cap]:
    return [cap for cap in caps if amount > cap.room]


def explain(refused: Sequence[Cap], amount: int) -> str:
    """One sentence per cap that stands in the way: who raises one of two should know of the other."""
    return " ".join(cap.explain(amount) for cap in refused)


def lock_workspace(session: Session, workspace_id: UUID) -> None:
    """Have caps be checked and changed by one transaction at a time.

    In this mode the lock lets everybody else go on referring to the workspace.
    """
    session.scalar(
        select(WorkspaceRow.id).where(WorkspaceRow.id == workspace_id).with_for_update(key_share=True)
    )


def _limits(
    session: Session, workspace_id: UUID, payers: Sequence[Payer], currency: str
) -> dict[tuple[BudgetScope, UUID | None], int]:
    """The caps that are set; a project's own `budget` counts where no cap of `PUT /budgets` says else."""
    found: dict[tuple[BudgetScope, UUID | None], int] = {}
    jobs = {payer.job_id for payer in payers if payer.job_id}
    projects = {payer.project_id for payer in payers if payer.project_id}
    if projects:
        rows = session.execute(
            select(Project.id, Project.budget).where(
                Project.id.in_(projects), Project.currency == currency, Project.budget.is_not(None)
            )
        )
        found |= {(BudgetScope.PROJECT, project_id): limit for project_id, limit in rows if limit is not None}
    set_by_people = session.execute(
        select(Budget.scope, Budget.scope_id, Budget.limit_amount).where(
            Budget.workspace_id == workspace_id,
            Budget.currency == currency,
            Budget.scope_id.is_(None) | Budget.scope_id.in_(jobs | projects),
        )
    )
    return found | {(scope, scope_id): limit for scope, scope_id, limit in set_by_people}


def _committed(session: Session, holds: ColumnElement[bool], by: Any) -> dict[UUID | None, int]:
    """Captured and not refunded, or held: summed per value of `by`."""
    rows = session.execute(
        select(
            by,
            func.coalesce(func.sum(Hold.captured - Hold.refunded), 0)
            + func.coalesce(func.sum(Hold.amount).filter(Hold.state == HoldState.OPEN), 0),
        )
        .where(holds)
        .group_by(by)
    )
    return {key: int(total) for key, total in rows}
