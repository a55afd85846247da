"""The small part of the chaos suite: each main fault once, always with the same seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.chaos.faults import CELLS, Cell
from tests.chaos.runner import cell_of, run, table
from tests.chaos.stack import Ground, ground

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

STRIKES = {
    "kill -9 a worker": "submit_take",
    "dies at claim.after": "claim.after in find_stock",
    "dies at save.before_commit": "save.before_commit in compose",
    "dies at advance.before_commit": "advance.before_commit in source",
    "messages come twice and in any order": "shoot",
    "Redis FLUSHALL": "shoot",
    "PostgreSQL restarts": "crashes, then started",
    "the broker is down": "for 5 s",
    "the store takes no writes": "finish",
}


@pytest.fixture(scope="module")
def where() -> Iterator[Ground]:
    with ground() as made:
        yield made


def _cell(fault: str, point: str) -> Cell:
    return next(cell for cell in CELLS if (cell.fault, cell.point) == (fault, point))


@pytest.mark.parametrize(("fault", "point"), STRIKES.items(), ids=STRIKES)
def test_every_promise_holds_after(where, fault, point):
    cell = _cell(fault, point)
    if reason := cell.needs(where):
        pytest.skip(reason)
    outcome = run(where, list(STRIKES).index(fault) + 1, cell)
    if outcome.violations:
        sys.stderr.write(where.logs())
    assert outcome.violations == []
    assert outcome.struck, outcome.notes


def test_a_seed_names_its_fault_and_a_block_of_seeds_strikes_every_cell_once():
    seeds = range(1, 2 * len(CELLS) + 1)
    struck = [cell_of(seed, CELLS) for seed in seeds]
    assert struck == [cell_of(seed, CELLS) for seed in seeds]
    first, second = struck[: len(CELLS)], struck[len(CELLS) :]
    assert sorted(map(id, first)) == sorted(map(id, second)) == sorted(map(id, CELLS))
    assert first != second


def test_no_two_rows_of_the_table_are_alike():
    rows = [(cell.fault, cell.point) for cell in CELLS]
    assert len(set(rows)) == len(rows)
    assert table([]).split() == ["fault", "point", "runs", "struck", "violations", "s/run"]
