"""Read the callbacks of the Gemini API: thin, so that they never say more than what to ask about.

Two sorts of signature. An address named in a request gets an RS256 token, whose keys the vendor publishes.
Whom it is for is not documented: where it names an address, that has to be ours. Whether it covers the body
is not documented either, so it is enough to ask and for nothing else. An address registered for the whole
project gets Standard Webhooks, signed with that registration's secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from core.errors import Rejected
from core.http import HttpClient
from providers.base import Callback
from providers.published_keys import PublishedKeys
from providers.webhooks import verify_standard, verify_token

_KEYS = PublishedKeys()
_ENDED = ("interaction.", "video.")


def parse_event(
    http: HttpClient,
    endpoint: str,
    secret: SecretStr | None,
    ours: str | None,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
) -> Callback:
    """Return which of our submissions to ask about; raises Rejected as `parse_callback` does.

    `ours` is the address that requests name.
    """
    signature = headers.get("webhook-signature", "")
    if "," not in signature:
        event_id = headers.get("webhook-id", "")
        if not event_id or not signature:
            raise Rejected("This callback is not signed.", code="unsigned")
        claims = _verify_published(http, f"{endpoint}/.well-known/jwks.json", signature, now)
        audience = claims.get("aud")
        named = [one for one in (audience if isinstance(audience, list) else [audience]) if "://" in str(one)]
        if named and ours not in named:
            raise Rejected("This callback is for somebody else.", code="bad_signature")
    elif secret is None:
        raise Rejected("A registered callback came, and no webhook secret is set.", code="bad_signature")
    else:
        event_id = verify_standard(secret.get_secret_value(), headers, body, now)
    try:
        event = json.loads(body)
        kind, subject = str(event["type"]), str(event["data"]["id"])
    except (ValueError, TypeError, KeyError):
        raise Rejected("This callback names no submission.", code="bad_callback") from None
    return Callback(event_id, ask=(subject,) if kind.startswith(_ENDED) else ())


def _verify_published(http: HttpClient, where: str, token: str, now: float) -> dict[str, Any]:
    try:
        return verify_token(token, {"keys": _KEYS.get(http, where, now)}, now)
    except Rejected as error:
        if error.code != "bad_signature":
            raise
    # The vendor may have changed its keys within the day.
    return verify_token(token, {"keys": _KEYS.get(http, where, now, newer=True)}, now)
