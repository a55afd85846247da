"""What a step is: claimed, done with no transaction open, saved behind a fence.

A step function gets a `Run` and reads: load in a short transaction, do, save in another. Claim,
heartbeat, retry, error and timing are here and nowhere else.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from core.errors import OverBudget, Permanent, PipelineError, Retryable, Unconfirmed
from core.failpoints import reach
from core.hashing import digest, file_sha256, fingerprints
from core.settings import Settings, get_settings
from core.storage import Storage, blob_key, open_storage
from db.assets import Rendition, RenditionRole
from db.session import reading, single, transaction
from db.work import Job, JobState, StepState
from services import claims, renditions, shortages, steps
from services.claims import Claim, HeldJob
from services.renditions import StoredFile
from tasks import pipeline
from tasks.app import app
from tasks.heartbeat import Pulse, beating

log = structlog.get_logger()

FAILURES_ALLOWED = 5
LONGEST_DELAY = 60.0


@dataclass(frozen=True)
class RetryDecision:
    """What to do about an error."""

    action: Literal["retry", "wait", "fail"]
    """`wait`: until there is money for it; see services/shortages.py."""
    delay: float = 0.0


def decide(error: PipelineError, failures: int) -> RetryDecision:
    """Judge an error by its class and by how often the step has failed before.

    Only `Retryable` is tried again, with the other side's own wish or a doubling delay, a minute at most.
    `OverBudget` is nobody's failure: the step waits.
    """
    if isinstance(error, Retryable) and failures + 1 < FAILURES_ALLOWED:
        wish = error.retry_after if error.retry_after is not None else 2.0**failures
        return RetryDecision("retry", min(wish, LONGEST_DELAY))
    if isinstance(error, OverBudget) and error.amount > 0:
        return RetryDecision("wait")
    return RetryDecision("fail")


class LostClaim(Exception):  # noqa: N818 (not an error: the work belongs to somebody else now)
    """Another attempt owns the step, or its job has stopped; nothing is to be saved."""


class Run:
    """One attempt of one step."""

    def __init__(self, held: Claim, job: HeldJob, version: int, limit: float) -> None:
        self.held = held
        self.job = job
        self.params = job.params
        self.settings: Settings = get_settings()
        self.input_hash: str | None = None
        self.inputs: dict[str, str] = {}
        self.reused_from: UUID | None = None
        self.result: dict[str, Any] = {}
        self.figures: dict[str, Any] = {}
        self.left: tuple[int, int] | None = None
        """Once saved: how many steps of the phase have not ended, and how many of them were never sent."""
        self._version = version
        self._pulse = Pulse(held, deadline=time.monotonic() + limit)
        self._scratch: Path | None = None

    @property
    def scratch(self) -> Path:
        """A folder of the attempt's own, gone with its end."""
        if self._scratch is None:
            folder = self.settings.var_dir / "scratch" / f"{self.held.step_id}-{self.held.attempt}"
            folder.mkdir(parents=True, exist_ok=True)
            self._scratch = folder
        return self._scratch

    @property
    def subject_id(self) -> UUID:
        if self.held.subject_id is None:
            raise Permanent(f"The step {self.held.kind} needs a subject and has none.")
        return self.held.subject_id

    @property
    def film_id(self) -> UUID:
        if self.job.film_id is None:
            raise Permanent("The film of this job has been deleted.", code="film_gone")
        return self.job.film_id

    def stopped(self) -> bool:
        """Whether to give up: cancelled, out of time, or the claim is lost."""
        return self._pulse.stop.is_set()

    def report(self, share: float) -> None:
        """Say how much of the step is done, 0..1; the heartbeat carries it."""
        self._pulse.share = max(0.0, min(1.0, share))

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Add the seconds of a piece of work to the attempt's figures."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.figures[what] = round(self.figures.get(what, 0.0) + time.monotonic() - began, 3)

    @contextmanager
    def loading(self) -> Iterator[Session]:
        with reading() as session:
            yield session

    def remember(self, **inputs: Any) -> dict[str, Any] | None:
        """Name every input of the step; returns the result of an equal earlier step, if it may be reused.

        Inputs are values and digests, never ids: what is equal must look equal in another job too.
        """
        self.name_inputs(**inputs)
        assert self.input_hash is not None
        if not self.params.get("reuse", True):
            return None
        with reading() as session:
            found = steps.find_equal(
                session, self.held.workspace_id, self.held.kind, self.input_hash, own=self.held.step_id
            )
            if found is None or not renditions.still_there(session, found.result):
                return None
            self.reused_from = found.id
            return found.result

    def name_inputs(self, **inputs: Any) -> None:
        """Name every input of a step that is done each time, so that a plan can say when it is stale."""
        self.inputs = fingerprints(inputs)
        self.input_hash = digest(
            {"kind": self.held.kind, "version": self._version, "asked": self.held.params, "inputs": inputs}
        )

    def note(self, **inputs: Any) -> None:
        """Name inputs beside those of `remember`: they shape what is done even with a result taken over."""
        self.inputs |= fingerprints(inputs)

    def store(self, path: Path, *, mime: str, filename: str, **facts: Any) -> StoredFile:
        """Put a file into the object store under its digest; it counts once `saving` has registered it."""
        with self.timing("store_seconds"):
            return put_file(path, mime=mime, filename=filename, **facts)

    def attach(
        self,
        session: Session,
        asset_id: UUID,
        role: RenditionRole,
        made: dict[str, Any],
        *,
        parents: Iterable[UUID] = (),
        tool: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> Rendition:
        """Give an asset the file this step made or took over; call inside `saving`.

        `made` holds the file under `stored`, in a `StoredFile`'s JSON.
        """
        return renditions.add_rendition(
            session,
            workspace_id=self.held.workspace_id,
            asset_id=asset_id,
            role=role,
            stored=StoredFile.from_json(made["stored"]),
            input_hash=self.input_hash,
            parents=parents,
            step_id=self.held.step_id,
            tool=tool,
            parameters=parameters,
        )

    @contextmanager
    def keeping(self) -> Iterator[Session]:
        """Open a transaction that keeps what is made before the step ends; doing it again must find it.

        Raises LostClaim as `saving` does.
        """
        with transaction() as session:
            if not claims.hold_fence(session, self.held):
                raise LostClaim
            yield session

    @contextmanager
    def saving(self) -> Iterator[Session]:
        """Open the transaction that ends the step: everything in it is kept, or nothing.

        Raises LostClaim when another attempt owns the step; then nothing is written.
        """
        with self.keeping() as session:
            yield session
            self._finish(session)
            self.left = claims.steps_left(session, self.held)
            reach("save.before_commit", str(self.job.id), self.held.kind)
        reach("save.after_commit", str(self.job.id), self.held.kind)

    def save(self, result: dict[str, Any]) -> None:
        """End a step that leaves no row but its own; raises LostClaim as `saving` does."""
        self.result = result
        reach("save.before_commit", str(self.job.id), self.held.kind)
        with single() as connection:
            self._finish(connection)
            reach("save.after_commit", str(self.job.id), self.held.kind)
            self.left = claims.steps_left(connection, self.held)

    def add_to_job(self, session: Session) -> None:
        """Make the step's result part of the job's own; call inside `saving`."""
        job = session.get_one(Job, self.job.id)
        job.result = {**job.result, **self.result}

    def tidy(self) -> None:
        """Delete the scratch folder, if there was use for one."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _finish(self, session: Session | Connection) -> None:
        kept = claims.finish(
            session,
            self.held,
            result=self.result,
            input_hash=self.input_hash,
            inputs=self.inputs,
            reused_from=self.reused_from,
            figures=self.figures,
        )
        if not kept:
            raise LostClaim


def step(
    kind: str, *, version: int = 1, soft: int = 540, hard: int = 600
) -> Callable[[Callable[[Run], None]], Any]:
    """Make a Celery task of a step function.

    `version` is part of every input hash: raise it when the same inputs give another result. `soft` and
    `hard` are time limits in seconds; in the thread pool only the soft one holds, through the heartbeat.
    """

    def register(work: Callable[[Run], None]) -> Any:
        @app.task(
            name=kind,
            bind=True,
            soft_time_limit=soft,
            time_limit=hard,
            __doc__=work.__doc__,
        )
        def task(self: Any, step_id: str, job: str = "", *, solo: bool = False) -> None:  # noqa: ARG001 (`job` is for people: Flower finds tasks by it)
            _perform(work, UUID(step_id), self.request, version=version, limit=soft, solo=solo)

        return task

    return register


def storage() -> Storage:
    """The installation's object store; an S3 client is costly to make and is kept."""
    return _open(get_settings())


@lru_cache(maxsize=2)
def _open(settings: Settings) -> Storage:
    return open_storage(settings)


def put_file(path: Path, *, mime: str, filename: str, **facts: Any) -> StoredFile:
    """Put a file into the object store under the digest of its bytes."""
    sha256 = file_sha256(path)
    key = blob_key(sha256)
    storage().put(key, path, mime=mime)
    return StoredFile(sha256=sha256, size=path.stat().st_size, mime=mime, key=key, filename=filename, **facts)


def _perform(
    work: Callable[[Run], None], step_id: UUID, request: Any, *, version: int, limit: float, solo: bool
) -> None:
    reach("claim.before", step=work.__name__)
    with single() as connection:
        lease = timedelta(seconds=get_settings().step_lease_seconds)
        taken = claims.claim(
            connection, step_id, worker=str(request.hostname), task_id=str(request.id), lease=lease
        )
    if taken is None:
        return
    held, job = taken
    reach("claim.after", str(job.id), held.kind)
    structlog.contextvars.bind_contextvars(
        job=str(held.job_id),
        step=held.kind,
        label=held.label,
        attempt=held.attempt,
        task=str(request.id),
        request_id=job.request_id,
    )
    run = Run(held, job, version, limit)
    blocking = [need for need in held.failed_needs if pipeline.is_critical(need.kind, job.params)]
    delay = None
    began = time.monotonic()
    try:
        if blocking:
            _skip(run, f"{blocking[0].kind} {blocking[0].label} did not succeed".replace("  ", " "))
        else:
            with beating(run._pulse):  # noqa: SLF001 (the two halves of one mechanism)
                reach("step.working", str(job.id), held.kind)
                work(run)
        log.info("step ended", seconds=round(time.monotonic() - began, 3), reused=run.reused_from is not None)
    except LostClaim:
        log.warning("claim lost; nothing was saved")
        _let_go(run)
    except PipelineError as error:
        delay = _give_back(run, error)
    except SoftTimeLimitExceeded:
        delay = _give_back(run, Retryable(f"It took longer than {limit:.0f} s.", code="too_slow"))
    except (InterfaceError, OperationalError, PoolTimeout):
        raise  # the row cannot be written now; the lease will give the step back
    except Exception as error:  # noqa: BLE001 (sorted and logged by `_judge`)
        delay = _give_back(run, _judge(error))
    finally:
        run.tidy()
        structlog.contextvars.clear_contextvars()
    pipeline.after_step(held, left=run.left, retry_delay=delay, solo=solo)


def _judge(error: Exception) -> PipelineError:
    """Sort an error from outside the tree: a full disk may be freed, anything else is a bug."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Retryable("The disk is full.", code="disk_full")
    log.error("a bug in a step", exc_info=error)
    return Permanent(f"{type(error).__name__}: {error}", code="bug")


def _skip(run: Run, why: str) -> None:
    """End a step without doing it: something it cannot do without has failed."""
    with transaction() as session:
        claims.give_back(
            session,
            run.held,
            state=StepState.SKIPPED,
            outcome="skipped",
            code="blocked",
            message=why,
            blame=False,
        )


def _give_back(run: Run, error: PipelineError) -> float | None:
    """Write an attempt's failure; returns the delay before the next try, None when there is none."""
    decision = decide(error, run.held.failures)
    with transaction() as session:
        job = steps.lock_job(session, run.held.job_id)
        if job.state in (JobState.CANCELLING, JobState.CANCELLED):
            state, outcome = StepState.CANCELLED, "cancelled"
        elif decision.action == "retry":
            state, outcome = StepState.READY, "retry"
        elif isinstance(error, OverBudget) and decision.action == "wait":
            state, outcome = StepState.READY, "waits"
        else:
            state, outcome = StepState.FAILED, "parked" if isinstance(error, Unconfirmed) else "failed"
        claims.give_back(
            session,
            run.held,
            state=state,
            outcome=outcome,
            code=error.code,
            message=error.message,
            delay=decision.delay,
            blame=outcome != "waits",
        )
        if isinstance(error, OverBudget) and outcome == "waits":
            shortages.park_short(session, run.held, amount=error.amount, currency=error.currency)
    log.warning("step gave up an attempt", outcome=outcome, code=error.code, error=error.message)
    return decision.delay if outcome == "retry" else None


def _let_go(run: Run) -> None:
    """End a step that was stopped by its job's end, not by a successor: nobody else will before its lease."""
    with transaction() as session:
        job = steps.lock_job(session, run.held.job_id)
        if job.state not in steps.WORKABLE:
            claims.give_back(
                session,
                run.held,
                state=StepState.CANCELLED,
                outcome="cancelled",
                code="stopped",
                message="The job was stopped before this was saved.",
                blame=False,
            )
