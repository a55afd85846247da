"""Join encoded parts with what is copied of a clip, and prove that nothing else has changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from media.children import Child, Stop
from media.codecs import ParameterSets, lengths_of
from media.ffmpeg import CONTAINERS
from media.ingest import Facts, inspect
from media.spans import Timeline


class UnprovenError(Exception):
    """What was written is not what was wanted."""


@dataclass(frozen=True)
class PartFile:
    """A run of frames as the encoder gave them: a line about its packets, then their bytes."""

    path: Path

    @property
    def head(self) -> dict[str, Any]:
        with self.path.open("rb") as file:
            head: dict[str, Any] = json.loads(file.readline())
        return head

    def first_packet(self) -> bytes:
        with self.path.open("rb") as file:
            head = json.loads(file.readline())
            return file.read(head["packets"][0][2])


def join(
    clip: Path,
    scratch: Path,
    facts: Facts,
    line: Timeline,
    way: dict[str, Any],
    parts: Sequence[PartFile],
    *,
    splice: bool,
    should_stop: Stop,
) -> list[str]:
    """Put the parts in the place of what they stand for, beside everything else of the clip; gives notes."""
    heads = [part.head for part in parts]
    notes: list[str] = []
    model = parts[0].path.with_suffix(".h264")
    own = bytes.fromhex(heads[0]["extradata"])
    lengths = lengths_of(facts) if splice else 0
    extradata = own
    if splice:
        extradata = ParameterSets.read(facts.extradata).with_more(own) if lengths else facts.extradata
    if way["codec"] != facts.codec:
        notes.append(f"Its pictures were {facts.codec} and are {way['codec']} now.")
        model.write_bytes(own + parts[0].first_packet())
    with Child("join_process", "clip") as child:
        child.tell(
            {
                "path": str(clip.resolve()), "out": str(scratch), "format": facts.format,
                "containers": CONTAINERS, "stream": facts.stream, "options": _muxing(facts),
                "model": str(model) if model.exists() else None, "rotation": facts.rotation,
                "extradata": extradata.hex(), "pix_fmt": way["encoder_fmt"], "lengths": lengths,
                "tags": facts.format not in {"matroska", "webm"}, "whole": not splice,
                "by_packet": facts.by_packet,
                "parts": [{"path": str(part.path), "first": part.head["first"]} for part in parts],
            }
        )  # fmt: skip
        rows = np.concatenate([line.times, line.durations, line.decoding]).astype("<i8")
        child.write(rows.data.cast("B"))
        child.end()
        answer = child.answer(should_stop=should_stop)
    if "error" in answer:
        raise UnprovenError(answer["error"])
    return [*notes, *answer["notes"]]


def prove(
    clip: Path,
    made: Path,
    facts: Facts,
    line: Timeline,
    copied_around: Sequence[tuple[int, int]] | None,
    *,
    should_stop: Stop,
) -> None:
    """Decode what was made beside the clip; UnprovenError says what is not as it was.

    Frames outside of `copied_around` have to be the same bit by bit; None: all were encoded anew.
    """
    with Child("prove_process", "clip") as child:
        child.tell(
            {
                "path": str(clip.resolve()), "out": str(made), "containers": CONTAINERS,
                "threads": 2, "by_decoding": facts.format == "avi", "times": line.times.tolist(),
                "parts": copied_around or [],
                "time_base": [facts.time_base.numerator, facts.time_base.denominator],
            }
        )  # fmt: skip
        seen = child.answer(should_stop=should_stop)
    if "error" in seen:
        raise UnprovenError(seen["error"])
    if seen["frames"] != len(line.times) or seen["left"]:
        raise UnprovenError(f"{seen['frames']} of {len(line.times)} frames can be decoded")
    if seen["different"]:
        raise UnprovenError(f"{seen['different']} copied frames are not as they were")
    if not seen["times"]:
        raise UnprovenError("frames are shown at other times")
    if inspect(made, should_stop=should_stop).digests != facts.digests:
        raise UnprovenError("sound or subtitles are not as they were")


def _muxing(facts: Facts) -> dict[str, str]:
    """Options that make a muxer keep clocks, tags and marks as they are."""
    options = {"fflags": "+bitexact"}
    if facts.format in {"mp4", "mov", "3gp"}:
        ticks = str(facts.time_base.denominator)
        if facts.format == "mp4" and facts.brand:
            options["brand"] = facts.brand.ljust(4)
        options |= {"movflags": "+faststart", "video_track_timescale": ticks, "movie_timescale": ticks}
    elif facts.format in {"matroska", "webm"}:
        options["default_mode"] = "passthrough"
    return options
