"""From what sources offer to what a shot shows: the steps `find_stock`, `rank` and `keep_stock`, in this process."""

from __future__ import annotations

import io
import json
import random

import pytest
from PIL import Image
from sqlalchemy import select

from core.settings import get_settings
from db.assets import Shot
from db.candidates import Candidate, CandidateState
from db.session import reading, transaction
from db.work import Step, StepState
from services import plans
from services.jobs import get_job
from services.steps import StepPlan
from tasks import pipeline
from tests.services.buying import make_shots
from tests.services.makers import make_job, plan, see_step
from tests.tasks.conftest import work_on

CC0 = {"licence": "CC0-1.0", "creator": "A. Person"}


def paint(kind: int, size=(960, 540), quality=90) -> bytes:
    """A picture with much to tell it by; another `kind` looks different, another size does not."""
    noise = random.Random(kind)
    rough = Image.new("L", (12, 8))
    rough.putdata([noise.randrange(256) for _ in range(96)])
    out = io.BytesIO()
    rough.resize(size, Image.Resampling.BICUBIC).convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


@pytest.fixture
def folder(house, tmp_path, monkeypatch):
    """The operator's own folder as the one source; returns a function that puts a picture there."""
    root = tmp_path / "stock"
    root.mkdir()
    monkeypatch.setenv("FOLDER_SOURCES", str(root))
    get_settings.cache_clear()

    def put(name: str, content: bytes, **facts):
        (root / name).write_bytes(content)
        (root / f"{name}.json").write_text(
            json.dumps({**CC0, "title": name.split(".", maxsplit=1)[0], **facts})
        )
        return root / name

    return put


def film(house, *words, **brief):
    """A job whose film has a shot for each of these words, found for and ranked."""
    job_id = make_job(house, params={"sources": ["folder"], "size": 480, **brief})
    shots = make_shots(job_id, len(words))
    with transaction() as session:
        for shot, word in zip(shots, words, strict=True):
            session.get_one(Shot, shot).search_words = [word]
    return job_id, shots


def source(job_id, shots):
    rows = plan(
        job_id,
        *(StepPlan("find_stock", shot) for shot in shots),
        StepPlan("rank", needs=tuple(("find_stock", shot, "") for shot in shots)),
        phase="source",
    )
    for row in rows:
        work_on(row)
        assert see_step(row).state == "succeeded", see_step(row).error_message
    return rows


def candidates(shot):
    with reading() as session:
        return list(
            session.scalars(
                select(Candidate)
                .where(Candidate.shot_id == shot)
                .order_by(Candidate.position.asc().nulls_last(), Candidate.score.desc())
            )
        )


def name(row):
    return row.facts["title"]


def test_every_candidate_is_kept_with_its_marks_and_the_refused_one_with_the_reason(house, folder):
    folder("fox.jpg", paint(0))
    folder("fox far away.jpg", paint(1))
    folder("fox for sale.jpg", paint(2), licence="CC-BY-NC-4.0")
    job_id, shots = film(house, "fox")
    source(job_id, shots)
    first, second, refused = candidates(shots[0])
    assert [row.state for row in (first, second, refused)] == ["chosen", "ranked", "refused"]
    assert first.score >= second.score
    assert first.reason.startswith("chosen: the best of 2")
    assert second.reason.startswith("ranked 2 of 2: scores 0.")
    assert "forbids commercial use" in refused.reason
    assert refused.position is None
    for row in (first, second, refused):
        assert sum(part["weight"] for part in row.parts.values()) == pytest.approx(1)
        total = sum(part["weight"] * part["mark"] for part in row.parts.values())
        assert row.score == pytest.approx(total, abs=0.001)
        assert row.facts["licence"]["id"].startswith("CC")
    assert first.perceptual_hash
    assert refused.perceptual_hash is None


def test_a_copy_of_a_picture_is_not_shown_in_another_shot_while_there_is_another_picture(house, folder):
    folder("fox.jpg", paint(0))
    folder("wolf.jpg", paint(0, size=(800, 450), quality=60))  # the same picture under another name
    folder("wolf in snow.jpg", paint(2))
    job_id, shots = film(house, "fox", "wolf")
    source(job_id, shots)
    fox, wolves = candidates(shots[0]), candidates(shots[1])
    assert [name(row) for row in fox] == ["fox"]
    assert [name(row) for row in wolves] == ["wolf in snow", "wolf"]
    assert wolves[1].state is CandidateState.USED_ELSEWHERE
    assert wolves[1].reason == "ranked 2 of 2: shot 1 shows it already"


def keep(job_id, shot):
    (row,) = plan(job_id, StepPlan("keep_stock", shot), phase="shoot")
    work_on(row)
    return see_step(row)


def judged(house, job_id, kind, shot):
    with reading() as session:
        job = get_job(session, house.workspace_id, job_id)
        lines = plans.plan_job(session, job, pipeline.promise(session, job))
        (line,) = (
            line for line in lines if line.promise.plan.kind == kind and line.promise.plan.subject_id == shot
        )
        return line.state


def test_a_file_that_is_gone_gives_way_to_the_next_candidate_and_both_say_so(house, folder):
    gone = folder("fox at dawn.jpg", paint(0))
    folder("fox in snow.jpg", paint(1))
    job_id, shots = film(house, "fox")
    source(job_id, shots)
    gone.unlink()
    made = keep(job_id, shots[0])
    assert made.state == "succeeded", made.error_message
    first, second = candidates(shots[0])
    assert (name(first), first.state) == ("fox at dawn", CandidateState.FAILED)
    assert first.reason.startswith("failed: ")
    assert first.asset_id is None
    assert (name(second), second.state) == ("fox in snow", CandidateState.CHOSEN)
    assert second.reason == "chosen after 1 that could not be had"
    assert str(second.asset_id) == made.result["asset_id"]
    assert judged(house, job_id, "keep_stock", shots[0]) is plans.PlanState.CURRENT

    # an equal film takes the outcome over, and its candidates say the same
    again, others = film(house, "fox")
    source(again, others)
    taken = keep(again, others[0])
    assert taken.reused_from is not None
    assert [row.state for row in candidates(others[0])] == ["failed", "chosen"]
    assert judged(house, again, "keep_stock", others[0]) is plans.PlanState.CURRENT


@pytest.mark.parametrize("broken", [b"<!doctype html><title>Sign in</title>", paint(0)[:2000]])
def test_a_file_that_is_not_what_it_says_gives_way_too(house, folder, broken):
    bad = folder("fox at dawn.jpg", paint(0))
    folder("fox in snow.jpg", paint(1))
    job_id, shots = film(house, "fox")
    source(job_id, shots)
    bad.write_bytes(broken)
    assert keep(job_id, shots[0]).state == "succeeded"
    assert [row.state for row in candidates(shots[0])] == ["failed", "chosen"]


def test_a_retake_shows_the_next_one_and_the_first_says_that_it_was_shown_before(house, folder):
    for number, title in enumerate(("fox", "fox at night", "fox in the snow at night")):
        folder(f"{title}.jpg", paint(number))
    job_id, shots = film(house, "fox")
    source(job_id, shots)
    first = keep(job_id, shots[0])
    with transaction() as session:
        row = session.get_one(Step, first.id)
        row.state, row.params = StepState.READY, {"retake": 1}
    work_on(first.id)
    second = see_step(first.id)
    assert second.result["asset_id"] != first.result["asset_id"]
    assert [row.state for row in candidates(shots[0])] == ["shown_before", "chosen", "ranked"]
    assert judged(house, job_id, "keep_stock", shots[0]) is plans.PlanState.CURRENT


def test_when_no_file_can_be_had_the_step_fails_and_another_try_goes_on_with_the_rest(house, folder):
    files = [folder(f"fox {number}.jpg", paint(number)) for number in range(7)]
    job_id, shots = film(house, "fox")
    source(job_id, shots)
    ranked = [name(row) for row in candidates(shots[0])]
    for file in files:
        if file.stem in ranked[:6]:
            file.unlink()
    made = keep(job_id, shots[0])
    assert made.state == "failed"
    assert [row.state for row in candidates(shots[0])][:5] == ["failed"] * 5
    with transaction() as session:
        session.get_one(Step, made.id).state = StepState.READY
    work_on(made.id)
    assert see_step(made.id).state == "succeeded"
    assert [row.state for row in candidates(shots[0])] == ["failed"] * 6 + ["chosen"]
