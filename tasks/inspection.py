"""Files that come in from outside are looked into here: probed, scored, fingerprinted, stored."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.errors import Permanent
from core.hashing import file_sha1
from core.likeness import Fingerprint, HashAlgo
from media.images import open_image, perceptual_hashes, save_jpeg, shrink
from media.listening import Heard, listen
from media.probe import Probe, probe
from media.quality import NOT_WHOLE, Score, score_audio, score_clip, score_image
from media.watching import Watched, watch
from scrapers.base import Candidate
from services.renditions import StoredFile
from tasks.step import put_file

_THUMBNAIL_SIDE = 480
_AMBIENCE = re.compile(
    r"\b(ambien\w*|atmo\w*|drones?|noises?|hum|winds?|rain\w*|waves|room ?tone|traffic|crowds?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Inspected:
    """What a file proved to be, with its bytes in the store."""

    kind: str
    stored: StoredFile
    thumbnail: StoredFile | None
    facts: dict[str, Any]
    prints: tuple[Fingerprint, ...] = ()


class Bench(Protocol):
    """Where files are inspected: a folder to work in and a way to store; a step's `Run` is one."""

    @property
    def scratch(self) -> Path: ...

    def store(self, path: Path, *, mime: str, filename: str, **facts: Any) -> StoredFile: ...


@dataclass(frozen=True)
class Desk:
    """A bench for work that is no step."""

    scratch: Path

    def store(self, path: Path, *, mime: str, filename: str, **facts: Any) -> StoredFile:
        return put_file(path, mime=mime, filename=filename, **facts)


def inspect(
    run: Bench,
    path: Path,
    *,
    filename: str,
    width: int,
    height: int,
    found: Candidate | None = None,
    need: float | None = None,
    closely: bool = True,
) -> Inspected:
    """Probe, score and store a file; raises Permanent when it is not what a film can use.

    `width`, `height` and `need` (seconds) are what its quality is judged for, `found` is what its source says
    of it. Not `closely`: no frame and no sample is looked at, only what the container tells.
    """
    seen = probe(path)
    facts: dict[str, Any] = {
        "width": seen.width or None,
        "height": seen.height or None,
        "duration": seen.duration or None,
        "fps": seen.fps or None,
        "codec": seen.video_codec or seen.audio_codec,
        "channels": seen.channels or None,
        "sample_rate": seen.sample_rate or None,
        "sha1": file_sha1(path),
    }
    metadata = known_share(found) if found is not None else None
    thumbnail = None
    if seen.kind == "image":
        pixels = open_image(path)
        score = score_image(path, width=width, height=height, metadata=metadata, pixels=pixels)
        prints = _prints((HashAlgo.PICTURE, perceptual_hashes(pixels)))
        small = run.scratch / "thumbnail.jpg"
        save_jpeg(shrink(pixels, _THUMBNAIL_SIDE), small, quality=85)
        thumbnail = run.store(small, mime="image/jpeg", filename="thumbnail.jpg")
    elif seen.kind == "clip":
        watched = watch(path, seen, run.scratch) if closely else None
        score = score_clip(seen, width=width, height=height, watched=watched, need=need, metadata=metadata)
        prints = _prints_of_clip(watched)
    else:
        heard = listen(path, seen, run.scratch) if closely else None
        score = score_audio(seen, heard, ambience=is_ambience(found), metadata=metadata)
        prints = _prints_of_sound(heard)
    _refuse_half(score)
    facts |= {
        "quality_score": float(score.total),
        "quality_parts": score.parts_to_json(),
        "quality_flags": list(score.flags),
        "score_version": score.version,
    }
    stored = run.store(
        path,
        mime=_mime(seen, filename),
        filename=filename,
        width=facts["width"],
        height=facts["height"],
        duration=facts["duration"],
        codec=facts["codec"],
        bitrate=seen.bitrate or None,
    )
    return Inspected(seen.kind, stored, thumbnail, facts, prints)


def known_share(found: Candidate) -> float:
    """The share of title, creator, licence URL and tags that its source tells."""
    told = (found.title, found.creator, found.licence.url, found.tags)
    return sum(bool(fact) for fact in told) / len(told)


def is_ambience(found: Candidate | None) -> bool:
    """Whether a sound is meant to go on without a quiet moment."""
    if found is None:
        return False
    return found.generated is not None or bool(_AMBIENCE.search(" ".join((found.title, *found.tags))))


def _refuse_half(score: Score) -> None:
    if NOT_WHOLE in score.flags:
        raise Permanent(f"The file is damaged: {score.reason}", code="corrupt_media")


def _prints_of_clip(watched: Watched | None) -> tuple[Fingerprint, ...]:
    if watched is None:
        return ()
    return _prints((HashAlgo.SPRITE, watched.sprite), (HashAlgo.FRAME, watched.frames))


def _prints_of_sound(heard: Heard | None) -> tuple[Fingerprint, ...]:
    if heard is None:
        return ()
    short = (heard.samples,) if heard.samples else ()
    music = (Fingerprint(HashAlgo.CHROMAPRINT, items=heard.items),) if heard.items else ()
    return _prints((HashAlgo.PCM, short)) + music


def _prints(*found: tuple[HashAlgo, tuple[str, ...]]) -> tuple[Fingerprint, ...]:
    return tuple(Fingerprint(algo, hashes) for algo, hashes in found if hashes)


def _mime(seen: Probe, filename: str) -> str:
    guessed = mimetypes.guess_type(filename)[0]
    family = {"image": "image", "clip": "video", "audio": "audio"}[seen.kind]
    if guessed and guessed.startswith(family):
        return guessed
    return {"image": "image/jpeg", "clip": "video/mp4", "audio": "audio/wav"}[seen.kind]
