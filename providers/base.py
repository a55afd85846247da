"""What every provider adapter takes and gives.

Kinds: `script` writes a film's words, `speech` reads them aloud, `video` makes a take, `text_removal` cleans
one, `moderation` judges what is made, `notification` tells people. An adapter is a class with a `slug` and a
`kind`, constructed with a `Context` and named `ADAPTER` in its module. It does not sleep, retry or read the
environment, and raises only `core.errors`.

What a vendor makes in its own time (`video`, `text_removal`) is a `RemoteProvider`: asked for once, polled,
fetched. `Vendor` has the answers of one that can do nothing beyond that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from core.errors import Rejected
from core.http import HttpClient
from core.scripts import Script
from core.settings import Settings, VendorSettings


@dataclass(frozen=True)
class Quote:
    """Expected cost in micro-units; `known` is False where nobody told us a price, and `basis` says so."""

    amount: int
    currency: str = "USD"
    basis: str = ""
    known: bool = True


FREE = Quote(0, basis="free: runs on this machine")


class Craft(Protocol):
    """The media craft that local adapters need, handed in so that providers never import media."""

    def render_still(
        self,
        image: Path,
        out: Path,
        *,
        width: int,
        height: int,
        fps: int,
        frames: int,
        move: str,
        seed: int,
    ) -> None:
        """Move a virtual camera over `image`; `move` is one of core.directives.CAMERA_MOVES or `auto`."""

    def trim_clip(
        self,
        clip: Path,
        out: Path,
        *,
        width: int,
        height: int,
        fps: int,
        frames: int,
        start: float,
        audio: bool,
    ) -> None:
        """Cut `frames` frames from `clip` at `start` seconds, scaled and cropped to fill the picture.

        `audio`: with the clip's own sound, where it has one.
        """

    def render_card(
        self, text: str, out: Path, *, width: int, height: int, fps: int, frames: int, seed: int
    ) -> None:
        """Set `text` on a quiet moving background."""


@dataclass(frozen=True)
class Context:
    """What an adapter may use. `craft` is None where no local rendering is wanted."""

    http: HttpClient
    settings: Settings
    craft: Craft | None = None
    model: str | None = None
    """Which of a vendor's models to ask; None = the one that the settings name."""
    endpoint: str | None = None
    """Where an open submission was sent; None = where the settings say."""
    own: VendorSettings | None = None
    """What is said about the vendor; None = what the environment says."""
    callback_url: str | None = None
    """Where a vendor may tell us of news; None = it cannot reach us, and is polled."""
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    """By which prices are in force and models retired."""


# -- script ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScriptRequest:
    """`target_duration` in seconds, `shots` = how many are wanted, None = as the words need.

    `instructions` are a reviewer's, about an earlier draft: never words of the film.
    """

    brief: str
    language: str = "en"
    target_duration: float = 30.0
    shots: int | None = None
    tone: str | None = None
    instructions: str = ""


@dataclass(frozen=True)
class ScriptDraft:
    """`raw` is the vendor's answer as it came; `usage` counts tokens (`input`, `output`) where known.

    `cost` is what it took in micro-units, None where nobody knows.
    """

    script: Script
    model: str
    raw: Any = None
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: int | None = None
    notes: tuple[str, ...] = ()


class ScriptWriter(Protocol):
    slug: ClassVar[str]
    kind: ClassVar[Literal["script"]]
    model: str

    def __init__(self, context: Context) -> None: ...

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when usable, else the reason in a sentence that names the setting to change."""

    def quote(self, request: ScriptRequest) -> Quote: ...

    def write(self, request: ScriptRequest) -> ScriptDraft:
        """Write a script; raises Invalid when the brief gives too little to go by.

        An error's `cost` is what was taken for answers that are of no use.
        """


# -- speech ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Voice:
    """`language` is a BCP 47 tag in lower case (`en-gb`)."""

    id: str
    name: str
    language: str
    gender: str | None = None


@dataclass(frozen=True)
class SpeechRequest:
    """`voice` None = the best for `language`; `speed` 1.0 = the voice's own pace."""

    text: str
    voice: str | None = None
    language: str = "en"
    speed: float = 1.0


@dataclass(frozen=True)
class Word:
    """One word of the text as written, with its time in the sound, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    path: Path
    duration: float
    words: tuple[Word, ...]
    voice: str
    model: str
    sample_rate: int


class SpeechProvider(Protocol):
    slug: ClassVar[str]
    kind: ClassVar[Literal["speech"]]
    local: ClassVar[bool]
    """Whether it runs on the operator's machines: free, and safe to ask again."""
    model: str

    def __init__(self, context: Context) -> None: ...

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when usable, else the reason in a sentence that names the setting to change."""

    def voices(self) -> Sequence[Voice]: ...

    def quote(self, characters: int) -> Quote: ...

    def speak(self, request: SpeechRequest, out: Path) -> Speech:
        """Write a mono WAV to `out`; raises Invalid for an unknown voice, naming some that exist."""


# -- what a vendor makes in its own time ------------------------------------------------------------


class AnswerState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Submitted:
    """`receipt` is what the adapter wants back with every question about it: addresses, never secrets."""

    vendor_id: str
    receipt: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Handle:
    """One submission a vendor has, as it was frozen when it was accepted."""

    vendor_id: str
    receipt: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""


@dataclass(frozen=True)
class Answer:
    """What a vendor says about one submission. An unknown vendor status is `running`; `raw` is kept.

    `cost` is what the vendor charged, in the quote's currency; None where it does not say. `code` says why
    it failed: `moderated`, `cancelled`, `locked` (made, and held back until it is paid there),
    or `vendor_failed`.
    """

    vendor_id: str
    state: AnswerState
    error: str | None = None
    raw: Any = None
    progress: float | None = None
    cost: int | None = None
    code: str = "vendor_failed"


@dataclass(frozen=True)
class Callback:
    """A vendor's news, its signature checked. `event_id` is its own: one that was seen before is a replay.

    `answers` is what it says; `ask` names submissions it only points at, to be polled at once.
    """

    event_id: str
    answers: tuple[Answer, ...] = ()
    ask: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """How much a vendor takes from one account, over all our processes; 0 = it tells no limit."""

    per_minute: int = 0
    """Calls of any sort."""
    at_once: int = 0
    """Submissions in its hands."""
    poll_seconds: float = 2.0
    """Shortest time between two questions about the same one."""


RequestT_contra = TypeVar("RequestT_contra", contravariant=True)


class RemoteProvider(Protocol[RequestT_contra]):
    slug: ClassVar[str]
    local: ClassVar[bool]
    models: ClassVar[tuple[str, ...]]
    batch: ClassVar[int]
    """How many submissions one call of `poll` may name."""
    can_look_up: ClassVar[bool]
    """Whether the vendor finds a submission by our token, so that an unknown outcome becomes known."""
    limits: ClassVar[Limits]
    model: str
    endpoint: str

    def __init__(self, context: Context) -> None: ...

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when usable, else the reason in a sentence that names the setting to change."""

    def quote(self, request: RequestT_contra) -> Quote:
        """Price it; raises Rejected when the vendor cannot make it, saying what it can."""

    def submit(self, request: RequestT_contra, client_token: str) -> Submitted:
        """Send once. `client_token` is ours, the same for the same submission, for vendors that know such.

        Retryable: certainly not accepted, may be sent again. Unconfirmed: nobody knows.
        """

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """Ask once for up to `batch`, in their order; one the vendor does not list is no exception."""

    def lookup(self, client_token: str) -> Answer | None:
        """Find a submission by our token; None = the vendor has none at this moment."""

    def fetch(self, answer: Answer, out: Path) -> None:
        """Copy what was made to `out`, whole or not at all.

        Retryable: it may be there later, or behind a fresh answer. Permanent: it is gone.
        """

    def cancel(self, handle: Handle) -> bool:
        """Ask to stop; True when it certainly will not be charged or finished."""

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:
        """Read a vendor's callback after checking its signature on the raw bytes.

        `now` is in seconds since 1970. Raises Rejected: not signed by the vendor, or too old. Header names
        come in lower case.
        """


class Vendor:
    """A vendor across the network that can do no more than it must; adapters say what theirs can."""

    slug: ClassVar[str]
    local: ClassVar[bool] = False
    models: ClassVar[tuple[str, ...]]
    batch: ClassVar[int] = 1
    can_look_up: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits()
    needs: ClassVar[tuple[str, ...]] = ("api_key",)
    """Which of a vendor's settings it cannot do without."""
    home: ClassVar[str]
    """The vendor's own address, used unless the settings name another."""

    def __init__(self, context: Context) -> None:
        self._http = context.http
        self._callback_url = context.callback_url
        self._today = context.today
        self._own = context.own or context.settings.vendor(self.slug)
        self.endpoint = (context.endpoint or self._own.url or self.home).rstrip("/")

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        return cls.usable(settings.vendor(cls.slug))

    @classmethod
    def usable(cls, own: VendorSettings) -> str | None:
        """As `enabled`, of the vendor's own settings."""
        if own.model is not None and cls.models and own.model not in cls.models:
            return f"{cls.slug.upper()}_MODEL must be one of: {', '.join(cls.models)}."
        missing = [f"{cls.slug}_{name}".upper() for name in cls.needs if not getattr(own, name)]
        return f"Set {' and '.join(missing)}." if missing else None

    @classmethod
    def relayed(cls, own: VendorSettings) -> bool:  # noqa: ARG003
        """Whether somebody else speaks this vendor's API, with models and prices that nobody here knows."""
        return False

    def lookup(self, client_token: str) -> Answer | None:  # noqa: ARG002
        return None

    def cancel(self, handle: Handle) -> bool:  # noqa: ARG002
        return False

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: float) -> Callback:  # noqa: ARG002
        raise Rejected(f"{self.slug} sends no callbacks: it is polled.")


# -- video ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VideoRequest:
    """One take. `start` is where to begin in `clip`, in seconds; `title` is text on a card.

    What is shown: `clip` when given, else `image`, else a card with `title` (or with `prompt`). A vendor
    that makes film from a picture begins with `image`.
    """

    purpose: str
    prompt: str
    width: int
    height: int
    fps: int
    frames: int
    image: Path | None = None
    clip: Path | None = None
    title: str | None = None
    move: str | None = None
    seed: int = 0
    start: float = 0.0
    audio: bool = False
    """Whether it comes with a sound of its own."""


class VideoProvider(RemoteProvider[VideoRequest], Protocol):
    kind: ClassVar[Literal["video"]]


# -- text removal -----------------------------------------------------------------------------------


Box = tuple[float, float, float, float, float, float | None]


@dataclass(frozen=True)
class RemovalRequest:
    """Clean one clip. `url` is where a vendor reads it: ours, signed, expiring; empty where none reaches us.

    `clip` is the same file, of `size` bytes, for a vendor that takes uploads; None while it is only priced.
    `regions` are boxes (x, y, width, height, start, end): shares of the frame, then seconds, None = its end;
    no boxes = wherever there is text. `keep` are boxes that stay as they are.
    """

    url: str
    clip: Path | None
    width: int
    height: int
    duration: float
    language: str = "all"
    regions: tuple[Box, ...] = ()
    keep: tuple[Box, ...] = ()
    size: int = 0


class TextRemover(RemoteProvider[RemovalRequest], Protocol):
    kind: ClassVar[Literal["text_removal"]]


# -- moderation -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What a picture shows that a policy may forbid; `confidence` from 0 to 1, `parent` the wider word."""

    label: str
    confidence: float
    parent: str = ""


class Moderator(Protocol):
    slug: ClassVar[str]
    kind: ClassVar[Literal["moderation"]]
    local: ClassVar[bool]
    model: str

    def __init__(self, context: Context) -> None: ...

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when usable, else the reason in a sentence that names the setting to change."""

    def quote(self, pictures: int) -> Quote: ...

    def judge(self, picture: Path) -> tuple[Finding, ...]:
        """Say what a JPEG or PNG shows; nothing found is nothing to say. Unconfirmed: it may be billed."""


# -- notification -----------------------------------------------------------------------------------


class Notifier(Protocol):
    slug: ClassVar[str]
    kind: ClassVar[Literal["notification"]]

    def __init__(self, context: Context) -> None: ...

    @classmethod
    def enabled(cls, settings: Settings) -> str | None:
        """Return None when usable, else the reason in a sentence that names the setting to change."""

    def notify(self, text: str, link: str = "") -> None:
        """Send one message, once. Retryable: certainly not sent."""
