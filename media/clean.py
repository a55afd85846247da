"""Take burnt-in text out of a clip: find it, fill what it hides, write the clip again, read it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from core.errors import Permanent, Retryable
from media.burnt_text import Ask, Found, Planes
from media.children import Stop
from media.ffmpeg import replacing
from media.frames import Decoder
from media.ingest import Facts, inspect
from media.inpaint import fill_text
from media.proof import Proof, verify
from media.rewrite import Parts, Rewritten, rewrite
from media.sheet import contact_sheet
from media.text import find_text

__all__ = ["Proof", "Rewritten", "clean", "contact_sheet", "find", "inspect", "verify"]

Progress = Callable[[float], None] | None
"""Told the share that is done, 0 to 1."""
_TOO_DAMAGED = 0.25
_TOLD = 5


def find(clip: Path, ask: Ask, *, on_progress: Progress = None, should_stop: Stop = None) -> Found:
    """Look at every frame of a clip. Permanent says why it cannot be cleaned."""
    facts = inspect(clip, should_stop=should_stop)
    look = _Look(clip, facts)

    def tell(frames: float) -> None:
        if on_progress is not None:
            on_progress(min(1.0, frames / max(1, facts.frames)))

    found = find_text(
        look.frames(),
        width=facts.width,
        height=facts.height,
        frames_total=facts.frames,
        fps=facts.fps,
        ask=ask,
        on_progress=tell,
        should_stop=should_stop,
    )
    if should_stop is not None and should_stop():
        raise Retryable("Stopped on request.", code="stopped")
    notes = look.judge()
    return replace(found, notes=(*found.notes, *facts.notes, *notes))


class _Look:
    """Decodes a clip once, and keeps what was damaged in it."""

    def __init__(self, clip: Path, facts: Facts) -> None:
        self._clip, self._facts = clip, facts
        self.count, self.refused = 0, 0
        self.mended: list[int] = []

    def frames(self) -> Iterator[Planes]:
        with Decoder(self._clip, self._facts) as decoder:
            for shown in decoder.span():
                if shown.damaged:
                    self.mended.append(self.count)
                self.count += 1
                yield shown.planes
            self.refused = decoder.refused

    def judge(self) -> Iterator[str]:
        """Say what of the picture is damaged; Permanent `corrupt_media` when it is too much."""
        lost = max(self.refused, self._facts.frames - self.count)
        if self.count == 0 or lost + len(self.mended) > _TOO_DAMAGED * self._facts.frames:
            raise Permanent(
                f"The clip is damaged: of {self._facts.frames} pictures {lost} cannot be decoded and "
                f"{len(self.mended)} only in part.",
                code="corrupt_media",
            )
        if self.refused:
            yield f"{self.refused} damaged pictures are left out: the one before each stands longer."
        if self.mended:
            seconds = [f"{n / self._facts.fps:.1f}" for n in self.mended[:_TOLD]]
            more = " and later" if len(self.mended) > _TOLD else ""
            yield f"{len(self.mended)} damaged pictures are mended, at {', '.join(seconds)} s{more}."


def clean(
    clip: Path,
    out: Path,
    found: Found,
    ask: Ask,
    *,
    parts: Parts | None = None,
    on_progress: Progress = None,
    should_stop: Stop = None,
) -> Rewritten:
    """Write `clip` to `out` without the texts that were found in it; without any, `out` is the same file.

    The container, and everything in it but the pictures with text, stays as it is. `parts` keeps what is
    done, for a later try to go on with.
    """
    if not found.texts:
        with replacing(out) as scratch:
            shutil.copyfile(clip, scratch)
        return Rewritten(found.frames, 0, found.frames)
    facts = inspect(clip, should_stop=should_stop)

    def fill(frames: Iterator[Planes], first: int) -> Iterator[Planes]:
        return fill_text(frames, found, quality=ask.quality, first=first, should_stop=should_stop)

    return rewrite(
        clip,
        out,
        facts,
        [(text.first, text.last + 1) for text in found.texts],
        fill,
        frames=found.frames,
        cuts=found.cuts,
        parts=parts,
        on_progress=on_progress,
        should_stop=should_stop,
    )
