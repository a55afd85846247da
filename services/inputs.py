"""What every step is made from, as far as rows tell: the named inputs behind its hash.

A step names them, and what only adapters know, when it asks for an equal earlier one; the plan names them
again later and says which have changed. One function a kind, so that both mean the same. Values and
digests only, never ids of this film: what is equal must look equal in another film too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from math import ceil
from typing import Any

from core.wording import speaking_seconds
from db.assets import Film, Shot, Take, TakeOrigin
from services.candidates import Row
from services.manifest import credits_text
from services.timeline import LEAD_IN, Placed, film_words

Inputs = dict[str, Any]
CREDITS_LEAST, CREDITS_START, CREDITS_LINE = 4.0, 1.5, 0.9
"""Seconds that the end card stands at least, before its first line, and for each line."""


def for_script(params: dict[str, Any]) -> Inputs:
    if params["script"] is not None:
        return {"script": params["script"], "script_format": params["script_format"]}
    return {name: params[name] for name in ("text", "language", "target_duration")}


def for_shots(text: str, fmt: str, film: Film) -> Inputs:
    return {"script": text, "script_format": fmt, "captions": film.caption_style}


def for_narration(film: Film, shot: Shot, params: dict[str, Any]) -> Inputs:
    return {
        "narration": shot.narration,
        "narrator": params["narrator"],
        "voice": film.voice,
        "language": film.language,
    }


def for_length(film: Film, shot: Shot) -> Inputs:
    """What shapes a shot's length beside its narration."""
    return {"asked_duration": shot.asked_duration, "fps": film.fps}


def for_search(film: Film, shot: Shot, params: dict[str, Any]) -> Inputs:
    """`at_least` are the seconds that a clip should last, so rough that few edits search again."""
    pinned = bool(shot.image or shot.clip)
    return {
        "search_words": [] if pinned else list(shot.search_words),
        "at_least": 5 * ceil((shot.asked_duration or speaking_seconds(shot.narration)) / 5),
        "size": [film.width, film.height],
        "licences": params["licences"],
    }


def for_ranking(shots: Sequence[Shot], found: Mapping[Any, Sequence[Row]], params: dict[str, Any]) -> Inputs:
    """`found` has each shot's own candidates, best first; what was borrowed is no input.

    Of the project's earlier films only what they show of these candidates is one.
    """
    return {
        "candidates": [
            [shot.position, may_borrow(shot), [list(astuple(row.item)) for row in found[shot.id]]]
            for shot in shots
        ],
        "seed": params["seed"],
    }


def may_borrow(shot: Shot) -> bool:
    """Whether a shot nothing was found for takes a neighbour's picture."""
    return not (shot.image or shot.clip or (shot.title and not shot.search_words))


def for_stock(picture: str | None, reference: str | None, params: dict[str, Any]) -> Inputs:
    """`picture` is what the script pins, or the ranked candidate, as `<source>:<item>`; so is `reference`."""
    return {"picture": picture, "reference": reference, "licences": params["licences"]}


def wants_sound(shot: Shot, params: dict[str, Any]) -> bool:
    """Whether the film has the own sound of this shot's take."""
    return bool(params.get("audio") if shot.audio is None else shot.audio)


def for_take(
    film: Film, shot: Shot, params: dict[str, Any], *, retake: int, picture: str | None, shown: bool
) -> Inputs:
    """The frozen request, and the digest of the picture; `shown` says whether there is stock to show.

    A request for silence says nothing of sound.
    """
    sound = {"audio": True} if wants_sound(shot, params) else {}
    return {
        "request": {
            "purpose": "shot",
            "prompt": shot.visual_prompt or shot.narration,
            "title": None if shown else shot.title or card_words(film, shot),
            "width": film.width,
            "height": film.height,
            "fps": film.fps,
            "frames": shot.frames,
            "move": shot.camera or "auto",
            "seed": (params["seed"] * 7919 + shot.position * 101 + retake) % 2**31,
            **sound,
        },
        "picture": picture,
    }


def for_vendor(request: dict[str, Any], instructions: str, reference: str | None) -> dict[str, Any]:
    """The request in a vendor's words: a reviewer's instructions are part of what is asked.

    `reference` is the digest of the picture that the take begins with.
    """
    words = [request["prompt"] or request["title"] or "", instructions.strip()]
    told = {**request, "prompt": " ".join(part for part in words if part)}
    return told if reference is None else {**told, "reference": reference}


def card_words(film: Film, shot: Shot) -> str:
    """What a card says for a shot without picture or title: its scene, where the scene has a name."""
    return film.name if re.fullmatch(r"Scene \d+|", shot.heading) else shot.heading


def for_segment(
    film: Film, here: Placed, take: Take | None, sha256: str | None, params: dict[str, Any]
) -> Inputs:
    """`sha256` is of the take's file; without one the shot is a card."""
    card = ["card", here.shot.title or card_words(film, here.shot), params["seed"]]
    return {
        "take": sha256 or card,
        "words": here.words if film.caption_style != "none" else [],
        "title": title_over(here.shot, take),
        "captions": film.caption_style,
        "size": [film.width, film.height, film.fps],
        "frames": here.frames,
        "opening": here.start == 0,
    }


def title_over(shot: Shot, take: Take | None) -> str | None:
    """The words set over a picture; a card has them in it already."""
    if take is None or (take.source_asset_id is None and take.origin is not TakeOrigin.GENERATED):
        return None
    return shot.title


def for_takes_sound(placed: Sequence[Placed], takes: Mapping[Any, str], params: dict[str, Any]) -> list[Any]:
    """Takes whose own sound the film has: digest, start and seconds; `takes` has each shot's file."""
    return [
        [takes[item.shot.id], round(item.seconds, 4), round(item.frames / item.fps, 4)]
        for item in placed
        if item.shot.id in takes and wants_sound(item.shot, params)
    ]


def for_sound(
    film: Film,
    placed: Sequence[Placed],
    voices: dict[Any, str],
    music: str | None,
    text: str,
    takes: list[Any],
) -> Inputs:
    """`voices` has the digest of each shot's narration, `text` is the end card's; no takes are no input."""
    return {
        **({"takes": takes} if takes else {}),
        "voices": [
            [voices[item.shot.id], round(item.seconds + LEAD_IN, 4)]
            for item in placed
            if item.shot.narration and item.shot.id in voices
        ],
        "music": music,
        "seconds": round(film_seconds(film, placed, text), 5),
    }


def film_seconds(film: Film, placed: Sequence[Placed], text: str) -> float:
    """Length of the whole film with its end card."""
    return (sum(item.frames for item in placed) + credits_frames(film, text)) / film.fps


def credits_frames(film: Film, text: str) -> int:
    """Frames the end card stands, for a person to read it."""
    lines = sum(1 for line in text.splitlines() if line.strip())
    return round(max(CREDITS_LEAST, CREDITS_START + CREDITS_LINE * lines) * film.fps)


def for_credits(film: Film, entries: list[dict[str, Any]], params: dict[str, Any]) -> Inputs:
    return {
        "credits": credits_text(film, entries, params),
        "size": [film.width, film.height, film.fps],
        "seed": params["seed"],
    }


def for_cleaning(params: dict[str, Any]) -> Inputs:
    """What is to become of burnt-in text, whoever does it."""
    return {name: params[name] for name in ("regions", "what", "languages", "keep", "quality")}


def for_master(
    film: Film, placed: Sequence[Placed], entries: list[dict[str, Any]], segments: list[str], sound: str
) -> Inputs:
    """`segments` has the digest of every segment, the end card's last."""
    return {
        "segments": segments,
        "sound": sound,
        "words": film_words(placed),
        "title": film.name,
        "credits": [entry["credit"] for entry in entries if entry.get("credit")],
        "licences": sorted({entry["licence"] for entry in entries}),
        "language": film.language,
        "chapters": chapters(placed),
    }


def chapters(placed: Sequence[Placed]) -> list[list[Any]]:
    """One chapter per scene that has a heading: title, start and end in seconds."""
    found: list[list[Any]] = []
    for item in placed:
        end = item.seconds + item.frames / item.fps
        title = item.shot.heading
        if found and (not title or found[-1][0] == title):
            found[-1][2] = end
        elif title:
            found.append([title, item.seconds, end])
    return found


def for_export(
    kind: str, film: Film, placed: Sequence[Placed], entries: list[dict[str, Any]], master: str
) -> Inputs:
    if kind in ("srt", "vtt"):
        return {"words": film_words(placed)}
    if kind.startswith("credits"):
        return {"title": film.name, "credits": entries}
    if kind == "manifest":
        return {"master": master, "title": film.name, "credits": entries}
    return {"master": master}
