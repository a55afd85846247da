"""Remove burnt-in text from clips with GhostCut (Zhaoli).

Vendor: https://github.com/zhaoli-ai/GhostCut-ai, skills/ghostcut-api-guide; read 2026-11. Not the scheme of
the older public SDK. Host: api.zhaoli.com; every call is a POST of JSON, even a question.
Auth: GHOSTCUT_API_KEY as `AppKey`, and `AppSign` = md5(md5(body) + GHOSTCUT_API_SECRET), of the exact bytes.
Call: work/free takes a link to the clip, or one that was uploaded before with a policy of theirs; work/status
answers about many ids at once, and suggests a first question after 300 s. A callback carries the same item,
`Callback-Sign` as above, no time: a replay is told by id and status. It must be answered with a body.
Limits: clips of 15 minutes and 1000 MB; uploads here of 200 MB, since they are put together in memory. How
often it may be asked is not told. No cancelling, no token of ours: a lost order is a person's to find.
Billing: points, when a work succeeds (`paidPoint`), booked here in a currency called PTS. UNVERIFIED: the
rate (one example: 1.0 point for 12 s), a point's value in money, how long results are kept, whether links
are judged by their ending, which HTTP status errors have: the `code` in the body decides.
Quirks: `code: 1000` only says accepted; masks and options are JSON inside strings; progress is 100 on failure
too; 83 means made but locked for want of points, and a second order would be billed again.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

from core.errors import Misconfigured, Permanent, Rejected, Retryable, Unconfirmed
from core.redact import redact
from providers.asking import download
from providers.base import (
    Answer,
    AnswerState,
    Box,
    Callback,
    Context,
    Handle,
    Limits,
    Quote,
    RemovalRequest,
    Submitted,
    Vendor,
)
from providers.ghostcut_wire import UNKNOWN_ID, Wire, compact, number_in, sign
from providers.models import load

_MODELS = load("ghostcut")
_LANGUAGES = ("all", "zh", "en", "ja", "ko", "ar")
_MAX_SECONDS, _MAX_BYTES = 900.0, 1000 * 10**6
_LARGEST_BOX = {"advanced": 0.2, "advanced_large_box": 0.4}
_ANY_LANGUAGE = ("advanced_lite", "advanced_full")
_TO_THE_END = 99999
_ENDINGS = {b"\x1aE\xdf\xa3": "mkv", b"RIFF": "avi", b"\x00\x00\x01\xba": "mpg"}

_TOP_UP = "Top up the GhostCut account; "
_WHY = {
    2: "its link could not be read",
    3: "it could not be downloaded",
    5: "the clip is too long",
    14: "its place in their store is wrong",
    16: "the clip is corrupt",
    26: "the order is not valid",
    28: "content policy",
    73: f"{_TOP_UP}there were not enough points, and it was not begun.",
    83: f"{_TOP_UP}it is made and locked for want of points: unlock it there, a new order is billed again.",
    98: "their store for this account is full",
    99: "the clip is too long",
    100: "the file is too large",
    **dict.fromkeys((18, 23, 43, 111), "a passing fault of theirs; ask again"),
    **dict.fromkeys((6, 7, 13, 20, 21, 22), "a fault of theirs; if it comes again, ask them"),
    **dict.fromkeys((24, 27, 29, 30, 31, 32), "its speech or subtitles cannot be used"),
}


class GhostCut(Vendor):
    slug: ClassVar[str] = "ghostcut"
    kind: ClassVar[Literal["text_removal"]] = "text_removal"
    models: ClassVar[tuple[str, ...]] = _MODELS.ids
    needs: ClassVar[tuple[str, ...]] = ("api_key", "api_secret")
    batch: ClassVar[int] = 200
    limits: ClassVar[Limits] = Limits(poll_seconds=10.0)
    home: ClassVar[str] = "https://api.zhaoli.com"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = context.model or self._own.model or _MODELS.default
        key, secret = self._own.api_key, self._own.api_secret
        self._secret = secret.get_secret_value() if secret else ""
        self._wire = Wire(self._http, self.endpoint, key.get_secret_value() if key else "", self._secret)

    def quote(self, request: RemovalRequest) -> Quote:
        _check(self.model, request)
        whole = 12 * max(1, math.ceil(request.duration / 12))
        known = _MODELS.find(_MODELS.default).confirmed(self._own.prices_checked_on)
        quoted = known.quote(whole, today=self._today)
        _MODELS.get(self.model, self._today)
        return replace(quoted, known=False, basis=f"points, reckoned from one example: {quoted.basis}")

    def submit(self, request: RemovalRequest, client_token: str) -> Submitted:
        assert request.clip is not None
        _check(self.model, request)
        name = f"{client_token}.{_ending(request.clip)}"
        url = request.url or self._wire.upload(request.clip, name)
        body = self._wire.call("/work/free", self._order(request, url, name), write=True)
        works = [item for item in body.get("dataList") or [] if isinstance(item, dict) and item.get("id")]
        ours = [item for item in works if item.get("url") == url] or works
        if len(ours) != 1:
            raise Unconfirmed(f"GhostCut's answer names no work of ours: {str(body)[:200]}")
        return Submitted(str(ours[0]["id"]), {"project": body.get("idProject")})

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """A work that is not listed may be too young to be: it counts as running."""
        ids = [handle.vendor_id for handle in handles]
        asked = {"idWorks": [int(i) if i.isdigit() else i for i in ids], "page": 1, "pageSize": len(ids)}
        try:
            body = self._wire.call("/work/status", asked, write=False)
        except Permanent as error:
            if error.code != UNKNOWN_ID:
                raise
            if len(handles) > 1:  # one of them is unknown there: the others shall not go unheard
                return [self.poll([handle])[0] for handle in handles]
            return [Answer(ids[0], AnswerState.RUNNING, error=error.message)]
        works = {str(item.get("id")): item for item in body.get("content") or [] if isinstance(item, dict)}
        return [
            _read(works[i])
            if i in works
            else Answer(i, AnswerState.RUNNING, error="GhostCut does not list this work.")
            for i in ids
        ]

    def fetch(self, answer: Answer, out: Path) -> None:
        url = answer.raw.get("videoUrl") if isinstance(answer.raw, dict) else None
        if not url:
            raise Retryable("GhostCut says it is made and names no file.", code="no_result")
        download(self._http, str(url), out)

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:  # noqa: ARG002
        """It carries no time, so an old one is told from a new one by its id and status alone."""
        if not self._secret:
            raise Misconfigured("Set GHOSTCUT_API_SECRET: callbacks are checked with it.")
        given = headers.get("callback-sign", "").strip().lower()
        if not hmac.compare_digest(given.encode(), sign(body, self._secret).encode()):
            raise Rejected("This callback is not signed by GhostCut.", code="bad_signature")
        try:
            item = json.loads(body)
        except ValueError:
            item = None
        if not isinstance(item, dict) or not item.get("id"):
            raise Rejected("This callback names no work.", code="bad_callback")
        return Callback(f"{item['id']}:{item.get('processStatus')}", (_read(item),))

    def _order(self, request: RemovalRequest, url: str, name: str) -> dict[str, Any]:
        order: dict[str, Any] = {
            "urls": [url],
            "names": [name],
            "resolution": _MODELS.find(self.model).resolution_for(request.width, request.height),
            "needChineseOcclude": 2 if request.regions else 1,
            "videoInpaintLang": request.language,
        }
        if request.regions:
            kind = "remove_only_ocr" if self.model == "advanced_lite" else "remove"
            masks = [_mask(kind, region) for region in request.regions]
            order["videoInpaintMasks"] = compact(masks + [_mask("keep", region) for region in request.keep])
        if self.model != "basic":
            order["extraOptions"] = compact({"extra_inpaint_config": {"model": self.model}})
        if self._callback_url:
            order["callback"] = self._callback_url
        return order


def _check(model: str, request: RemovalRequest) -> None:
    """Refuse what the vendor's rules for the model forbid, before anything is sent."""
    count = len(request.regions)
    area = max((width * height for _, _, width, height, _, _ in request.regions), default=0.0)
    largest = _LARGEST_BOX.get(model)
    wrong = None
    if model == "advanced_lite" and not 1 <= count <= 10:
        wrong = "takes 1 to 10 regions"
    elif model == "advanced_full" and count:
        wrong = "cleans the whole frame and takes no regions"
    elif largest and (count != 1 or area >= largest):
        wrong = f"takes one region smaller than {largest:g} of the frame"
    elif request.keep and (model != "basic" or not count):
        wrong = "keeps regions only beside regions to clean, and only the model basic does"
    if wrong:
        raise Rejected(f"GhostCut's {model} {wrong}.", field="regions")
    if request.language not in _LANGUAGES or (model in _ANY_LANGUAGE and request.language != "all"):
        raise Rejected(f"GhostCut's {model} does not look for {request.language!r}.", field="language")
    if request.duration > _MAX_SECONDS:
        raise Rejected(
            f"GhostCut takes clips of {_MAX_SECONDS:g} s; this one has {request.duration:.0f}.",
            code="too_long",
            field="asset_id",
        )
    if request.size >= _MAX_BYTES:
        raise Rejected(f"GhostCut takes files below {_MAX_BYTES} bytes.", code="too_large", field="asset_id")


def _ending(clip: Path) -> str:
    """What the file is, by its first bytes: files of the store have no endings."""
    with clip.open("rb") as stream:
        head = stream.read(12)
    return next((ending for mark, ending in _ENDINGS.items() if head.startswith(mark)), "mp4")


def _mask(kind: str, region: Box) -> dict[str, Any]:
    x, y, width, height, start, end = region
    right, bottom = min(1.0, round(x + width, 6)), min(1.0, round(y + height, 6))
    corners = [[x, y], [right, y], [right, bottom], [x, bottom]]
    return {"type": kind, "start": start, "end": _TO_THE_END if end is None else end, "region": corners}


def _read(item: dict[str, Any]) -> Answer:
    """A work as the vendor shows it; a status that is no number means still running."""
    status = number_in(item.get("processStatus"))
    work = str(item.get("id"))
    if status is None or status < 1:
        done = item.get("processProgress")
        share = max(0.0, min(1.0, done / 100)) if isinstance(done, int | float) else None
        return Answer(work, AnswerState.RUNNING, raw=item, progress=share)
    if status == 1:
        return Answer(
            work, AnswerState.SUCCEEDED, raw=item, progress=1.0, cost=_points(item.get("paidPoint"))
        )
    named = item.get("processStatusEnum")
    said = item.get("errorDetail") or item.get("error_detail")
    said = said or (named.get("description") if isinstance(named, dict) else None)
    error = ": ".join(str(part) for part in (f"GhostCut failed ({status})", _WHY.get(status), said) if part)
    code = {28: "moderated", 83: "locked"}.get(status, "vendor_failed")
    return Answer(work, AnswerState.FAILED, error=redact(error)[:500], raw=item, code=code)


def _points(said: Any) -> int | None:
    """Micro-points; None where the vendor names no number."""
    try:
        points = Decimal(str(said))
    except ArithmeticError:
        return None
    return int((points * 1_000_000).to_integral_value()) if points.is_finite() and points >= 0 else None


ADAPTER = GhostCut
