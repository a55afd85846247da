"""A job with one shot whose take is bought, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update

from db.assets import Film, Script
from db.money import Hold
from db.session import reading, transaction
from db.submissions import Submission
from db.work import Job
from services import submissions
from services.films import add_script_version, write_shots
from services.steps import StepPlan
from services.submissions import Outgoing
from tests.services.makers import House, do, make_job, plan

PRICE = 252_000
REQUEST = {
    "purpose": "shot",
    "prompt": "A fox",
    "width": 426,
    "height": 240,
    "fps": 24,
    "frames": 72,
    "seed": 0,
}


@dataclass(frozen=True)
class Bought:
    """One submission, the step that asked for it, and whose it is."""

    id: UUID
    job_id: UUID
    step_id: UUID
    shot_id: UUID


def make_shots(job_id: UUID, count: int = 1) -> list[UUID]:
    with transaction() as session:
        film = session.get_one(Film, session.get_one(Job, job_id).film_id)
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session, script, text="x", fmt="plain", scenes=[], author="client", origin="brief"
        )
        plans = [{"name": f"Shot {n}", "scene": 1, "narration": "A fox.", "frames": 72} for n in range(count)]
        return [shot.id for shot in write_shots(session, film, version, plans)]


def intend(job_id: UUID, step_id: UUID, shot_id: UUID, **more: Any) -> UUID:
    wanted: dict[str, Any] = {
        "provider": "kling", "model": "kling-3.0", "endpoint": "http://vendor.test", "request": REQUEST,
        "quote": PRICE, "deadline": timedelta(hours=1), **more,
    }  # fmt: skip
    with transaction() as session:
        return submissions.intend(
            session, session.get_one(Job, job_id), step_id=step_id, shot_id=shot_id, purpose="shot",
            currency="USD", **wanted,
        ).id  # fmt: skip


def make_submission(house: House, **more: Any) -> Bought:
    """A job in phase shoot whose `submit_take` has ended with an intended submission."""
    params = {"providers": ["kling", "local"], "sources": []}
    job_id = make_job(house, params=params, **{k: more.pop(k) for k in ("budget",) if k in more})
    (shot_id,) = make_shots(job_id)
    stock, step_id = plan(
        job_id,
        StepPlan("keep_stock", shot_id, label="shot 1"),
        StepPlan("submit_take", shot_id, label="shot 1"),
        phase="shoot",
    )
    do(stock, {"asset_id": None})
    submission_id = intend(job_id, step_id, shot_id, **more)
    do(step_id, {"submission_id": str(submission_id), "provider": "kling", "inputs": "ab" * 32})
    return Bought(submission_id, job_id, step_id, shot_id)


def send(bought: Bought) -> Outgoing:
    with transaction() as session:
        sent = submissions.take_to_send(session, bought.id)
    assert sent is not None
    return sent


def submit(bought: Bought, vendor_id: str = "v-1") -> None:
    send(bought)
    with transaction() as session:
        assert submissions.mark_submitted(session, bought.id, vendor_id, receipt={}, first_poll=0)


def answer(bought: Bought, cost: int | None = None, **raw: Any) -> tuple[UUID, int] | None:
    with transaction() as session:
        return submissions.mark_answered(session, bought.id, cost=cost, answer=raw)


def fail(bought: Bought, code: str = "vendor_failed", message: str = "It would not.") -> UUID | None:
    with transaction() as session:
        return submissions.mark_failed(session, bought.id, code=code, message=message)


def see(submission_id: UUID) -> Submission:
    with reading() as session:
        return session.get_one(Submission, submission_id)


def hold_of(bought: Bought) -> Hold:
    with reading() as session:
        return session.get_one(Hold, session.get_one(Submission, bought.id).hold_id)


def ago(bought: Bought, **columns: float) -> None:
    """Set moments of a submission to so many seconds before now."""
    with transaction() as session:
        session.execute(
            update(Submission)
            .where(Submission.id == bought.id)
            .values({name: func.now() - timedelta(seconds=seconds) for name, seconds in columns.items()})
        )
