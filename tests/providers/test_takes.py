"""What holds of every vendor of takes that is polled one by one: bought from its simulated self."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import Misconfigured, Moderated, PipelineError, Rejected, Retryable, Unconfirmed
from core.settings import VendorSettings
from media.probe import probe
from providers.base import AnswerState, Handle
from tests.loopback import Loopback, Reply
from tests.providers.shops import SHOPS, open_at, picture
from tests.simulated import VendorHere


@pytest.fixture(params=SHOPS.values(), ids=SHOPS)
def shop(request):
    return request.param


def handle(sent) -> Handle:
    return Handle(sent.vendor_id, sent.receipt)


def asking(shop, words):
    return replace(shop.request, prompt=words)


def test_a_take_is_ordered_polled_and_brought_home_at_the_price_quoted(vendor, shop, tmp_path):
    adapter = shop.open(vendor)
    sent = adapter.submit(shop.request, "token-1")
    [answer] = adapter.poll([handle(sent)])
    quoted = adapter.quote(shop.request)
    assert answer.vendor_id == sent.vendor_id
    assert answer.state is AnswerState.SUCCEEDED
    assert answer.cost in (None, quoted.amount)
    assert quoted.known is shop.known
    assert vendor.bill()["total"] == quoted.amount > 0
    adapter.fetch(answer, tmp_path / "take.mp4")
    seen = probe(tmp_path / "take.mp4")
    assert (seen.kind, seen.width, seen.height) == ("clip", 1280, 720)
    assert seen.duration >= shop.request.frames / shop.request.fps


def test_a_film_begins_with_a_picture(vendor, shop, tmp_path):
    adapter = shop.open(vendor)
    ask = replace(shop.request, image=picture(tmp_path, pixels=shop.pixels))
    quoted = adapter.quote(ask)
    [answer] = adapter.poll([handle(adapter.submit(ask, "token-1"))])
    assert answer.state is AnswerState.SUCCEEDED
    assert vendor.bill()["total"] == quoted.amount > 0


def test_a_picture_that_is_too_large_is_refused_with_the_limit_before_it_is_sent(vendor, shop, tmp_path):
    adapter = shop.open(vendor)
    with pytest.raises(Rejected, match=r"at most \d+ bytes") as caught:
        adapter.quote(replace(shop.request, image=picture(tmp_path, size=60 << 20)))
    assert (caught.value.code, caught.value.field) == ("too_large", "reference")
    assert "submits" not in vendor.bill()["calls"]


def test_what_is_no_picture_is_refused_before_it_is_sent(vendor, shop, tmp_path):
    (tmp_path / "words").write_text("no picture")
    with pytest.raises(Rejected, match="image/png"):
        shop.open(vendor).submit(replace(shop.request, image=tmp_path / "words"), "token-1")
    assert "submits" not in vendor.bill()["calls"]


@pytest.mark.parametrize("fault", ["hang-after", "reset-after", "down-after", "garbage-after"])
def test_a_submit_that_was_accepted_and_not_answered_is_unconfirmed(vendor, shop, fault):
    adapter = shop.open(vendor, timeout=(5, 1 if fault.startswith("hang") else 60))
    with pytest.raises(Unconfirmed):
        adapter.submit(asking(shop, f"fault-{fault}"), "token-1")
    assert len(vendor.bill()["tasks"]) == 1
    assert adapter.can_look_up is False
    assert adapter.lookup("token-1") is None


@pytest.mark.parametrize("fault", ["hang-before", "reset-before", "down-before"])
def test_a_submit_that_was_not_accepted_reads_the_same(vendor, shop, fault):
    adapter = shop.open(vendor, timeout=(5, 1 if fault.startswith("hang") else 60))
    with pytest.raises(Unconfirmed):
        adapter.submit(asking(shop, f"fault-{fault}"), "token-1")
    assert vendor.bill()["tasks"] == []


@pytest.mark.parametrize(
    ("fault", "error", "wait"),
    [
        ("throttled", Retryable, None),
        ("throttled-wait", Retryable, 1.0),
        ("busy", Retryable, None),
        ("broke", Misconfigured, None),
        ("used-up", Misconfigured, None),
        ("moderated", Moderated, None),
    ],
)
def test_a_refusal_is_sorted_and_nothing_was_bought(vendor, shop, fault, error, wait):
    with pytest.raises(error) as caught:
        shop.open(vendor).submit(asking(shop, f"fault-{fault}"), "token-1")
    assert type(caught.value) is error
    assert getattr(caught.value, "retry_after", None) == wait
    assert vendor.bill()["tasks"] == []


def test_a_key_the_vendor_does_not_know_names_the_setting_and_not_the_key(vendor, shop):
    adapter = shop.open(vendor, key="wrong")
    for call in (
        lambda: adapter.submit(shop.request, "token-1"),
        lambda: adapter.poll([Handle("1")]),
    ):
        with pytest.raises(Misconfigured, match=f"{adapter.slug.upper()}_API_KEY") as caught:
            call()
        assert "wrong" not in caught.value.message


def test_a_vendor_that_is_not_there_took_nothing(vendor, shop):
    adapter = shop.open(vendor)
    vendor.close()
    with pytest.raises(Retryable):
        adapter.submit(shop.request, "token-1")


def test_a_status_nobody_knows_means_still_running(tmp_path, shop):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        adapter = shop.open(vendor)
        [answer] = adapter.poll([handle(adapter.submit(asking(shop, "fault-odd"), "token-1"))])
        assert "review" in str(answer.raw["status"]).lower()
        assert answer.state is AnswerState.RUNNING
    finally:
        vendor.close()


def test_a_failed_take_says_why_and_costs_nothing(vendor, shop):
    adapter = shop.open(vendor)
    [answer] = adapter.poll([handle(adapter.submit(asking(shop, "fault-failed"), "token-1"))])
    assert (answer.state, answer.code) == (AnswerState.FAILED, "moderated")
    assert "simulated" in answer.error
    assert answer.cost in (None, 0)
    assert vendor.bill()["total"] == 0


def test_an_id_the_vendor_does_not_know_is_too_young_to_be_listed_or_too_old(vendor, shop):
    [answer] = shop.open(vendor).poll([Handle("0123456789", model=shop.open(vendor).model)])
    assert answer.vendor_id == "0123456789"
    assert answer.state is (AnswerState.FAILED if shop.forgets else AnswerState.RUNNING)


@pytest.mark.parametrize("fault", ["missing-once", "truncated-once"])
def test_a_result_that_cannot_be_had_may_be_had_later_and_no_half_file_is_left(vendor, shop, tmp_path, fault):
    adapter = shop.open(vendor)
    [answer] = adapter.poll([handle(adapter.submit(asking(shop, f"fault-{fault}"), "token-1"))])
    with pytest.raises(Retryable):
        adapter.fetch(answer, tmp_path / "take.mp4")
    assert list(tmp_path.glob("*take*")) == []
    adapter.fetch(answer, tmp_path / "take.mp4")
    assert probe(tmp_path / "take.mp4").kind == "clip"


def test_a_shot_that_is_too_long_is_refused_with_what_is_offered(vendor, shop):
    with pytest.raises(Rejected, match=r"makes films of .*\d+, \d+") as caught:
        shop.open(vendor).quote(replace(shop.request, frames=24 * 61))
    assert (caught.value.code, caught.value.field) == ("too_long", "frames")


@pytest.mark.parametrize("words", ["", " ", "x" * 33_000])
def test_a_request_without_words_or_with_too_many_is_refused(vendor, shop, words):
    with pytest.raises(Rejected) as caught:
        shop.open(vendor).quote(asking(shop, words))
    assert caught.value.field == "prompt"


def test_a_clip_is_shown_by_others(vendor, shop, tmp_path):
    with pytest.raises(Rejected) as caught:
        shop.open(vendor).quote(replace(shop.request, clip=tmp_path / "a.mp4"))
    assert caught.value.field == "reference"


def test_a_model_nobody_knows_is_refused_with_those_there_are(vendor, shop):
    if shop.open_models:
        assert shop.open(vendor, model="nobody-9").quote(shop.request).known is False
        return
    with pytest.raises(Rejected) as caught:
        shop.open(vendor, model="nobody-9").quote(shop.request)
    assert caught.value.field == "model"
    assert shop.adapter.models[0] in caught.value.message


def test_it_is_off_without_a_key_or_with_a_model_nobody_knows(shop):
    slug = shop.adapter.slug.upper()
    url = "https://relay.example"
    assert f"{slug}_API_KEY" in shop.adapter.usable(VendorSettings(url=url))
    unknown = shop.adapter.usable(shop.own(url, model="nobody-9"))
    assert unknown is None if shop.open_models else f"{slug}_MODEL" in unknown
    assert shop.adapter.usable(shop.own(url)) is None


def test_an_open_submission_is_asked_about_where_it_was_sent(vendor, shop):
    sent = shop.open(vendor).submit(shop.request, "token-1")
    own = shop.own("https://example.test")
    elsewhere = open_at(shop.adapter, own, vendor.url, endpoint=f"{vendor.url}/{shop.adapter.slug}")
    assert elsewhere.poll([handle(sent)])[0].state is AnswerState.SUCCEEDED


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'"x"', b'{"status": 7}', b"<html>", b"\xff"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_poll_answered_with_rubbish_raises_ours_or_finds_nothing(shop, body, status):
    with Loopback(lambda _: Reply(status, body)) as server:
        adapter = open_at(shop.adapter, shop.own(server.url), server.url)
        try:
            answers = adapter.poll([Handle("1")])
        except PipelineError:
            return
    assert [answer.state for answer in answers] == [AnswerState.RUNNING]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"id": ""}', b"<html>", b"\xff"])
def test_a_submit_answered_with_rubbish_is_unconfirmed(shop, body):
    with Loopback(lambda _: Reply(200, body)) as server:
        adapter = open_at(shop.adapter, shop.own(server.url), server.url, model=shop.model)
        with pytest.raises(Unconfirmed):
            adapter.submit(shop.request, "token-1")
