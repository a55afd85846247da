"""One clean of one clip in a process of its own, so that its memory and processor time are its own.

`python -m bench.clean_child '{"how": "fill", "clip": ..., "out": ...}'` answers in JSON. `fill` keeps
the filled frames as they are, `clean` is the whole chain to a new file, `find` only looks.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench.footage import planes_of
from media.burnt_text import Ask, Found, Planes


def main() -> None:
    asked = json.loads(sys.argv[1])
    path = Path(asked["clip"])
    warm_up()
    began, processor = time.perf_counter(), _processor()
    answer: dict[str, Any] = {}
    if asked["how"] == "clean":
        whole_chain(path, Path(asked["out"]))
    else:
        found = find(path)
        answer["find_s"] = time.perf_counter() - began
        if asked["how"] == "fill":
            fill(path, found, Path(asked["out"]))
            answer["fill_s"] = time.perf_counter() - began - answer["find_s"]
        found.save(Path(asked["found"]))
    answer["wall_s"] = time.perf_counter() - began
    answer["cpu_s"] = _processor() - processor
    answer["rss_mb"] = sum(_usage(who).ru_maxrss for who in _WHO) / 1024
    print(json.dumps(answer))


def find(path: Path) -> Found:
    from media.text import find_text

    width, height, rate, count = facts(path)
    return find_text(frames_of(path), width=width, height=height, frames_total=count, fps=float(rate))


def fill(path: Path, found: Found, out: Path) -> None:
    """Write all planes of all filled frames one after the other."""
    from media.inpaint import fill_text

    with out.open("wb") as file:
        for planes in fill_text(frames_of(path), found, quality="balanced"):
            for plane in planes:
                file.write(np.ascontiguousarray(plane).data)


def whole_chain(path: Path, out: Path) -> None:
    """Look, decode, find, fill, encode and prove, as a job does it."""
    from media import clean

    ask = Ask()
    clean.clean(path, out, clean.find(path, ask), ask)


def warm_up() -> None:
    """Load the reader's weights: a worker does that once, not for every clip."""
    from media.text import read_text

    read_text(np.zeros((64, 64, 3), np.uint8))


def facts(path: Path) -> tuple[int, int, Fraction, int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        count = sum(1 for packet in container.demux(stream) if packet.size)
        return stream.width, stream.height, Fraction(stream.average_rate or 25), count


def frames_of(path: Path) -> Iterator[Planes]:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield planes_of(frame)


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _usage(who: int) -> resource.struct_rusage:
    return resource.getrusage(who)


def _processor() -> float:
    return sum(_usage(who).ru_utime + _usage(who).ru_stime for who in _WHO)


if __name__ == "__main__":
    main()
