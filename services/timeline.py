"""Where everything stands in the film: shots, their words and their narration, in frames and seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Permanent
from db.assets import Film, Shot
from services.films import film_shots

LEAD_IN = 0.25
"""Seconds of picture before the first word of a shot."""
TAIL = 0.45
"""Seconds of picture after its last word."""
SILENT_SECONDS = 3.5
"""A shot that says nothing and asks for no length."""

JUDGED_EVERY, MOST_JUDGED = 3.0, 100
"""Seconds between two pictures of a film that a moderator judges, and how many at most."""


@dataclass(frozen=True)
class Placed:
    """A shot in the cut; `start` and `frames` count frames of the film."""

    shot: Shot
    start: int
    frames: int
    fps: int

    @property
    def seconds(self) -> float:
        return self.start / self.fps

    @property
    def words(self) -> list[tuple[str, float, float]]:
        """Word timings in seconds from the shot's first frame."""
        return [(word, begin + LEAD_IN, end + LEAD_IN) for word, begin, end in self.shot.words]


def frames_for(narration: float | None, asked: float | None, fps: int) -> int:
    """Frames of a shot: as asked, but never shorter than its narration with air around it."""
    spoken = narration + LEAD_IN + TAIL if narration else 0.0
    seconds = max(spoken, asked or 0.0) or SILENT_SECONDS
    return max(2, math.ceil(round(seconds * fps, 6)))


def place_shots(session: Session, film_id: UUID) -> list[Placed]:
    """Lay the film's shots end to end; raises Permanent while one has no length yet."""
    film = session.get_one(Film, film_id)
    placed: list[Placed] = []
    start = 0
    for shot in film_shots(session, film_id):
        if shot.frames is None:
            raise Permanent(f"{shot.name} has no length yet: its narration is missing.", code="no_length")
        placed.append(Placed(shot, start, shot.frames, film.fps))
        start += shot.frames
    return placed


def film_words(placed: Sequence[Placed]) -> list[tuple[str, float, float]]:
    """All words with their times in the film."""
    return [
        (word, begin + item.seconds, end + item.seconds) for item in placed for word, begin, end in item.words
    ]


def picture_times(seconds: float) -> list[float]:
    """Moments that are looked at: one every few seconds, at most a hundred, none at the very end."""
    count = max(1, min(MOST_JUDGED, round(seconds / JUDGED_EVERY)))
    return [round((number + 0.5) * seconds / count, 3) for number in range(count)]
