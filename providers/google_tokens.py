"""Access tokens of a Google service account: signed for with its key, kept for as long as they are good.

Read in 2026-11: developers.google.com/identity/protocols/oauth2/service-account, and google-auth's source.
"""

from __future__ import annotations

import hashlib
import json
from threading import Lock
from typing import Any

import jwt

from core.errors import Misconfigured, Permanent, PipelineError, Rejected, Retryable
from core.http import HttpClient

_HOME = "https://oauth2.googleapis.com/token"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR = 3600
_EARLY = 300
"""Seconds before its end that a token is renewed: longer than any call takes."""


class ServiceTokens:
    """Tokens by account, shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, tuple[float, str]] = {}

    def get(self, http: HttpClient, setting: str, account: str, now: float) -> str:
        """Return a token for the account whose key file `account` is; `setting` is where that stands.

        Raises Misconfigured when it is no key file, or one that the vendor does not take.
        """
        name = hashlib.sha256(account.encode()).hexdigest()
        with self._lock:
            ends, token = self._kept.get(name, (0.0, ""))
            if now >= ends - _EARLY:
                ends, token = _ask(http, setting, account, now)
                self._kept[name] = (ends, token)
            return token


def _ask(http: HttpClient, setting: str, account: str, now: float) -> tuple[float, str]:
    try:
        key: dict[str, str] = json.loads(account)
        where, begins = key.get("token_uri", _HOME), int(now)
        claims = {"iss": key["client_email"], "scope": _SCOPE, "aud": _HOME}
        times = {"iat": begins, "exp": begins + _HOUR}
        named = {"kid": key["private_key_id"]}
        signed = jwt.encode({**claims, **times}, key["private_key"], "RS256", headers=named)
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError):
        raise Misconfigured(f"{setting} is not the JSON key file of a service account.") from None
    try:
        answer: Any = http.post(where, form={"grant_type": _GRANT, "assertion": signed}, safe=True).json()
        return now + float(answer.get("expires_in", _HOUR)), str(answer["access_token"])
    except Retryable:
        raise
    except (Rejected, Permanent) as error:
        raise Misconfigured(f"The account of {setting} is refused: {error.message}") from None
    except (PipelineError, AttributeError, KeyError, TypeError, ValueError):
        raise Retryable("The vendor's answer has no token in it.", code="bad_answer") from None
