"""A studio on the running stack: real workers, beat and API; a test sees rows and the wire, nothing else."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import redis
import requests
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session

from core.storage import blob_key
from db.money import AccountKind, LedgerAccount, LedgerEntry, LedgerTransfer
from db.work import ENDED_JOB, Job, Step, StepState
from services.accounts import create_key, create_workspace
from tests.stack import Stack

FILM_SECONDS = 100.0
"""How long a small film may take beside several others on two cores."""
_numbers = itertools.count(1)


class Studio:
    """One workspace, its API key, and the database behind it."""

    def __init__(self, stack: Stack, engine: Engine, base: str) -> None:
        self.stack = stack
        self.engine = engine
        self.base = base
        number = next(_numbers)
        with Session(engine) as session, session.begin():
            workspace, user = create_workspace(
                session, f"Studio {number}", f"studio{number}@example.test", "Owner"
            )
            _, key = create_key(session, workspace.id, user.id, name="test", scopes=("admin",))
            self.workspace_id, self.user_id = workspace.id, user.id
        self.http = requests.Session()
        self.http.headers["X-API-Key"] = key

    # -- the wire ---------------------------------------------------------------------------------

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.http.post(f"{self.base}{path}", json=body, timeout=20, **more)

    def get(self, path: str) -> Any:
        answer = self.http.get(f"{self.base}{path}", timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def change(self, path: str, changes: dict[str, Any]) -> Any:
        """PATCH what was read just now."""
        seen = self.http.get(f"{self.base}{path}", timeout=20)
        answer = self.http.patch(
            f"{self.base}{path}", json=changes, headers={"If-Match": seen.headers["ETag"]}, timeout=20
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, kind: str, params: dict[str, Any], **job: Any) -> UUID:
        answer = self.post("/jobs", {"kind": kind, "params": params, **job})
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["id"])

    def film(
        self,
        script: str,
        *,
        gates: tuple[str, ...] = (),
        stop_after: str | None = None,
        **params: Any,
    ) -> UUID:
        """Ask for a small film of `script`; its sources are the samples."""
        brief = {"script": script, "size": 240, "fps": 24, "sources": ["samples"], **params}
        job: dict[str, Any] = {"gates": list(gates)}
        if stop_after:
            job["stop_after"] = stop_after
        return self.submit("film", brief, **job)

    def answer(self, job_id: UUID, verb: str, **more: Any) -> None:
        """Answer the job's open question as a reviewer."""
        pending = [a for a in self.get("/approvals/pending")["items"] if a["job_id"] == str(job_id)]
        assert len(pending) == 1, pending
        reply = self.post(f"/approvals/{pending[0]['id']}/respond", {"verb": verb, **more})
        assert reply.status_code == 200, reply.text

    # -- the rows ---------------------------------------------------------------------------------

    @contextmanager
    def rows(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def job(self, job_id: UUID) -> Job:
        with self.rows() as session:
            return session.get_one(Job, job_id)

    def captured(self, job_id: UUID, currency: str = "USD") -> int:
        """What the ledger says went to vendors for a job."""
        with self.rows() as session:
            return session.scalar(
                select(func.coalesce(func.sum(LedgerEntry.amount), 0))
                .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
                .join(LedgerTransfer, LedgerTransfer.id == LedgerEntry.transfer_id)
                .where(
                    LedgerTransfer.job_id == job_id,
                    LedgerAccount.kind == AccountKind.SPENT,
                    LedgerAccount.currency == currency,
                )
            )

    def steps(self, job_id: UUID, kind: str | None = None) -> list[Step]:
        with self.rows() as session:
            query = select(Step).where(Step.job_id == job_id).order_by(Step.id)
            return list(session.scalars(query if kind is None else query.where(Step.kind == kind)))

    def until(
        self, what: Callable[[], Any], *, seconds: float = FILM_SECONDS, why: str = "", pause: float = 0.03
    ) -> Any:
        """Ask the rows again and again; returns the first true answer."""
        deadline = time.monotonic() + seconds
        while not (seen := what()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {why or what}"
            time.sleep(pause)
        return seen

    def state_of(self, job_id: UUID, *states: str, seconds: float = FILM_SECONDS) -> Job:
        """Wait until the job is in one of `states`; a job that ends otherwise fails the test at once."""

        def reached() -> Job | None:
            job = self.job(job_id)
            if job.state.value in states:
                return job
            assert job.state not in ENDED_JOB, (job.state, job.error_message, job.warnings)
            return None

        job: Job = self.until(reached, seconds=seconds, why=f"job to be {states}; {self.summary(job_id)}")
        return job

    def summary(self, job_id: UUID) -> str:
        return "; ".join(
            f"{row.kind} {row.label}: {row.state.value}"
            for row in self.steps(job_id)
            if row.state is not StepState.SUCCEEDED
        )

    def running(self, job_id: UUID, *kinds: str) -> Step:
        """Wait until a step of one of these kinds is being worked on."""

        def look() -> Step | None:
            return next(
                (s for s in self.steps(job_id) if s.kind in kinds and s.state is StepState.RUNNING), None
            )

        step: Step = self.until(look, why=f"a running {kinds}")
        return step

    def file(self, sha256: str) -> Path:
        return self.stack.folder / "store" / blob_key(sha256)

    # -- the machine ------------------------------------------------------------------------------

    def ffmpegs(self) -> list[psutil.Process]:
        """The ffmpeg processes that work for this stack."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            named = any("ffmpeg" in Path(word).name for word in words[:8])
            if named and any(str(self.stack.folder) in word for word in words):
                found.append(process)
        return found

    def flush_broker(self) -> None:
        """Lose every message and every chord counter."""
        self.stack.broker.flush()
        with closing(redis.Redis.from_url(self.stack.environment["REDIS_URL"])) as client:
            client.flushdb()


@contextmanager
def open_studio(stack: Stack) -> Iterator[Studio]:
    engine = create_engine(stack.environment["DATABASE_URL"])
    try:
        yield Studio(stack, engine, stack.serve())
    finally:
        engine.dispose()


@pytest.fixture
def studio(stack) -> Iterator[Studio]:
    with open_studio(stack) as studio:
        yield studio
