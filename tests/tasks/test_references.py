"""Takes that begin with a picture: it is kept with its licence, named by its bytes, and shown to the vendor."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import select

from db.assets import Asset, AssetKind, Clip, Derivation, Origin, Rendition, RenditionRole, Shot, Take
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Step, StepState
from services import plans
from services.jobs import get_job
from services.manifest import list_credits
from services.steps import StepPlan
from services.submissions import in_seconds
from tasks import pipeline
from tasks.takes import ask_for_take
from tests.services.buying import make_shots
from tests.services.makers import make_job, plan, see_job, see_step
from tests.tasks.conftest import work_on
from tests.vendors_made_up import installed, model, write_vendor


def order(house, reference, **brief):
    """A job with one shot that begins with this picture; its steps `keep_stock` and `submit_take`."""
    job_id = make_job(house, params={"sources": [], **brief})
    (shot,) = make_shots(job_id)
    with transaction() as session:
        session.get_one(Shot, shot).reference = reference
    return (
        job_id,
        shot,
        *plan(job_id, StepPlan("keep_stock", shot), StepPlan("submit_take", shot), phase="shoot"),
    )


def call(name, *arguments):
    from tasks.app import app

    app.tasks[name](*arguments)


def submission_of(job_id) -> Submission:
    with reading() as session:
        return session.scalars(select(Submission).where(Submission.job_id == job_id)).one()


def test_a_take_begins_with_a_picture_that_is_kept_credited_and_part_of_what_is_equal(house, kling, caplog):
    job_id, shot, keep, take = order(house, "samples:rocket", providers=["kling"])
    work_on(keep)
    kept = see_step(keep).result
    assert kept["asset_id"] is None, "what a vendor begins with is not what is shown instead"
    with reading() as session:
        asset = session.get_one(Asset, kept["reference"]["asset_id"])
        assert asset.kind is AssetKind.IMAGE
        assert session.get_one(Origin, asset.id).source == "samples"
        picture = session.scalars(
            select(Rendition).where(Rendition.asset_id == asset.id, Rendition.role == RenditionRole.ORIGINAL)
        ).one()
    work_on(take)
    row = submission_of(job_id)
    assert row.request["reference"] == picture.blob_sha256
    with ask_for_take(row.request) as asked:
        assert asked.image.stat().st_size > 1000
    caplog.set_level(logging.DEBUG, logger="urllib3")  # where another test has configured it to be quiet
    call("send_submission", str(row.id))
    assert submission_of(job_id).state is SubmissionState.SUBMITTED
    assert "/image-to-video/kling-3.0" in caplog.text
    with transaction() as session:
        session.get_one(Submission, row.id).next_poll_at = in_seconds(0)
    call("poll_submissions")
    with reading() as session:
        fetch = session.scalars(select(Step).where(Step.job_id == job_id, Step.kind == "fetch_take")).one()
    work_on(fetch.id)
    with reading() as session:
        made = session.get_one(Take, session.get_one(Shot, shot).selected_take_id)
        assert made.source_asset_id == asset.id
        parents = session.scalars(
            select(Derivation.parent_rendition_id)
            .join(Rendition, Rendition.id == Derivation.child_rendition_id)
            .where(Rendition.asset_id == made.id)
        ).all()
        assert parents == [picture.id]
        (credit,) = list_credits(session, see_job(job_id).film_id)
        assert credit["asset_id"] == str(asset.id)


def test_another_picture_is_another_take(house, kling):
    hashes = set()
    for reference in ("samples:rocket", "samples:coffee", "samples:rocket"):
        job_id, _, keep, take = order(house, reference, providers=["kling"])
        work_on(keep)
        work_on(take)
        hashes.add(submission_of(job_id).input_hash)
    assert len(hashes) == 2


def test_a_changed_reference_makes_the_take_stale(house, kling):
    job_id, shot, keep, take = order(house, "samples:rocket", providers=["kling"])
    work_on(keep)
    work_on(take)
    with transaction() as session:
        session.get_one(Shot, shot).reference = "samples:coffee"
    with reading() as session:
        lines = plans.plan_job(
            session, job := get_job(session, house.workspace_id, job_id), pipeline.promise(session, job)
        )
        found = {line.promise.plan.kind: line for line in lines if line.promise.plan.subject_id == shot}
    assert found["keep_stock"].state is plans.PlanState.STALE
    assert any("reference" in why for why in found["keep_stock"].why)


def test_who_cannot_begin_with_a_picture_is_passed_over(house, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    write_vendor(folder, "words", model("w-1", amount=1))
    with installed(folder):
        job_id, _, keep, take = order(house, "samples:rocket", providers=["words", "local"])
        work_on(keep)
        work_on(take)
    assert see_step(take).result["provider"] == "local"
    assert [w["code"] for w in see_job(job_id).warnings] == ["no_reference"]


def test_a_picture_too_large_for_the_vendor_is_refused_before_anything_is_written_or_held(house, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    small = model("s-1", amount=1, capabilities=["text_to_video", "image_to_video"])
    write_vendor(
        folder, "small", small.replace("[models.price]", "limits = { image_bytes = 10 }\n[models.price]")
    )
    with installed(folder):
        job_id, _, keep, take = order(house, "samples:rocket", providers=["small"])
        work_on(keep)
        work_on(take)
    step = see_step(take)
    assert (step.state, step.error_code) == (StepState.FAILED, "too_large")
    assert "at most 10 bytes" in step.error_message
    with reading() as session:
        assert session.scalars(select(Submission).where(Submission.job_id == job_id)).all() == []


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("http://169.254.169.254/latest/a.png", "unlicensed"),
        ("https://example.test/a.png", "unlicensed"),
        ("asset:018f3c2a-0000-7000-8000-000000000000", "not_found"),
    ],
)
def test_an_address_or_a_stranger_is_no_reference(house, reference, code):
    _, _, keep, _ = order(house, reference)
    work_on(keep)
    assert (see_step(keep).state, see_step(keep).error_code) == (StepState.FAILED, code)


def test_a_clip_of_ours_is_no_reference(house):
    with transaction() as session:
        clip = Clip(workspace_id=house.workspace_id, name="C", sha256="ab" * 32)
        session.add(clip)
        session.flush()
        named = f"asset:{clip.id}"
    _, _, keep, _ = order(house, named)
    work_on(keep)
    assert (see_step(keep).state, see_step(keep).error_code) == (StepState.FAILED, "wrong_kind")


def test_a_picture_of_ours_is_refused_when_the_brief_does_not_take_its_licence(house, kling):
    _, _, keep, _ = order(house, "samples:rocket")
    work_on(keep)
    named = f"asset:{see_step(keep).result['reference']['asset_id']}"
    for allow, state in ((["free", "attribution", "commercial"], "succeeded"), (["custom"], "failed")):
        _, _, again, _ = order(house, named, licences={"allow": allow})
        work_on(again)
        assert see_step(again).state.value == state
