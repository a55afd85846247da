"""A film that is out of budget, with real workers, beat, API and a vendor who bills."""

from __future__ import annotations

import uuid

import pytest

from db.work import StepState
from services import books
from tests.e2e.test_remote_takes import Order

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TAKE = 3 * 84_000
"""What the simulated vendor asks for a take of three seconds."""


@pytest.fixture
def order(studio, vendors):
    return lambda *faults, **more: Order(studio, vendors, *faults, **more)


def put_cap(studio, **cap):
    answer = studio.http.put(f"{studio.base}/budgets", json=cap, timeout=20)
    assert answer.status_code == 200, answer.text


def waits_for_budget(studio, film):
    def look():
        shown = studio.get(f"/jobs/{film.job_id}")
        return shown if shown["waits_for"] == "budget" and not shown["cost"]["held"] else None

    return studio.until(look, why="the job to wait for budget with its other takes paid")


def test_a_film_out_of_budget_makes_what_it_can_and_goes_on_when_its_cap_is_raised(studio, order):
    film = order("", "", "", budget=2 * TAKE)
    shown = waits_for_budget(studio, film)
    assert shown["cost"] == {
        "captured": 2 * TAKE, "held": 0, "quoted": 3 * TAKE, "currency": "USD", "others": []
    }  # fmt: skip
    assert "The cap of this job has 0.504 USD of 0.504 USD committed" in shown["waits_reason"]
    assert len(film.bought()) == 2
    put_cap(studio, scope="job", scope_id=str(film.job_id), limit_amount=3 * TAKE)
    film.done()
    assert film.origins() == ["generated"] * 3
    assert film.captured() == film.charged() == 3 * TAKE
    (short,) = [step for step in studio.steps(film.job_id, "submit_take") if step.attempt > 1]
    assert (short.attempt, short.failures) == (2, 0)


def test_two_films_share_a_wallet_and_a_top_up_serves_the_one_that_waits(studio, order):
    def pay(amount):
        answer = studio.post(
            "/credits/top-ups", {"amount": amount}, headers={"Idempotency-Key": uuid.uuid4().hex}
        )
        assert answer.status_code == 201, answer.text

    pay(3 * TAKE)
    films = [order("", ""), order("", "")]
    studio.until(
        lambda: [f for f in films if studio.get(f"/jobs/{f.job_id}")["waits_for"] == "budget"],
        why="one of them to wait for budget",
    )
    pay(TAKE)
    for film in films:
        film.done()
        assert film.captured() == film.charged() == 2 * TAKE
    assert studio.get("/credits")["items"] == [
        {
            "currency": "USD", "wallet": True, "available": 0, "held": 0, "spent": 4 * TAKE,
            "paid_in": 4 * TAKE,
        }
    ]  # fmt: skip
    with studio.rows() as session:
        assert [f for f in books.verify_books(session) if f.workspace_id == studio.workspace_id] == []
    lines = [
        {"vendor_id": task["vendor_id"], "amount": task["charged"]} for f in films for task in f.bought()
    ]
    report = studio.post("/credits/reconcile", {"provider": "kling", "lines": lines}).json()
    assert report["differences"] == []
    assert [line["billed"] for line in report["providers"] if line["provider"] == "kling"] == [4 * TAKE]


def test_a_film_that_waits_for_budget_can_be_cancelled_and_retried_with_money(studio, order):
    film = order("", "", budget=TAKE)
    waits_for_budget(studio, film)
    assert studio.post(f"/jobs/{film.job_id}/cancel").status_code == 202
    studio.until(lambda: studio.job(film.job_id).state.value == "cancelled", why="the job to be cancelled")
    put_cap(studio, scope="job", scope_id=str(film.job_id), limit_amount=2 * TAKE)
    assert studio.post(f"/jobs/{film.job_id}/retry").status_code == 202
    film.done()
    assert film.captured() == film.charged() == 2 * TAKE
    assert {s.state for s in studio.steps(film.job_id, "submit_take")} == {StepState.SUCCEEDED}
