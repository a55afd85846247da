"""Faults of a site through real steps and rows: a line in its error log, a word to people, and nothing kept."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.settings import get_settings
from db.assets import Asset
from db.session import reading
from db.sources import SourceError
from db.work import Event, StepState
from services.sources import FAILURES_TO_TELL, read_standings
from services.steps import StepPlan, list_steps
from tasks import wiring
from tests.loopback import Loopback, Reply
from tests.scrapers import test_openverse as openverse
from tests.scrapers.makers import picture, reply
from tests.scrapers.played import HTML
from tests.services.makers import make_job, plan, see_step
from tests.tasks.conftest import work_on

BAD_FILES = {
    "a web page named .jpg": (HTML, "wrong_kind"),
    "ten gigabytes": (Reply(200, b"\xff\xd8\xff", "image/jpeg", promise=10 << 30), "too_large"),
    "an address inside": (
        Reply(302, headers={"Location": "http://169.254.169.254/latest"}),
        "address_refused",
    ),
    "gone": (Reply(404, b"gone", "text/html"), "http_404"),
    "no picture at all": (Reply(200, b"\xff\xd8\xff" + b"\0" * 500, "image/jpeg"), None),
}


class Site:
    """Openverse with so many finds whose files lie on the same server, or with one answer to all searches."""

    def __init__(self, count, file, answer=None):
        self.count, self.file, self.answer, self.server = count, file, answer, None

    def __call__(self, ask):
        if self.answer is not None:
            return self.answer
        if ask.path.startswith("/files/"):
            return self.file(ask) if callable(self.file) else self.file
        found = [openverse.item(n, url=f"{self.server.url}/files/{n}.jpg") for n in range(1, self.count + 1)]
        return reply({"result_count": self.count, "page_count": 1, "results": found})


@pytest.fixture
def scrape(house, monkeypatch):
    """Do the two steps of a job scrape that asks Openverse, played by this site."""

    def run(site, keep=3):
        with Loopback(site) as server:
            site.server = server
            monkeypatch.setenv("OPENVERSE_URL", server.url)
            get_settings.cache_clear()
            wiring.http_client.cache_clear()
            params = {"words": ["lake"], "kind": "image", "keep": keep, "sources": ["openverse"]}
            job_id = make_job(house, kind="scrape", params=params)
            (search,) = plan(job_id, StepPlan("search_source", variant="openverse"), phase="search")
            work_on(search)
            with reading() as session:
                rows = {row.kind: row.id for row in list_steps(session, job_id)}
            if "keep_candidates" in rows:
                work_on(rows["keep_candidates"])
        return job_id, search, rows.get("keep_candidates")

    yield run
    wiring.http_client.cache_clear()


def errors():
    with reading() as session:
        return session.scalars(select(SourceError).order_by(SourceError.id)).all()


def told(job_id):
    with reading() as session:
        return session.scalars(
            select(Event.type).where(Event.job_id == job_id, Event.type.like("source.%"))
        ).all()


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_file_that_cannot_be_used_is_a_line_in_the_log_and_no_asset(scrape, house, fault, settings):
    file, code = BAD_FILES[fault]
    job_id, _, keep = scrape(Site(2, file), keep=1)
    lines = errors()
    assert {(line.source, line.step, line.job_id) for line in lines} == {
        ("openverse", "keep_candidates", job_id)
    }
    assert len(lines) == 2
    if code is not None:
        assert {line.code for line in lines} == {code}
    assert see_step(keep).result["asset_ids"] == []
    assert {one["why"] for one in see_step(keep).result["refused"]} == {line.message for line in lines}
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Asset)) == 0
        assert read_standings(session, house.workspace_id)["openverse"].failures == 2
    left = [path for path in (settings.var_dir / "scratch").rglob("*") if path.is_file()]
    assert left == []


def test_people_are_told_once_of_a_source_that_fails_on_and_on_and_once_that_it_is_well(scrape, house):
    job_id, _, _ = scrape(Site(FAILURES_TO_TELL + 1, HTML), keep=4)
    assert len(errors()) == FAILURES_TO_TELL + 1
    assert told(job_id) == ["source.failing"]
    good = lambda ask: Reply(200, picture(size=(640, 480), colour=(1, 2, len(ask.path))), "image/jpeg")  # noqa: E731
    next_job, _, keep = scrape(Site(1, good), keep=1)
    assert told(next_job) == ["source.answering"]
    assert len(see_step(keep).result["asset_ids"]) == 1
    with reading() as session:
        standing = read_standings(session, house.workspace_id)["openverse"]
        assert (standing.failures, standing.alerted) == (0, False)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (HTML, "not_json"),
        (Reply(200, b"null"), "not_json"),
        (reply({"detail": "Expected available in 3600 seconds."}, 429), "throttled"),
        (Reply(403, b"?client_secret=hush-hush"), "http_403"),
    ],
    ids=["html", "null", "throttled", "refused"],
)
def test_a_search_that_fails_is_a_line_without_secrets(scrape, answer, code):
    _, search, _ = scrape(Site(0, answer, answer))
    (line,) = errors()
    assert (line.code, line.step.split()[0]) == (code, "search_source")
    assert "hush" not in line.message
    assert see_step(search).state in (StepState.FAILED, StepState.READY)
