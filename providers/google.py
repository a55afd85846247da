"""What Google's film vendors share: who may have the key, how they refuse, and films inside an answer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.answers import Answer as HttpAnswer
from core.answers import retry_after
from core.errors import Misconfigured, Moderated, Permanent, PipelineError, Retryable
from core.http import HttpClient
from core.redact import redact
from providers.asking import STATUSES, download, is_at, refusal

KEY_HOST = "generativelanguage.googleapis.com"
_FILE = re.compile(r"files/([A-Za-z0-9_-]+)")
_SPENT = re.compile(r"per ?day|daily|spend|billing|prepa(?:id|y)", re.IGNORECASE)
_POLICY = re.compile(r"safety|polic(?:y|ies)|prohibited|responsible ai|support code", re.IGNORECASE)
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def by_policy(said: str) -> bool:
    """Tell whether a refusal is about what a film would show: there is no code for that, only words."""
    return bool(_POLICY.search(said))


def refused(slug: str, answer: HttpAnswer, *, write: bool) -> PipelineError:
    """Sort a refusal. Bodies have a number, a status word or a code of their own, or are a list of one."""
    error = error_in(answer)
    said, status = str(error.get("message") or ""), answer.status
    code = str(error.get("status") or error.get("code") or "")
    details = [detail for detail in error.get("details") or [] if isinstance(detail, dict)]
    reason = next((str(detail["reason"]) for detail in details if "reason" in detail), code)
    told = redact(said)[:300] or answer.excerpt()
    what = f"{slug} answered {status}{f' ({reason})' if reason else ''}: {told}"
    unpaid = status == 429 and _SPENT.search(said)
    if unpaid or (status == 400 and reason in ("API_KEY_INVALID", "FAILED_PRECONDITION")):
        return Misconfigured(f"{what} Check the account and {slug.upper()}_API_KEY.", code=reason.lower())
    if status == 400 and by_policy(said):
        return Moderated(what, code="moderated", field="prompt")
    if status == 429:
        delays = [_DELAY.fullmatch(str(detail.get("retryDelay"))) for detail in details]
        wait = next((float(delay[1]) for delay in delays if delay), None)
        return Retryable(what, retry_after=retry_after(answer) or wait, code="throttled")
    return refusal(slug, answer, write=write, said=said, code=code.lower() or None)


def error_in(answer: HttpAnswer) -> Mapping[str, Any]:
    """The error of an answer; empty where its body is not one of Google's."""
    try:
        body = answer.json()
    except Permanent:
        return {}
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def object_from(slug: str, answer: HttpAnswer, *, write: bool = False) -> dict[str, Any]:
    """The object that a call answered with; raises what a refusal means."""
    try:
        body = answer.json() if answer.status < 400 else None
    except Permanent:
        body = None
    if not isinstance(body, dict):
        raise refused(slug, answer, write=write)
    return body


def fetch_file(
    http: HttpClient, slug: str, endpoint: str, uri: str, headers: Mapping[str, str], out: Path
) -> None:
    """Copy what the Files API keeps. The key goes to the vendor alone, whatever an answer says."""
    found = _FILE.search(uri)
    if found is None or not is_at(uri, endpoint, KEY_HOST):
        download(http, uri, out)
        return
    address = f"{endpoint}/v1beta/files/{found[1]}"
    answer = http.get(address, headers=headers, expect=STATUSES)
    if answer.status in (404, 410):
        raise Retryable("The result is not there.", code="result_missing")
    state = object_from(slug, answer).get("state")
    if state == "FAILED":
        raise Permanent("The vendor could not keep the film.", code="result_failed")
    if state == "PROCESSING":
        raise Retryable("The film is not ready to be copied yet.", code="no_result")
    download(http, f"{address}:download?alt=media", out, headers=headers)


def save(coded: Any, out: Path) -> None:
    """Write a film that came as base64, whole or not at all."""
    try:
        film = base64.b64decode(coded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        film = b""
    if not film:
        raise Retryable("The film in the answer cannot be read.", code="no_result")
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_bytes(film)
        part.replace(out)
    except OSError as error:
        raise Retryable(f"cannot write a film: {error.strerror}", code="disk") from error
    finally:
        part.unlink(missing_ok=True)


def without_bytes(said: Any) -> Any:
    """The same answer with its films left out, short enough to be kept beside a submission."""
    if isinstance(said, dict):
        return {
            name: f"{len(value)} characters"
            if name in ("data", "bytesBase64Encoded") and isinstance(value, str)
            else without_bytes(value)
            for name, value in said.items()
        }
    return [without_bytes(one) for one in said] if isinstance(said, list) else said
