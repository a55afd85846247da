"""Amazon Rekognition's content moderation on the wire, its signatures checked by botocore's own reckoning.

Read from botocore's service-2.json and the SigV4 reference in 2026-11. Any access key but `wrong` is taken,
with the secret `simulated`. A picture that is mostly red shows weapons; so does a film with `weapons` in its
name.
"""

from __future__ import annotations

import base64
import io
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from flask import Blueprint, Response, jsonify, request
from PIL import Image

from simulator.answering import Answering

SECRET = "simulated"  # noqa: S105 (everybody may know it)
PRICE = 1_000
_WEAPONS = {"Confidence": 97.1, "Name": "Weapons", "ParentName": "Violence", "TaxonomyLevel": 2}
_REFUSALS = {
    "throttled": (400, "ThrottlingException"),
    "throttled-wait": (400, "ThrottlingException"),
    "busy": (400, "ProvisionedThroughputExceededException"),
    "down-before": (500, "InternalServerError"),
    "broke": (400, "AccessDeniedException"),
    "used-up": (400, "LimitExceededException"),
    "moderated": (400, "InvalidParameterException"),
}


class Rekognition(Answering):
    slug: ClassVar[str] = "rekognition"
    settings: ClassVar[dict[str, str]] = {
        "API_KEY": "any",
        "API_SECRET": SECRET,
        "REGION": "us-east-1",
        "URL": "{here}",
    }

    def routes(self, doors: Blueprint) -> None:
        doors.post("/")(self.call)

    def refusal(self, fault: str) -> Response:
        status, word = _REFUSALS[fault]
        return _error(status, word, f"simulated: {fault}")

    def call(self) -> Any:
        if refused := _unsigned():
            return refused
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = request.get_json(force=True, silent=True)
        body = body if isinstance(body, dict) else {}
        door = {
            "DetectModerationLabels": self.detect,
            "StartContentModeration": self.start,
            "GetContentModeration": self.get,
        }.get(operation)
        if door is None:
            return _error(400, "UnknownOperationException", operation)
        return door(body)

    def detect(self, body: dict[str, Any]) -> Any:
        try:
            data = base64.b64decode(body["Image"]["Bytes"], validate=True)
            picture = Image.open(io.BytesIO(data))
            red, green, blue = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
        except (KeyError, TypeError, ValueError, OSError):
            return _error(400, "InvalidImageFormatException", "Request has invalid image format")
        if picture.format not in ("JPEG", "PNG"):
            return _error(400, "InvalidImageFormatException", "Request has invalid image format")
        if len(data) > 5 * 1024 * 1024:
            return _error(400, "ImageTooLargeException", "Image size is too large")
        submit = self.submitting(f"picture {len(data)}")
        if (refusal := submit.refused()) is not None:
            return refusal
        self.book(submit, model="moderation", prompt="picture", price=PRICE)
        labels = [_WEAPONS] if red > 180 and green < 90 and blue < 90 else []
        found = {"ModerationLabels": labels, "ModerationModelVersion": "7.0-simulated", "ContentTypes": []}
        return submit.answered(_json(found))

    def start(self, body: dict[str, Any]) -> Any:
        place = body.get("Video", {}).get("S3Object", {})
        if not place.get("Bucket") or not place.get("Name"):
            return _error(400, "InvalidS3ObjectException", "Unable to get object metadata from S3")
        token = body.get("ClientRequestToken")
        known = self.books.find(self.slug, external_ids=[token]) if token else []
        if known and known[0].prompt != place["Name"]:
            return _error(400, "IdempotentParameterMismatchException", "The token was used for another film")
        if known:
            return _json({"JobId": known[0].vendor_id})
        submit = self.submitting(place["Name"], token)
        if (refusal := submit.refused()) is not None:
            return refusal
        task = self.accept(submit, model="film", prompt=place["Name"], price=100_000, token=token)
        assert task is not None
        return submit.answered(_json({"JobId": task.vendor_id}))

    def get(self, body: dict[str, Any]) -> Any:
        task = self.task(str(body.get("JobId")))
        if task is None:
            return _error(400, "ResourceNotFoundException", "Could not find JobId")
        phase = self.phase(task)
        word = {"succeeded": "SUCCEEDED", "failed": "FAILED", "odd": "THINKING"}.get(phase, "IN_PROGRESS")
        shown: dict[str, Any] = {"JobStatus": word, "ModerationLabels": []}
        if phase == "succeeded" and "weapons" in task.prompt:
            shown["ModerationLabels"] = [{"Timestamp": 1000, "ModerationLabel": _WEAPONS}]
        if phase == "failed":
            shown["StatusMessage"] = "simulated: the film cannot be read"
        return _json(shown)


def _unsigned() -> Any:
    """Reckon the signature anew from what arrived, and compare."""
    said = request.headers.get("Authorization", "")
    parts = dict(part.split("=", 1) for part in said.partition(" ")[2].split(", ") if "=" in part)
    scope = parts.get("Credential", "").split("/")
    if not said.startswith("AWS4-HMAC-SHA256 ") or len(scope) != 5:
        return _error(400, "MissingAuthenticationTokenException", "Missing Authentication Token")
    if scope[0] == "wrong":
        return _error(400, "UnrecognizedClientException", "The security token is invalid.")
    stamp = request.headers.get("X-Amz-Date", "")
    names = parts.get("SignedHeaders", "").split(";")
    again = AWSRequest(
        method="POST",
        url=request.url,
        data=request.get_data(),
        headers={name: request.headers.get(name, "") for name in names if name != "host"},
    )
    again.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(scope[0], SECRET), scope[3], scope[2])
    made = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    if made != parts.get("Signature"):
        return _error(400, "InvalidSignatureException", "The request signature does not match.")
    age = time.time() - datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return _error(400, "InvalidSignatureException", "Signature expired") if abs(age) > 300 else None


def _json(value: Any) -> Response:
    answer = jsonify(value)
    answer.mimetype = "application/x-amz-json-1.1"
    return answer


def _error(status: int, word: str, message: str) -> Response:
    answer = _json({"__type": f"com.amazonaws.rekognition#{word}", "Message": message})
    answer.status_code = status
    return answer


DIALECT = Rekognition
