"""A still filmed by us against one ffmpeg zoompan graph: same picture, same length, same encoder.

`take` is what a reviewer sees; `segment` encodes it again with captions and fades (docs/decisions/0006).
zoompan is measured as it is usually written, on a picture enlarged four times: on the picture itself
it is faster, and shakes by whole pixels. One graph from still to segment is the lower bound.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import skimage

from bench.measuring import Measured, median, stopwatch
from media.captions import make_cues, to_ass
from media.encoding import TAG_BT709, filter_value, h264, take_options
from media.ffmpeg import ffmpeg_path
from media.fonts import install_fonts
from media.motion import render_still
from media.segments import render_segment

WIDTH, HEIGHT, FPS, FRAMES = 1280, 720, 30, 150
WORDS = [("Then", 0.3, 0.6), ("looking", 0.6, 1.1), ("was", 1.1, 1.4), ("enough.", 1.4, 2.4)]
ENLARGED = 4


def measure(folder: Path, rounds: int) -> Measured:
    still = Path(skimage.__file__).parent / "data" / "rocket.jpg"
    fonts = install_fonts(folder / "fonts", None)
    captions = folder / "captions.ass"
    cues = make_cues(WORDS)
    captions.write_text(to_ass(cues, "karaoke", width=WIDTH, height=HEIGHT, fonts=fonts), encoding="utf-8")
    times: dict[str, list[float]] = {"take": [], "segment": [], "zoompan": [], "shaky": [], "one_graph": []}
    for _ in range(rounds):
        with stopwatch(times["take"]):
            render_still(
                still, folder / "take.mp4", width=WIDTH, height=HEIGHT, fps=FPS, frames=FRAMES, move="push in"
            )
        with stopwatch(times["segment"]):
            render_segment(
                folder / "take.mp4",
                folder / "segment.mp4",
                width=WIDTH,
                height=HEIGHT,
                fps=FPS,
                frames=FRAMES,
                captions_ass=captions,
                fonts_dir=fonts,
            )
        with stopwatch(times["zoompan"]):
            _zoompan(still, folder / "zoompan.mp4", ENLARGED, take_options(FPS))
        with stopwatch(times["shaky"]):
            _zoompan(still, folder / "shaky.mp4", 1, take_options(FPS))
        with stopwatch(times["one_graph"]):
            final = h264(FPS, preset="veryfast", crf=20)
            text = f",ass=filename={filter_value(str(captions))}:fontsdir={filter_value(str(fonts))}"
            _zoompan(still, folder / "graph.mp4", ENLARGED, final, text)
    seconds = {name: median(values) for name, values in times.items()}
    return Measured(
        ratios={
            "take_to_zoompan": round(seconds["take"] / seconds["zoompan"], 4),
            "take_to_shaky_zoompan": round(seconds["take"] / seconds["shaky"], 4),
            "take_and_segment_to_one_graph": round(
                (seconds["take"] + seconds["segment"]) / seconds["one_graph"], 4
            ),
        },
        figures={
            **{f"{name}_seconds": value for name, value in seconds.items()},
            "film_seconds": FRAMES / FPS,
            "frame": f"{WIDTH}x{HEIGHT}",
        },
        goals={"take_to_zoompan": "<= 1"},
    )


def _zoompan(still: Path, out: Path, enlarged: int, options: list[str], text: str = "") -> None:
    """Push in on a still as ffmpeg's own filter does."""
    width, height = WIDTH * enlarged, HEIGHT * enlarged
    graph = (
        f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},"
        f"zoompan=z='1+0.14*on/{FRAMES}':x='iw/2-(iw/zoom/2)':y='ih/2-(ih/zoom/2)':d={FRAMES}"
        f":s={WIDTH}x{HEIGHT}:fps={FPS},setsar=1,format=yuv420p{text},{TAG_BT709}"
    )
    command = [str(ffmpeg_path()), "-v", "error", "-y", "-i", str(still), "-vf", graph, *options]
    subprocess.run([*command, "-frames:v", str(FRAMES), str(out)], check=True, timeout=300)
