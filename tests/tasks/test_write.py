"""Words become a script, and a script becomes shots."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.http import HttpClient
from core.settings import get_settings
from db.assets import ScriptVersion
from db.money import Hold
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Step, StepState
from providers.base import ScriptRequest
from providers.prompts import messages_for
from services import books
from services.steps import StepPlan
from tasks import wiring
from tests.loopback import Loopback, Reply
from tests.services.makers import make_job, plan, see_shots, see_step
from tests.tasks.conftest import work_on

BRIEF = {"script": None, "text": "People look up at night. The stars are far away.", "writer": "outline"}


def versions():
    with reading() as session:
        return list(session.scalars(select(ScriptVersion).order_by(ScriptVersion.number)))


def test_a_clients_script_is_kept_word_for_word_and_broken_down(house):
    job_id = make_job(house, params={"script": "# Up\n\n[duration: 4]\nWe look up.\n\nThen down."})
    first, second = plan(job_id, StepPlan("write_script"), StepPlan("break_down"))
    work_on(first)
    work_on(second)
    (version,) = versions()
    assert (version.author, version.origin) == ("client", "brief")
    assert version.text.startswith("# Up")
    assert [(s.narration, s.asked_duration) for s in see_shots(job_id)] == [
        ("We look up.", 4.0),
        ("Then down.", None),
    ]


def test_a_brief_is_written_into_a_script_by_the_writer_it_names(house):
    (first,) = plan(make_job(house, params=BRIEF), StepPlan("write_script"))
    work_on(first)
    (version,) = versions()
    assert (version.origin, version.format) == ("written", "markdown")
    assert version.author.startswith("outline")
    assert "far away" in version.text


def test_a_reviewers_instructions_reach_the_writer_and_never_the_film(house):
    (first,) = plan(make_job(house, params=BRIEF), StepPlan("write_script"))
    with transaction() as session:
        session.execute(update(Step).values(params={"retake": 1, "instructions": "Make it SHORTER."}))
    work_on(first)
    assert see_step(first).state is StepState.SUCCEEDED
    assert "SHORTER" not in versions()[-1].text
    said = messages_for(ScriptRequest("Stars.", instructions="Make it SHORTER."))[-1]["content"]
    assert "SHORTER" in said.partition("The brief:")[0]


def test_a_script_edited_to_fewer_shots_is_broken_down_to_fewer(house):
    job_id = make_job(house, params={"script": "One.\n\nTwo.\n\nThree."}, gates=("script",))
    first, second = plan(job_id, StepPlan("write_script"), StepPlan("break_down"))
    work_on(first)
    work_on(second)
    before = see_shots(job_id)
    from db.assets import Film, Script
    from db.work import Job
    from services import steps
    from services.films import add_script_version

    with transaction() as session:
        job = session.get_one(Job, job_id)
        script = session.get_one(Script, session.get_one(Film, job.film_id).script_id)
        add_script_version(
            session,
            script,
            text="One.\n\nTwo and a half.",
            fmt="auto",
            scenes=[],
            author="reviewer",
            origin="edited",
        )
        steps.reopen(session, steps.lock_job(session, job_id), [second])
    work_on(second)
    after = see_shots(job_id)
    assert [s.narration for s in after] == ["One.", "Two and a half."]
    assert [s.id for s in after] == [s.id for s in before[:2]]


# -- a writer that takes money ---------------------------------------------------------------------

PAID = {"script": None, "text": "People look up at night.", "writer": "openai_compatible"}


@pytest.fixture
def writing(simulated):
    """An installation that is led to the simulated vendor of words, by what the simulator says of itself."""

    def lead(model="simulated", priced=True):
        said = {"URL": "{here}/openai_compatible/v1", "MODEL": model, "KEY": "sk-simulated"}
        said |= {"INPUT_PRICE": "2000000", "OUTPUT_PRICE": "8000000"} if priced else {}
        return simulated({f"OPENAI_COMPATIBLE_{name}": value for name, value in said.items()})

    return lead


def bought(job_id):
    with reading() as session:
        rows = session.scalars(select(Submission).where(Submission.job_id == job_id)).all()
        holds = {row.id: session.get_one(Hold, row.hold_id) for row in rows}
        assert books.verify_books(session) == []
    return [(row.purpose, row.state, row.actual_cost, holds[row.id].captured) for row in rows]


def test_a_bought_script_is_paid_by_the_token_as_the_vendor_bills_it(house, writing):
    with writing() as vendor:
        job_id = make_job(house, params=PAID)
        (first,) = plan(job_id, StepPlan("write_script"))
        work_on(first)
        bill = vendor.bill()["total"]
        assert versions()[-1].author == "openai_compatible simulated"
        assert bought(job_id) == [("script", SubmissionState.SUCCEEDED, bill, bill)]
        assert bill > 0


@pytest.mark.parametrize(("fault", "answers"), [("garbage", 2), ("truncated", 2), ("refused", 1)])
def test_answers_that_are_of_no_use_are_paid_and_said_so(house, writing, fault, answers):
    with writing(f"fault-{fault}") as vendor:
        job_id = make_job(house, params=PAID)
        (first,) = plan(job_id, StepPlan("write_script"))
        work_on(first)
        bill = vendor.bill()
        assert see_step(first).state is StepState.FAILED
        assert bought(job_id) == [("script", SubmissionState.FAILED, bill["total"], bill["total"])]
        assert len(bill["tasks"]) == answers


def test_a_writer_whose_price_nobody_knows_is_asked_only_where_the_brief_accepts_that(house, writing):
    with writing(priced=False) as vendor:
        (refused,) = plan(make_job(house, params=PAID), StepPlan("write_script"))
        work_on(refused)
        assert (see_step(refused).state, see_step(refused).error_code) == (StepState.FAILED, "unknown_price")
        assert vendor.bill()["tasks"] == []
        accepting = {**PAID, "accept_unknown_prices": True}
        (written,) = plan(make_job(house, params=accepting), StepPlan("write_script"))
        work_on(written)
        assert see_step(written).state is StepState.SUCCEEDED


def test_a_useless_answer_is_paid_also_where_the_next_one_is_put_off(house, monkeypatch):
    """The first is no script, the second is refused for now: what the first took is spent, and the rest bought anew."""

    def say(status=200, content=""):
        choice = {"finish_reason": "stop", "message": {"content": content}}
        used = {"prompt_tokens": 30, "completion_tokens": 20}
        return Reply(status, json.dumps({"choices": [choice], "usage": used}).encode())

    script = {"title": "Up", "scenes": [{"heading": "Night", "shots": [{"narration": "We look up."}]}]}
    left = [say(content="no"), say(429), say(content=json.dumps(script))]
    with Loopback(lambda _: left.pop(0)) as server:
        said = {"URL": f"{server.url}/v1", "MODEL": "m", "INPUT_PRICE": "1000000", "OUTPUT_PRICE": "2000000"}
        for name, value in said.items():
            monkeypatch.setenv(f"OPENAI_COMPATIBLE_{name}", value)
        get_settings.cache_clear()
        wiring.http_client.cache_clear()
        monkeypatch.setattr(wiring, "http_client", lambda: HttpClient(allow=[server.host], retry_for=0))
        job_id = make_job(house, params=PAID)
        (step,) = plan(job_id, StepPlan("write_script"))
        work_on(step)
        assert bought(job_id) == [("script", SubmissionState.FAILED, 70, 70)]
        with transaction() as session:
            session.execute(update(Step).values(not_before=func.now() - timedelta(seconds=1)))
        work_on(step)
    assert see_step(step).state is StepState.SUCCEEDED
    assert sorted(bought(job_id), key=lambda one: one[1]) == [
        ("script", SubmissionState.FAILED, 70, 70),
        ("script", SubmissionState.SUCCEEDED, 70, 70),
    ]


def test_a_throttled_writer_took_nothing_and_is_asked_again(house, writing):
    with writing("fault-throttled") as vendor:
        job_id = make_job(house, params=PAID)
        (first,) = plan(job_id, StepPlan("write_script"))
        work_on(first)
        assert see_step(first).state is StepState.READY
        assert bought(job_id) == [("script", SubmissionState.INTENDED, None, 0)]
        assert vendor.bill()["total"] == 0
