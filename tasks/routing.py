"""Who makes a take: every provider the brief names is looked at, and its policy picks among those that can.

    fixed      the first in the brief's order
    cheapest   the lowest quote
    fastest    the shortest time that its model usually takes
    best       the highest of our marks for quality, then the lowest quote

What a policy finds equal stays in the brief's order. Nothing is held or sent here; what was found of each
provider is kept with the submission.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.errors import Invalid, Misconfigured, Permanent, PipelineError, Rejected
from core.registry import PROVIDERS
from core.settings import get_settings
from providers.base import Quote, VideoProvider, VideoRequest
from providers.models import Model, has_models, load
from tasks.wiring import open_video

if TYPE_CHECKING:  # quotes are asked of the API's process, which loads no image library
    from media.craft import Craft

_EXPECTED = ("taken", "spare", "tried", "pinned")
NOBODY: Mapping[tuple[str, str], str] = {}
UNKNOWN_PRICE, NO_SOUND = "unknown_price", "no_sound"


@dataclass(frozen=True)
class Considered:
    """What was found of one provider: it was `taken`, is `spare`, or the code says why it was passed over."""

    provider: str
    model: str
    code: str
    message: str
    field: str | None = None
    quote: Quote | None = None
    seconds: int | None = None
    quality: int | None = None

    @property
    def news(self) -> bool:
        """Whether people should hear of it: the brief named it, and it cannot be had."""
        return self.code not in _EXPECTED

    def to_json(self) -> dict[str, Any]:
        quote = self.quote
        return {
            "provider": self.provider,
            "model": self.model,
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "amount": quote.amount if quote is not None else None,
            "currency": quote.currency if quote is not None else None,
            "known": quote.known if quote is not None else None,
            "seconds": self.seconds,
            "quality": self.quality,
        }


@dataclass(frozen=True)
class Route:
    """The provider that makes a take, at what price, and what was found of every one in the brief."""

    provider: VideoProvider
    quote: Quote
    policy: str
    considered: tuple[Considered, ...]

    def to_json(self) -> dict[str, Any]:
        return routing_json(self.policy, self.considered)


def routing_json(policy: str, considered: Sequence[Considered]) -> dict[str, Any]:
    return {"policy": policy, "considered": [one.to_json() for one in considered]}


@dataclass(frozen=True)
class Look:
    """One look at a provider: itself where it could make the take, and the error that forbids it."""

    found: Considered
    provider: VideoProvider | None = None
    error: PipelineError | None = None


def split_name(name: str) -> tuple[str, str | None]:
    """Split a provider as briefs name it, `<slug>` or `<slug>:<model>`."""
    slug, _, model = name.partition(":")
    return slug, model or None


def check_providers(names: Collection[str]) -> None:
    """Raise Invalid for a provider or model that nobody knows, or that its vendor has retired."""
    for name in names:
        slug, model = split_name(name)
        if not PROVIDERS.has(slug, "video"):
            allowed = ", ".join(PROVIDERS.slugs("video"))
            raise Invalid(f"Unknown {slug!r}; allowed: {allowed}.", field="params.providers")
        if model is None:
            continue
        try:
            _facts(slug, model)
        except Rejected as error:
            raise Invalid(error.message, code=error.code, field="params.providers") from None


def look_at(
    params: dict[str, Any],
    request: VideoRequest,
    *,
    pinned: bool = False,
    begins: bool = False,
    moving: bool = False,
    tried: Mapping[tuple[str, str], str] = NOBODY,
    circuit_open: Callable[[str], bool] = lambda _: False,
    craft: Craft | None = None,
) -> list[Look]:
    """Look at every provider of the brief; nobody is asked over the network.

    `tried` are providers with their models that could not, and why. A `pinned` take shows the picture its
    script names, so vendors are passed over; one that `begins` with a picture needs a model that can, also
    while the picture itself is not there yet. `moving` says that this machine would show a clip, whose own
    sound it can keep.
    """
    return [
        _look(
            name,
            params,
            request,
            pinned=pinned,
            begins=begins,
            moving=moving,
            tried=tried,
            circuit_open=circuit_open,
            craft=craft,
        )
        for name in params["providers"]
    ]


def choose(policy: str, looks: Sequence[Look]) -> Route:
    """Pick among those that can; one whose circuit is open is taken only when no other can.

    Raises what is wrong with the only provider named, else Permanent with every reason; Rejected with the
    field that accepts it when a price that nobody knows stands in the way.
    """
    able = [(look.provider, look.found, n) for n, look in enumerate(looks) if look.provider is not None]
    if not able:
        raise _refusal(looks)
    provider, found, place = min(able, key=lambda one: (_rank(policy, one[1]), one[2]))
    considered = [look.found for look in looks]
    considered[place] = replace(found, code="taken", message=f"{found.message} {_WHY[policy]}".strip())
    assert found.quote is not None
    return Route(provider, found.quote, policy, tuple(considered))


_WHY = {
    "fixed": "The first of the brief's providers that can.",
    "cheapest": "The cheapest that can.",
    "fastest": "The fastest that can.",
    "best": "The best that can.",
}


def _look(
    name: str,
    params: dict[str, Any],
    request: VideoRequest,
    *,
    pinned: bool,
    begins: bool,
    moving: bool,
    tried: Mapping[tuple[str, str], str],
    circuit_open: Callable[[str], bool],
    craft: Craft | None,
) -> Look:
    slug, model = split_name(name)
    found = Considered(slug, model or "", "spare", "")
    try:
        provider = open_video(slug, craft=craft, model=model)
        found = replace(found, model=provider.model)
        facts = _facts(slug, provider.model, request, begins=begins)
        if facts is not None:
            found = replace(found, seconds=facts.typical_seconds, quality=facts.quality)
        if (slug, provider.model) in tried:
            return Look(replace(found, code="tried", message=tried[slug, provider.model]))
        if pinned and not provider.local:
            return Look(replace(found, code="pinned", message="The script says which picture is shown."))
        if request.audio and provider.local and not moving:
            raise Rejected(
                f"{slug} makes no sound: it keeps that of a clip, and here it would show none.",
                code=NO_SOUND,
                field="audio",
            )
        found = replace(found, quote=provider.quote(request))
        refuse_unknown_price(name, found.quote, params)
    except (Misconfigured, Rejected) as error:
        return Look(replace(found, code=error.code, message=error.message, field=error.field), error=error)
    if not provider.local and circuit_open(slug):
        why = "It does not answer now; it is asked once it does."
        return Look(replace(found, code="circuit_open", message=why), provider)
    return Look(found, provider)


def _facts(
    slug: str, model: str, request: VideoRequest | None = None, *, begins: bool = False
) -> Model | None:
    """What is known of a model; raises Rejected when it is retired, unknown or cannot make what is asked."""
    adapter = PROVIDERS.get(slug)
    relayed = not adapter.local and adapter.relayed(get_settings().vendor(slug))
    if relayed or not has_models(slug):
        return None
    facts = load(slug).get(model, datetime.now(UTC).date())
    if request is not None:
        facts.check_image(request.image)
    if begins:
        facts.begin_with_picture()
    return facts


def refuse_unknown_price(name: str, quote: Quote | None, params: dict[str, Any]) -> None:
    """Raise Rejected when nobody knows what a vendor will take and the brief does not accept that."""
    if quote is not None and not quote.known and not params["accept_unknown_prices"]:
        raise Rejected(
            f"The price of {name} is not known ({quote.basis}). "
            "With `accept_unknown_prices` it is bought all the same.",
            code=UNKNOWN_PRICE,
            field="params.accept_unknown_prices",
        )


def _rank(policy: str, found: Considered) -> tuple[float, ...]:
    """Smaller is asked first; what does not answer is asked last."""
    quote = found.quote  # without rates of exchange only prices in USD compare
    comparable = quote is not None and quote.known and quote.currency == "USD"
    price = float(quote.amount) if quote is not None and comparable else math.inf
    by_policy: dict[str, tuple[float, ...]] = {
        "fixed": (),
        "cheapest": (price,),
        "fastest": (float(found.seconds or math.inf),),
        "best": (-float(found.quality or 0), price),
    }
    return (float(found.code == "circuit_open"), *by_policy[policy])


def _refusal(looks: Sequence[Look]) -> PipelineError:
    errors = [look.error for look in looks if look.error is not None]
    silent = [error for error in errors if error.code == NO_SOUND]
    if len(looks) == 1 and errors and not silent:
        return errors[0]
    reasons = " ".join(f"{look.found.provider}: {look.found.message}" for look in looks)
    said = f"No provider makes this take. {reasons}"
    if silent:
        said = f"{said} {_who_makes_sound([look.found.provider for look in looks])}"
    if len(silent) == len(looks):
        return Rejected(said, code=NO_SOUND, field="audio")
    for error in errors:
        if error.code == UNKNOWN_PRICE:
            return Rejected(said, code=error.code, field=error.field)
    return Permanent(said, code="no_take")


def _who_makes_sound(slugs: Sequence[str]) -> str:
    """Say which models of these providers could make a take with a sound of its own."""
    today = datetime.now(UTC).date()
    able = [
        f"{slug}:{model.id}"
        for slug in dict.fromkeys(slugs)
        if has_models(slug)
        for model in load(slug).all
        if model.audio and not model.retired(today)
    ]
    return f"These make sound: {', '.join(able)}." if able else "Nobody in the brief makes sound."
