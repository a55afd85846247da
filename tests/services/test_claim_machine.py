"""Random orders of claims, crashes, copies, cancels and saves: what may never happen does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from core.ids import new_id
from db.session import reading, transaction
from db.work import ENDED_STEP, Attempt, Event, Job, JobState, Step, StepState
from services import claims, jobs, steps
from services.steps import StepPlan
from tests.services.makers import end, make_house, make_job, plan, see_job, take_up

STEPS = 3


class ClaimMachine(RuleBasedStateMachine):
    """Workers hold claims, alive or not; the rows must agree with what they were told."""

    held = Bundle("held")

    def __init__(self):
        super().__init__()
        self.house = make_house()
        self.job_id = make_job(self.house)
        first, second = StepPlan("narrate", new_id()), StepPlan("narrate", new_id())
        self.ids = plan(self.job_id, first, second, StepPlan("rank", needs=(first.key, second.key)))
        self.saved = {}
        self.cancelled = False

    @rule(target=held, number=st.integers(0, STEPS - 1))
    def deliver(self, number):
        """A message arrives, perhaps for the second time."""
        before = self.row(number)
        claim = take_up(self.ids[number])
        if claim is None:
            ready = before.state is StepState.READY
            blocked = number == 2 and any(self.row(n).state not in ENDED_STEP for n in (0, 1))
            assert self.cancelled or not ready or blocked
            return multiple()
        assert not self.cancelled
        assert before.state is StepState.READY
        assert claim.attempt == before.attempt + 1
        return (number, claim)

    @rule(one=held)
    def save(self, one):
        """A worker saves, perhaps one that was thought dead."""
        number, claim = one
        row = self.row(number)
        current = (row.state, row.attempt) == (StepState.RUNNING, claim.attempt) and not self.cancelled
        assert end(claim, {"by": claim.attempt}) is current
        if current:
            self.saved[number] = claim.attempt

    @rule(one=consumes(held), code=st.sampled_from(["busy", "broken"]))
    def fail(self, one, code):
        """An attempt ends in an error: to be tried again, or for good."""
        number, claim = one
        before = self.row(number)
        again = code == "busy" and not self.cancelled
        state = StepState.CANCELLED if self.cancelled else StepState.READY if again else StepState.FAILED
        with transaction() as session:
            claims.give_back(
                session, claim, state=state, outcome="retry" if again else "failed", code=code, message=code
            )
        held_it = (before.state, before.attempt) == (StepState.RUNNING, claim.attempt)
        assert self.row(number).state is (state if held_it else before.state)

    @rule(one=held)
    def beat(self, one):
        """A worker says that it lives; only the holder's lease is extended."""
        number, claim = one
        row = self.row(number)
        current = (row.state, row.attempt) == (StepState.RUNNING, claim.attempt) and not self.cancelled
        with transaction() as session:
            kept = claims.extend_leases(session, [(claim, 0.5)], lease=timedelta(seconds=30))
        assert kept == ({claim.step_id} if current else set())

    @rule(target=held, one=held)
    def go_silent(self, one):
        """A worker seems to be dead, beat notices, and the step's next message arrives."""
        number, _ = one
        with transaction() as session:
            session.execute(
                update(Step)
                .where(Step.id == self.ids[number], Step.state == StepState.RUNNING)
                .values(lease_until=func.now() - timedelta(seconds=1))
            )
        with transaction() as session:
            claims.reclaim_expired(session, failures_allowed=100)
        assert self.row(number).state is not StepState.RUNNING
        successor = take_up(self.ids[number])
        return multiple() if successor is None else (number, successor)

    @rule(number=st.integers(0, STEPS - 1))
    def reopen(self, number):
        """A person has a step done again."""
        if self.cancelled:
            return
        with transaction() as session:
            steps.reopen(session, steps.lock_job(session, self.job_id), [self.ids[number]])
        if self.row(number).state is StepState.READY:
            self.saved.pop(number, None)

    @rule()
    def cancel(self):
        """A person has had enough."""
        with transaction() as session:
            jobs.cancel_job(session, self.house.workspace_id, self.job_id)
        self.cancelled = True

    @invariant()
    def rows_keep_their_promises(self):
        with reading() as session:
            rows = {row.id: row for row in steps.list_steps(session, self.job_id)}
            tries = session.execute(
                select(Attempt.step_id, func.count(), func.max(Attempt.number), func.count(Attempt.finished_at))
                .where(Attempt.step_id.in_(self.ids)).group_by(Attempt.step_id)
            ).all()  # fmt: skip
            seqs = session.scalars(
                select(Event.seq).where(Event.job_id == self.job_id).order_by(Event.seq)
            ).all()
            last = session.scalar(select(Job.event_seq).where(Job.id == self.job_id))
        assert seqs == list(range(1, last + 1)), "events have gaps"
        for row in rows.values():
            assert (row.lease_until is not None) == (row.state is StepState.RUNNING)
        for step_id, count, highest, finished in tries:
            assert count == highest == rows[step_id].attempt, "an attempt is missing from the history"
            assert count - finished == (rows[step_id].state is StepState.RUNNING), "an attempt never ended"
        for number, attempt in self.saved.items():
            assert rows[self.ids[number]].state is StepState.SUCCEEDED
            assert rows[self.ids[number]].result == {"by": attempt}, "somebody saved over a saved step"
        if self.cancelled:
            assert see_job(self.job_id).state is JobState.CANCELLING

    def row(self, number):
        with reading() as session:
            return session.get_one(Step, self.ids[number])


@pytest.mark.timeout(300)
def test_no_order_of_events_breaks_a_promise(request):
    request.getfixturevalue("settings")
    run_state_machine_as_test(
        ClaimMachine,
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None, derandomize=True,
            phases=[Phase.generate],  # an example is short enough to read unshrunk
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
