"""Where takes are bought in tests: each vendor's adapter, and the simulated vendor that it speaks to."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.http import HttpClient
from core.settings import Settings, VendorSettings
from providers.base import Context, Vendor, VideoRequest
from providers.fal import Fal
from providers.gemini_omni import GeminiOmni
from providers.replicate import Replicate
from providers.runway import Runway
from providers.sora import Sora
from providers.veo import Veo
from providers.veo_vertex import VeoVertex
from tests.simulated import VendorHere

ASK = VideoRequest("shot", "A fox in the snow", width=426, height=240, fps=24, frames=96)


@dataclass(frozen=True)
class Shop:
    """`pixels` are those of a picture it takes; `open_models`: it may be asked for any; `known`: at a price;
    `forgets` says that an unknown id has run out.
    """

    adapter: type[Vendor]
    key: str
    model: str | None = None
    pixels: tuple[int, int] = (2, 2)
    open_models: bool = False
    known: bool = True
    request: VideoRequest = ASK
    settings: Mapping[str, str] = field(default_factory=dict)
    forgets: bool = False

    def open(
        self, vendor: VendorHere, *, key: str | None = None, model: str | None = None, **more: Any
    ) -> Any:
        own = self.own(f"{vendor.url}/{self.adapter.slug}", key=key)
        return open_at(self.adapter, own, vendor.url, model=model or self.model, **more)

    def own(self, url: str, *, key: str | None = None, **more: Any) -> VendorSettings:
        said = {"prices_checked_on": CHECKED_ON, **self.settings, **more}
        return VendorSettings(api_key=key or self.key, url=url, **said)


def open_at(
    adapter: type[Vendor], own: VendorSettings, url: str, *, callback_url: str | None = None, **more: Any
) -> Any:
    """An adapter with these settings that may speak to the server at `url`; `more` is for its HTTP client."""
    said = {name: more.pop(name) for name in ("model", "endpoint", "today") if name in more}
    wanted = {"retry_for": 0, "sleep": lambda _: None, "timeout": (5, 60), **more}
    http = HttpClient(allow=[url.removeprefix("http://")], **wanted)
    return adapter(Context(http, Settings(), own=own, callback_url=callback_url, **said))


CHECKED_ON = datetime.now(UTC).date()
"""Rate cards may expire, tests of them not."""
FAL = Shop(Fal, "key-id:key-secret-0123456789")
REPLICATE = Shop(Replicate, "r8_secret0123456789")
RUNWAY = Shop(Runway, "key_secret0123456789")
VEO = Shop(Veo, "gemini-key-0123456789", known=False, forgets=True)
GEMINI_OMNI = Shop(
    GeminiOmni, "gemini-key-0123456789", request=replace(ASK, width=1280, height=720), forgets=True
)
VEO_VERTEX = Shop(VeoVertex, "ya29.token-0123456789", settings={"project": "films"}, forgets=True)
SORA = Shop(Sora, "sk-secret0123456789", pixels=(1280, 720), open_models=True, known=False)
SHOPS = {shop.adapter.slug: shop for shop in (FAL, REPLICATE, RUNWAY, SORA, VEO, VEO_VERTEX, GEMINI_OMNI)}


def picture(folder: Path, name: str = "picture", size: int = 0, pixels: tuple[int, int] = (2, 2)) -> Path:
    """A red PNG, filled up to `size` bytes; files of the store have no endings."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width, height = pixels
    rows = zlib.compress((b"\x00" + b"\xff\x00\x00" * width) * height)
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path = folder / name
    path.write_bytes(data + bytes(max(0, size - len(data))))
    return path


def tampered(body: bytes, now: float) -> list[tuple[dict[str, str], bytes, float]]:
    """Ways in which a callback that follows Standard Webhooks is not the vendor's, or not of now."""
    return [
        ({}, body + b" ", now),
        ({"webhook-id": "another"}, body, now),
        ({"webhook-timestamp": str(int(now) + 1)}, body, now),
        ({"webhook-timestamp": "9" * 5000}, body, now),
        ({"webhook-signature": ""}, body, now),
        ({}, body, now + 301),
        ({}, body, now - 301),
    ]
