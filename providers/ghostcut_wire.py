"""GhostCut on the wire: signed bodies, uploads, and what a refusal's code means; see `providers.ghostcut`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from core.answers import Answer as HttpAnswer
from core.answers import retry_after
from core.errors import Misconfigured, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.redact import redact
from providers.asking import STATUSES, object_in, refusal

DOOR = "/v-w-c/gateway/ve"
MAX_UPLOAD = 200 * 10**6
UNKNOWN_ID = "ghostcut_3003"
_ACCEPTED = 1000
_ACCOUNT = {2001, 2003, 2004, 3007}
_BUSY = {3006}
_TROUBLE = {3001, 3002, 9999}
_ASKED_WRONGLY = {3008, 4001, 4002, 4003, 4004}


class Wire:
    """Calls in the name of one account."""

    def __init__(self, http: HttpClient, endpoint: str, key: str, secret: str) -> None:
        self._http, self._endpoint, self._key, self._secret = http, endpoint, key, secret

    def call(self, path: str, payload: dict[str, Any], *, write: bool) -> dict[str, Any]:
        """Post a signed body and return the `body` of the answer."""
        raw = compact(payload).encode()
        headers = {
            "Content-Type": "application/json",
            "AppKey": self._key,
            "AppSign": sign(raw, self._secret),
        }
        answer = self._http.post(
            f"{self._endpoint}{DOOR}{path}", body=raw, headers=headers, safe=not write, expect=STATUSES
        )
        said = object_in(answer)
        if (
            answer.status < 400
            and number_in(said.get("code")) == _ACCEPTED
            and isinstance(said.get("body"), dict)
        ):
            return dict(said["body"])
        raise _refusal(answer, said, write=write)

    def upload(self, clip: Path, name: str) -> str:
        """Put the clip into the vendor's store; costs nothing, so it may be repeated."""
        size = clip.stat().st_size
        if size > MAX_UPLOAD:
            raise Rejected(
                f"The clip has {size} bytes; {MAX_UPLOAD} at most are uploaded. Where PUBLIC_URL reaches "
                "this installation from outside, GhostCut reads larger ones itself.",
                code="too_large",
                field="asset_id",
            )
        asked = {"nonce": name, "materialFileType": "video", "expireSeconds": 3600}
        policy = self.call("/file/upload/policy/apply", asked, write=False)
        named = ("host", "dir", "accessid", "policy", "signature", "base64CallbackBody", "urlPrefix")
        if missing := [key for key in named if not isinstance(policy.get(key), str)]:
            raise Retryable(f"GhostCut's upload policy has no {missing[0]}.", code="bad_answer")
        answer = self._http.post(
            policy["host"],
            form={
                "key": policy["dir"] + name,
                "OSSAccessKeyId": policy["accessid"],
                "policy": policy["policy"],
                "signature": policy["signature"],
                "callback": policy["base64CallbackBody"],
                "success_action_status": "200",
            },
            files={"file": (name, clip.read_bytes(), "video/mp4")},
            safe=True,
            expect=STATUSES,
            read_timeout=120.0,
        )
        if answer.status >= 400:
            raise refusal("GhostCut", answer, write=False)
        if object_in(answer).get("Status") != "OK":
            raise Retryable(f"GhostCut's store did not take the clip: {answer.excerpt()}", code="bad_answer")
        return str(policy["urlPrefix"] + name)


def sign(body: bytes, secret: str) -> str:
    """Sign a body as the vendor does, requests and callbacks alike."""
    inner = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return hashlib.md5(f"{inner}{secret}".encode(), usedforsecurity=False).hexdigest()


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def number_in(said: Any) -> int | None:
    text = str(said)
    return int(text) if text.removeprefix("-").isdigit() else None


def _refusal(answer: HttpAnswer, said: dict[str, Any], *, write: bool) -> PipelineError:
    """Sort a refusal by the code in its body; which HTTP status it has is not documented."""
    code = number_in(said.get("code"))
    message = redact(str(said.get("msg") or ""))[:300]
    what, ours = f"GhostCut answered {code}: {message}", f"ghostcut_{code}"
    if code in _ACCOUNT:
        return Misconfigured(f"{what} Check GHOSTCUT_API_KEY and GHOSTCUT_API_SECRET.", code=ours)
    if code in _BUSY:
        return Retryable(what, retry_after=retry_after(answer), code="throttled")
    if code in _TROUBLE:
        if write:
            return Unconfirmed(f"{what} Nobody knows whether it was accepted.")
        return Retryable(what, retry_after=retry_after(answer), code=ours)
    if code in _ASKED_WRONGLY:
        return Rejected(what, code=ours)
    if code in (2002, 3003):
        return Permanent(what, code=ours)
    return refusal("GhostCut", answer, write=write, said=message, code=ours if code is not None else None)
