"""Phase write: words, then shots."""

from __future__ import annotations

from typing import cast

from core.scripts import Dialect, format_script, parse_script
from core.scripts import Script as ScriptText
from db.assets import Film, Script, ScriptVersion
from db.work import Job
from media.fonts import missing_glyphs
from providers.base import ScriptRequest
from providers.prompts import VERSION as PROMPTS_VERSION
from services.films import add_script_version, write_shots
from tasks.step import Run, step
from tasks.wiring import fonts_folder, open_writer

DEFAULT_SECONDS = 45.0
MISSING_GLYPHS = "missing_glyphs"


@step("write_script", soft=600, hard=660)
def write_script(run: Run) -> None:
    """Take the client's script, or have one written from the brief."""
    params = run.params
    if params["script"] is not None:
        text, fmt, author, origin = params["script"], params["script_format"], "client", "brief"
        parsed = parse_script(text, fmt)
    else:
        writer = open_writer(params["writer"])
        made = run.remember(
            writer=writer.slug,
            prompts=PROMPTS_VERSION,
            text=params["text"],
            language=params["language"],
            target_duration=params["target_duration"],
        )
        if made is None:
            draft = writer.write(
                ScriptRequest(
                    brief=params["text"],
                    language=params["language"],
                    target_duration=params["target_duration"] or DEFAULT_SECONDS,
                    instructions=run.held.params.get("instructions", ""),
                )
            )
            made = {"text": format_script(draft.script), "author": f"{writer.slug} {draft.model}".strip()}
        text, fmt, author, origin = made["text"], "markdown", made["author"], "written"
        parsed = parse_script(text, "markdown")
        run.result = made
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
        run.result = {**run.result, "version": version.number, "author": author}


@step("break_down")
def break_down(run: Run) -> None:
    """Break the current script into the film's shots."""
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        script = session.get_one(Script, film.script_id)
        version = session.get_one(ScriptVersion, script.current_version_id)
    parsed = parse_script(version.text, cast(Dialect, version.format))
    plans = [_plan(parsed, number) for number in range(len(parsed.shots))]
    missing = sorted(missing_glyphs(_shown_text(run, parsed), fonts_folder(run.settings)))
    with run.saving() as session:
        film = session.get_one(Film, run.film_id)
        write_shots(session, film, session.get_one(ScriptVersion, version.id), plans)
        job = session.get_one(Job, run.job.id)
        job.warnings = [w for w in job.warnings if w["code"] != MISSING_GLYPHS]
        if missing:
            job.warnings = [*job.warnings, _warn(missing)]
        run.result = {"shots": len(plans), "version": version.number}


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


def _plan(script: ScriptText, number: int) -> dict[str, object]:
    scene, shot = script.shots[number]
    return {
        "name": f"Shot {number + 1}",
        "scene": scene.number,
        "heading": scene.heading,
        "narration": shot.narration,
        "visual_prompt": shot.visual_prompt,
        "search_words": [word[:100] for word in shot.search_words],
        "camera": shot.camera,
        "title": shot.title,
        "asked_duration": shot.duration,
        "image": shot.image,
        "clip": shot.clip,
    }
