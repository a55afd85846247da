"""The database's clock is set back by an hour: what was put off for seconds is not put off for an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from db.callbacks import CallbackEvent
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Job, Step, StepState
from services import callbacks, claims, clocks, polling, steps
from services.steps import StepPlan
from tests.services.buying import make_submission, see, send, submit
from tests.services.makers import make_house, make_job, plan, see_step

LEASE = timedelta(seconds=30)
TIMES = {
    Job: ("advanced_at",),
    Step: ("not_before", "sent_at", "lease_until", "finished_at", "started_at"),
    Submission: ("next_poll_at", "sent_at", "cancel_at", "submitted_at"),
    CallbackEvent: ("next_try_at",),
}


@pytest.fixture
def house(settings):
    return make_house()


def heed():
    with transaction() as session:
        return clocks.heed_clock(session, lease=LEASE)


def set_back(**by):
    """What was written before the clock was set back lies ahead now."""
    with transaction() as session:
        for kind, names in TIMES.items():
            values = {name: getattr(kind, name) + timedelta(**by) for name in names}
            session.execute(update(kind).values(values).execution_options(synchronize_session=False))


def claim(step_id):
    with transaction() as session:
        return claims.claim(session, step_id, worker="w", task_id="t", lease=LEASE)


def sent(step_id):
    with transaction() as session:
        steps.mark_sent(session, [step_id])
        session.execute(update(Step).values(not_before=func.now() - timedelta(minutes=1)))


def lost():
    with reading() as session:
        return [row.id for row in steps.lost_messages(session, quiet_seconds=0)]


def test_a_step_whose_message_was_lost_is_found_at_once(house):
    job_id = make_job(house)
    done, waits = plan(job_id, StepPlan("write_script"), StepPlan("break_down"))
    sent(waits)
    with transaction() as session:
        ended = {"state": StepState.SUCCEEDED, "finished_at": func.now() - timedelta(minutes=1)}
        session.execute(update(Step).where(Step.id == done).values(ended))
        session.execute(update(Step).where(Step.id == waits).values(needs=[done]))
    set_back(hours=1)
    assert lost() == []
    assert heed() > 0
    assert lost() == [waits]
    assert claim(waits) is not None


def test_a_dead_workers_lease_ends_and_a_living_ones_is_taken_again(house):
    job_id = make_job(house)
    dead, living = plan(job_id, StepPlan("write_script"), StepPlan("break_down"))
    sent(dead)
    assert claim(dead) is not None
    held, _ = claim(living)
    set_back(hours=1)
    heed()
    with transaction() as session:
        assert claims.extend_leases(session, [(held, None)], lease=LEASE) == {living}
    with transaction() as session:
        assert claims.reclaim_expired(session) == [job_id]
    assert (see_step(dead).state, see_step(living).state) == (StepState.READY, StepState.RUNNING)


def test_a_take_is_asked_about_and_a_lost_submit_looked_up(house):
    asked, unknown = make_submission(house), make_submission(house, request={"prompt": "another"})
    submit(asked)
    send(unknown)
    set_back(hours=1)
    with transaction() as session:
        assert polling.claim_polls(session, "kling", see(asked.id).endpoint, limit=10) == []
        assert polling.claim_lookups(session, grace=0.0) == []
    heed()
    with transaction() as session:
        assert [
            due.id for due in polling.claim_polls(session, "kling", see(asked.id).endpoint, limit=10)
        ] == [asked.id]
        (due,) = polling.claim_lookups(session, grace=0.0)
    assert (due.id, due.certain) == (unknown.id, False)


def test_news_of_a_vendor_is_looked_at(house):
    with transaction() as session:
        kept = callbacks.keep(session, "fal", "e-1", answers=[], ask=["v"])
    set_back(hours=1)
    heed()
    with transaction() as session:
        assert [event.id for event in callbacks.claim_due(session)] == [kept]


def test_what_is_put_off_as_far_as_anything_is_stays_put_off(house):
    job_id = make_job(house)
    retried, short, works = plan(job_id, StepPlan("write_script"), StepPlan("break_down"), StepPlan("rank"))
    bought = make_submission(house)
    submit(bought)
    sent(works)
    assert claim(works) is not None
    with transaction() as session:
        later = func.now() + timedelta(minutes=1)
        session.execute(update(Step).where(Step.id == retried).values(not_before=later, sent_at=func.now()))
        session.execute(update(Step).where(Step.id == short).values(not_before=text("'infinity'")))
        slowest = func.now() + timedelta(minutes=12)
        session.execute(update(Submission).values(next_poll_at=slowest, state=SubmissionState.RUNNING))
    with reading() as session:
        before = session.execute(select(Step.id, Step.not_before, Step.sent_at, Step.lease_until)).all()
        poll = session.scalar(select(Submission.next_poll_at))
    assert heed() == 0
    with reading() as session:
        assert (
            session.execute(select(Step.id, Step.not_before, Step.sent_at, Step.lease_until)).all() == before
        )
        assert session.scalar(select(Submission.next_poll_at)) == poll


def test_what_was_begun_before_took_no_negative_time(house):
    """Paces are learnt from it; a job whose last step said so could not end."""
    (step,) = plan(make_job(house), StepPlan("write_script"))
    sent(step)
    held, _ = claim(step)
    set_back(hours=1)
    with transaction() as session:
        assert claims.finish(session, held, result={}, input_hash=None, reused_from=None, figures={})
    assert see_step(step).seconds == 0


def test_every_bound_is_asked_by_an_index(house):
    """Tables grow for years, and this is asked twice a minute."""
    with transaction() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        for kind, column, furthest, where in clocks.bounds(LEASE):
            query = select(kind.id).where(where, column > func.now() + furthest)
            told = query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
            lines = session.scalars(text(f"EXPLAIN {told}")).all()
            assert not any("Seq Scan" in line for line in lines), (column, lines)


def test_it_waits_for_nobody(house):
    (step,) = plan(make_job(house), StepPlan("write_script"))
    set_back(hours=1)
    with transaction() as session:
        session.get_one(Step, step, with_for_update=True)
        heed()
    assert heed() > 0
