"""Gates: a job asks a person, and the answer moves it on.

approve  go on
edit     script: `{"script": text}`, go on; takes: `{"selections": {shot: take}}`, go on;
         cut: selections, cut again, ask again
retry    do it again (script written anew; new takes, of `edit.shots` or all; rendered anew), ask again
reject   the job fails with the instructions; `retry` on the job asks again
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound
from core.scripts import parse_script
from db.assets import Film, Script, ScriptVersion, Shot, Take, Validation
from db.review import Approval, ApprovalState, Gate, Verb
from db.work import Job, JobState, Step, WaitsFor
from services import progress
from services.events import record
from services.films import add_script_version, film_shots
from services.steps import lock_job, reopen

_REDO = {
    Gate.SCRIPT: ("write_script", "break_down"),
    Gate.TAKES: ("keep_stock", "submit_take"),
    Gate.CUT: ("clean_take", "render_segment", "mix_sound", "credits_card", "compose"),
}
_PER_SHOT = ("keep_stock", "submit_take", "clean_take", "render_segment")


def gate_passed(session: Session, job: Job, gate: Gate) -> bool:
    """Whether the last answer at this gate lets the job go on."""
    last = session.scalar(
        select(Approval)
        .where(Approval.job_id == job.id, Approval.gate == gate)
        .order_by(Approval.id.desc())
        .limit(1)
    )
    if last is None or last.state is not ApprovalState.ANSWERED:
        return False
    return last.response is Verb.APPROVE or (last.response is Verb.EDIT and gate is not Gate.CUT)


def ask(session: Session, job: Job, gate: Gate, *, ttl_hours: int) -> Approval:
    """Put the question, once; the job waits. Call with the job locked."""
    pending = session.scalar(
        select(Approval).where(
            Approval.job_id == job.id, Approval.gate == gate, Approval.state == ApprovalState.PENDING
        )
    )
    if pending is None:
        film = session.get_one(Film, job.film_id)
        pending = Approval(
            workspace_id=job.workspace_id,
            job_id=job.id,
            gate=gate,
            asset_id=film.script_id if gate is Gate.SCRIPT else film.id,
            title=f"{film.name}: {gate.value}",
            priority=job.priority,
            requested_by=job.requested_by,
            expires_at=func.now() + timedelta(hours=ttl_hours),
        )
        session.add(pending)
        session.flush()
    if job.state is not JobState.WAITING or job.waits_for is not WaitsFor.REVIEWER:
        job.state = JobState.WAITING
        job.waits_for = WaitsFor.REVIEWER
        job.waits_reason = f"Waits for a person to answer the {gate.value} gate."
        _announce(session, job, "job.waiting", {"gate": gate.value, "approval_id": str(pending.id)})
    return pending


def list_pending(
    session: Session, workspace_id: UUID, *, limit: int = 50, after: UUID | None = None
) -> list[Approval]:
    query = select(Approval).where(
        Approval.workspace_id == workspace_id, Approval.state == ApprovalState.PENDING
    )
    if after is not None:
        query = query.where(Approval.id > after)
    return list(session.scalars(query.order_by(Approval.id).limit(limit)))


def job_approvals(session: Session, job_id: UUID) -> list[Approval]:
    return list(session.scalars(select(Approval).where(Approval.job_id == job_id).order_by(Approval.id)))


def respond(
    session: Session,
    *,
    workspace_id: UUID,
    approval_id: UUID,
    user_id: UUID | None,
    verb: str,
    instructions: str = "",
    edit: dict[str, Any] | None = None,
) -> Approval:
    """Answer a pending approval; the caller has `pipeline.advance` called after the commit.

    Raises Conflict when it has been answered or has expired, Invalid when the edit does not fit the gate.
    """
    approval = session.scalar(
        select(Approval).where(Approval.id == approval_id, Approval.workspace_id == workspace_id)
    )
    if approval is None:
        raise NotFound("There is no such approval.", field="approval_id")
    if approval.job_id is None or approval.gate is None:
        raise Conflict("Only approvals of a job's gate can be answered here.", field="approval_id")
    job = lock_job(session, approval.job_id)
    session.refresh(approval, with_for_update=True)
    if approval.state is not ApprovalState.PENDING:
        raise Conflict(f"This approval is {approval.state.value} already.", field="state")
    answer = Verb(verb)
    with progress.kept(session, job):
        if answer is Verb.EDIT:
            _apply_edit(session, job, approval.gate, edit or {})
        elif answer is Verb.RETRY:
            _redo(session, job, approval.gate, (edit or {}).get("shots"), instructions)
    approval.state = ApprovalState.ANSWERED
    approval.response = answer
    approval.instructions = instructions
    approval.edit = edit
    approval.responded_at = func.now()
    approval.responded_by = user_id
    _announce(
        session,
        job,
        "approval.answered",
        {"gate": approval.gate.value, "verb": answer.value, "approval_id": str(approval.id)},
    )
    job.waits_for = None
    job.waits_reason = None
    if answer is Verb.REJECT:
        job.state = JobState.FAILED
        job.finished_at = func.now()
        job.error_code = "rejected"
        job.error_message = f"Rejected at the {approval.gate.value} gate" + (
            f": {instructions}" if instructions else "."
        )
        _announce(session, job, "job.failed", {"code": "rejected", "message": job.error_message})
    else:
        job.state = JobState.RUNNING
        if answer is Verb.APPROVE and approval.gate is Gate.SCRIPT:
            _approve_script(session, job)
    session.flush()
    return approval


def expire_approvals(session: Session, *, limit: int = 50) -> int:
    """Close questions nobody answered in time; their jobs fail, and can be retried (asking again)."""
    rows = session.execute(
        select(Approval.id, Approval.job_id)
        .where(Approval.state == ApprovalState.PENDING, Approval.expires_at < func.now())
        .limit(limit)
    ).all()
    for approval_id, job_id in rows:
        job = lock_job(session, job_id) if job_id else None
        approval = session.get_one(Approval, approval_id, with_for_update=True)
        if approval.state is not ApprovalState.PENDING:
            continue
        approval.state = ApprovalState.EXPIRED
        if job is not None and job.state is JobState.WAITING:
            job.state = JobState.FAILED
            job.waits_for = None
            job.waits_reason = None
            job.finished_at = func.now()
            job.error_code = "approval_expired"
            job.error_message = (
                f"Nobody answered the {approval.gate.value if approval.gate else ''} gate in time."
            )
            _announce(session, job, "job.failed", {"code": "approval_expired"})
    return len(rows)


def _apply_edit(session: Session, job: Job, gate: Gate, edit: dict[str, Any]) -> None:
    if gate is Gate.SCRIPT:
        text = edit.get("script")
        if not isinstance(text, str) or not text.strip():
            raise Invalid('An edit of the script is `{"script": "<text>"}`.', field="edit.script")
        fmt = edit.get("format", "auto")
        scenes = parse_script(text, fmt).to_json()["scenes"]
        film = session.get_one(Film, job.film_id)
        script = session.get_one(Script, film.script_id)
        add_script_version(
            session, script, text=text, fmt=fmt, scenes=scenes, author="reviewer", origin="edited"
        )
        _approve_script(session, job)
        reopen(session, job, _step_ids(session, job, ("break_down",), None))
        return
    selections = edit.get("selections")
    if not isinstance(selections, dict) or not selections:
        raise Invalid(
            'An edit here is `{"selections": {"<shot id>": "<take id>"}}`.', field="edit.selections"
        )
    shots = {str(shot.id): shot for shot in film_shots(session, _film_id(job))}
    changed = []
    for shot_id, take_id in selections.items():
        shot = shots.get(str(shot_id))
        take = (
            session.scalar(
                select(Take).where(
                    Take.id == _uuid(take_id), Take.shot_id == shot.id, Take.deleted_at.is_(None)
                )
            )
            if shot
            else None
        )
        if shot is None or take is None:
            raise Invalid(f"Shot {shot_id} of this film has no take {take_id}.", field="edit.selections")
        shot.selected_take_id = take.id
        take.validation = Validation.APPROVED
        changed.append(shot.id)
    if gate is Gate.CUT:
        reopen(session, job, _step_ids(session, job, ("clean_take", "render_segment"), changed))
        # another take may owe another credit; what stays equal is reused
        reopen(session, job, _step_ids(session, job, ("mix_sound", "credits_card", "compose"), None))


def _redo(session: Session, job: Job, gate: Gate, shots: Any, instructions: str) -> None:
    """Reopen what this gate looked at; named shots only, where shots are named."""
    chosen: list[UUID] | None = None
    if shots is not None:
        if not isinstance(shots, list) or not shots:
            raise Invalid("`edit.shots` is a list of shot ids.", field="edit.shots")
        chosen = [_uuid(shot) for shot in shots]
        known = {shot.id for shot in film_shots(session, _film_id(job))}
        if unknown := [shot for shot in chosen if shot not in known]:
            raise Invalid(f"Shot {unknown[0]} is not in this film.", field="edit.shots")
    asked = session.scalar(
        select(func.count())
        .select_from(Approval)
        .where(Approval.job_id == job.id, Approval.gate == gate, Approval.response == Verb.RETRY)
    )
    params = {"retake": (asked or 0) + 1, "instructions": instructions}
    reopen(session, job, _step_ids(session, job, _REDO[gate], chosen), params=params)
    if gate is Gate.TAKES:
        for shot in session.scalars(
            select(Shot).where(Shot.film_id == job.film_id, *([Shot.id.in_(chosen)] if chosen else []))
        ):
            if shot.selected_take_id is not None:
                session.get_one(Take, shot.selected_take_id).validation = Validation.REJECTED
            shot.selected_take_id = None


def _step_ids(session: Session, job: Job, kinds: tuple[str, ...], shots: list[UUID] | None) -> list[UUID]:
    rows = session.execute(
        select(Step.id, Step.kind, Step.subject_id).where(Step.job_id == job.id, Step.kind.in_(kinds))
    )
    return [
        step_id
        for step_id, kind, subject in rows
        if shots is None or kind not in _PER_SHOT or subject in shots
    ]


def _approve_script(session: Session, job: Job) -> None:
    film = session.get_one(Film, job.film_id)
    script = session.get_one(Script, film.script_id)
    if script.current_version_id is not None:
        session.get_one(ScriptVersion, script.current_version_id).approved_at = func.now()


def _film_id(job: Job) -> UUID:
    if job.film_id is None:
        raise Conflict("This job has no film.", field="job_id")
    return job.film_id


def _uuid(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError as error:
        raise Invalid(f"{value!r} is not an id.", field="edit") from error


def _announce(session: Session, job: Job, kind: str, payload: dict[str, Any]) -> None:
    record(session, workspace_id=job.workspace_id, job_id=job.id, kind=kind, payload=payload)
