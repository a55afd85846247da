"""Blank out secrets before a text reaches a log, an error or a person."""

from __future__ import annotations

import logging
import re

_SENSITIVE = r"(?:key|token|secret|signature|sig|password|passwd|authorization|auth|credential|client_id)"
_QUERY = re.compile(rf"(?i)([?&;][\w.%-]*{_SENSITIVE}[\w.-]*=)[^&\s'\"<>#]+")
_FIELD = re.compile(rf"(?i)([\"']?[\w-]*{_SENSITIVE}[\w-]*[\"']?\s*:\s*[\"'])[^\"']+")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|token)\s+[\w.~+/=-]{12,}")
_BOT = re.compile(r"(/bot)\d+:[\w-]+")  # Telegram keeps the token in the path
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_SECRETS = frozenset({
    "key", "api_key", "apikey", "api-key", "client_id", "client_secret", "token", "access_token",
    "secret", "signature", "sig", "password",
})  # fmt: skip


def is_secret(name: str) -> bool:
    """Whether a parameter of exactly this name is a secret; `keywords` and `page_token` are none."""
    return name.casefold() in _SECRETS


def redact(text: str) -> str:
    """Blank out secrets in URLs, headers and JSON, for logs and error messages.

    Each pattern is tried only on a text that has the characters it cannot do without: most of what is
    logged are words, numbers and ids, and every request logs a dozen of them.
    """
    if "@" in text:
        text = _USERINFO.sub("", text)
    if "=" in text:
        text = _QUERY.sub(r"\1***", text)
    if "/bot" in text:
        text = _BOT.sub(r"\1***", text)
    if ":" in text and ("'" in text or '"' in text):
        text = _FIELD.sub(r"\1***", text)
    if len(text.split(None, 1)) > 1:
        text = _SCHEME.sub(r"\1 ***", text)
    return text


class _RedactingFilter(logging.Filter):
    """urllib3 logs whole request lines at DEBUG; keys live in the query of some vendors."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_RedactingFilter())
