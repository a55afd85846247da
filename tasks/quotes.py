"""What a job would cost and whether its brief can be met, told before anything starts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.briefs import FPS, frame_size
from core.errors import Invalid
from core.registry import SOURCES
from core.scripts import Script, parse_script
from db.money import Budget, BudgetScope
from providers.base import ScriptRequest, VideoRequest
from services.money import committed_today
from tasks.timeline import frames_for
from tasks.wiring import check_names, open_speech, open_video, open_writer

WORDS_PER_SECOND = 2.4


def check_brief(kind: str, params: dict[str, Any]) -> None:
    """Raise Invalid for names nobody knows and for a script that cannot be read, naming the line."""
    if kind == "film":
        check_names(params)
        if params["script"] is not None:
            parse_script(params["script"], params["script_format"])
    if kind == "scrape":
        for slug in params["sources"] or []:
            if params["kind"] not in SOURCES.get(slug).kinds:
                raise Invalid(f"The source {slug} has no {params['kind']}s.", field="params.sources")


def quote_job(session: Session, workspace_id: UUID, kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """Price a job per shot and provider, against the caps.

    Amounts are micro-units. `known` is False as soon as one price is; such a quote is a lower bound.
    """
    check_brief(kind, params)
    lines = _film_lines(params) if kind == "film" else []
    total = sum(line["amount"] for line in lines)
    return {
        "kind": kind,
        "amount": total,
        "currency": "USD",
        "known": all(line["known"] for line in lines),
        "lines": lines,
        "caps": _caps(session, workspace_id, total),
    }


def _film_lines(params: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    if params["script"] is None:
        writer = open_writer(params["writer"])
        asked = ScriptRequest(params["text"], params["language"], params["target_duration"] or 45.0)
        lines.append(_line("write_script", "script", writer.slug, writer.quote(asked)))
    script = _script(params)
    speech = open_speech(params["narrator"])
    video = open_video(params["providers"][0])
    width, height = frame_size(params["format"], params["size"])
    for number, (_, shot) in enumerate(script.shots, start=1):
        spoken = len(shot.narration.split()) / WORDS_PER_SECOND
        ask = VideoRequest(
            purpose="shot",
            prompt=shot.visual_prompt or shot.narration,
            title=shot.title,
            width=width,
            height=height,
            fps=params["fps"] if params["fps"] in FPS else 30,
            frames=frames_for(spoken or None, shot.duration, params["fps"]),
        )
        if shot.narration:
            lines.append(_line("narrate", f"shot {number}", speech.slug, speech.quote(len(shot.narration))))
        lines.append(_line("submit_take", f"shot {number}", video.slug, video.quote(ask)))
    return lines


def _script(params: dict[str, Any]) -> Script:
    """The client's script; before one is written, the brief's own sentences stand in for it."""
    return parse_script(
        params["script"] or params["text"], params["script_format"] if params["script"] else "plain"
    )


def _line(step: str, subject: str, provider: str, quoted: Any) -> dict[str, Any]:
    return {
        "step": step,
        "subject": subject,
        "provider": provider,
        "amount": quoted.amount,
        "currency": quoted.currency,
        "known": quoted.known,
        "basis": quoted.basis,
    }


def _caps(session: Session, workspace_id: UUID, total: int) -> list[dict[str, Any]]:
    limit = session.scalar(
        select(Budget.limit_amount).where(
            Budget.workspace_id == workspace_id,
            Budget.scope == BudgetScope.WORKSPACE_DAY,
            Budget.currency == "USD",
        )
    )
    if limit is None:
        return []
    committed = committed_today(session, workspace_id, "USD")
    return [
        {
            "scope": "workspace_day",
            "limit": limit,
            "committed": committed,
            "fits": committed + total <= limit,
        }
    ]
