"""fal's adapter: its statuses, its error types, its addresses, and the Ed25519 signature of its callbacks."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.utils import base64url_encode

from core.errors import Misconfigured, Moderated, Permanent, Rejected, Retryable, Unconfirmed
from core.settings import VendorSettings
from providers.base import Answer, AnswerState, Handle
from providers.fal import Fal
from providers.published_keys import PublishedKeys
from simulator.fal import sign
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, FAL, open_at, picture
from tests.simulated import VendorHere

# The worked example: seed bytes 0x00 to 0x1f.
PUBLIC = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
BODY = (
    b'{"request_id":"019e-req-1","gateway_request_id":"019e-req-1","status":"OK",'
    b'"payload":{"video":{"url":"https://v3.fal.media/files/a/b.mp4"}}}'
)
SIGNED = {
    "x-fal-webhook-request-id": "019e-req-1",
    "x-fal-webhook-user-id": "user_42",
    "x-fal-webhook-timestamp": "1760000000",
    "x-fal-webhook-signature": "2a1adae35aa65495758422a642b9fec9a1667d0c8691325a051c57eb33e0eae3"
    "85992723fc13dde712808ba850847404c8c974f71bae8fcc368db635e1e1bf0b",
}
NOW = 1_760_000_000.0


@pytest.fixture(autouse=True)
def _no_keys_kept(monkeypatch):
    monkeypatch.setattr("providers.fal._KEYS", PublishedKeys())


def at(server: Loopback, **more) -> Fal:
    return open_at(Fal, VendorSettings(api_key=FAL.key, url=server.url), server.url, **more)


def key_set(*publics: str) -> Reply:
    return Reply(
        body=json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x} for x in publics]}).encode()
    )


def published(*replies: Reply) -> Loopback:
    """A server of keys; the last reply is given again and again."""
    left = list(replies)
    return Loopback(lambda _: left.pop(0) if len(left) > 1 else left[0])


# -- callbacks -------------------------------------------------------------------------------------


def test_the_worked_example_of_a_signature_is_good_and_the_keys_are_fetched_once_a_day():
    with published(key_set(PUBLIC)) as server:
        news = at(server).parse_callback(SIGNED, BODY, NOW)
        at(server).parse_callback(SIGNED, BODY, NOW + 299)
        assert [ask.path for ask in server.asks] == ["/.well-known/jwks.json"]
        assert "authorization" not in server.asks[0].headers
    assert news.event_id == "019e-req-1"
    [answer] = news.answers
    assert (answer.vendor_id, answer.state) == ("019e-req-1", AnswerState.SUCCEEDED)
    assert answer.raw["result"]["video"]["url"] == "https://v3.fal.media/files/a/b.mp4"


@pytest.mark.parametrize(
    ("changed", "body", "now", "code"),
    [
        ({}, BODY + b" ", NOW, "bad_signature"),
        ({"x-fal-webhook-user-id": "user_43"}, BODY, NOW, "bad_signature"),
        ({"x-fal-webhook-request-id": "019e-req-2"}, BODY, NOW, "bad_signature"),
        ({"x-fal-webhook-timestamp": "1760000001"}, BODY, NOW, "bad_signature"),
        ({"x-fal-webhook-signature": "00" * 64}, BODY, NOW, "bad_signature"),
        ({"x-fal-webhook-signature": "no hex"}, BODY, NOW, "bad_signature"),
        ({"x-fal-webhook-signature": ""}, BODY, NOW, "unsigned"),
        ({"x-fal-webhook-request-id": ""}, BODY, NOW, "unsigned"),
        ({}, BODY, NOW + 301, "stale_callback"),
        ({}, BODY, NOW - 301, "stale_callback"),
        ({"x-fal-webhook-timestamp": "then"}, BODY, NOW, "stale_callback"),
        ({"x-fal-webhook-timestamp": "9" * 5000}, BODY, NOW, "stale_callback"),
        ({"x-fal-webhook-timestamp": ""}, BODY, NOW, "stale_callback"),
    ],
)
def test_what_the_vendor_did_not_sign_or_not_now_is_refused(changed, body, now, code):
    with published(key_set(PUBLIC)) as server, pytest.raises(Rejected) as caught:
        at(server).parse_callback({**SIGNED, **changed}, body, now)
    assert caught.value.code == code


def test_every_published_key_is_tried_and_one_that_is_no_key_is_passed_over():
    other = base64url_encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    keys = [{"x": "short"}, {"kty": "OKP"}, {"x": 7}, {"x": other}, {"x": PUBLIC}]
    with published(Reply(body=json.dumps({"keys": keys}).encode())) as server:
        assert at(server).parse_callback(SIGNED, BODY, NOW).event_id == "019e-req-1"


def test_keys_that_were_changed_are_fetched_anew_and_forgers_cannot_have_them_fetched_without_end():
    old = base64url_encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    with published(key_set(old), key_set(PUBLIC)) as server:
        with pytest.raises(Rejected):
            at(server).parse_callback(SIGNED, BODY, NOW)
        with pytest.raises(Rejected):
            at(server).parse_callback(SIGNED, BODY, NOW + 200)
        assert len(server.asks) == 1
        later = {name.lower(): value for name, value in sign("019e-req-1", BODY, NOW + 400).items()}
        assert at(server).parse_callback(later, BODY, NOW + 400).answers
        assert len(server.asks) == 2


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(404), Reply(body=b"{}"), Reply(body=b'{"keys": []}'), Reply()]
)
def test_without_the_vendors_keys_nobody_can_tell_and_the_callback_may_come_again(reply):
    with published(reply) as server:
        for later in range(0, 10, 2):
            with pytest.raises(Retryable):
                at(server).parse_callback(SIGNED, BODY, NOW + later)
        assert len(server.asks) == 1, "a flood of them has it asked once"
        with pytest.raises(Retryable):
            at(server).parse_callback(SIGNED, BODY, NOW + 10)
        assert len(server.asks) == 2


@pytest.mark.parametrize(
    ("body", "state", "code", "said"),
    [
        (
            {
                "status": "ERROR",
                "error": "Invalid status code: 422",
                "payload": {
                    "detail": [{"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}]
                },
            },
            AnswerState.FAILED,
            "moderated",
            "content_policy_violation: body.prompt: no",
        ),
        (
            {"status": "ERROR", "error": "Invalid status code: 500", "payload": None},
            AnswerState.FAILED,
            "vendor_failed",
            "Invalid status code: 500",
        ),
        (
            {"status": "ERROR", "payload": {"detail": "gone", "error_type": "client_cancelled"}},
            AnswerState.FAILED,
            "cancelled",
            "client_cancelled: gone",
        ),
        ({"status": "OK", "payload": None, "payload_error": "not serialisable"}, None, "", ""),
        ({"status": "SOMETHING"}, None, "", ""),
        ({}, None, "", ""),
    ],
)
def test_a_callback_says_what_became_of_it_or_that_there_is_something_to_ask(body, state, code, said):
    raw = json.dumps({"request_id": "r-1", **body}).encode()
    headers = {name.lower(): value for name, value in sign("r-1", raw, NOW).items()}
    with published(key_set(PUBLIC)) as server:
        news = at(server).parse_callback(headers, raw, NOW)
    if state is None:
        assert (news.answers, news.ask) == ((), ("r-1",))
    else:
        [answer] = news.answers
        assert (answer.vendor_id, answer.state, answer.code, answer.error) == ("r-1", state, code, said)


@pytest.mark.parametrize(("words", "state"), [("A fox", "succeeded"), ("fault-failed", "failed")])
def test_the_simulated_vendor_calls_back_and_its_word_is_the_polls(vendor, words, state):
    with Loopback(lambda _: Reply()) as inbox:
        adapter = FAL.open(vendor, callback_url=f"{inbox.url}/api/v1/callbacks/fal?a=b&c=d")
        sent = adapter.submit(replace(ASK, prompt=words), "token-1")
        deadline = time.monotonic() + 10
        while not inbox.asks:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    letter = inbox.asks[0]
    assert (letter.path, letter.query) == ("/api/v1/callbacks/fal", {"a": "b", "c": "d"})
    news = adapter.parse_callback(letter.headers, letter.body, time.time())
    [polled] = adapter.poll([Handle(sent.vendor_id, sent.receipt)])
    assert [answer.state.value for answer in news.answers] == [state] == [polled.state.value]
    assert news.answers[0].code == polled.code


# -- polling ---------------------------------------------------------------------------------------


def queue(status: Reply, result: Reply) -> Loopback:
    return Loopback(lambda ask: status if ask.path.endswith("/status") else result)


def reply(status: int, body: object, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), headers=named)


FILM = {"video": {"url": "https://v3.fal.media/files/a/b.mp4", "content_type": "video/mp4"}}


@pytest.mark.parametrize(
    ("http", "body", "state"),
    [
        (202, {"status": "IN_QUEUE", "queue_position": 2}, AnswerState.RUNNING),
        (200, {"status": "IN_QUEUE"}, AnswerState.RUNNING),
        (202, {"status": "IN_PROGRESS", "logs": [{"message": "..."}]}, AnswerState.RUNNING),
        (202, {"status": "DAYDREAMING"}, AnswerState.RUNNING),
        (200, {"status": "COMPLETED", "metrics": {"inference_time": 41.2}}, AnswerState.SUCCEEDED),
        (202, {"status": "COMPLETED"}, AnswerState.SUCCEEDED),
        (200, {"status": "COMPLETED", "error": "Request failed"}, AnswerState.FAILED),
    ],
)
def test_every_word_of_the_queue_is_read_whatever_the_http_status(http, body, state):
    with queue(reply(http, body), reply(200, FILM)) as server:
        [answer] = at(server).poll([Handle("r-1")])
    assert answer.state is state


ERROR_TYPES = [
    ("request_timeout", 504, "vendor_failed"),
    ("startup_timeout", 504, "vendor_failed"),
    ("runner_scheduling_failure", 503, "vendor_failed"),
    ("runner_connection_timeout", 503, "vendor_failed"),
    ("runner_disconnected", 503, "vendor_failed"),
    ("runner_connection_refused", 503, "vendor_failed"),
    ("runner_connection_error", 503, "vendor_failed"),
    ("runner_incomplete_response", 502, "vendor_failed"),
    ("runner_server_error", 500, "vendor_failed"),
    ("internal_error", 500, "vendor_failed"),
    ("generation_timeout", 504, "vendor_failed"),
    ("downstream_service_error", 400, "vendor_failed"),
    ("downstream_service_unavailable", 503, "vendor_failed"),
    ("content_policy_violation", 422, "moderated"),
    ("file_download_error", 422, "vendor_failed"),
    ("image_too_large", 422, "vendor_failed"),
    ("string_too_long_validation", 422, "vendor_failed"),
    ("bad_request", 400, "vendor_failed"),
    ("client_disconnected", 499, "cancelled"),
    ("client_cancelled", 499, "cancelled"),
]


@pytest.mark.parametrize(("kind", "http", "code"), ERROR_TYPES)
@pytest.mark.parametrize("shape", ["status", "header", "request", "model"])
def test_a_completed_request_that_failed_is_told_by_any_of_its_signs(kind, http, code, shape):
    done = {"status": "COMPLETED", "request_id": "r-1"}
    status = reply(
        200, {**done, "error": "Request failed", "error_type": kind} if shape == "status" else done
    )
    result = {
        "status": reply(http, {"detail": "told"}),
        "header": reply(http, {"detail": "told"}, X_Fal_Error_Type=kind),
        "request": reply(http, {"detail": "told", "error_type": kind}),
        "model": reply(http, {"detail": [{"loc": ["body", "prompt"], "msg": "told", "type": kind}]}),
    }[shape]
    with queue(status, result) as server:
        [answer] = at(server).poll([Handle("r-1")])
    assert (answer.state, answer.code) == (AnswerState.FAILED, code)
    assert kind in answer.error
    assert "told" in answer.error


@pytest.mark.parametrize("http", [502, 503, 504, 429, 408])
def test_a_gateway_between_us_says_nothing_about_the_film(http):
    done = reply(200, {"status": "COMPLETED"})
    with queue(done, Reply(http, b"<html>nginx</html>")) as server, pytest.raises(Retryable):
        at(server).poll([Handle("r-1")])


@pytest.mark.parametrize(
    "result",
    [
        {"video": {"url": "http://127.0.0.1:1/x.mp4"}},
        {"video": "http://127.0.0.1:1/x.mp4"},
        {"videos": [{"url": "http://127.0.0.1:1/x.mp4"}]},
    ],
)
def test_a_result_link_that_leads_into_a_private_network_is_not_followed(vendor, tmp_path, result):
    answer = Answer("r-1", AnswerState.SUCCEEDED, raw={"result": result})
    with pytest.raises(Permanent) as caught:
        FAL.open(vendor).fetch(answer, tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


@pytest.mark.parametrize(
    "raw", [None, [], {}, {"result": []}, {"result": {"video": {}}}, {"result": {"videos": []}}]
)
def test_a_result_without_a_file_may_have_one_later(vendor, tmp_path, raw):
    with pytest.raises(Retryable, match="names no file"):
        FAL.open(vendor).fetch(Answer("r-1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")


def test_the_key_does_not_go_with_a_download(tmp_path):
    with Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as server:
        raw = {"result": {"video": {"url": f"{server.url}/b.mp4"}}}
        at(server).fetch(Answer("r-1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")
    assert "authorization" not in server.asks[0].headers


# -- addresses -------------------------------------------------------------------------------------


def test_the_addresses_of_the_answer_are_asked_and_they_lack_the_models_path(vendor):
    adapter = FAL.open(vendor)
    sent = adapter.submit(ASK, "token-1")
    base = f"{vendor.url}/fal/fal-ai/kling-video/requests/{sent.vendor_id}"
    assert sent.receipt == {
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
    }
    assert adapter.poll([Handle(sent.vendor_id, sent.receipt)])[0].state is AnswerState.SUCCEEDED
    assert adapter.poll([Handle(sent.vendor_id, {}, adapter.model)])[0].state is AnswerState.SUCCEEDED


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("fal-ai/kling-video/v3/pro/text-to-video", "/fal-ai/kling-video/requests/r-1/status"),
        ("fal-ai/veo3.1", "/fal-ai/veo3.1/requests/r-1/status"),
        ("workflows/me/film/v2", "/workflows/me/film/requests/r-1/status"),
        ("comfy/me/film", "/comfy/me/film/requests/r-1/status"),
    ],
)
@pytest.mark.parametrize("told", ["https://evil.test/x/status", "http://queue.fal.run/x/status", "", 7])
def test_the_key_goes_nowhere_but_to_fal_whatever_an_answer_said(model, path, told):
    with Loopback(lambda _: reply(202, {"status": "IN_QUEUE"})) as server:
        at(server).poll([Handle("r-1", {"status_url": told}, model)])
    assert [ask.path for ask in server.asks] == [path]


# -- submitting and cancelling -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "body", "headers", "error", "code"),
    [
        (400, {"detail": "bad", "error_type": "bad_request"}, {}, Rejected, "fal_bad_request"),
        (401, {"detail": "who?"}, {}, Misconfigured, "http_401"),
        (403, {"detail": "locked"}, {}, Misconfigured, "http_403"),
        (404, {"detail": "no such app"}, {}, Misconfigured, "http_404"),
        (408, {}, {}, Unconfirmed, "unconfirmed"),
        (409, {}, {}, Retryable, "http_409"),
        (409, {}, {"X-Fal-Retryable": "false"}, Permanent, "http_409"),
        (422, {"detail": [{"type": "image_too_large", "msg": "m"}]}, {}, Rejected, "fal_image_too_large"),
        (422, {"detail": [{"type": "content_policy_violation"}]}, {}, Moderated, "moderated"),
        (422, {"detail": "x"}, {"X-Fal-Error-Type": "content_policy_violation"}, Moderated, "moderated"),
        (422, {"detail": "x"}, {"X-Fal-Retryable": "true"}, Retryable, "http_422"),
        (429, {"detail": "slow"}, {}, Retryable, "throttled"),
        (429, {"detail": "never"}, {"X-Fal-Retryable": "false"}, Permanent, "http_429"),
        (499, {"error_type": "client_cancelled"}, {}, Permanent, "fal_client_cancelled"),
        (500, {"error_type": "internal_error"}, {}, Unconfirmed, "unconfirmed"),
        (503, {"error_type": "runner_disconnected"}, {"X-Fal-Retryable": "true"}, Unconfirmed, "unconfirmed"),
        (504, {"error_type": "request_timeout"}, {"X-Fal-Retryable": "false"}, Unconfirmed, "unconfirmed"),
    ],
)
def test_a_refused_submit_is_sorted_by_the_vendors_words(http, body, headers, error, code):
    refused = Reply(http, json.dumps(body).encode(), headers=headers)
    with Loopback(lambda _: refused) as server, pytest.raises(error) as caught:
        at(server).submit(ASK, "token-1")
    assert type(caught.value) is error
    assert caught.value.code == code


@pytest.mark.parametrize("model", [model for model in Fal.models if "sora" not in model])
@pytest.mark.parametrize("size", [(426, 240), (720, 1280), (3840, 2160), (1080, 1350), (480, 480)])
@pytest.mark.parametrize("shown", [False, True])
def test_every_model_takes_every_frame_a_film_can_have(vendor, tmp_path, model, size, shown):
    adapter = FAL.open(vendor, model=model)
    ask = replace(
        ASK, width=size[0], height=size[1], move="push in", image=picture(tmp_path) if shown else None
    )
    assert adapter.submit(ask, "token-1").vendor_id
    [task] = vendor.bill()["tasks"]
    assert task["prompt"] == "A fox in the snow. Camera: push in."
    assert task["charged"] == adapter.quote(ask).amount


def test_a_model_that_its_maker_shut_down_is_refused_naming_another(vendor):
    with pytest.raises(Rejected, match=r"2026-09-24.*kling-video/v3/pro") as caught:
        FAL.open(vendor, model="fal-ai/sora-2/text-to-video").quote(ASK)
    assert caught.value.code == "retired"


def test_what_is_stopped_in_time_ends_cancelled_and_is_not_charged(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        adapter = FAL.open(vendor)
        sent = adapter.submit(ASK, "token-1")
        handle = Handle(sent.vendor_id, sent.receipt)
        assert adapter.cancel(handle) is False, "fal has taken note, no more"
        [answer] = adapter.poll([handle])
        assert (answer.state, answer.code) == (AnswerState.FAILED, "cancelled")
        assert adapter.cancel(handle) is False, "it has ended already"
        assert adapter.cancel(Handle("nobody", {}, adapter.model)) is False
        assert vendor.bill()["total"] == 0
    finally:
        vendor.close()


def test_a_stop_that_was_refused_says_so(vendor):
    sent = FAL.open(vendor).submit(ASK, "token-1")
    with pytest.raises(Misconfigured):
        FAL.open(vendor, key="wrong").cancel(Handle(sent.vendor_id, sent.receipt))
