"""Seeds into runs, runs into a table."""

from __future__ import annotations

import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.faults import CELLS, Cell
from tests.chaos.scene import Missed, Scene
from tests.chaos.stack import Ground, ground

RUNS_PER_GROUND = 100
"""An installation is kept that long: its disks are small, and a new one proves that nothing is owed to age."""


@dataclass
class Outcome:
    seed: int
    cell: Cell
    seconds: float
    struck: bool
    violations: list[str]
    notes: list[str] = field(default_factory=list)


def cell_of(seed: int, cells: Sequence[Cell]) -> Cell:
    """Every block of as many seeds as there are cells strikes each cell once, in an order of its own."""
    block, place = divmod(seed - 1, len(cells))
    order = list(cells)
    random.Random(block).shuffle(order)
    return order[place]


def run(where: Ground, seed: int, cell: Cell) -> Outcome:
    """Do one seed on this installation and leave the installation whole."""
    began = time.monotonic()
    where.mark_logs()
    scene = Scene(where, seed, random.Random(seed), may_fail=cell.may_fail)
    found: list[str] = []
    try:
        cell.strike(scene, cell.point)
    except Missed as missed:
        scene.notes.append(f"missed: {missed}")
    except Exception as error:  # noqa: BLE001 (the suite's own surprise is a finding too)
        found.append(f"the fault itself: {error!r}")
        traceback.print_exc()
    try:
        where.mend()
        found += scene.complaints + scene.settle() + scene.verdict()
    except Exception as error:  # noqa: BLE001
        found.append(f"the installation could not be mended or judged: {error!r}")
        traceback.print_exc()
    if found:
        _keep(where, scene, cell, found)
    return Outcome(seed, cell, time.monotonic() - began, scene.struck, found, scene.notes)


def run_all(seeds: Iterable[int], cells: Sequence[Cell] = CELLS) -> Iterator[Outcome]:
    """Do these seeds, each on an installation that earlier ones have been through.

    A seed whose fault cannot be done on this machine is told and left out.
    """
    rest = list(seeds)
    while rest:
        with ground() as where:
            for _ in range(min(RUNS_PER_GROUND, len(rest))):
                seed = rest.pop(0)
                cell = cell_of(seed, cells)
                if reason := cell.needs(where):
                    print(f"seed {seed}: {cell.fault}, {cell.point}: left out, {reason}", flush=True)
                    continue
                outcome = run(where, seed, cell)
                _tell(outcome)
                yield outcome
                if any("could not be mended" in what for what in outcome.violations):
                    break


def table(outcomes: Sequence[Outcome]) -> str:
    """Fault x point x runs x violations; `struck` are the runs whose moment came."""
    runs, struck, bad, seconds = Counter(), Counter(), Counter(), Counter()
    for outcome in outcomes:
        key = (outcome.cell.fault, outcome.cell.point)
        runs[key] += 1
        struck[key] += outcome.struck
        bad[key] += bool(outcome.violations)
        seconds[key] += outcome.seconds
    order = [(cell.fault, cell.point) for cell in CELLS]
    head = ("fault", "point", "runs", "struck", "violations", "s/run")
    rows = [head] + [
        (*key, str(runs[key]), str(struck[key]), str(bad[key]), f"{seconds[key] / runs[key]:.1f}")
        for key in sorted(runs, key=order.index)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _tell(outcome: Outcome) -> None:
    word = "VIOLATION" if outcome.violations else "ok" if outcome.struck else "not struck"
    line = f"seed {outcome.seed}: {outcome.cell.fault}, {outcome.cell.point}: {word}, {outcome.seconds:.1f} s"
    print(line + (f" ({'; '.join(outcome.notes)})" if outcome.notes else ""), flush=True)
    for what in outcome.violations:
        print(f"    {what}", flush=True)


def _keep(where: Ground, scene: Scene, cell: Cell, found: list[str]) -> None:
    """Write down what a person needs to understand a violation."""
    folder = Path(tempfile.gettempdir()) / "callsheet-chaos"
    folder.mkdir(exist_ok=True)
    file = folder / f"seed-{scene.seed}.log"
    try:
        state = scene.state()
    except Exception as error:  # noqa: BLE001 (the database may be what is broken)
        state = f"the rows cannot be read: {error!r}"
    head = f"seed {scene.seed}: {cell.fault}, {cell.point}\n" + "\n".join(found)
    file.write_text(f"{head}\n\nnotes: {scene.notes}\n\n{state}\n\n{where.logs()}")
    print(f"    kept in {file}", file=sys.stderr, flush=True)
