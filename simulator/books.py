"""What a simulated vendor remembers: tasks, charges and calls, in one SQLite file that outlives it."""

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
    id INTEGER PRIMARY KEY AUTOINCREMENT, external_id TEXT UNIQUE, model TEXT NOT NULL, prompt TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, seconds INTEGER NOT NULL, price INTEGER NOT NULL,
    created REAL NOT NULL, done REAL, fails INTEGER NOT NULL, faults TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS happened (what TEXT PRIMARY KEY, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ordered (id INTEGER PRIMARY KEY AUTOINCREMENT, fault TEXT NOT NULL);
"""
FIRST_ID = 800_000_000


@dataclass(frozen=True)
class Task:
    id: int
    external_id: str | None
    model: str
    prompt: str
    width: int
    height: int
    seconds: int
    price: int
    created: float
    done: float | None
    fails: bool
    faults: tuple[str, ...]

    @property
    def ended(self) -> bool:
        return self.done is not None and self.done <= time.time()

    @property
    def charged(self) -> int:
        """Micro-USD: a task is charged when it succeeds."""
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

    def add(self, **facts: Any) -> Task | None:
        """Accept a task; None when its external id is taken."""
        columns = {**facts, "created": time.time(), "faults": json.dumps(facts.get("faults", ()))}
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        with self._held() as cursor:
            try:
                cursor.execute(f"INSERT INTO tasks ({names}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608 (our own names)
            except sqlite3.IntegrityError:
                return None
            number = cursor.lastrowid
        return self.find(ids=[str(number)])[0]

    def find(self, *, ids: list[str] | None = None, external_ids: list[str] | None = None) -> list[Task]:
        """Read tasks by ids of one kind, or all."""
        column, wanted = ("id", ids) if ids is not None else ("external_id", external_ids)
        query, values = "SELECT * FROM tasks", tuple(wanted or ())
        if wanted is not None:
            query += f" WHERE {column} IN ({', '.join('?' for _ in values)})"
        with self._held() as cursor:
            rows = cursor.execute(f"{query} ORDER BY id", values).fetchall()
        return [Task(*(*row[:10], bool(row[10]), tuple(json.loads(row[11])))) for row in rows]

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

    def order(self, faults: list[str]) -> None:
        """Have the next submits, whoever sends them, meet these faults, one each."""
        with self._held() as cursor:
            cursor.executemany("INSERT INTO ordered (fault) VALUES (?)", [(fault,) for fault in faults])

    def take_order(self) -> str | None:
        with self._held() as cursor:
            row = cursor.execute("SELECT id, fault FROM ordered ORDER BY id LIMIT 1").fetchone()
            if row is not None:
                cursor.execute("DELETE FROM ordered WHERE id = ?", (row[0],))
        return None if row is None else str(row[1])

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            yield self._file.cursor()
