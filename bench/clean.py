"""Burnt-in text removed: this engine against ffmpeg's delogo and OpenCV's Telea and NS, given the truth.

All see the same encoded frames. The others are told where the text is; this engine has to find it. Quality is
that of the filled frames, before anything is encoded again; speed is that of the whole chain.

BENCH_FOOTAGE names a folder of clips without text (default ../shared/media; made-up footage when there is
none), BENCH_FRAMES how many frames of each are used, BENCH_STYLES "all" or names, comma-separated.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.baselines import SMEAR, delogoed, inpainted, put_back
from bench.burning import Box, burn
from bench.burnt_styles import STYLES, Style
from bench.footage import Clip, clips_of, made_up, read, resized
from bench.judging import (
    Picture,
    Score,
    characters_left,
    frames_marked,
    judge,
    judge_found,
    picture_of,
    psnr_outside,
    view_of,
)
from bench.measuring import Measured, median
from core.settings import ROOT
from media.burnt_text import Planes, load_found

FEW = ("outline", "translucent", "karaoke", "ticker", "two_languages", "whole", "logo", "logo40")
"""Styles of a usual run; BENCH_STYLES=all takes every one."""
FRAMES = 60
GOALS = {
    "psnr_gain_vs_delogo_mean": ">= 5",
    "psnr_gain_vs_telea_min": ">= 0",
    "ssim_gain_vs_telea_min": ">= 0",
    "flicker_vs_telea_max": "<= 1",
    "watermark_psnr_gain_vs_telea_min": ">= 0",
    "fps_720p_vs_telea": ">= 1",
    "residue_chars": "<= 0",
}


@dataclass(frozen=True)
class Row:
    """One style on one clip."""

    clip: str
    style: Style
    scores: dict[str, Score]
    facts: dict[str, Any]

    @property
    def lasting(self) -> bool:
        """Text that never goes away, so that no frame shows what is behind it."""
        return self.style.kind == "watermark" or self.style.name == "whole"

    def gain(self, other: str, figure: str) -> float:
        ours, theirs = (float(getattr(self.scores[name], figure)) for name in ("ours", other))
        return ours / max(theirs, 1e-6) if figure == "flicker" else ours - theirs

    def told(self) -> dict[str, Any]:
        table = {
            name: [round(score.psnr, 2), round(score.ssim, 3), round(score.flicker, 2)]
            for name, score in self.scores.items()
        }
        return {"psnr_ssim_flicker": table, **self.facts}


def measure(folder: Path, rounds: int) -> Measured:
    cv2.setNumThreads(2)
    clips = list(footage())
    rows, false_frames = [], {}
    for clip in clips:
        plain = clip.write(folder / "plain.mp4")
        child(folder, "find", plain)
        false_frames[clip.name] = round(frames_marked(load_found(folder / "found.npz")), 4)
        for style in styles():
            row = compare(folder, clip, style)
            rows.append(row)
            print(f"  {told(row)}", flush=True)
    figures: dict[str, Any] = {"footage": [f"{c.name} {c.width}x{c.height} {len(c.frames)}" for c in clips]}
    figures |= sums(rows) | {"false_frames_max": max(false_frames.values())}
    quick = {height: speed(folder, resized(clips[0], height), rounds) for height in (720, 360)}
    figures |= {f"{key}_{height}p": value for height, times in quick.items() for key, value in times.items()}
    figures["table"] = {f"{row.clip}: {row.style.name}": row.told() for row in rows}
    figures["false_frames"] = false_frames
    ratios = ratios_of(rows) | {"fps_720p_vs_telea": quick[720]["vs_telea"]}
    return Measured(ratios, figures, {key: goal for key, goal in GOALS.items() if key in ratios})


def footage() -> Iterable[Clip]:
    """The clips to burn text into, each cut to a bounded number of frames."""
    folder = Path(os.environ.get("BENCH_FOOTAGE", ROOT.parent / "shared" / "media"))
    most = int(os.environ.get("BENCH_FRAMES", FRAMES))
    paths = clips_of(folder) if folder.is_dir() else []
    if not paths:
        print(f"  no footage in {folder}: made-up footage is used instead", flush=True)
        yield made_up(1280, 720, most)
        return
    for path in paths:
        yield read(path, most=most)


def styles() -> list[Style]:
    names = os.environ.get("BENCH_STYLES", ",".join(FEW))
    return [STYLES[name] for name in (STYLES if names == "all" else names.split(","))]


def compare(folder: Path, clip: Clip, style: Style) -> Row:
    """Burn one style into one clip, have everybody remove it, and judge them."""
    burnt = burn(clip, style)
    path = burnt.write(folder / "burnt.mp4")
    encoded = read(path)
    boxes = view_of(burnt)
    scores = {
        "delogo": judge(burnt, pictures(delogoed(burnt, encoded).frames, boxes, clip), boxes),
        "telea": judge(burnt, inpainted(burnt, encoded, boxes), boxes),
        "telea_wide": judge(burnt, inpainted(burnt, encoded, boxes, grown=SMEAR), boxes),
        "ns": judge(burnt, inpainted(burnt, encoded, boxes, method=cv2.INPAINT_NS), boxes),
    }
    facts = child(folder, "fill", path)
    ours = frames_in(folder / "out", encoded)
    scores["ours"] = judge(burnt, pictures(ours, boxes, clip), boxes)
    found = load_found(folder / "found.npz")
    seen = judge_found(burnt, found)
    left, there = characters_left(burnt, ours)
    return Row(
        clip.name,
        style,
        scores,
        {
            "recall": round(seen.recall, 4),
            "coverage_min": round(seen.coverage_min, 4),
            "worst_frame": seen.worst_frame,
            "precision": round(seen.precision, 3),
            "residue_chars": left,
            "chars": there,
            "outside_psnr": round(psnr_outside(burnt, ours, encoded.frames), 2),
            **{key: round(value, 2) for key, value in facts.items()},
        },
    )


def pictures(frames: Sequence[Planes], boxes: Sequence[Box | None], clip: Clip) -> Iterable[Picture | None]:
    for planes, box in zip(frames, boxes, strict=True):
        yield None if box is None else picture_of(planes, box, full_range=clip.full_range)


def speed(folder: Path, clip: Clip, rounds: int) -> dict[str, float]:
    """Time the whole chain beside Telea with the true mask, both from file to file, in turn."""
    burnt = burn(clip, STYLES["outline"])
    path = burnt.write(folder / "burnt.mp4")
    boxes = view_of(burnt)
    ours, telea, filling, inpainting = [], [], [], []
    for _ in range(rounds):
        ours.append(child(folder, "clean", path)["wall_s"])
        filling.append(child(folder, "fill", path)["fill_s"])
        began = time.perf_counter()
        encoded = read(path)
        filled = inpainted(burnt, encoded, boxes)
        encoded.write_each(map(put_back, encoded.frames, filled, boxes), folder / "telea.mp4")
        telea.append(time.perf_counter() - began)
        began = time.perf_counter()
        list(inpainted(burnt, encoded, boxes))
        inpainting.append(time.perf_counter() - began)
    frames = len(clip.frames)
    return {
        "fps": round(frames / median(ours), 1),
        "telea_fps": round(frames / median(telea), 1),
        "vs_telea": median([theirs / mine for mine, theirs in zip(ours, telea, strict=True)]),
        "fill_vs_telea": median([theirs / mine for mine, theirs in zip(filling, inpainting, strict=True)]),
    }


def frames_in(path: Path, like: Clip) -> list[Planes]:
    """Read what a child has kept; it is as many frames as went in, or the comparison ends here."""
    raw = np.memmap(path, np.uint8, "r")
    shapes = [plane.shape for plane in like.frames[0]]
    sizes = [int(np.prod(shape)) for shape in shapes]
    if raw.size != sum(sizes) * len(like.frames):
        raise RuntimeError(f"{raw.size / sum(sizes):.2f} frames came back of {len(like.frames)}.")
    frames, at = [], 0
    for _ in like.frames:
        planes = []
        for shape, size in zip(shapes, sizes, strict=True):
            planes.append(raw[at : at + size].reshape(shape))
            at += size
        frames.append((planes[0], planes[1], planes[2]))
    return frames


def child(folder: Path, how: str, clip: Path) -> dict[str, float]:
    """Have a process of its own work on a clip; its frames are in `out`, what it found in `found.npz`."""
    asked = {"how": how, "clip": str(clip), "out": str(folder / "out"), "found": str(folder / "found.npz")}
    if how == "clean":
        asked["out"] = str(folder / "cleaned.mp4")
    done = subprocess.run(
        [sys.executable, "-m", "bench.clean_child", json.dumps(asked)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1800,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ratios_of(rows: Sequence[Row]) -> dict[str, float]:
    """The worst of every row; of the gain over delogo, the mean."""
    passing, lasting = [r for r in rows if not r.lasting], [r for r in rows if r.lasting]
    ratios: dict[str, float] = {}
    if passing:
        ratios["psnr_gain_vs_delogo_mean"] = statistics.mean(r.gain("delogo", "psnr") for r in passing)
        ratios["psnr_gain_vs_telea_min"] = min(r.gain("telea", "psnr") for r in passing)
        ratios["ssim_gain_vs_telea_min"] = min(r.gain("telea", "ssim") for r in passing)
        ratios["flicker_vs_telea_max"] = max(r.gain("telea", "flicker") for r in passing)
    if lasting:
        ratios["watermark_psnr_gain_vs_telea_min"] = min(r.gain("telea", "psnr") for r in lasting)
        ratios["watermark_ssim_gain_vs_telea_min"] = min(r.gain("telea", "ssim") for r in lasting)
        ratios["watermark_flicker_vs_telea_max"] = max(r.gain("telea", "flicker") for r in lasting)
    ratios["residue_chars"] = float(sum(r.facts["residue_chars"] for r in rows))
    return {key: round(value, 4) for key, value in ratios.items()}


def sums(rows: Sequence[Row]) -> dict[str, float]:
    return {
        "recall_min": min(r.facts["recall"] for r in rows),
        "coverage_min": min(r.facts["coverage_min"] for r in rows),
        "precision_min": min(r.facts["precision"] for r in rows),
        "outside_psnr_min": min(r.facts["outside_psnr"] for r in rows),
        "rss_mb_max": max(r.facts["rss_mb"] for r in rows),
        "residue_share": sum(r.facts["residue_chars"] for r in rows) / sum(r.facts["chars"] for r in rows),
    }


def told(row: Row) -> str:
    figures = " | ".join(
        f"{name} {score.psnr:.2f}/{score.ssim:.3f}/{score.flicker:.2f}" for name, score in row.scores.items()
    )
    facts = " ".join(
        f"{key} {row.facts[key]}"
        for key in ("recall", "coverage_min", "worst_frame", "precision", "residue_chars", "find_s", "fill_s")
    )
    return f"{row.clip}: {row.style.name}: {figures} | {facts}"
