"""Vendors that a test makes up: files in a folder of its own that the registry finds as it finds ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import providers
from core.registry import PROVIDERS
from providers import models

_ADAPTER = """
from typing import Any, ClassVar, Literal

from core.settings import VendorSettings
from providers.base import Answer, AnswerState, Context, Handle, Quote, Submitted, Vendor, VideoRequest
from providers.models import load

MODELS = load("{slug}")


class MadeUp(Vendor):
    slug: ClassVar[str] = "{slug}"
    kind: ClassVar[Literal["video"]] = "video"
    models: ClassVar[tuple[str, ...]] = MODELS.ids
    home: ClassVar[str] = "http://127.0.0.1:9"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or MODELS.default

    @classmethod
    def usable(cls, own: VendorSettings) -> str | None:
        return None if {enabled} else "Set {upper}_API_KEY."

    def quote(self, request: VideoRequest) -> Quote:
        model = MODELS.get(self.model, self._today)
        if model.ratios:
            model.ratio_for(request.width, request.height)
        model.check_prompt(request.prompt)
        model.check_audio(request.audio)
        seconds = model.seconds_for(request.frames / request.fps)
        return model.quote(seconds, today=self._today, audio=request.audio)


ADAPTER = MadeUp
"""


def model(
    name: str,
    *,
    amount: int | None = None,
    with_audio: int | None = None,
    currency: str = "USD",
    expired: bool = False,
    **more,
) -> str:
    """A `[[models]]` table; without an amount it has no price."""
    values = {"capabilities": ["text_to_video"], "durations": [5, 10], **more}
    lines = ["[[models]]", f'id = "{name}"', *(f"{key} = {_toml(value)}" for key, value in values.items())]
    if amount is not None:
        until = "2026-06-01" if expired else "9999-01-01"
        lines += [
            "[models.price]", 'unit = "second"', f'currency = "{currency}"', f"amount = {amount}",
            'source = "made up"', "checked_on = 2026-01-01", f"expires_at = {until}",
            f"examples = [{{ seconds = 2, cost = {2 * amount} }}]",
        ]  # fmt: skip
        lines += [] if with_audio is None else [f"with_audio = {with_audio}"]
    return "\n".join(lines) + "\n"


def write_vendor(folder: Path, slug: str, *tables: str, enabled: bool = True) -> None:
    adapter = _ADAPTER.format(slug=slug, upper=slug.upper(), enabled=enabled)
    (folder / f"{slug}.py").write_text(adapter)
    (folder / f"{slug}.toml").write_text("\n".join(tables))


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Have the package of providers reach into this folder, too."""
    providers.__path__.append(str(folder))
    _forget()
    try:
        yield
    finally:
        providers.__path__.remove(str(folder))
        for path in folder.glob("*.py"):
            sys.modules.pop(f"providers.{path.stem}", None)
        _forget()


def _forget() -> None:
    PROVIDERS._adapters = None
    models.load.cache_clear()
    models.has_models.cache_clear()


def _toml(value) -> str:
    if isinstance(value, str):
        return value if value[:4].isdigit() else f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"')
