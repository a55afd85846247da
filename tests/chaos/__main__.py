"""`make chaos RUNS=n`: n seeded runs from 1; `make chaos SEED=s`: that one again. Ctrl-C ends with the table."""

from __future__ import annotations

import argparse
import contextlib
import signal
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
    outcomes = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        contextlib.closing(run_all(range(first, first + runs), cells)) as done,
    ):
        outcomes.extend(done)
    broken = [outcome for outcome in outcomes if outcome.violations]
    print(f"\n{table(outcomes)}\n")
    for outcome in broken:
        more = f' FAULT="{asked.fault}"' if asked.fault else ""
        print(f"make chaos SEED={outcome.seed}{more}   # {outcome.cell.fault}, {outcome.cell.point}")
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{len(outcomes)} runs, {len(broken)} violations")
    return 1 if broken or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
