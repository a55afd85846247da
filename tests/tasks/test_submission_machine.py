"""Random histories of purchases, faults and crashes: nothing is bought twice, lost, or stuck, and the books balance.

`make machine RUNS=20000` runs more of them. What is ours is real; the vendor is a book in this process, and what
its adapter raises is what adapters may raise. A sender that dies is one that is stopped by what is no Exception.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from core.errors import Conflict, Rejected, Retryable, Unconfirmed
from core.ids import new_id
from core.registry import PROVIDERS
from db.callbacks import CallbackEvent
from db.money import Hold, HoldState
from db.session import reading, transaction
from db.submissions import AT_VENDOR, OPEN_SUBMISSION, Submission, SubmissionState
from db.work import JobState
from providers.base import Answer, AnswerState, Callback, Limits, Quote, Submitted, Vendor
from services import books, jobs, outcomes
from services.slots import in_seconds
from tasks import pipeline
from tasks.limits import limiter
from tests.services.buying import PRICE, make_submission
from tests.services.makers import make_house, see_job
from tests.tasks.conftest import call

RUNS = int(os.environ.get("MACHINE_RUNS", "150"))
PURCHASES = 8
"""Side by side in one history, each in a job of its own and each with faults of its own."""
FIRST = int(os.environ.get("MACHINE_SEED", "0"))
SENDS = ("ok", "ok", "refused", "throttled", "lost_before", "lost_after", "die_before", "die_after")
MOVES = (
    *(
        "send",
        "send",
        "send",
        "send",
        "send_slowly",
        "send_slowly",
        "mend",
        "mend",
        "poll",
        "poll",
        "poll_away",
    ),
    *(
        "poll_dies",
        "poll_overlooks",
        "makes",
        "makes",
        "makes",
        "fails",
        "writes",
        "writes",
        "calls",
        "calls",
    ),
    *("calls_again", "calls_again", "later", "later", "later", "person", "person"),
)
RARE = ("much_later", "a_day_later", "a_day_later", "person_abandons", "cancel", "cancel", "retry", "retry")
"""What ends most purchases, and so may happen to one in a dozen moves only."""
done: Counter[str] = Counter()
"""How often each kind of thing really happened, over all histories."""


class Died(BaseException):
    """A process ends here; what it had not committed never was."""


@dataclass
class Task:
    """What the vendor knows of one request it accepted."""

    vendor_id: str
    token: str
    state: AnswerState = AnswerState.RUNNING
    letters: list[bytes] = field(default_factory=list)

    @property
    def charged(self):
        return PRICE if self.state is AnswerState.SUCCEEDED else 0

    def answer(self):
        code = "cancelled" if self.state is AnswerState.FAILED else "vendor_failed"
        cost = PRICE if self.state is AnswerState.SUCCEEDED else None
        return Answer(self.vendor_id, self.state, raw={"id": self.vendor_id}, cost=cost, code=code)


class World:
    """The vendor, and what happens on the wire to it."""

    def __init__(self, looks_up):
        self.tasks: list[Task] = []
        self.looks_up = looks_up
        self.outcome = "ok"
        self.polling = "ok"
        self.meanwhile = None
        """What others do while a request is on the wire."""

    def find(self, **wanted):
        return [t for t in self.tasks if all(getattr(t, name) == value for name, value in wanted.items())]


here = SimpleNamespace(world=World(looks_up=True))
"""The vendor of the history that is being played."""


class Wire(Vendor):
    slug, kind, models, batch, home = "wire", "video", ("wire-1",), 3, "http://vendor.test"
    limits, model = Limits(poll_seconds=2.0), "wire-1"

    @classmethod
    def usable(cls, own):
        return None

    @property
    def can_look_up(self):
        return here.world.looks_up

    def quote(self, request):
        return Quote(PRICE)

    def submit(self, request, client_token):
        outcome, meanwhile = here.world.outcome, here.world.meanwhile
        here.world.outcome, here.world.meanwhile = "ok", None
        if outcome == "refused":
            raise Rejected("no")
        if outcome == "throttled":
            raise Retryable("later", code="throttled", retry_after=1)
        if outcome == "die_before":
            raise Died
        if outcome == "lost_before":
            raise Unconfirmed("no answer")
        task = Task(f"v-{new_id().hex}", client_token)
        here.world.tasks.append(task)
        done["accepted"] += 1
        if meanwhile:
            meanwhile()
        if outcome == "lost_after":
            raise Unconfirmed("no answer")
        if outcome == "die_after":
            raise Died
        return Submitted(task.vendor_id)

    def poll(self, handles):
        how, here.world.polling = here.world.polling, "ok"
        if how == "away":
            raise Retryable("no answer")
        if how == "dies":
            raise Died
        known = {task.vendor_id: task.answer() for task in here.world.tasks}
        if how == "overlooks":
            known = {}
        return [known.get(h.vendor_id, Answer(h.vendor_id, AnswerState.RUNNING)) for h in handles]

    def lookup(self, client_token):
        found = here.world.find(token=client_token)
        return found[0].answer() if found else None

    def cancel(self, handle):
        (task,) = here.world.find(vendor_id=handle.vendor_id)
        if task.state is AnswerState.RUNNING:
            task.state = AnswerState.FAILED
            done["stopped"] += 1
            return True
        return False

    def parse_callback(self, headers, body, now):
        said = json.loads(body)
        answer = Answer(said["id"], AnswerState(said["state"]), raw={}, cost=said["cost"], code="cancelled")
        return (
            Callback(said["event"], (answer,))
            if said["tells"]
            else Callback(said["event"], ask=(said["id"],))
        )


class Model:
    """Jobs with a purchase each, and everybody who has to do with them."""

    def __init__(self, looks_up):
        here.world = World(looks_up)
        self.house = make_house()
        self.bought = [
            make_submission(self.house, provider="wire", model="wire-1", endpoint=Wire.home)
            for _ in range(PURCHASES)
        ]
        self.given_up: set[str] = set()
        """Tokens that a person gave up, or that nobody wanted for a day: what comes of those is nobody's."""

    def row(self, one):
        with reading() as session:
            return session.get_one(Submission, one.id)

    def move(self, what, index, outcome):
        getattr(self, what)(self.bought[index], outcome)

    # -- senders -----------------------------------------------------------------------------------

    def send(self, one, outcome):
        here.world.outcome = outcome
        try:
            call("send_submission", str(one.id))
        except Died:
            done["died"] += 1
        here.world.outcome = "ok"

    def send_slowly(self, one, outcome):
        """The vendor takes its time: another message, beat and a callback come meanwhile."""

        def meanwhile():
            done["meanwhile"] += 1
            self.shift(40, one)
            for again in (self.send, self.mend, self.poll, self.calls):
                again(one, "ok")

        here.world.meanwhile = (
            meanwhile if outcome not in ("refused", "throttled", "lost_before", "die_before") else None
        )
        self.send(one, outcome)
        here.world.meanwhile = None

    def mend(self, *_):
        call("mend_submissions")

    def poll(self, *_, how="ok"):
        here.world.polling = how
        try:
            call("poll_submissions")
        except Died:
            done["poller died"] += 1
        here.world.polling = "ok"

    def poll_away(self, *_):
        self.poll(how="away")

    def poll_dies(self, *_):
        self.poll(how="dies")

    def poll_overlooks(self, *_):
        self.poll(how="overlooks")

    # -- the vendor --------------------------------------------------------------------------------

    def task_of(self, one):
        return next(iter(here.world.find(token=self.row(one).client_token)), None)

    def makes(self, one, _, state=AnswerState.SUCCEEDED):
        task = self.task_of(one)
        if task is not None and task.state is AnswerState.RUNNING:
            task.state = state
            done[state.value] += 1

    def fails(self, one, _):
        self.makes(one, _, AnswerState.FAILED)

    def writes(self, one, outcome):
        """A callback goes off; it may arrive much later, or never."""
        if (task := self.task_of(one)) is not None:
            said = {
                "event": new_id().hex,
                "id": task.vendor_id,
                "state": task.state.value,
                "cost": task.charged or None,
            }
            task.letters.append(json.dumps(said | {"tells": outcome != "throttled"}).encode())

    def calls(self, one, outcome):
        self.writes(one, outcome)
        self.calls_again(one, outcome, newest=True)

    def calls_again(self, one, _, newest=False):
        task = self.task_of(one)
        if task is None or not task.letters:
            return
        from tasks.callbacks import receive

        known = receive("wire", {}, task.letters[-1 if newest else 0])
        done["callback" if known else "replay"] += 1
        with transaction() as session:
            waiting = CallbackEvent.next_try_at.is_not(None)
            session.execute(update(CallbackEvent).where(waiting).values(next_try_at=in_seconds(0)))
        call("take_callbacks")

    # -- time and people -----------------------------------------------------------------------------

    def shift(self, seconds, *only):
        """Let time pass for these purchases, or for all."""
        names = (
            "sent_at",
            "next_poll_at",
            "deadline_at",
            "given_up_at",
            "submitted_at",
            "cancel_at",
            "created_at",
        )
        with transaction() as session:
            session.execute(
                update(Submission)
                .where(Submission.id.in_([one.id for one in only or self.bought]))
                .values({name: getattr(Submission, name) - timedelta(seconds=seconds) for name in names})
            )
        limiter().answered("wire")

    def later(self, one, _):
        self.shift(130, one)

    def much_later(self, one, _):
        self.shift(3700, one)
        self.mend()

    def a_day_later(self, one, _):
        """Nobody waits for it, for longer than a day."""
        self.much_later(one, _)
        row = self.row(one)
        if row.given_up_at is not None and row.state in OPEN_SUBMISSION:
            self.given_up.add(row.client_token)
            self.shift(90_000, one)
            self.mend()
            done["a day"] += 1

    def person(self, one, _, abandons=False):
        """Somebody looks into the vendor's list and says what is there."""
        row, task = self.row(one), self.task_of(one)
        if row.state is not SubmissionState.UNCONFIRMED or (row.next_poll_at is not None and not abandons):
            return
        outcome = "abandoned" if abandons else "accepted" if task else "not_accepted"
        vendor_id = task.vendor_id if outcome == "accepted" else None
        try:
            with transaction() as session:
                outcomes.resolve(
                    session, self.house.workspace_id, row.id, outcome=outcome, vendor_id=vendor_id
                )
        except Conflict:
            return
        done[f"person: {outcome}"] += 1
        if abandons:
            self.given_up.add(row.client_token)
        pipeline.advance(one.job_id)

    def person_abandons(self, one, _):
        self.person(one, _, abandons=True)

    def cancel(self, one, _):
        if see_job(one.job_id).state in (JobState.RUNNING, JobState.WAITING):
            with transaction() as session:
                jobs.cancel_job(session, self.house.workspace_id, one.job_id)
            pipeline.advance(one.job_id)
            done["cancel"] += 1

    def retry(self, one, _):
        if see_job(one.job_id).state is JobState.CANCELLED:
            with transaction() as session:
                jobs.retry_job(session, self.house.workspace_id, one.job_id)
            done["retry"] += 1

    # -- what must be true ---------------------------------------------------------------------------

    def check(self):
        with reading() as session:
            rows = session.scalars(
                select(Submission).where(Submission.workspace_id == self.house.workspace_id)
            ).all()
            holds = {
                h.id: h
                for h in session.scalars(select(Hold).where(Hold.workspace_id == self.house.workspace_id))
            }
        bought = Counter(task.token for task in here.world.tasks)
        assert not bought or max(bought.values()) == 1, "bought twice"
        for row in rows:
            hold = holds[row.hold_id]
            if row.state in (SubmissionState.ANSWERED, SubmissionState.SUCCEEDED):
                assert (hold.state, hold.captured) == (HoldState.CAPTURED, PRICE)
                assert row.vendor_id in {t.vendor_id for t in here.world.find(state=AnswerState.SUCCEEDED)}
            elif row.state in OPEN_SUBMISSION:
                assert hold.state is HoldState.OPEN, row.state
                parked = row.state is SubmissionState.UNCONFIRMED and row.error_code == "unconfirmed"
                assert row.next_poll_at is not None or parked, "nobody will ever look at it"
            elif hold.state is HoldState.CAPTURED:  # made and paid, and nobody fetched its file within a day
                assert row.error_code == "never_answered"
                assert here.world.find(vendor_id=row.vendor_id, state=AnswerState.SUCCEEDED)
            else:
                assert hold.state is HoldState.RELEASED, row.state
            if row.state in AT_VENDOR:
                assert here.world.find(vendor_id=row.vendor_id, token=row.client_token)
        return rows

    def settle(self):
        """The vendor ends what it has, and everybody does what is due, until nothing is."""
        for task in here.world.tasks:
            if task.state is AnswerState.RUNNING:
                task.state = AnswerState.SUCCEEDED
        for _ in range(12):
            rows = self.check()
            open_ones = [
                row
                for row in rows
                if row.state in OPEN_SUBMISSION and row.state is not SubmissionState.ANSWERED
            ]
            if not open_ones:
                break
            for one in self.bought:
                self.person(one, "ok")
            self.shift(700)
            self.mend()
            for one in self.bought:
                self.send(one, "ok")
            for task in here.world.tasks:
                if task.state is AnswerState.RUNNING:
                    task.state = AnswerState.SUCCEEDED
            self.shift(700)
            self.poll()
        rows = self.check()
        stuck = [
            row.state
            for row in rows
            if row.state in OPEN_SUBMISSION and row.state is not SubmissionState.ANSWERED
        ]
        assert stuck == [], "it never ends"
        kept = {row.vendor_id for row in rows if row.state is SubmissionState.ANSWERED}
        paid = {
            task.vendor_id for task in here.world.tasks if task.charged and task.token not in self.given_up
        }
        assert paid <= kept, "paid and lost"
        with reading() as session:
            captured = session.scalars(
                select(Submission.vendor_id)
                .join(Hold, Hold.id == Submission.hold_id)
                .where(Hold.workspace_id == self.house.workspace_id, Hold.captured == PRICE)
            ).all()
            total = sum(
                hold.captured
                for hold in session.scalars(select(Hold).where(Hold.workspace_id == self.house.workspace_id))
            )
        assert total == sum(task.charged for task in here.world.tasks if task.vendor_id in captured)


def _play(seed):
    dice = random.Random(seed)
    model = Model(looks_up=dice.random() < 0.5)
    for _ in range(PURCHASES * dice.randint(3, 12)):
        model.move(
            dice.choice(RARE if dice.random() < 0.08 else MOVES),
            dice.randrange(PURCHASES),
            dice.choice(SENDS),
        )
        model.check()
    model.settle()
    done["purchases"] += PURCHASES
    with reading() as session:
        assert books.verify_books(session) == []


@pytest.mark.timeout(max(300, RUNS * 10))
def test_whatever_happens_to_a_purchase_it_is_bought_once_and_known(request, monkeypatch):
    request.getfixturevalue("broker")
    monkeypatch.setitem(PROVIDERS._load(), "wire", Wire)
    done.clear()
    for seed in range(FIRST, FIRST + -(-RUNS // PURCHASES)):
        try:
            _play(seed)
        except BaseException as error:
            error.add_note(
                f"the history of seed {seed}: make machine RUNS={PURCHASES} SEED={seed}; so far {dict(done)}"
            )
            raise
        if seed % 20 == 19:
            sys.stderr.write(f"{json.dumps(done, sort_keys=True)}\n")
    happened = {
        *("accepted", "died", "poller died", "meanwhile", "callback", "replay", "stopped", "a day", "retry"),
        *("person: accepted", "person: not_accepted", "person: abandoned", "cancel", "succeeded", "failed"),
    }
    assert RUNS < 100 or happened <= done.keys()
