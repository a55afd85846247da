"""Make takes on this machine: a camera moving over a still, a trimmed clip, or a card with words.

Vendor: none. Auth: none. Limits: the cores of this machine. Billing: free.
There is no queue behind it: `submit` writes the order down, the answer is `succeeded` at once
and `fetch` renders. Answers carry the order, so any process may fetch. The same order and seed give the
same film.
Sound: a clip's own is kept when that is asked for; stills and cards have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

from core.directives import CAMERA_MOVES
from core.errors import Invalid, Misconfigured, Permanent, Rejected
from core.settings import Settings
from providers.base import (
    FREE,
    Answer,
    AnswerState,
    Callback,
    Context,
    Craft,
    Handle,
    Limits,
    Quote,
    Submitted,
    VideoRequest,
)

MODEL = "camera"


class Local:
    slug: ClassVar[str] = "local"
    kind: ClassVar[Literal["video"]] = "video"
    local: ClassVar[bool] = True
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    batch: ClassVar[int] = 100
    can_look_up: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits()

    def __init__(self, context: Context) -> None:
        self.model, self.endpoint = MODEL, ""
        self._craft = context.craft
        self._orders: dict[str, dict[str, Any]] = {}

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:  # noqa: ARG003 - it needs none
        return None

    def quote(self, request: VideoRequest) -> Quote:  # noqa: ARG002 - free for every request
        return FREE

    def submit(self, request: VideoRequest, client_token: str) -> Submitted:
        _check(request)
        order = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(request).items()}
        self._orders[client_token] = order
        return Submitted(client_token, order)

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        return [self._answer(handle.vendor_id) for handle in handles]

    def _answer(self, token: str) -> Answer:
        if token not in self._orders:
            return Answer(token, AnswerState.FAILED, error="Not ordered from this process: submit it again.")
        return Answer(token, AnswerState.SUCCEEDED, raw=self._orders[token], progress=1.0)

    def lookup(self, client_token: str) -> Answer | None:
        return self._answer(client_token) if client_token in self._orders else None

    def fetch(self, answer: Answer, out: Path) -> None:
        """Render the order in `answer.raw` to `out`."""
        request = read_order(answer.raw)
        craft = self._need_craft()
        frame = {
            "width": request.width,
            "height": request.height,
            "fps": request.fps,
            "frames": request.frames,
        }
        part = out.with_name(f".{out.stem}.part{out.suffix}")
        try:
            if request.clip:
                clip = _existing(request.clip, "clip")
                craft.trim_clip(clip, part, **frame, start=request.start, audio=request.audio)
            elif request.image:
                craft.render_still(
                    _existing(request.image, "image"),
                    part,
                    **frame,
                    move=request.move or "auto",
                    seed=request.seed,
                )
            else:
                craft.render_card(request.title or request.prompt, part, **frame, seed=request.seed)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)

    def cancel(self, handle: Handle) -> bool:
        """Forget the order; nothing was started, so nothing is charged."""
        self._orders.pop(handle.vendor_id, None)
        return True

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:  # noqa: ARG002
        raise Rejected("The local renderer sends no callbacks.")

    def _need_craft(self) -> Craft:
        if self._craft is None:
            raise Misconfigured("The local renderer was made without the media craft; only a worker renders.")
        return self._craft


def read_order(raw: Any) -> VideoRequest:
    """Read back what `submit` wrote down; raise Permanent when it is something else."""
    try:
        paths = {name: Path(raw[name]) if raw[name] else None for name in ("image", "clip")}
        request = VideoRequest(**{**raw, **paths})
    except (KeyError, TypeError) as exc:
        raise Permanent(f"This is no order of the local renderer: {exc}.", code="bad_order") from None
    _check(request)
    return request


def _check(request: VideoRequest) -> None:
    if not (request.clip or request.image or request.title or request.prompt):
        raise Invalid("A take needs an image, a clip or words for a card.", field="prompt")
    if request.move not in (None, "auto", *CAMERA_MOVES):
        raise Invalid(
            f"The camera can do: {', '.join(CAMERA_MOVES)} or auto; not {request.move!r}.", field="camera"
        )
    for name in ("width", "height", "fps", "frames"):
        if getattr(request, name) <= 0:
            raise Invalid(f"{name} must be greater than 0.", field=name)
    if request.start < 0:
        raise Invalid("A clip cannot start before its beginning.", field="start")


def _existing(path: Path, what: str) -> Path:
    if not path.is_file():
        raise Permanent(f"The {what} {path.name} is not there any more.", code="input_missing", field=what)
    return path


ADAPTER = Local
