"""When a clip's text is removed by a vendor: asked for, not needed, not allowed, held back there."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from core.errors import Invalid
from core.settings import get_settings
from db.assets import Clip, Rendition, RenditionRole
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Step, StepState
from services import steps, submissions
from services.renditions import add_rendition
from services.steps import StepPlan
from tasks import wiring
from tasks.removers import check_method
from tasks.step import put_file
from tests.services.makers import do, make_job, plan, see_step
from tests.tasks.conftest import work_on

LEFT = {"proof": {"clean": False, "residue_chars": 7}}
BUY = {"accept_unknown_prices": True}


@pytest.fixture
def key(settings, monkeypatch):
    monkeypatch.setenv("GHOSTCUT_API_KEY", "k")
    monkeypatch.setenv("GHOSTCUT_API_SECRET", "s")
    get_settings.cache_clear()
    wiring.http_client.cache_clear()
    yield
    wiring.http_client.cache_clear()


@pytest.fixture
def clip(house, tmp_path):
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"\0" * 2000)
    with transaction() as session:
        row = Clip(workspace_id=house.workspace_id, name="Clip", sha256="0" * 64, duration=20.0)
        session.add(row)
        session.flush()
        stored = put_file(file, mime="video/mp4", filename="clip.mp4", width=640, height=360, duration=20.0)
        add_rendition(
            session,
            workspace_id=house.workspace_id,
            asset_id=row.id,
            role=RenditionRole.ORIGINAL,
            stored=stored,
        )
        return row.id


def ordered(house, clip: UUID, *, texts: int = 1, seen=None, check=None, budget=None, **asked) -> Step:
    """The step that may buy, done after one text was found and its removal here was judged."""
    job_id = make_job(house, kind="text_removal", params={"asset_id": str(clip), **asked}, budget=budget)
    found, checked, order = plan(
        job_id,
        StepPlan("find_text", clip), StepPlan("verify_clip", clip, "local"), StepPlan("order_clip", clip),
        phase="clean",
    )  # fmt: skip
    do(found, {"count": texts, **(seen or {})})
    do(checked, check or {"skipped": "x"})
    work_on(order)
    return see_step(order)


def bought(step: Step) -> list[Submission]:
    with reading() as session:
        return list(session.scalars(select(Submission).where(Submission.step_id == step.id)))


def test_what_could_not_be_cleaned_here_is_ordered_where_a_vendor_has_a_key(house, clip, key):
    step = ordered(house, clip, check=LEFT, **BUY)
    (row,) = bought(step)
    assert (row.provider, row.state, row.quote) == ("ghostcut", SubmissionState.INTENDED, 2_000_000)
    assert row.request["duration"] == 20.0


def test_a_clip_that_nobody_has_described_is_priced_by_what_was_seen_of_it(house, clip, key):
    with transaction() as session:
        row = session.scalars(select(Rendition).where(Rendition.asset_id == clip)).one()
        row.width = row.height = row.duration = None
    seen = {"frames": 500, "fps": 25.0, "width": 640, "height": 360}
    (order,) = bought(ordered(house, clip, seen=seen, check=LEFT, **BUY))
    assert order.quote == 2_000_000
    assert (order.request["width"], order.request["duration"]) == (640, 20.0)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"check": {"proof": {"clean": True}}, **BUY}, "passes"),
        ({"check": LEFT, "method": "local", **BUY}, "local"),
        ({"check": LEFT}, "accept_unknown_prices"),
        ({"check": LEFT, "keep": ["EXIT"], **BUY}, "leaves no text for its words"),
        ({"check": LEFT, "what": "subtitles", **BUY}, "subtitles"),
        ({"texts": 0, **BUY}, "No text was found"),
        ({"texts": 0, "method": "ghostcut", **BUY}, "No text was found"),
    ],
)
def test_nothing_is_bought_without_need_key_or_leave_and_the_step_says_why(house, clip, key, asked, why):
    step = ordered(house, clip, **asked)
    assert step.state is StepState.SUCCEEDED
    assert why in step.result["skipped"]
    assert bought(step) == []


def test_without_a_key_auto_goes_on_with_what_was_done_here_and_a_named_vendor_fails(house, clip):
    step = ordered(house, clip, check=LEFT, **BUY)
    assert (step.state, bought(step)) == (StepState.SUCCEEDED, [])
    named = ordered(house, clip, method="ghostcut", **BUY)
    assert named.state is StepState.FAILED
    assert "GHOSTCUT_API_KEY" in named.error_message


def test_a_budget_that_does_not_allow_it_keeps_what_was_done_here(house, clip, key):
    step = ordered(house, clip, check=LEFT, budget={"amount": 1_500_000, "currency": "PTS"}, **BUY)
    assert step.state is StepState.SUCCEEDED
    assert "budget does not allow" in step.result["skipped"]
    assert bought(step) == []


def test_what_a_vendor_made_and_holds_back_is_never_ordered_again(house, clip, key):
    step = ordered(house, clip, method="ghostcut", **BUY)
    (row,) = bought(step)
    with transaction() as session:
        submissions.mark_failed(session, row.id, code="locked", message="GhostCut failed (83): top up.")
    for _ in range(2):  # as its failure is followed, and as a person retries the job
        with transaction() as session:
            steps.reopen(session, steps.lock_job(session, row.job_id), [step.id])
        work_on(step.id)
        ended = see_step(step.id)
        assert (ended.state, ended.error_code) == (StepState.FAILED, "locked")
        assert "top up" in ended.error_message
    assert len(bought(step)) == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"method": "nobody"}, "method"),
        ({"method": "kling"}, "method"),
        ({"method": "ghostcut", "keep": ["EXIT"]}, "keep"),
        ({"method": "ghostcut", "what": "watermark"}, "what"),
        ({"method": "ghostcut", "languages": ["en", "de"]}, "languages"),
        ({"method": "ghostcut", "languages": ["de"]}, "languages"),
        ({"method": "ghostcut", "regions": [{"corners": [[0, 0], [0.5, 0], [0.5, 0.5]]}]}, "regions"),
        (
            {"method": "ghostcut", "regions": [{"do": "keep", "x": 0, "y": 0, "width": 0.5, "height": 0.1}]},
            "regions",
        ),
    ],
)
def test_what_a_vendor_cannot_be_asked_is_refused_at_the_door_with_its_field(settings, key, asked, field):
    from core.briefs import load_params

    params = load_params("text_removal", {"asset_id": "018f0000-0000-7000-8000-000000000000", **asked})
    with pytest.raises(Invalid) as refused:
        check_method(params)
    assert refused.value.field == f"params.{field}"
    assert "local" in refused.value.message
