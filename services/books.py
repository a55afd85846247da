"""The books proved: what must be true of the ledger whatever happened, each rule one query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, and_, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased

from core.money import say_money
from db.money import AccountKind, Hold, HoldState, LedgerAccount, LedgerEntry
from db.submissions import Submission
from db.work import ENDED_JOB, Heartbeat, Job
from services.heartbeats import Beat
from services.money import OWED, money_mode

NAME = "books"
"""The heartbeat that says when the books were last verified, and how they were found."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which check found it, in whose books, and what exactly."""

    check: str
    workspace_id: UUID
    detail: str


def verify_books(session: Session, *, limit: int = 20) -> list[Finding]:
    """Run every check; returns at most `limit` findings of each. Empty is what an operator wants."""
    return [finding for check in CHECKS for finding in CHECKS[check](session, limit)]


def keep_findings(session: Session, findings: Sequence[Finding]) -> None:
    """Write down how the books were found, for metrics and health."""
    facts = {"counts": {check: sum(finding.check == check for finding in findings) for check in CHECKS}}
    row = {"beaten_at": func.now(), "facts": facts}
    session.execute(
        upsert(Heartbeat).values(name=NAME, **row).on_conflict_do_update(index_elements=["name"], set_=row)
    )


def read_counts(beats: Sequence[Beat]) -> dict[str, int]:
    """Findings of each check when the books were last verified; empty when they never were."""
    return next((beat.facts.get("counts", {}) for beat in beats if beat.name == NAME), {})


def _unbalanced(session: Session, limit: int) -> list[Finding]:
    rows = session.execute(
        select(
            LedgerEntry.workspace_id,
            LedgerEntry.transfer_id,
            LedgerEntry.currency,
            func.sum(LedgerEntry.amount),
        )
        .group_by(LedgerEntry.workspace_id, LedgerEntry.transfer_id, LedgerEntry.currency)
        .having(func.sum(LedgerEntry.amount) != 0)
        .limit(limit)
    )
    return [
        Finding(
            "unbalanced", owner, f"The lines of transfer {transfer} sum to {say_money(int(off), currency)}."
        )
        for owner, transfer, currency, off in rows
    ]


def _drifted(session: Session, limit: int) -> list[Finding]:
    summed = (
        select(LedgerEntry.account_id, func.sum(LedgerEntry.amount).label("amount"))
        .group_by(LedgerEntry.account_id)
        .subquery()
    )
    rows = session.execute(
        select(LedgerAccount, func.coalesce(summed.c.amount, 0))
        .outerjoin(summed, summed.c.account_id == LedgerAccount.id)
        .where(LedgerAccount.balance != func.coalesce(summed.c.amount, 0))
        .limit(limit)
    )
    return [
        Finding(
            "drifted",
            account.workspace_id,
            f"The account {account.kind.value} shows {say_money(account.balance, account.currency)}, "
            f"its entries sum to {say_money(int(amount), account.currency)}.",
        )
        for account, amount in rows
    ]


def _overdrawn(session: Session, limit: int) -> list[Finding]:
    """Only mode `enforce` promises it; without a wallet credits are what vendors were paid directly."""
    if money_mode() != "enforce":
        return []
    wallet = aliased(LedgerAccount)
    rows = session.scalars(
        select(LedgerAccount)
        .join(
            wallet,
            and_(
                wallet.workspace_id == LedgerAccount.workspace_id,
                wallet.currency == LedgerAccount.currency,
                wallet.kind == AccountKind.FUNDING,
            ),
        )
        .where(LedgerAccount.kind == AccountKind.CREDITS, LedgerAccount.balance < 0)
        .limit(limit)
    )
    return [
        Finding(
            "overdrawn",
            row.workspace_id,
            f"The wallet is {say_money(-row.balance, row.currency)} overdrawn: top it up.",
        )
        for row in rows
    ]


def _held_differs(session: Session, limit: int) -> list[Finding]:
    amounts = select(Hold.workspace_id, Hold.currency, func.sum(Hold.amount).label("amount")).where(
        Hold.state == HoldState.OPEN
    )
    return _against_holds(session, limit, "held_differs", AccountKind.HELD, amounts, "open holds are")


def _spent_differs(session: Session, limit: int) -> list[Finding]:
    amounts = select(
        Hold.workspace_id, Hold.currency, func.sum(Hold.captured - Hold.refunded).label("amount")
    )
    return _against_holds(
        session, limit, "spent_differs", AccountKind.SPENT, amounts, "captures less refunds are"
    )


def _against_holds(
    session: Session,
    limit: int,
    check: str,
    kind: AccountKind,
    amounts: Select[UUID, str, int],
    words: str,
) -> list[Finding]:
    """Compare an account with what the rows of `holds` say, both ways round."""
    holds = amounts.group_by(Hold.workspace_id, Hold.currency).subquery()
    accounts = (
        select(LedgerAccount.workspace_id, LedgerAccount.currency, LedgerAccount.balance)
        .where(LedgerAccount.kind == kind)
        .subquery()
    )
    rows = session.execute(
        select(
            func.coalesce(accounts.c.workspace_id, holds.c.workspace_id),
            func.coalesce(accounts.c.currency, holds.c.currency),
            func.coalesce(accounts.c.balance, 0),
            func.coalesce(holds.c.amount, 0),
        )
        .select_from(accounts)
        .join(
            holds,
            (holds.c.workspace_id == accounts.c.workspace_id) & (holds.c.currency == accounts.c.currency),
            full=True,
        )
        .where(func.coalesce(accounts.c.balance, 0) != func.coalesce(holds.c.amount, 0))
        .limit(limit)
    )
    return [
        Finding(
            check,
            owner,
            f"The account {kind.value} shows {say_money(int(balance), currency)}, "
            f"{words} {say_money(int(amount), currency)}.",
        )
        for owner, currency, balance, amount in rows
    ]


def _forgotten(session: Session, limit: int) -> list[Finding]:
    owed = select(Submission.id).where(Submission.hold_id == Hold.id, Submission.state.in_(OWED)).exists()
    rows = session.scalars(
        select(Hold)
        .join(Job, Job.id == Hold.job_id)
        .where(
            Hold.state == HoldState.OPEN,
            Job.state.in_(ENDED_JOB),
            Hold.expires_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 10),
            ~owed,
        )
        .limit(limit)
    )
    return [
        Finding(
            "forgotten_hold",
            row.workspace_id,
            f"Hold {row.id} of {say_money(row.amount, row.currency)} outlived job {row.job_id}.",
        )
        for row in rows
    ]


CHECKS: dict[str, Callable[[Session, int], list[Finding]]] = {
    "unbalanced": _unbalanced,
    "drifted": _drifted,
    "overdrawn": _overdrawn,
    "held_differs": _held_differs,
    "spent_differs": _spent_differs,
    "forgotten_hold": _forgotten,
}
"""By name; each is exported as a gauge of its own."""
