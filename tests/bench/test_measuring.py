"""Results: their shape, their goals, and that every benchmark has kept one."""

from __future__ import annotations

import importlib
import json

import pytest

from bench.__main__ import NAMES, RESULTS, table
from bench.measuring import Measured


def test_a_goal_is_missed_on_its_own_side_only():
    goals = {"small": "<= 1", "large": ">= 0.5", "slow": "<= 1", "poor": ">= 0.5"}
    measured = Measured({"small": 1.0, "large": 0.5, "slow": 1.1, "poor": 0.4}, goals=goals)

    assert measured.missed == {"slow", "poor"}
    assert sum("missed" in line for line in table(measured)) == 2


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_run_and_has_kept_a_result(name):
    kept = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))

    assert callable(importlib.import_module(f"bench.{name}").measure)
    assert {"name", "commit", "machine", "ratios", "figures"} == set(kept)
    assert kept["name"] == name
    assert kept["figures"]["rounds"] >= 3
    assert all(isinstance(ratio, float | int) for ratio in kept["ratios"].values())
