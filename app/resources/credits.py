"""Credits: what is available, how it got there, and whether the books agree with the vendors."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, request
from sqlalchemy.orm import Session

from app import wakeups
from app.api import Blueprint, needs
from app.auth import identity
from app.paging import page_reply, window_of
from app.reply import IDEMPOTENCY_PARAMETER, answer_once, reply
from app.schemas.money import (
    BalancesOut,
    LedgerArgs,
    LedgerPage,
    ReconcileArgs,
    ReconcileOut,
    RefundIn,
    StatementIn,
    TopUpIn,
    TransferOut,
)
from core.errors import Conflict, Invalid
from db.money import LedgerTransfer
from db.session import reading
from services.activities import record_activity
from services.idempotency import Answer
from services.ledger import lines_of, list_transfers, show_credits
from services.money import money_mode, refund, top_up
from services.outcomes import find_submission
from services.reconcile import Statement, reconcile

blp = Blueprint(
    "credits", __name__, url_prefix="/api/v1", description="Money paid in, held and spent, in double entry."
)


@blp.get("/credits")
@blp.response(200, BalancesOut)
def show_balances() -> Response:
    """Show what is available, held and spent, per currency."""
    with reading() as session:
        items = show_credits(session, identity().workspace_id)
    return reply(BalancesOut, {"mode": money_mode(), "items": items})


@blp.get("/credits/ledger")
@blp.arguments(LedgerArgs, location="query")
@blp.response(200, LedgerPage)
def show_ledger(args: dict[str, Any]) -> Response:
    """List movements of money with their lines."""
    window, filters = window_of(args)
    with reading() as session:
        page = list_transfers(session, identity().workspace_id, window, **filters)
        lines = lines_of(session, page.items)
        return page_reply(TransferOut, page, args, [_show(row, lines[row.id]) for row in page.items])


@blp.post("/credits/top-ups")
@needs("admin")
@blp.doc(parameters=[{**IDEMPOTENCY_PARAMETER, "required": True}])
@blp.arguments(TopUpIn)
@blp.response(201, TransferOut)
def pay_in(data: dict[str, Any]) -> Response:
    """Pay credits in; jobs that wait for money go on."""
    key, caller = _key(), identity()

    def start(session: Session) -> Answer:
        transfer = top_up(session, caller.workspace_id, caller.user_id, key=key, **data)
        return _moved(session, caller.workspace_id, transfer)

    return answer_once(start, body=data)


@blp.post("/submissions/<uuid:submission_id>/refund")
@needs("admin")
@blp.doc(parameters=[{**IDEMPOTENCY_PARAMETER, "required": True}])
@blp.arguments(RefundIn)
@blp.response(201, TransferOut)
def take_back(data: dict[str, Any], submission_id: UUID) -> Response:
    """Book what a vendor gave back; jobs that wait for money go on."""
    key, caller = _key(), identity()

    def start(session: Session) -> Answer:
        row = find_submission(session, caller.workspace_id, submission_id)
        if row.hold_id is None:
            raise Conflict(
                "Nothing was held for this submission, so nothing was captured.", field="submission_id"
            )
        transfer = refund(session, row.hold_id, key=key, submission_id=row.id, **data)
        record_activity(session, caller.workspace_id, caller.user_id, "submission.refunded", row.id, **data)
        return _moved(session, caller.workspace_id, transfer)

    return answer_once(start, body=data)


@blp.get("/credits/reconcile")
@blp.arguments(ReconcileArgs, location="query")
@blp.response(200, ReconcileOut)
def compare_books(args: dict[str, Any]) -> Response:
    """Compare the ledger with the submissions, per provider."""
    with reading() as session:
        return reply(ReconcileOut, reconcile(session, identity().workspace_id, **args))


@blp.post("/credits/reconcile")
@needs("read")
@blp.arguments(StatementIn)
@blp.response(200, ReconcileOut)
def compare_statement(data: dict[str, Any]) -> Response:
    """Compare a vendor's statement with the ledger and the submissions; nothing of it is kept."""
    billed: dict[str, int] = {}
    for line in data["lines"]:
        billed[line["vendor_id"]] = billed.get(line["vendor_id"], 0) + line["amount"]
    statement = Statement(data["provider"], data["currency"], billed)
    asked = {name: data[name] for name in ("since", "until", "provider")}
    with reading() as session:
        return reply(ReconcileOut, reconcile(session, identity().workspace_id, statement=statement, **asked))


def _key() -> str:
    key = request.headers.get("Idempotency-Key")
    if not key:
        raise Invalid(
            "Money moves once per key: send an Idempotency-Key, such as the payment's number.",
            field="Idempotency-Key",
        )
    return key


def _moved(session: Session, workspace_id: UUID, transfer: LedgerTransfer) -> Answer:
    session.flush()
    session.refresh(transfer)
    wakeups.recheck_after(session, workspace_id)
    shown = _show(transfer, lines_of(session, [transfer])[transfer.id])
    return Answer(201, TransferOut().dump(shown))


def _show(row: LedgerTransfer, lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "posting": row.posting.value,
        "amount": row.amount,
        "currency": row.currency,
        "lines": lines,
        "job_id": row.job_id,
        "hold_id": row.hold_id,
        "submission_id": row.submission_id,
        "note": row.note,
        "created_at": row.created_at,
    }
