"""Sources that want to know are told which of their pictures are used, by the real steps."""

from __future__ import annotations

from contextlib import closing

import pytest
import redis
from sqlalchemy import select

from core.settings import get_settings
from db.assets import Asset, Origin, Shot
from db.candidates import Candidate
from db.session import reading, transaction
from db.work import Step, StepState
from scrapers.sources.unsplash import Unsplash
from services.steps import StepPlan
from services.submissions import in_seconds
from tasks import wiring
from tests.loopback import Loopback, Reply
from tests.scrapers.makers import picture, reply
from tests.scrapers.test_unsplash import KEY, photo
from tests.services.buying import make_shots
from tests.services.makers import make_job, plan, see_job, see_step
from tests.tasks.conftest import work_on

TOLD = [{"source": "unsplash", "foreign_id": "lake-1", "told": True}]


class Site:
    """Unsplash, its files, and how it answers to being told of a use: with these, then gladly."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __enter__(self):
        self.server = Loopback(self.answer)
        self.server.__enter__()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def photo(self, ident="lake-1"):
        return photo(ident, at=self.server.url, urls={"raw": f"{self.server.url}/files/{ident}.jpg?ixid=a"})

    def answer(self, ask):
        if ask.path.startswith("/files/"):
            return Reply(200, picture(size=(640, 470 + 10 * int(ask.path[-5]))), "image/jpeg")
        if ask.path.endswith("/download"):
            return self.answers.pop(0) if self.answers else reply({"url": "x"})
        if ask.path == "/search/photos":
            return reply({"total_pages": 1, "results": [self.photo("lake-1"), self.photo("lake-2")]})
        return reply(self.photo(ask.path.rpartition("/")[2]))

    def asked(self, what):
        return [ask for ask in self.server.asks if what in ask.path]


@pytest.fixture
def unsplash(house, monkeypatch):
    def at(*answers):
        site = Site(*answers)
        site.__enter__()
        opened.append(site)
        for name, value in (("API_KEY", KEY), ("ENABLED", "true"), ("URL", site.server.url)):
            monkeypatch.setenv(f"UNSPLASH_{name}", value)
        get_settings.cache_clear()
        wiring.http_client.cache_clear()
        return site

    opened = []
    yield at
    for site in opened:
        site.__exit__(None, None, None)
    wiring.http_client.cache_clear()


def order(house, *, image=None, reference=None, **brief):
    job_id = make_job(house, params={"sources": [], **brief})
    (shot,) = make_shots(job_id)
    with transaction() as session:
        row = session.get_one(Shot, shot)
        row.image, row.reference = image, reference
    return job_id, shot, *plan(job_id, StepPlan("keep_stock", shot), phase="shoot")


def again(step_id):
    """Do a step's attempts until it has ended, without waiting between them."""
    for _ in range(10):
        work_on(step_id)
        step = see_step(step_id)
        if step.state is not StepState.READY:
            return step
        with transaction() as session:
            session.get_one(type(step), step_id).not_before = in_seconds(-1)
    raise AssertionError("it never ends")


def origin_of(step):
    with reading() as session:
        return session.get_one(Origin, step.result["asset_id"])


def test_a_picture_that_is_fetched_for_a_shot_is_told_of_once_with_the_key(house, unsplash):
    site = unsplash()
    _, _, keep = order(house, image="unsplash:lake-1")
    step = again(keep)
    assert (step.state, step.result["uses"]) == (StepState.SUCCEEDED, TOLD)
    (ask,) = site.asked("/download")
    assert (ask.query, ask.headers["authorization"]) == ({"ixid": "M3wy|x"}, f"Client-ID {KEY}")
    assert all("authorization" not in ask.headers for ask in site.asked("/files/"))
    assert origin_of(step).use_url == f"{site.server.url}/photos/lake-1/download?ixid=M3wy%7Cx"
    assert origin_of(step).licence_facts["attribution_required"] is True


def test_one_that_is_known_already_is_told_of_for_every_film(house, unsplash):
    site = unsplash()
    steps = [again(order(house, image="unsplash:lake-1", reuse=reuse)[2]) for reuse in (True, False, True)]
    assert [step.result["uses"] for step in steps] == [TOLD] * 3
    assert len({step.result["asset_id"] for step in steps}) == 1
    assert len(site.asked("/files/")) == 1, "it is fetched once"
    assert len(site.asked("/download")) == 3, "and used three times; what was kept of an answer tells nobody"
    assert steps[2].reused_from is not None


def test_an_asset_of_ours_that_came_from_there_is_told_of(house, unsplash):
    site = unsplash()
    kept = again(order(house, image="unsplash:lake-1")[2])
    named = again(order(house, image=f"asset:{kept.result['asset_id']}")[2])
    assert named.result["uses"] == TOLD
    assert len(site.asked("/download")) == 2


def test_the_still_that_a_vendor_begins_with_is_told_of_too(house, unsplash):
    unsplash()
    step = again(order(house, reference="unsplash:lake-1")[2])
    assert step.result["asset_id"] is None
    assert step.result["uses"] == TOLD


def test_a_ranked_candidate_is_told_of(house, unsplash):
    site = unsplash()
    job_id, shot, keep = order(house)
    found = Unsplash(wiring.http_client(), get_settings()).parse(site.photo("lake-1"))
    with transaction() as session:
        row = session.get_one(Shot, shot)
        session.add(
            Candidate(
                workspace_id=row.workspace_id, film_id=see_job(job_id).film_id, shot_id=shot, source="unsplash",
                foreign_id="lake-1", kind="image", score=1.0, score_version=1, facts=found.to_json(), position=0,
            )
        )  # fmt: skip
    assert again(keep).result["uses"] == TOLD


def test_who_asks_for_nothing_is_told_nothing(house):
    assert "uses" not in again(order(house, image="samples:rocket")[2]).result


def test_what_could_not_be_told_at_once_is_told_by_the_next_attempt_which_fetches_nothing(
    house, unsplash, redis_url
):
    full = Reply(403, b"Rate Limit Exceeded")
    site = unsplash(full)
    _, _, keep = order(house, image="unsplash:lake-1")
    work_on(keep)
    step = see_step(keep)
    assert (step.state, step.error_code) == (StepState.READY, "throttled")
    with reading() as session:
        assert session.scalars(select(Origin.foreign_id)).all() == ["lake-1"], "the picture is kept"
    with closing(redis.Redis.from_url(redis_url)) as client:  # the hour has come
        client.flushdb()
    step = again(keep)
    assert (step.state, step.result["uses"]) == (StepState.SUCCEEDED, TOLD)
    assert len(site.asked("/files/")) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply({"errors": ["gone"]}, 404), "404"),
        (reply({"errors": ["OAuth error"]}, 401), "UNSPLASH_API_KEY"),
        (Reply(403, b"Rate Limit Exceeded"), "left alone|Rate Limit"),
    ],
)
def test_what_cannot_be_told_costs_no_picture_and_is_written_down(house, unsplash, answer, why):
    unsplash(*[answer] * 99)
    step = again(order(house, image="unsplash:lake-1")[2])
    assert step.state is StepState.SUCCEEDED
    (line,) = step.result["uses"]
    assert (line["foreign_id"], line["told"]) == ("lake-1", False)
    assert any(part in line["why"] for part in why.split("|")), line["why"]
    assert origin_of(step).foreign_id == "lake-1"


def test_what_a_scrape_keeps_is_told_of(house, unsplash):
    site = unsplash(reply({}, 404))
    job_id = make_job(
        house,
        kind="scrape",
        params={
            "words": ["lake"], "kind": "image", "orientation": None, "keep": 2, "sources": ["unsplash"],
            "licences": {"allow": ["commercial"], "share_alike": True, "commercial": True}, "reuse": True,
        },
    )  # fmt: skip
    (search,) = plan(job_id, StepPlan("search_source", variant="unsplash"), phase="search")
    again(search)
    with reading() as session:
        keep = session.scalars(
            select(Step.id).where(Step.job_id == job_id, Step.kind == "keep_candidates")
        ).one()
    step = again(keep)
    assert step.state is StepState.SUCCEEDED
    assert [(line["foreign_id"], line["told"]) for line in step.result["uses"]] == [
        ("lake-1", False),
        ("lake-2", True),
    ]
    with reading() as session:
        kept = session.scalars(select(Asset).where(Asset.id.in_(step.result["asset_ids"]))).all()
    assert len(kept) == 2
    assert len(site.asked("/files/")) == 2
    assert see_job(job_id).result["asset_ids"] == step.result["asset_ids"]
