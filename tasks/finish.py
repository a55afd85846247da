"""Phase finish: shots are rendered to segments, and everything is joined to the master."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import Permanent
from db.assets import Film, Rendition, RenditionRole, Shot
from db.work import Job
from media.captions import line_columns, make_cues, to_ass, to_srt
from media.cards import render_card
from media.compose import Chapter
from media.compose import compose as join
from media.probe import probe
from media.segments import proxy_size
from media.segments import render_segment as render
from media.sound import mix
from media.tracks import TakeSound
from services import inputs
from services.films import usable_take
from services.manifest import credits_text, list_credits
from services.renditions import latest_rendition
from services.rights import require_licensed, used_assets, warn_of_rights
from services.timeline import LEAD_IN, Placed, film_words, place_shots
from tasks.library import blob_path, original_of, shown_of
from tasks.source import licence_policy
from tasks.step import Run, step
from tasks.wiring import fonts_folder

TITLE_SECONDS = 4.0
"""How long a title stands over a shot's picture."""
SILENT_TAKE = "silent_take"
FADE = 0.6
"""Seconds of fade from black at the film's start and to black at its end."""


@step("render_segment", soft=900, hard=960)
def render_segment(run: Run) -> None:
    """Render a shot's take to its final form: size, length, captions, fades."""
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        placed = place_shots(session, film.id)
        here = next(item for item in placed if item.shot.id == run.subject_id)
        take = usable_take(session, here.shot)
        rendition = shown_of(session, take) if take is not None else None
        require_licensed(used_assets(session, film.id), licence_policy(run.params))
    if rendition is None and run.params["on_shot_failure"] == "halt":
        raise Permanent(f"{here.shot.name} has no usable take.", code="no_take")
    fades = (FADE if here.start == 0 else 0.0, 0.0)
    sha256 = rendition.blob_sha256 if rendition is not None else None
    made = run.remember(**inputs.for_segment(film, here, take, sha256, run.params))
    if made is None:
        out, light = run.scratch / "segment.mp4", run.scratch / "proxy.mp4"
        with run.timing("render_seconds"):
            if rendition is None:
                card = run.scratch / "card.mp4"
                _card(run, film, here.shot.title or inputs.card_words(film, here.shot), card, here.frames)
                _segment(run, film, here, card, out, light, fades)
            else:
                with blob_path(rendition) as path:
                    _segment(
                        run, film, here, path, out, light, fades, title=inputs.title_over(here.shot, take)
                    )
        made = _store_pair(run, film, out, light, "segment", here.frames)
    with run.saving() as session:
        parents = [rendition.id] if rendition is not None else []
        segment = _attach_pair(session, run, run.subject_id, made, parents)
        run.result = {**made, "rendition_id": str(segment.id), "take_id": str(take.id) if take else None}


def _segment(
    run: Run,
    film: Film,
    here: Placed,
    take: Path,
    out: Path,
    light: Path,
    fades: tuple[float, float],
    *,
    title: str | None = None,
) -> None:
    fonts = fonts_folder(run.settings)
    captions = None
    seconds = here.frames / film.fps
    spoken = here.words if film.caption_style != "none" else []
    if spoken or title:
        cues = make_cues(spoken, line=line_columns(film.width, film.height, film.caption_style))  # type: ignore[arg-type]
        captions = run.scratch / "captions.ass"
        captions.write_text(
            to_ass(
                cues,
                film.caption_style,  # type: ignore[arg-type]
                width=film.width,
                height=film.height,
                fonts=fonts,
                title=title,
                title_seconds=min(TITLE_SECONDS, seconds - 0.2),
            ),
            encoding="utf-8",
        )
    render(
        take,
        out,
        proxy=light,
        width=film.width,
        height=film.height,
        fps=film.fps,
        frames=here.frames,
        captions_ass=captions,
        fonts_dir=fonts,
        fade_in=fades[0],
        fade_out=fades[1],
        on_progress=lambda done: run.report(done / seconds),
        should_stop=run.stopped,
    )


def _card(run: Run, film: Film, text: str, out: Path, frames: int) -> None:
    render_card(
        text,
        out,
        width=film.width,
        height=film.height,
        fps=film.fps,
        frames=frames,
        seed=run.params["seed"],
        fonts=fonts_folder(run.settings),
        should_stop=run.stopped,
    )


@step("credits_card")
def credits_card(run: Run) -> None:
    """Render the end card that names everybody the film owes a line."""
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        asked = inputs.for_credits(film, list_credits(session, film.id), run.params)
    text = asked["credits"]
    frames = inputs.credits_frames(film, text)
    made = run.remember(**asked)
    if made is None:
        card, out, light = (run.scratch / name for name in ("card.mp4", "credits.mp4", "proxy.mp4"))
        with run.timing("render_seconds"):
            _card(run, film, text, card, frames)
            render(
                card,
                out,
                proxy=light,
                width=film.width,
                height=film.height,
                fps=film.fps,
                frames=frames,
                fade_in=FADE / 2,
                fade_out=FADE * 1.5,
                should_stop=run.stopped,
            )
        made = {**_store_pair(run, film, out, light, "credits", frames), "frames": frames}
    with run.saving() as session:
        segment = _attach_pair(session, run, film.id, made, [])
        run.result = {**made, "rendition_id": str(segment.id)}


@step("mix_sound")
def mix_sound(run: Run) -> None:
    """Mix narration, music and takes' own sound to one track as long as the film, at broadcast loudness."""
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        placed = place_shots(session, film.id)
        voices = [
            (rendition, item.seconds + LEAD_IN)
            for item in placed
            if (rendition := latest_rendition(session, item.shot.id, RenditionRole.NARRATION))
            and item.shot.narration
        ]
        digests = {rendition.asset_id: rendition.blob_sha256 for rendition, _ in voices}
        own = _takes_heard(session, run, placed)
        text = credits_text(film, list_credits(session, film.id), run.params)
        require_licensed(used_assets(session, film.id), licence_policy(run.params))
        music_id = film.metadata_.get("music_asset_id")
        music = latest_rendition(session, UUID(music_id), RenditionRole.ORIGINAL) if music_id else None
    bed = music.blob_sha256 if music is not None else None
    files = {shot: rendition.blob_sha256 for shot, rendition in own.items()}
    takes = inputs.for_takes_sound(placed, files, run.params)
    made = run.remember(**inputs.for_sound(film, placed, digests, bed, text, takes))
    run.note(takes=takes)
    if made is None:
        heard = [(rendition, *when) for rendition, (_, *when) in zip(own.values(), takes, strict=True)]
        made = _mix(run, voices, music, heard, inputs.film_seconds(film, placed, text))
    with run.saving() as session:
        _warn_of_silence(session, run, [list(own)[number] for number in made.get("silent_takes", ())])
        sound = run.attach(
            session,
            film.id,
            RenditionRole.SOUND,
            made,
            parents=[one.id for one in (*(voice for voice, _ in voices), *own.values(), music) if one],
            tool="ffmpeg",
        )
        run.result = {**made, "rendition_id": str(sound.id)}


def _takes_heard(session: Session, run: Run, placed: list[Placed]) -> dict[UUID, Rendition]:
    """The files of the takes whose own sound the film has, by shot in the order of the cut."""
    return {
        item.shot.id: original_of(session, take)
        for item in placed
        if inputs.wants_sound(item.shot, run.params) and (take := usable_take(session, item.shot))
    }


def _warn_of_silence(session: Session, run: Run, shots: list[UUID]) -> None:
    """Say which shots' takes came without the sound they were asked for; call inside `saving`."""
    job = session.get_one(Job, run.job.id)
    told = [
        {
            "code": SILENT_TAKE,
            "shot_id": str(shot.id),
            "message": f"{shot.name}: its take came without a sound of its own, so the film has none there.",
        }
        for shot in (session.get_one(Shot, shot_id) for shot_id in shots)
    ]
    before = [warning for warning in job.warnings if warning.get("code") != SILENT_TAKE]
    if told or len(before) < len(job.warnings):
        job.warnings = [*before, *told]


def _mix(
    run: Run,
    voices: list[tuple[Rendition, float]],
    music: Rendition | None,
    takes: list[tuple[Rendition, float, float]],
    seconds: float,
) -> dict[str, Any]:
    """Mix what is there; the result numbers the takes that have no sound."""
    out = run.scratch / "sound.m4a"
    with run.timing("mix_seconds"), ExitStack() as lent:
        files = [(lent.enter_context(blob_path(take)), start, length) for take, start, length in takes]
        lengths = [probe(path).audio_duration for path, _, _ in files]
        loudness = mix(
            [(lent.enter_context(blob_path(rendition)), at) for rendition, at in voices],
            lent.enter_context(blob_path(music)) if music is not None else None,
            out,
            duration=seconds,
            takes=[
                TakeSound(path, start, min(length, there))
                for (path, start, length), there in zip(files, lengths, strict=True)
                if there
            ],
            on_progress=lambda done: run.report(done / seconds),
            should_stop=run.stopped,
        )
    facts = {} if loudness.silent else {"lufs": loudness.integrated, "true_peak": loudness.true_peak}
    stored = run.store(
        out, mime="audio/mp4", filename="sound.m4a", duration=seconds, codec="aac", facts=facts
    )
    silent = [number for number, there in enumerate(lengths) if not there]
    return {"stored": stored.to_json(), **({"silent_takes": silent} if silent else {})}


@step("compose", version=2, soft=1800, hard=1860)
def compose(run: Run) -> None:
    """Join segments, sound and captions into the master, and beside it their proxies into the film's."""
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        placed = place_shots(session, film.id)
        segments = [_segment_of(session, item.shot) for item in placed]
        segments.append(needed(latest_rendition(session, film.id, RenditionRole.SEGMENT), "the end card"))
        owners = [*(item.shot.id for item in placed), film.id]
        proxies = [latest_rendition(session, owner, RenditionRole.SEGMENT_PROXY) for owner in owners]
        lights = [needed(proxy, "a segment's proxy") for proxy in proxies]
        sound = needed(latest_rendition(session, film.id, RenditionRole.SOUND), "the sound")
        require_licensed(used_assets(session, film.id), licence_policy(run.params))
        entries = list_credits(session, film.id)
    words = film_words(placed)
    srt = to_srt(make_cues(words)) if words else ""
    metadata = {
        "title": film.name,
        "comment": "Credits: " + " | ".join(entry["credit"] for entry in entries if entry.get("credit")),
        "copyright": "; ".join(sorted({entry["licence"] for entry in entries})),
    }
    asked = inputs.for_master(film, placed, entries, [s.blob_sha256 for s in segments], sound.blob_sha256)
    made = run.remember(**asked)
    if made is None:
        chapters = [Chapter(*c) for c in asked["chapters"]]
        made = _join(run, film, segments, lights, sound, srt, metadata, chapters)
    with run.saving() as session:
        film = session.get_one(Film, run.film_id)
        master = run.attach(
            session,
            film.id,
            RenditionRole.MASTER,
            made,
            parents=[*(segment.id for segment in segments), sound.id],
            tool="ffmpeg",
        )
        film.master_rendition_id = master.id
        run.attach(
            session,
            film.id,
            RenditionRole.PROXY,
            {"stored": made["proxy"]},
            parents=[*(light.id for light in lights), sound.id],
            tool="ffmpeg",
        )
        warn_of_rights(session.get_one(Job, run.job.id), used_assets(session, film.id))
        run.result = {**made, "rendition_id": str(master.id)}


def _join(
    run: Run,
    film: Film,
    segments: list[Rendition],
    lights: list[Rendition],
    sound: Rendition,
    srt: str,
    metadata: dict[str, str],
    chapters: list[Chapter],
) -> dict[str, Any]:
    out, proxy = run.scratch / "master.mp4", run.scratch / "proxy.mp4"
    captions = None
    if srt:
        captions = run.scratch / "captions.srt"
        captions.write_text(srt, encoding="utf-8")
    with run.timing("join_seconds"), ExitStack() as lent, ThreadPoolExecutor(1) as beside:
        voice = lent.enter_context(blob_path(sound))
        parts = [lent.enter_context(blob_path(light)) for light in lights]
        joined = beside.submit(join, parts, voice, proxy, should_stop=run.stopped)
        seen = join(
            [lent.enter_context(blob_path(segment)) for segment in segments],
            voice,
            out,
            metadata=metadata,
            captions_srt=captions,
            language=film.language,
            chapters=chapters,
            should_stop=run.stopped,
        )
        joined.result()
    stored = run.store(
        out,
        mime="video/mp4",
        filename=f"{_slug(film.name)}.mp4",
        width=seen.width,
        height=seen.height,
        duration=seen.duration,
        codec="h264",
        bitrate=seen.bitrate or None,
        facts={"fps": seen.fps, "frames": seen.frames, **sound.facts},
    )
    width, height = proxy_size(film.width, film.height)
    small = run.store(
        proxy,
        mime="video/mp4",
        filename="proxy.mp4",
        width=width,
        height=height,
        duration=seen.duration,
        codec="h264",
    )
    return {"stored": stored.to_json(), "proxy": small.to_json()}


def _segment_of(session: Session, shot: Shot) -> Rendition:
    return needed(latest_rendition(session, shot.id, RenditionRole.SEGMENT), f"the segment of {shot.name}")


def needed(rendition: Rendition | None, what: str) -> Rendition:
    if rendition is None:
        raise Permanent(f"Cannot compose: {what} is missing.", code="missing_segment")
    return rendition


def _store_pair(run: Run, film: Film, segment: Path, light: Path, name: str, frames: int) -> dict[str, Any]:
    seconds = frames / film.fps
    return {
        key: run.store(
            path,
            mime="video/mp4",
            filename=filename,
            width=width,
            height=height,
            duration=seconds,
            codec="h264",
        ).to_json()
        for key, path, filename, (width, height) in (
            ("stored", segment, f"{name}.mp4", (film.width, film.height)),
            ("proxy", light, f"{name}-proxy.mp4", proxy_size(film.width, film.height)),
        )
    }


def _attach_pair(
    session: Session, run: Run, owner: UUID, made: dict[str, Any], parents: list[UUID]
) -> Rendition:
    segment = run.attach(session, owner, RenditionRole.SEGMENT, made, parents=parents, tool="ffmpeg")
    light = {"stored": made["proxy"]}
    run.attach(session, owner, RenditionRole.SEGMENT_PROXY, light, parents=[segment.id], tool="ffmpeg")
    return segment


def _slug(name: str) -> str:
    kept = "".join(c if c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:80] or "film"
