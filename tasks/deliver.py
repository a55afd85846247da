"""Phase deliver: every file a client asks for, derived from the master."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from core.errors import Invalid
from core.licences import one_line
from db.assets import Film, Rendition, RenditionRole
from db.work import Job, JobKind
from media.captions import make_cues, to_srt, to_vtt
from media.export import poster
from services import inputs
from services.manifest import list_credits, portable, render_manifest
from services.timeline import film_words, place_shots
from tasks.library import blob_path
from tasks.step import Run, step
from tasks.tools import tool_versions

_ROLES = {
    "poster": RenditionRole.POSTER,
    "srt": RenditionRole.CAPTIONS,
    "vtt": RenditionRole.CAPTIONS,
}
_MIMES = {
    "poster": ("poster.jpg", "image/jpeg"),
    "srt": ("captions.srt", "application/x-subrip"),
    "vtt": ("captions.vtt", "text/vtt"),
    "credits_txt": ("credits.txt", "text/plain"),
    "credits_csv": ("credits.csv", "text/csv"),
    "credits_json": ("credits.json", "application/json"),
    "manifest": ("manifest.json", "application/json"),
}
_COLUMNS = (
    *("name", "kind", "creator", "landing_url", "licence", "licence_url", "credit", "used_in"),
    *("changes", "share_alike", "restrictions", "retrieved_at"),
)


@step("export", soft=900, hard=960)
def export(run: Run) -> None:
    """Make one deliverable of the film."""
    kind = run.held.variant
    if kind not in _MIMES:
        raise Invalid(f"Unknown export {kind!r}; allowed: {', '.join(_MIMES)}.", field="export")
    filename, mime = _MIMES[kind]
    with run.loading() as session:
        film = session.get_one(Film, run.film_id)
        master = session.get_one(Rendition, film.master_rendition_id)
        placed, entries = place_shots(session, film.id), list_credits(session, film.id)
        text = _text(run, session, kind, film, entries)
    asked = inputs.for_export(kind, film, placed, entries, master.blob_sha256)
    if kind == "manifest":
        made = run.remember(export=kind, manifest=text)
        run.note(**asked)
    else:
        made = run.remember(export=kind, **asked)
    if made is None:
        out = run.scratch / filename
        if text is not None:
            out.write_text(text, encoding="utf-8")
        else:
            with run.timing("encode_seconds"), blob_path(master) as whole:
                poster(whole, out, at=min(2.0, (master.duration or 0.0) / 3))
        made = {"stored": run.store(out, mime=mime, filename=filename).to_json()}
    with run.saving() as session:
        rendition = run.attach(
            session,
            run.film_id,
            _ROLES.get(kind, RenditionRole.EXPORT),
            made,
            parents=[master.id],
            tool=f"export {kind}",
        )
        run.result = {**made, "rendition_id": str(rendition.id)}


def _text(run: Run, session: Any, kind: str, film: Film, entries: list[dict[str, Any]]) -> str | None:
    """The content of a deliverable that is text; None for pictures."""
    if kind in ("srt", "vtt"):
        cues = make_cues(film_words(place_shots(session, film.id)))
        return to_srt(cues) if kind == "srt" else to_vtt(cues)
    if kind == "manifest":
        manifest = portable(render_manifest(session, session.get_one(Job, run.job.id), tools=tool_versions()))
        return json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if not kind.startswith("credits"):
        return None
    if kind == "credits_json":
        return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
    if kind == "credits_txt":
        lines = [entry["credit"] or f"{one_line(entry['name'])} (own work)" for entry in entries]
        return "\n".join([f"{one_line(film.name)}: credits", "", *lines, ""])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        writer.writerow([_cell(entry.get(column)) for column in _COLUMNS])
    return table.getvalue()


def _cell(value: Any) -> str:
    """A CSV cell of one line that no spreadsheet takes for a formula; a list is joined."""
    if isinstance(value, list):
        value = "; ".join(str(one) for one in value)
    text = one_line({True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


@step("close")
def close(run: Run) -> None:
    """Write what was made into the job's own row; from another job there is nothing to take over."""
    with run.saving() as session:
        job = run.job
        if job.kind is JobKind.FILM:
            film = session.get_one(Film, run.film_id)
            master = session.get_one(Rendition, film.master_rendition_id)
            run.name_inputs(master=master.blob_sha256)
            run.result = {
                "master_rendition_id": str(master.id),
                "sha256": master.blob_sha256,
                "duration": master.duration,
            }
        row = session.get_one(Job, job.id)
        row.result = {**row.result, **run.result, "tools": tool_versions()}
