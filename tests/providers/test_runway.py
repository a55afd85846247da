"""Runway's adapter: its statuses, what ended tasks cost, its ratios in pixels, and when a stop is worth it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.errors import Misconfigured, Moderated, Permanent, Rejected, Retryable, Unconfirmed
from core.settings import VendorSettings
from providers.base import Answer, AnswerState, Handle
from providers.runway import Runway
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, RUNWAY, open_at, picture
from tests.simulated import VendorHere


def at(server: Loopback, **more) -> Runway:
    return open_at(Runway, VendorSettings(api_key=RUNWAY.key, url=server.url), server.url, **more)


def task(**facts) -> Reply:
    return Reply(body=json.dumps({"id": "t-1", "createdAt": "2026-09-01T12:00:00Z", **facts}).encode())


@pytest.mark.parametrize(
    ("said", "state", "code", "cost"),
    [
        ({"status": "PENDING", "estimatedCost": {"credits": 60}}, AnswerState.RUNNING, "vendor_failed", None),
        ({"status": "THROTTLED"}, AnswerState.RUNNING, "vendor_failed", None),
        ({"status": "RUNNING", "progress": 0.4}, AnswerState.RUNNING, "vendor_failed", None),
        ({"status": "MUSING"}, AnswerState.RUNNING, "vendor_failed", None),
        (
            {"status": "SUCCEEDED", "output": ["https://x.test/a.mp4"]},
            AnswerState.SUCCEEDED,
            "vendor_failed",
            None,
        ),
        ({"status": "SUCCEEDED", "cost": {"credits": 60}}, AnswerState.SUCCEEDED, "vendor_failed", 600_000),
        ({"status": "SUCCEEDED", "cost": {"credits": "60"}}, AnswerState.SUCCEEDED, "vendor_failed", None),
        ({"status": "SUCCEEDED", "cost": 60}, AnswerState.SUCCEEDED, "vendor_failed", None),
        ({"status": "FAILED", "cost": {"credits": 0}}, AnswerState.FAILED, "vendor_failed", 0),
        ({"status": "FAILED", "failureCode": "SAFETY.INPUT.TEXT"}, AnswerState.FAILED, "moderated", None),
        ({"status": "FAILED", "failureCode": "SAFETY.OUTPUT.VIDEO"}, AnswerState.FAILED, "moderated", None),
        ({"status": "FAILED", "failureCode": "THIRD_PARTY.SAFETY"}, AnswerState.FAILED, "moderated", None),
        (
            {"status": "FAILED", "failureCode": "INTERNAL.BAD_OUTPUT.CODE01"},
            AnswerState.FAILED,
            "vendor_failed",
            None,
        ),
        ({"status": "FAILED", "failureCode": "ASSET.INVALID"}, AnswerState.FAILED, "vendor_failed", None),
        ({"status": "CANCELLED", "cost": {"credits": 0}}, AnswerState.FAILED, "cancelled", 0),
        ({"status": "CANCELLED", "cost": {"credits": 60}}, AnswerState.FAILED, "cancelled", 600_000),
    ],
)
def test_every_status_of_a_task_is_read_with_what_it_cost(said, state, code, cost):
    with Loopback(lambda _: task(**said)) as server:
        [answer] = at(server).poll([Handle("t-1")])
    assert (server.asks[0].path, server.asks[0].headers["x-runway-version"]) == (
        "/v1/tasks/t-1",
        "2024-11-06",
    )
    assert (answer.state, answer.code, answer.cost) == (state, code, cost)
    assert answer.progress == said.get("progress")
    assert (answer.error is not None) is (state is AnswerState.FAILED)
    assert said.get("failureCode", "") in (answer.error or "")


@pytest.mark.parametrize(
    ("http", "body", "headers", "error", "code"),
    [
        (400, {"error": "Validation of body failed", "issues": []}, {}, Rejected, "http_400"),
        (
            400,
            {"error": "You do not have enough credits to run this task."},
            {},
            Misconfigured,
            "runway_credits",
        ),
        (400, {"error": "SAFETY.INPUT.TEXT"}, {}, Moderated, "moderated"),
        (401, {"error": "no"}, {}, Misconfigured, "http_401"),
        (403, {"error": "no"}, {}, Misconfigured, "http_403"),
        (404, {"error": "no"}, {}, Misconfigured, "http_404"),
        (429, {"error": "slow"}, {"Retry-After": "5"}, Retryable, "throttled"),
        (500, {}, {}, Unconfirmed, "unconfirmed"),
        (502, {}, {}, Unconfirmed, "unconfirmed"),
        (503, {}, {}, Unconfirmed, "unconfirmed"),
        (504, {}, {}, Unconfirmed, "unconfirmed"),
    ],
)
def test_a_refused_submit_is_sorted(http, body, headers, error, code):
    refused = Reply(http, json.dumps(body).encode(), headers=headers)
    with Loopback(lambda _: refused) as server, pytest.raises(error) as caught:
        at(server).submit(ASK, "token-1")
    assert type(caught.value) is error
    assert caught.value.code == code
    assert getattr(caught.value, "retry_after", 5.0) == 5.0


def test_a_refusal_tells_which_field_is_wrong():
    issues = [{"path": ["ratio"], "message": "Invalid option"}, {"path": "duration", "message": "Too big"}, 7]
    refused = Reply(400, json.dumps({"error": "Validation failed", "issues": issues}).encode())
    with Loopback(lambda _: refused) as server, pytest.raises(Rejected) as caught:
        at(server).submit(ASK, "token-1")
    assert "Validation failed; ratio: Invalid option; duration: Too big" in caught.value.message


def test_a_prompt_is_measured_in_units_of_utf_16(vendor):
    foxes = "🦊" * 500
    assert RUNWAY.open(vendor).submit(replace(ASK, prompt=foxes), "token-1").vendor_id
    with pytest.raises(Rejected, match=r"at most 1000 UTF-16 units; this has 1002") as caught:
        RUNWAY.open(vendor).quote(replace(ASK, prompt=foxes + "🦊"))
    assert caught.value.field == "prompt"


@pytest.mark.parametrize("model", Runway.models)
@pytest.mark.parametrize("size", [(426, 240), (720, 1280), (1920, 1080), (1080, 1350), (480, 480)])
@pytest.mark.parametrize("shown", [False, True])
def test_every_model_takes_every_frame_a_film_can_have(vendor, tmp_path, model, size, shown):
    adapter = RUNWAY.open(vendor, model=model)
    image = picture(tmp_path) if shown else None
    ask = replace(ASK, width=size[0], height=size[1], frames=24 * 5, seed=1 << 40, image=image)
    if model == "gen4_turbo" and not shown:
        with pytest.raises(Rejected, match="from a picture only"):
            adapter.quote(ask)
        return
    quoted = adapter.quote(ask)
    [answer] = adapter.poll([Handle(adapter.submit(ask, "token-1").vendor_id)])
    assert answer.cost == vendor.bill()["total"]
    if quoted.known:
        assert answer.cost == quoted.amount


def test_a_square_film_is_square_only_when_it_begins_with_a_picture(tmp_path):
    with Loopback(lambda _: task()) as server:
        square = replace(ASK, width=480, height=480)
        at(server).submit(square, "token-1")
        at(server).submit(replace(square, image=picture(tmp_path)), "token-1")
    first, second = (json.loads(ask.body) for ask in server.asks)
    assert (server.asks[0].path, first["ratio"]) == ("/v1/text_to_video", "1280:720")
    assert (server.asks[1].path, second["ratio"]) == ("/v1/image_to_video", "960:960")
    assert second["promptImage"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("output", [None, [], "https://x.test/a.mp4", [7]])
def test_a_result_without_a_file_may_have_one_later(vendor, tmp_path, output):
    answer = Answer("t-1", AnswerState.SUCCEEDED, raw={"output": output})
    with pytest.raises(Retryable, match="names no file"):
        RUNWAY.open(vendor).fetch(answer, tmp_path / "take.mp4")


def test_a_result_link_that_leads_into_a_private_network_is_not_followed(vendor, tmp_path):
    answer = Answer("t-1", AnswerState.SUCCEEDED, raw={"output": ["http://127.0.0.1:1/x.mp4"]})
    with pytest.raises(Permanent) as caught:
        RUNWAY.open(vendor).fetch(answer, tmp_path / "take.mp4")
    assert caught.value.code == "address_refused"


def test_the_key_does_not_go_with_a_download(tmp_path):
    with Loopback(lambda _: Reply(body=b"film", mime="video/mp4")) as server:
        answer = Answer("t-1", AnswerState.SUCCEEDED, raw={"output": [f"{server.url}/a.mp4"]})
        at(server).fetch(answer, tmp_path / "take.mp4")
    assert "authorization" not in server.asks[0].headers


# -- stopping --------------------------------------------------------------------------------------


def test_what_waits_is_stopped_and_costs_nothing(tmp_path):
    vendor = VendorHere(tmp_path, task_seconds=60)
    try:
        adapter = RUNWAY.open(vendor)
        handle = Handle(adapter.submit(ASK, "token-1").vendor_id)
        assert adapter.cancel(handle) is True
        [answer] = adapter.poll([handle])
        assert (answer.state, answer.code, answer.cost) == (AnswerState.FAILED, "cancelled", 0)
        assert vendor.bill()["total"] == 0
    finally:
        vendor.close()


@pytest.mark.parametrize(
    ("before", "deleted", "after", "stopped"),
    [
        ("PENDING", 204, {"status": "CANCELLED", "cost": {"credits": 0}}, True),
        ("THROTTLED", 204, {"status": "CANCELLED", "cost": {"credits": 0}}, True),
        ("PENDING", 204, {"status": "CANCELLED", "cost": {"credits": 60}}, False),
        ("PENDING", 204, {"status": "CANCELLED"}, False),
        ("PENDING", 204, {"status": "RUNNING"}, False),
        ("PENDING", 204, None, False),
        ("PENDING", 404, None, False),
        ("RUNNING", None, {"status": "RUNNING"}, False),
        ("SUCCEEDED", None, {"status": "SUCCEEDED"}, False),
        ("MUSING", None, {"status": "MUSING"}, False),
    ],
)
def test_a_stop_is_certain_once_the_task_says_that_it_cost_nothing(before, deleted, after, stopped):
    looks = [task(status=before), Reply(404) if after is None else task(**after)]

    def answer(ask):
        return Reply(deleted) if ask.method == "DELETE" else looks.pop(0)

    with Loopback(answer) as server:
        assert at(server).cancel(Handle("t-1")) is stopped
    assert ("DELETE" in [ask.method for ask in server.asks]) is (deleted is not None), (
        "what runs is not deleted"
    )


def test_a_stop_that_was_refused_says_so(vendor):
    with pytest.raises(Misconfigured):
        RUNWAY.open(vendor, key="wrong").cancel(Handle("t-1"))


def test_callbacks_are_not_to_be_had(vendor):
    with pytest.raises(Rejected, match="polled"):
        RUNWAY.open(vendor).parse_callback({}, b"{}", 0.0)
