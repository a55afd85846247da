"""Near-duplicate look-up by bands against the sequential scan, over the same rows and the same questions.

Random hashes are the best case for bands; the clustered ones stand for a library with favourite motives:
20,000 of them, the most common with thousands of pictures. Every question has neighbours planted at each
distance, and what the bands find is compared with what the scan finds, asset by asset.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.measuring import Measured
from bench.servers import connected, servers
from core.likeness import NEAR, HashAlgo

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "3m": 3_000_000}
CLUSTERED = "1m"
QUESTIONS = 12
_EVERYTHING = 10**9
_INSERT = """
INSERT INTO asset_hashes (asset_id, algo, version, position, workspace_id, hash)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'picture', 1, 0, %(workspace)s, {hash}
FROM generate_series(%(first)s, %(last)s) AS n
"""
_BITS = "('x' || substr(md5({what}), 1, 16))::bit(64)"
_RANDOM = _BITS.format(what="n::text")
_CLUSTERED = " # ".join(
    [
        _BITS.format(what="'m' || floor(20000 * power(random(), 2))::text"),
        "(" + " & ".join(_BITS.format(what=f"'{salt}' || n::text") for salt in "abcd") + ")",
    ]
)
"""A motive with four bits flipped on average."""
_SCAN = """
SELECT asset_id, bit_count(hash # CAST(:hash AS bit(64))) AS distance FROM asset_hashes
WHERE workspace_id = CAST(:workspace AS uuid) AND algo = 'picture' AND version = 1
AND bit_count(hash # CAST(:hash AS bit(64))) <= :distance
"""


def measure(folder: Path, rounds: int) -> Measured:
    with servers(folder) as urls, connected(urls.database_url) as cursor:
        workspace = _prepare(cursor)
        figures: dict[str, Any] = {"distance": NEAR, "questions": QUESTIONS}
        tally = Tally()
        speedups: dict[str, float] = {}
        for kind, sizes in (("random", list(SIZES)), ("clustered", [CLUSTERED])):
            cursor.execute("TRUNCATE asset_hashes")
            there = 0
            for size in sizes:
                name = size if kind == "random" else f"{size}_clustered"
                began = time.perf_counter()
                _fill(cursor, workspace, kind, there + 1, SIZES[size])
                there = SIZES[size]
                asked = _plant(cursor, workspace, kind, size)
                figures[f"fill_seconds_{name}"] = round(time.perf_counter() - began, 1)
                bands, scan = _ask(workspace, asked, rounds, tally)
                speedups[f"speedup_{name}"] = round(scan / bands, 2)
                figures[f"bands_ms_{name}"] = round(1000 * bands, 3)
                figures[f"scan_ms_{name}"] = round(1000 * scan, 2)
                print(f"  {name}: {1000 * bands:.2f} ms against {1000 * scan:.1f} ms", flush=True)
        cursor.execute("SELECT pg_table_size('asset_hashes') / 1e6, pg_indexes_size('asset_hashes') / 1e6")
        figures["table_mb_1m"], figures["indexes_mb_1m"] = (
            round(float(size), 1) for size in cursor.fetchone()
        )
        figures |= {"true_neighbours": tally.true, "planted_neighbours": tally.planted}
        figures["found_too_much"] = tally.wrong
    return Measured(
        ratios=speedups | {"found": tally.found / tally.true},
        figures=figures,
        goals={"speedup_1m": ">= 20", "found": ">= 1"},
    )


@dataclass
class Tally:
    """Neighbours: those the scan finds, those of them the bands find too, those only the bands find."""

    true: int = 0
    found: int = 0
    wrong: int = 0
    planted: int = 0


def _prepare(cursor: Any) -> str:
    """A workspace, and a table whose rows need no assets."""
    cursor.execute("INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), 'Bench') RETURNING id::text")
    workspace: str = cursor.fetchone()[0]
    for column in ("asset_id", "workspace_id"):
        cursor.execute(f"ALTER TABLE asset_hashes DROP CONSTRAINT fk_asset_hashes_{column}")
    return workspace


def _fill(cursor: Any, workspace: str, kind: str, first: int, last: int) -> None:
    """Add rows without the bands' indexes, which are built afterwards."""
    cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix_asset_hashes%'")
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    hashes = _RANDOM if kind == "random" else _CLUSTERED
    cursor.execute(_INSERT.format(hash=hashes), {"workspace": workspace, "first": first, "last": last})
    for _, definition in indexes:
        cursor.execute(definition)


def _plant(cursor: Any, workspace: str, kind: str, size: str) -> list[str]:
    """Put a neighbour at every distance beside each question; a clustered question is a row's own hash."""
    dice = random.Random(size)
    asked = [dice.getrandbits(64) for _ in range(QUESTIONS)]
    if kind == "clustered":
        cursor.execute(
            "SELECT hash::text FROM asset_hashes ORDER BY md5(asset_id::text) LIMIT %s", (QUESTIONS,)
        )
        asked = [int(row[0], 2) for row in cursor.fetchall()]
    for value in asked:
        for distance in range(NEAR + 1):
            flipped = sum(1 << bit for bit in dice.sample(range(64), distance))
            cursor.execute(
                "INSERT INTO asset_hashes (asset_id, algo, version, position, workspace_id, hash) "
                "VALUES (gen_random_uuid(), 'picture', 1, 0, %s, %s)",
                (workspace, f"{value ^ flipped:064b}"),
            )
    cursor.execute("VACUUM ANALYZE asset_hashes")
    return [f"{value:016x}" for value in asked]


def _ask(workspace: str, asked: list[str], rounds: int, tally: Tally) -> tuple[float, float]:
    """Median seconds of the bands and of the scan; the first turn warms what is read, and is compared."""
    from db.session import reading
    from services.fingerprints import near_hashes

    bands: list[float] = []
    scan: list[float] = []
    with reading() as session:
        for turn in range(rounds + 1):
            for value in asked:
                began = time.perf_counter()
                near = near_hashes(session, UUID(workspace), HashAlgo.PICTURE, [value], most=_EVERYTHING)
                between = time.perf_counter()
                truth = _scan(session, workspace, value)
                if turn:
                    bands.append(between - began)
                    scan.append(time.perf_counter() - between)
                    continue
                tally.true += len(truth)
                tally.found += sum(near.get(asset_id) == bits for asset_id, bits in truth.items())
                tally.wrong += len(near.keys() - truth.keys())
                tally.planted += NEAR + 1
    return statistics.median(bands), statistics.median(scan)


def _scan(session: Session, workspace: str, value: str) -> dict[UUID, int]:
    for way in ("indexscan", "bitmapscan", "indexonlyscan"):
        session.execute(text(f"SET LOCAL enable_{way} = off"))
    rows = session.execute(
        text(_SCAN), {"workspace": workspace, "hash": f"{int(value, 16):064b}", "distance": NEAR}
    ).all()
    for way in ("indexscan", "bitmapscan", "indexonlyscan"):
        session.execute(text(f"SET LOCAL enable_{way} = on"))
    return {row.asset_id: row.distance for row in rows}
