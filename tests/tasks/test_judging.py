"""From what sources offer to what a shot shows: the steps `find_stock`, `rank` and `keep_stock`, in this process."""

from __future__ import annotations

import contextlib
import io
import json
import random
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import delete, select

from core.settings import get_settings
from db.assets import Origin, Shot, TakeOrigin
from db.candidates import Candidate, CandidateState
from db.hashes import AssetHash
from db.session import reading, transaction
from db.work import Step, StepState
from services import plans
from services.films import add_take
from services.jobs import get_job
from services.steps import StepPlan
from tasks import pipeline, wiring
from tests.loopback import Loopback, Reply
from tests.services.buying import make_shots
from tests.services.makers import make_job, make_series, plan, see_step
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


def film(house, *words, of=None, **brief):
    """A job whose film, `of` this project, has a shot for each of these words."""
    job_id = make_job(house, params={"sources": ["folder"], "size": 480, **brief}, project_id=of)
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


class Site:
    """Openverse and where its pictures lie, on loopback: an item has a thumbnail, and a file unless it is gone."""

    def __init__(self, pictures, gone=()):
        self.pictures, self.gone = pictures, set(gone)

    def __call__(self, ask):
        host = ask.headers["host"]
        if ask.path.startswith(("/thumb/", "/file/")):
            number = int(ask.path.rsplit("/", 1)[-1].removesuffix(".jpg"))
            if ask.path.startswith("/file/") and number in self.gone:
                return Reply(404, b"gone", mime="text/plain")
            picture = self.pictures[number]
            return Reply(200, picture, mime="image/jpeg") if picture else Reply(404, b"", mime="text/plain")
        found = [
            {
                "id": f"item-{number}", "title": f"Fox {number}", "url": f"http://{host}/file/{number}.jpg",
                "thumbnail": f"http://{host}/thumb/{number}.jpg", "creator": "Ann", "license": "cc0",
                "license_version": "1.0", "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
                "foreign_landing_url": f"https://site.test/{number}", "width": 960, "height": 540, "tags": [],
            }
            for number in range(len(self.pictures))
        ]  # fmt: skip
        body = {"result_count": len(found), "page_count": 1, "page_size": 20, "page": 1, "results": found}
        return Reply(200, json.dumps(body).encode())


@pytest.fixture
def openverse(house, monkeypatch):
    with contextlib.ExitStack() as stack:

        def at(*pictures, gone=()):
            server = stack.enter_context(Loopback(Site(pictures, gone)))
            monkeypatch.setenv("OPENVERSE_URL", server.url)
            get_settings.cache_clear()
            wiring.http_client.cache_clear()
            return server

        yield at
        wiring.http_client.cache_clear()


def test_look_alikes_are_told_by_their_previews_before_any_file_is_fetched(house, openverse):
    server = openverse(paint(0), paint(0, size=(480, 270), quality=40), None, paint(3))
    job_id, shots = film(house, "fox", "fox", sources=["openverse"])
    source(job_id, shots)
    assert not [ask.path for ask in server.asks if ask.path.startswith("/file/")]
    firsts = {name(candidates(shot)[0]) for shot in shots}
    assert firsts != {"Fox 0", "Fox 1"}
    rows = {name(row): row for row in candidates(shots[0])}
    assert rows["Fox 0"].perceptual_hash == rows["Fox 1"].perceptual_hash
    assert rows["Fox 2"].perceptual_hash is None, "its preview is gone, and it stays a candidate"


def test_a_file_that_a_site_has_lost_gives_way_to_the_next(house, openverse):
    openverse(paint(0), paint(1), paint(2), gone=[0])
    job_id, shots = film(house, "fox", sources=["openverse"])
    source(job_id, shots)
    assert name(candidates(shots[0])[0]) == "Fox 0"
    made = keep(job_id, shots[0])
    assert made.state == "succeeded", made.error_message
    first, second, _ = candidates(shots[0])
    assert first.state is CandidateState.FAILED
    assert "404" in first.reason
    assert second.state is CandidateState.CHOSEN


def show(shot, asset_id):
    """Have the cut show a take of this asset."""
    with transaction() as session:
        row = session.get_one(Shot, shot)
        take = add_take(
            session, row, origin=TakeOrigin.RENDERED, provider="local", model=None, seed=None, cost=0,
            currency="USD", source_asset_id=UUID(asset_id), input_hash=asset_id,
        )  # fmt: skip
        row.selected_take_id = take.id


def test_the_next_film_of_a_project_shows_other_pictures_while_there_are_any(house, folder):
    folder("fox a.jpg", paint(0))
    folder("fox b.jpg", paint(1))
    series = make_series(house)

    def make(title, **brief):
        job_id, shots = film(house, "fox", of=series, title=title, **brief)
        source(job_id, shots)
        show(shots[0], keep(job_id, shots[0]).result["asset_id"])
        return job_id, shots[0]

    first, one = make("Part one")
    second, two = make("Part two")
    third, three = make("Part three")
    assert [name(candidates(shot)[0]) for shot in (one, two)] == ["fox a", "fox b"]
    waits = candidates(two)[1]
    assert waits.state is CandidateState.RECENTLY_USED
    assert waits.reason == "ranked 2 of 2: used in the film “Part one” of this project"
    assert candidates(three)[0].reason.startswith("chosen although used in the film “Part ")
    _, four = make("Part four", fresh_for_films=0)
    assert name(candidates(four)[0]) == "fox a"
    for job_id in (first, second, third):
        assert judged(house, job_id, "rank", None) is plans.PlanState.CURRENT, (
            "later films change no earlier one"
        )


def test_what_has_no_hash_of_its_own_is_known_again_by_its_preview(house, openverse):
    """A clip has none; here a picture's is taken away."""
    openverse(paint(0), paint(5))
    series = make_series(house)
    first, (one,) = film(house, "fox", of=series, sources=["openverse"])
    source(first, [one])
    kept = keep(first, one).result["asset_id"]
    show(one, kept)
    with transaction() as session:
        session.execute(delete(AssetHash).where(AssetHash.asset_id == UUID(kept)))
        session.get_one(Origin, UUID(kept)).foreign_id = "elsewhere"
        session.get_one(Origin, UUID(kept)).canonical_url = None
    second, (two,) = film(house, "fox", of=series, sources=["openverse"])
    source(second, [two])
    assert [(name(row), row.state) for row in candidates(two)] == [
        ("Fox 1", CandidateState.CHOSEN),
        ("Fox 0", CandidateState.RECENTLY_USED),
    ]


def test_what_an_earlier_film_shows_now_makes_the_ranking_of_the_later_one_stale(house, folder):
    folder("fox a.jpg", paint(0))
    folder("fox b.jpg", paint(1))
    series = make_series(house)
    first, (one,) = film(house, "fox", of=series)
    second, (two,) = film(house, "fox", of=series)
    for job_id, shot in ((first, one), (second, two)):
        source(job_id, [shot])
    assert name(candidates(two)[0]) == "fox a", "the first film shows nothing yet"
    assert judged(house, second, "rank", None) is plans.PlanState.CURRENT
    show(one, keep(first, one).result["asset_id"])
    assert judged(house, second, "rank", None) is plans.PlanState.STALE
