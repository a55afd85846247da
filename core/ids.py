"""Identifiers: UUIDv7, so that ids sort by the time they were made."""

from __future__ import annotations

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)
