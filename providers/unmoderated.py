"""Judge nothing: what is asked where a brief wants no moderation.

Vendor: none. Auth: none. Limits: none. Billing: free.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from core.settings import Settings
from providers.base import FREE, Context, Finding, Quote


class Unmoderated:
    slug: ClassVar[str] = "none"
    kind: ClassVar[Literal["moderation"]] = "moderation"
    local: ClassVar[bool] = True

    def __init__(self, context: Context) -> None:
        self._context = context
        self.model = ""

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:  # noqa: ARG003 - it needs none
        return None

    def quote(self, pictures: int) -> Quote:  # noqa: ARG002 - the price is nought for any number
        return FREE

    def judge(self, picture: Path) -> tuple[Finding, ...]:  # noqa: ARG002 - it does not look
        return ()


ADAPTER = Unmoderated
