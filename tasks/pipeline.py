"""The call sheet: what a job of each kind is, phase by phase, and how it moves from one to the next.

    film:          write ─▶ [script] ─▶ source ─▶ shoot ─▶ [takes] ─▶ finish ─▶ [cut] ─▶ deliver
    text_removal:  detect ─▶ clean ─▶ deliver
    scrape:        search ─▶ keep

A phase is a tree of steps (`Chain`, `Chord`, `Group`). The tree becomes rows first, each row naming the
rows it needs, and then a Celery canvas of the same shape. The rows are the truth: a phase is complete
when its rows have ended, never because Celery says so, and a row that nobody works on is sent again.
`advance` moves a job on; whoever learns something new calls it, and calling it once too often is harmless.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from uuid import UUID

import structlog
from celery import chain, chord, group
from sqlalchemy import func
from sqlalchemy.orm import Session

from core.briefs import FILM_PHASES
from core.failpoints import reach
from core.settings import get_settings
from db.assets import Film, Shot
from db.review import Gate
from db.session import after_commit, single, transaction
from db.work import ENDED_JOB, Job, JobKind, JobState, Step, StepState, WaitsFor
from services import approvals, claims, deadlines, events, outcomes, plans, progress, steps
from services.claims import Claim
from services.films import film_shots
from services.plans import Planned, Promise
from services.shortages import explain_shortage, stopped_by_money
from services.steps import StepPlan
from tasks import wakeups
from tasks.app import app

log = structlog.get_logger()

NEWS_SECONDS = 6 * 3600
"""After this, nobody needs to be told any more."""
PUBLISH_SECONDS = 1.0
"""How long a caller waits for the broker; what it could not take is sent by the sweeper."""


# -- shapes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    members: tuple[StepPlan, ...]


@dataclass(frozen=True)
class Group:
    """Side by side."""

    members: tuple[Chain | StepPlan, ...]


@dataclass(frozen=True)
class Chord:
    """Side by side, then the body."""

    header: tuple[Chain | StepPlan, ...]
    body: StepPlan


Shape = Chain | Group | Chord


@dataclass(frozen=True)
class Phase:
    name: str
    shape: Callable[[Session, Job], Shape]
    gate: Gate | None = None
    """The question asked when the phase is complete, if the job has this gate."""
    follow: Callable[[Session, Job], None] | None = None
    """What to make of the outside's answers before the rows are looked at; its shape may have grown."""


# -- the film -------------------------------------------------------------------------------------


def _write(_: Session, __: Job) -> Shape:
    return Chain((StepPlan("write_script"), StepPlan("break_down")))


def _source(session: Session, job: Job) -> Shape:
    shots = _shots(session, job)
    header = [_for_shot("narrate", shot) for shot in shots]
    header += [_for_shot("find_stock", shot) for shot in shots]
    if job.params["music"]["from"] != "none":
        header.append(StepPlan("find_music"))
    return Chord(tuple(header), StepPlan("rank"))


def _shoot(session: Session, job: Job) -> Shape:
    """A chain for every shot, and a step for every take that a vendor has made: those come as it answers."""
    shots = {shot.id: shot for shot in _shots(session, job)}
    chains = [Chain((_for_shot("keep_stock", s), _for_shot("submit_take", s))) for s in shots.values()]
    fetches = [
        StepPlan("fetch_take", shot, str(submission), _label(shots[shot]), needs=(("submit_take", shot, ""),))
        for submission, shot in outcomes.to_fetch(session, job.id)
        if shot in shots
    ]
    return Group((*chains, *fetches))


def _finish(session: Session, job: Job) -> Shape:
    """Sound and end card wait for every look at a take: a broken one gives way to another, and its credit."""
    shots = _shots(session, job)
    segments = [Chain((_for_shot("clean_take", s), _for_shot("render_segment", s))) for s in shots]
    looks = tuple(_for_shot("clean_take", shot).key for shot in shots)
    sound, credit = StepPlan("mix_sound", needs=looks), StepPlan("credits_card", needs=looks)
    return Chord((*segments, sound, credit), StepPlan("compose"))


def _deliver(_: Session, job: Job) -> Shape:
    """Where the brief has the master judged, nothing is derived from it before."""
    kinds = ("poster", "srt", "vtt", "credits_txt", "credits_csv", "credits_json", "manifest")
    judged = [StepPlan("moderate")] if job.params.get("moderation", "none") != "none" else []
    needs = tuple(plan.key for plan in judged)
    exports = [StepPlan("export", variant=kind, label=kind, needs=needs) for kind in kinds]
    return Chord((*judged, *exports), StepPlan("close"))


# -- the smaller jobs -----------------------------------------------------------------------------


def _detect(_: Session, job: Job) -> Shape:
    return Chain((StepPlan("find_text", UUID(job.params["asset_id"])),))


def _clean(session: Session, job: Job) -> Shape:
    """The clip is cleaned here and read again; what a vendor does then is fetched when it has answered."""
    clip = UUID(job.params["asset_id"])
    order = StepPlan("order_clip", clip)
    cleaned = (StepPlan("clean_clip", clip), StepPlan("verify_clip", clip, "local"))
    fetches = (
        StepPlan("fetch_clip", subject, str(submission), needs=(order.key,))
        for submission, subject in outcomes.to_fetch(session, job.id)
    )
    return Group((Chain((*cleaned, order)), *fetches))


def _hand_over(_: Session, job: Job) -> Shape:
    clip = UUID(job.params["asset_id"])
    return Chain((StepPlan("verify_clip", clip, "bought"), StepPlan("report_clip", clip), StepPlan("close")))


def _search(_: Session, job: Job) -> Shape:
    from tasks.wiring import enabled_sources

    slugs = job.params["sources"] or enabled_sources(job.params["kind"])
    return Group(tuple(StepPlan("search_source", variant=slug, label=slug) for slug in slugs))


def _keep(_: Session, __: Job) -> Shape:
    return Chain((StepPlan("keep_candidates"), StepPlan("close")))


PHASES: dict[JobKind, tuple[Phase, ...]] = {
    JobKind.FILM: (
        Phase("write", _write, gate=Gate.SCRIPT),
        Phase("source", _source),
        Phase("shoot", _shoot, gate=Gate.TAKES, follow=outcomes.follow),
        Phase("finish", _finish, gate=Gate.CUT),
        Phase("deliver", _deliver),
    ),
    JobKind.TEXT_REMOVAL: (
        Phase("detect", _detect),
        Phase("clean", _clean, follow=outcomes.follow),
        Phase("deliver", _hand_over),
    ),
    JobKind.SCRAPE: (Phase("search", _search), Phase("keep", _keep)),
}
assert tuple(phase.name for phase in PHASES[JobKind.FILM]) == FILM_PHASES

_SPARE = frozenset(
    {
        *("find_stock", "find_music", "keep_stock", "submit_take", "fetch_take", "clean_take", "export"),
        *("search_source", "fetch_clip"),
    }
)
"""Kinds whose failure a job survives: another take, a card, silence, or a deliverable less."""
_PICTURES = frozenset({"keep_stock", "submit_take"})


def is_critical(kind: str, params: dict[str, Any]) -> bool:
    """Whether a job fails when a step of this kind does; a brief may rather halt than show a card."""
    return kind not in _SPARE or (kind in _PICTURES and params.get("on_shot_failure") == "halt")


# -- moving on ------------------------------------------------------------------------------------


def advance(job_id: UUID) -> None:
    """Move a job as far as its rows allow, and send what became ready.

    Idempotent and safe to call from anywhere at any time: it locks the job, decides, commits, publishes.
    """
    with transaction() as session:
        job = steps.lock_job(session, job_id)
        if job.state in ENDED_JOB:
            return
        job.advanced_at = func.now()
        before = news_of(job)
        _decide(session, job)
        news = news_of(job)
        if news is not None and news != before:
            after_commit(session, lambda: _tell_everybody(job_id, news))
        job.progress = progress.measure(session, job)["progress"] or 0.0
        reach("advance.before_commit", str(job_id))


def news_of(job: Job) -> str | None:
    """What people who do not look would want to be told of a job now; None: nothing."""
    if job.state in (JobState.SUCCEEDED, JobState.FAILED):
        return job.state.value
    return job.waits_for.value if job.waits_for in (WaitsFor.REVIEWER, WaitsFor.BUDGET) else None


def tell(notifier: str, job_id: UUID, news: str, *, tries: int = 0, countdown: float | None = None) -> None:
    """Have people told of a job by one notifier; nothing waits for it."""
    arguments = {"notifier": notifier, "job": str(job_id), "news": news, "tries": tries}
    message = app.signature("notify_people", kwargs=arguments, immutable=True)
    delay = None if countdown is None else ceil(countdown)
    _publish(
        message.set(**_shown(job_id, notifier), countdown=delay, expires=NEWS_SECONDS, ignore_result=True)
    )


def _tell_everybody(job_id: UUID, news: str) -> None:
    from tasks.wiring import notifiers

    for notifier in notifiers():
        tell(notifier, job_id, news)


def wake(job_id: UUID) -> None:
    """Have a worker `advance` a job; for a caller whose own client waits. Never waits for the broker."""
    wakeups.wake(job_id)


def after_step(held: Claim, *, left: tuple[int, int] | None, retry_delay: float | None, solo: bool) -> None:
    """Go on from an ended step: the job, when its phase is done; what it blocked, when no canvas will.

    `left` is what `claims.steps_left` saw when the step was saved; None when it ended otherwise.
    """
    if retry_delay is not None:
        _send(held.step_id, held.kind, held.job_id, held.label, held.attempt + 1, countdown=retry_delay)
        return
    if left is None:
        with single() as connection:
            left = claims.steps_left(connection, held)
    rest, unsent = left
    alone = solo or held.attempt > 1
    if rest and (unsent or alone):
        with transaction() as session:
            free = [s for s in steps.claimable(session, held.job_id) if held.step_id in s.needs]
            waiting = [s for s in free if alone or s.sent_at is None]
            steps.mark_sent(session, [s.id for s in waiting])
        for waiter in waiting:
            send_step(waiter)
    if not rest:
        advance(held.job_id)


def inspect_upload(upload_id: UUID) -> None:
    """Have a media worker look at a complete upload."""
    _publish(app.signature("inspect_upload", args=(str(upload_id),), immutable=True))


def send_submission(submission_id: UUID, job_id: UUID) -> None:
    """Have a sender put an intended submission on the wire."""
    arguments = {"submission_id": str(submission_id), "job": str(job_id)}
    message = app.signature("send_submission", kwargs=arguments, immutable=True)
    _publish(message.set(**_shown(job_id)))


def keep_late_take(submission_id: UUID, job_id: UUID) -> None:
    """Have a take fetched that was paid for and that its job waits for no more."""
    message = app.signature("keep_late_take", args=(str(submission_id),), immutable=True)
    _publish(message.set(**_shown(job_id)))


def receive_callback(slug: str, headers: Mapping[str, str], body: bytes, token: str | None = None) -> bool:
    """Check and keep a vendor's news, see `tasks.callbacks`; no vendor is loaded before the first comes."""
    from tasks.callbacks import receive

    return receive(slug, headers, body, token)


def take_callback(event_id: UUID) -> None:
    """Have a worker act on a callback that was kept."""
    _publish(app.signature("take_callback", args=(str(event_id),), immutable=True))


def queue_of(kind: str) -> str:
    """The queue that steps of a kind wait in."""
    return str(app.conf.task_routes.get(kind, {}).get("queue", app.conf.task_default_queue))


def quote(
    session: Session, workspace_id: UUID, kind: str, params: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Say what a job would cost, before anything is asked of anybody; see `tasks.quotes`."""
    from tasks.quotes import quote_job

    return quote_job(session, workspace_id, kind, params, **more)


def describe_providers() -> dict[str, dict[str, Any]]:
    """Say what is known of every provider; see `tasks.catalogue`."""
    from tasks import catalogue

    return catalogue.describe_providers()


def describe_sources() -> dict[str, dict[str, Any]]:
    """Say what is known of every provider; see `tasks.catalogue`."""
    from tasks import catalogue

    return catalogue.describe_sources()


def recheck_budget(workspace_id: UUID) -> None:
    """Have this workspace's jobs that wait for money be looked at now; beat does it later anyway."""
    _publish(app.signature("recheck_budgets", args=(str(workspace_id),), immutable=True))


def check(kind: str, params: dict[str, Any]) -> None:
    """Refuse a brief that names adapters this installation does not have, or a script it cannot read."""
    from tasks.quotes import check_brief

    check_brief(kind, params)


def promise(session: Session, job: Job) -> list[Promise]:
    """Every step that the job's phases promise as its film is now, up to where it is asked to stop."""
    promises = []
    for phase in PHASES[job.kind]:
        for plan, _ in _rows(phase.shape(session, job)):
            promises.append(Promise(phase.name, plan, spare=not is_critical(plan.kind, job.params)))
        if phase.name == job.stop_after:
            break
    return promises


def plan(session: Session, job: Job) -> list[Planned]:
    """Say of every step of a job whether it is made, missing, stale or blocked, and why."""
    return plans.plan_job(session, job, promise(session, job))


def remake(session: Session, workspace_id: UUID, job_id: UUID) -> Job:
    """Have an ended job make what is missing or stale; call `advance` once this is committed."""
    return plans.remake_job(session, workspace_id, job_id, promise)


def send_step(row: Step) -> None:
    """Publish one step by itself, outside any canvas."""
    _send(row.id, row.kind, row.job_id, row.label or row.variant, row.attempt + 1)


def _decide(session: Session, job: Job) -> None:
    phases = PHASES[job.kind]
    if job.state is JobState.CANCELLING:
        _end_cancelled(session, job)
        return
    if job.phase is None:
        job.started_at = func.now()
        _enter(session, job, phases[0])
    while job.phase is not None:
        phase = next(p for p in phases if p.name == job.phase)
        if phase.follow is not None:
            with progress.kept(session, job, if_behind=True):
                phase.follow(session, job)
                _plan(session, job, phase)
        rows = [row for row in steps.list_steps(session, job.id) if row.phase == phase.name]
        short = stopped_by_money(rows)
        if not short and any(row.state in (StepState.READY, StepState.RUNNING) for row in rows):
            _run(session, job, phase, rows)
            return
        failed = [row for row in rows if row.state is StepState.FAILED and is_critical(row.kind, job.params)]
        if failed:
            _end_failed(session, job, failed[0])
            return
        waits = outcomes.why_waiting(session, job.id)
        if short:
            also = f" {waits[1]}" if waits else ""
            _wait(session, job, WaitsFor.BUDGET, explain_shortage(session, job, short) + also)
            return
        if waits:
            _wait(session, job, *waits)
            return
        if phase.gate in job.gates and not approvals.gate_passed(session, job, phase.gate):
            approvals.ask(session, job, phase.gate, ttl_hours=get_settings().approval_ttl_hours)
            return
        last = phase is phases[-1]
        if last or job.stop_after == phase.name:
            _end_succeeded(session, job)
            return
        _enter(session, job, phases[phases.index(phase) + 1])


def _enter(session: Session, job: Job, phase: Phase) -> None:
    job.progress = progress.measure(session, job)["progress"] or 0.0
    job.phase = phase.name
    _plan(session, job, phase)
    if job.remaking:
        plans.reopen_stale(session, job, phase.name, promise(session, job))
    progress.set_course(session, job)
    _announce(session, job, "phase.started", {"phase": phase.name})


def _plan(session: Session, job: Job, phase: Phase) -> None:
    promised = [plan for plan, _ in _rows(phase.shape(session, job))]
    steps.plan_steps(session, job, phase.name, progress.weigh(session, job, promised))
    session.flush()


def _run(session: Session, job: Job, phase: Phase, rows: Sequence[Step]) -> None:
    """Have the phase's unsent steps sent once this is committed."""
    if job.state is not JobState.RUNNING:
        job.state = JobState.RUNNING
        job.waits_for = None
        job.waits_reason = None
        _announce(session, job, "job.running", {"phase": phase.name})
    unsent = {row.id for row in rows if row.state is StepState.READY and row.sent_at is None}
    if not unsent:
        return
    shape = phase.shape(session, job)
    by_key = {(row.kind, row.subject_id, row.variant): row for row in rows}
    unsent -= {by_key[key].id for key in _late(shape)} - {row.id for row in steps.claimable(session, job.id)}
    steps.mark_sent(session, list(unsent))
    canvas = _canvas(shape, by_key, unsent)
    after_commit(session, lambda: _publish(canvas))


def _late(shape: Shape) -> set[tuple[str, UUID | None, str]]:
    """Steps that need more than their place in the shape says: sent when the last need ends, not before."""
    branches = shape.header if isinstance(shape, Chord) else shape.members
    return {branch.key for branch in branches if isinstance(branch, StepPlan) and branch.needs}


def _rows(shape: Shape | Chain | StepPlan) -> Iterator[tuple[StepPlan, StepPlan]]:
    """Flatten a shape into plans that name what they need, each with the plan that ends its branch."""
    if isinstance(shape, StepPlan):
        yield shape, shape
        return
    if isinstance(shape, Chain):
        before: tuple[tuple[str, UUID | None, str], ...] = ()
        for plan in shape.members:
            yield _needing(plan, before), shape.members[-1]
            before = (plan.key,)
        return
    branches = shape.header if isinstance(shape, Chord) else shape.members
    ends = []
    for branch in branches:
        for plan, end in _rows(branch):
            yield plan, end
        ends.append(branch.members[-1].key if isinstance(branch, Chain) else branch.key)
    if isinstance(shape, Chord):
        yield _needing(shape.body, tuple(ends)), shape.body


def _needing(plan: StepPlan, needs: tuple[tuple[str, UUID | None, str], ...]) -> StepPlan:
    return StepPlan(plan.kind, plan.subject_id, plan.variant, plan.label, (*plan.needs, *needs))


def _canvas(shape: Shape | Chain | StepPlan, rows: dict[Any, Step], unsent: set[UUID]) -> Any:
    """The Celery canvas of a shape, without what has been sent or has ended; None when nothing is left."""
    if isinstance(shape, StepPlan):
        row = rows.get(shape.key)
        return _signature(row) if row is not None and row.id in unsent else None
    if isinstance(shape, Chain):
        links = [link for plan in shape.members if (link := _canvas(plan, rows, unsent))]
        return chain(*links) if len(links) > 1 else links[0] if links else None
    branches = shape.header if isinstance(shape, Chord) else shape.members
    parts = [part for branch in branches if (part := _canvas(branch, rows, unsent))]
    body = _canvas(shape.body, rows, unsent) if isinstance(shape, Chord) else None
    if body is None:
        return group(parts) if parts else None
    return chord(parts, body) if parts else body


def _signature(row: Step) -> Any:
    shown = _shown(row.job_id, row.label or row.variant, attempt=(row.attempt or 0) + 1)
    return app.signature(row.kind, kwargs=_arguments(row.id, row.job_id), immutable=True).set(
        **shown, ignore_result=True
    )


def _arguments(step_id: UUID, job_id: UUID) -> dict[str, str]:
    return {"step_id": str(step_id), "job": str(job_id)}


def _shown(job_id: UUID, label: str = "", **more: Any) -> dict[str, str]:
    """What Flower lists as a message's arguments: on what, for which job, which attempt.

    Not in its name, which Prometheus counts by: a name for each job would be a series for each job. The
    attempt is the one a message is meant for; the claim counts, and a copy claims nothing.
    """
    return {"argsrepr": label, "kwargsrepr": repr({"job": str(job_id), **more})}


def _send(
    step_id: UUID, kind: str, job_id: UUID, label: str, attempt: int, *, countdown: float | None = None
) -> None:
    """Whole seconds of delay, rounded up: RabbitMQ counts in them, and a message must not come too early."""
    signature = app.signature(kind, kwargs=_arguments(step_id, job_id) | {"solo": True}, immutable=True)
    delay = None if countdown is None else ceil(countdown)
    shown = _shown(job_id, label, attempt=attempt)
    _publish(signature.set(**shown, countdown=delay, ignore_result=True))


def _publish(canvas: Any) -> None:
    """Hand a canvas to the broker: one try, bounded. What fails is sent again by the sweeper."""
    if canvas is None:
        return

    def publish() -> None:
        try:
            reach("publish.before")
            with app.producer_or_acquire() as producer, producer.batch():
                canvas.apply_async(producer=producer, retry=False)
            reach("publish.after")
        except Exception as error:  # noqa: BLE001 (any broker's any error means the same: not sent)
            log.warning("the broker did not take a message; the sweeper will send it", error=str(error))

    thread = threading.Thread(target=publish, name="publish", daemon=True)
    thread.start()
    thread.join(PUBLISH_SECONDS)


def _end_cancelled(session: Session, job: Job) -> None:
    rows = steps.list_steps(session, job.id)
    if any(row.state is StepState.RUNNING for row in rows):
        return
    for row in rows:
        if row.state is StepState.READY:
            row.state = StepState.CANCELLED
            row.finished_at = func.now()
    if job.error_code == deadlines.TIMED_OUT:
        _end(session, job, JobState.FAILED, {"code": job.error_code, "message": job.error_message})
    else:
        _end(session, job, JobState.CANCELLED, {})


def _end_failed(session: Session, job: Job, row: Step) -> None:
    subject = f"{row.kind} {row.label}".strip()
    job.error_code = row.error_code or "failed"
    job.error_message = f"{subject}: {row.error_message or 'failed'}"
    _end(session, job, JobState.FAILED, {"code": job.error_code, "message": job.error_message})


def _end_succeeded(session: Session, job: Job) -> None:
    spare = [
        {"step": f"{row.kind} {row.label}".strip(), "code": row.error_code, "message": row.error_message}
        for row in steps.list_steps(session, job.id)
        if row.state is StepState.FAILED
    ]
    job.warnings = [w for w in job.warnings if "step" not in w] + spare
    job.progress = 1.0
    progress.learn(session, job)
    _end(session, job, JobState.SUCCEEDED, {"warnings": len(job.warnings)})


def _end(session: Session, job: Job, state: JobState, payload: dict[str, Any]) -> None:
    job.state = state
    job.remaking = False
    job.waits_for = None
    job.waits_reason = None
    job.finished_at = func.now()
    outcomes.withdraw_unsent(session, job)
    _announce(session, job, f"job.{state.value}", payload)


def _wait(session: Session, job: Job, what: WaitsFor, reason: str) -> None:
    if job.waits_for is what:
        job.waits_reason = reason
        return
    job.state = JobState.WAITING
    job.waits_for = what
    job.waits_reason = reason
    _announce(session, job, "job.waiting", {"waits_for": what.value, "reason": reason})


def _announce(session: Session, job: Job, kind: str, payload: dict[str, Any]) -> None:
    events.record(session, workspace_id=job.workspace_id, job_id=job.id, kind=kind, payload=payload)


def _for_shot(kind: str, shot: Shot) -> StepPlan:
    return StepPlan(kind, shot.id, label=_label(shot))


def _label(shot: Shot) -> str:
    return f"shot {shot.position + 1}"


def _shots(session: Session, job: Job) -> list[Shot]:
    film = session.get(Film, job.film_id) if job.film_id else None
    return film_shots(session, film.id) if film is not None else []
