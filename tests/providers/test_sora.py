"""The adapter of OpenAI's video API: off at OpenAI itself, at home at a relay; statuses, errors and events."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date

import pytest
import requests

from core.errors import Misconfigured, Moderated, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from providers.base import Answer, AnswerState, Context, Handle
from providers.sora import Sora
from simulator.webhooks import SECRET, sign_standard
from tests.loopback import Loopback, Reply
from tests.providers.shops import SORA, open_at, picture, tampered

ASK = SORA.request
# The worked example.
EXAMPLE = "whsec_ZXhhbXBsZS1zaWduaW5nLWtleS0zMi1ieXRlcy1sb25n"
SIGNED = {
    "webhook-id": "wh_685342e6c53c8190a1be43f081506c52",
    "webhook-timestamp": "1760000000",
    "webhook-signature": "v1,3WP5FdqIugagy4CwvVBLL8BX3aAcMAh3Kv5G0YyF4Rg=",
}
BODY = (
    b'{"id":"evt_1","object":"event","created_at":1760000000,"type":"video.completed",'
    b'"data":{"id":"video_123"}}'
)
NOW = 1_760_000_000.0


def at(server: Loopback, **more) -> Sora:
    return open_at(Sora, VendorSettings(api_key=SORA.key, url=server.url), server.url, **more)


def reading(video: object, status: int = 200, **headers: str) -> Loopback:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Loopback(lambda _: Reply(status, json.dumps(video).encode(), headers=named))


# -- OpenAI, and relays ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", [None, "https://api.openai.com", "https://api.openai.com/v1", "https://eu.api.openai.com"]
)
@pytest.mark.parametrize("model", [None, "sora-2", "sora-2-pro"])
def test_openai_itself_is_refused_before_anything_is_held_or_sent(url, model):
    own = VendorSettings(api_key="sk-any", url=url, model=model)
    assert "2026-09-24" in Sora.usable(own)
    assert "SORA_URL" in Sora.usable(own)
    http = HttpClient(offline=True)  # whoever asks the network here fails otherwise
    adapter = Sora(Context(http, Settings(), own=own, today=date(2026, 9, 24)))
    for call in (lambda: adapter.quote(ASK), lambda: adapter.submit(ASK, "token-1")):
        with pytest.raises(Rejected, match="retired") as caught:
            call()
        assert (caught.value.code, caught.value.field) == ("retired", "model")


def test_a_host_that_only_sounds_like_openai_is_a_relay():
    for url in ("https://notopenai.com", "https://openai.com.relay.test", "http://127.0.0.1:8090/sora"):
        assert Sora.usable(VendorSettings(api_key="k", url=url)) is None


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_a_relay_is_named_with_or_without_its_version(ending):
    with reading({"id": "video_1", "status": "queued"}) as server:
        own = VendorSettings(api_key=SORA.key, url=server.url + ending)
        open_at(Sora, own, server.url).submit(ASK, "token-1")
    assert server.asks[0].path == "/v1/videos"


def test_a_relays_price_is_its_own_and_not_known_here(vendor):
    quoted = SORA.open(vendor).quote(ASK)
    assert (quoted.amount, quoted.known) == (4 * 100_000, False)
    assert "relay" in quoted.basis
    other = SORA.open(vendor, model="veo-9-preview").quote(ASK)
    assert (other.amount, other.known) == (0, False)


def test_a_relay_may_have_models_that_openai_never_had():
    with reading({"id": "video_1"}) as server:
        at(server, model="veo-9-preview").submit(ASK, "token-1")
    assert b'name="model"\r\n\r\nveo-9-preview\r\n' in server.asks[0].body
    assert (
        Sora.usable(VendorSettings(api_key="k", url="https://relay.example", model="veo-9-preview")) is None
    )


# -- polling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        ({"status": "queued", "progress": 0}, AnswerState.RUNNING, "vendor_failed"),
        ({"status": "in_progress", "progress": 33}, AnswerState.RUNNING, "vendor_failed"),
        ({"status": "pondering"}, AnswerState.RUNNING, "vendor_failed"),
        ({"status": "completed", "progress": 100}, AnswerState.SUCCEEDED, "vendor_failed"),
        (
            {"status": "failed", "error": {"code": "moderation_blocked", "message": "m"}},
            AnswerState.FAILED,
            "moderated",
        ),
        (
            {"status": "failed", "error": {"code": "content_policy_violation"}},
            AnswerState.FAILED,
            "moderated",
        ),
        (
            {"status": "failed", "error": {"code": "video_generation_failed"}},
            AnswerState.FAILED,
            "vendor_failed",
        ),
        ({"status": "failed", "error": "no reason"}, AnswerState.FAILED, "vendor_failed"),
        ({"status": "failed", "error": None}, AnswerState.FAILED, "vendor_failed"),
        ({"status": "failed", "error": ["odd"]}, AnswerState.FAILED, "vendor_failed"),
        ({"status": "expired"}, AnswerState.FAILED, "vendor_failed"),
    ],
)
def test_every_status_of_a_video_is_read(said, state, code):
    with reading({"id": "video_123", "object": "video", **said}) as server:
        [answer] = at(server).poll([Handle("video_123")])
    assert server.asks[0].path == "/v1/videos/video_123"
    assert (answer.state, answer.code) == (state, code)
    assert answer.progress == (said["progress"] / 100 if "progress" in said else None)
    assert (answer.error is not None) is (state is AnswerState.FAILED)


def error(code: str | None, kind: str = "invalid_request_error") -> dict:
    return {"error": {"message": "told", "type": kind, "param": "seconds", "code": code}}


@pytest.mark.parametrize(
    ("http", "body", "headers", "raised", "code", "wait"),
    [
        (400, error(None), {}, Rejected, "sora_invalid_request_error", None),
        (400, error("moderation_blocked"), {}, Moderated, "moderated", None),
        (401, error("invalid_api_key"), {}, Misconfigured, "sora_invalid_api_key", None),
        (403, error(None), {}, Misconfigured, "sora_invalid_request_error", None),
        (404, error(None), {}, Misconfigured, "sora_invalid_request_error", None),
        (408, {}, {}, Unconfirmed, "unconfirmed", None),
        (409, {}, {}, Retryable, "http_409", None),
        (409, {}, {"x-should-retry": "false"}, Permanent, "http_409", None),
        (422, error(None), {}, Rejected, "sora_invalid_request_error", None),
        (422, error(None), {"x-should-retry": "true"}, Retryable, "sora_invalid_request_error", None),
        (429, error("rate_limit_exceeded"), {"retry-after-ms": "2500"}, Retryable, "throttled", 2.5),
        (429, error("rate_limit_exceeded"), {"retry-after": "7"}, Retryable, "throttled", 7),
        (
            429,
            error("rate_limit_exceeded"),
            {"x-should-retry": "false"},
            Permanent,
            "sora_rate_limit_exceeded",
            None,
        ),
        (
            429,
            error("insufficient_quota"),
            {"retry-after": "7"},
            Misconfigured,
            "sora_insufficient_quota",
            None,
        ),
        (500, {}, {}, Unconfirmed, "unconfirmed", None),
        (500, {}, {"x-should-retry": "true"}, Unconfirmed, "unconfirmed", None),
        (503, {}, {"x-should-retry": "false"}, Unconfirmed, "unconfirmed", None),
        (400, {"error": "a relay's own words"}, {}, Rejected, "http_400", None),
    ],
)
def test_a_refused_submit_is_sorted_by_the_vendors_words(http, body, headers, raised, code, wait):
    refused = Reply(http, json.dumps(body).encode(), headers=headers)
    with Loopback(lambda _: refused) as server, pytest.raises(raised) as caught:
        at(server).submit(ASK, "token-1")
    assert type(caught.value) is raised
    assert caught.value.code == code
    assert getattr(caught.value, "retry_after", None) == wait


@pytest.mark.parametrize(("verdict", "raised"), [("true", Retryable), ("false", Permanent), ("", Retryable)])
def test_a_read_that_failed_is_tried_again_unless_the_vendor_says_not_to(verdict, raised):
    with reading({}, 500, x_should_retry=verdict) as server, pytest.raises(PipelineError) as caught:
        at(server).poll([Handle("video_1")])
    assert type(caught.value) is raised


# -- pictures and results ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["sora-2", "sora-2-pro"])
@pytest.mark.parametrize("size", [(426, 240), (720, 1280), (1920, 1080), (1080, 1350), (480, 480)])
@pytest.mark.parametrize("frames", [24, 24 * 4, 24 * 5, 24 * 12])
def test_every_model_takes_every_frame_a_film_can_have(vendor, model, size, frames):
    adapter = SORA.open(vendor, model=model)
    ask = replace(ASK, width=size[0], height=size[1], frames=frames, move="push in")
    [answer] = adapter.poll([Handle(adapter.submit(ask, "token-1").vendor_id)])
    assert answer.state is AnswerState.SUCCEEDED
    assert vendor.bill()["total"] == adapter.quote(ask).amount
    assert vendor.bill()["tasks"][0]["prompt"].endswith("Camera: push in.")


def test_a_picture_of_other_pixels_than_the_film_is_refused_with_those_it_should_have(vendor, tmp_path):
    adapter = SORA.open(vendor)
    for call in (adapter.quote, lambda ask: adapter.submit(ask, "token-1")):
        with pytest.raises(Rejected, match="1280x720; this one has 1280x721") as caught:
            call(replace(ASK, image=picture(tmp_path, pixels=(1280, 721))))
        assert (caught.value.code, caught.value.field) == ("wrong_size", "reference")
    assert "submits" not in vendor.bill()["calls"]


def test_a_picture_that_cannot_be_read_is_refused(vendor, tmp_path):
    (tmp_path / "torn").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(Rejected, match="cannot be read"):
        SORA.open(vendor).quote(replace(ASK, image=tmp_path / "torn"))


def test_the_film_is_read_with_the_key_from_the_relay_alone(tmp_path):
    def answer(ask):
        return (
            Reply(302, headers={"Location": f"{elsewhere.url}/film"}) if "videos" in ask.path else Reply(404)
        )

    with Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as elsewhere, Loopback(answer) as server:
        http = HttpClient(allow=[server.host, elsewhere.host], retry_for=0)
        own = VendorSettings(api_key=SORA.key, url=server.url)
        adapter = Sora(Context(http, Settings(), own=own))
        adapter.fetch(Answer("video_1", AnswerState.SUCCEEDED), tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").read_bytes() == b"film"
    assert server.asks[0].path == "/v1/videos/video_1/content"
    assert server.asks[0].headers["authorization"] == f"Bearer {SORA.key}"
    assert "authorization" not in elsewhere.asks[0].headers


def test_a_film_that_is_read_through_a_private_network_is_not_followed(tmp_path):
    away = Reply(302, headers={"Location": "http://127.0.0.1:1/film"})
    with Loopback(lambda _: away) as server, pytest.raises(Permanent) as caught:
        at(server).fetch(Answer("video_1", AnswerState.SUCCEEDED), tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


def test_there_is_no_stopping(vendor):
    adapter = SORA.open(vendor)
    assert adapter.cancel(Handle(adapter.submit(ASK, "token-1").vendor_id)) is False


def test_two_of_the_same_words_look_alike_in_the_list_which_therefore_settles_nothing(vendor):
    adapter = SORA.open(vendor)
    ids = [adapter.submit(ASK, token).vendor_id for token in ("token-1", "token-2")]
    listed = requests.get(
        f"{vendor.url}/sora/v1/videos", headers={"Authorization": "Bearer k"}, timeout=5
    ).json()
    first, second = (
        {**video, "id": "", "created_at": 0, "completed_at": 0, "expires_at": 0} for video in listed["data"]
    )
    assert {video["id"] for video in listed["data"]} == set(ids)
    assert first == second
    assert (adapter.can_look_up, adapter.lookup("token-1")) == (False, None)


# -- callbacks -------------------------------------------------------------------------------------


def signed_by(secret: str | None, url: str = "https://relay.example") -> Sora:
    own = VendorSettings(api_key=SORA.key, webhook_secret=secret, url=url)
    return open_at(Sora, own, "http://127.0.0.1:1")


def test_the_worked_example_of_a_signature_is_good_and_says_what_to_ask_for():
    news = signed_by(EXAMPLE).parse_callback(SIGNED, BODY, NOW)
    assert (news.event_id, news.answers, news.ask) == (SIGNED["webhook-id"], (), ("video_123",))


@pytest.mark.parametrize(("changed", "body", "now"), tampered(BODY, NOW))
def test_what_the_vendor_did_not_sign_or_not_now_is_refused(changed, body, now):
    with pytest.raises(Rejected):
        signed_by(EXAMPLE).parse_callback({**SIGNED, **changed}, body, now)


def test_a_callback_cannot_be_read_without_a_secret():
    with pytest.raises(Misconfigured, match="SORA_WEBHOOK_SECRET"):
        signed_by(None).parse_callback(SIGNED, BODY, NOW)


def test_events_of_the_simulated_relay_name_what_is_to_be_asked_for(vendor):
    adapter = SORA.open(vendor)
    with Loopback(lambda _: Reply()) as inbox:
        requests.post(f"{vendor.url}/sora/_dashboard", json={"webhook": f"{inbox.url}/news"}, timeout=5)
        ids = [
            adapter.submit(replace(ASK, prompt=words), words).vendor_id for words in ("A fox", "fault-failed")
        ]
        deadline = time.monotonic() + 10
        while len(inbox.asks) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    letters = sorted(inbox.asks, key=lambda letter: letter.headers["webhook-id"])
    assert [json.loads(letter.body)["type"] for letter in letters] == ["video.completed", "video.failed"]
    news = [signed_by(SECRET).parse_callback(letter.headers, letter.body, time.time()) for letter in letters]
    assert [one.ask for one in news] == [(vendor_id,) for vendor_id in ids]
    assert len({one.event_id for one in news}) == 2


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.completed", "data": {"id": "r"}},
        {"type": "video.completed"},
        {},
        [],
        {"type": "video.failed", "data": {}},
    ],
)
def test_other_events_are_heard_and_mean_nothing(event):
    body = json.dumps(event).encode()
    news = signed_by(SECRET).parse_callback(sign_standard("wh_9", body, NOW), body, NOW)
    assert (news.event_id, news.answers, news.ask) == ("wh_9", (), ())
