"""The promises, each a pure read of rows, files and the vendor's bill that answers with what breaks it.

`PROMISES` has them all; `test_invariants.py` shows of each that a planted breach is seen.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.assets import Asset, Blob, Film, Rendition, Shot, Take
from db.money import AccountKind, Hold, HoldState, LedgerAccount, LedgerEntry
from db.submissions import OPEN_SUBMISSION, Submission, SubmissionState
from db.work import ENDED_JOB, ENDED_STEP, Attempt, Event, Job, JobKind, JobState, Step, StepState
from services.films import film_shots

GRACE_SECONDS = 5.0
"""How long past its lease a step may still be `running`: a sweep, and a busy machine."""


@dataclass
class Look:
    """One workspace after a run. `retried` are the jobs that a person took up again or asked retakes of."""

    session: Session
    workspace_id: UUID
    store: Path
    since: float = 0.0
    retried: frozenset[UUID] = frozenset()
    bill: list[dict[str, Any]] = field(default_factory=list)
    """What the vendor accepted, from everybody: `vendor_id`, `external_id` (our token), `charged` (micro-units)."""

    def all(self, table: Any, *where: Any) -> list[Any]:
        query = select(table).where(table.workspace_id == self.workspace_id, *where)
        return list(self.session.scalars(query.order_by(table.id)))


_MADE = (SubmissionState.ANSWERED, SubmissionState.SUCCEEDED)
Promise = Callable[[Look], Iterable[str]]
PROMISES: dict[str, Promise] = {}


def promise(check: Promise) -> Promise:
    PROMISES[check.__name__.replace("_", " ").replace("vendors", "vendor's")] = check
    return check


def broken(look: Look) -> list[str]:
    """Every breach, each with the promise it breaks."""
    return [f"{name}: {what}" for name, check in PROMISES.items() for what in check(look)]


# -- jobs and steps --------------------------------------------------------------------------------


@promise
def every_job_ends_or_waits_for_a_named_reason(look: Look) -> Iterable[str]:
    for job in look.all(Job):
        named = job.state is JobState.WAITING and job.waits_for and job.waits_reason
        if job.state not in ENDED_JOB and not named:
            yield f"job {job.id} is {job.state.value} in {job.phase}"


@promise
def every_failure_has_a_name(look: Look) -> Iterable[str]:
    for job in look.all(Job, Job.state == JobState.FAILED):
        if not (job.error_code and job.error_message):
            yield f"job {job.id} failed and says neither code nor message"
    for step in look.all(Step, Step.state == StepState.FAILED):
        if not (step.error_code and step.error_message):
            yield f"step {step.kind} {step.id} failed and says neither code nor message"


@promise
def no_step_is_stuck_beyond_its_lease(look: Look) -> Iterable[str]:
    late = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, GRACE_SECONDS)
    for step in look.all(Step, Step.state == StepState.RUNNING, Step.lease_until < late):
        yield f"step {step.kind} {step.id}, attempt {step.attempt}, holds a lease of {step.lease_until}"


@promise
def an_ended_job_has_no_open_step(look: Look) -> Iterable[str]:
    """A failed job may keep steps that were never begun: a retry begins them."""
    for job in look.all(Job, Job.state.in_(ENDED_JOB)):
        for step in look.all(Step, Step.job_id == job.id, Step.state.not_in(ENDED_STEP)):
            if step.state is StepState.RUNNING or job.state is not JobState.FAILED:
                yield f"job {job.id} has {job.state.value}, its {step.kind} {step.id} is {step.state.value}"


@promise
def every_attempt_is_written_down_and_closed(look: Look) -> Iterable[str]:
    for step, attempts in _attempts(look):
        if [a.number for a in attempts] != list(range(1, step.attempt + 1)):
            yield f"step {step.kind} {step.id} counts {step.attempt} and has {[a.number for a in attempts]}"
        for attempt in attempts:
            if attempt.outcome is None and (
                step.state is not StepState.RUNNING or attempt.number < step.attempt
            ):
                yield f"attempt {attempt.number} of {step.kind} {step.id} ({step.state.value}) is still open"


@promise
def nothing_is_done_twice(look: Look) -> Iterable[str]:
    """A take that one provider could not make is asked of the next: the step is done once for each."""
    unmade = Counter(
        row.step_id
        for row in look.all(Submission)
        if row.state in (SubmissionState.FAILED, SubmissionState.CANCELLED) or row.given_up_at is not None
    )
    for step, attempts in _attempts(look):
        times = sum(a.outcome == "succeeded" for a in attempts)
        if times > 1 + unmade[step.id] and step.job_id not in look.retried:
            yield f"step {step.kind} {step.id} was saved {times} times"


@promise
def nothing_begins_before_what_it_needs_has_ended(look: Look) -> Iterable[str]:
    """By the numbers of their events: clocks may have been set back."""
    steps = {step.id: step for step in look.all(Step)}
    last: dict[str, int] = {}
    began: dict[str, int] = {}
    for event in sorted(look.all(Event, Event.type.like("step.%")), key=lambda event: event.seq):
        last[event.payload["step_id"]] = event.seq
        if event.type == "step.started":
            began[event.payload["step_id"]] = event.seq
    for step in steps.values():
        if step.state is not StepState.SUCCEEDED or step.job_id in look.retried:
            continue
        for need in (steps[need] for need in step.needs):
            if need.state not in ENDED_STEP or last.get(str(need.id), 0) > began[str(step.id)]:
                yield f"{step.kind} {step.id} began before {need.kind} {need.id} had ended"


@promise
def events_have_no_gap_and_end_with_the_job(look: Look) -> Iterable[str]:
    events = defaultdict(list)
    for event in look.all(Event, Event.job_id.is_not(None)):
        events[event.job_id].append(event)
    for job in look.all(Job):
        seen = sorted(events[job.id], key=lambda event: event.seq)
        if [event.seq for event in seen] != list(range(1, job.event_seq + 1)):
            yield f"job {job.id} counts {job.event_seq} events and has {[event.seq for event in seen]}"
            continue
        ends = [e.type for e in seen if e.type in {f"job.{state.value}" for state in ENDED_JOB}]
        if job.state in ENDED_JOB and (not ends or ends[-1] != f"job.{job.state.value}"):
            yield f"job {job.id} has {job.state.value}, its log ends {ends}"
        if len(ends) > 1 and job.id not in look.retried:
            yield f"job {job.id} ended more than once: {ends}"


# -- what was made ---------------------------------------------------------------------------------


@promise
def no_take_is_there_twice(look: Look) -> Iterable[str]:
    takes = look.all(Take, Asset.deleted_at.is_(None))
    for (shot, _), times in Counter((take.shot_id, take.input_hash) for take in takes).items():
        if times > 1:
            yield f"shot {shot} has {times} takes of the same inputs"
    if look.retried:
        return
    for shot, times in Counter(take.shot_id for take in takes).items():
        if times > 1:
            yield f"shot {shot} has {times} takes and nobody asked for a second"


@promise
def no_rendition_is_half_written(look: Look) -> Iterable[str]:
    blobs: dict[str, Blob] = {}
    for rendition in look.all(Rendition):
        blob = blobs.setdefault(
            rendition.blob_sha256, look.session.get_one(Blob, rendition.blob_sha256)
        )  # fmt: skip
        path = look.store / blob.storage_key
        if not path.is_file():
            yield f"{rendition.role.value} {rendition.filename} of {rendition.asset_id} has no file"
        elif path.stat().st_size != blob.size or _sha256(path) != blob.sha256:
            yield f"{rendition.role.value} {rendition.filename} of {rendition.asset_id} is not what it was"


@promise
def the_store_holds_whole_files_only(look: Look) -> Iterable[str]:
    for path in (look.store / "blobs").rglob("*"):
        if path.is_file() and path.stat().st_mtime >= look.since and _sha256(path) != path.name:
            yield f"{path.name} is not the digest of its {path.stat().st_size} bytes"


@promise
def what_a_step_says_it_stored_is_stored(look: Look) -> Iterable[str]:
    for step in look.all(Step, Step.state == StepState.SUCCEEDED):
        stored = step.result.get("stored")
        if stored and not (look.store / stored["key"]).is_file():
            yield f"{step.kind} {step.id} names {stored['sha256']}, which is not there"


@promise
def a_finished_film_is_complete(look: Look) -> Iterable[str]:
    for job in look.all(Job, Job.kind == JobKind.FILM, Job.state == JobState.SUCCEEDED):
        if job.stop_after not in (None, "deliver"):
            continue
        film = look.session.get_one(Film, job.film_id)
        master = look.session.get(Rendition, film.master_rendition_id) if film.master_rendition_id else None
        if master is None:
            yield f"job {job.id} has succeeded and its film has no master"
            continue
        shots: list[Shot] = film_shots(look.session, film.id)
        card = look.all(Step, Step.job_id == job.id, Step.kind == "credits_card")[0].result.get("frames", 0)
        frames = sum(shot.frames or 0 for shot in shots) + card
        if master.duration is None or abs(master.duration * film.fps - frames) > 1.5:
            yield f"the master of job {job.id} lasts {master.duration} s for {frames} frames of {film.fps}"
        failed = look.all(Step, Step.job_id == job.id, Step.state == StepState.FAILED)
        told = {warning.get("step") for warning in job.warnings}
        for step in failed:
            if f"{step.kind} {step.label}".strip() not in told:
                yield f"job {job.id} does not tell that its {step.kind} {step.label} failed"
        cards = {step.subject_id for step in failed if step.kind == "submit_take"}
        for shot in shots:
            if shot.selected_take_id is None and shot.id not in cards:
                yield f"job {job.id} has succeeded and its shot {shot.position} has no take"


# -- money -----------------------------------------------------------------------------------------


@promise
def every_transfer_sums_to_zero(look: Look) -> Iterable[str]:
    sums: Counter[UUID] = Counter()
    for entry in look.all(LedgerEntry):
        sums[entry.transfer_id] += entry.amount
    yield from (f"transfer {transfer} sums to {total}" for transfer, total in sums.items() if total)


@promise
def no_hold_is_orphaned(look: Look) -> Iterable[str]:
    """An open hold belongs to a request that a vendor may still answer."""
    waited_for = {s.hold_id for s in look.all(Submission, Submission.state.in_(OPEN_SUBMISSION))}
    for hold in look.all(Hold, Hold.state == HoldState.OPEN):
        if hold.id not in waited_for:
            yield f"{hold.amount} micro-{hold.currency} of job {hold.job_id} are held for nothing"


@promise
def no_purchase_is_forgotten(look: Look) -> Iterable[str]:
    """When a job has ended, so have its requests, or they are parked for a person."""
    ended = {job.id for job in look.all(Job, Job.state.in_(ENDED_JOB))}
    for row in look.all(Submission, Submission.state.in_(OPEN_SUBMISSION)):
        if row.job_id in ended and row.state is not SubmissionState.UNCONFIRMED:
            yield f"request {row.id} to {row.provider} is {row.state.value}, its job has ended"


@promise
def nothing_equal_is_bought_twice(look: Look) -> Iterable[str]:
    """Neither answered twice here nor charged twice there."""
    rows = look.all(Submission)
    charged = {line["external_id"] for line in look.bill if line["charged"]}
    for what, found in (
        ("answers", [row for row in rows if row.state in _MADE]),
        ("charges", [row for row in rows if row.client_token in charged]),
    ):
        for (shot, _), times in Counter((row.shot_id, row.input_hash) for row in found).items():
            if times > 1:
                yield f"shot {shot} has {times} {what} for the same request"


@promise
def the_vendors_bill_is_our_ledger(look: Look) -> Iterable[str]:
    """What the vendor charged is what we captured, request by request and in total.

    Of a request whose outcome a person must find out, only the hold is here; everything else is booked.
    """
    rows = {row.client_token: row for row in look.all(Submission)}
    lines = Counter(line["external_id"] for line in look.bill)
    known = set(
        look.session.scalars(select(Submission.client_token).where(Submission.client_token.in_(lines)))
    )
    for line in look.bill:
        token, row = line["external_id"], rows.get(line["external_id"])
        if token not in known:
            yield f"the vendor has {line['vendor_id']}, which nobody here asked for"
        if row is None:
            continue
        if lines[token] > 1:
            yield f"the vendor has request {row.id} {lines[token]} times"
        if row.vendor_id not in (None, line["vendor_id"]):
            yield f"request {row.id} is {line['vendor_id']} there and {row.vendor_id} here"
        if row.state is not SubmissionState.UNCONFIRMED and (row.actual_cost or 0) != line["charged"]:
            yield f"request {row.id} ({row.state.value}) cost {line['charged']}, booked is {row.actual_cost}"
    spent = sum(a.balance for a in look.all(LedgerAccount, LedgerAccount.kind == AccountKind.SPENT))
    booked = sum(row.actual_cost or 0 for row in rows.values()) - sum(h.overrun for h in look.all(Hold))
    if spent != booked:
        yield f"{spent} micro-units were spent for requests that cost {booked}"


@promise
def what_is_held_is_what_open_holds_say(look: Look) -> Iterable[str]:
    held = sum(a.balance for a in look.all(LedgerAccount, LedgerAccount.kind == AccountKind.HELD))
    named = sum(hold.amount for hold in look.all(Hold, Hold.state == HoldState.OPEN))
    if held != named:
        yield f"the books hold {held} micro-units, open holds say {named}"


# -- reading ---------------------------------------------------------------------------------------


def _attempts(look: Look) -> Iterable[tuple[Step, list[Attempt]]]:
    query = (
        select(Attempt)
        .join(Step, Step.id == Attempt.step_id)
        .where(Step.workspace_id == look.workspace_id)
        .order_by(Attempt.number)
    )
    found = defaultdict(list)
    for attempt in look.session.scalars(query):
        found[attempt.step_id].append(attempt)
    return [(step, found[step.id]) for step in look.all(Step)]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
