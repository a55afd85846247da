"""Make takes with Kling's older API, for accounts that have an access key and a secret.

A provider of its own beside `kling`, because nothing but the vendor is the same: the newer API refuses
these keys, has other models at other addresses, and says it in other words. A submission is polled where it
was made.

Vendor: https://kling.ai/document-api, and the description of this API in tryAGI/KlingAI; read 2026-11. The
vendor said on 2026-07-15 that this API stays, but refuses its first models. Host: as `kling`.
Auth: with KLING_LEGACY_API_SECRET a JWT (HS256, half an hour) made of the access key KLING_LEGACY_API_KEY and
that secret, fresh for every call; without it KLING_LEGACY_API_KEY is an API key.
Call: POST /v1/videos/text2video or image2video, the model in the body, then GET of the same address with the
id; `external_task_id` is ours and stands in for the id. How an unknown one is answered is not documented:
404 and 1203 are read as "none", anything else as no answer. A token does not say which address has its task:
both are asked.
Pictures: the first frame, as base64; jpeg or png of 10 MB, 300 pixels a side, 1:2.5 to 2.5:1.
Limits: as `kling`; so are callbacks and errors.
Billing: `final_unit_deduction`, units of 0.14 USD.
Quirks: `duration` is text; it says `succeed`, not `succeeded`; `std` is 720p and `pro` 1080p.
Which models make sound is not told here: those that do by the newer API are asked (UNVERIFIED).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import jwt

from core.errors import Misconfigured, PipelineError, Rejected
from providers.asking import STATUSES, resolution_of, words_for
from providers.base import Answer, Handle, Submitted, VideoRequest
from providers.kling import Kling, as_base64, read, unlisted
from providers.models import Model, Models, load

_KINDS = ("text2video", "image2video")
_MODES = {"720p": "std", "1080p": "pro"}
_UNKNOWN = ("http_404", "kling_1203")
_TOKEN_SECONDS = 1800


class KlingLegacy(Kling):
    slug: ClassVar[str] = "kling_legacy"
    table: ClassVar[Models] = load("kling_legacy")
    models: ClassVar[tuple[str, ...]] = table.ids
    batch: ClassVar[int] = 1

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:
        return Submitted(super().submit(request, client_token).vendor_id, {"kind": _kind(request)})

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """A task that is not found may be too young to be: it counts as running."""
        return [
            self._task(handle.vendor_id, handle.receipt.get("kind")) or unlisted(handle.vendor_id)
            for handle in handles
        ]

    def lookup(self, client_token: str) -> Answer | None:
        return self._task(client_token, None)

    def _task(self, number: str, kind: str | None) -> Answer | None:
        """Ask for one task by the vendor's id or by ours; None = the vendor says that it has none."""
        unclear: PipelineError | None = None
        for address in _KINDS if kind is None else (kind,):
            answer = self._http.get(
                f"{self.endpoint}/v1/videos/{address}/{quote(number, safe='')}",
                headers=self._headers(),
                expect=STATUSES,
            )
            try:
                found = read(self._data(answer, write=False))
            except (Misconfigured, Rejected) as error:
                if error.code not in _UNKNOWN:
                    unclear = error
            else:
                if found is not None:
                    return found
        if unclear is not None:
            raise unclear
        return None

    def _headers(self) -> dict[str, str]:
        key, secret = self._own.api_key, self._own.api_secret
        if key is None or secret is None:
            return super()._headers()
        token = sign_key_pair(key.get_secret_value(), secret.get_secret_value(), time.time())
        return {"Authorization": f"Bearer {token}"}

    def _order(self, model: Model, request: VideoRequest, client_token: str) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model_name": model.id,
            "prompt": words_for(request),
            "mode": _MODES[resolution_of(model, request)],
            "duration": str(model.seconds_for(request.frames / request.fps)),
            "sound": "on" if request.audio else "off",
            "external_task_id": client_token,
            **self._callback(),
        }
        if request.image is None:
            body["aspect_ratio"] = model.ratio_for(request.width, request.height)
        else:
            body["image"] = as_base64(request.image)
        return f"/v1/videos/{_kind(request)}", body


def sign_key_pair(key: str, secret: str, now: float) -> str:
    """The token of one call: begins a little early, for clocks that differ."""
    claims = {"iss": key, "exp": int(now) + _TOKEN_SECONDS, "nbf": int(now) - 5}
    return jwt.encode(claims, secret, algorithm="HS256")


def _kind(request: VideoRequest) -> str:
    return _KINDS[request.image is not None]


ADAPTER = KlingLegacy
