"""Films that wait for people: every gate, every verb, through the door."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from db.assets import Film, Rendition, RenditionRole, Take
from db.work import JobState
from media.probe import probe
from services.films import film_shots
from tests.e2e.conftest import Studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TWO = """# Up

[image: samples:rocket]
We go up.

[image: samples:coffee]
We come down.
"""
THREE = TWO + "\n[image: samples:chelsea]\nWe purr.\n"


def shots_of(studio: Studio, job_id: UUID):
    with studio.rows() as session:
        return film_shots(session, studio.job(job_id).film_id)


def takes_of(studio: Studio, shot):
    with studio.rows() as session:
        return list(session.scalars(select(Take).where(Take.shot_id == shot.id).order_by(Take.number)))


def waiting(studio: Studio, job_id: UUID, gate: str):
    job = studio.state_of(job_id, "waiting")
    assert gate in job.waits_reason
    return job


def next_question(studio: Studio, job_id: UUID, count: int):
    """Wait until the job has asked its `count`-th question."""
    from db.review import Approval, ApprovalState

    def look():
        with studio.rows() as session:
            asked = session.scalars(select(Approval.state).where(Approval.job_id == job_id)).all()
        job = studio.job(job_id)
        assert job.state not in (JobState.FAILED, JobState.SUCCEEDED), job.error_message
        return len(asked) == count and ApprovalState.PENDING in asked and job.state is JobState.WAITING

    studio.until(look, why=f"question {count}")


@pytest.mark.both_brokers
def test_a_film_goes_through_three_gates_with_every_kind_of_yes(studio):
    job_id = studio.film(TWO, gates=("script", "takes", "cut"), captions="none")
    next_question(studio, job_id, 1)
    studio.answer(job_id, "retry", instructions="Shorter.")
    next_question(studio, job_id, 2)
    assert len(shots_of(studio, job_id)) == 2
    studio.answer(job_id, "edit", edit={"script": THREE})

    next_question(studio, job_id, 3)
    one, two, three = shots_of(studio, job_id)
    assert three.narration == "We purr."
    assert [len(takes_of(studio, shot)) for shot in (one, two, three)] == [1, 1, 1]
    studio.answer(job_id, "retry", instructions="Slower.", edit={"shots": [str(two.id)]})
    next_question(studio, job_id, 4)
    assert [len(takes_of(studio, shot)) for shot in (one, two, three)] == [1, 2, 1]
    old, new = takes_of(studio, two)
    assert (new.instructions, old.instructions) == ("Slower.", "")
    assert shots_of(studio, job_id)[1].selected_take_id == new.id
    studio.answer(job_id, "edit", edit={"selections": {str(two.id): str(old.id)}})

    next_question(studio, job_id, 5)
    with studio.rows() as session:
        film = session.get_one(Film, studio.job(job_id).film_id)
        first_cut = session.get_one(Rendition, film.master_rendition_id)
    studio.answer(job_id, "edit", edit={"selections": {str(two.id): str(new.id)}})
    next_question(studio, job_id, 6)
    with studio.rows() as session:
        film = session.get_one(Film, studio.job(job_id).film_id)
        second_cut = session.get_one(Rendition, film.master_rendition_id)
    assert second_cut.blob_sha256 != first_cut.blob_sha256
    assert (
        probe(studio.file(second_cut.blob_sha256)).frames == probe(studio.file(first_cut.blob_sha256)).frames
    )
    studio.answer(job_id, "approve")
    done = studio.state_of(job_id, "succeeded")
    assert done.result["sha256"] == second_cut.blob_sha256
    segments = {s.label: s.attempt for s in studio.steps(job_id, "render_segment")}
    assert segments == {"shot 1": 1, "shot 2": 2, "shot 3": 1}


def test_a_rejected_film_fails_with_the_reviewers_words_and_can_be_taken_up_again(studio):
    job_id = studio.film(TWO, gates=("script",), stop_after="write")
    waiting(studio, job_id, "script")
    studio.answer(job_id, "reject", instructions="Not funny.")
    job = studio.state_of(job_id, "failed")
    assert (job.error_code, job.error_message) == ("rejected", "Rejected at the script gate: Not funny.")
    assert studio.post(f"/jobs/{job_id}/retry").status_code == 202
    waiting(studio, job_id, "script")
    studio.answer(job_id, "approve")
    job = studio.state_of(job_id, "succeeded")
    assert job.phase == "write"
    assert {s.attempt for s in studio.steps(job_id)} == {1}


def test_a_film_that_stopped_after_a_phase_goes_on_from_there(studio):
    job_id = studio.film(TWO, stop_after="source", captions="none")
    job = studio.state_of(job_id, "succeeded")
    assert job.phase == "source"
    assert studio.steps(job_id, "submit_take") == []
    before = {s.id: s.attempt for s in studio.steps(job_id)}
    answer = studio.post(f"/jobs/{job_id}/resume")
    assert answer.status_code == 202, answer.text
    assert answer.json()["progress"] < 1
    done = studio.state_of(job_id, "succeeded")
    assert done.phase == "deliver"
    assert {s.id: s.attempt for s in studio.steps(job_id) if s.id in before} == before
    with studio.rows() as session:
        assert session.scalar(
            select(Rendition.id).where(
                Rendition.asset_id == done.film_id, Rendition.role == RenditionRole.MASTER
            )
        )


def test_a_question_can_be_answered_once(studio):
    job_id = studio.film(TWO, gates=("script",), stop_after="write")
    waiting(studio, job_id, "script")
    (pending,) = [a for a in studio.get("/approvals/pending")["items"] if a["job_id"] == str(job_id)]
    path = f"/approvals/{pending['id']}/respond"
    assert studio.post(path, {"verb": "approve"}).status_code == 200
    second = studio.post(path, {"verb": "reject"})
    assert second.status_code == 409
    assert "answered" in second.text
    studio.state_of(job_id, "succeeded")
