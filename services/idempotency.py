"""The first answer to a POST, given again to whoever repeats it with the same key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import Conflict
from db.identity import IdempotencyKey


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    location: str | None = None


def recall_answer(session: Session, workspace_id: UUID, key: str, request_sha256: str) -> Answer | None:
    """Find the answer kept for `key`; None means: do the work and `keep_answer`.

    Takes a lock until the end of the transaction, so of two requests at once the second waits and then
    finds the first one's answer. Raises Conflict when the key came with another request.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{workspace_id}:{key}", 0))))
    kept = session.get(IdempotencyKey, (workspace_id, key))
    if kept is None:
        return None
    if kept.request_sha256 != request_sha256:
        raise Conflict(
            "This Idempotency-Key was used for another request: send a new key, or the same body.",
            code="idempotency_key_reused",
        )
    return Answer(kept.status, kept.body, kept.location)


def keep_answer(session: Session, workspace_id: UUID, key: str, request_sha256: str, answer: Answer) -> None:
    session.add(
        IdempotencyKey(
            workspace_id=workspace_id,
            key=key,
            request_sha256=request_sha256,
            status=answer.status,
            location=answer.location,
            body=answer.body,
        )
    )
