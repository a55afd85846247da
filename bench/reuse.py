"""One shot of twelve changed: what a remake costs against making the film.

A film of twelve shots is made from nothing, then the narration of one shot is changed and the job is remade.
Both are wall times of the job on the same workers, one after the other, from the request to the end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests

from bench import house
from bench.measuring import Measured, median

SHOTS = 12
CHANGED = 7
PICTURES = ("hubble_deep_field", "retina", "rocket", "astronaut", "camera", "coffee")
LINE = "This is what the picture number {} of the film says."
GOAL = 0.2


def brief(round_number: int) -> dict[str, Any]:
    """A film of twelve shots of four seconds; another one in each round, so that nothing is taken over."""
    shots = []
    for number in range(SHOTS):
        picture = PICTURES[number % len(PICTURES)]
        says = f"[image: samples:{picture}]\n[prompt: picture {number}]\n[duration: 4]"
        shots.append(f"{says}\n{LINE.format(number + 1)}")
    return {
        "kind": "film",
        "params": {
            "script": f"# Round {round_number}\n\n" + "\n\n".join(shots) + "\n",
            "size": 720,
            "music": {"from": "samples", "id": "ambient-wonder"},
            "sources": ["samples"],
            "seed": round_number,
        },
    }


def measure(folder: Path, rounds: int) -> Measured:
    place = folder / "house"
    place.mkdir()
    full: list[float] = []
    one: list[float] = []
    spent: dict[str, float] = {}
    try:
        with house.up(place) as studio:
            _finish(studio, studio.ask("POST", "/jobs", brief(0)))  # warms caches: fonts, samples, codecs
            for number in range(1, rounds + 1):
                began = time.perf_counter()
                job = _finish(studio, studio.ask("POST", "/jobs", brief(number)))
                full.append(time.perf_counter() - began)
                before = {step["id"]: step["attempt"] for step in job["steps"]}
                _change_words(studio, job["film_id"])
                began = time.perf_counter()
                again = _finish(studio, studio.ask("POST", f"/jobs/{job['id']}/remake"))
                one.append(time.perf_counter() - began)
                spent = {
                    f"{step['kind']} {step['label'] or step['variant']}".strip(): round(step["seconds"], 3)
                    for step in again["steps"]
                    if step["attempt"] != before[step["id"]] and not step["reused"]
                }
    finally:
        house.remove(place)
    return Measured(
        ratios={"one_of_twelve_vs_full": round(median(one) / median(full), 4)},
        figures={
            "full_seconds": median(full),
            "one_of_twelve_seconds": median(one),
            "shots": SHOTS,
            "all_full": [round(seconds, 2) for seconds in full],
            "all_one": [round(seconds, 2) for seconds in one],
            "remade_step_seconds": spent,
        },
        goals={"one_of_twelve_vs_full": f"<= {GOAL}"},
    )


def _finish(studio: house.House, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 900
    while job["state"] in {"queued", "running"} and time.monotonic() < deadline:
        job = studio.ask("GET", f"/jobs/{job['id']}?wait=20")
    if job["state"] != "succeeded" or job["warnings"]:
        raise RuntimeError(f"The film {job['state']}: {job['error']} {job['warnings']}")
    return job


def _change_words(studio: house.House, film_id: str) -> None:
    shot = studio.ask("GET", f"/shots?film_id={film_id}")["items"][CHANGED - 1]
    with requests.Session() as client:
        client.trust_env = False
        client.headers["X-API-Key"] = studio.key
        address = f"{studio.api}/shots/{shot['id']}"
        tag = client.get(address, timeout=30).headers["ETag"]
        words = {"narration": "This is what it says now."}
        client.patch(address, json=words, headers={"If-Match": tag}, timeout=30).raise_for_status()
