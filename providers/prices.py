"""Rate cards: what a vendor's list asks, where and when that was read, and worked examples that prove it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, model_validator
from pydantic.dataclasses import dataclass

Unit = Literal["second", "minute", "output", "call", "character", "token"]
_STRICT = ConfigDict(extra="forbid")
_Count = Annotated[StrictInt, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class Example:
    """What so much of it costs, worked out by hand from the vendor's page."""

    cost: _Count
    seconds: float | None = None
    minutes: float | None = None
    outputs: float | None = None
    calls: float | None = None
    characters: float | None = None
    tokens: float | None = None
    resolution: str = ""
    """The key in `amounts`: a resolution, a size, or whatever the price hangs on."""
    audio: StrictBool = False
    """Whether its own sound was asked for."""

    def quantity(self, unit: Unit) -> float:
        found: float | None = getattr(self, f"{unit}s")
        if found is None:
            raise ValueError(f"an example of a price by the {unit} says how many {unit}s")
        return found


@dataclass(frozen=True, config=_STRICT)
class Price:
    """A rate card: `amount`, or `amounts` by what the price hangs on, in micro-units for `per` units.

    `with_audio` and `amounts_with_audio` are for film whose own sound is asked for, where that has a price of
    its own.
    """

    unit: Unit
    source: str
    checked_on: date
    expires_at: date
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    amount: _Count | None = None
    amounts: dict[str, _Count] = Field(default_factory=dict)
    with_audio: _Count | None = None
    amounts_with_audio: dict[str, _Count] = Field(default_factory=dict)
    per: Annotated[StrictInt, Field(ge=1)] = 1
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def check(self) -> Price:
        if (self.amount is None) == (not self.amounts):
            raise ValueError("give either `amount` or `amounts`")
        if self.with_audio is not None and self.amounts_with_audio:
            raise ValueError("give either `with_audio` or `amounts_with_audio`")
        if self.expires_at <= self.checked_on:
            raise ValueError("`expires_at` is after `checked_on`")
        if not self.examples:
            raise ValueError("a price has a worked example at least")
        for example in self.examples:
            cost = self.cost(example.quantity(self.unit), example.resolution, audio=example.audio)
            if cost != example.cost:
                raise ValueError(f"the worked example {example} costs {cost} by this card")
        return self

    def cost(self, quantity: float, key: str = "", *, audio: bool = False) -> int:
        """Micro-units for so many units, rounded up."""
        return math.ceil(self._rate(key, audio=audio) * Fraction(str(quantity)) / self.per)

    def knows_audio(self, key: str) -> bool:
        """Whether the card has a price of its own for film with its own sound."""
        return self.with_audio is not None or key in self.amounts_with_audio

    def confirmed(self, checked_on: date | None) -> Price:
        """The same card, found right on a later day: in force for as long from then as it was meant to be."""
        if checked_on is None or checked_on <= self.checked_on:
            return self
        lasts = min(self.expires_at - self.checked_on, date.max - checked_on)
        return replace(self, checked_on=checked_on, expires_at=checked_on + lasts)

    def expired(self, today: date) -> bool:
        return today >= self.expires_at

    def _rate(self, key: str, *, audio: bool) -> int:
        amount, amounts = self.amount, self.amounts
        if audio:
            amount, amounts = self.with_audio, self.amounts_with_audio
        if amount is not None:
            return amount
        if key not in amounts:
            what = f"{key!r}{' with its own sound' if audio else ''}"
            raise ValueError(f"there is no price for {what}, only for: {', '.join(amounts) or 'silence'}")
        return amounts[key]

    def explain(self, quantity: float, key: str, *, audio: bool = False) -> str:
        per = f"{self.per} {self.unit}s" if self.per != 1 else self.unit
        at = f" at {key}" if key in self.amounts else ""
        at += " with sound" if audio else ""
        return (
            f"{quantity:g} {self.unit}{'' if quantity == 1 else 's'}{at}, {self._rate(key, audio=audio)} "
            f"micro-{self.currency} a {per}; list price of {self.checked_on} ({self.source})"
        )
