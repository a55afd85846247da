"""Money: caps, quotes, credits, the ledger, and the books against a vendor's statement."""

from __future__ import annotations

from marshmallow import fields, validate

from app.paging import PageArgs
from app.schemas.base import In, Out, currency, micros, page_of, words
from app.schemas.routing import RoutingOut
from db.money import BudgetScope, Posting
from services.reconcile import DIFFERENCES


class BudgetPutIn(In):
    scope = fields.String(required=True, validate=validate.OneOf([s.value for s in BudgetScope]))
    scope_id = fields.UUID(load_default=None, allow_none=True)
    limit_amount = micros(required=True)
    currency = currency(load_default="USD")


class BudgetOut(Out):
    id = fields.UUID(required=True)
    scope = fields.String(required=True)
    scope_id = fields.UUID(required=True, allow_none=True)
    limit_amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    created_at = fields.DateTime(required=True)


class QuoteTotalOut(Out):
    currency = fields.String(required=True)
    amount = fields.Integer(required=True)


class QuoteLineOut(Out):
    step = fields.String(required=True)
    subject = fields.String(required=True)
    provider = fields.String(required=True)
    amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    known = fields.Boolean(required=True, metadata={"description": "False: nobody told us a price."})
    basis = fields.String(required=True)
    refusal = fields.String(
        required=True, allow_none=True, metadata={"description": "Why nobody makes it as the brief stands."}
    )
    routing = fields.Nested(
        RoutingOut, required=True, allow_none=True, metadata={"description": "Of takes: who was looked at."}
    )
    refused_by = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The caps that would refuse it: job, project, workspace_day, wallet."},
    )


class QuoteCapOut(Out):
    scope = fields.String(required=True)
    currency = fields.String(required=True)
    limit = fields.Integer(required=True)
    committed = fields.Integer(required=True)
    missing = fields.Integer(required=True)
    fits = fields.Boolean(required=True)
    message = fields.String(required=True)


class QuoteOut(Out):
    """`amount` is the total in the first currency; `known: false` makes it a lower bound."""

    kind = fields.String(required=True)
    amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    totals = fields.List(fields.Nested(QuoteTotalOut), required=True)
    known = fields.Boolean(required=True)
    fits = fields.Boolean(required=True)
    mode = fields.String(required=True, metadata={"description": "Only `enforce` refuses what does not fit."})
    lines = fields.List(fields.Nested(QuoteLineOut), required=True)
    caps = fields.List(fields.Nested(QuoteCapOut), required=True)


class BalanceOut(Out):
    """Balances in one currency. Without a wallet `available` is null: only caps restrict."""

    currency = fields.String(required=True)
    wallet = fields.Boolean(required=True)
    available = fields.Integer(required=True, allow_none=True)
    held = fields.Integer(required=True)
    spent = fields.Integer(required=True)
    paid_in = fields.Integer(required=True)


class BalancesOut(Out):
    mode = fields.String(required=True)
    items = fields.List(fields.Nested(BalanceOut), required=True)


class TopUpIn(In):
    amount = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(min=1, max=10**12),
        metadata={"description": "Micro-units of the currency."},
    )
    currency = currency(load_default="USD")
    note = words(500, least=0, load_default="")


class RefundIn(In):
    """What a vendor gave back of a captured purchase."""

    amount = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(min=1, max=10**12),
        metadata={"description": "Micro-units of the purchase's currency; at most what is captured of it."},
    )
    note = words(500, least=0, load_default="")


class LedgerLineOut(Out):
    account = fields.String(required=True)
    amount = fields.Integer(required=True)


class TransferOut(Out):
    """One posting; its lines sum to zero."""

    id = fields.UUID(required=True)
    posting = fields.String(required=True)
    amount = fields.Integer(required=True)
    currency = fields.String(required=True)
    lines = fields.List(fields.Nested(LedgerLineOut), required=True)
    job_id = fields.UUID(required=True, allow_none=True)
    hold_id = fields.UUID(required=True, allow_none=True)
    submission_id = fields.UUID(required=True, allow_none=True)
    note = fields.String(required=True)
    created_at = fields.DateTime(required=True)


class LedgerArgs(PageArgs):
    job_id = fields.UUID(load_default=None)
    currency = currency(load_default=None)
    posting = fields.String(load_default=None, validate=validate.OneOf([p.value for p in Posting]))


class ReconcileArgs(In):
    since = fields.AwareDateTime(
        load_default=None, metadata={"description": "Unset: 31 days before `until`."}
    )
    until = fields.AwareDateTime(load_default=None, metadata={"description": "Unset: now."})
    provider = words(64, load_default=None)


class StatementLineIn(In):
    vendor_id = words(300, required=True, metadata={"description": "The vendor's id of what it billed."})
    amount = micros(required=True)


class StatementIn(ReconcileArgs):
    """What one vendor says it billed."""

    provider = words(64, required=True)
    currency = currency(load_default="USD")
    lines = fields.List(fields.Nested(StatementLineIn), required=True, validate=validate.Length(max=10_000))


class ProviderBooksOut(Out):
    """One provider in one currency: our books, our submissions and, where given, the vendor's bill."""

    provider = fields.String(required=True)
    currency = fields.String(required=True)
    submissions = fields.Integer(required=True)
    succeeded = fields.Integer(required=True)
    actual_cost = fields.Integer(required=True)
    captured = fields.Integer(required=True)
    refunded = fields.Integer(required=True)
    held = fields.Integer(required=True)
    overrun = fields.Integer(required=True)
    billed = fields.Integer(required=True, allow_none=True)


class DifferenceOut(Out):
    kind = fields.String(required=True, validate=validate.OneOf(DIFFERENCES))
    provider = fields.String(required=True)
    currency = fields.String(required=True)
    ours = fields.Integer(required=True)
    theirs = fields.Integer(required=True)
    job_id = fields.UUID(required=True, allow_none=True)
    hold_id = fields.UUID(required=True, allow_none=True)
    submission_id = fields.UUID(required=True, allow_none=True)
    vendor_id = fields.String(required=True, allow_none=True)
    message = fields.String(required=True)


class ReconcileOut(Out):
    since = fields.DateTime(required=True)
    until = fields.DateTime(required=True)
    providers = fields.List(fields.Nested(ProviderBooksOut), required=True)
    differences = fields.List(fields.Nested(DifferenceOut), required=True)
    truncated = fields.Boolean(required=True)


BudgetPage = page_of(BudgetOut, "BudgetPage")
LedgerPage = page_of(TransferOut, "LedgerPage")
