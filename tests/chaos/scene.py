"""One run: a workspace of its own, jobs asked for over the wire, faults in between, a verdict at the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.submissions import OPEN_SUBMISSION, Submission
from db.work import ENDED_JOB, Job, JobState, Step, StepState, WaitsFor
from services.accounts import create_key, create_workspace
from tests.chaos.invariants import Look, broken
from tests.chaos.stack import Ground, patiently

SETTLE_SECONDS = 150.0
"""A job that has not ended by then is stuck. Beat's slowest mending takes 8 s; a request to a vendor whose
sender died before the wire goes out again after a minute."""
PHASE_OF = {
    "write_script": "write", "break_down": "write",
    "narrate": "source", "find_stock": "source", "find_music": "source", "rank": "source",
    "keep_stock": "shoot", "submit_take": "shoot", "fetch_take": "shoot",
    "clean_take": "finish", "render_segment": "finish", "mix_sound": "finish",
    "credits_card": "finish", "compose": "finish",
    "export": "deliver", "close": "deliver",
}  # fmt: skip
SCRAPE = ("search_source", "keep_candidates")
REMOVAL = ("clean_clip", "verify_clip", "fetch_clip")


class Missed(Exception):  # noqa: N818 (no error: the moment to strike did not come)
    """The fault found nothing to strike at; the run counts, and the table says so."""


@dataclass
class Scene:
    ground: Ground
    seed: int
    rng: random.Random
    jobs: list[UUID] = field(default_factory=list)
    retried: set[UUID] = field(default_factory=set)
    may_fail: frozenset[str] = frozenset()
    """Error codes with which this fault may fail a job; a retry must then bring it to its end."""
    struck: bool = False
    notes: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Breaches that a fault itself saw."""

    def __post_init__(self) -> None:
        self.since = time.time()

        def enter() -> None:
            with Session(self.ground.engine) as session, session.begin():
                workspace, user = create_workspace(
                    session,
                    f"Run {self.seed}",
                    f"run{self.seed}-{self.rng.getrandbits(64)}@example.test",
                    "O",
                )
                _, key = create_key(session, workspace.id, user.id, name="chaos", scopes=("admin",))
                self.workspace_id, self.key = workspace.id, key

        patiently(enter)

    # -- asking -----------------------------------------------------------------------------------

    def post(self, path: str, body: Any = None, *, file: Path | None = None) -> requests.Response:
        """Ask until the API takes it, with the same Idempotency-Key, as a careful client does."""
        headers = {"X-API-Key": self.key, "Idempotency-Key": f"{self.seed}-{self.rng.getrandbits(64)}"}
        deadline = time.monotonic() + 60
        while True:
            try:
                sent = {"file": (file.name, file.read_bytes(), "video/mp4")} if file else None
                answer = requests.post(
                    f"{self.ground.base}{path}", json=body, files=sent, headers=headers, timeout=20
                )
                if answer.status_code < 500:
                    return answer
                said = answer.text
            except requests.RequestException as error:
                said = str(error)
            assert time.monotonic() < deadline, f"POST {path} was never taken: {said}"
            time.sleep(0.2)

    def submit(self, kind: str, params: dict[str, Any], **job: Any) -> UUID:
        answer = self.post("/jobs", {"kind": kind, "params": params, **job})
        assert answer.status_code == 202, answer.text
        self.jobs.append(UUID(answer.json()["id"]))
        return self.jobs[-1]

    def film(self, *, bought: bool | None = None, trouble: str = "", music: bool = False, **job: Any) -> UUID:
        """Ask for the smallest film: two shots of half a second.

        Half of those that shoot at all buy their takes, unless `bought` says; others show a card, a picture,
        or speak. `trouble` is a fault that the vendor meets at one of the shots.
        """
        n = self.rng.getrandbits(32)
        dice, reuse = self.rng.random(), self.rng.random() < 0.8
        first = self.rng.choice(
            (
                f"[title: One {n}]\n[search:]",
                f"[image: samples:rocket]\nUp {n % 100}.",
                "[image: samples:coffee]",
            )
        )
        second = f"[title: Two {n}]\n[search:]"
        if bought is None:
            bought = dice < 0.5 and job.get("stop_after") not in ("write", "source")
        if bought:
            first, second = (
                f"[prompt: reel {n} one {trouble}]\n[title: One]",
                f"[prompt: reel {n} two]\n[title: Two]",
            )
        script = f"# Run {n}\n\n{first}\n[duration: 0.5]\n\n{second}\n[duration: 0.5]\n"
        brief = {
            "script": script, "size": 240, "fps": 24, "captions": "none", "seed": n % 2**31, "reuse": reuse,
            "sources": [] if bought else ["samples"], "providers": ["kling", "local"] if bought else ["local"],
        }  # fmt: skip
        if music:
            brief["music"] = {"from": "samples", "id": "ambient-wonder"}
        return self.submit("film", brief, **job)

    def scrape(self) -> UUID:
        word = self.rng.choice(("rocket", "coffee", "cat", "moon"))
        return self.submit("scrape", {"words": [word], "sources": ["samples"], "keep": 1})

    def removal(self, *, bought: bool) -> UUID:
        """Have text removed from an uploaded clip, here or by GhostCut."""
        answer = self.post("/uploads", file=self.ground.clip())
        assert answer.status_code == 202, answer.text
        upload, headers = f"{self.ground.base}/uploads/{answer.json()['id']}", {"X-API-Key": self.key}

        def inspected() -> str | None:
            asset: str | None = requests.get(upload, headers=headers, timeout=20).json().get("asset_id")
            return asset

        deadline = time.monotonic() + 60
        while not (asset_id := inspected()):
            assert time.monotonic() < deadline, "the upload was never inspected"
            time.sleep(0.1)
        asked: dict[str, Any] = {"asset_id": asset_id, "reuse": self.rng.random() < 0.8}
        if bought:
            return self.submit("text_removal", asked | {"method": "ghostcut", "accept_unknown_prices": True})
        asked["regions"] = [{"x": 0.2, "y": 0.6, "width": 0.5, "height": 0.2}]
        return self.submit("text_removal", asked)

    def job_with(self, kind: str, *, bought: bool | None = None) -> UUID:
        """Ask for the cheapest job that has a step of this kind; some films go on after its phase."""
        if kind in SCRAPE:
            return self.scrape()
        if kind in REMOVAL:
            return self.removal(bought=kind == "fetch_clip")
        if kind == "find_music":
            return self.film(bought=False, music=True, stop_after=self.rng.choice(("source", None)))
        bought = True if kind == "fetch_take" else bought
        stop = PHASE_OF.get(kind)
        if stop == "deliver" or self.rng.random() < 0.4:
            return self.film(bought=bought)
        return self.film(bought=bought, stop_after=stop)

    # -- watching ---------------------------------------------------------------------------------

    def step_running(self, *kinds: str, seconds: float = 60.0) -> Step:
        """Wait until a step of one of these kinds is being worked on."""

        def look() -> Step | None:
            with Session(self.ground.engine, expire_on_commit=False) as session:
                return session.scalar(
                    select(Step)
                    .where(Step.job_id.in_(self.jobs), Step.state == StepState.RUNNING, Step.kind.in_(kinds))
                    .limit(1)
                )

        return self.until(look, seconds=seconds, why=f"a running {kinds}")

    def phase_reached(self, *phases: str, seconds: float = 60.0) -> None:
        self.until(
            lambda: any(job.phase in phases for job in self.rows()), seconds=seconds, why=f"phase {phases}"
        )

    def until(self, what: Callable[[], Any], *, seconds: float, why: str) -> Any:
        """Ask again and again; Missed when every job ended before, or the time is up."""
        deadline = time.monotonic() + seconds
        while not (seen := patiently(what)):
            if time.monotonic() > deadline or all(job.state in ENDED_JOB for job in self.rows()):
                raise Missed(why)
            time.sleep(0.01)
        return seen

    def rows(self) -> list[Job]:
        def read() -> list[Job]:
            with Session(self.ground.engine, expire_on_commit=False) as session:
                return list(session.scalars(select(Job).where(Job.id.in_(self.jobs)).order_by(Job.id)))

        rows: list[Job] = patiently(read)
        return rows

    def steps(self) -> list[Step]:
        def read() -> list[Step]:
            with Session(self.ground.engine, expire_on_commit=False) as session:
                return list(session.scalars(select(Step).where(Step.job_id.in_(self.jobs)).order_by(Step.id)))

        rows: list[Step] = patiently(read)
        return rows

    def settled_within(self, seconds: float) -> Iterator[None]:
        """Yield until every job has ended or waits for a person or money, or the time is up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(
            job.state in ENDED_JOB
            or (job.state is JobState.WAITING and job.waits_for is not WaitsFor.PROVIDER)
            for job in self.rows()
        ):
            yield
            time.sleep(0.1)

    def check_settled(self, when: str) -> None:
        """Complain of jobs that did not end although nothing was mended yet."""
        self.complaints += [
            f"job {job.id} is {job.state.value} in {job.phase} {when}"
            for job in self.rows()
            if job.state not in ENDED_JOB and job.state is not JobState.WAITING
        ]

    def pause(self, low: float, high: float) -> None:
        time.sleep(self.rng.uniform(low, high))

    # -- judging ----------------------------------------------------------------------------------

    def settle(self) -> list[str]:
        """Wait until every job has ended or waits; take failed ones up again where the fault may fail them."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            self.notes += [f"{name} had ended and was started again" for name in self.ground.start_all()]
            rows = self.rows()
            for job in rows:
                if job.state is JobState.WAITING and job.waits_for is WaitsFor.REVIEWER:
                    self._approve(job)
                elif job.id not in self.retried and self._goes_on(job):
                    self.retried.add(job.id)
                    self.notes.append(f"{job.state.value} ({job.error_code}), taken up again")
                    self.post(f"/jobs/{job.id}/retry")
            rows = self.rows()
            if all(job.state is JobState.SUCCEEDED or self._rests(job) for job in rows):
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        while self._bought_and_on_its_way() and time.monotonic() < deadline:
            time.sleep(0.1)
        late = [
            f"job {job.id} still waits for {job.waits_for.value}: {job.waits_reason}"
            for job in rows
            if job.state is JobState.WAITING and job.waits_for is not None
        ]
        return late + [
            f"job {job.id} ({job.kind.value}) ended {job.state.value}: {job.error_code} {job.error_message}"
            for job in rows
            if job.state in ENDED_JOB and job.state is not JobState.SUCCEEDED
        ]

    def verdict(self) -> list[str]:
        def read() -> list[str]:
            with Session(self.ground.engine) as session:
                return broken(
                    Look(
                        session, self.workspace_id, self.ground.store,
                        since=self.since, retried=frozenset(self.retried), bill=self.ground.bill(),
                    )
                )  # fmt: skip

        found: list[str] = patiently(read)
        return found

    def state(self) -> str:
        """What a person needs to understand a violation."""
        lines = [
            f"job {j.id} {j.kind.value} {j.state.value} phase={j.phase} waits_for={j.waits_for}"
            f" error={j.error_code} {j.error_message} warnings={j.warnings}"
            for j in self.rows()
        ]
        lines += [
            f"  {s.kind} {s.label} {s.id} {s.state.value} attempt={s.attempt} failures={s.failures}"
            f" sent={s.sent_at} lease={s.lease_until} due={s.not_before} {s.error_code or ''} {s.error_message or ''}"
            for s in self.steps()
        ]
        return "\n".join(lines)

    def _goes_on(self, job: Job) -> bool:
        if job.state is JobState.CANCELLED:
            return "cancelled" in self.may_fail
        return job.state is JobState.FAILED and (job.error_code in self.may_fail)

    def _bought_and_on_its_way(self) -> bool:
        """Whether the vendor may still charge for something that nobody has booked yet."""

        def look() -> bool:
            with Session(self.ground.engine) as session:
                return session.scalar(
                    select(Submission.id)
                    .where(
                        Submission.workspace_id == self.workspace_id,
                        Submission.state.in_(OPEN_SUBMISSION),
                        Submission.next_poll_at.is_not(None),
                    )
                    .limit(1)
                ) is not None  # fmt: skip

        return bool(patiently(look))

    def _rests(self, job: Job) -> bool:
        return job.state in ENDED_JOB and (job.id in self.retried or not self._goes_on(job))

    def _approve(self, job: Job) -> None:
        headers = {"X-API-Key": self.key}
        pending = requests.get(f"{self.ground.base}/approvals/pending", headers=headers, timeout=20).json()
        for asked in pending["items"]:
            if asked["job_id"] == str(job.id):
                requests.post(
                    f"{self.ground.base}/approvals/{asked['id']}/respond",
                    json={"verb": "approve"}, headers=headers, timeout=20,
                )  # fmt: skip
