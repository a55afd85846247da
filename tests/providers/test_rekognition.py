"""Rekognition's adapter against the simulated vendor, judged by boto3 and by the worked signature."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.credentials import Credentials
from PIL import Image

from core.errors import Misconfigured, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.settings import Settings, VendorSettings
from providers.base import AnswerState, Context, Finding
from providers.rekognition import Rekognition, signed
from providers.unmoderated import Unmoderated
from simulator.rekognition import SECRET
from tests.loopback import Loopback, Reply
from tests.simulated import VendorHere

WEAPONS = Finding("Weapons", 0.971, "Violence")


def adapter(url, host, *, key="AKIDEXAMPLE", secret=SECRET) -> Rekognition:
    http = HttpClient(allow=[host], retry_for=0, sleep=lambda _: None, timeout=(5, 10))
    own = VendorSettings(api_key=key, api_secret=secret, region="eu-west-1", url=url)
    return Rekognition(Context(http, Settings(), own=own))


class Vendor(VendorHere):
    def adapter(self, **more):
        return adapter(f"{self.url}/rekognition", f"127.0.0.1:{self.port}", **more)


@pytest.fixture
def vendor(tmp_path):
    with Vendor(tmp_path / "vendor") as here:
        yield here


@pytest.fixture
def picture(tmp_path):
    def draw(colour: str, kind: str = "JPEG", size=(64, 36)):
        path = tmp_path / f"{colour}.{kind.lower()}"
        Image.new("RGB", size, colour).save(path, kind)
        return path

    return draw


def test_a_call_is_signed_as_in_the_worked_example(monkeypatch):
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
    )
    body = b'{"Image":{"S3Object":{"Bucket":"my-bucket","Name":"frame.jpg"}},"MinConfidence":60}'
    keys = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    url = "https://rekognition.us-east-1.amazonaws.com/"
    headers = signed(url, body, "DetectModerationLabels", "us-east-1", keys)
    assert headers["X-Amz-Date"] == "20261101T120000Z"
    assert headers["Authorization"].endswith(
        "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
        "Signature=50692d3d526f11a243289e841c4ae688412fa5f408826a7835b994d7be2b1b61"
    )


def test_a_picture_is_judged_and_paid_as_quoted(vendor, picture):
    moderator = vendor.adapter()
    assert moderator.judge(picture("red")) == (WEAPONS,)
    assert moderator.judge(picture("teal", "PNG")) == ()
    assert vendor.bill()["total"] == moderator.quote(2).amount == 2_000


def test_a_film_in_a_bucket_is_one_job_however_often_it_is_started(vendor):
    moderator = vendor.adapter()
    job = moderator.start_film("films", "weapons.mp4", "token-1")
    assert moderator.start_film("films", "weapons.mp4", "token-1") == job
    with pytest.raises(Rejected, match="IdempotentParameterMismatch"):
        moderator.start_film("films", "other.mp4", "token-1")
    answer, found = moderator.poll_film(job)
    assert (answer.state, found) == (AnswerState.SUCCEEDED, (WEAPONS,))
    assert len(vendor.bill()["tasks"]) == 1


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("IN_PROGRESS", AnswerState.RUNNING),
        ("SUCCEEDED", AnswerState.SUCCEEDED),
        ("FAILED", AnswerState.FAILED),
        ("NEW", AnswerState.RUNNING),
    ],
)
def test_every_status_of_a_job_means_what_it_says(word, state):
    reply = Reply(body=json.dumps({"JobStatus": word, "StatusMessage": "why"}).encode())
    with Loopback(lambda _: reply) as server:
        answer, found = adapter(server.url, server.host).poll_film("j")
    assert (answer.state, found) == (state, ())
    assert answer.error == ("why" if state is AnswerState.FAILED else None)


def test_labels_on_several_pages_are_all_read():
    def answer(asked):
        more = {} if "NextToken" in json.loads(asked.body) else {"NextToken": "2"}
        label = {"ModerationLabel": {"Name": "A" if more else "B", "Confidence": 90}}
        said = {"JobStatus": "SUCCEEDED", "ModerationLabels": [label], **more}
        return Reply(body=json.dumps(said).encode())

    with Loopback(answer) as server:
        _, found = adapter(server.url, server.host).poll_film("j")
    assert [one.label for one in found] == ["A", "B"]


LATER = ("ThrottlingException", "ProvisionedThroughputExceededException", "LimitExceededException")
INPUT = ("InvalidParameterException", "InvalidImageFormatException", "ImageTooLargeException")
INPUT += ("InvalidS3ObjectException", "ResourceNotFoundException", "IdempotentParameterMismatchException")
ACCOUNT = ("AccessDeniedException", "InvalidSignatureException", "UnrecognizedClientException")


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [
        *((400, word, Retryable) for word in LATER),
        (500, "InternalServerError", Retryable),
        *((400, word, Rejected) for word in INPUT),
        *((400, word, Misconfigured) for word in ACCOUNT),
        (400, "SomethingNew", Rejected),
        (503, "", Unconfirmed),
    ],
)
def test_every_error_word_is_sorted(picture, status, word, error):
    reply = Reply(status=status, body=json.dumps({"__type": f"com.x#{word}", "Message": "m"}).encode())
    with Loopback(lambda _: reply) as server, pytest.raises(PipelineError) as caught:
        adapter(server.url, server.host).judge(picture("teal"))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttled", Retryable),
        ("broke", Misconfigured),
        ("reset-after", Unconfirmed),
        ("garbage-after", Unconfirmed),
    ],
)
def test_trouble_says_whether_it_may_be_billed(vendor, picture, fault, error):
    vendor.order(fault)
    with pytest.raises(PipelineError) as caught:
        vendor.adapter().judge(picture("teal"))
    assert type(caught.value) is error
    assert len(vendor.bill()["tasks"]) == fault.endswith("-after")


def test_what_it_does_not_take_is_refused_before_it_is_asked(vendor, picture, tmp_path):
    (tmp_path / "page").write_bytes(b"<html>")
    large = picture("teal", "PNG")
    large.write_bytes(large.read_bytes() + bytes(5 * 1024 * 1024))
    for wrong in (tmp_path / "page", picture("teal", "WEBP"), large):
        with pytest.raises(Rejected):
            vendor.adapter().judge(wrong)
    assert "submits" not in vendor.bill()["calls"]


@pytest.mark.parametrize("more", [{"key": "wrong"}, {"secret": "hush-hush"}])
def test_wrong_keys_name_the_settings_and_not_the_keys(vendor, picture, more):
    with pytest.raises(Misconfigured, match="REKOGNITION_API_SECRET") as caught:
        vendor.adapter(**more).judge(picture("teal"))
    assert "hush-hush" not in caught.value.message


def test_it_is_off_until_all_its_settings_are_there():
    said = Rekognition.usable(VendorSettings())
    assert re.findall(r"REKOGNITION_\w+", said) == [
        "REKOGNITION_API_KEY",
        "REKOGNITION_API_SECRET",
        "REKOGNITION_REGION",
    ]
    assert Rekognition.usable(VendorSettings(api_key="k", api_secret="s", region="us-east-1")) is None
    context = Context(HttpClient(), Settings(), own=VendorSettings(region="eu-west-1"))
    assert Rekognition(context).endpoint == "https://rekognition.eu-west-1.amazonaws.com"


def test_the_one_that_judges_nothing_finds_nothing(picture):
    moderator = Unmoderated(Context(HttpClient(), Settings()))
    assert moderator.judge(picture("red")) == ()
    assert moderator.quote(100).amount == 0


def test_boto3_understands_the_simulated_vendor_and_sends_what_we_send(vendor, picture):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    def client(url, secret=SECRET):
        return boto3.client(
            "rekognition", region_name="eu-west-1", endpoint_url=url, aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key=secret, config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    seen = picture("red").read_bytes()
    theirs = client(f"{vendor.url}/rekognition/")
    found = theirs.detect_moderation_labels(Image={"Bytes": seen}, MinConfidence=60)
    assert [label["Name"] for label in found["ModerationLabels"]] == ["Weapons"]
    job = theirs.start_content_moderation(
        Video={"S3Object": {"Bucket": "films", "Name": "weapons.mp4"}}, ClientRequestToken="t"
    )["JobId"]
    assert theirs.get_content_moderation(JobId=job)["JobStatus"] == "SUCCEEDED"
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client(f"{vendor.url}/rekognition/", "wrong").get_content_moderation(JobId=job)
    vendor.order("used-up")
    with pytest.raises(ClientError, match="LimitExceededException"):
        theirs.detect_moderation_labels(Image={"Bytes": seen})

    with Loopback(lambda _: Reply(body=b'{"ModerationLabels": []}')) as server:
        client(f"{server.url}/").detect_moderation_labels(Image={"Bytes": seen}, MinConfidence=60.0)
        adapter(server.url, server.host).judge(picture("red"))
        sdk, ours = server.asks
    assert (ours.method, ours.path) == (sdk.method, sdk.path)
    for name in ("x-amz-target", "content-type"):
        assert ours.headers[name] == sdk.headers[name]
    scope = re.compile(r"Credential=AKIDEXAMPLE/\d{8}/eu-west-1/rekognition/aws4_request")
    assert scope.search(ours.headers["authorization"])
    assert scope.search(sdk.headers["authorization"])
    assert json.loads(ours.body) == json.loads(sdk.body)
