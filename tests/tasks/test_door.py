"""What all processes together may ask of a source, over real HTTP and a real Redis."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
import zlib

import pytest
from redis import Redis

from core.errors import Misconfigured, Permanent, Retryable
from core.limits import FAILURES_TO_OPEN
from core.settings import get_settings
from scrapers.base import Query, SourceLimits
from tasks import door, limits, wiring
from tests.loopback import Loopback, Reply
from tests.scrapers import test_pixabay as pixabay
from tests.scrapers.makers import picture
from tests.services.makers import at_once
from tests.sources_made_up import Registered, items

QUERY = Query(words=("moon",))


@pytest.fixture
def sources(settings, monkeypatch):
    yield Registered(monkeypatch)
    wiring.http_client.cache_clear()


@pytest.fixture
def redis(settings):
    with Redis.from_url(settings.redis_url) as client:
        yield client


def found(slug="made_up", query=QUERY, **kw):
    return [candidate.title for candidate in wiring.open_source(slug, **kw).search(query)]


def test_no_minute_holds_more_tries_than_a_source_takes_whoever_makes_them(sources):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(per_minute=600, cache_seconds=0))
        began = time.monotonic()
        at_once(4, lambda _: [found() for _ in range(20)])
        seconds = time.monotonic() - began
    assert len(server.asks) == 80
    assert seconds > (80 - 61) / 10 * 0.9, "61 in one go, then ten a second"


def _ask_from_elsewhere(url, results):
    patch = pytest.MonkeyPatch()
    Registered(patch)("made_up", url, limits=SourceLimits(per_minute=60, per_day=9, cache_seconds=0))
    for _ in range(5):
        try:
            found()
        except Misconfigured as error:
            results.put(error.code)
    patch.undo()


def test_processes_share_a_day(sources):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        others = [context.Process(target=_ask_from_elsewhere, args=(server.url, results)) for _ in range(2)]
        for other in others:
            other.start()
        for other in others:
            other.join(60)
        assert len(server.asks) == 9
        assert results.get(timeout=5) == "calls_per_day"


def test_a_used_up_day_names_the_setting_and_ends_with_the_day(sources, redis, monkeypatch):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(per_day=500, cache_seconds=0))
        monkeypatch.setenv("MADE_UP_CALLS_PER_DAY", "2")
        get_settings.cache_clear()
        assert found() + found() == ["a", "a"]
        with pytest.raises(Misconfigured, match="MADE_UP_CALLS_PER_DAY"):
            found()
        assert len(server.asks) == 2
        assert limits.limiter().spent("source:made_up") == 2
        redis.hset("callsheet:vendor:source:made_up:day", "day", "1")  # as if it was yesterday's
        assert found() == ["a"]
        assert limits.limiter().spent("source:made_up") == 1


def test_a_used_up_hour_is_waited_out_and_is_no_trouble_of_the_source(sources, redis):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(per_hour=2, per_day=9, cache_seconds=0))
        assert found() + found() == ["a", "a"]
        with pytest.raises(Retryable, match="2 times within this hour") as caught:
            found()
        assert (caught.value.code, len(server.asks)) == ("throttled", 2)
        assert 0 < caught.value.retry_after <= 3600
        assert limits.limiter().spent("source:made_up") == 2, "what was not asked does not count for the day"
        redis.hset("callsheet:vendor:source:made_up:hour", "day", "1")  # as if it was an hour of long ago
        assert found() == ["a"]


def test_repeated_tries_count_for_the_day_too(sources):
    with Loopback(lambda ask: Reply(500)) as server:
        sources("made_up", server.url, limits=SourceLimits(per_day=3, cache_seconds=0))
        with pytest.raises(Misconfigured, match="3 times today"):
            found()
        assert len(server.asks) == 3


def test_a_source_that_does_not_answer_is_left_alone_and_then_tried_by_one(sources, redis):
    with Loopback(lambda ask: Reply(500)) as server:
        sources("made_up", server.url)
        while len(server.asks) < FAILURES_TO_OPEN:
            with pytest.raises(Retryable):
                found()
        asked = len(server.asks)
        with pytest.raises(Retryable, match="did not answer and is left alone") as caught:
            found()
        assert 1 < caught.value.retry_after <= 15
        assert len(server.asks) == asked
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url)
        redis.hset("callsheet:vendor:source:made_up:circuit", "until", "1")
        assert found() == ["a"]
    assert limits.state("source:made_up").state == "closed"


def test_a_source_that_asks_for_a_rest_gets_it_from_everybody(sources):
    replies = [Reply(429, headers={"Retry-After": "3600"})]
    with Loopback(lambda ask: replies[0]) as server:
        sources("made_up", server.url)
        with pytest.raises(Retryable) as caught:
            found()
        assert (caught.value.code, caught.value.retry_after) == ("throttled", 3600)
        with pytest.raises(Retryable, match="asked to be left alone"):
            found()
        assert len(server.asks) == 1
        assert limits.state("source:made_up").state == "closed"


def test_a_short_rest_is_waited_for(sources):
    replies = [Reply(body=b'{"busy": 0.4}'), Reply(body=items("a"))]
    with Loopback(lambda ask: replies.pop(0)) as server:
        sources("made_up", server.url)
        began = time.monotonic()
        assert found() == ["a"]
        assert 0.4 <= time.monotonic() - began < 3


def test_the_same_question_is_asked_once_within_its_time(sources, redis):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60, per_day=2))
        assert found() == found() == ["a"]
        assert found(query=Query(words=("sun",))) == ["a"]
        assert len(server.asks) == 2
        assert found() == ["a"], "the day is used up, what is known is still known"
        counted = door.recall().counts("made_up")
        assert (counted.hits, counted.misses) == (2, 2)
        everything = b"".join(
            key + (redis.get(key) if redis.type(key) == b"string" else b"") for key in redis.keys("*made_up*")
        )
        assert b"hush" not in everything
        answers = redis.keys("callsheet:source:made_up:answer:*")
        assert {0 < redis.pttl(key) <= 60_000 for key in answers} == {True}


@pytest.mark.parametrize(
    "bad",
    [Reply(body=b"null"), Reply(body=b"{}"), Reply(body=b"[]"), Reply(body=b"{broken"), Reply(status=204),
     Reply(body=b"  ", mime="text/html")],
)  # fmt: skip
def test_an_answer_that_says_nothing_is_not_kept(sources, bad):
    good = Reply(body=items("a"))
    replies = [bad, good]
    with Loopback(lambda ask: replies.pop(0) if len(replies) > 1 else good) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60))
        source = wiring.open_source("made_up")
        source.http.get(f"{server.url}/search?q=1", check=lambda answer: None)
        assert source.http.get_json(f"{server.url}/search", params={"q": 1})["items"]
        assert len(server.asks) == 2


def test_a_page_is_kept_only_when_its_source_has_looked_at_it(sources):
    with Loopback(lambda ask: Reply(body=b"<p>sounds", mime="text/html")) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60))
        http = wiring.open_source("made_up").http
        for _ in range(2):
            http.get(f"{server.url}/unseen")
            assert http.get(f"{server.url}/seen", check=lambda answer: None).body == b"<p>sounds"
        assert [ask.path for ask in server.asks] == ["/unseen", "/seen", "/unseen"]


def test_a_call_that_is_meant_to_be_noticed_is_made_each_time(sources):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60))
        http = wiring.open_source("made_up").http
        http.get(f"{server.url}/download")
        http.get(f"{server.url}/download", fresh=True)
        assert len(server.asks) == 2


def test_a_question_is_the_same_in_any_order_and_with_any_key(sources):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60))
        http = wiring.open_source("made_up").http
        http.get(f"{server.url}/s", params={"key": "one", "page": 1, "keywords": "x"})
        http.get(f"{server.url}/s?page=1", params={"keywords": "x", "key": "two"})
        http.get(f"{server.url}/s?page=1", params={"keywords": "y", "key": "two"})
        http.get(f"{server.url}/s?page=1", params={"keywords": "x", "page_token": "two"})
        assert len(server.asks) == 3


def test_a_large_answer_is_not_kept(sources, monkeypatch):
    monkeypatch.setattr("core.recall.LARGEST_BYTES", 50)
    with Loopback(lambda ask: Reply(body=items(*(f"item-{n}" for n in range(40))))) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60))
        assert found() == found()
        assert len(server.asks) == 2


def test_only_so_many_answers_are_kept(sources, redis, monkeypatch):
    monkeypatch.setattr("core.recall.MOST", 3)
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(cache_seconds=60))
        for word in ("a", "b", "c", "d", "e"):
            found(query=Query(words=(word,)))
        assert len(redis.keys("callsheet:source:made_up:answer:*")) == 3
        found(query=Query(words=("e",)))
        assert len(server.asks) == 5
        found(query=Query(words=("a",)))
        assert len(server.asks) == 6


def test_only_so_many_files_are_fetched_at_once(sources, tmp_path):
    now, most, lock = [0], [0], threading.Lock()

    def answer(ask):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.15)
        with lock:
            now[0] -= 1
        return Reply(body=picture(), mime="image/jpeg")

    with Loopback(answer) as server:
        sources("made_up", server.url, limits=SourceLimits(downloads_at_once=2, cache_seconds=0))
        at_once(
            6,
            lambda n: wiring.open_source("made_up").http.download(
                f"{server.url}/{n}", tmp_path / str(n), 10**6
            ),
        )
    assert most[0] == 2
    assert len(list(tmp_path.iterdir())) == 6


def test_a_host_of_files_that_does_not_answer_is_not_the_sources_fault(sources, tmp_path, monkeypatch):
    with Loopback(lambda ask: Reply(body=items("a"))) as server, Loopback(lambda ask: Reply(500)) as files:
        monkeypatch.setenv("ALLOW_PRIVATE_HOSTS", files.host)
        sources("made_up", server.url)
        for _ in range(2):
            with pytest.raises(Retryable):
                wiring.open_source("made_up").http.download(f"{files.url}/a", tmp_path / "a", 10)
        assert found() == ["a"]
    assert limits.state(f"source:made_up@{files.host}").state == "open"


def test_files_count_for_the_day_only_where_they_lie_on_the_sources_own_host(sources, tmp_path, monkeypatch):
    def answer(ask):
        return Reply(body=picture(), mime="image/jpeg")

    with Loopback(answer) as server, Loopback(answer) as files:
        monkeypatch.setenv("ALLOW_PRIVATE_HOSTS", files.host)
        sources("made_up", server.url, limits=SourceLimits(per_day=1, cache_seconds=0))
        http = wiring.open_source("made_up").http
        for number in range(3):
            http.download(f"{files.url}/{number}", tmp_path / str(number), 10**6)
        http.download(f"{server.url}/a", tmp_path / "a", 10**6)
        with pytest.raises(Misconfigured, match="CALLS_PER_DAY"):
            http.download(f"{server.url}/b", tmp_path / "b", 10**6)
    assert len(list(tmp_path.glob("?"))) == 4


def test_everything_that_is_asked_ends_within_its_time(sources):
    with Loopback(lambda ask: Reply(500)) as server:
        sources("made_up", server.url)
        began = time.monotonic()
        with pytest.raises(Retryable, match="longer than 1 s") as caught:
            found(seconds=1.0)
        assert caught.value.code == "too_slow"
        assert time.monotonic() - began < 4
        assert server.asks


def test_without_redis_a_source_is_asked_as_if_it_had_no_limit(sources, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
    monkeypatch.setattr(limits, "redis_url", lambda _: nobody)
    monkeypatch.setattr(door, "redis_url", lambda _: nobody)
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, limits=SourceLimits(1, 1, 1, cache_seconds=60))
        for _ in range(3):
            assert found() == ["a"]
        assert len(server.asks) == 3


def test_a_source_that_is_off_is_not_asked(sources, monkeypatch):
    with Loopback(lambda ask: Reply(body=items("a"))) as server:
        sources("made_up", server.url, terms="Ask first.")
        with pytest.raises(Misconfigured, match="MADE_UP_ENABLED=true"):
            found()
        assert server.asks == []


def test_an_address_that_is_not_public_is_refused_behind_the_door_too(sources, tmp_path):
    with Loopback(lambda ask: Reply(302, headers={"Location": "http://169.254.169.254/latest"})) as server:
        sources("made_up", server.url)
        with pytest.raises(Permanent) as caught:
            wiring.open_source("made_up").http.download(f"{server.url}/a", tmp_path / "a", 10)
        assert caught.value.code == "address_refused"
    assert list(tmp_path.iterdir()) == []


def test_an_answer_of_pixabay_serves_for_a_day_ages_meanwhile_and_is_kept_without_its_key(
    sources, redis, monkeypatch
):
    with Loopback(pixabay.Site(3)) as server:
        monkeypatch.setenv("PIXABAY_API_KEY", pixabay.KEY)
        monkeypatch.setenv("PIXABAY_URL", f"{server.url}/api")
        get_settings.cache_clear()
        wiring.http_client.cache_clear()
        first = wiring.open_source("pixabay").search(QUERY)
        time.sleep(1.1)
        again = wiring.open_source("pixabay").search(QUERY)
        assert len(server.asks) == 1
    assert [one.expires_at for one in again] == [one.expires_at for one in first], "its links are no younger"
    (key,) = redis.keys("callsheet:source:pixabay:answer:*")
    assert 86_000 < redis.ttl(key) <= 86_400
    kept = zlib.decompress(redis.get(key)).decode()
    assert "quiet-lake-dawn" in kept
    assert pixabay.KEY not in kept + key.decode()
