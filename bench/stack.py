"""How long `make up` takes until the API answers: cold (new databases, migrations) and warm."""

from __future__ import annotations

from pathlib import Path

from bench import house
from bench.measuring import Measured, median

GOAL_SECONDS = 8.0


def measure(folder: Path, rounds: int) -> Measured:
    cold, warm = [], []
    for number in range(rounds):
        place = folder / f"house-{number}"
        place.mkdir()
        try:
            with house.up(place) as first:
                cold.append(first.seconds)
            with house.up(place) as second:
                warm.append(second.seconds)
        finally:
            house.remove(place)
    return Measured(
        ratios={
            "warm_to_goal": round(median(warm) / GOAL_SECONDS, 4),
            "cold_to_goal": round(median(cold) / GOAL_SECONDS, 4),
            "warm_to_cold": round(median(warm) / median(cold), 4),
        },
        figures={
            "cold_seconds": median(cold),
            "warm_seconds": median(warm),
            "goal_seconds": GOAL_SECONDS,
            "all_cold_seconds": [round(value, 2) for value in cold],
            "all_warm_seconds": [round(value, 2) for value in warm],
        },
        goals={"warm_to_goal": "<= 1", "cold_to_goal": "<= 1"},
    )
