"""The plan of a job: which of its steps are made, still to be made, or made from what has changed since.

    missing   not made, and could be; or it failed, and why
    blocked   not made, and something that must be made first is missing
    stale     made, from inputs that have changed since; `why` names them
    current   made from what it would be made from now

Reckoned whenever it is asked for and never stored: a step's row has a digest of each input it was made
from, `services.inputs` says what they are now. Stale work stays usable until a person asks for a remake.
A take that a person approved stays that person's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Conflict
from core.hashing import fingerprints
from db.work import ENDED_JOB, Job, JobKind, JobState, Step, StepState
from services import deadlines, progress
from services.events import record
from services.jobs import get_job, unselect
from services.scene import Scene, read_scene
from services.steps import StepPlan, list_steps, lock_job, reopen

Key = tuple[str, UUID | None, str]
FEEDS: dict[str, tuple[str, ...]] = {
    "rank": ("find_stock",),
    "keep_stock": ("find_stock",),
    "submit_take": ("narrate", "keep_stock"),
    "clean_take": ("submit_take",),
    "render_segment": ("narrate", "clean_take"),
    "mix_sound": ("narrate", "find_music", "keep_stock", "clean_take"),
    "credits_card": ("find_music", "keep_stock"),
    "compose": ("render_segment", "mix_sound", "credits_card"),
    "close": ("compose",),
    "moderate": ("compose",),
    "export poster": ("compose",),
    "export manifest": ("compose",),
    "export srt": ("narrate",),
    "export vtt": ("narrate",),
    "export credits_txt": ("find_music", "keep_stock"),
    "export credits_csv": ("find_music", "keep_stock"),
    "export credits_json": ("find_music", "keep_stock"),
    "clean_clip": ("find_text",),
    "verify_clip": ("find_text", "clean_clip", "order_clip"),
    "order_clip": ("find_text", "clean_clip"),
    "report_clip": ("verify_clip",),
    "keep_candidates": ("search_source",),
}
"""Whose results each kind is made from: the shot's own where both work on a shot, else all of them."""
WHOLE = frozenset({"mix_sound", "credits_card", "compose", "rank"})
"""Kinds that every shot of the film goes into."""
WORDS = {
    "script": "text",
    "script_format": "text",
    "asked_duration": "length",
    "frames": "length",
    "seconds": "length",
    "search_words": "search words",
    "licences": "licence policy",
    "size": "format",
    "width": "format",
    "height": "format",
    "move": "camera",
    "take": "take",
    "words": "spoken words",
    "opening": "place in the film",
    "seed": "place in the film",
    "voices": "narrations",
    "segments": "shots",
    "candidates": "pictures found",
    "master": "picture or sound",
    "audio": "own sound",
    "takes": "takes' own sound",
}
"""What people call an input, where its own name is another."""


OF_THE_FILM = frozenset(
    {"narrator", "voice", "language", "captions", "size", "width", "height", "fps", "licences"}
)
"""Inputs that one film has in common, whichever shot's step they went into."""


class PlanState(StrEnum):
    MISSING = "missing"
    STALE = "stale"
    CURRENT = "current"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Promise:
    """A step that a job's phases promise; `spare`: the job goes on without it."""

    phase: str
    plan: StepPlan
    spare: bool


@dataclass(frozen=True)
class Planned:
    """One line of the plan. `row` is None while its phase has not begun; `kept`: a person chose it so."""

    promise: Promise
    row: Step | None
    state: PlanState
    why: tuple[str, ...] = ()
    kept: bool = False


def plan_job(session: Session, job: Job, promises: Sequence[Promise]) -> list[Planned]:
    """Judge every promised step, in the order of the phases."""
    rows = {(row.kind, row.subject_id, row.variant): row for row in list_steps(session, job.id)}
    scene = read_scene(session, job, rows)
    judged: dict[Key, Planned] = {}
    for promise in promises:
        plan = promise.plan
        if plan.subject_id is not None and scene.is_cut(plan.subject_id):
            continue
        row = rows.get(plan.key)
        if row is None or row.state is not StepState.SUCCEEDED:
            judged[plan.key] = _not_made(job, promise, row, judged)
            continue
        own = tuple(_changes(scene, promise, row))
        handed = tuple(why for feed in _feeds(scene, plan, judged) for why in feed.why)
        causes = tuple(dict.fromkeys((*own, *handed)))
        state = PlanState.STALE if causes else PlanState.CURRENT
        kept = bool(causes) and plan.kind == "submit_take" and scene.is_chosen(plan.subject_id)
        judged[plan.key] = Planned(promise, row, state, causes, kept)
    return list(judged.values())


def remake_job(
    session: Session, workspace_id: UUID, job_id: UUID, promised: Callable[[Session, Job], list[Promise]]
) -> Job:
    """Have an ended job make what is missing or stale, and nothing else; its film keeps its identity.

    Raises Conflict while the job runs, and when there is nothing to make. Gates that were passed are not
    asked again.
    """
    get_job(session, workspace_id, job_id)
    job = lock_job(session, job_id)
    if job.state not in ENDED_JOB:
        raise Conflict(f"The job is {job.state.value}; it can be remade once it has ended.", field="state")
    if job.kind is JobKind.FILM and job.film_id is None:
        raise Conflict("The film of this job has been deleted.", field="film_id")
    plan = plan_job(session, job, promised(session, job))
    todo = [line for line in plan if line.state is not PlanState.CURRENT and not line.kept]
    if not todo:
        raise Conflict("Everything is current: there is nothing to remake.", field="state")
    with progress.kept(session, job):
        _reopen(session, job, todo)
        job.phase = _phase_to_resume(plan, todo)
    job.remaking = True
    job.state = JobState.RUNNING
    job.error_code = None
    job.error_message = None
    job.finished_at = None
    deadlines.renew(job)
    causes = list(dict.fromkeys(why for line in todo for why in line.why))
    record(
        session,
        workspace_id=job.workspace_id,
        job_id=job.id,
        kind="job.remade",
        payload={"steps": len(todo), "why": causes[:20]},
    )
    return job


def reopen_stale(session: Session, job: Job, phase: str, promises: Sequence[Promise]) -> None:
    """Open again what the phases before it have made stale in a phase that a remake enters.

    A remake foresees most of it; what a new ranking or a credit changes is known only here.
    """
    plan = plan_job(session, job, promises)
    _reopen(
        session,
        job,
        [
            line
            for line in plan
            if line.promise.phase == phase and line.state is PlanState.STALE and not line.kept
        ],
    )
    session.flush()


def _reopen(session: Session, job: Job, lines: Sequence[Planned]) -> None:
    rows = [line.row for line in lines if line.row is not None]
    reopen(session, job, [row.id for row in rows])
    unselect(session, [row.subject_id for row in rows if row.kind == "submit_take"])


def _phase_to_resume(plan: Sequence[Planned], todo: Sequence[Planned]) -> str | None:
    """The phase that has the first thing to make; the one before, when rows must be planned in it first."""
    phases = list(dict.fromkeys(line.promise.phase for line in plan))
    first = todo[0].promise.phase
    if all(line.row is not None for line in todo if line.promise.phase == first):
        return first
    place = phases.index(first)
    return phases[place - 1] if place else None


def name_step(plan: StepPlan) -> str:
    """A step as people read it: `narrate shot 4`, `export proxy`."""
    return f"{plan.kind} {plan.label or plan.variant}".strip()


def _not_made(job: Job, promise: Promise, row: Step | None, judged: dict[Key, Planned]) -> Planned:
    if row is not None and row.state is StepState.RUNNING:
        return Planned(promise, row, PlanState.MISSING, ("is being made",))
    if row is not None and row.state is StepState.FAILED:
        return Planned(promise, row, PlanState.MISSING, (f"failed: {row.error_message or row.error_code}",))
    for line in judged.values():
        first = line.promise.phase != promise.phase or line.promise.plan.key in promise.plan.needs
        if first and not _has_ended(line):
            return Planned(promise, row, PlanState.BLOCKED, (f"needs {name_step(line.promise.plan)}",))
    if row is None and job.state is JobState.WAITING and job.phase != promise.phase:
        return Planned(promise, row, PlanState.BLOCKED, (job.waits_reason or "the job waits",))
    return Planned(promise, row, PlanState.MISSING, ("is not made yet",))


def _has_ended(line: Planned) -> bool:
    """Whether what needs this step can go on: it is made, or spare and failed."""
    if line.state in (PlanState.CURRENT, PlanState.STALE):
        return True
    return line.promise.spare and line.row is not None and line.row.state is StepState.FAILED


def _changes(scene: Scene, promise: Promise, row: Step) -> Iterator[str]:
    """What of a step's own inputs is no longer what it was made from, in a person's words."""
    plan = promise.plan
    if scene.reshaped and (plan.kind in WHOLE or plan.variant.startswith("credits")):
        yield scene.reshaped
    now = fingerprints(scene.inputs_of(plan, row))
    subject = "film" if plan.subject_id is None else plan.label or "clip"
    for name, mark in now.items():
        if row.inputs.get(name, mark) != mark:
            last = name.rpartition(".")[2]
            about = "script" if plan.kind == "break_down" else "film" if last in OF_THE_FILM else subject
            yield f"{about}: {WORDS.get(last, last.replace('_', ' '))} changed"


def _feeds(scene: Scene, plan: StepPlan, judged: dict[Key, Planned]) -> Iterator[Planned]:
    """The stale steps whose results go into this one."""
    kinds = FEEDS.get(plan.kind) or FEEDS.get(f"{plan.kind} {plan.variant}", ())
    for line in judged.values():
        feed = line.promise.plan
        if feed.kind not in kinds or line.state is not PlanState.STALE or line.kept:
            continue
        if plan.subject_id is not None and feed.subject_id not in (None, plan.subject_id):
            continue
        if plan.kind == "keep_stock" and scene.is_pinned(plan.subject_id):
            continue
        if (plan.kind, feed.kind) == ("mix_sound", "clean_take") and not scene.is_heard(feed.subject_id):
            continue
        yield line
