"""How simulated vendors sign their callbacks, by Standard Webhooks (standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac

SECRET = "whsec_c2ltdWxhdG9yLXdlYmhvb2stc2VjcmV0LTAwMQ=="  # noqa: S105 (everybody may know it)
"""What every simulated vendor signs with; give it to an installation as `<SLUG>_WEBHOOK_SECRET`."""


def sign_standard(event_id: str, body: bytes, now: float, secret: str = SECRET) -> dict[str, str]:
    """The three headers of a callback."""
    key, said = base64.b64decode(secret.removeprefix("whsec_")), str(int(now))
    made = hmac.new(key, b".".join((event_id.encode(), said.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": said,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }
