"""Join segments, sound, captions and chapters into the master, without encoding pictures again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Invalid, Permanent, PipelineError
from media.encoding import BITEXACT, timescale
from media.ffmpeg import replacing, run
from media.probe import Probe, probe_many


@dataclass(frozen=True)
class Chapter:
    """A named stretch of the film, seconds from its start."""

    title: str
    start: float
    end: float


def compose(
    segments: Sequence[Path],
    sound: Path | None,
    out: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    captions_srt: Path | None = None,
    language: str | None = None,
    chapters: Sequence[Chapter] = (),
    on_progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Probe:
    """Write the master (.mp4, index first) and return what it is, measured afterwards.

    `sound` (.m4a is copied, anything else becomes AAC) must be as long as the picture. `metadata` takes
    ffmpeg's names (title, artist, comment ...). Permanent `bad_master` when frames are missing or sound
    and picture differ by more than a frame; then nothing is written.
    """
    if not segments:
        raise Invalid("A film needs at least one segment.", field="segments")
    parts = _probe_parts(segments)
    frames, seconds = sum(p.frames for p in parts), sum(p.duration for p in parts)
    with (
        replacing(out) as scratch,
        tempfile.TemporaryDirectory(prefix="compose-", dir=out.resolve().parent) as tmp,
    ):
        listing, notes = Path(tmp) / "segments.txt", Path(tmp) / "metadata.txt"
        listing.write_text("ffconcat version 1.0\n" + "".join(map(_entry, segments)), "utf-8")
        notes.write_text(_notes(metadata or {}, chapters), "utf-8")
        args = ["-f", "concat", "-safe", "0", "-i", str(listing), "-f", "ffmetadata", "-i", str(notes)]
        maps = ["-map", "0:v:0", "-c:v", "copy"]
        if sound is not None:
            args += ["-i", str(sound.resolve())]
            maps += [
                "-map",
                "2:a:0",
                *(["-c:a", "copy"] if sound.suffix == ".m4a" else ["-c:a", "aac", "-b:a", "192k"]),
            ]
        if captions_srt is not None and captions_srt.stat().st_size:
            args += ["-f", "srt", "-i", str(captions_srt.resolve())]
            maps += ["-map", f"{2 + (sound is not None)}:s:0", "-c:s", "mov_text", "-disposition:s:0", "0"]
            maps += ["-metadata:s:s:0", f"language={language or 'und'}"]
        tags = [*BITEXACT[:4], "-map_metadata", "1", "-map_chapters", "1", *timescale(parts[0].fps)]
        if sound is not None:
            tags += ["-metadata:s:a:0", f"language={language or 'und'}"]
        run(
            [*args, *maps, *tags, "-movflags", "+faststart", "-f", "mp4", str(scratch)],
            timeout=120 + seconds,
            on_progress=on_progress,
            should_stop=should_stop,
            role="segments",
        )
        return _verify(scratch, frames, seconds, with_sound=sound is not None)


def _probe_parts(segments: Sequence[Path]) -> list[Probe]:
    parts: list[Probe] = []
    for i, part in enumerate(probe_many(list(segments), decode=False), 1):
        if isinstance(part, PipelineError):
            raise Permanent(
                f"Segment {i} is unusable: {part.message}", code=part.code, field=f"segments[{i - 1}]"
            )
        parts.append(part)
    for i, part in enumerate(parts, 1):
        first, this = _shape(parts[0]), _shape(part)
        if this != first:
            raise Permanent(
                f"Segment {i} is {this}, the first is {first}: they cannot be joined.",
                code="mixed_segments",
                field=f"segments[{i - 1}]",
            )
    return parts


def _shape(part: Probe) -> str:
    return f"{part.kind} {part.video_codec} {part.width}x{part.height} {part.pix_fmt} at {part.fps:.3f}"


def _verify(master: Path, frames: int, seconds: float, *, with_sound: bool) -> Probe:
    """Measure the written master against what went in."""
    seen = probe_many([master])[0]
    if isinstance(seen, PipelineError):
        raise Permanent(f"The master is unusable: {seen.message}", code="bad_master")
    frame = seconds / frames
    faults = []
    if seen.frames != frames:
        faults.append(f"{seen.frames} of {frames} frames")
    if abs(seen.duration - seconds) > frame:
        faults.append(f"{seen.duration:.3f} s of picture instead of {seconds:.3f}")
    if with_sound and abs(seen.audio_duration - seconds) > max(frame, 0.022):  # AAC counts in 21.3 ms
        faults.append(f"{seen.audio_duration:.3f} s of sound for {seconds:.3f} s of picture")
    if faults:
        raise Permanent(f"The master is wrong: {'; '.join(faults)}.", code="bad_master")
    return seen


def _entry(segment: Path) -> str:
    quoted = str(segment.resolve()).replace("'", "'\\''")
    return f"file '{quoted}'\n"


def _notes(metadata: Mapping[str, str], chapters: Sequence[Chapter]) -> str:
    lines = [";FFMETADATA1", *(f"{_plain(k)}={_plain(v)}" for k, v in metadata.items())]
    for c in chapters:
        lines += [
            "[CHAPTER]",
            "TIMEBASE=1/1000",
            f"START={round(c.start * 1000)}",
            f"END={round(c.end * 1000)}",
        ]
        lines.append(f"title={_plain(c.title)}")
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    """Escape what the metadata format means otherwise."""
    return "".join("\\" + c if c in "=;#\\\n" else c for c in text.replace("\r", "").replace("\0", ""))
