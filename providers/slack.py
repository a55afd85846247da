"""Tell people in Slack what became of a job.

Vendor: https://docs.slack.dev (chat.postMessage), python-slack-sdk; read 2026-11. Host: slack.com/api.
Auth: `Authorization: Bearer <SLACK_API_KEY>`, a bot token (xoxb-…) with the scope `chat:write`;
SLACK_RECIPIENT is the id of a channel the bot is in. Limits: about a message a second and channel; texts of
4000 characters here.
Billing: none. No token of ours: a message without an answer is not sent again.
Quirks: refusals are HTTP 200 with `{"ok": false, "error": "…"}`; an unknown word is final.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from core.answers import retry_after
from core.errors import Misconfigured, PipelineError, Rejected, Retryable, Unconfirmed
from providers.asking import STATUSES, object_in, refusal
from providers.base import Context, Vendor

_LIMIT = 4000
_LATER = {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_ACCOUNT = {
    *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "missing_scope"),
    *("channel_not_found", "not_in_channel", "is_archived"),
}


class Slack(Vendor):
    slug: ClassVar[str] = "slack"
    kind: ClassVar[Literal["notification"]] = "notification"
    models: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ("api_key", "recipient")
    home: ClassVar[str] = "https://slack.com/api"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        key = self._own.api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def notify(self, text: str, link: str = "") -> None:
        said = _escaped(text)[: _LIMIT - len(link) - 10]
        answer = self._http.post(
            f"{self.endpoint}/chat.postMessage",
            json_body={"channel": self._own.recipient, "text": f"{said}\n<{link}>" if link else said},
            headers=self._headers,
            expect=STATUSES,
        )
        if answer.status >= 400:
            raise refusal("Slack", answer, write=True)
        body = object_in(answer)
        if body.get("ok") is True:
            return
        raise _refused(str(body.get("error") or ""), retry_after(answer))


def _escaped(text: str) -> str:
    """Slack reads `<…>` as links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _refused(word: str, wait: float | None) -> PipelineError:
    what = f"Slack refused a message: {word or 'without a word'}."
    if not word:
        return Unconfirmed(what)
    if word in _LATER:
        return Retryable(what, retry_after=wait, code=word)
    if word in _ACCOUNT:
        return Misconfigured(f"{what} Check SLACK_API_KEY, its scopes, and SLACK_RECIPIENT.", code=word)
    return Rejected(what, code=word)


ADAPTER = Slack
