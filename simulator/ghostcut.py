"""GhostCut's gateway on the wire: signatures checked, clips fetched, cleaned and handed out.

Read from github.com/zhaoli-ai/GhostCut-ai (api-guide) in 2026-11. Any AppKey but `wrong` is taken; bodies are
signed with the secret `simulated`. Which HTTP status a refusal has is not documented; here it is 200. What a
clip costs is not either: here a point for every 12 s, to a hundredth. Fault words stand in a clip's name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any, ClassVar

import requests
from flask import Blueprint, Response, jsonify, request

from media.erase import Region, erase_regions
from media.probe import probe
from simulator.books import Task
from simulator.dialect import Dialect

SECRET = "simulated"  # noqa: S105 (everybody may know it)
MODELS = ("basic", "advanced_lite", "advanced", "advanced_large_box", "advanced_full")
_STATUS = {"queued": -1, "odd": -7, "running": 0, "succeeded": 1, "failed": 23}
_WHY = {"no-points": (73, "点数不足"), "locked": (83, "点数不足 结果已锁定")}
_REFUSALS = {
    "throttled": (3006, "processing limit reached"),
    "throttled-wait": (3006, "processing limit reached"),
    "busy": (3006, "processing limit reached"),
    "down-before": (9999, "system error"),
    "broke": (3007, "identity missing"),
    "used-up": (4001, "point balance is not enough"),
    "moderated": (4001, "content not allowed"),
}


class GhostCut(Dialect):
    slug: ClassVar[str] = "ghostcut"
    currency: ClassVar[str] = "PTS"
    settings: ClassVar[dict[str, str]] = {"API_KEY": "any", "API_SECRET": SECRET, "URL": "{here}"}

    def routes(self, doors: Blueprint) -> None:
        gateway = "/v-w-c/gateway/ve"
        doors.post(f"{gateway}/work/free")(self.create)
        doors.post(f"{gateway}/work/status")(self.status)
        doors.post(f"{gateway}/file/upload/policy/apply")(self.policy)
        doors.post(f"{gateway}/point/query")(self.points)
        doors.post("/store")(self.upload)
        doors.get("/store/<name>")(self.uploaded)
        doors.get("/results/<number>.mp4")(self.result)

    def refusal(self, fault: str) -> Response:
        code, message = _REFUSALS[fault]
        return _error(
            code, f"simulated: {message}", {"Retry-After": "1"} if fault == "throttled-wait" else {}
        )

    def create(self) -> Any:
        body, refused = _signed()
        if refused is not None:
            return refused
        if wrong := _wrong(body):
            return wrong
        name, url = body["names"][0], body["urls"][0]
        submit = self.submitting(name)
        if (refusal := submit.refused()) is not None:
            return refusal
        source = self._download(url)
        seen = probe(source) if source is not None else None
        options = json.loads(body.get("extraOptions") or "{}")
        task = self.accept(
            submit,
            model=options.get("extra_inpaint_config", {}).get("model", "basic"),
            prompt=name,
            price=round((seen.duration if seen else 0) / 12 * 100) * 10_000,
            width=seen.width if seen else 0,
            height=seen.height if seen else 0,
            seconds=seen.duration if seen else 0,
            callback_url=body.get("callback"),
            facts={
                "url": url,
                "source": str(source or ""),
                "masks": json.loads(body.get("videoInpaintMasks") or "[]"),
                "here": request.host_url,
            },
        )
        assert task is not None
        if source is None:
            task = self.books.change(task, fails=True)
        accepted = {"idProject": task.id + 1, "dataList": [{"url": url, "id": task.id}]}
        return submit.answered(_success(accepted))

    def status(self) -> Any:
        body, refused = _signed()
        if refused is not None:
            return refused
        wanted = body.get("idWorks")
        if not isinstance(wanted, list) or not wanted or len(wanted) > 2000:
            return _error(4001, "idWorks must be a list of 1 to 2000")
        self.books.count("polls")
        self.books.count("polled ids", len(wanted))
        tasks = self.books.find(self.slug, ids=[str(one) for one in wanted])
        return _success({"content": [self._shown(task) for task in tasks]})

    def policy(self) -> Any:
        body, refused = _signed()
        if refused is not None:
            return refused
        if not body.get("nonce") or body.get("materialFileType", "image") not in ("image", "video", "srt"):
            return _error(4001, "nonce and materialFileType are needed")
        here = f"{request.host_url}{self.slug}/store"
        granted = {"accessid": "simulated", "policy": "cG9saWN5", "signature": "c2lnbmF0dXJl"}
        granted |= {"base64CallbackBody": "e30=", "dir": "uploads/", "host": here, "urlPrefix": f"{here}/"}
        return _success({**granted, "expire": int(time.time()) + int(body.get("expireSeconds", 3600))})

    def points(self) -> Any:
        _, refused = _signed()
        return refused if refused is not None else _success({"pointAssets": [{"pointBalance": 1000.0}]})

    def upload(self) -> Any:
        """The object store's door: no AppKey, a policy instead."""
        if request.form.get("policy") != "cG9saWN5" or request.form.get("signature") != "c2lnbmF0dXJl":
            return Response("<Error><Code>AccessDenied</Code></Error>", 403)
        name = Path(request.form["key"]).name
        (self._folder() / name).write_bytes(request.files["file"].read())
        return jsonify({"Status": "OK"})

    def uploaded(self, name: str) -> Any:
        path = self._folder() / Path(name).name
        return Response(path.read_bytes(), mimetype="video/mp4") if path.is_file() else Response("", 404)

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        (now,) = self.books.find(self.slug, ids=[task.vendor_id])
        body = json.dumps(self._shown(now), ensure_ascii=False).encode()
        return {"Content-Type": "application/json", "Callback-Sign": sign(body)}, body

    def footage(self, task: Task) -> bytes:
        """The clip it was given, filled where it was marked, or wherever text is read; or untouched."""
        source = Path(task.facts["source"])
        if "untouched" in task.faults:
            return source.read_bytes()
        out = source.with_suffix(f".{task.id}.cleaned.mp4")
        if not out.exists():
            masks = [mask for mask in task.facts["masks"] if mask["type"] != "keep"]
            regions = [_region(mask) for mask in masks] or _text_in(source)
            erase_regions(source, out, regions)
        return out.read_bytes()

    def _shown(self, task: Task) -> dict[str, Any]:
        phase = self.phase(task)
        status = _STATUS[phase]
        shown: dict[str, Any] = {
            "id": task.id,
            "url": task.facts["url"],
            "processStatus": status,
            "processProgress": round(self.progress(task) * 100, 1),
            "errorDetail": "",
        }
        if phase == "failed":
            why = next((_WHY[fault] for fault in task.faults if fault in _WHY), (23, "处理失败"))
            why = why if task.facts["source"] else (3, "下载失败")
            shown |= {"processStatus": why[0], "paidPoint": 0.0}
            shown["processStatusEnum"] = {"code": why[0], "description": why[1]}
        if phase == "succeeded":
            shown |= {
                "processStatusEnum": {"code": 1, "description": "成功"},
                "paidPoint": task.charged / 1_000_000,
                "duration": task.seconds,
                "videoUrl": f"{task.facts['here']}{self.slug}/results/{task.id}.mp4",
            }
        return shown

    def _download(self, url: str) -> Path | None:
        path = self._folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.mp4"
        with contextlib.suppress(requests.RequestException):
            answer = requests.get(url, timeout=20)
            if answer.ok:
                path.write_bytes(answer.content)
                return path
        return None

    def _folder(self) -> Path:
        folder = self.films / self.slug
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _region(mask: dict[str, Any]) -> Region:
    across, down = zip(*mask["region"], strict=True)
    x, y = min(across), min(down)
    return Region(x, y, max(across) - x, max(down) - y, mask["start"], mask["end"])


def _text_in(clip: Path) -> list[Region]:
    """Where text is read in a few of a clip's pictures, each with some air around it."""
    import cv2

    from media.text import read_text

    film = cv2.VideoCapture(str(clip))
    frames = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    regions: set[Region] = set()
    for number in range(0, frames, max(1, frames // 6)):
        film.set(cv2.CAP_PROP_POS_FRAMES, number)
        seen, picture = film.read()
        for line in read_text(picture) if seen else ():
            regions.add(_with_air(line.box, *picture.shape[1::-1]))
    film.release()
    return sorted(regions, key=lambda region: (region.y, region.x))


def _with_air(box: tuple[int, int, int, int], width: int, height: int) -> Region:
    left, top, right, bottom = box
    air = 0.4 * (bottom - top)
    x, y = max(0.0, (left - air) / width), max(0.0, (top - air) / height)
    return Region(x, y, min(1.0, (right + air) / width) - x, min(1.0, (bottom + air) / height) - y)


def sign(body: bytes) -> str:
    inner = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return hashlib.md5(f"{inner}{SECRET}".encode(), usedforsecurity=False).hexdigest()


def _signed() -> tuple[dict[str, Any], Any]:
    """The body of a call, or why it is not heard."""
    key, said = request.headers.get("AppKey"), request.headers.get("AppSign")
    if not key or not said:
        return {}, _error(2001, "AppKey or AppSign is missing")
    if key == "wrong":
        return {}, _error(2003, "AppKey is invalid")
    if said != sign(request.get_data()):
        return {}, _error(2004, "AppSign is invalid")
    body = request.get_json(silent=True)
    return (body, None) if isinstance(body, dict) else ({}, _error(4001, "the body is no JSON object"))


def _wrong(body: dict[str, Any]) -> Any:
    """Judge an order as the guide does; None when it is in order."""
    urls, names, masks = body.get("urls"), body.get("names"), body.get("videoInpaintMasks")
    if not isinstance(urls, list) or not 1 <= len(urls) <= 20:
        return _error(3008, "urls is required")
    if not isinstance(names, list) or len(names) != len(urls):
        return _error(4001, "names must be as many as urls")
    if body.get("needChineseOcclude") not in (1, 2) or body.get("videoInpaintLang") not in (
        *("all", "zh", "en", "ja"),
        *("ko", "ar"),
    ):
        return _error(4002, "no function was chosen")
    if masks is not None and not isinstance(masks, str):
        return _error(4001, "videoInpaintMasks must be a string")
    boxes = json.loads(masks or "[]")
    if (body["needChineseOcclude"] == 2) != bool(boxes):
        return _error(4001, "masks and needChineseOcclude do not fit")
    if body.get("resolution", "1080p") not in ("480p", "720p", "1080p"):
        return _error(4001, "resolution is not supported")
    model = json.loads(body.get("extraOptions") or "{}").get("extra_inpaint_config", {}).get("model", "basic")
    if model not in MODELS:
        return _error(4001, f"the model {model} does not exist")
    kinds = {mask.get("type") for mask in boxes}
    if model == "advanced_lite" and (kinds != {"remove_only_ocr"} or len(boxes) > 10):
        return _error(4001, "advanced_lite needs 1 to 10 masks of type remove_only_ocr")
    if not kinds <= {"remove", "remove_only_ocr", "keep"}:
        return _error(4001, "a mask has an unknown type")
    known = {"urls", "names", "resolution", "callback", "uid", "needChineseOcclude", "videoInpaintLang"}
    if unknown := body.keys() - known - {"videoInpaintMasks", "extraOptions"}:
        return _error(4001, f"unknown parameter {min(unknown)}")
    return None


def _success(body: Any) -> Response:
    return jsonify({"code": 1000, "msg": "success", "trace": f"sim-{time.time_ns():x}", "body": body})


def _error(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    answer = jsonify({"code": code, "msg": message})
    answer.headers.update(headers or {})
    return answer


DIALECT = GhostCut
