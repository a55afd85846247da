"""The books: double entry in integer micro-units. A posting is a transfer whose lines sum to zero.

Whoever posts locks in this order: the job, then the workspace, then the hold, then the accounts. Two
orders would deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.ids import new_id
from db.money import AccountKind, LedgerAccount, LedgerEntry, LedgerTransfer, Posting
from services.paging import Page, Window, read_page


def post(
    session: Session,
    *,
    workspace_id: UUID,
    posting: Posting,
    lines: Mapping[AccountKind, int],
    amount: int,
    currency: str,
    key: str,
    hold_id: UUID | None = None,
    job_id: UUID | None = None,
    submission_id: UUID | None = None,
    note: str = "",
) -> LedgerTransfer:
    """Move money between the workspace's accounts, once per `key`: a repetition finds the first transfer.

    Raises Conflict when the key came with another amount, currency or posting.
    """
    accounts = _lock_accounts(session, workspace_id, currency, list(lines))
    known = find_transfer(session, workspace_id, key)
    if known is not None:
        asked = (posting, amount, currency, hold_id)
        if (known.posting, known.amount, known.currency, known.hold_id) != asked:
            raise Conflict(
                "This key was used for another movement of money: send a new key.",
                code="idempotency_key_reused",
            )
        return known
    transfer = LedgerTransfer(
        id=new_id(),
        workspace_id=workspace_id,
        posting=posting,
        amount=amount,
        currency=currency,
        idempotency_key=key,
        hold_id=hold_id,
        job_id=job_id,
        submission_id=submission_id,
        note=note,
    )
    session.add(transfer)
    session.flush()
    rows = [
        {
            "workspace_id": workspace_id,
            "transfer_id": transfer.id,
            "account_id": accounts[kind],
            "amount": change,
            "currency": currency,
        }
        for kind, change in lines.items()
        if change
    ]
    if rows:
        session.execute(insert(LedgerEntry).values(rows))
    return transfer


def find_transfer(session: Session, workspace_id: UUID, key: str) -> LedgerTransfer | None:
    return session.scalar(
        select(LedgerTransfer).where(
            LedgerTransfer.workspace_id == workspace_id, LedgerTransfer.idempotency_key == key
        )
    )


def balances(session: Session, workspace_id: UUID, currency: str) -> dict[AccountKind, int]:
    """What each account of one currency holds; an account that was never used is missing."""
    rows = session.execute(
        select(LedgerAccount.kind, LedgerAccount.balance).where(
            LedgerAccount.workspace_id == workspace_id, LedgerAccount.currency == currency
        )
    )
    return dict(rows.all())


def has_wallet(known: Mapping[AccountKind, int]) -> bool:
    """Whether the workspace has ever been topped up in the currency that `known` balances are of."""
    return AccountKind.FUNDING in known


def show_credits(session: Session, workspace_id: UUID) -> list[dict[str, Any]]:
    """Balances per currency. `available` is None without a wallet: then only caps restrict."""
    rows = session.execute(
        select(LedgerAccount.currency, LedgerAccount.kind, LedgerAccount.balance).where(
            LedgerAccount.workspace_id == workspace_id
        )
    )
    found: dict[str, dict[AccountKind, int]] = {}
    for currency, kind, balance in rows:
        found.setdefault(currency, {})[kind] = balance
    return [
        {
            "currency": currency,
            "wallet": has_wallet(known),
            "available": known.get(AccountKind.CREDITS, 0) if has_wallet(known) else None,
            "held": known.get(AccountKind.HELD, 0),
            "spent": known.get(AccountKind.SPENT, 0),
            "paid_in": -known.get(AccountKind.FUNDING, 0),
        }
        for currency, known in sorted(found.items())
    ]


def list_transfers(
    session: Session,
    workspace_id: UUID,
    window: Window,
    *,
    job_id: UUID | None = None,
    currency: str | None = None,
    posting: str | None = None,
) -> Page[LedgerTransfer]:
    statement = select(LedgerTransfer).where(LedgerTransfer.workspace_id == workspace_id)
    if job_id is not None:
        statement = statement.where(LedgerTransfer.job_id == job_id)
    if currency is not None:
        statement = statement.where(LedgerTransfer.currency == currency)
    if posting is not None:
        statement = statement.where(LedgerTransfer.posting == Posting(posting))
    return read_page(session, statement, LedgerTransfer.id, window)


def lines_of(session: Session, transfers: Sequence[LedgerTransfer]) -> dict[UUID, list[dict[str, Any]]]:
    """The lines of each transfer as account and amount, in one query."""
    found: dict[UUID, list[dict[str, Any]]] = {transfer.id: [] for transfer in transfers}
    rows = session.execute(
        select(LedgerEntry.transfer_id, LedgerAccount.kind, LedgerEntry.amount)
        .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
        .where(LedgerEntry.transfer_id.in_(list(found)))
        .order_by(LedgerEntry.id)
    )
    for transfer_id, kind, amount in rows:
        found[transfer_id].append({"account": kind.value, "amount": amount})
    return found


def _lock_accounts(
    session: Session, workspace_id: UUID, currency: str, kinds: Sequence[AccountKind]
) -> dict[AccountKind, UUID]:
    """The accounts, made where missing, locked in one order until the transaction's end."""
    ours = (
        (LedgerAccount.workspace_id == workspace_id)
        & (LedgerAccount.currency == currency)
        & LedgerAccount.kind.in_(kinds)
    )
    asked = (
        select(LedgerAccount.kind, LedgerAccount.id)
        .where(ours)
        .order_by(LedgerAccount.kind)
        .with_for_update(key_share=True)
    )
    found = dict(session.execute(asked).all())
    missing = [kind for kind in kinds if kind not in found]
    if not missing:
        return found
    session.execute(
        upsert(LedgerAccount)
        .values(
            [
                {"id": new_id(), "workspace_id": workspace_id, "kind": kind, "currency": currency}
                for kind in sorted(missing)
            ]
        )
        .on_conflict_do_nothing()
    )
    return dict(session.execute(asked).all())
