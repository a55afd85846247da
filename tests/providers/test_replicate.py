"""Replicate's adapter: its statuses, its words for a wait, files and links, and signed callbacks."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from core.errors import Misconfigured, Moderated, Permanent, Rejected, Retryable, Unconfirmed
from core.settings import VendorSettings
from providers.base import Answer, AnswerState, Handle
from providers.replicate import Replicate
from simulator.webhooks import SECRET
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, REPLICATE, open_at, picture, tampered
from tests.simulated import VendorHere

# The worked example.
EXAMPLE = "whsec_ZXhhbXBsZS1zaWduaW5nLWtleS0zMi1ieXRlcy1sb25n"
SIGNED = {
    "webhook-id": "msg_1",
    "webhook-timestamp": "1760000000",
    "webhook-signature": "v1,XhChvXcXzMMoDNNcLXpzBIqsfgNeviQXwRIfW/m/Y6s=",
}
BODY = b'{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded"}'
NOW = 1_760_000_000.0


def at(server: Loopback, **more) -> Replicate:
    return open_at(Replicate, VendorSettings(api_key=REPLICATE.key, url=server.url), server.url, **more)


def reading(prediction: dict, status: int = 200) -> Loopback:
    return Loopback(lambda _: Reply(status, json.dumps(prediction).encode()))


@pytest.mark.parametrize(
    ("status", "error", "state", "code"),
    [
        ("starting", None, AnswerState.RUNNING, "vendor_failed"),
        ("processing", None, AnswerState.RUNNING, "vendor_failed"),
        ("dreaming", None, AnswerState.RUNNING, "vendor_failed"),
        ("succeeded", None, AnswerState.SUCCEEDED, "vendor_failed"),
        ("failed", "CUDA out of memory", AnswerState.FAILED, "vendor_failed"),
        ("failed", "NSFW content detected", AnswerState.FAILED, "moderated"),
        ("failed", "The input or output was flagged as sensitive. (E005)", AnswerState.FAILED, "moderated"),
        ("failed", None, AnswerState.FAILED, "vendor_failed"),
        ("canceled", None, AnswerState.FAILED, "cancelled"),
        ("aborted", None, AnswerState.FAILED, "cancelled"),
    ],
)
def test_every_status_of_a_prediction_is_read(status, error, state, code):
    said = {"id": "p-1", "status": status, "error": error, "input": {"image": "data:…"}, "logs": "step 3/10"}
    with reading(said) as server:
        [answer] = at(server).poll([Handle("p-1")])
    assert server.asks[0].path == "/v1/predictions/p-1"
    assert (answer.state, answer.code) == (state, code)
    assert answer.raw == {"id": "p-1", "status": status, "error": error}
    assert (answer.error is not None) is (state is AnswerState.FAILED)
    if error:
        assert answer.error == error


@pytest.mark.parametrize(
    ("http", "body", "headers", "error", "code", "wait"),
    [
        (400, {"title": "Bad", "detail": "d"}, {}, Rejected, "http_400", None),
        (401, {"title": "Unauthenticated"}, {}, Misconfigured, "http_401", None),
        (402, {"title": "Insufficient credit"}, {}, Misconfigured, "http_402", None),
        (403, {}, {}, Misconfigured, "http_403", None),
        (404, {"title": "Not found"}, {}, Misconfigured, "http_404", None),
        (422, {"title": "Invalid version or not permitted", "detail": "d"}, {}, Rejected, "http_422", None),
        (
            422,
            {"title": "Invalid input", "detail": "NSFW content detected"},
            {},
            Moderated,
            "moderated",
            None,
        ),
        (
            429,
            {"detail": "Request was throttled. Your rate limit resets in ~30s."},
            {},
            Retryable,
            "throttled",
            30,
        ),
        (429, {"detail": "Request was throttled."}, {"Retry-After": "7"}, Retryable, "throttled", 7),
        (429, {"detail": "Request was throttled."}, {}, Retryable, "throttled", None),
        (500, {}, {}, Unconfirmed, "unconfirmed", None),
        (502, {}, {}, Unconfirmed, "unconfirmed", None),
        (503, {}, {}, Unconfirmed, "unconfirmed", None),
        (504, {}, {}, Unconfirmed, "unconfirmed", None),
    ],
)
def test_a_refused_submit_is_sorted_and_the_wait_is_read(http, body, headers, error, code, wait):
    refused = Reply(http, json.dumps(body).encode(), headers=headers)
    with Loopback(lambda _: refused) as server, pytest.raises(error) as caught:
        at(server).submit(ASK, "token-1")
    assert type(caught.value) is error
    assert caught.value.code == code
    assert getattr(caught.value, "retry_after", None) == wait


@pytest.mark.parametrize("status", [201, 202])
def test_a_prediction_is_accepted_whether_or_not_it_was_waited_for(status):
    with reading({"id": "p-1", "status": "starting"}, status) as server:
        assert at(server).submit(ASK, "token-1").vendor_id == "p-1"


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "sent"), [(1000, 0), (190_000, 0), (196_608, 1), (5 << 20, 1)])
def test_a_small_picture_goes_inside_and_a_large_one_as_a_file(vendor, tmp_path, size, sent):
    ask = replace(ASK, image=picture(tmp_path, size=size))
    assert REPLICATE.open(vendor).submit(ask, "token-1").vendor_id
    assert vendor.bill()["calls"].get("files", 0) == sent


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(401, b"{}"), Misconfigured),
        (Reply(413, b"{}"), Permanent),
        (Reply(500, b"{}"), Retryable),
        (Reply(201, b"{}"), Retryable),
        (Reply(201, b"<html>"), Retryable),
        (Reply(201, b'{"urls": {}}'), Retryable),
    ],
)
def test_a_file_that_was_not_taken_means_that_nothing_was_bought(tmp_path, reply, error):
    with Loopback(lambda _: reply) as server, pytest.raises(error):
        at(server).submit(replace(ASK, image=picture(tmp_path, size=1 << 20)), "token-1")
    assert {ask.path for ask in server.asks} == {"/v1/files"}


@pytest.mark.parametrize("model", Replicate.models)
@pytest.mark.parametrize("size", [(426, 240), (720, 1280), (1920, 1080), (1080, 1350), (480, 480)])
@pytest.mark.parametrize("shown", [False, True])
def test_every_model_takes_every_frame_a_film_can_have(vendor, tmp_path, model, size, shown):
    adapter = REPLICATE.open(vendor, model=model)
    image = picture(tmp_path) if shown else None
    ask = replace(ASK, width=size[0], height=size[1], move="push in", image=image)
    if model == "kwaivgi/kling-v2.1" and not shown:
        with pytest.raises(Rejected, match="from a picture only"):
            adapter.quote(ask)
        return
    quoted = adapter.quote(ask)
    assert adapter.submit(ask, "token-1").vendor_id
    assert quoted.known is (model in ("kwaivgi/kling-v2.5-turbo-pro", "kwaivgi/kling-v2.1"))
    if quoted.known:
        assert vendor.bill()["total"] == quoted.amount


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [
        "{url}",
        ["{url}"],
        {"video": "{url}"},
        {"url": "{url}"},
        [{"video": "{url}"}],
        {"film": "{url}", "n": 1},
    ],
)
def test_the_film_is_found_in_whatever_a_model_makes(tmp_path, output):
    with Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as server:
        shaped = json.loads(json.dumps(output).replace("{url}", f"{server.url}/out.mp4"))
        at(server).fetch(Answer("p-1", AnswerState.SUCCEEDED, raw={"output": shaped}), tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").read_bytes() == b"film"
    assert server.asks[0].headers["authorization"] == f"Bearer {REPLICATE.key}", (
        "this is the vendor's own host"
    )


@pytest.mark.parametrize(
    "raw", [None, {}, {"output": None}, {"output": []}, {"output": {}}, {"output": "data:x"}]
)
def test_a_result_without_a_file_may_have_one_later(vendor, tmp_path, raw):
    with pytest.raises(Retryable, match="names no file"):
        REPLICATE.open(vendor).fetch(Answer("p-1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")


def test_a_film_that_the_vendor_deleted_is_gone(vendor, tmp_path):
    raw = {"status": "succeeded", "output": None, "data_removed": True}
    with pytest.raises(Permanent) as caught:
        REPLICATE.open(vendor).fetch(Answer("p-1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")
    assert caught.value.code == "result_gone"


def test_the_key_does_not_go_to_another_host_and_a_private_one_is_not_asked_at_all(tmp_path):
    own = VendorSettings(api_key=REPLICATE.key)
    with Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as server:
        raw = {"output": f"{server.url}/out.mp4"}
        answer = Answer("p-1", AnswerState.SUCCEEDED, raw=raw)
        open_at(Replicate, own, server.url).fetch(answer, tmp_path / "take.mp4")
        assert "authorization" not in server.asks[0].headers
    with pytest.raises(Permanent) as caught:
        open_at(Replicate, own, "http://127.0.0.1:1").fetch(answer, tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


# -- stopping --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_seconds", "word", "certain"), [(60, "canceled", True), (0, "succeeded", False)]
)
def test_only_what_had_not_begun_is_certain_to_cost_nothing(tmp_path, task_seconds, word, certain):
    vendor = VendorHere(tmp_path, task_seconds=task_seconds)
    try:
        adapter = REPLICATE.open(vendor)
        handle = Handle(adapter.submit(ASK, "token-1").vendor_id)
        assert adapter.cancel(handle) is certain
        assert adapter.poll([handle])[0].raw["status"] == word
    finally:
        vendor.close()


@pytest.mark.parametrize(
    ("reply", "stopped"),
    [
        (Reply(body=b'{"status": "canceled", "started_at": "2026-09-01T12:00:00Z"}'), False),
        (Reply(body=b'{"status": "canceled", "started_at": null}'), True),
        (Reply(body=b'{"status": "processing"}'), False),
        (Reply(body=b"<html>"), False),
        (Reply(404, b"{}"), False),
    ],
)
def test_a_stop_is_certain_only_when_the_vendor_says_that_it_had_not_begun(reply, stopped):
    with Loopback(lambda _: reply) as server:
        assert at(server).cancel(Handle("p-1")) is stopped
    assert (server.asks[0].method, server.asks[0].path) == ("POST", "/v1/predictions/p-1/cancel")


def test_a_stop_that_was_refused_says_so(vendor):
    with pytest.raises(Misconfigured):
        REPLICATE.open(vendor, key="wrong").cancel(Handle("p-1"))


# -- callbacks -------------------------------------------------------------------------------------


def test_callbacks_that_could_not_be_checked_are_not_asked_for():
    for secret in (None, SECRET):
        with reading({"id": "p-1"}) as server:
            own = VendorSettings(api_key=REPLICATE.key, webhook_secret=secret, url=server.url)
            open_at(Replicate, own, server.url, callback_url="https://x.test/news").submit(ASK, "token-1")
        assert ("webhook" in json.loads(server.asks[0].body)) is (secret is not None)


def signed_by(secret: str | None) -> Replicate:
    own = VendorSettings(api_key=REPLICATE.key, webhook_secret=secret)
    return open_at(Replicate, own, "http://127.0.0.1:1")


def test_the_worked_example_of_a_signature_is_good():
    news = signed_by(EXAMPLE).parse_callback(SIGNED, BODY, NOW)
    assert news.event_id == "msg_1"
    [answer] = news.answers
    assert (answer.vendor_id, answer.state) == ("ufawqhfynnddngldkgtslldrkq", AnswerState.SUCCEEDED)


@pytest.mark.parametrize(("changed", "body", "now"), tampered(BODY, NOW))
def test_what_the_vendor_did_not_sign_or_not_now_is_refused(changed, body, now):
    with pytest.raises(Rejected):
        signed_by(EXAMPLE).parse_callback({**SIGNED, **changed}, body, now)


def test_a_callback_cannot_be_read_without_the_accounts_secret():
    with pytest.raises(Misconfigured, match="REPLICATE_WEBHOOK_SECRET"):
        signed_by(None).parse_callback(SIGNED, BODY, NOW)


@pytest.mark.parametrize(("words", "state"), [("A fox", "succeeded"), ("fault-failed", "failed")])
def test_the_simulated_vendor_calls_back_and_its_word_is_the_polls(vendor, words, state):
    own = VendorSettings(api_key=REPLICATE.key, webhook_secret=SECRET, url=f"{vendor.url}/replicate")
    with Loopback(lambda _: Reply()) as inbox:
        adapter = open_at(Replicate, own, vendor.url, callback_url=f"{inbox.url}/callbacks/replicate")
        sent = adapter.submit(replace(ASK, prompt=f"{words} fault-callback-twice"), "token-1")
        deadline = time.monotonic() + 10
        while len(inbox.asks) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    first, again = (adapter.parse_callback(letter.headers, letter.body, time.time()) for letter in inbox.asks)
    [polled] = adapter.poll([Handle(sent.vendor_id)])
    assert first.event_id == again.event_id, "the second is a replay"
    assert [answer.state.value for answer in first.answers] == [state] == [polled.state.value]
    assert first.answers[0].code == polled.code
