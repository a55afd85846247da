"""Tell people in Telegram what became of a job.

Vendor: https://core.telegram.org/bots/api (sendMessage); read 2026-11. Host: api.telegram.org, or a server of
one's own. Auth: TELEGRAM_API_KEY, the bot's token, stands in the path: addresses are never logged whole.
TELEGRAM_RECIPIENT is the id of a chat (negative for a group), or @name of a channel.
Limits: texts of 4096 characters; about a message a second and chat, 20 a minute and group. Billing: none.
No token of ours: a message without an answer is not sent again.
Quirks: 429 says how long to wait in `parameters.retry_after`; a group that became a supergroup has another
id, which the refusal names. Sent without a parse mode, so no text can break the message.
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from core.errors import Misconfigured, Retryable
from core.settings import VendorSettings
from providers.asking import STATUSES, object_in, refusal
from providers.base import Context, Vendor

_LIMIT = 4096
_TOKEN = re.compile(r"\d+:[\w-]+")


class Telegram(Vendor):
    slug: ClassVar[str] = "telegram"
    kind: ClassVar[Literal["notification"]] = "notification"
    models: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ("api_key", "recipient")
    home: ClassVar[str] = "https://api.telegram.org"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        key = self._own.api_key
        self._token = key.get_secret_value() if key else ""

    @classmethod
    def usable(cls, own: VendorSettings) -> str | None:
        if own.api_key and not _TOKEN.fullmatch(own.api_key.get_secret_value()):
            return "TELEGRAM_API_KEY must be a bot's token, such as 123456:ABC-DEF."
        return super().usable(own)

    def notify(self, text: str, link: str = "") -> None:
        said = text[: _LIMIT - len(link) - 2]
        answer = self._http.post(
            f"{self.endpoint}/bot{self._token}/sendMessage",
            json_body={"chat_id": self._own.recipient, "text": f"{said}\n{link}" if link else said},
            expect=STATUSES,
        )
        body = object_in(answer)
        if answer.status < 400 and body.get("ok") is True:
            return
        said = str(body.get("description") or "")
        more = body.get("parameters")
        facts = more if isinstance(more, dict) else {}
        if answer.status == 429:
            wait = facts.get("retry_after")
            raise Retryable(
                f"Telegram answered 429: {said}",
                retry_after=float(wait) if isinstance(wait, int | float) else None,
                code="throttled",
            )
        if moved := facts.get("migrate_to_chat_id"):
            raise Misconfigured(f"Telegram: {said}. Set TELEGRAM_RECIPIENT to {moved}.", code="chat_moved")
        if answer.status in (400, 403, 404):
            raise Misconfigured(
                f"Telegram answered {answer.status}: {said}. Check TELEGRAM_RECIPIENT and the bot's rights.",
                code=f"http_{answer.status}",
            )
        raise refusal("Telegram", answer, write=True, said=said)


ADAPTER = Telegram
