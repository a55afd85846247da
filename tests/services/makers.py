"""Workspaces, jobs and steps as rows, for tests of the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.briefs import load_params
from core.ids import new_id
from db.assets import Project
from db.session import reading, transaction
from db.work import Job, JobState, Step, StepState
from services import claims, jobs, steps
from services.accounts import create_workspace
from services.claims import Claim
from services.films import film_shots
from services.steps import StepPlan

LEASE = timedelta(seconds=30)
SCRIPT = "# Up\n\n## Night\n\nThe sky is full of stars.\n\nThe moon rises slowly."


@dataclass(frozen=True)
class House:
    workspace_id: UUID
    user_id: UUID


def make_house(name: str = "House") -> House:
    with transaction() as session:
        workspace, user = create_workspace(session, name, f"{name.lower()}-{new_id()}@example.test", name)
    return House(workspace.id, user.id)


def make_job(house: House, *, kind: str = "film", params: dict[str, Any] | None = None, **more: Any) -> UUID:
    asked = {"script": SCRIPT, "sources": ["samples"]} | (params or {}) if kind == "film" else params or {}
    with transaction() as session:
        job = jobs.submit_job(
            session,
            workspace_id=house.workspace_id,
            user_id=house.user_id,
            kind=kind,
            params=load_params(kind, asked),
            **more,
        )
    return job.id


def make_series(house: House) -> UUID:
    """A project whose films should not show the same pictures or play the same music."""
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="Series")
        session.add(project)
        session.flush()
        return project.id


def plan(job_id: UUID, *plans: StepPlan, phase: str = "write") -> list[UUID]:
    """Write steps of a phase; returns their ids in the order of the plans."""
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        job.state = JobState.RUNNING
        job.phase = phase
        steps.plan_steps(session, job, phase, plans)
    with reading() as session:
        rows = {(s.kind, s.subject_id, s.variant): s.id for s in steps.list_steps(session, job_id)}
    return [rows[p.key] for p in plans]


def take_up(step_id: UUID, worker: str = "w1", lease: timedelta = LEASE) -> Claim | None:
    with transaction() as session:
        taken = claims.claim(session, step_id, worker=worker, task_id="t", lease=lease)
    return taken[0] if taken else None


def end(held: Claim, result: dict[str, Any] | None = None, *, input_hash: str | None = None) -> bool:
    """Save a held step as succeeded; False when the fence was lost."""
    with transaction() as session:
        if not claims.hold_fence(session, held):
            return False
        claims.finish(
            session, held, result=result or {}, input_hash=input_hash, reused_from=None, figures={"s": 1}
        )
    return True


def beat(held: Claim, share: float) -> None:
    """Extend a held step's lease and say how much of it is done."""
    with transaction() as session:
        assert claims.extend_leases(session, [(held, share)], lease=LEASE)


def finish(held: Claim, *, reused: bool = False) -> None:
    """Save a held step as succeeded, taken over from itself or done."""
    with transaction() as session:
        assert claims.finish(
            session,
            held,
            result={},
            input_hash=None,
            reused_from=held.step_id if reused else None,
            figures={},
        )


def give_back(held: Claim, state: StepState, outcome: str) -> None:
    with transaction() as session:
        claims.give_back(session, held, state=state, outcome=outcome, code="x", message="x")


def do(step_id: UUID, result: dict[str, Any] | None = None, *, input_hash: str | None = None) -> Claim:
    held = take_up(step_id)
    assert held is not None
    assert end(held, result, input_hash=input_hash)
    return held


def see_step(step_id: UUID) -> Step:
    with reading() as session:
        return session.get_one(Step, step_id)


def see_job(job_id: UUID) -> Job:
    with reading() as session:
        return session.get_one(Job, job_id)


def see_shots(job_id: UUID) -> list[Any]:
    with reading() as session:
        return film_shots(session, session.get_one(Job, job_id).film_id)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(0) … work(count - 1)` in threads that start together; errors are returned as values."""
    answers: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait(10)
        try:
            answers[number] = work(number)
        except Exception as error:  # noqa: BLE001 (the test judges it)
            answers[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return answers
