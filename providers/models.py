"""A vendor's models and list prices: data in `<slug>.toml` beside its adapter, checked when it is read.

The file has one `[[models]]` table a model, the default first; `docs/adding-a-provider.md` says what each
field means. What a model cannot do is refused with the field and the allowed values, before a vendor is
asked and before any money is held.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

import providers
from core.errors import Misconfigured, Rejected
from providers.base import Quote
from providers.prices import Price

Capability = Literal["text_to_video", "image_to_video", "speech", "text_removal", "script", "moderation"]
_STRICT = ConfigDict(extra="forbid")
_Count = Annotated[StrictInt, Field(ge=0)]
_HALF_CUT_OFF = math.log(2)
_NAMED_LINES = {"2k": 1440, "4k": 2160}
_SIZE = re.compile(r"(\d+)[x:*](\d+)")


@dataclass(frozen=True, config=_STRICT)
class Limits:
    """What one request may carry, `prompt` in characters; 0 = no limit is told."""

    prompt: _Count = 0
    image_bytes: _Count = 0


@dataclass(frozen=True, config=_STRICT)
class Model:
    """What one model offers; an empty tuple where the vendor leaves the choice open."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    capabilities: Annotated[tuple[Capability, ...], Field(min_length=1)]
    durations: tuple[Annotated[StrictInt, Field(gt=0)], ...] = ()
    """Seconds of film, shortest first."""
    resolutions: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    audio: StrictBool | Literal["asked"] = False
    """Whether its film has a sound of its own: always, or when that is asked for."""
    quality: Annotated[StrictInt, Field(ge=1, le=5)] = 3
    typical_seconds: Annotated[StrictInt, Field(gt=0)] | None = None
    """From asking to having, as we saw it or as the vendor says; None = nobody measured."""
    released: date | None = None
    retires_at: date | None = None
    replaced_by: str | None = None
    limits: Limits = Limits()
    wire: dict[str, Any] = Field(default_factory=dict)  # how it wants to be asked: for its adapter alone
    price: Price | None = None

    @model_validator(mode="after")
    def check(self) -> Model:
        if list(self.durations) != sorted(set(self.durations)):
            raise ValueError("`durations` go up, without repetition")
        for label in self.resolutions:
            _lines(label)
        for label in (*self.sizes, *self.ratios):
            _sides(label)
        return self

    def retired(self, today: date) -> bool:
        return self.retires_at is not None and today >= self.retires_at

    def can(self, capability: Capability) -> bool:
        return capability in self.capabilities

    def confirmed(self, checked_on: date | None) -> Model:
        """The same model at prices that somebody found right on this day, see `Price.confirmed`."""
        if self.price is None or (price := self.price.confirmed(checked_on)) is self.price:
            return self
        return replace(self, price=price)

    def quote(self, quantity: float, key: str = "", *, today: date, audio: bool = False) -> Quote:
        """Price so many of the card's units; without a card in force the price is not known.

        `audio`: with the sound that it makes when asked. Where only silence has a price, that is the least.
        """
        if self.price is None:
            return Quote(0, basis=f"{self.id}: the vendor's price is not known here", known=False)
        dearer = audio and self.audio == "asked"
        known = not dearer or self.price.knows_audio(key)
        audio = dearer and known
        cost = self.price.cost(quantity, key, audio=audio)
        basis = f"{self.id}: {self.price.explain(quantity, key, audio=audio)}"
        if not known:
            basis = f"{basis}; with sound its price is not known here"
        if self.price.expired(today):
            known, basis = False, f"{basis}; it expired on {self.price.expires_at}"
        return Quote(cost, currency=self.price.currency, basis=basis, known=known)

    # -- what is asked for ------------------------------------------------------------------------

    def seconds_for(self, needed: float) -> int:
        """The shortest film that fills a shot of `needed` seconds but for a tenth, which is held."""
        least = math.floor(needed * 10) / 10
        if not self.durations:
            return max(1, math.ceil(least))
        for seconds in self.durations:
            if seconds >= least:
                return seconds
        offered = ", ".join(map(str, self.durations))
        raise Rejected(
            f"{self.id} makes films of {offered} s; the shot takes {needed:.1f} s.",
            code="too_long",
            field="frames",
        )

    def resolution_for(self, width: int, height: int) -> str:
        """The smallest resolution that is no smaller than the film, else the largest."""
        return _covering(self.resolutions, _lines, min(width, height))

    def ratio_for(self, width: int, height: int) -> str:
        """The aspect ratio nearest to the film's, of which at least half a picture can be shown."""
        nearest = self._nearest(self.ratios, width, height)
        return nearest[0]

    def size_for(self, width: int, height: int) -> str:
        """Of the sizes nearest to the film's aspect ratio the smallest that covers it, else the largest."""
        nearest = self._nearest(self.sizes, width, height)
        return _covering(nearest, lambda label: min(_sides(label)), min(width, height))

    def _nearest(self, labels: tuple[str, ...], width: int, height: int) -> list[str]:
        least = min(_distance(label, width, height) for label in labels)
        if least > _HALF_CUT_OFF:
            raise Rejected(
                f"{self.id} makes {', '.join(labels)}; more than half of that would be cut off "
                f"in a film of {width}x{height}.",
                code="wrong_shape",
                field="format",
            )
        return [label for label in labels if _distance(label, width, height) <= least + 1e-6]

    def check_prompt(self, prompt: str) -> str:
        """Return the prompt; raise Rejected when it is empty or too long."""
        if not prompt.strip():
            raise Rejected(f"{self.id} needs words to go by.", field="prompt")
        if self.limits.prompt and len(prompt) > self.limits.prompt:
            raise Rejected(
                f"{self.id} takes prompts of at most {self.limits.prompt} characters; "
                f"this one has {len(prompt)}.",
                code="too_long",
                field="prompt",
            )
        return prompt

    def check_audio(self, wanted: bool) -> None:
        """Raise Rejected when it makes no sound and that is asked for."""
        if wanted and not self.audio:
            raise Rejected(f"{self.id} makes no sound.", code="no_sound", field="audio")

    def begin_with_picture(self) -> None:
        """Raise Rejected when it makes no film from a picture."""
        if not self.can("image_to_video"):
            raise Rejected(
                f"{self.id} makes no film from a picture, only: {', '.join(self.capabilities)}.",
                code="no_reference",
                field="reference",
            )

    def check_image(self, image: Path | None) -> None:
        """Raise Rejected when it begins with no picture, or with none as large as this."""
        if image is None:
            return
        self.begin_with_picture()
        size = image.stat().st_size
        if self.limits.image_bytes and size > self.limits.image_bytes:
            raise Rejected(
                f"{self.id} takes pictures of at most {self.limits.image_bytes} bytes; this one has {size}.",
                code="too_large",
                field="reference",
            )


@dataclass(frozen=True, config=_STRICT)
class Models:
    """A vendor's models in the order of its file: the first is the default."""

    slug: str
    all: Annotated[tuple[Model, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def check(self) -> Models:
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("two models share an id")
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(model.id for model in self.all)

    @property
    def default(self) -> str:
        return self.ids[0]

    def find(self, model_id: str) -> Model:
        """Return a model, retired or not: what is open at a vendor has to be read to its end."""
        for model in self.all:
            if model.id == model_id:
                return model
        raise Rejected(
            f"{self.slug} has no model {model_id!r} here. Use one of: {', '.join(self.ids)}.",
            code="unknown_model",
            field="model",
        )

    def get(self, model_id: str, today: date) -> Model:
        """Return a model to ask for; raise Rejected, naming another, when it is retired or unknown."""
        model = self.find(model_id)
        if model.retired(today):
            others = ", ".join(other.id for other in self.all if not other.retired(today))
            instead = model.replaced_by or others or "another provider's"
            raise Rejected(
                f"{self.slug} retired {model_id} on {model.retires_at}. Use {instead}.",
                code="retired",
                field="model",
            )
        return model

    def price(
        self, model_id: str, quantity: float, key: str = "", *, today: date, checked_on: date | None = None
    ) -> Quote:
        """Quote so many units of a model's rate card; `key` is the resolution where the price hangs on it.

        See `Price.confirmed` for `checked_on`.
        """
        return self.get(model_id, today).confirmed(checked_on).quote(quantity, key, today=today)


@cache
def load(slug: str) -> Models:
    """Read `providers/<slug>.toml`; raise Misconfigured naming the file, the model and the field at fault."""
    return read(_file(slug))


@cache
def has_models(slug: str) -> bool:
    """Whether there is a file about a provider's models: what runs by rules alone has none."""
    return _file(slug).is_file()


def _file(slug: str) -> Path:
    """The file beside the adapter: the package may have more than one folder, as its registry knows."""
    found = [Path(folder) / f"{slug}.toml" for folder in providers.__path__]
    return next((path for path in found if path.is_file()), found[0])


def read(path: Path) -> Models:
    """Read one file of models, of the vendor that it is named for."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path.name} cannot be read: {error}") from None
    if unknown := [name for name in table if name != "models"]:
        raise Misconfigured(f"{path.name}: {unknown[0]!r} is not known; models are [[models]] tables.")
    try:
        return TypeAdapter(Models).validate_python({"slug": path.stem, "all": table.get("models", [])})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Misconfigured(f"{path.name}: {_where(first['loc'], table)}: {first['msg']}") from None


def _where(loc: tuple[int | str, ...], table: dict[str, Any]) -> str:
    if len(loc) < 2 or not isinstance(loc[1], int):
        return "models"
    return ".".join([table["models"][loc[1]].get("id", f"model {loc[1] + 1}"), *map(str, loc[2:])])


def _lines(label: str) -> int:
    """Lines of a resolution such as `720p` or `4k`."""
    if label.lower() in _NAMED_LINES:
        return _NAMED_LINES[label.lower()]
    if re.fullmatch(r"\d+[pP]", label):
        return int(label[:-1])
    raise ValueError(f"{label!r} is no resolution such as 720p or 4k")


def _sides(label: str) -> tuple[int, int]:
    if not (found := _SIZE.fullmatch(label)):
        raise ValueError(f"{label!r} is no size such as 1280x720 and no ratio such as 16:9")
    return int(found[1]), int(found[2])


def _distance(label: str, width: int, height: int) -> float:
    across, down = _sides(label)
    return abs(math.log(across / down) - math.log(width / height))


def _covering(labels: Any, lines: Any, wanted: int) -> str:
    rising: list[str] = sorted(labels, key=lines)
    return next((label for label in rising if lines(label) >= wanted), rising[-1])
