"""What adapters of takes share: words, pictures and links of a request, and the sorting of refusals."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from core.answers import Answer as HttpAnswer
from core.answers import retry_after
from core.errors import Misconfigured, Permanent, PipelineError, Rejected, Retryable, Unconfirmed
from core.http import HttpClient
from core.redact import redact
from providers.base import Context, Quote, Vendor, VideoRequest
from providers.models import Model, Models

STATUSES = tuple(range(400, 600))
"""For `expect`: adapters read refusals themselves, since vendors say more than a status."""
MAX_BYTES = 2 << 30
_GONE = ("http_403", "http_404", "http_410")
_PICTURES = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG", "image/webp": b"RIFF"}
"""By their first bytes: files of the store have no endings."""


def words_for(request: VideoRequest) -> str:
    """What is asked for in words, for models whose camera has no field of its own."""
    prompt = request.prompt.strip()
    if prompt and request.move not in (None, "auto"):
        prompt = f"{prompt.rstrip('.')}. Camera: {request.move}."
    return prompt


def mime_of(picture: Path) -> str:
    """The type of a picture; raises Rejected, naming those that may be sent."""
    with picture.open("rb") as stream:
        head = stream.read(12)
    for mime, begins in _PICTURES.items():
        if head.startswith(begins) and (mime != "image/webp" or head[8:] == b"WEBP"):
            return mime
    raise Rejected(
        f"A reference picture is one of {', '.join(_PICTURES)}.", code="bad_reference", field="reference"
    )


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a JPEG or PNG, by its header: no picture library is loaded to ask for a price."""
    with picture.open("rb") as stream:
        head = stream.read(24)
        try:
            if head.startswith(_PICTURES["image/png"]):
                return struct.unpack(">II", head[16:24])
            stream.seek(2)
            while True:  # segments of a JPEG up to its frame, which is any of C0 to CF but three
                begins, kind, length = struct.unpack(">BBH", stream.read(4))
                if begins != 0xFF:
                    break
                if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
                    height, width = struct.unpack(">xHH", stream.read(5))
                    return width, height
                stream.seek(length - 2, os.SEEK_CUR)
        except struct.error:
            pass
    raise Rejected("This reference picture cannot be read.", code="bad_reference", field="reference")


def data_uri(picture: Path) -> str:
    """A picture as text, for vendors that take it inside the request."""
    return f"data:{mime_of(picture)};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def data_uri_length(picture: Path) -> int:
    """Characters that `data_uri` will have, without reading the picture."""
    return len(f"data:{mime_of(picture)};base64,") + 4 * ((picture.stat().st_size + 2) // 3)


def quote_take(model: Model, request: VideoRequest, today: date, *, seconds: int | None = None) -> Quote:
    """Price a take, of `seconds` where they hang on more than the shot; raises Rejected as the model does."""
    if request.clip is not None:
        raise Rejected(f"{model.id} is shown pictures, no clips.", code="no_reference", field="reference")
    model.check_prompt(words_for(request))
    model.check_audio(request.audio)
    model.check_image(request.image)
    if request.image is None and not model.can("text_to_video"):
        raise Rejected(f"{model.id} makes films from a picture only.", code="no_reference", field="reference")
    frame = (request.width, request.height)
    key = (
        resolution_of(model, request) if model.resolutions else model.size_for(*frame) if model.sizes else ""
    )
    length = seconds or model.seconds_for(request.frames / request.fps)
    return model.quote(length, key, today=today, audio=request.audio)


def resolution_of(model: Model, request: VideoRequest) -> str:
    """The resolution that fits; some models make sound at one alone, their `wire.audio_resolution`."""
    if request.audio and "audio_resolution" in model.wire:
        return str(model.wire["audio_resolution"])
    return model.resolution_for(request.width, request.height)


class TakeVendor(Vendor):
    """A vendor of takes, whose models stand in `table`."""

    kind: ClassVar[Literal["video"]] = "video"
    table: ClassVar[Models]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or self._own.model or self.table.default

    def quote(self, request: VideoRequest) -> Quote:
        return self._quote(self.table.get(self.model, self._today), request)

    def _quote(self, model: Model, request: VideoRequest, *, seconds: int | None = None) -> Quote:
        """Price a take, of `seconds` where they hang on more than the shot."""
        return quote_take(model.confirmed(self._own.prices_checked_on), request, self._today, seconds=seconds)


def switches(model: Model, request: VideoRequest) -> dict[str, Any]:
    """What a model is given whatever is asked, `wire.input`, and with sound, `wire.input_with_audio`."""
    wire = model.wire
    return {**wire.get("input", {}), **(wire.get("input_with_audio", {}) if request.audio else {})}


def input_for(model: Model, request: VideoRequest, shown: str | None) -> dict[str, Any]:
    """What a hosted model is given, in its own words; `shown` is its picture as the host takes it."""
    wire = model.wire
    seconds = model.seconds_for(request.frames / request.fps)
    asked: dict[str, Any] = {"prompt": words_for(request), **switches(model, request)}
    asked["duration"] = wire["duration"].format(seconds) if "duration" in wire else seconds
    if model.resolutions:
        resolution = resolution_of(model, request)
        asked[wire.get("resolution", "resolution")] = wire.get("resolutions", {}).get(resolution, resolution)
    if wire.get("seed"):
        asked["seed"] = request.seed
    if shown is not None:  # the film takes the picture's shape
        asked[wire["image"]] = shown
    elif model.ratios:
        asked["aspect_ratio"] = model.ratio_for(request.width, request.height)
    return asked


def words_in(body: Mapping[str, Any], *names: str) -> str:
    """What a refusal says in these of its fields."""
    return ": ".join(str(body[name]) for name in names if body.get(name))


def is_at(url: str, *places: str) -> bool:
    """Tell whether `url` is on the same host and port as an address, or within a domain, of the vendor's."""
    there = urlsplit(url)
    for place in places:
        if "://" in place:
            own = urlsplit(place)
            if (there.scheme, there.netloc) == (own.scheme, own.netloc):
                return True
        elif there.scheme == "https" and (
            there.hostname == place or (there.hostname or "").endswith(f".{place}")
        ):
            return True
    return False


def object_in(answer: HttpAnswer) -> dict[str, Any]:
    """The JSON object of an answer; empty when it is anything else."""
    try:
        body = answer.json()
    except Permanent:
        return {}
    return body if isinstance(body, dict) else {}


def refusal(
    vendor: str,
    answer: HttpAnswer,
    *,
    write: bool,
    said: str = "",
    code: str | None = None,
    repeat: bool | None = None,
) -> PipelineError:
    """Sort what a vendor answered instead of a success.

    `said` and `code` are what its body says. `repeat` is the vendor's own word on trying again; it decides
    where the request was certainly refused, never where nobody knows what became of it.
    """
    status = answer.status
    ours = code or f"http_{status}"
    what = (
        f"{vendor} answered {status}{f' ({code})' if code else ''}: {redact(said)[:300] or answer.excerpt()}"
    )
    slug = vendor.upper()
    if status < 400:
        return Unconfirmed(what) if write else Retryable(what, code="bad_answer")
    if status >= 500 or status == 408:
        if write:
            return Unconfirmed(f"{what} Nobody knows whether it was accepted.")
        if repeat is False:
            return Permanent(what, code=ours)
        return Retryable(what, retry_after=retry_after(answer), code=ours)
    if status in (401, 402, 403):
        return Misconfigured(f"{what} Check the account and {slug}_API_KEY.", code=ours)
    if repeat or (status == 429 and repeat is None):
        return Retryable(what, retry_after=retry_after(answer), code="throttled" if status == 429 else ours)
    if status == 404:
        return Misconfigured(f"{what} Check {slug}_MODEL and {slug}_URL.", code=ours)
    if status in (400, 422):
        return Rejected(what, code=ours)
    return Permanent(what, code=ours)


def download(http: HttpClient, url: str, out: Path, *, headers: Mapping[str, str] | None = None) -> None:
    """Copy a result. A link that leads nowhere may have run out: a fresh answer has another."""
    try:
        http.download(url, out, MAX_BYTES, headers=headers)
    except Permanent as error:
        if error.code in _GONE:
            raise Retryable(f"The result is not there: {error.message}", code="result_missing") from None
        raise
