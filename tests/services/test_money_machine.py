"""Random histories of money against a plain model: whatever order things come in, the books balance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from core.errors import Invalid, OverBudget
from core.ids import new_id
from db.money import Hold, HoldState
from db.session import reading, transaction
from db.work import Job
from services import books, caps, ledger, money
from tests.services.makers import make_house, make_job

JOB_CAP = 1_500
MOVES = ("top_up", "hold", "hold", "hold", "hold_again", "capture", "capture", "release", "refund", "expire")
HISTORY = st.lists(
    st.tuples(st.sampled_from(MOVES), st.integers(0, 9), st.integers(1, 600)), min_size=12, max_size=40
)
done: Counter[str] = Counter()
"""How often each kind of move really moved money, over all histories."""


@dataclass
class Line:
    """What the model believes of one hold."""

    row: Hold
    job: int
    captured: int = 0
    refunded: int = 0
    state: str = "open"

    @property
    def left(self):
        """What of it counts against caps."""
        return self.row.amount if self.state == "open" else self.captured - self.refunded


class Model:
    """Two jobs of a workspace, one of them capped; a wallet once somebody has topped up."""

    def __init__(self):
        self.house = make_house()
        self.jobs = [make_job(self.house, budget={"amount": JOB_CAP}), make_job(self.house)]
        self.lines: list[Line] = []
        self.paid_in: int | None = None

    @property
    def held(self):
        return sum(line.left for line in self.lines if line.state == "open")

    @property
    def spent(self):
        return sum(line.left for line in self.lines if line.state != "open")

    def committed(self, job):
        return sum(line.left for line in self.lines if line.job == job)

    # -- what people and vendors do ----------------------------------------------------------------

    def move(self, what, index, amount):
        if what in ("top_up", "hold"):
            getattr(self, what)(index, amount)
        elif self.lines:
            getattr(self, what)(self.lines[index % len(self.lines)], amount)

    def top_up(self, _, amount):
        if self.paid_in is None:  # what went out before is taken as paid
            self.paid_in = self.held + self.spent
        key = str(new_id())
        for _ in range(2):
            with transaction() as session:
                money.top_up(session, self.house.workspace_id, None, amount=amount, currency="USD", key=key)
        self.paid_in += amount
        done["top_up"] += 1

    def hold(self, index, amount):
        job = index % 2
        fits = job == 1 or self.committed(job) + amount <= JOB_CAP
        fits = fits and (self.paid_in is None or amount <= self.paid_in - self.held - self.spent)
        row = self.ask(job, amount, str(new_id()))
        assert (row is not None) == fits
        done["hold" if fits else "refusal"] += 1
        if row is not None:
            self.lines.append(Line(row, job))

    def hold_again(self, line, _):
        assert self.ask(line.job, line.row.amount, line.row.key).id == line.row.id

    def ask(self, job, amount, key):
        try:
            with transaction() as session:
                job_row = session.get_one(Job, self.jobs[job])
                return money.place_hold(session, job_row, amount=amount, currency="USD", key=key)
        except OverBudget:
            return None

    def capture(self, line, actual):
        with transaction() as session:
            overrun = money.capture_hold(session, line.row, actual=actual, submission_id=new_id())
        if line.state == "open":
            line.state, line.captured = "captured", min(actual, line.row.amount)
            assert overrun == actual - line.captured
            done["capture"] += 1
        elif line.state == "released":
            assert overrun == actual

    def release(self, line, _):
        with transaction() as session:
            money.release_hold(session, line.row.id)
        if line.state == "open":
            line.state = "released"
            done["release"] += 1

    def refund(self, line, amount):
        left = line.captured - line.refunded
        amount = 1 + amount % (left + 2)  # near what is left, sometimes beyond it
        fits = amount <= left
        key = str(new_id())
        accepted = True
        for _ in range(2):
            try:
                with transaction() as session:
                    money.refund(session, line.row.id, amount=amount, key=key, submission_id=new_id())
            except Invalid:
                accepted = False
        assert accepted == fits
        if fits:
            line.refunded += amount
            done["refund"] += 1

    def expire(self, line, _):
        late = func.now() - func.make_interval(0, 0, 0, 1)
        with transaction() as session:
            session.execute(update(Hold).where(Hold.id == line.row.id).values(expires_at=late))
            stale = money.stale_holds(session)
        assert stale == ([line.row.id] if line.state == "open" else [])
        for hold_id in stale:
            with transaction() as session:
                money.settle_hold(session, hold_id)
            line.state = "released"
            done["expiry"] += 1

    # -- what must be true whatever they did -------------------------------------------------------

    def check(self):
        payer = caps.Payer(self.house.workspace_id, None, self.jobs[0])
        with reading() as session:
            assert books.verify_books(session) == []
            shown = ledger.show_credits(session, self.house.workspace_id)
            known = {line.row.id: line for line in self.lines}
            rows = session.scalars(select(Hold).where(Hold.workspace_id == self.house.workspace_id)).all()
            cap = caps.caps_in_force(session, payer, "USD")[0]
        assert cap.committed == self.committed(0) <= JOB_CAP
        assert len(rows) == len(known)
        for row in rows:
            line = known[row.id]
            assert (row.state, row.captured, row.refunded) == (line.state, line.captured, line.refunded)
            assert 0 <= row.refunded <= row.captured <= row.amount
            assert (row.state is HoldState.OPEN) == (row.closed_at is None)
        available = None if self.paid_in is None else self.paid_in - self.held - self.spent
        assert available is None or available >= 0
        if self.lines or self.paid_in is not None:
            (line,) = shown
            assert (line["available"], line["held"], line["spent"]) == (available, self.held, self.spent)


def test_whatever_happens_in_whatever_order_the_books_balance(request):
    """Each history has a workspace of its own in one database."""
    request.getfixturevalue("settings")
    done.clear()

    @settings(
        max_examples=20, deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(HISTORY)
    def run(history):
        model = Model()
        for move in history:
            model.move(*move)
        model.check()

    run()
    assert (
        min(done[what] for what in ("top_up", "hold", "refusal", "capture", "release", "refund", "expiry"))
        > 2
    )
