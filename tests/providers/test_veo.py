"""Veo in both its homes: what an operation says, what is asked for, and where its films and keys go."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import date

import pytest

from core.errors import Misconfigured, Moderated, Permanent, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from media.probe import probe
from providers.base import Answer, AnswerState, Context, Handle
from providers.veo import Veo
from providers.veo_vertex import VeoVertex
from tests.loopback import Loopback, Reply
from tests.providers.reference import picture, wait_for
from tests.providers.shops import ASK, VEO, VEO_VERTEX, open_at

OPERATION = "models/veo-3.1-generate-preview/operations/abc123"
SAMPLE = {"video": {"uri": "https://generativelanguage.googleapis.com/v1beta/files/xyz:download?alt=media"}}
FILTERED = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["… Support codes: 29310472"]}


def gemini(**inner):
    return {"generateVideoResponse": inner}


def at(server, shop=VEO, **more):
    return open_at(shop.adapter, shop.own(server.url), server.url, **more)


def says(body, status=200, **headers):
    return lambda _: Reply(status, json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize("shop", [VEO, VEO_VERTEX], ids=["gemini", "vertex"])
@pytest.mark.parametrize(
    ("operation", "state", "code"),
    [
        ({"name": OPERATION}, AnswerState.RUNNING, ""),
        ({"name": OPERATION, "done": False}, AnswerState.RUNNING, ""),
        ({"name": OPERATION, "done": "perhaps"}, AnswerState.RUNNING, ""),
        ({"done": True, "response": gemini(generatedSamples=[SAMPLE])}, AnswerState.SUCCEEDED, ""),
        ({"done": True, "response": {"videos": [{"bytesBase64Encoded": "AAAA"}]}}, AnswerState.SUCCEEDED, ""),
        ({"done": True, "response": gemini(**FILTERED)}, AnswerState.FAILED, "moderated"),
        ({"done": True, "response": FILTERED}, AnswerState.FAILED, "moderated"),
        ({"done": True, "response": {"videos": []}}, AnswerState.FAILED, "vendor_failed"),
        ({"done": True, "response": {"videos": "?"}}, AnswerState.FAILED, "vendor_failed"),
        ({"done": True}, AnswerState.FAILED, "vendor_failed"),
        *[
            (
                {"done": True, "error": {"code": code, "message": "it ended"}},
                AnswerState.FAILED,
                "vendor_failed",
            )
            for code in (3, 4, 7, 8, 13, 14, 16)
        ],
        (
            {"done": True, "error": {"code": 3, "message": "violates our policies"}},
            AnswerState.FAILED,
            "moderated",
        ),
    ],
)
def test_an_operation_is_over_when_it_is_done_and_made_when_it_has_a_film(shop, operation, state, code):
    with Loopback(says(operation)) as server:
        [answer] = at(server, shop).poll([Handle("abc123", {"operation": OPERATION})])
    assert (answer.vendor_id, answer.state) == ("abc123", state)
    if state is AnswerState.FAILED:
        assert answer.error
        assert answer.code == code
        number = operation.get("error", {}).get("code")
        assert number is None or str(number) in answer.error


ERRORS = [
    (400, "INVALID_ARGUMENT", "durationSeconds is out of bound", [], Rejected, Rejected),
    (
        400,
        "INVALID_ARGUMENT",
        "API key not valid.",
        [{"reason": "API_KEY_INVALID"}],
        Misconfigured,
        Misconfigured,
    ),
    (400, "FAILED_PRECONDITION", "not available in your country", [], Misconfigured, Misconfigured),
    (400, "INVALID_ARGUMENT", "violates the safety policies", [], Moderated, Moderated),
    (401, "UNAUTHENTICATED", "no credentials", [], Misconfigured, Misconfigured),
    (402, "", "Your prepayment credits are depleted", [], Misconfigured, Misconfigured),
    (403, "PERMISSION_DENIED", "no", [], Misconfigured, Misconfigured),
    (429, "RESOURCE_EXHAUSTED", "check quota", [], Retryable, Retryable),
    (429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per day", [], Misconfigured, Misconfigured),
    (429, "RESOURCE_EXHAUSTED", "You have reached your spend limit", [], Misconfigured, Misconfigured),
    (500, "INTERNAL", "oops", [], Unconfirmed, Retryable),
    (503, "UNAVAILABLE", "overloaded", [], Unconfirmed, Retryable),
    (504, "DEADLINE_EXCEEDED", "slow", [], Unconfirmed, Retryable),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["object", "list"])
@pytest.mark.parametrize(("status", "word", "said", "details", "submitted", "polled"), ERRORS)
def test_every_error_is_sorted_by_what_to_do(status, word, said, details, submitted, polled, wrapped):
    body = {"error": {"code": status, "message": said, "status": word, "details": details}}
    with Loopback(says([body] if wrapped else body, status)) as server:
        veo = at(server)
        for error, call in (
            (submitted, lambda: veo.submit(ASK, "t")),
            (polled, lambda: veo.poll([Handle("1")])),
        ):
            with pytest.raises(error) as caught:
                call()
            assert type(caught.value) is error
            assert VEO.key not in caught.value.message


@pytest.mark.parametrize(
    ("headers", "details", "wait"),
    [
        ({}, [], None),
        ({"Retry-After": "7"}, [], 7.0),
        ({}, [{"@type": "…/google.rpc.RetryInfo", "retryDelay": "2.5s"}], 2.5),
        ({}, [{"retryDelay": "soon"}, "?"], None),
    ],
)
def test_the_vendors_wish_to_wait_is_heard(headers, details, wait):
    body = {"error": {"code": 429, "message": "check quota", "details": details}}
    with Loopback(says(body, 429, **headers)) as server, pytest.raises(Retryable) as caught:
        at(server).submit(ASK, "t")
    assert caught.value.retry_after == wait


def test_an_operation_that_is_not_found_has_run_out_and_a_page_that_is_not_found_says_nothing():
    body = {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}}
    with Loopback(says(body, 404)) as server:
        assert at(server).poll([Handle("1")])[0].state is AnswerState.FAILED
        with pytest.raises(Misconfigured):
            at(server).submit(ASK, "t")
    with Loopback(lambda _: Reply(404, b"<html>")) as server, pytest.raises(Misconfigured):
        at(server).poll([Handle("1")])


@pytest.mark.parametrize("shop", [VEO, VEO_VERTEX], ids=["gemini", "vertex"])
@pytest.mark.parametrize(
    ("size", "frames", "resolution", "ratio", "seconds"),
    [
        ((426, 240), 72, "720p", "16:9", 4),
        ((1280, 720), 24 * 5, "720p", "16:9", 6),
        ((720, 1280), 24 * 8, "720p", "9:16", 8),
        ((1920, 1080), 24 * 3, "1080p", "16:9", 8),
    ],
)
def test_a_large_film_takes_eight_seconds(shop, size, frames, resolution, ratio, seconds):
    ask = replace(ASK, width=size[0], height=size[1], frames=frames)
    with Loopback(says({"name": OPERATION})) as server:
        veo = at(server, shop)
        assert veo.submit(ask, "t").receipt == {"operation": OPERATION}
        assert veo.quote(ask).amount == seconds * veo.table.find(veo.model).price.amounts[resolution]
    parameters = json.loads(server.asks[0].body)["parameters"]
    assert (parameters["resolution"], parameters["aspectRatio"], parameters["durationSeconds"]) == (
        resolution,
        ratio,
        seconds,
    )


def test_a_picture_is_sent_as_the_vendors_client_sends_it_and_refused_where_it_is_no_png_or_jpeg(tmp_path):
    image = picture(tmp_path)
    with Loopback(says({"name": OPERATION})) as server:
        at(server).submit(replace(ASK, image=image), "t")
        with pytest.raises(Rejected, match="image/png") as caught:
            at(server).quote(replace(ASK, image=picture(tmp_path, kind="WEBP")))
        assert caught.value.field == "reference"
    assert json.loads(server.asks[0].body)["instances"] == [
        {
            "prompt": ASK.prompt,
            "image": {
                "bytesBase64Encoded": base64.b64encode(picture(tmp_path).read_bytes()).decode(),
                "mimeType": "image/png",
            },
        }
    ]


# -- retired here, kept elsewhere --------------------------------------------------------------------


def home(adapter, today, **own):
    http = HttpClient(retry_for=0)
    return adapter(Context(http, Settings(), own=VendorSettings(api_key="k", **own), today=today))


@pytest.mark.parametrize("model", Veo.models)
def test_the_vendors_own_models_are_refused_since_the_day_they_ended(model):
    ended = Veo.table.find(model).retires_at
    before = home(Veo, date.fromordinal(ended.toordinal() - 1), model=model).quote(ASK)
    assert before.known is (model != "veo-3.0-generate-001")
    with pytest.raises(Rejected, match=r"Use gemini-omni-1.1-flash of gemini_omni") as caught:
        home(Veo, ended, model=model).quote(ASK)
    assert caught.value.code == "retired"


def test_a_relay_may_still_have_them_at_a_price_that_nobody_knows():
    quote = home(Veo, date(2026, 11, 21), url="https://relay.example").quote(ASK)
    assert (quote.known, "relay" in quote.basis) == (False, True)


def test_it_is_off_until_a_relay_is_named():
    assert "gemini_omni" in Veo.usable(VendorSettings(api_key="k"))
    assert Veo.usable(VendorSettings(api_key="k", url="https://relay.example")) is None


def test_vertex_is_asked_until_it_says_no_and_lives_where_its_region_is():
    assert home(VeoVertex, date(2026, 11, 21), project="p").quote(ASK).known
    assert "VEO_VERTEX_PROJECT" in VeoVertex.usable(VendorSettings(api_key="k"))
    today = date(2026, 11, 21)
    for region, host in (
        (None, "us-central1-aiplatform"),
        ("europe-west4", "europe-west4-aiplatform"),
        ("global", "aiplatform"),
    ):
        assert home(VeoVertex, today, project="p", region=region).endpoint == f"https://{host}.googleapis.com"
    with pytest.raises(Rejected, match="polled"):
        home(VeoVertex, today, project="p").parse_callback({}, b"{}", 0.0)


# -- films -------------------------------------------------------------------------------------------


def test_a_film_inside_an_answer_is_not_kept_with_it_and_asked_for_again(vendor, tmp_path):
    veo = VEO_VERTEX.open(vendor)
    sent = veo.submit(ASK, "t")
    [answer] = veo.poll([Handle(sent.vendor_id, sent.receipt)])
    assert answer.state is AnswerState.SUCCEEDED
    assert len(json.dumps(answer.raw)) < 1000
    veo.fetch(answer, tmp_path / "take.mp4")
    assert probe(tmp_path / "take.mp4").kind == "clip"
    assert [path.name for path in tmp_path.glob("*take*")] == ["take.mp4"]


@pytest.mark.parametrize("coded", ["", "no base64!", None, 7])
def test_a_film_that_is_no_base64_leaves_no_file(tmp_path, coded):
    made = {"name": OPERATION, "done": True, "response": {"videos": [{"bytesBase64Encoded": coded}]}}
    with Loopback(says(made)) as server, pytest.raises(Retryable):
        at(server, VEO_VERTEX).fetch(Answer("1", AnswerState.SUCCEEDED, raw=made), tmp_path / "take.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        (Reply(body=b'{"state": "PROCESSING"}'), Retryable),
        (Reply(body=b'{"state": "FAILED"}'), Permanent),
        (Reply(404, b"{}"), Retryable),
        (Reply(410, b"{}"), Retryable),
        (Reply(403, b"{}"), Misconfigured),
    ],
)
def test_a_file_is_copied_once_it_is_active(tmp_path, metadata, error):
    with Loopback(lambda _: metadata) as server:
        made = {"done": True, "response": gemini(generatedSamples=[SAMPLE])}
        with pytest.raises(error):
            at(server).fetch(Answer("1", AnswerState.SUCCEEDED, raw=made), tmp_path / "take.mp4")
    assert [(ask.path, ask.headers["x-goog-api-key"]) for ask in server.asks] == [
        ("/v1beta/files/xyz", VEO.key)
    ]


def test_the_key_goes_to_the_vendor_and_to_nobody_whom_an_answer_or_a_redirect_names(tmp_path):
    with Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as stranger:

        def answer(ask):
            if ask.path.endswith(":download"):
                return Reply(302, headers={"Location": f"{stranger.url}/elsewhere"})
            return Reply(body=b'{"state": "ACTIVE"}')

        with Loopback(answer) as server:
            http = HttpClient(allow=[server.host, stranger.host], retry_for=0)
            veo = Veo(Context(http, Settings(), own=VEO.own(server.url)))
            for uri in (SAMPLE["video"]["uri"], f"{stranger.url}/v1beta/files/xyz:download?alt=media"):
                raw = {"done": True, "response": gemini(generatedSamples=[{"video": {"uri": uri}}])}
                veo.fetch(Answer("1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")
                assert (tmp_path / "take.mp4").read_bytes() == b"film"
    assert len(stranger.asks) == 2
    assert all("x-goog-api-key" not in ask.headers for ask in stranger.asks)
    assert all(ask.headers["x-goog-api-key"] == VEO.key for ask in server.asks)


def test_a_link_into_a_private_network_is_not_followed(tmp_path):
    raw = {"done": True, "response": gemini(generatedSamples=[{"video": {"uri": "http://127.0.0.1:1/x"}}])}
    with Loopback(says({})) as server, pytest.raises(Permanent) as caught:
        at(server).fetch(Answer("1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


# -- callbacks -----------------------------------------------------------------------------------------


def test_a_callback_names_the_operation_to_ask_about(vendor):
    with Loopback(lambda _: Reply()) as door:
        veo = VEO.open(vendor, callback_url=f"{door.url}/veo")
        sent = veo.submit(ASK, "t")
        [ask] = wait_for(door, 1)
    news = veo.parse_callback(ask.headers, ask.body, time.time())
    assert (news.answers, news.ask) == ((), (sent.vendor_id,))
    assert news.event_id == ask.headers["webhook-id"]
