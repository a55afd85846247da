"""Phase write: words, then shots."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from core.scripts import Dialect, format_script, parse_script
from core.scripts import Script as ScriptText
from db.assets import Film, Script, ScriptVersion
from db.work import Job
from media.fonts import missing_glyphs
from providers.base import ScriptRequest, ScriptWriter
from providers.prompts import VERSION as PROMPTS_VERSION
from services import inputs
from services.films import add_script_version, plan_shots, write_shots
from tasks.purchases import buy
from tasks.step import Run, step
from tasks.wiring import fonts_folder, open_writer

DEFAULT_SECONDS = 45.0
MISSING_GLYPHS = "missing_glyphs"


@step("write_script", soft=600, hard=660)
def write_script(run: Run) -> None:
    """Take the client's script, or have one written from the brief."""
    params = run.params
    asked = inputs.for_script(params)
    if params["script"] is not None:
        given = {"text": params["script"], "author": "client"}
        made, fmt, origin = run.remember(**asked) or given, params["script_format"], "brief"
    else:
        writer = open_writer(params["writer"])
        made = run.remember(writer=writer.slug, prompts=PROMPTS_VERSION, **asked) or _write(run, writer)
        fmt, origin = "markdown", "written"
    text, author = made["text"], made["author"]
    parsed = parse_script(text, fmt)
    with run.saving() as session:
        film = session.get_one(Film, run.film_id)
        script = session.get_one(Script, film.script_id)
        version = add_script_version(
            session,
            script,
            text=text,
            fmt=fmt,
            scenes=parsed.to_json()["scenes"],
            author=author,
            origin=origin,
        )
        if parsed.title and not params["title"]:
            film.name = parsed.title[:300]
        run.result = {**made, "version": version.number}


def _write(run: Run, writer: ScriptWriter) -> dict[str, Any]:
    asked = ScriptRequest(
        brief=run.params["text"],
        language=run.params["language"],
        target_duration=run.params["target_duration"] or DEFAULT_SECONDS,
        instructions=run.held.params.get("instructions", ""),
    )

    def write() -> dict[str, Any]:
        with run.timing("write_seconds"):
            draft = writer.write(asked)
        author = f"{writer.slug} {draft.model}".strip()
        cost = {} if draft.cost is None else {"cost": draft.cost}
        return {"text": format_script(draft.script), "author": author, **cost}

    quote = writer.quote(asked)
    if quote.known and not quote.amount:
        return write()
    made = buy(
        run, purpose="script", provider=writer.slug, model=writer.model,
        request={**asdict(asked), "prompts": PROMPTS_VERSION}, quote=quote, call=write,
    )  # fmt: skip
    return {name: made[name] for name in ("text", "author")}


@step("break_down")
def break_down(run: Run) -> None:
    """Break the current script into the film's shots."""
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        script = session.get_one(Script, film.script_id)
        version = session.get_one(ScriptVersion, script.current_version_id)
    made = run.remember(**inputs.for_shots(version.text, version.format, film))
    if made is None:
        parsed = parse_script(version.text, cast(Dialect, version.format))
        missing = missing_glyphs(_shown_text(run, parsed), fonts_folder(run.settings))
        made = {"plans": plan_shots(parsed), "missing_glyphs": sorted(missing)}
    plans, missing = made["plans"], made["missing_glyphs"]
    with run.saving() as session:
        film = session.get_one(Film, run.film_id)
        write_shots(session, film, session.get_one(ScriptVersion, version.id), plans)
        job = session.get_one(Job, run.job.id)
        job.warnings = [w for w in job.warnings if w["code"] != MISSING_GLYPHS]
        if missing:
            job.warnings = [*job.warnings, _warn(missing)]
        run.result = {**made, "shots": len(plans), "version": version.number}


def _shown_text(run: Run, script: ScriptText) -> str:
    """What will be drawn into the picture: titles, and the words where there are captions."""
    shown = [shot.title or "" for _, shot in script.shots] + [scene.heading for scene in script.scenes]
    if run.params["captions"] != "none":
        shown += [shot.narration for _, shot in script.shots]
    return "".join(shown)


def _warn(missing: list[str]) -> dict[str, str]:
    some = " ".join(missing[:20]) + (" …" if len(missing) > 20 else "")
    return {
        "code": MISSING_GLYPHS,
        "message": f"No font here can draw {some}: left out of the picture, kept in the caption files. "
        "FONTS_DIR may name a folder with a font that can.",
    }
