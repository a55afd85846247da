"""The event log: numbered without gaps, visible in order."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from db.assets import Project
from db.session import reading, transaction
from db.work import Job
from services import events
from tests.services.makers import at_once, make_house, make_job


@pytest.fixture
def house(settings):
    return make_house()


def record(house, job_id, kind="step.succeeded"):
    with transaction() as session:
        return events.record(session, workspace_id=house.workspace_id, job_id=job_id, kind=kind)


def read(house, job_id, after=0, limit=200):
    with reading() as session:
        return events.list_events(session, house.workspace_id, job_id, after_seq=after, limit=limit)


def test_numbers_have_no_gaps_however_many_write_at_once(house):
    job_id = make_job(house)
    before = len(read(house, job_id))

    def write(number):
        for _ in range(10):
            if number == 0:  # a transaction that is rolled back gives its number back
                with reading() as session:
                    events.record(session, workspace_id=house.workspace_id, job_id=job_id, kind="never")
            else:
                record(house, job_id)

    assert at_once(8, write) == [None] * 8
    seen = read(house, job_id, limit=1000)
    assert [e.seq for e in seen] == list(range(1, before + 71))
    assert all(e.type != "never" for e in seen)


def test_a_reader_that_follows_misses_nothing(house):
    """What a reader sees never skips a number: a later event is invisible until the earlier one is."""
    job_id = make_job(house)
    seen: list[int] = []
    done = threading.Event()

    def follow():
        while not (done.is_set() and not read(house, job_id, seen[-1] if seen else 0)):
            seen.extend(e.seq for e in read(house, job_id, seen[-1] if seen else 0))

    reader = threading.Thread(target=follow)
    reader.start()
    at_once(6, lambda _: [record(house, job_id) for _ in range(10)])
    done.set()
    reader.join(20)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) >= 60


def test_a_page_starts_after_the_given_number_and_keeps_to_its_limit(house):
    job_id = make_job(house)
    for _ in range(5):
        record(house, job_id)
    assert [e.seq for e in read(house, job_id, after=2, limit=2)] == [3, 4]
    assert read(house, job_id, after=99) == []


def test_each_job_counts_for_itself(house):
    one, two = make_job(house), make_job(house)
    record(house, one)
    assert [e.seq for e in read(house, two)] == [1]


def test_another_workspace_sees_no_events_and_no_job(house):
    job_id = make_job(house)
    other = make_house("Other")
    assert read(other, job_id) == []


def test_an_event_waits_for_those_before_it_when_jobs_of_a_project_are_read_together(house):
    one, two = make_job(house), make_job(house)
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="Moon")
        session.add(project)
        session.flush()
        session.execute(update(Job).where(Job.id.in_([one, two])).values(project_id=project.id))
    settled = events.Settled()

    def seen(after):
        with reading() as session:
            upto = settled.upto(session)
            rows = events.list_project_events(session, house.workspace_id, project.id, after, upto)
            return [(row.id, row.type) for row in rows]

    last = seen(0)[-1][0]
    with transaction() as session:
        events.record(session, workspace_id=house.workspace_id, job_id=one, kind="first")
        record(house, two, "second")  # committed before the first, which has the lower number
        assert seen(last) == []
        assert seen(last) == []
    assert [kind for _, kind in seen(last)] == ["first", "second"]
