"""What submissions are for: how a frozen request is put to a vendor, and what becomes of the file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.submissions import Submission


@dataclass(frozen=True)
class Errand:
    """One purpose of submissions."""

    asking: Callable[[dict[str, Any]], AbstractContextManager[Any]]
    """Lend the request as the vendor's adapter takes it, its files and links in it."""
    frame: Callable[[Session, Submission], tuple[int, int] | None]
    """The picture's size that a file is judged for; None: there is nothing left that it could belong to."""
    keep: Callable[[Session, Submission, dict[str, Any]], dict[str, Any]]
    """Make what was asked for of a stored file; returns the ids of what it became."""


ERRANDS: dict[str, Errand] = {}
"""By `Submission.purpose`; each is added by the module that has its steps."""
