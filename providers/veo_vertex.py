"""Make takes with Veo on Vertex AI ("Gemini Enterprise Agent Platform").

Vendor: https://docs.cloud.google.com (Veo's model pages, responsible AI) and google-genai's source; read
2026-11. The models' retirement is "2026-11-17 or later": they are asked until the vendor answers 404.
Host: {VEO_VERTEX_REGION}-aiplatform.googleapis.com (us-central1 unless set), or the host itself for
`global`.
Auth: `Authorization: Bearer`, with an OAuth token of an account that may use Vertex in VEO_VERTEX_PROJECT:
either made for the service account whose JSON key file VEO_VERTEX_API_SECRET holds, or VEO_VERTEX_API_KEY
itself, which lives for an hour and has to be renewed by whoever put it there.
Call: POST …/models/{model}:predictLongRunning, then POST …:fetchPredictOperation, which only reads.
Result: inside the answer, as base64; it is not kept with the submission but asked for again. Films of 4k
would be longer than an answer may be here, and are not offered; a bucket (`storageUri`) is not used.
Limits: 50 requests a minute; otherwise, and in its words, as `veo`. No callbacks, no cancelling.
Billing: per second, with sound. The card is the Gemini API's: that Vertex's is the same is UNVERIFIED. What a
film with `generateAudio` off costs was not found, so it is never off: a film has its sound, asked for or not.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from core.answers import Answer as HttpAnswer
from core.settings import VendorSettings
from providers.asking import STATUSES
from providers.base import Context, Handle, Limits, Vendor, VideoRequest
from providers.google_tokens import ServiceTokens
from providers.models import Model, Models, load
from providers.veo import Veo, asked

_TOKENS = ServiceTokens()


class VeoVertex(Veo):
    slug: ClassVar[str] = "veo_vertex"
    table: ClassVar[Models] = load("veo_vertex")
    models: ClassVar[tuple[str, ...]] = table.ids
    limits: ClassVar[Limits] = Limits(per_minute=50, poll_seconds=10.0)
    parse_callback = Vendor.parse_callback
    home: ClassVar[str] = "https://us-central1-aiplatform.googleapis.com"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._region = self._own.region or "us-central1"
        if context.endpoint is None and self._own.url is None:
            host = "aiplatform" if self._region == "global" else f"{self._region}-aiplatform"
            self.endpoint = f"https://{host}.googleapis.com"

    @classmethod
    def usable(cls, own: VendorSettings) -> str | None:
        if own.api_secret is None and (reason := super(Veo, cls).usable(own)):
            return reason
        return None if own.project else "Set VEO_VERTEX_PROJECT."

    @classmethod
    def relayed(cls, own: VendorSettings) -> bool:  # noqa: ARG003
        return False

    def _place(self) -> str:
        return f"{self.endpoint}/v1/{self._publisher()}"

    def _publisher(self) -> str:
        return f"projects/{self._own.project}/locations/{self._region}/publishers/google"

    def _headers(self) -> dict[str, str]:
        key, account = self._own.api_key, self._own.api_secret
        if account is not None:
            setting = "VEO_VERTEX_API_SECRET"
            token = _TOKENS.get(self._http, setting, account.get_secret_value(), time.time())
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def _name(self, handle: Handle) -> str:
        named = handle.receipt.get("operation")
        model = f"{self._publisher()}/models/{handle.model or self.model}"
        return str(named or f"{model}/operations/{handle.vendor_id}")

    def _operation(self, name: str) -> HttpAnswer:
        return self._http.post(
            f"{self.endpoint}/v1/{name.rpartition('/operations/')[0]}:fetchPredictOperation",
            json_body={"operationName": name},
            headers=self._headers(),
            safe=True,
            expect=STATUSES,
        )

    def _body(self, model: Model, request: VideoRequest) -> dict[str, Any]:
        body = asked(model, request)
        return {**body, "parameters": {**body["parameters"], "generateAudio": True}}


ADAPTER = VeoVertex
