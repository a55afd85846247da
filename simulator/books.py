"""What simulated vendors remember: tasks, charges and calls, in one SQLite file that outlives them."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, vendor_id TEXT, external_id TEXT,
    model TEXT NOT NULL, prompt TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    seconds REAL NOT NULL, price INTEGER NOT NULL, created REAL NOT NULL, done REAL, fails INTEGER NOT NULL,
    faults TEXT NOT NULL, facts TEXT NOT NULL, UNIQUE (vendor, vendor_id), UNIQUE (vendor, external_id)
);
CREATE TABLE IF NOT EXISTS happened (what TEXT PRIMARY KEY, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ordered (id INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT, fault TEXT NOT NULL);
"""
_COLUMNS = (
    "id, vendor, vendor_id, external_id, model, prompt, width, height, seconds, price, created, done, "
    "fails, faults, facts"
)
FIRST_ID = 800_000_000


@dataclass(frozen=True)
class Task:
    """`vendor_id` is what the vendor calls it; `facts` is whatever its dialect wants back."""

    id: int
    vendor: str
    vendor_id: str
    external_id: str | None
    model: str
    prompt: str
    width: int
    height: int
    seconds: float
    price: int
    created: float
    done: float | None
    fails: bool
    faults: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def ended(self) -> bool:
        return self.done is not None and self.done <= time.time()

    @property
    def charged(self) -> int:
        """Micro-units: a task is charged when it succeeds."""
        return self.price if self.ended and not self.fails else 0


class Books:
    """Safe to share between threads; every change is on disk before the answer goes out."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.executescript(_TABLES)
        self._file.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'tasks', ? "
            "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'tasks')",
            (FIRST_ID,),
        )

    def add(self, vendor: str, **facts: Any) -> Task | None:
        """Accept a task; None when its external id is taken. Without a `vendor_id` its number is that."""
        columns = {
            "vendor": vendor,
            **facts,
            "created": time.time(),
            "faults": json.dumps(facts.get("faults", ())),
            "facts": json.dumps(facts.get("facts", {})),
        }
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        with self._held() as cursor:
            try:
                cursor.execute(f"INSERT INTO tasks ({names}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608 (our own names)
            except sqlite3.IntegrityError:
                return None
            number = cursor.lastrowid
            cursor.execute(
                "UPDATE tasks SET vendor_id = ? WHERE id = ? AND vendor_id IS NULL", (str(number), number)
            )
            row = cursor.execute(f"SELECT {_COLUMNS} FROM tasks WHERE id = ?", (number,)).fetchone()  # noqa: S608 (ours)
        return _task(row)

    def find(
        self,
        vendor: str | None = None,
        *,
        ids: list[str] | None = None,
        external_ids: list[str] | None = None,
    ) -> list[Task]:
        """Read tasks by the vendor's ids or by ours, or all."""
        column, wanted = ("vendor_id", ids) if ids is not None else ("external_id", external_ids)
        query, values = f"SELECT {_COLUMNS} FROM tasks WHERE 1", []  # noqa: S608 (our own names)
        if vendor is not None:
            query, values = f"{query} AND vendor = ?", [vendor]
        if wanted is not None:
            query += f" AND {column} IN ({', '.join('?' for _ in wanted)})"
            values = [*values, *wanted]
        with self._held() as cursor:
            rows = cursor.execute(f"{query} ORDER BY id", values).fetchall()
        return [_task(row) for row in rows]

    def change(self, task: Task, **columns: Any) -> Task:
        """Write down what became of a task: `done`, `fails`, `facts`."""
        if "facts" in columns:
            columns["facts"] = json.dumps(columns["facts"])
        names = ", ".join(f"{name} = ?" for name in columns)
        with self._held() as cursor:
            cursor.execute(f"UPDATE tasks SET {names} WHERE id = ?", (*columns.values(), task.id))  # noqa: S608 (ours)
        return self.find(task.vendor, ids=[task.vendor_id])[0]

    def count(self, what: str, more: int = 1) -> int:
        """Note that something happened; returns how often it has by now."""
        with self._held() as cursor:
            cursor.execute(
                "INSERT INTO happened VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET times = times + ?",
                (what, more, more),
            )
            times: int = cursor.execute("SELECT times FROM happened WHERE what = ?", (what,)).fetchone()[0]
        return times

    def counts(self) -> dict[str, int]:
        with self._held() as cursor:
            return dict(
                cursor.execute("SELECT what, times FROM happened WHERE what NOT LIKE '%:%'").fetchall()
            )

    def order(self, faults: list[str], vendor: str | None = None) -> None:
        """Have the next submits, to one vendor or to whichever it is, meet these faults, one each."""
        with self._held() as cursor:
            cursor.executemany(
                "INSERT INTO ordered (vendor, fault) VALUES (?, ?)", [(vendor, fault) for fault in faults]
            )

    def take_order(self, vendor: str) -> str | None:
        with self._held() as cursor:
            row = cursor.execute(
                "SELECT id, fault FROM ordered WHERE vendor IS NULL OR vendor = ? ORDER BY id LIMIT 1",
                (vendor,),
            ).fetchone()
            if row is not None:
                cursor.execute("DELETE FROM ordered WHERE id = ?", (row[0],))
        return None if row is None else str(row[1])

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            yield self._file.cursor()


def _task(row: Any) -> Task:
    values: list[Any] = [*row[:12], bool(row[12]), tuple(json.loads(row[13])), json.loads(row[14])]
    return Task(*values)
