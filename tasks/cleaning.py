"""Burnt-in text found, filled and read again, for a job of its own and for the takes of a film."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.cleaning_briefs import corners_of
from core.storage import blob_key
from db.assets import Rendition
from db.work import Step
from media import clean as engine
from media.burnt_text import Area, Ask, BurntText, Found, load_found
from media.proof import Proof, verify
from media.sheet import contact_sheet
from services.renditions import StoredFile, keep_blob
from tasks.step import Run, put_file, storage

MOST_TOLD = 200
"""Texts that a report lists; of more, the longest seen."""
LENGTH_OFF = 0.25
"""Seconds by which a cleaned clip may be longer or shorter."""
ENDINGS = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "video/webm": ".webm",
    "video/x-msvideo": ".avi",
}


def ask_of(params: dict[str, Any]) -> Ask:
    """What a job of its own is asked, in the engine's words."""
    marked: dict[str, list[Area]] = {"clean": [], "keep": []}
    for region in params["regions"]:
        marked[region["do"]].append(Area(corners_of(region), region["start"], region["end"]))
    return Ask(
        what=params["what"],
        languages=tuple(params["languages"]),
        clean=tuple(marked["clean"]),
        keep=tuple(marked["keep"]),
        keep_words=tuple(params["keep"]),
        quality=params["quality"],
    )


def find_text(run: Run, clip: Path, ask: Ask) -> dict[str, Any]:
    """Look the whole clip through; returns where the findings are kept, and what they are in words."""
    with run.timing("find_seconds"):
        found = engine.find(clip, ask, on_progress=run.report, should_stop=run.stopped)
    kept = run.scratch / "found-text.npz"
    found.save(kept)
    stored = run.store(kept, mime="application/octet-stream", filename="found-text.npz")
    return {"found": stored.to_json(), **describe(found)}


@contextmanager
def lent(stored: dict[str, Any]) -> Iterator[Path]:
    """Lend a file that a step's result names."""
    with storage().local(blob_key(stored["sha256"])) as path:
        yield path


def load(made: dict[str, Any]) -> Found:
    """What `find_text` found, from its result."""
    with lent(made["found"]) as path:
        return load_found(path)


def fill_text(
    run: Run, clip: Path, found: Found, ask: Ask, *, ending: str, share: Callable[[float], None] | None = None
) -> dict[str, Any]:
    """Write the clip without the text; shots that an earlier attempt has filled are taken over."""
    out = run.scratch / f"cleaned{ending}"
    parts = StoredParts(run)
    with run.timing("clean_seconds"):
        engine.clean(
            clip, out, found, ask, parts=parts, on_progress=share or run.report, should_stop=run.stopped
        )
    return store_cleaned(run, out, found)


def store_cleaned(run: Run, out: Path, found: Found) -> dict[str, Any]:
    mime = next((mime for mime, ending in ENDINGS.items() if ending == out.suffix), "video/mp4")
    stored = run.store(
        out,
        mime=mime,
        filename=f"cleaned{out.suffix}",
        width=found.width,
        height=found.height,
        duration=found.frames / found.fps if found.fps else None,
    )
    return {"stored": stored.to_json()}


def read_again(run: Run, clip: Path, cleaned: Path, found: Found, ask: Ask) -> dict[str, Any]:
    """Hold the cleaned clip against the original; `clean` says whether any text is left."""
    with run.timing("verify_seconds"):
        proof = verify(clip, cleaned, found, ask, on_progress=run.report, should_stop=run.stopped)
    return {**proof.to_json(), "clean": proof.clean, "trouble": _trouble(proof)}


def _trouble(proof: Proof) -> str | None:
    """Why a cleaned clip is of no use, however clean it is; a vendor may choose another size or codec."""
    was, now = proof.before, proof.after
    if len(now["sound_and_subtitles"]) < len(was["sound_and_subtitles"]):
        return "It has lost its sound or its subtitles."
    if abs(now["duration"] - was["duration"]) > LENGTH_OFF:
        return f"It is {now['duration']:.2f} s long, the original {was['duration']:.2f} s."
    return None


def sheet_of(run: Run, clip: Path, cleaned: Path, found: Found) -> StoredFile:
    """Pictures before and after, side by side."""
    out = run.scratch / "before-after.jpg"
    with run.timing("sheet_seconds"):
        contact_sheet(clip, cleaned, found, out)
    return run.store(out, mime="image/jpeg", filename="before-after.jpg")


def store_report(run: Run, report: dict[str, Any]) -> StoredFile:
    out = run.scratch / "text-report.json"
    out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return run.store(out, mime="application/json", filename="text-report.json")


class StoredParts:
    """The shots that a step has filled, kept with its row until it ends for another attempt to go on from."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._of = run.input_hash
        with run.loading() as session:
            kept = session.get_one(Step, run.held.step_id).result
        known = kept.get("parts_of") == self._of and self._of is not None
        self._parts: dict[str, Any] = dict(kept["parts"]) if known else {}

    @contextmanager
    def get(self, key: str) -> Iterator[Path | None]:
        """Lend a part that was made before; None when it has to be made."""
        part = self._parts.get(key)
        if part is None or not storage().exists(blob_key(part["sha256"])):
            yield None
            return
        with lent(part) as path:
            yield path

    def put(self, key: str, path: Path) -> None:
        stored = put_file(path, mime="application/octet-stream", filename=f"part-{key}")
        self._parts[key] = stored.to_json()
        with self._run.keeping() as session:
            keep_blob(session, stored)
            row = session.get_one(Step, self._run.held.step_id)
            row.input_hash = None  # equal to nothing until it is whole
            row.result = {"parts_of": self._of, "parts": self._parts}


# -- in words -------------------------------------------------------------------------------------


def describe(found: Found) -> dict[str, Any]:
    """What was found, as people read it: seconds, shares of the frame, words."""
    told = sorted(found.texts, key=lambda text: text.first - text.last)[:MOST_TOLD]
    told.sort(key=lambda text: (text.first, text.y))
    return {
        "texts": [_tell(text, found) for text in told],
        "count": len(found.texts),
        "shots": len(found.cuts) + 1,
        "frames": found.frames,
        "fps": round(found.fps, 3),
        "width": found.width,
        "height": found.height,
        "notes": list(found.notes),
    }


def _tell(text: BurntText, found: Found) -> dict[str, Any]:
    height, width = text.mask.shape
    x, y = text.corner(text.first)
    return {
        "kind": text.kind.value,
        "words": text.words,
        "confidence": round(float(text.confidence), 3),
        "start": round(text.first / found.fps, 3) if found.fps else 0.0,
        "end": round((text.last + 1) / found.fps, 3) if found.fps else 0.0,
        "box": [
            round(value, 4)
            for value in (x / found.width, y / found.height, width / found.width, height / found.height)
        ],
        "moves": text.path is not None,
    }


def ending_of(original: Rendition) -> str:
    """How the clip's file is called at its end; what it is made into is of the same sort."""
    return ENDINGS.get(original.mime, Path(original.filename).suffix.lower() or ".mp4")


def words_of(texts: Sequence[dict[str, Any]], limit: int = 3) -> str:
    """A few of the texts that were found, for a message."""
    told = [f"“{text['words'][:40]}”" for text in texts if text["words"]][:limit]
    return ", ".join(told) or f"{len(texts)} without words"
