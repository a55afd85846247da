"""What a job would cost and whether its brief can be met, told before anything starts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.briefs import FPS, frame_size
from core.errors import Invalid, Misconfigured, Permanent, Rejected
from core.registry import SOURCES
from core.scripts import Script, ShotPlan, parse_script
from providers.base import Quote, ScriptRequest, VideoRequest
from services.caps import Cap, Payer, caps_in_force, refusing
from services.films import find_project
from services.money import money_mode
from services.timeline import frames_for, picture_times
from tasks import removers
from tasks.limits import circuit_open
from tasks.routing import check_providers, choose, look_at, refuse_unknown_price, routing_json
from tasks.wiring import check_names, enabled_sources, open_moderator, open_speech, open_writer

WORDS_PER_SECOND = 2.4


def check_brief(kind: str, params: dict[str, Any]) -> None:
    """Raise Invalid for names nobody knows and for a script that cannot be read, naming the line."""
    if kind == "film":
        check_names(params)
        check_providers(params["providers"])
        if params["script"] is not None:
            parse_script(params["script"], params["script_format"])
    if kind == "text_removal":
        removers.check_method(params)
    if kind == "scrape":
        for slug in params["sources"] or []:
            if params["kind"] not in SOURCES.get(slug).kinds:
                raise Invalid(f"The source {slug} has no {params['kind']}s.", field="params.sources")


def quote_job(
    session: Session,
    workspace_id: UUID,
    kind: str,
    params: dict[str, Any],
    *,
    project_id: UUID | None = None,
    budget: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Price a job per shot and provider, and say which caps would refuse which line.

    Amounts are micro-units. `known` is False as soon as one price is; such a quote is a lower bound. Lines
    are taken in order: one that does not fit is left out, as it would be in the job, and the next is tried.
    """
    check_brief(kind, params)
    if project_id is not None:
        find_project(session, workspace_id, project_id)
    lines: list[dict[str, Any]] = []
    if kind == "film":
        lines = _film_lines(params)
    elif kind == "text_removal":
        lines = _removal_lines(session, workspace_id, params)
    caps: list[dict[str, Any]] = []
    for currency in sorted({line["currency"] for line in lines if line["amount"]} or {"USD"}):
        own = budget if budget is not None and budget["currency"] == currency else None
        payer = Payer(workspace_id, project_id, job_limit=own["amount"] if own else None)
        caps += _judge(caps_in_force(session, payer, currency), lines, currency)
    totals: dict[str, int] = {}
    for line in lines:
        totals[line["currency"]] = totals.get(line["currency"], 0) + line["amount"]
    paid = [currency for currency, amount in sorted(totals.items()) if amount] or ["USD"]
    return {
        "kind": kind,
        "amount": totals.get(paid[0], 0),
        "currency": paid[0],
        "totals": [{"currency": currency, "amount": totals.get(currency, 0)} for currency in paid],
        "known": all(line["known"] for line in lines),
        "fits": all(not line["refused_by"] for line in lines),
        "mode": money_mode(),
        "lines": lines,
        "caps": caps,
    }


def _judge(caps: list[Cap], lines: list[dict[str, Any]], currency: str) -> list[dict[str, Any]]:
    """Write on every line of this currency which caps refuse it; returns the caps against the whole."""
    taken = 0
    total = 0
    for line in lines:
        if line["currency"] != currency:
            continue
        total += line["amount"]
        if line["amount"]:
            line["refused_by"] = [cap.scope for cap in refusing(caps, taken + line["amount"])]
        if not line["refused_by"]:
            taken += line["amount"]
    return [
        {
            "scope": cap.scope,
            "currency": currency,
            "limit": cap.limit,
            "committed": cap.committed,
            "missing": max(0, total - cap.room),
            "fits": total <= cap.room or not total,
            "message": cap.explain(total) if total > cap.room and total else "",
        }
        for cap in caps
    ]


def _film_lines(params: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    if params["script"] is None:
        writer = open_writer(params["writer"])
        asked = ScriptRequest(params["text"], params["language"], params["target_duration"] or 45.0)
        lines.append(_bought_line("write_script", "script", writer.slug, writer.quote(asked), params))
    script = _script(params)
    speech = open_speech(params["narrator"])
    width, height = frame_size(params["format"], params["size"])
    frames = 0
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
            audio=params["audio"] if shot.audio is None else shot.audio,
        )
        if shot.narration:
            said = speech.quote(len(shot.narration))
            lines.append(_bought_line("narrate", f"shot {number}", speech.slug, said, params))
        frames += ask.frames
        lines.append(_take_line(f"shot {number}", params, ask, shot))
    if params["moderation"] != "none":
        moderator, pictures = open_moderator(params["moderation"]), len(picture_times(frames / params["fps"]))
        lines.append(_bought_line("moderate", "film", moderator.slug, moderator.quote(pictures), params))
    return lines


def _removal_lines(session: Session, workspace_id: UUID, params: dict[str, Any]) -> list[dict[str, Any]]:
    """What is done here and what may be bought: a vendor's line is the most that it can come to."""
    lines = []
    for slug, quoted, refusal in removers.price(session, workspace_id, params):
        step = "clean_clip" if slug == "local" else "order_clip"
        lines.append(_line(step, "clip", slug, quoted) | {"refusal": refusal})
    return lines


def _take_line(subject: str, params: dict[str, Any], ask: VideoRequest, shot: ShotPlan) -> dict[str, Any]:
    """Whom a take would be asked of, at what price, and why; what nobody makes has no known price."""
    policy = params["routing"]
    looks = look_at(
        params,
        ask,
        pinned=bool(shot.image or shot.clip),
        begins=bool(shot.reference),
        moving=_may_move(shot, params),
        circuit_open=circuit_open,
    )
    try:
        route = choose(policy, looks)
    except Misconfigured:
        raise
    except (Permanent, Rejected) as error:
        found = [look.found for look in looks]
        amount = max((one.quote.amount for one in found if one.quote is not None), default=0)
        line = _line(
            "submit_take", subject, found[0].provider, Quote(amount, basis=error.message, known=False)
        )
        return line | {"refusal": error.message, "routing": routing_json(policy, found)}
    return _line("submit_take", subject, route.provider.slug, route.quote) | {"routing": route.to_json()}


def _may_move(shot: ShotPlan, params: dict[str, Any]) -> bool:
    """Whether this machine would show a clip: the script's, or one that a search may find."""
    if shot.clip or shot.image or not shot.search_words:
        return bool(shot.clip)
    sources = enabled_sources("clip") if params["sources"] is None else params["sources"]
    return any("clip" in SOURCES.get(slug).kinds for slug in sources)


def _bought_line(
    step: str, subject: str, provider: str, quoted: Quote, params: dict[str, Any]
) -> dict[str, Any]:
    """One call that is paid when it is made, and not made when nobody knows its price."""
    line = _line(step, subject, provider, quoted)
    try:
        refuse_unknown_price(provider, quoted, params)
    except Rejected as error:
        line["refusal"] = error.message
    return line


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
        "refusal": None,
        "routing": None,
        "refused_by": [],
    }
