"""What every simulated vendor shares: faults on request, tasks and their files, callbacks.

A vendor is one file with a `Dialect` in it, named `DIALECT`; its doors hang below `/<slug>`. It checks the
request as the vendor does, accepts a task with `accept`, and says in its own words what becomes of it.

A prompt that says `fault-<name>` meets that fault, and so does the next submit after
`POST /_faults {"submit": ["<name>"], "vendor": "<slug>"}`; `--fault-rate` and `--seed` strike at random, the
same tasks each time. Faults of a submit strike a task's first submit only, unless they are final.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import requests
from flask import Blueprint, Response, request

from simulator.books import Books, Task
from simulator.footage import film_of

BEFORE = ("throttled", "throttled-wait", "busy", "down-before", "broke", "used-up", "moderated")
"""Refused before a task is made, each in the vendor's own words (`Dialect.refusal`)."""
FINAL = {"broke", "used-up", "moderated"}
WIRE = ("hang-before", "reset-before", "hang-after", "reset-after", "down-after", "garbage-after")
"""Trouble on the wire, before or after the task was made."""
LATER = (
    *("slow", "never", "odd", "failed", "missing", "missing-once"),
    *("truncated-once", "corrupt", "corrupt-once", "no-points", "locked", "untouched"),
)
"""What a task meets later: its status, or its file. `no-points`: not begun for want of money, `locked`: made
and held back for it, `untouched`: the file is what was sent; vendors without such words just fail."""
UNMADE = {"failed", "no-points", "locked"}
TOLD = ("callback-twice", "callback-lost", "callback-late", "callback-forged")
"""What becomes of the vendor's callback."""
FAULTS = (*BEFORE, *WIRE, *LATER, *TOLD)
_AT_RANDOM = (
    *("throttled", "throttled-wait", "busy", "down-before", "hang-after", "reset-before", "reset-after"),
    *("down-after", "garbage-after", "odd", "failed", "missing-once", "truncated-once", "corrupt-once"),
    *("callback-twice", "callback-lost", "callback-late", "callback-forged"),
)
_SAID = re.compile(r"fault-([a-z]+(?:-[a-z]+)?)")


@dataclass(frozen=True)
class Temper:
    """How the simulated vendors behave. `slots` limits the tasks in work at once; 0 = as many as come."""

    task_seconds: float = 2.0
    hang_seconds: float = 90.0
    slots: int = 0
    fault_rate: float = 0.0
    seed: int = 0


class Dialect:
    """One vendor on the wire. `books` is shared by all of them, `films` is where their films are made."""

    slug: ClassVar[str]
    currency: ClassVar[str] = "USD"
    settings: ClassVar[dict[str, str]] = {"API_KEY": "any", "URL": "{here}"}
    """What an installation says to be led here, by the end of the variable's name."""

    @classmethod
    def variables(cls, base: str) -> str:
        """The settings as a shell takes them."""
        here = f"{base}/{cls.slug}"
        return " ".join(f"{cls.slug.upper()}_{k}={v.format(here=here)}" for k, v in cls.settings.items())

    def __init__(self, books: Books, films: Path, temper: Temper, postman: Postman) -> None:
        self.books, self.films, self.temper, self._postman = books, films, temper, postman

    # -- said by each vendor -------------------------------------------------------------------

    def routes(self, doors: Blueprint) -> None:
        """Hang the vendor's doors, relative to `/<slug>`."""
        raise NotImplementedError

    def refusal(self, fault: str) -> Response:
        """Answer one of `BEFORE` as this vendor does, its way of saying wait included."""
        raise NotImplementedError

    def callback(self, task: Task) -> tuple[dict[str, str], bytes]:
        """Headers and body of the callback about an ended task, signed as the vendor signs."""
        raise NotImplementedError

    # -- shared ----------------------------------------------------------------------------------

    def submitting(self, prompt: str, token: str | None = None) -> Submit:
        """Look what a submit meets. `token` names the same task when it is sent again; else its words do."""
        self.books.count("submits")
        first = self.books.count(f"submit:{self.slug}:{token or prompt}") == 1
        return Submit(self, self._faults_of(prompt, token), first)

    def accept(
        self,
        submit: Submit,
        *,
        model: str,
        prompt: str,
        price: int,
        width: int = 1280,
        height: int = 720,
        seconds: float = 5,
        token: str | None = None,
        vendor_id: str | None = None,
        callback_url: str | None = None,
        audio: bool = False,
        facts: dict[str, Any] | None = None,
    ) -> Task | None:
        """Make a task of it, charged when it succeeds; None: its `token` is taken.

        `audio`: its film has a sound of its own.
        """
        takes = self.temper.task_seconds * (5 if "slow" in submit.faults else 1)
        task = self.books.add(
            self.slug,
            vendor_id=vendor_id,
            external_id=token,
            model=model,
            prompt=prompt,
            width=width,
            height=height,
            seconds=seconds,
            price=price,
            done=None if "never" in submit.faults else time.time() + takes,
            fails=bool(UNMADE & {*submit.faults}),
            faults=submit.faults,
            facts={**(facts or {}), "audio": audio, "callback_url": callback_url, "host": request.host_url},
        )
        if task is not None and callback_url and task.done is not None:
            self._tell(task, callback_url)
        return task

    def phase(self, task: Task) -> str:
        """One of `queued`, `odd` (a word nobody knows), `running`, `succeeded`, `failed`."""
        if task.ended:
            return "failed" if task.fails else "succeeded"
        age = time.time() - task.created
        half = (task.done or age * 4) - task.created
        if age < half / 2:
            return "odd" if "odd" in task.faults else "queued"
        return "running"

    def progress(self, task: Task) -> float:
        """Share done, from 0 to 1."""
        if task.ended:
            return 1.0
        whole = (task.done or time.time() + 60) - task.created
        return min(0.99, max(0.0, (time.time() - task.created) / whole)) if whole else 1.0

    def result_url(self, task: Task, ending: str = "mp4") -> str:
        """Where `result` hands out what was made; needs a door `/results/<vendor_id>.<ending>`."""
        return f"{task.facts['host']}{self.slug}/results/{task.id}.{ending}"

    def result(self, number: str) -> Any:
        """Hand out a task's film; an address that nobody may have is 404."""
        found = [task for task in self.books.find(self.slug) if str(task.id) == number]
        if not found or not found[0].ended or found[0].fails:
            return Response("NoSuchKey", 404)
        return self.film(found[0])

    def film(self, task: Task) -> Any:
        """The bytes of a task's film, or what its faults make of them."""
        first = self.books.count(f"download:{task.id}") == 1
        self.books.count("downloads")
        film = self.footage(task)
        if "missing" in task.faults or ("missing-once" in task.faults and first):
            return Response("NoSuchKey", 404)
        if "corrupt" in task.faults or ("corrupt-once" in task.faults and first):
            return Response(bytes(len(film)), mimetype="video/mp4")
        if "truncated-once" in task.faults and first:
            half = Response(iter([film[: len(film) // 2]]), mimetype="video/mp4")
            half.headers["Content-Length"] = str(len(film))
            return half
        return Response(film, mimetype="video/mp4")

    def stop(self, task: Task, **facts: Any) -> Task:
        """End a task before its time, uncharged; `facts` say why."""
        return self.books.change(task, done=time.time(), fails=True, facts={**task.facts, **facts})

    def task(self, vendor_id: str) -> Task | None:
        """The vendor's task of this name."""
        return next(iter(self.books.find(self.slug, ids=[vendor_id])), None)

    def footage(self, task: Task) -> bytes:
        """What a task has made, whole."""
        return film_of(
            self.films,
            width=task.width,
            height=task.height,
            seconds=task.seconds,
            mark=f"task {task.id}",
            audio=bool(task.facts.get("audio")),
        )

    def working(self) -> int:
        """How many tasks this vendor has in work."""
        return sum(not task.ended for task in self.books.find(self.slug))

    def on_the_wire(self, faults: tuple[str, ...], when: str) -> Any:
        """Fail as a network does, where a fault says so; None when all is well."""
        for name in faults:
            if name not in WIRE or not name.endswith(when):
                continue
            if name.startswith("hang"):
                time.sleep(self.temper.hang_seconds)
                return hang_up()
            if name.startswith("reset"):
                return hang_up()
            if name.startswith("garbage"):
                return Response("<html>Bad gateway, or good: who knows?", 200, mimetype="text/html")
            return self.refusal("down-before")
        return None

    def _faults_of(self, prompt: str, token: str | None) -> tuple[str, ...]:
        named = tuple(name for name in _SAID.findall(prompt) if name in FAULTS)
        if ordered := self.books.take_order(self.slug):
            named = (*named, ordered)
        dice = random.Random(f"{self.temper.seed}:{token or prompt}")
        if not named and dice.random() < self.temper.fault_rate:
            named = (dice.choice(_AT_RANDOM),)
        return named

    def _tell(self, task: Task, url: str) -> None:
        """Call back when the task has ended, as its faults say."""
        if "callback-lost" in task.faults:
            return
        late = 3.0 * self.temper.task_seconds if "callback-late" in task.faults else 0.0
        for time_again in range(2 if "callback-twice" in task.faults else 1):
            due = (task.done or 0) + late + 0.05 + time_again * 0.2
            self._postman.post_at(due, lambda: self._letter(task, url))

    def _letter(self, task: Task, url: str) -> tuple[str, dict[str, str], bytes]:
        headers, body = self.callback(self.task(task.vendor_id) or task)  # it may have been stopped
        if "callback-forged" in task.faults:
            body += b" "
        self.books.count("callbacks")
        return url, headers, body


@dataclass(frozen=True)
class Submit:
    """One submit and the faults it meets; `first` is False when the same task was sent before."""

    dialect: Dialect
    faults: tuple[str, ...]
    first: bool

    def refused(self) -> Any:
        """The answer when the vendor takes nothing; None: go on and accept."""
        for name in self.faults:
            if name in BEFORE and (self.first or name in FINAL):
                return self.dialect.refusal(name)
        if self.first and (trouble := self.dialect.on_the_wire(self.faults, "before")):
            return trouble
        if self.dialect.temper.slots and self.dialect.working() >= self.dialect.temper.slots:
            return self.dialect.refusal("busy")
        return None

    def answered(self, answer: Any) -> Any:
        """The vendor's answer, or what the wire makes of it."""
        trouble = self.dialect.on_the_wire(self.faults, "after") if self.first else None
        return answer if trouble is None else trouble


class Postman:
    """Delivers callbacks at their time, each once; what is not taken is not sent again."""

    def __init__(self) -> None:
        self._letters: list[tuple[float, int, Callable[[], tuple[str, dict[str, str], bytes]]]] = []
        self._number = itertools.count()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def post_at(self, due: float, letter: Callable[[], tuple[str, dict[str, str], bytes]]) -> None:
        with self._news:
            heapq.heappush(self._letters, (due, next(self._number), letter))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._news.notify()

    def _work(self) -> None:
        while True:
            with self._news:
                while not self._letters or self._letters[0][0] > time.time():
                    self._news.wait(self._letters[0][0] - time.time() if self._letters else None)
                _, _, letter = heapq.heappop(self._letters)
            url, headers, body = letter()
            with contextlib.suppress(requests.RequestException):
                requests.post(url, data=body, headers=headers, timeout=15)


def hang_up() -> Response:
    """Reset the connection, so that nothing of the answer arrives."""
    wire: socket.socket | None = request.environ.get("werkzeug.socket")
    if wire is not None:
        with contextlib.suppress(OSError):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.shutdown(socket.SHUT_RDWR)
    return Response(status=502)
