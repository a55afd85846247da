"""Kling's older API on the wire: the model in the body, one address for each kind of film.

Read from the vendor's pages (kling.ai/document-api) and tryAGI/KlingAI in 2026-11. Any key but `wrong` is
taken, or a JWT signed with `SECRET`. What an unknown id is answered is not documented; here it is 404, 1203.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import jwt
from flask import Blueprint, Response, request

from simulator.books import Task
from simulator.kling import ASPECTS, Kling, error, is_picture, judge, success, unwelcome

SECRET = "simulated-kling-secret-of-32-bytes"  # noqa: S105 (everybody may know it)
PRICES = {
    "kling-v3": {"720p": 84_000, "1080p": 112_000},
    "kling-v2-6": {"720p": 42_000, "1080p": 70_000},
    "kling-v2-5-turbo": {"720p": 42_000, "1080p": 70_000},
}
WITH_AUDIO = {"kling-v3": {"720p": 126_000, "1080p": 168_000}}
SILENT = ("kling-v2-5-turbo",)
FULL_ONLY = ("kling-v2-6",)
_MODES = {"std": "720p", "pro": "1080p"}
_KINDS = ("text2video", "image2video")
_OPTIONS = {"callback_url", "external_task_id", "watermark_info"}
_KNOWN = {"model_name", "prompt", "negative_prompt", "mode", "duration", "sound"} | _OPTIONS
_WORDS = {"succeeded": "succeed"}


class KlingLegacy(Kling):
    slug: ClassVar[str] = "kling_legacy"
    prices: ClassVar[dict[str, dict[str, int]]] = PRICES
    with_audio: ClassVar[dict[str, dict[str, int]]] = WITH_AUDIO

    def routes(self, doors: Blueprint) -> None:
        for kind in _KINDS:
            doors.post(f"/v1/videos/{kind}", endpoint=f"create {kind}", defaults={"kind": kind})(self.take)
            doors.get(f"/v1/videos/{kind}/<number>", endpoint=kind, defaults={"kind": kind})(self.show)
        doors.get("/results/<number>.mp4")(self.result)

    def take(self, kind: str) -> Any:
        body = request.get_json(silent=True)
        if (refusal := _stranger() or _wrong(body, begins=kind == "image2video")) is not None:
            return refusal
        assert isinstance(body, dict)
        return self.order(
            model=body["model_name"],
            prompt=body["prompt"],
            resolution=_MODES[body.get("mode", "std")],
            aspect=body.get("aspect_ratio", "16:9"),
            seconds=int(body.get("duration", "5")),
            options={name: body[name] for name in _OPTIONS & body.keys()},
            picture=body.get("image"),
            audio=body.get("sound") == "on",
        )

    def show(self, kind: str, number: str) -> Any:
        if (refusal := _stranger()) is not None:
            return refusal
        self.books.count("polls")
        found = [
            *self.books.find(self.slug, ids=[number]),
            *self.books.find(self.slug, external_ids=[number]),
        ]
        asked = [task for task in found if bool(task.facts["picture"]) is (kind == "image2video")]
        return success(self.shown(asked[0])) if asked else error(404, 1203, "The task does not exist")

    def shown(self, task: Task) -> dict[str, Any]:
        new = super().shown(task)
        shown: dict[str, Any] = {
            "task_id": new["id"],
            "task_status": _WORDS.get(new["status"], new["status"]),
            "task_status_msg": new["message"],
            "task_info": {"external_task_id": task.external_id},
            "created_at": new["create_time"],
            "updated_at": new["update_time"],
        }
        if "outputs" in new:
            shown["task_result"] = {"videos": new["outputs"]}
            shown["final_unit_deduction"] = new["billing"][0]["amount"]
        return shown


def _stranger() -> Response | None:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    refusal = unwelcome(tokens=True)
    if refusal is not None or token.count(".") != 2:
        return refusal
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["iss", "exp", "nbf"]})
    except jwt.ImmatureSignatureError:
        return error(401, 1003, "Authorization is not in effect")
    except jwt.ExpiredSignatureError:
        return error(401, 1004, "Authorization is expired")
    except jwt.PyJWTError:
        return error(401, 1002, "Authentication error")
    return None if claims["exp"] <= time.time() + 1800 else error(401, 1002, "Authentication error")


def _wrong(body: Any, *, begins: bool) -> Response | None:
    """Judge a request as the vendor's reference does; None when it is in order."""
    if not isinstance(body, dict):
        return error(400, 1200, "The body is JSON")
    model = body.get("model_name", "kling-v1")
    if model not in PRICES:
        return error(400, 1201, f"{model} is discontinued and is no longer available")
    if unknown := body.keys() - _KNOWN - {"image" if begins else "aspect_ratio"}:
        return error(400, 1201, f"unknown parameter {min(unknown)}")
    if begins and not is_picture(body.get("image")):
        return error(400, 1201, "image is an address or base64")
    durations = [str(n) for n in range(3, 16)] if model == "kling-v3" else ["5", "10"]
    sounds = ("off",) if model in SILENT else ("on", "off")
    offered = {"mode": _MODES, "aspect_ratio": ASPECTS, "duration": durations, "sound": sounds}
    fault = judge(body.get("prompt"), 2500, body, offered)
    if fault is None and body.get("sound") == "on" and model in FULL_ONLY:
        return None if body.get("mode") == "pro" else error(400, 1201, "sound needs the mode pro")
    return fault


DIALECT = KlingLegacy
