"""What is bought in one call: held before it, spent by its answer, and never bought twice by a machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from core.errors import PipelineError, Retryable, Unconfirmed
from core.failpoints import reach
from core.hashing import digest
from db.session import reading, transaction
from db.work import Job
from providers.base import Quote
from services import purchases
from services.renditions import StoredFile, keep_blob, still_there
from tasks.routing import refuse_unknown_price
from tasks.step import Run


def buy(
    run: Run,
    *,
    purpose: str,
    provider: str,
    model: str,
    request: dict[str, Any],
    quote: Quote,
    call: Callable[[], dict[str, Any]],
    shot_id: UUID | None = None,
) -> dict[str, Any]:
    """Make one call that costs money; raises Unconfirmed where only a person can go on.

    What came of it is written down with its price (`cost` in it, else the quote) in one transaction: an
    attempt that dies after it finds it.
    """
    refuse_unknown_price(provider, quote, run.params)
    order = {"provider": provider, "model": model, "request": request}
    with reading() as session:
        made = purchases.bought(session, run.held.step_id, digest(order))
        if made is not None and still_there(session, made):
            return made
    with transaction() as session:
        purchase = purchases.begin(
            session,
            session.get_one(Job, run.job.id),
            step_id=run.held.step_id,
            shot_id=shot_id,
            purpose=purpose,
            quote=quote.amount,
            currency=quote.currency,
            **order,
        )
    with reading() as session:
        if error := purchases.why_not(session, purchase):
            raise error
    try:
        reach("purchase.before_call", str(run.job.id))
        made = call()
    except PipelineError as error:
        settle = purchases.refused
        if isinstance(error, Unconfirmed):
            settle = purchases.unknown
        elif isinstance(error, Retryable):
            settle = purchases.not_accepted
        with transaction() as session:
            if error.cost and settle is not purchases.unknown:
                purchases.spent(session, purchase, error.cost, error.code, error.message)
            else:
                settle(session, purchase, error.code, error.message)
        raise
    reach("purchase.after_call", str(run.job.id))
    with transaction() as session:
        if made.get("stored"):
            keep_blob(session, StoredFile.from_json(made["stored"]))
        purchases.done(session, purchase, cost=made.get("cost", quote.amount), made=made)
    return made
