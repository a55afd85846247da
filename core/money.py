"""Money as people read it. Everywhere else it is integer micro-units and a currency."""

from __future__ import annotations

MICRO = 1_000_000


def say_money(amount: int, currency: str) -> str:
    """Write micro-units in whole units: `12.50 USD`, and as many decimals as it takes, six at most."""
    sign, units, rest = "-" if amount < 0 else "", abs(amount) // MICRO, abs(amount) % MICRO
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{units}.{decimals} {currency}"
