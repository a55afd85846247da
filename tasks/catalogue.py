"""What is known of every provider and source without asking it: what it takes, and whether it answers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from core.registry import PROVIDERS, SOURCES
from core.settings import get_settings
from providers.models import Model, has_models, load
from providers.prices import Price
from tasks import limits
from tasks.door import account, day_budget, recall


def describe_providers() -> dict[str, dict[str, Any]]:
    """Facts of this installation's code and of Redis, by slug; who is enabled only a worker can say."""
    today = datetime.now(UTC).date()
    return {
        slug: {
            "local": bool(getattr(adapter, "local", False)),
            "models": _models(slug, today),
            "limits": asdict(adapter.limits) if hasattr(adapter, "limits") else None,
            "circuit": asdict(limits.state(slug)),
        }
        for slug, adapter in PROVIDERS.all().items()
    }


def describe_sources() -> dict[str, dict[str, Any]]:
    """Facts of this installation's code and of Redis, by slug; who is enabled only a worker can say."""
    settings, limiter = get_settings(), limits.limiter()
    return {
        slug: {
            "local": not source.needs_network,
            "needs_key": source.needs_key,
            "terms": source.terms or None,
            "limits": asdict(source.limits) | {"per_day": day_budget(source, settings) or 0},
            "used_today": limiter.spent(account(slug)),
            "circuit": asdict(limiter.circuit(account(slug))),
            "resting_seconds": limiter.resting(account(slug)),
            "recalled": asdict(recall().counts(slug)),
        }
        for slug, source in SOURCES.all().items()
    }


def _models(slug: str, today: date) -> list[dict[str, Any]]:
    if not has_models(slug):
        return []
    models, checked_on = load(slug), get_settings().vendor(slug).prices_checked_on
    return [
        _model(model.confirmed(checked_on), today) | {"default": model.id == models.default}
        for model in models.all
    ]


def _model(model: Model, today: date) -> dict[str, Any]:
    return {
        "id": model.id,
        "capabilities": list(model.capabilities),
        "durations": list(model.durations),
        "resolutions": list(model.resolutions),
        "sizes": list(model.sizes),
        "ratios": list(model.ratios),
        "audio": bool(model.audio),
        "quality": model.quality,
        "typical_seconds": model.typical_seconds,
        "released": model.released,
        "retires_at": model.retires_at,
        "retired": model.retired(today),
        "replaced_by": model.replaced_by,
        "limits": {name: limit or None for name, limit in asdict(model.limits).items()},
        "price": _price(model.price, today) if model.price is not None else None,
    }


def _price(price: Price, today: date) -> dict[str, Any]:
    return {
        "currency": price.currency,
        "unit": price.unit,
        "per": price.per,
        "amount": price.amount,
        "amounts": dict(price.amounts),
        "with_audio": price.with_audio,
        "amounts_with_audio": dict(price.amounts_with_audio),
        "source": price.source,
        "checked_on": price.checked_on,
        "expires_at": price.expires_at,
        "expired": price.expired(today),
    }
