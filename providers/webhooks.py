"""Check the signatures of vendors' callbacks, on the raw bytes as they came.

Standard Webhooks (standardwebhooks.com; OpenAI, Kling, Replicate, Gemini's own endpoints): headers
`webhook-id`, `webhook-timestamp` in seconds and `webhook-signature`, a list of `v1,<base64>` separated by
spaces while a secret is exchanged; HMAC-SHA256 over `{id}.{timestamp}.{body}`.

Signed tokens (JWT; Gemini's endpoints named per request): RS256 with the vendor's published keys, or HS256
with a shared secret; which of them is the adapter's choice, never the token's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Literal

import jwt

from core.errors import Misconfigured, Rejected

WINDOW = 300.0
"""Seconds that a callback may be old, or early where clocks differ."""


def verify_standard(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    *,
    bare: Literal["base64", "text"] = "base64",
) -> str:
    """Return the id of a signed event; raises Rejected when it is not signed with `secret`, or too old.

    `bare` says how the vendor reads a secret without `whsec_` before it; after it, all mean base64.
    """
    key = _key(secret, bare)
    event_id, said, signatures = (
        headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not event_id or not signatures:
        raise Rejected("This callback is not signed.", code="unsigned")
    check_time(said, now)
    made = hmac.new(key, f"{event_id}.{said}.".encode() + body, hashlib.sha256).digest()
    ours = base64.b64encode(made)
    given = [one.removeprefix("v1,").encode() for one in signatures.split() if one.startswith("v1,")]
    if not any(hmac.compare_digest(ours, one) for one in given):
        raise Rejected("This callback is not signed by the vendor.", code="bad_signature")
    return event_id


def check_time(said: str, now: float) -> None:
    """Raise Rejected for a callback whose time, in seconds, is not about now."""
    if not re.fullmatch(r"[0-9]{1,12}", said) or abs(now - int(said)) > WINDOW:
        raise Rejected("This callback is too old, or its clock is wrong.", code="stale_callback")


def verify_token(
    token: str,
    keys: str | Mapping[str, Any],
    now: float,
    *,
    audience: str | None = None,
) -> dict[str, Any]:
    """Return the claims of a signed token; raises Rejected when it is not the vendor's, or too old.

    `keys` is a shared secret (HS256) or a published key set (RS256, picked by `kid`). A token must say when
    it was made or when it ends. `audience` None = the vendor does not say whom its tokens are for.
    """
    try:
        if isinstance(keys, str):
            if not keys:
                raise Misconfigured("A webhook secret is empty.")
            key: Any = keys
            algorithm = "HS256"
        else:
            key = jwt.PyJWKSet.from_dict(dict(keys))[jwt.get_unverified_header(token).get("kid", "")].key
            algorithm = "RS256"
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            # Times are held against `now` below, not against this machine's clock.
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": audience is not None,
            },
        )
    except (jwt.PyJWTError, KeyError, ValueError, TypeError):
        raise Rejected("This callback is not signed by the vendor.", code="bad_signature") from None
    try:
        begins = float(claims.get("nbf", claims.get("iat", now if "exp" in claims else "")))
        ends = float(claims.get("exp", begins + WINDOW))  # as long as a Standard Webhooks signature lives
    except (TypeError, ValueError):
        raise Rejected("This callback does not say when it was signed.", code="stale_callback") from None
    if not begins - WINDOW <= now <= ends:
        raise Rejected("This callback is too old, or its clock is wrong.", code="stale_callback")
    return claims


def _key(secret: str, bare: Literal["base64", "text"]) -> bytes:
    text = secret.strip()
    coded = text.removeprefix("whsec_")
    try:
        if coded == text and bare == "text":
            key = text.encode()
        else:
            key = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:  # an empty key signs for everybody
        raise Misconfigured("A webhook secret is not one: it is `whsec_` and base64, as the vendor shows it.")
    return key
