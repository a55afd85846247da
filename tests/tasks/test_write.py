"""Words become a script, and a script becomes shots."""

from __future__ import annotations

from sqlalchemy import select, update

from db.assets import ScriptVersion
from db.session import reading, transaction
from db.work import Step, StepState
from providers.base import ScriptRequest
from providers.prompts import messages_for
from services.steps import StepPlan
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
