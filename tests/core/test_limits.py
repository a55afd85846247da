"""What processes know together of a vendor, in a real Redis: bounded calls, circuits, and life without it."""

from __future__ import annotations

import socket
import time

import pytest
from redis import Redis

from core import limits
from core.limits import Circuit, Limiter
from tests.services.makers import at_once


@pytest.fixture
def limiter(redis_url):
    return Limiter(redis_url)


@pytest.fixture
def redis(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


def cool(redis, slug="kling"):
    """Have an open circuit's time be over."""
    redis.hset(f"callsheet:vendor:{slug}:circuit", "until", "1")


def open_it(limiter, slug="kling"):
    return [limiter.failed(slug) for _ in range(limits.FAILURES_TO_OPEN)]


def test_a_vendor_that_tells_no_limit_is_called_at_will(limiter):
    assert limiter.enter("kling", calls=500).calls == 500
    assert limiter.enter("kling", calls=500).calls == 500


@pytest.mark.parametrize(("per_minute", "burst"), [(1, 1), (9, 1), (60, 7), (600, 61)])
def test_a_tenth_of_a_minutes_calls_go_in_one_go_and_then_one_by_one(limiter, per_minute, burst):
    first = limiter.enter("kling", per_minute=per_minute, calls=1000)
    assert first.calls == burst
    second = limiter.enter("kling", per_minute=per_minute)
    apart = 60 / (per_minute - burst + 1)
    assert (second.calls, second.why) == (0, "rate")
    assert apart * 0.5 <= second.wait <= apart


def test_no_minute_holds_more_calls_than_the_vendor_takes(limiter):
    """6,000 a minute are 100 a second: what is granted in a second tells of the minute."""
    per_minute, granted, began = 6000, 0, time.monotonic()
    while time.monotonic() - began < 1.0:
        granted += limiter.enter("kling", per_minute=per_minute, calls=50).calls
    seconds = time.monotonic() - began
    burst = 1 + per_minute // 10
    assert burst + (per_minute - burst) / 60 * 0.7 <= granted
    assert granted <= burst + (per_minute - burst + 1) / 60 * seconds + 1


def test_processes_share_one_allowance(redis_url):
    def work(_):
        own = Limiter(redis_url)
        return sum(own.enter("kling", per_minute=90).calls for _ in range(20))

    assert sum(at_once(4, work)) in (10, 11), "ten at once, and what a moment adds"


def test_looking_takes_nothing_and_vendors_have_each_their_own(limiter):
    for _ in range(3):
        assert limiter.enter("kling", per_minute=10, calls=9, looking=True).calls == 2
    assert limiter.enter("kling", per_minute=10, calls=9).calls == 2
    assert limiter.enter("kling", per_minute=10, calls=9, looking=True).calls == 0
    assert limiter.enter("fal", per_minute=10, calls=9).calls == 2


def test_a_vendor_that_asks_to_be_left_alone_is(limiter, redis):
    limiter.rest("kling", 30)
    limiter.rest("kling", 5)
    leave = limiter.enter("kling")
    assert (leave.calls, leave.why) == (0, "rest")
    assert 25 < leave.wait <= 30, "the longer wish holds"
    redis.delete("callsheet:vendor:kling:rest")
    assert limiter.enter("kling").calls == 1


def test_a_circuit_opens_after_failures_in_a_row_only(limiter):
    for _ in range(3):
        assert not any(limiter.failed("kling") for _ in range(limits.FAILURES_TO_OPEN - 1))
        limiter.answered("kling")
    assert limiter.circuit("kling") == Circuit()
    assert open_it(limiter) == [False] * (limits.FAILURES_TO_OPEN - 1) + [True]
    circuit = limiter.circuit("kling")
    assert (circuit.state, circuit.failures) == ("open", limits.FAILURES_TO_OPEN)
    leave = limiter.enter("kling", calls=10)
    assert (leave.calls, leave.why) == (0, "circuit")
    assert 0 < leave.wait <= limits.COOL_SECONDS
    assert limiter.circuit("fal") == Circuit()


def test_a_half_open_circuit_lets_one_caller_try_once(redis_url, redis):
    limiter = Limiter(redis_url)
    open_it(limiter)
    cool(redis)
    assert limiter.circuit("kling").state == "half_open"
    assert limiter.enter("kling", calls=10, looking=True).calls == 1
    granted = at_once(6, lambda _: Limiter(redis_url).enter("kling", calls=10).calls)
    assert sorted(granted) == [0, 0, 0, 0, 0, 1]
    assert limiter.circuit("kling").state == "half_open"
    limiter.answered("kling")
    assert limiter.circuit("kling") == Circuit()
    assert limiter.enter("kling", calls=10).calls == 10


def test_every_failed_probe_doubles_the_wait_up_to_a_limit_and_late_failures_do_not(limiter, redis):
    open_it(limiter)
    waits = []
    for _ in range(6):
        assert not limiter.failed("kling"), "a call that was under way when it opened"
        waits.append(limiter.circuit("kling").seconds)
        cool(redis)
        assert limiter.enter("kling").calls == 1
        assert limiter.failed("kling")
    expected = [15, 30, 60, 120, 240, 240]
    assert waits == pytest.approx(expected, abs=1)


def test_a_probe_that_never_tells_is_followed_by_another(limiter, redis):
    open_it(limiter)
    cool(redis)
    assert limiter.enter("kling").calls == 1
    assert limiter.enter("kling").calls == 0
    cool(redis)
    assert limiter.enter("kling").calls == 1


def test_an_emptied_redis_limits_nothing(limiter, redis):
    open_it(limiter)
    limiter.rest("kling", 60)
    limiter.enter("kling", per_minute=1)
    redis.flushdb()
    redis.script_flush()
    assert limiter.enter("kling", per_minute=1).calls == 1
    assert limiter.circuit("kling") == Circuit()
    assert not limiter.failed("kling")


def test_without_redis_everything_goes_on_as_if_there_were_no_limit():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    limiter = Limiter(f"redis://127.0.0.1:{port}/0")
    began = time.monotonic()
    assert limiter.enter("kling", per_minute=1, calls=7).calls == 7
    assert not any(open_it(limiter))
    assert limiter.circuit("kling") == Circuit()
    limiter.answered("kling")
    limiter.rest("kling", 60)
    assert time.monotonic() - began < 1.0


def test_a_redis_that_hangs_costs_a_caller_half_a_second_once_in_a_while():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limiter = Limiter(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        for _ in range(50):
            assert limiter.enter("kling", per_minute=1).calls == 1
        assert time.monotonic() - began < 2.0


def test_a_day_has_so_many_calls_for_all_together_and_begins_anew(redis_url, redis):
    granted = at_once(8, lambda _: sum(Limiter(redis_url).spend("kling", 20) for _ in range(5)))
    assert sum(granted) == 20
    limiter = Limiter(redis_url)
    assert limiter.spent("kling") == 20
    assert limiter.spent("veo") == 0
    redis.hset("callsheet:vendor:kling:day", "day", "1")
    assert limiter.spent("kling") == 0
    assert limiter.spend("kling", 20)
    assert 0 < redis.ttl("callsheet:vendor:kling:day") <= 90_000


def test_places_are_few_and_come_free_by_being_given_back_or_by_time(limiter):
    assert [limiter.hold("kling", 2, name, 60) for name in "abc"] == [True, True, False]
    limiter.give_back("kling", "a")
    assert limiter.hold("kling", 2, "c", 0.2)
    assert not limiter.hold("kling", 2, "d", 60)
    time.sleep(0.3)
    assert limiter.hold("kling", 2, "d", 60)


def test_how_long_a_vendor_wants_to_be_left_alone_can_be_read_without_asking_leave(limiter):
    assert limiter.resting("kling") == 0
    limiter.rest("kling", 100)
    assert 99 < limiter.resting("kling") <= 100
