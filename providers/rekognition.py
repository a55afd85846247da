"""Have pictures and stored films judged by Amazon Rekognition.

Vendor: https://docs.aws.amazon.com/rekognition, botocore's service-2.json of 2016-06-27; read 2026-11.
Auth: Signature Version 4 with REKOGNITION_API_KEY (access key id), REKOGNITION_API_SECRET and
REKOGNITION_REGION, signed by botocore and sent by our own guarded client. Temporary keys, which need a
session token, are not taken.
Call: POST / with `X-Amz-Target`. DetectModerationLabels answers at once; a film in S3 is a job, and the same
`ClientRequestToken` is the same job, so that starting it may be repeated.
Limits: JPEG or PNG of 5 MB; rates by account. Billing: per picture and per minute of film; list prices of the
US regions as quoted by others, UNVERIFIED. No cancelling.
Quirks: errors are `__type`, of which the part after `#` counts; an empty list says nothing was found.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from core.answers import Answer as HttpAnswer
from core.errors import Misconfigured, Permanent, PipelineError, Rejected, Retryable
from core.redact import redact
from providers.asking import STATUSES, mime_of, object_in, refusal
from providers.base import Answer, AnswerState, Context, Finding, Quote, Vendor
from providers.models import load

_MODELS = load("rekognition")
_MAX_BYTES = 5 * 1024 * 1024
_LEAST = 60.0
"""Percent of confidence from which on a label counts."""
_STATES = {
    "IN_PROGRESS": AnswerState.RUNNING,
    "SUCCEEDED": AnswerState.SUCCEEDED,
    "FAILED": AnswerState.FAILED,
}
_LATER = {
    *("ThrottlingException", "ProvisionedThroughputExceededException"),
    *("LimitExceededException", "InternalServerError"),
}
_INPUT = {
    *("InvalidParameterException", "InvalidImageFormatException", "ImageTooLargeException"),
    *("InvalidS3ObjectException", "ResourceNotFoundException", "IdempotentParameterMismatchException"),
}
_ACCOUNT = {
    *("AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"),
    *("SignatureDoesNotMatch", "MissingAuthenticationTokenException", "ExpiredTokenException"),
    *("IncompleteSignatureException",),
}


class Rekognition(Vendor):
    slug: ClassVar[str] = "rekognition"
    kind: ClassVar[Literal["moderation"]] = "moderation"
    models: ClassVar[tuple[str, ...]] = _MODELS.ids
    needs: ClassVar[tuple[str, ...]] = ("api_key", "api_secret", "region")

    def __init__(self, context: Context) -> None:
        own = context.own or context.settings.vendor(self.slug)
        self._region = own.region or "us-east-1"
        self.home = f"https://rekognition.{self._region}.amazonaws.com"  # type: ignore[misc]  # by region
        super().__init__(context)
        self.model = context.model or own.model or _MODELS.default
        key, secret = own.api_key, own.api_secret
        self._keys = Credentials(
            key.get_secret_value() if key else "", secret.get_secret_value() if secret else ""
        )

    def quote(self, pictures: int) -> Quote:
        on = self._own.prices_checked_on
        return _MODELS.price(self.model, pictures, today=self._today, checked_on=on)

    def judge(self, picture: Path) -> tuple[Finding, ...]:
        if (mime := mime_of(picture)) not in ("image/jpeg", "image/png"):
            raise Rejected(f"Rekognition takes JPEG and PNG, not {mime}.", field="picture")
        if (size := picture.stat().st_size) > _MAX_BYTES:
            raise Rejected(f"Rekognition takes pictures of {_MAX_BYTES} bytes; this one has {size}.")
        seen = base64.b64encode(picture.read_bytes()).decode()
        asked = {"Image": {"Bytes": seen}, "MinConfidence": _LEAST}
        return _findings(self._call("DetectModerationLabels", asked, write=True).get("ModerationLabels"))

    def start_film(self, bucket: str, name: str, client_token: str) -> str:
        """Have a film in S3 judged; returns the job's id, for the same token the same."""
        asked = {
            "Video": {"S3Object": {"Bucket": bucket, "Name": name}},
            "MinConfidence": _LEAST,
            "ClientRequestToken": client_token[:64],
        }
        started = self._call("StartContentModeration", asked, write=False).get("JobId")
        if not started:
            raise Retryable("Rekognition's answer names no job.", code="bad_answer")
        return str(started)

    def poll_film(self, job_id: str) -> tuple[Answer, tuple[Finding, ...]]:
        """Ask once about a film; what it shows counts when the answer is `succeeded`."""
        found: list[Any] = []
        page = ""
        while True:
            asked = {"JobId": job_id, "MaxResults": 1000, **({"NextToken": page} if page else {})}
            said = self._call("GetContentModeration", asked, write=False)
            state = _STATES.get(str(said.get("JobStatus")), AnswerState.RUNNING)
            found += [one.get("ModerationLabel") for one in said.get("ModerationLabels") or []]
            page = str(said.get("NextToken") or "")
            if not page or state is not AnswerState.SUCCEEDED:
                break
        error = str(said.get("StatusMessage") or "It says no more.") if state is AnswerState.FAILED else None
        return Answer(job_id, state, error=error, raw=said), _findings(found)

    def _call(self, operation: str, asked: dict[str, Any], *, write: bool) -> dict[str, Any]:
        body = json.dumps(asked, separators=(",", ":")).encode()
        url = f"{self.endpoint}/"
        answer = self._http.post(
            url,
            body=body,
            headers=signed(url, body, operation, self._region, self._keys),
            safe=not write,
            expect=STATUSES,
        )
        if answer.status >= 400:
            raise _refusal(answer, write=write)
        try:
            said = answer.json()
        except Permanent:
            said = None
        if not isinstance(said, dict):
            raise refusal("Rekognition", answer, write=write)
        return said


def signed(url: str, body: bytes, operation: str, region: str, keys: Credentials) -> dict[str, str]:
    """The headers of a call, its signature among them."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"RekognitionService.{operation}",
    }
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    SigV4Auth(keys, "rekognition", region).add_auth(request)
    return dict(request.headers.items())


def _findings(labels: Any) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            str(one.get("Name")), float(one.get("Confidence") or 0) / 100, str(one.get("ParentName") or "")
        )
        for one in labels or []
        if isinstance(one, dict) and one.get("Name")
    )


def _refusal(answer: HttpAnswer, *, write: bool) -> PipelineError:
    said = object_in(answer)
    word = str(said.get("__type") or "").rpartition("#")[2]
    message = redact(str(said.get("Message") or said.get("message") or ""))[:300]
    what = f"Rekognition answered {answer.status} ({word}): {message}"
    if word in _LATER:
        return Retryable(what, code=word)
    if word in _ACCOUNT:
        return Misconfigured(
            f"{what} Check REKOGNITION_API_KEY, REKOGNITION_API_SECRET and the rights of that key.", code=word
        )
    if word in _INPUT:
        return Rejected(what, code=word)
    return refusal("Rekognition", answer, write=write, said=message, code=word or None)


ADAPTER = Rekognition
