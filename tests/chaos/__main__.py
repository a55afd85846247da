"""`make chaos RUNS=n`: n seeded runs from 1; `make chaos SEED=s`: that one again."""

from __future__ import annotations

import argparse
import sys
import time

from tests.chaos.faults import CELLS
from tests.chaos.runner import run_all, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--runs", type=int, help="how many seeds (default: 100; with --seed: 1)")
    parser.add_argument("--seed", type=int, help="the first seed (default: 1)")
    parser.add_argument("--fault", help="only rows of the table whose fault or point has these words")
    asked = parser.parse_args()
    cells = [c for c in CELLS if not asked.fault or asked.fault in f"{c.fault}: {c.point}"]
    if not cells:
        parser.error(f"no fault is called {asked.fault!r}")
    first = asked.seed or 1
    runs = asked.runs or (1 if asked.seed else 100)
    began = time.monotonic()
    outcomes = run_all(range(first, first + runs), cells)
    violations = sum(bool(outcome.violations) for outcome in outcomes)
    print(f"\n{table(outcomes)}\n")
    for outcome in outcomes:
        if outcome.violations:
            print(f"make chaos SEED={outcome.seed}   # {outcome.cell.fault}, {outcome.cell.point}")
    print(f"{len(outcomes)} seeds in {time.monotonic() - began:.0f} s")
    print(f"{len(outcomes)} runs, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
