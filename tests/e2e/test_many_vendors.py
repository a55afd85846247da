"""One film whose takes come from several vendors, each with its own troubles: every bill is our ledger."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import func, select

from core.registry import PROVIDERS
from db.money import AccountKind, LedgerAccount, LedgerEntry, LedgerTransfer
from db.submissions import SubmissionState
from db.work import ENDED_JOB
from tests.e2e.test_remote_takes import Order

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

TROUBLES = (
    "",
    "throttled",
    "odd",
    "missing-once",
    "truncated-once",
    "corrupt-once",
    "down-before",
    "down-after",
)


def spent_per_provider(film: Order) -> Counter:
    """What the ledger says of this job, by the provider of the submission it was captured for."""
    prices: Counter = Counter()
    by_id = {row.id: row.provider for row in film.submissions()}
    with film.studio.rows() as session:
        rows = session.execute(
            select(LedgerTransfer.submission_id, func.sum(LedgerEntry.amount))
            .join(LedgerEntry, LedgerEntry.transfer_id == LedgerTransfer.id)
            .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
            .where(LedgerTransfer.job_id == film.job_id, LedgerAccount.kind == AccountKind.SPENT)
            .group_by(LedgerTransfer.submission_id)
        )
        for submission_id, amount in rows:
            prices[by_id[submission_id]] += int(amount)
    return prices


def ask_the_vendors(film: Order) -> bool:
    """Do a person's part: see the vendor's own list for what nobody else can find out; whether the job ended."""
    for row in film.submissions():
        if row.state is not SubmissionState.UNCONFIRMED or row.next_poll_at is not None:
            continue
        known = {other.vendor_id for other in film.submissions()}
        theirs = [
            task["vendor_id"]
            for task in film.bought()
            if task["vendor"] == row.provider
            and task["prompt"] == row.request["prompt"]
            and task["vendor_id"] not in known
        ]
        found = {"outcome": "accepted", "vendor_id": theirs[0]} if theirs else {"outcome": "not_accepted"}
        film.studio.post(f"/submissions/{row.id}/resolve", found)
    return film.studio.job(film.job_id).state in ENDED_JOB


@pytest.fixture
def vendors_in_turn() -> list[str]:
    return [slug for slug in ("fal", "replicate", "runway", "kling") if slug in PROVIDERS.slugs("video")]


def test_a_film_goes_from_vendor_to_vendor_and_every_bill_is_the_ledger(studio, vendors, vendors_in_turn):
    for slug in vendors_in_turn[:-1]:  # what one of them cannot make, the next one does
        vendors.order("moderated", "failed", vendor=slug)
    film = Order(studio, vendors, *TROUBLES, providers=[*vendors_in_turn, "local"])
    studio.until(lambda: ask_the_vendors(film), seconds=200, why="the film to be done", pause=0.5)
    job = film.done()
    assert film.origins() == ["generated"] * len(TROUBLES)
    bills: Counter = Counter()
    for task in film.bought():
        bills[task["vendor"]] += task["charged"]
    assert spent_per_provider(film) == +bills
    assert film.captured() == film.charged() > 0
    assert len([slug for slug, amount in bills.items() if amount]) >= 2
    assert {row.provider for row in film.submissions()} >= set(vendors_in_turn[:2])
    assert {warning["code"] for warning in job.warnings} == {"moderated"}
    assert studio.get(f"/jobs/{film.job_id}")["cost"]["held"] == 0
