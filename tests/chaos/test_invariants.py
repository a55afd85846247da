"""Every promise of the chaos suite can fail: a breach planted in a sound world is seen, and named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from core.ids import new_id
from core.storage import blob_key
from db.assets import Blob, Film, Rendition, RenditionRole, Shot, Take, TakeOrigin
from db.money import AccountKind, Hold, HoldState, LedgerAccount, LedgerEntry
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Attempt, Event, Job, JobState, Step, StepState
from services.events import record
from services.money import capture_hold, place_hold
from services.renditions import StoredFile, add_rendition
from services.steps import StepPlan
from tests.chaos.invariants import PROMISES, Look, broken
from tests.services.makers import do, make_house, make_job, plan

COST = 70_000


@pytest.fixture
def world(settings, tmp_path) -> SimpleNamespace:
    """A film that ended well: two steps, a shot with its take, a paid request, the books, the files."""
    house = make_house()
    job_id = make_job(house)
    first = StepPlan("write_script")
    steps = plan(job_id, first, StepPlan("break_down", needs=(first.key,)), StepPlan("credits_card"))
    for step_id in steps:
        do(step_id, {"frames": 12} if step_id == steps[2] else {})
    made = SimpleNamespace(
        workspace_id=house.workspace_id, job_id=job_id, steps=steps, store=tmp_path / "store",
    )  # fmt: skip
    with transaction() as session:
        _film(session, made)
        _purchase(session, made)
        job = session.get_one(Job, job_id)
        job.state, job.finished_at = JobState.SUCCEEDED, func.now()
        record(session, workspace_id=house.workspace_id, job_id=job_id, kind="job.succeeded")
    return made


def _film(session: Session, made: SimpleNamespace) -> None:
    job = session.get_one(Job, made.job_id)
    film = session.get_one(Film, job.film_id)
    shot = Shot(workspace_id=made.workspace_id, film_id=film.id, name="1", position=0, scene=1, frames=24)
    session.add(shot)
    session.flush()
    take = Take(
        workspace_id=made.workspace_id, shot_id=shot.id, name="1.1", number=1,
        origin=TakeOrigin.RENDERED, input_hash="a" * 64,
    )  # fmt: skip
    session.add(take)
    session.flush()
    shot.selected_take_id = take.id
    master = _file(session, made, film.id, b"a master", duration=36 / film.fps)
    film.master_rendition_id = master.id
    made.shot_id, made.film_id, made.master_id = shot.id, film.id, master.id


def _file(session: Session, made: SimpleNamespace, asset_id: UUID, content: bytes, **facts) -> Rendition:
    sha256 = hashlib.sha256(content).hexdigest()
    path = made.store / blob_key(sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    stored = StoredFile(
        sha256=sha256, size=len(content), mime="video/mp4", key=blob_key(sha256), filename="m.mp4", **facts
    )
    return add_rendition(
        session, workspace_id=made.workspace_id, asset_id=asset_id, role=RenditionRole.MASTER, stored=stored
    )


def _purchase(session: Session, made: SimpleNamespace) -> None:
    job = session.get_one(Job, made.job_id)
    hold = place_hold(session, job, amount=COST, currency="USD")
    row = _submission(
        made, state=SubmissionState.SUCCEEDED, vendor_id="v1", hold_id=hold.id, actual_cost=COST
    )
    session.add(row)
    session.flush()
    capture_hold(session, hold, actual=COST, submission_id=row.id)
    made.hold_id = hold.id
    made.bill = [{"vendor_id": "v1", "external_id": row.client_token, "charged": COST}]


def _submission(made: SimpleNamespace, **values) -> Submission:
    base = {
        "workspace_id": made.workspace_id, "job_id": made.job_id, "step_id": made.steps[0],
        "shot_id": made.shot_id, "purpose": "shot", "provider": "kling", "model": "m", "request": {},
        "input_hash": "b" * 64, "client_token": str(new_id()), "quote": COST,
    }  # fmt: skip
    return Submission(**base | values)


def breaches(world: SimpleNamespace, retried: frozenset[UUID] = frozenset()) -> list[str]:
    with reading() as session:
        return broken(Look(session, world.workspace_id, world.store, retried=retried, bill=world.bill))


Plant = Callable[[Session, SimpleNamespace], None]
PLANTS: dict[str, list[Plant]] = {name: [] for name in PROMISES}


def plants(name: str) -> Callable[[Plant], Plant]:
    def enter(plant: Plant) -> Plant:
        PLANTS[name].append(plant)
        return plant

    return enter


def _change(session: Session, table, key, **values) -> None:
    session.execute(update(table).where(table.id == key).values(**values))


@plants("every job ends or waits for a named reason")
def running(session, world):
    _change(session, Job, world.job_id, state=JobState.RUNNING, finished_at=None)


@plants("every failure has a name")
def nameless_job(session, world):
    _change(session, Job, world.job_id, state=JobState.FAILED)


@plants("every failure has a name")
def nameless_step(session, world):
    _change(session, Step, world.steps[0], state=StepState.FAILED)


@plants("no step is stuck beyond its lease")
def silent(session, world):
    late = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 30)
    _change(session, Step, world.steps[0], state=StepState.RUNNING, lease_until=late)


@plants("an ended job has no open step")
def left_open(session, world):
    _change(session, Step, world.steps[0], state=StepState.READY)


@plants("every attempt is written down and closed")
def miscounted(session, world):
    _change(session, Step, world.steps[0], attempt=2)


@plants("every attempt is written down and closed")
def unclosed(session, world):
    session.execute(update(Attempt).where(Attempt.step_id == world.steps[0]).values(outcome=None))


@plants("nothing is done twice")
def saved_again(session, world):
    _change(session, Step, world.steps[0], attempt=2)
    session.add(Attempt(step_id=world.steps[0], number=2, outcome="succeeded", finished_at=func.now()))


@plants("nothing begins before what it needs has ended")
def too_early(session, world):
    session.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
    ended, began = (
        session.scalars(
            select(Event).where(Event.type == kind, Event.payload["step_id"].astext == str(step))
        ).one()
        for kind, step in (("step.succeeded", world.steps[0]), ("step.started", world.steps[1]))
    )
    places = (began.seq, ended.seq)
    for event, place in ((ended, 1000), (began, 1001), (ended, places[0]), (began, places[1])):
        event.seq = place
        session.flush()


@plants("events have no gap and end with the job")
def gap(session, world):
    session.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
    session.execute(text("DELETE FROM events WHERE job_id = :job AND seq = 2"), {"job": world.job_id})


@plants("events have no gap and end with the job")
def ends_twice(session, world):
    record(session, workspace_id=world.workspace_id, job_id=world.job_id, kind="job.succeeded")


@plants("events have no gap and end with the job")
def ends_otherwise(session, world):
    record(session, workspace_id=world.workspace_id, job_id=world.job_id, kind="job.failed")


def _second_take(session, world, input_hash: str) -> None:
    take = {"workspace_id": world.workspace_id, "shot_id": world.shot_id, "name": "1.2", "number": 2}
    session.add(Take(**take, origin=TakeOrigin.RENDERED, input_hash=input_hash))


@plants("no take is there twice")
def same_take(session, world):
    _second_take(session, world, "a" * 64)


@plants("no take is there twice")
def unasked_take(session, world):
    _second_take(session, world, "c" * 64)


def _master(session, world) -> Path:
    return (
        world.store
        / session.get_one(Blob, session.get_one(Rendition, world.master_id).blob_sha256).storage_key
    )


@plants("no rendition is half written")
def lost_file(session, world):
    _master(session, world).unlink()


@plants("no rendition is half written")
def half_a_file(session, world):
    _master(session, world).write_bytes(b"a ma")


@plants("no rendition is half written")
def other_bytes(session, world):
    _master(session, world).write_bytes(b"A MASTER")


@plants("the store holds whole files only")
def half_in_the_store(session, world):
    path = world.store / blob_key("d" * 64)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")


@plants("what a step says it stored is stored")
def never_stored(session, world):
    _change(session, Step, world.steps[0], result={"stored": {"sha256": "e" * 64, "key": blob_key("e" * 64)}})


@plants("a finished film is complete")
def no_master(session, world):
    _change(session, Film, world.film_id, master_rendition_id=None)


@plants("a finished film is complete")
def too_short(session, world):
    _change(session, Rendition, world.master_id, duration=0.5)


@plants("a finished film is complete")
def no_take(session, world):
    _change(session, Shot, world.shot_id, selected_take_id=None)


@plants("a finished film is complete")
def silent_failure(session, world):
    _change(session, Step, world.steps[0], state=StepState.FAILED, error_code="x", error_message="x")


@plants("every transfer sums to zero")
def unbalanced(session, world):
    session.execute(text("ALTER TABLE ledger_entries DISABLE TRIGGER USER"))
    last = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id.desc())).first()
    account = LedgerAccount(workspace_id=world.workspace_id, kind=AccountKind.FUNDING, currency="USD")
    session.add(account)
    session.flush()
    line = {"workspace_id": world.workspace_id, "account_id": account.id, "currency": "USD"}
    session.add(LedgerEntry(**line, transfer_id=last.transfer_id, amount=1))


@plants("no hold is orphaned")
def forgotten_hold(session, world):
    _change(session, Job, world.job_id, state=JobState.RUNNING, finished_at=None)
    place_hold(session, session.get_one(Job, world.job_id), amount=COST, currency="USD")


@plants("what is held is what open holds say")
def unbooked_hold(session, world):
    _change(session, Hold, world.hold_id, state=HoldState.OPEN, captured=0, closed_at=None)


@plants("no purchase is forgotten")
def unanswered(session, world):
    session.add(_submission(world, state=SubmissionState.SUBMITTED, vendor_id="v2", input_hash="f" * 64))


@plants("nothing equal is bought twice")
def bought_again(session, world):
    session.add(_submission(world, state=SubmissionState.SUCCEEDED, vendor_id="v2", actual_cost=0))


@plants("nothing equal is bought twice")
def charged_again(session, world):
    row = _submission(world, state=SubmissionState.FAILED)
    session.add(row)
    world.bill.append({"vendor_id": "v2", "external_id": row.client_token, "charged": COST})


@plants("the vendor's bill is our ledger")
def stranger(session, world):
    world.bill.append({"vendor_id": "v9", "external_id": "nobody's", "charged": 0})


@plants("the vendor's bill is our ledger")
def there_twice(session, world):
    world.bill.append({**world.bill[0], "vendor_id": "v1b", "charged": 0})


@plants("the vendor's bill is our ledger")
def other_name(session, world):
    world.bill[0]["vendor_id"] = "v1b"


@plants("the vendor's bill is our ledger")
def other_price(session, world):
    world.bill[0]["charged"] = COST + 1


@plants("the vendor's bill is our ledger")
def unbooked(session, world):
    row = _submission(
        world, state=SubmissionState.SUCCEEDED, vendor_id="v2", actual_cost=5, input_hash="f" * 64
    )
    session.add(row)
    world.bill.append({"vendor_id": "v2", "external_id": row.client_token, "charged": 5})


@plants("the vendor's bill is our ledger")
def charged_and_not_booked(session, world):
    row = _submission(world, state=SubmissionState.CANCELLED, input_hash="f" * 64)
    session.add(row)
    world.bill.append({"vendor_id": "v2", "external_id": row.client_token, "charged": 5})


def test_a_sound_world_breaks_no_promise(world):
    assert breaches(world) == []


@pytest.mark.parametrize(
    ("name", "plant"),
    [(name, plant) for name, found in PLANTS.items() for plant in found],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_planted_breach_is_seen(world, name, plant):
    with transaction() as session:
        plant(session, world)
    assert name in {found.partition(":")[0] for found in breaches(world)}


def test_every_promise_has_a_planted_breach():
    assert [name for name, found in PLANTS.items() if not found] == []


def test_what_a_person_asked_for_again_is_no_breach(world):
    with transaction() as session:
        saved_again(session, world)
        unasked_take(session, world)
        record(session, workspace_id=world.workspace_id, job_id=world.job_id, kind="job.succeeded")
    assert breaches(world) != []
    assert breaches(world, retried=frozenset({world.job_id})) == []
