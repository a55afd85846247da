"""Whole answers of Pexels, Pixabay and Unsplash, shaken: a search finds something, nothing, or one of our errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from core.errors import PipelineError
from scrapers.base import Query
from scrapers.sources.pexels import Pexels
from scrapers.sources.pixabay import Pixabay
from scrapers.sources.unsplash import Unsplash
from tests.loopback import Loopback, Reply
from tests.scrapers import test_pexels, test_pixabay, test_unsplash
from tests.scrapers.makers import client, mangled, readable, settings

PAGES = {
    Pexels: {
        "page": 1, "per_page": 15, "total_results": 2, "next_page": "https://api.pexels.com/v1/search?page=2",
        "photos": [test_pexels.photo()], "videos": [test_pexels.video()],
    },
    Pixabay: {"total": 9, "totalHits": 9, "hits": [test_pixabay.image(), test_pixabay.video()]},
    Unsplash: {"total": 9, "total_pages": 2, "results": [test_unsplash.photo()]},
}  # fmt: skip


@pytest.fixture(scope="module")
def site():
    said = {}

    def answer(ask):
        return Reply(body=json.dumps(said["page"]).encode())

    with Loopback(answer) as server:
        yield server, said


@pytest.mark.parametrize(("source", "kind"), [(source, kind) for source in PAGES for kind in source.kinds])
@trying(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_answer_of_any_shape_is_candidates_or_an_error_of_ours(site, monkeypatch, source, kind, data):
    for name in ("API_KEY", "ENABLED"):
        monkeypatch.setenv(f"{source.slug.upper()}_{name}", "true")
    server, said = site
    said["page"] = data.draw(mangled(PAGES[source]))
    one, code = source(client(server), settings(), base_url=server.url), "not_json"
    try:
        for candidate in one.search(Query(("lake",), kind, limit=3)):
            readable(candidate)
    except PipelineError as error:
        code = error.code
    assert code in {"not_json", "source_error"}
