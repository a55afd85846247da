"""Takes bought from a vendor with real workers and beat: each is paid once, whatever goes wrong on the way."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from db.assets import Shot, Take, TakeOrigin
from db.submissions import Submission, SubmissionState
from services.films import film_shots
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_numbers = itertools.count(1)


class Order:
    """A film whose takes are bought, told apart at the vendor by a word in its prompts."""

    def __init__(self, studio: Studio, vendors, *faults: str, budget: int | None = None, **params) -> None:
        self.studio, self.vendors = studio, vendors
        self.word = f"reel{next(_numbers)}"
        shots = [
            f"[prompt: {self.word} shot{n} {fault and f'fault-{fault}'}]\n[duration: 3]\nLine {n}."
            for n, fault in enumerate(faults)
        ]
        wanted = {"providers": ["kling", "local"], "sources": [], "captions": "none", **params}
        more = {} if budget is None else {"budget": {"amount": budget}}
        brief = {"script": "# Reel\n\n" + "\n\n".join(shots), "size": 240, "fps": 24, **wanted}
        self.job_id = studio.submit("film", brief, **more)

    def bought(self, shot: int | None = None):
        return self.vendors.bought(self.word if shot is None else f"{self.word} shot{shot}")

    def charged(self) -> int:
        return sum(task["charged"] for task in self.bought())

    def captured(self) -> int:
        """What the ledger says went to vendors for this job."""
        return self.studio.captured(self.job_id)

    def submissions(self) -> list[Submission]:
        with self.studio.rows() as session:
            query = select(Submission).where(
                Submission.job_id == self.job_id, Submission.deadline_at.is_not(None)
            )
            return list(session.scalars(query.order_by(Submission.created_at)))

    def takes(self) -> list[Take | None]:
        """The take each shot shows."""
        with self.studio.rows() as session:
            shots = film_shots(session, self.studio.job(self.job_id).film_id)
            return [session.get(Take, s.selected_take_id) if s.selected_take_id else None for s in shots]

    def origins(self) -> list[str]:
        return [take.origin.value if take else "none" for take in self.takes()]

    def done(self):
        return self.studio.state_of(self.job_id, "succeeded")


@pytest.fixture
def order(studio, vendors):
    return lambda *faults, **params: Order(studio, vendors, *faults, **params)


def test_a_film_of_bought_takes_costs_what_the_vendor_bills(order, studio):
    film = order("", "", "")
    job = film.done()
    assert film.origins() == ["generated"] * 3
    assert len(film.bought()) == 3
    assert film.captured() == film.charged() == 3 * 3 * 84_000
    assert job.warnings == []
    assert studio.get(f"/jobs/{film.job_id}")["cost"] == {
        "captured": film.charged(), "held": 0, "quoted": film.charged(), "currency": "USD", "others": []
    }  # fmt: skip
    assert {s.state for s in film.submissions()} == {SubmissionState.SUCCEEDED}
    assert {s.result["provider"] for s in studio.steps(film.job_id, "submit_take")} == {"kling"}


def test_the_same_film_again_buys_nothing(order, studio):
    first = order("")
    first.done()
    with studio.rows() as session:
        script = studio.job(first.job_id).params["script"]
        assert session.scalar(select(func.count()).select_from(Take)) > 0
    again = studio.film(script, providers=["kling", "local"], sources=[], captions="none")
    studio.state_of(again, "succeeded")
    assert len(first.bought()) == 1
    (step,) = studio.steps(again, "submit_take")
    assert step.reused_from is not None
    with studio.rows() as session:
        shot = session.scalar(select(Shot).where(Shot.film_id == studio.job(again).film_id))
        assert session.get(Take, shot.selected_take_id).origin is TakeOrigin.GENERATED


def test_what_the_vendor_accepted_without_saying_so_is_bought_once(order):
    film = order("down-after", "reset-after", "garbage-after", "")
    film.done()
    assert [len(film.bought(n)) for n in range(4)] == [1, 1, 1, 1]
    assert film.origins() == ["generated"] * 4
    assert film.captured() == film.charged() == 4 * 3 * 84_000


def test_what_the_vendor_refused_for_now_or_never_got_is_sent_again_and_bought_once(order):
    film = order("throttled", "throttled-wait", "busy", "down-before", "reset-before")
    film.done()
    assert [len(film.bought(n)) for n in range(5)] == [1] * 5
    assert film.origins() == ["generated"] * 5
    assert film.captured() == film.charged()


def test_a_hanging_answer_does_not_hold_up_its_take(order):
    film = order("hang-after")
    film.done()
    assert len(film.bought()) == 1
    assert film.origins() == ["generated"]
    assert film.captured() == film.charged() > 0


def test_a_worker_killed_between_the_wire_and_the_database_buys_once(order, studio):
    film = order("hang-after")
    studio.until(film.bought, why="the vendor to accept the take")
    assert [s.state for s in film.submissions()] == [SubmissionState.SENDING]
    studio.stack.kill("worker-io")
    studio.stack.start("worker-io")
    film.done()
    assert len(film.bought()) == 1
    assert film.origins() == ["generated"]
    assert film.captured() == film.charged() > 0


def test_one_bad_take_falls_back_and_loses_no_other(order, studio):
    film = order("", "failed", "moderated", "broke", "")
    job = film.done()
    assert film.origins() == ["generated", "rendered", "rendered", "rendered", "generated"]
    assert film.captured() == film.charged() == 2 * 3 * 84_000
    assert [w["code"] for w in job.warnings if w.get("provider") == "kling"].count("moderated") == 2
    assert studio.get(f"/jobs/{film.job_id}")["cost"]["held"] == 0


def test_a_result_that_is_broken_once_is_fetched_again_and_never_bought_again(order, studio):
    film = order("missing-once", "truncated-once", "corrupt-once")
    film.done()
    assert len(film.bought()) == 3
    assert film.origins() == ["generated"] * 3
    assert {s.attempt for s in studio.steps(film.job_id, "submit_take")} == {1}
    fetches = {s.label: s.attempt for s in studio.steps(film.job_id, "fetch_take")}
    assert fetches == {"shot 1": 2, "shot 2": 1, "shot 3": 2}, "a cut-off download is begun again at once"
    assert film.captured() == film.charged()


def test_a_take_that_never_comes_is_made_by_the_next_provider_after_the_deadline(order, studio):
    film = order("never")
    studio.until(lambda: [s.state.value for s in film.submissions()] == ["running"], why="the vendor to work")
    with studio.rows() as session:
        session.execute(
            update(Submission).where(Submission.job_id == film.job_id).values(deadline_at=func.now())
        )
        session.commit()
    film.done()
    assert film.origins() == ["rendered"]
    (left,) = film.submissions()
    assert left.state is SubmissionState.RUNNING
    assert left.given_up_at is not None
    assert studio.get(f"/jobs/{film.job_id}")["cost"]["held"] == left.quote


def test_a_cancelled_job_keeps_the_take_it_paid_for(order, studio):
    film = order("slow")
    studio.until(film.bought, why="the vendor to accept the take")
    studio.state_of(film.job_id, "waiting")
    assert studio.job(film.job_id).waits_for.value == "provider"
    assert studio.post(f"/jobs/{film.job_id}/cancel").status_code == 202
    studio.state_of(film.job_id, "cancelled", seconds=10)
    studio.until(
        lambda: [s.state.value for s in film.submissions()] == ["succeeded"], why="the late take to be kept"
    )
    assert film.origins() == ["generated"]
    assert film.captured() == film.charged() == 3 * 84_000
    assert studio.post(f"/jobs/{film.job_id}/retry").status_code == 202
    film.done()
    assert len(film.bought()) == 1


def test_a_vendor_that_dies_and_comes_back_sells_every_take_once(order, studio, vendors):
    film = order("slow", "slow")
    studio.until(lambda: len(film.bought()) == 2, why="the vendor to accept the takes")
    vendors.stop()
    studio.until(lambda: studio.job(film.job_id).waits_for is not None, why="the job to wait")
    vendors.start()
    film.done()
    assert len(film.bought()) == 2
    assert film.origins() == ["generated"] * 2
    assert film.captured() == film.charged()


def test_a_job_shows_what_it_waits_for(order, studio):
    film = order("never", on_shot_failure="halt")
    studio.state_of(film.job_id, "waiting")
    studio.until(film.bought, why="the vendor to accept the take")
    studio.until(lambda: film.submissions()[0].vendor_id, why="its id to be written down")
    shown = studio.get(f"/jobs/{film.job_id}")
    assert (shown["waits_for"], shown["waits_reason"]) == ("provider", "Waits for a provider's answer.")
    (submission,) = shown["submissions"]
    assert UUID(submission["id"]) == film.submissions()[0].id
    assert submission["provider"] == "kling"
    assert submission["state"] in ("submitted", "running")
    assert submission["vendor_id"] == film.bought()[0]["vendor_id"]
    assert submission["next_poll_at"] is not None
    assert studio.post(f"/jobs/{film.job_id}/cancel").status_code == 202


def test_the_cheapest_that_can_begin_with_a_shots_picture_is_bought_and_says_why(order, studio, vendors):
    film = order("", "", providers=["fal", "kling:kling-2.6"], routing="cheapest", sources=["samples"])
    film.done()
    assert film.origins() == ["generated"] * 2
    assert {(s.provider, s.model) for s in film.submissions()} == {("kling", "kling-2.6")}
    assert film.captured() == film.charged() == 2 * 5 * 42_000
    for item in studio.get(f"/submissions?job_id={film.job_id}")["items"]:
        assert item["routing"]["policy"] == "cheapest"
        assert [one["code"] for one in item["routing"]["considered"]] == ["spare", "taken"]
    word = f"reel{next(_numbers)}"
    script = f"# Reel\n\n[prompt: {word}]\n[duration: 3]\n[reference: samples:rocket]\nUp."
    again = studio.film(script, providers=["fal", "kling:kling-2.6"], routing="cheapest", captions="none")
    studio.state_of(again, "succeeded")
    assert len(vendors.bought(word)) == 1
    (credit,) = studio.get(f"/jobs/{again}/manifest")["credits"]
    assert credit["source"] == "samples"
