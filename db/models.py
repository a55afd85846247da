"""Every table: importing this fills the metadata that migrations compare with."""

from db import (
    assets,
    callbacks,
    candidates,
    hashes,
    identity,
    money,
    review,
    schedules,
    sources,
    submissions,
    work,
)
from db.base import Base

__all__ = [
    "assets",
    "callbacks",
    "candidates",
    "hashes",
    "identity",
    "metadata",
    "money",
    "review",
    "schedules",
    "sources",
    "submissions",
    "work",
]

metadata = Base.metadata
