"""Sources asked side by side by real steps: as slow as the slowest, and a broken one costs nothing."""

from __future__ import annotations

import json
import threading
import time

import pytest
from sqlalchemy import select

from core.errors import Retryable
from core.settings import get_settings
from db.assets import Shot
from db.candidates import Candidate
from db.session import reading, transaction
from db.sources import SourceError
from db.work import StepState
from scrapers.base import Query
from services.sources import read_standings
from services.steps import StepPlan
from tasks import search as searching
from tasks import wiring
from tests.loopback import Loopback, Reply
from tests.scrapers.test_faults import Wire, dripping
from tests.scrapers.test_pexels import file, video
from tests.services.buying import make_shots
from tests.services.makers import make_job, plan, see_job, see_step
from tests.sources_made_up import MadeUp, Registered, answering, items
from tests.tasks.conftest import work_on

QUERY = Query(words=("moon",))


@pytest.fixture
def sources(house, monkeypatch):
    yield Registered(monkeypatch)
    wiring.http_client.cache_clear()


def titles(searched):
    return {slug: [c.title for one in lists for c in one] for slug, lists in searched.found.items()}


def slow(seconds, *names):
    def answer(ask):
        time.sleep(seconds)
        return Reply(body=items(*names))

    return answer


def test_all_are_asked_at_once(sources):
    slugs = [f"site_{n}" for n in range(8)]
    together = threading.Barrier(len(slugs), timeout=15)

    def answer(ask):
        together.wait()
        return Reply(body=items("a"))

    with Loopback(answer) as server:
        for slug in slugs:
            sources(slug, server.url)
        searched = searching.search_sources(slugs, [QUERY])
    assert titles(searched) == {slug: ["a"] for slug in slugs}


def test_one_that_does_not_answer_in_time_is_left_behind(sources):
    over = threading.Event()

    def answer_late(ask):
        over.wait(30)
        return Reply(body=items("late"))

    with Loopback(answer_late) as late, Loopback(answering("a")) as quick:
        sources("late", late.url)
        sources("quick", quick.url)
        searched = searching.search_sources(["late", "quick"], [QUERY], seconds=5)
        over.set()
    assert titles(searched) == {"late": [], "quick": ["a"]}
    assert {slug: error.code for slug, error in searched.errors.items()} == {"late": "too_slow"}


def test_one_that_drips_is_left_behind_with_what_it_has_said(sources):
    with Wire(dripping) as wire, Loopback(answering("a")) as quick:
        sources("drip", wire.url)
        sources("quick", quick.url)
        began = time.monotonic()
        searched = searching.search_sources(["drip", "quick"], [QUERY], seconds=0.6)
        assert time.monotonic() - began < 3
    assert titles(searched) == {"drip": [], "quick": ["a"]}
    assert searched.errors["drip"].code == "too_slow"


def test_a_bug_in_one_is_its_own(sources):
    with Loopback(lambda ask: Reply(body=b'{"items": [{"id": null}, 7]}')) as server:
        sources("broken", server.url)
        sources("well", server.url, parse=lambda self, item: None)
        searched = searching.search_sources(["broken", "well"], [QUERY])
    assert searched.errors["broken"].code == "bug"
    assert list(searched.errors) == ["broken"]


def test_what_one_has_answered_before_it_failed_is_kept(sources):
    def answer(ask):
        return Reply(body=items("a")) if ask.query["kind"] == "image" else Reply(403)

    with Loopback(answer) as server:
        sources("half", server.url, kinds=("image", "clip"))
        searched = searching.search_sources(["half"], [QUERY, Query(words=("moon",), kind="clip")])
    assert titles(searched) == {"half": ["a"]}
    assert searched.errors["half"].code == "http_403"


# -- through the steps ------------------------------------------------------------------------------


def film_step(house, slugs, **brief):
    job_id = make_job(house, params={"sources": slugs, **brief})
    shots = make_shots(job_id)
    with transaction() as session:
        for shot in shots:
            session.get_one(Shot, shot).search_words = ["moon"]
    return job_id, plan(job_id, *(StepPlan("find_stock", shot) for shot in shots), phase="source")


def test_a_film_goes_on_without_a_source_that_is_down_and_says_so_once(house, sources):
    with Loopback(lambda ask: Reply(500, b"oops")) as down, Loopback(answering("a", "b")) as well:
        sources("down", down.url)
        sources("well", well.url)
        job_id, (step_id,) = film_step(house, ["down", "well"])
        work_on(step_id)
    step = see_step(step_id)
    assert step.state is StepState.SUCCEEDED
    assert [item["facts"]["source"] for item in step.result["found"]] == ["well", "well"]
    (warning,) = see_job(job_id).warnings
    assert (warning["code"], warning["source"]) == ("source_failed", "down")
    assert "without down" in warning["message"]
    with reading() as session:
        (row,) = session.scalars(select(SourceError)).all()
        assert (row.source, row.code, row.job_id, row.step) == ("down", "retryable", job_id, "find_stock")
        standings = read_standings(session, house.workspace_id)
        assert {slug: one.failures for slug, one in standings.items()} == {"down": 1, "well": 0}
    with reading() as session:
        film = see_job(job_id).film_id
        rows = session.scalars(select(Candidate.source).where(Candidate.film_id == film)).all()
    assert list(rows) == ["well", "well"]


def test_when_no_source_answers_the_step_is_tried_again(house, sources):
    with Loopback(lambda ask: Reply(500)) as down, Loopback(lambda ask: Reply(403)) as refusing:
        sources("refusing", refusing.url)
        sources("down", down.url)
        job_id, (step_id,) = film_step(house, ["refusing", "down"])
        work_on(step_id)
    step = see_step(step_id)
    assert (step.state, step.error_code) == (StepState.READY, Retryable.code)
    assert see_job(job_id).warnings == []


def test_the_job_scrape_comes_through_the_same_code(house, sources):
    threads = []

    def parse(self, item):
        threads.append(threading.current_thread().name)
        return MadeUp.parse(self, item)

    params = {"words": ["moon"], "kind": "image", "keep": 2, "sources": ["well", "refusing"]}
    with Loopback(answering("a", "b", "c")) as well, Loopback(lambda ask: Reply(403)) as refusing:
        sources("well", well.url, parse=parse)
        sources("refusing", refusing.url)
        job_id = make_job(house, kind="scrape", params=params)
        one, other = plan(
            job_id,
            StepPlan("search_source", variant="well"),
            StepPlan("search_source", variant="refusing"),
            phase="search",
        )
        work_on(one)
        work_on(other)
    assert [item["foreign_id"] for item in see_step(one).result["found"]] == ["a", "b", "c"]
    assert (see_step(other).state, see_step(other).error_code) == (StepState.FAILED, "http_403")
    assert threads == ["search-well"] * 3


@pytest.mark.parametrize("besides", [True, False])
def test_a_scrape_waits_for_a_source_that_is_down_only_where_it_asks_no_other(house, sources, besides):
    with Loopback(lambda ask: Reply(500)) as down, Loopback(answering("a")) as well:
        sources("down", down.url)
        sources("well", well.url)
        asked = ["down", "well"] if besides else ["down"]
        job_id = make_job(house, kind="scrape", params={"words": ["moon"], "sources": asked})
        (step_id,) = plan(job_id, StepPlan("search_source", variant="down"), phase="search")
        work_on(step_id)
    step = see_step(step_id)
    assert (step.state, step.error_code) == (StepState.FAILED if besides else StepState.READY, Retryable.code)
    assert [warning["source"] for warning in see_job(job_id).warnings] == (["down"] if besides else [])


@pytest.mark.parametrize(
    ("format_", "size", "width", "orientation"),
    [("16:9", "small", 1280, "landscape"), ("9:16", "small", 720, "portrait")],
)
def test_a_film_asks_for_its_shape_and_takes_no_file_larger_than_its_frame_needs(
    house, monkeypatch, format_, size, width, orientation
):
    sizes = [(640, 360), (1280, 720), (1920, 1080), (3840, 2160)]
    files = [file(*(pair if format_ == "16:9" else pair[::-1])) for pair in sizes]

    def answer(ask):
        found = {"videos": [video(1, *files)]} if "videos" in ask.path else {"photos": []}
        return Reply(body=json.dumps(found).encode())

    with Loopback(answer) as server:
        monkeypatch.setenv("PEXELS_API_KEY", "key")
        monkeypatch.setenv("PEXELS_URL", f"{server.url}/v1")
        get_settings.cache_clear()
        wiring.http_client.cache_clear()
        _, (step_id,) = film_step(house, ["pexels"], format=format_, size=720)
        work_on(step_id)
    wiring.http_client.cache_clear()
    assert {(ask.query["orientation"], ask.query["size"]) for ask in server.asks} == {(orientation, size)}
    (item,) = see_step(step_id).result["found"]
    assert item["facts"]["width"] == width
