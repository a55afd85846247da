"""Kling's adapter against the simulated vendor on a real socket, with every way it can go wrong."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import date

import pytest

from core.errors import Misconfigured, Moderated, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from media.probe import probe
from providers.base import Answer, AnswerState, Context, Handle, VideoRequest
from providers.kling import Kling
from simulator.webhooks import SECRET, sign_standard
from tests.loopback import Loopback, Reply
from tests.providers.reference import picture, wait_for
from tests.simulated import VendorHere

KEY = "sk-kling-secret-0123456789"
TODAY = date(2026, 11, 21)
ASK = VideoRequest("shot", "A fox in the snow", width=426, height=240, fps=24, frames=96)


class Vendor(VendorHere):
    """The simulator on a port of its own, and an adapter that speaks to it."""

    def adapter(self, *, key=KEY, model=None, callback_url=None, secret=None, **client) -> Kling:
        wanted = {"retry_for": 0, "sleep": lambda _: None, "timeout": (5, 60), **client}
        http = HttpClient(allow=[f"127.0.0.1:{self.port}"], **wanted)
        own = VendorSettings(api_key=key, url=f"{self.url}/kling", webhook_secret=secret)
        context = Context(http, Settings(), own=own, model=model, callback_url=callback_url, today=TODAY)
        return Kling(context)


@pytest.fixture
def vendor(tmp_path):
    with Vendor(tmp_path) as here:
        yield here


def asking(words: str, **more) -> VideoRequest:
    return replace(ASK, prompt=words, **more)


def test_a_take_is_ordered_polled_and_brought_home_at_the_price_quoted(vendor, tmp_path):
    kling = vendor.adapter()
    sent = kling.submit(ASK, "token-1")
    [answer] = kling.poll([Handle(sent.vendor_id)])
    assert answer.state is AnswerState.SUCCEEDED
    assert answer.cost == kling.quote(ASK).amount == 4 * 84_000 == vendor.bill()["total"]
    kling.fetch(answer, tmp_path / "take.mp4")
    seen = probe(tmp_path / "take.mp4")
    assert (seen.kind, seen.width, seen.height, round(seen.duration)) == ("clip", 1280, 720, 4)


def test_many_takes_are_polled_with_one_call_and_in_the_order_asked(vendor):
    kling = vendor.adapter()
    ids = [kling.submit(ASK, f"token-{n}").vendor_id for n in range(7)]
    wanted = [*reversed(ids), "999"]
    answers = kling.poll([Handle(vendor_id) for vendor_id in wanted])
    assert [answer.vendor_id for answer in answers] == wanted
    assert {a.state for a in answers[:-1]} == {AnswerState.SUCCEEDED}
    assert answers[-1].state is AnswerState.RUNNING, "a task that is not listed may be too young"
    assert vendor.bill()["calls"]["polls"] == 1


@pytest.mark.parametrize("fault", ["hang-after", "reset-after", "down-after", "garbage-after"])
def test_a_submit_that_was_accepted_and_not_answered_is_unconfirmed_and_found_by_its_token(vendor, fault):
    kling = vendor.adapter(timeout=(5, 1 if fault.startswith("hang") else 60))
    with pytest.raises(Unconfirmed):
        kling.submit(asking(f"fault-{fault}"), "token-1")
    found = kling.lookup("token-1")
    assert found is not None
    assert found.vendor_id == vendor.bill()["tasks"][0]["vendor_id"]
    assert len(vendor.bill()["tasks"]) == 1


@pytest.mark.parametrize("fault", ["hang-before", "reset-before", "down-before"])
def test_a_submit_that_was_not_accepted_reads_the_same_and_is_not_found(vendor, fault):
    kling = vendor.adapter(timeout=(5, 1 if fault.startswith("hang") else 60))
    with pytest.raises(Unconfirmed):
        kling.submit(asking(f"fault-{fault}"), "token-1")
    assert kling.lookup("token-1") is None
    assert kling.submit(asking(f"fault-{fault}"), "token-1").vendor_id
    assert len(vendor.bill()["tasks"]) == 1


def test_a_token_that_the_vendor_has_already_is_looked_up_not_bought_again(vendor):
    kling = vendor.adapter()
    sent = kling.submit(ASK, "token-1")
    with pytest.raises(Unconfirmed, match="may be there already"):
        kling.submit(ASK, "token-1")
    assert kling.lookup("token-1").vendor_id == sent.vendor_id
    assert len(vendor.bill()["tasks"]) == 1


@pytest.mark.parametrize(
    ("fault", "error", "code", "wait"),
    [
        ("throttled", Retryable, "throttled", None),
        ("throttled-wait", Retryable, "throttled", 1.0),
        ("busy", Retryable, "throttled", None),
        ("broke", Misconfigured, "kling_1101", None),
        ("used-up", Misconfigured, "kling_1102", None),
        ("moderated", Moderated, "moderated", None),
    ],
)
def test_a_refusal_is_sorted_by_its_code_not_by_its_status(vendor, fault, error, code, wait):
    with pytest.raises(error) as caught:
        vendor.adapter().submit(asking(f"fault-{fault}"), "token-1")
    assert type(caught.value) is error
    assert caught.value.code == code
    assert getattr(caught.value, "retry_after", None) == wait
    assert vendor.bill()["tasks"] == []


def test_a_key_the_vendor_does_not_know_names_the_setting_and_not_the_key(vendor):
    with pytest.raises(Misconfigured, match="KLING_API_KEY") as caught:
        vendor.adapter(key="wrong").submit(ASK, "token-1")
    assert caught.value.code == "kling_1002"
    with pytest.raises(Misconfigured):
        vendor.adapter(key="wrong").poll([Handle("1")])


def test_a_vendor_that_is_not_there_took_nothing(vendor):
    kling = vendor.adapter()
    vendor.close()
    with pytest.raises(Retryable):
        kling.submit(ASK, "token-1")


def test_an_unknown_status_means_still_running_and_a_failure_says_why(tmp_path):
    vendor = Vendor(tmp_path, task_seconds=60)
    try:
        kling = vendor.adapter()
        odd = kling.submit(asking("fault-odd"), "token-1")
        [answer] = kling.poll([Handle(odd.vendor_id)])
        assert answer.raw["status"] == "reviewing"
        assert answer.state is AnswerState.RUNNING
    finally:
        vendor.close()


def test_a_failed_task_is_told_with_the_vendors_words_and_costs_nothing(vendor):
    kling = vendor.adapter()
    sent = kling.submit(asking("fault-failed"), "token-1")
    [answer] = kling.poll([Handle(sent.vendor_id)])
    assert (answer.state, answer.error) == (AnswerState.FAILED, "Failure to pass the risk control system")
    assert answer.code == "moderated"
    assert answer.cost is None
    assert vendor.bill()["total"] == 0


@pytest.mark.parametrize("fault", ["missing-once", "truncated-once"])
def test_a_result_that_cannot_be_had_may_be_had_later_and_no_half_file_is_left(vendor, tmp_path, fault):
    kling = vendor.adapter()
    [answer] = kling.poll([Handle(kling.submit(asking(f"fault-{fault}"), "token-1").vendor_id)])
    with pytest.raises(Retryable):
        kling.fetch(answer, tmp_path / "take.mp4")
    assert list(tmp_path.glob("*take*")) == []
    kling.fetch(answer, tmp_path / "take.mp4")
    assert probe(tmp_path / "take.mp4").kind == "clip"


def test_a_result_link_that_leads_into_a_private_network_is_not_followed(vendor, tmp_path):
    answer = Answer(
        "1", AnswerState.SUCCEEDED, raw={"outputs": [{"type": "video", "url": "http://127.0.0.1:1/x"}]}
    )
    with pytest.raises(Permanent) as caught:
        vendor.adapter().fetch(answer, tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


@pytest.mark.parametrize(("frames", "seconds"), [(24, 3), (72, 3), (73, 3), (96, 4), (24 * 15, 15)])
def test_the_shortest_film_that_fills_the_shot_is_quoted(vendor, frames, seconds):
    assert vendor.adapter().quote(replace(ASK, frames=frames)).amount == seconds * 84_000


def test_what_the_vendor_cannot_make_is_refused_before_it_is_asked(vendor, tmp_path):
    kling = vendor.adapter()
    for ask in (
        replace(ASK, frames=24 * 16),
        replace(ASK, prompt=" "),
        replace(ASK, prompt="x" * 3073),
        replace(ASK, clip=tmp_path / "a.mp4"),
    ):
        with pytest.raises(Rejected):
            kling.quote(ask)
    with pytest.raises(Rejected, match=r"5, 10 s"):
        vendor.adapter(model="kling-2.6").quote(replace(ASK, frames=24 * 11))
    assert "submits" not in vendor.bill()["calls"]


@pytest.mark.parametrize("model", Kling.models)
@pytest.mark.parametrize("size", [(426, 240), (720, 1280), (1920, 1080), (1080, 1350), (480, 480)])
def test_every_model_takes_every_frame_a_film_can_have(vendor, model, size):
    kling = vendor.adapter(model=model)
    ask = replace(ASK, width=size[0], height=size[1], move="push in")
    assert kling.submit(ask, f"{model}-{size}").vendor_id
    assert "Camera: push in." in vendor.bill()["tasks"][-1]["prompt"]
    assert kling.quote(ask).known is (model != "kling-3.0-turbo")


def test_it_is_off_without_a_key_or_with_a_model_nobody_knows():
    assert "KLING_API_KEY" in Kling.usable(VendorSettings())
    assert "kling-3.0" in Kling.usable(VendorSettings(api_key="k", model="kling-9"))
    assert Kling.usable(VendorSettings(api_key="k")) is None


def test_an_open_submission_is_asked_about_where_it_was_sent(vendor):
    elsewhere = Context(
        HttpClient(allow=[f"127.0.0.1:{vendor.port}"]),
        Settings(),
        own=VendorSettings(api_key=KEY, url="https://example.test"),
        endpoint=f"{vendor.url}/kling",
    )
    sent = vendor.adapter().submit(ASK, "token-1")
    assert Kling(elsewhere).poll([Handle(sent.vendor_id)])[0].state is AnswerState.SUCCEEDED


@pytest.mark.parametrize(
    ("billing", "cost"),
    [
        ([{"list_price": "0.42", "amount": "3"}], 420_000),
        ([{"list_price": 0.42, "amount": 3}], 420_000),
        ([{"amount": "3"}], 420_000),
        ([{"amount": "three"}], None),
        ([], None),
        (None, None),
    ],
)
def test_the_bill_is_read_as_text_or_number_and_never_guessed(billing, cost):
    task = {"id": "1", "status": "succeeded", "billing": billing}
    with Loopback(lambda _: Reply(body=_json({"code": 0, "data": [task]}))) as server:
        http = HttpClient(allow=[server.host])
        kling = Kling(Context(http, Settings(), own=VendorSettings(api_key=KEY, url=server.url)))
        assert kling.poll([Handle("1")])[0].cost == cost


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"code": 0}', b'{"code": 0, "data": [7]}', b"<html>"]
)
def test_a_poll_answered_with_rubbish_raises_ours_or_finds_nothing(body):
    with Loopback(lambda _: Reply(body=body)) as server:
        http = HttpClient(allow=[server.host], retry_for=0, sleep=lambda _: None)
        kling = Kling(Context(http, Settings(), own=VendorSettings(api_key=KEY, url=server.url)))
        try:
            answers = kling.poll([Handle("1")])
        except PipelineError:
            return
        assert [a.state for a in answers] == [AnswerState.RUNNING]


def test_a_task_cannot_be_cancelled(vendor):
    kling = vendor.adapter()
    assert kling.cancel(Handle(kling.submit(ASK, "token-1").vendor_id)) is False


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", Kling.models)
def test_a_take_begins_with_a_picture_sent_as_bare_base64(vendor, tmp_path, model):
    kling = vendor.adapter(model=model)
    ask = replace(ASK, image=picture(tmp_path), frames=5 * 24)
    [answer] = kling.poll([Handle(kling.submit(ask, "token-1").vendor_id)])
    assert answer.state is AnswerState.SUCCEEDED
    kling.fetch(answer, tmp_path / "take.mp4")
    assert probe(tmp_path / "take.mp4").kind == "clip"


def test_the_request_has_the_picture_and_no_aspect_ratio(tmp_path):
    image = picture(tmp_path)
    done = Reply(body=_json({"code": 0, "data": {"id": "1", "status": "submitted"}}))
    with Loopback(lambda _: done) as server:
        kling = at(server, callback_url="https://films.example/kling", secret=SECRET)
        kling.submit(replace(ASK, image=image), "token-1")
        kling.submit(ASK, "token-2")
    begun, spoken = server.asks
    assert (begun.path, spoken.path) == ("/image-to-video/kling-3.0", "/text-to-video/kling-3.0")
    assert begun.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(begun.body) == {
        "contents": [
            {"type": "prompt", "text": "A fox in the snow"},
            {"type": "first_frame", "url": base64.b64encode(image.read_bytes()).decode()},
        ],
        "settings": {"multi_shot": False, "audio": "off", "resolution": "720p", "duration": 4},
        "options": {"external_task_id": "token-1", "callback_url": "https://films.example/kling"},
    }
    assert json.loads(spoken.body) == {
        "prompt": "A fox in the snow",
        "settings": {
            "multi_shot": False,
            "audio": "off",
            "resolution": "720p",
            "duration": 4,
            "aspect_ratio": "16:9",
        },
        "options": {"external_task_id": "token-2", "callback_url": "https://films.example/kling"},
    }


@pytest.mark.parametrize(
    ("draw", "code", "words"),
    [
        ({"size": (640, 299)}, "bad_reference", "300 pixels"),
        ({"size": (1000, 399)}, "bad_reference", "2.5:1"),
        ({"size": (640, 640), "kind": "WEBP"}, "bad_reference", "image/jpeg or image/png"),
        ({"size": (640, 640), "kind": "GIF"}, "bad_reference", "image/png"),
        ({"size": (640, 640), "more": 50_000_001}, "too_large", "50000000"),
        ({"size": (640, 640), "keep": 20}, "bad_reference", "cannot be read"),
    ],
)
def test_a_picture_that_the_vendor_would_refuse_is_refused_here_with_the_field(
    vendor, tmp_path, draw, code, words
):
    with pytest.raises(Rejected, match=words) as caught:
        vendor.adapter().quote(replace(ASK, image=picture(tmp_path, **draw)))
    assert (caught.value.code, caught.value.field) == (code, "reference")
    assert "submits" not in vendor.bill()["calls"]


# -- callbacks -------------------------------------------------------------------------------------


def test_the_vendor_calls_back_signed_and_is_believed_without_a_poll(vendor, tmp_path):
    with Loopback(lambda _: Reply()) as door:
        kling = vendor.adapter(callback_url=f"{door.url}/callbacks/kling", secret=SECRET)
        sent = kling.submit(asking("fault-callback-twice"), "token-1")
        first, again = wait_for(door, 2)
    news = kling.parse_callback(first.headers, first.body, time.time())
    assert [(a.vendor_id, a.state, a.cost) for a in news.answers] == [
        (sent.vendor_id, AnswerState.SUCCEEDED, 4 * 84_000)
    ]
    assert kling.parse_callback(again.headers, again.body, time.time()).event_id == news.event_id
    kling.fetch(news.answers[0], tmp_path / "take.mp4")
    assert "polls" not in vendor.bill()["calls"]


def test_a_forged_callback_and_an_old_one_are_refused(vendor):
    with Loopback(lambda _: Reply()) as door:
        kling = vendor.adapter(callback_url=f"{door.url}/callbacks/kling", secret=SECRET)
        kling.submit(asking("fault-callback-forged"), "token-1")
        kling.submit(ASK, "token-2")
        forged, good = sorted(wait_for(door, 2), key=lambda ask: not ask.body.endswith(b" "))
    for ask, now in ((forged, time.time()), (good, time.time() + 301)):
        with pytest.raises(Rejected):
            kling.parse_callback(ask.headers, ask.body, now)
    with pytest.raises(Rejected):
        kling.parse_callback({}, good.body, time.time())


def test_callbacks_that_anybody_could_send_are_neither_asked_for_nor_taken(vendor):
    done = Reply(body=_json({"code": 0, "data": {"id": "1", "status": "submitted"}}))
    with Loopback(lambda _: done) as server:
        kling = at(server, callback_url="https://films.example/kling")
        kling.submit(ASK, "token-1")
    assert json.loads(server.asks[0].body)["options"] == {"external_task_id": "token-1"}
    with pytest.raises(Rejected, match="polled"):
        kling.parse_callback(sign_standard("e", b'{"id": "1"}', 1e9), b'{"id": "1"}', 1e9)


VECTOR = (
    "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=",
    {
        "webhook-id": "9876543210",
        "webhook-timestamp": "1781080794",
        "webhook-signature": "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
    },
    (
        b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,'
        b'"update_time":1781080794151}'
    ),
)


def test_the_vendors_own_example_names_no_file_and_is_asked_about(vendor):
    secret, headers, body = VECTOR
    news = vendor.adapter(secret=secret).parse_callback(headers, body, 1781080800.0)
    assert (news.event_id, news.answers, news.ask) == ("9876543210", (), ("1234567890",))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"<html>", b'{"status": "succeeded"}'])
def test_a_callback_about_nothing_is_refused(vendor, body):
    with pytest.raises(Rejected):
        vendor.adapter(secret=SECRET).parse_callback(sign_standard("e", body, 1e9), body, 1e9)


# -- every word of the vendor's ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("submitted", AnswerState.RUNNING),
        ("processing", AnswerState.RUNNING),
        ("succeeded", AnswerState.SUCCEEDED),
        ("succeed", AnswerState.SUCCEEDED),
        ("failed", AnswerState.FAILED),
        ("cancelled", AnswerState.RUNNING),
        ("", AnswerState.RUNNING),
        (None, AnswerState.RUNNING),
        (7, AnswerState.RUNNING),
    ],
)
def test_every_status_word_has_its_state_and_an_unknown_one_runs_on(word, state):
    with Loopback(lambda _: Reply(body=_json({"code": 0, "data": [{"id": "1", "status": word}]}))) as server:
        assert at(server).poll([Handle("1")])[0].state is state


CODES = [
    (401, 1000, Misconfigured, Misconfigured),
    (401, 1001, Misconfigured, Misconfigured),
    (401, 1002, Misconfigured, Misconfigured),
    (401, 1003, Retryable, Retryable),
    (401, 1004, Retryable, Retryable),
    (429, 1100, Misconfigured, Misconfigured),
    (429, 1101, Misconfigured, Misconfigured),
    (429, 1102, Misconfigured, Misconfigured),
    (403, 1103, Misconfigured, Misconfigured),
    (400, 1200, Rejected, Rejected),
    (400, 1201, Rejected, Rejected),
    (404, 1202, Misconfigured, Misconfigured),
    (404, 1203, Misconfigured, Misconfigured),
    (400, 1300, Moderated, Moderated),
    (400, 1301, Moderated, Moderated),
    (429, 1302, Retryable, Retryable),
    (429, 1303, Retryable, Retryable),
    (429, 1304, Misconfigured, Misconfigured),
    (500, 5000, Unconfirmed, Retryable),
    (503, 5001, Unconfirmed, Retryable),
    (504, 5002, Unconfirmed, Retryable),
    (200, 1101, Misconfigured, Misconfigured),
    (200, 5000, Unconfirmed, Retryable),
    (429, None, Retryable, Retryable),
    (402, None, Misconfigured, Misconfigured),
    (418, None, Permanent, Permanent),
    (502, None, Unconfirmed, Retryable),
    (200, 4242, Unconfirmed, Retryable),
]


@pytest.mark.parametrize(("status", "code", "submitted", "polled"), CODES)
def test_every_error_code_is_sorted_by_what_to_do_when_asking_for_a_take_and_about_one(
    status, code, submitted, polled
):
    body = {"code": code, "message": "as it is", "request_id": "r"} if code else {"message": "as it is"}
    with Loopback(lambda _: Reply(status, _json(body))) as server:
        kling = at(server)
        for error, call in (
            (submitted, lambda: kling.submit(ASK, "t")),
            (polled, lambda: kling.poll([Handle("1")])),
        ):
            with pytest.raises(error) as caught:
                call()
            assert type(caught.value) is error
            assert KEY not in caught.value.message


def test_the_simulated_vendors_books_outlive_it(tmp_path):
    first = Vendor(tmp_path)
    sent = first.adapter().submit(ASK, "token-1")
    first.close()
    second = Vendor(tmp_path)
    try:
        assert second.adapter().lookup("token-1").vendor_id == sent.vendor_id
        assert second.bill()["total"] == 4 * 84_000
    finally:
        second.close()


def test_the_simulated_vendor_takes_no_more_than_its_slots(tmp_path):
    vendor = Vendor(tmp_path, task_seconds=0.5, slots=1)
    try:
        kling = vendor.adapter()
        kling.submit(ASK, "token-1")
        with pytest.raises(Retryable):
            kling.submit(ASK, "token-2")
        deadline = time.monotonic() + 10
        while (
            kling.poll([Handle(vendor.bill()["tasks"][0]["vendor_id"])])[0].state is not AnswerState.SUCCEEDED
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert kling.submit(ASK, "token-2").vendor_id
    finally:
        vendor.close()


def at(server: Loopback, secret=None, **more) -> Kling:
    http = HttpClient(allow=[server.host], retry_for=0, sleep=lambda _: None)
    own = VendorSettings(api_key=KEY, url=server.url, webhook_secret=secret)
    return Kling(Context(http, Settings(), own=own, **more))


def _json(value) -> bytes:
    return json.dumps(value).encode()
