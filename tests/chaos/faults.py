"""The faults: what is done to an installation while it works, each at the points the table names.

A fault asks for its jobs, strikes, and leaves what it broke to `Ground.mend`. Which moment, which process
and which script is drawn from the run's own random numbers, so a seed does the same again.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from core import failpoints
from core.settings import get_settings
from tests.chaos.scene import PHASE_OF, REMOVAL, SCRAPE, Scene
from tests.chaos.stack import LEASE_SECONDS, Ground

PHASES = ("write", "source", "shoot", "finish", "deliver")
MEDIA = (
    "narrate",
    "submit_take",
    "clean_take",
    "render_segment",
    "mix_sound",
    "credits_card",
    "compose",
    "export",
    "clean_clip",
    "verify_clip",
)
RENDERS = ("submit_take", "render_segment", "mix_sound", "credits_card", "compose", "export", "clean_clip")
QUEUES = ("media", "scrape", "control", "submit", "poll", "notify")
VENDOR_FAULTS = (
    "throttled", "busy", "down-before", "moderated", "broke", "hang-before", "reset-before", "hang-after",
    "reset-after", "down-after", "garbage-after", "slow", "odd", "failed", "missing-once", "truncated-once",
    "corrupt-once",
)  # fmt: skip
Strike = Callable[[Scene, str], None]


@dataclass(frozen=True)
class Cell:
    """One row of the table. `may_fail` are error codes of jobs that a retry must then complete."""

    fault: str
    point: str
    strike: Strike
    may_fail: frozenset[str] = frozenset()
    needs: Callable[[Ground], str] = lambda _: ""
    """Says what is missing here, or nothing."""


CELLS: list[Cell] = []


def fault(
    name: str, *points: str, may_fail: tuple[str, ...] = (), needs: Callable[[Ground], str] | None = None
):
    """Enter a function into the table, once for each of its points."""

    def enter(strike: Strike) -> Strike:
        CELLS.extend(Cell(name, p, strike, frozenset(may_fail), needs or (lambda _: "")) for p in points)
        return strike

    return enter


def _process_of(kind: str) -> str:
    return "worker-media" if kind in MEDIA else "worker-io"


# -- processes -------------------------------------------------------------------------------------


@fault("kill -9 a worker", *PHASE_OF, *SCRAPE, *REMOVAL)
def kill_worker(scene: Scene, kind: str) -> None:
    """The whole worker dies while it is inside a step of this kind, and another takes its place."""
    scene.job_with(kind)
    step = scene.step_running(kind)
    scene.ground.kill(_process_of(step.kind))
    scene.struck = True


@fault("kill -9 a pool child", *MEDIA)
def kill_child(scene: Scene, kind: str) -> None:
    """What the kernel does when memory is short: the child that renders is gone, its parent is not."""
    scene.job_with(kind)
    scene.step_running(kind)
    for child in scene.ground.children("worker-media"):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    scene.struck = True


@fault("kill -9 everything", *PHASES)
def power_cut(scene: Scene, phase: str) -> None:
    """Workers, beat, API and Redis at once, and PostgreSQL crashes: what is committed is all there is."""
    scene.film()
    scene.phase_reached(phase)
    scene.pause(0, 0.4)
    for name in ("worker-media", "worker-io", "beat", "api"):
        scene.ground.kill(name)
    scene.ground.stop_redis(signal.SIGKILL)
    scene.ground.stop_postgres(signal.SIGQUIT)
    scene.struck = True


@fault("shutdown during a render", *RENDERS)
def shut_down(scene: Scene, kind: str) -> None:
    """A deployment: the worker is asked to end, and a new one starts."""
    scene.job_with(kind, bought=False)
    scene.step_running(kind)
    scene.ground.shut_down("worker-media")
    scene.struck = True


@fault("a worker freezes beyond its lease", "submit_take", "render_segment", "compose", "rank", "find_stock")
def freeze(scene: Scene, kind: str) -> None:
    """It wakes up when its step has a new owner, and must not save over it."""
    scene.job_with(kind)
    step = scene.step_running(kind)
    name = _process_of(step.kind)
    scene.ground.signal_group(name, signal.SIGSTOP)
    scene.struck = True
    if name == "worker-media":
        scene.ground.start("worker-media", role="worker-media.second")
    scene.pause(LEASE_SECONDS + 1, LEASE_SECONDS + 3)
    scene.ground.signal_group(name, signal.SIGCONT)


@fault("kill -9 the API", "while it takes jobs")
def kill_api(scene: Scene, _: str) -> None:
    """A client that repeats itself with its Idempotency-Key gets one job for each, not two."""
    for _number in range(3):
        scene.ground.kill("api")
        scene.ground.start("api")
        scene.ground.wait_ready("api")
        victims = scene.ground.children("api")
        scene.scrape()
        for child in victims:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    scene.struck = True
    assert len(set(scene.jobs)) == 3


# -- points in the code ----------------------------------------------------------------------------

POINTS = ("claim.before", "claim.after", "step.working", "save.before_commit", "save.after_commit")


def at_point(scene: Scene, place: str) -> None:
    """A process dies exactly there: alone, or with the whole worker it belongs to; or an error is raised.

    `place` is a point and, where steps are concerned, the kind of step.
    """
    point, _, kind = place.partition(" in ")
    ground = scene.ground
    action = scene.rng.choice(("kill", "stall", "fail"))
    scene.notes.append(action)
    failpoints.disarm(get_settings())
    if not kind:
        failpoints.arm(get_settings(), point, action)
        scene.film(stop_after=scene.rng.choice(PHASES))
    elif kind in PHASES:
        job = scene.film(stop_after=kind)
        if kind != "write":
            scene.phase_reached(PHASES[PHASES.index(kind) - 1], kind)
        failpoints.arm(get_settings(), point, action, job=str(job))
    else:
        failpoints.arm(get_settings(), point, action, step=kind)
        scene.job_with(kind)
    victim = scene.until(
        lambda: failpoints.reached(get_settings(), point), seconds=60, why=f"anybody to reach {place}"
    )
    scene.struck = True
    if action == "stall":
        ground.kill_with_group(victim)


for _point in POINTS:
    fault(f"dies at {_point}", *[f"{_point} in {kind}" for kind in (*PHASE_OF, *SCRAPE, *REMOVAL)])(at_point)
for _point in ("advance.before_commit", "publish.before", "publish.after"):
    fault(f"dies at {_point}", _point, *[f"{_point} in {p}" for p in PHASES if "advance" in _point])(at_point)


# -- the vendor ------------------------------------------------------------------------------------


@fault("dies on the way to the vendor", "submit.before_http", "submit.after_http", "submit.after_record",
       "poll.after_ask", "fetch.before_save")  # fmt: skip
def at_vendor(scene: Scene, point: str) -> None:
    """Between the row and the wire, between the wire and the row: bought once, billed once, booked once."""
    action = scene.rng.choice(("kill", "stall"))
    scene.notes.append(action)
    failpoints.disarm(get_settings())
    failpoints.arm(get_settings(), point, action)
    scene.film(bought=True, stop_after=scene.rng.choice(("shoot", "deliver")))
    victim = scene.until(
        lambda: failpoints.reached(get_settings(), point), seconds=60, why=f"anybody to reach {point}"
    )
    scene.struck = True
    if action == "stall":
        scene.ground.kill_with_group(victim)


@fault("the vendor", *VENDOR_FAULTS)
def vendor_trouble(scene: Scene, what: str) -> None:
    """It refuses, hangs, hangs up, answers nonsense, fails, or delivers half a file; a worker may die as well."""
    before = {task["vendor_id"] for task in scene.ground.bill()}
    scene.film(bought=True, trouble=f"fault-{what}", stop_after=scene.rng.choice(("shoot", "deliver")))
    scene.phase_reached("shoot")
    if scene.rng.random() < 0.5:
        scene.pause(0, 1.5)
        scene.ground.kill(scene.rng.choice(("worker-io", "worker-media", "beat")))
        scene.notes.append("with a kill")
    else:
        scene.until(
            lambda: {task["vendor_id"] for task in scene.ground.bill()} - before, seconds=60, why="the vendor"
        )
    scene.struck = True


@fault("the vendor dies", "and comes back")
def vendor_dies(scene: Scene, _: str) -> None:
    scene.film(bought=True)
    scene.phase_reached("shoot")
    scene.pause(0, 1)
    scene.ground.vendor.stop()
    scene.struck = True
    scene.pause(1, 4)


# -- messages --------------------------------------------------------------------------------------


@fault("messages come twice and in any order", *PHASES)
def duplicate(scene: Scene, phase: str) -> None:
    """What waits in the queues, chords and chains included, is put there again, several times, shuffled."""
    scene.film()
    scene.scrape()
    scene.phase_reached(phase)
    kept: list[tuple[str, bytes]] = []
    with scene.ground.broker() as broker:
        for stopped in ("worker-media", "worker-io") * 3:
            scene.ground.signal_group(stopped, signal.SIGSTOP)
            scene.pause(0.1, 0.6)  # the other one goes on, and sends
            kept += [(q, m) for q in QUEUES for m in broker.lrange(f"callsheet:{q}", 0, -1)]
            again = [scene.rng.choice(kept) for _ in range(min(40, 3 * len(kept)))]
            for queue, message in again:
                push = scene.rng.choice((broker.lpush, broker.rpush))
                push(f"callsheet:{queue}", message)
            scene.struck |= bool(again)
            scene.ground.signal_group(stopped, signal.SIGCONT)
            scene.pause(0.0, 0.3)


@fault("every step is sent at once", *PHASES)
def out_of_order(scene: Scene, phase: str) -> None:
    """Each step of the job, done, running or not yet due, gets two more messages in any order."""
    from tasks.app import app

    scene.film()
    scene.phase_reached(phase)
    # This process has outlived other installations: what it was led to first may be gone.
    with app.connection_for_write(url=scene.ground.environment["BROKER_URL"]) as broker:
        for _ in range(3):
            steps = scene.steps() * 2
            scene.rng.shuffle(steps)
            for step in steps:
                arguments = {
                    "step_id": str(step.id),
                    "job": str(step.job_id),
                    "solo": scene.rng.random() < 0.5,
                }
                message = app.signature(step.kind, kwargs=arguments, immutable=True)
                message.apply_async(connection=broker, retry=False, ignore_result=True)
            scene.struck |= bool(steps)
            scene.pause(0.1, 0.8)


# -- Redis -----------------------------------------------------------------------------------------


@fault("Redis FLUSHALL", "before a worker looks", *PHASES)
def flush(scene: Scene, point: str) -> None:
    """Every message and every chord's count is gone."""
    if point in PHASES:
        scene.film()
        scene.phase_reached(point)
        scene.pause(0, 0.4)
    else:
        scene.ground.signal_group("worker-io", signal.SIGSTOP)
        scene.ground.signal_group("worker-media", signal.SIGSTOP)
        scene.film()
        scene.scrape()
    with scene.ground.broker() as broker:
        broker.flushall()
    scene.struck = True


@fault("Redis restarts", "ended, then started", "killed, then started", "hangs for 3 s", "drops its clients")
def restart_redis(scene: Scene, point: str) -> None:
    scene.film()
    scene.scrape()
    scene.phase_reached(scene.rng.choice(PHASES))
    scene.pause(0, 0.5)
    if point == "hangs for 3 s":
        scene.ground.signal_redis(signal.SIGSTOP)
        time.sleep(3)
        scene.ground.signal_redis(signal.SIGCONT)
    elif point == "drops its clients":
        with scene.ground.broker() as broker:
            for _ in range(4):
                broker.client_kill_filter(_type="normal", skipme=True)
                scene.pause(0.1, 0.5)
    else:
        scene.ground.stop_redis(signal.SIGKILL if point.startswith("killed") else signal.SIGTERM)
        scene.pause(0, 1.5)
        scene.ground.start_redis()
    scene.struck = True


@fault("the broker is down", "for 5 s", "for 60 s")
def broker_down(scene: Scene, point: str) -> None:
    """The API goes on saying 202, and what it took is done later."""
    scene.film(stop_after="source")
    scene.pause(0, 1)
    scene.ground.stop_redis(signal.SIGKILL)
    until = time.monotonic() + float(point.split()[1])
    began = time.monotonic()
    scene.scrape()
    scene.film(stop_after="write")
    scene.struck = True
    took = time.monotonic() - began
    assert took < 30, f"two submissions took {took:.0f} s without a broker"
    time.sleep(max(0.0, until - time.monotonic()))
    scene.ground.start_redis()


# -- PostgreSQL ------------------------------------------------------------------------------------


@fault("PostgreSQL restarts", "ended, then started", "crashes, then started", "hangs for 3 s")
def restart_postgres(scene: Scene, point: str) -> None:
    scene.film()
    scene.scrape()
    scene.phase_reached(scene.rng.choice(PHASES))
    scene.pause(0, 0.5)
    if point == "hangs for 3 s":
        scene.ground.signal_postgres(signal.SIGSTOP)
        time.sleep(3)
        scene.ground.signal_postgres(signal.SIGCONT)
    else:
        scene.ground.stop_postgres(signal.SIGQUIT if point.startswith("crashes") else signal.SIGINT)
        scene.pause(0, 1.5)
        scene.ground.start_postgres()
    scene.struck = True


@fault("PostgreSQL connections are cut", *PHASES)
def cut(scene: Scene, phase: str) -> None:
    """Again and again, in the middle of whatever transaction there is."""
    scene.film()
    scene.phase_reached(phase)
    for _ in range(scene.rng.randint(3, 8)):
        scene.ground.cut_connections()
        scene.pause(0.02, 0.4)
    scene.struck = True


# -- beat and clocks -------------------------------------------------------------------------------


@fault("beat", "killed", "killed with a worker", "doubled", "doubled, and a worker killed")
def beat(scene: Scene, point: str) -> None:
    if "doubled" in point:
        scene.ground.start("beat", role="beat.second")
    else:
        scene.ground.kill("beat")
    scene.film()
    if "worker" in point:
        kind = scene.rng.choice(("submit_take", "render_segment", "compose"))
        scene.step_running(kind)
        scene.ground.kill("worker-media")
        scene.pause(0, LEASE_SECONDS)
    else:
        scene.phase_reached(scene.rng.choice(PHASES))
    scene.struck = True
    if "doubled" in point:
        scene.ground.start_all()
        for _ in scene.settled_within(30):
            pass


def _no_compiler(_: Ground) -> str:
    return "" if shutil.which("cc") else "there is no C compiler (cc) for the shim that shifts clocks"


@fault(
    "the clock jumps",
    "an hour on",
    "an hour back",
    "a day on",
    "an hour on, PostgreSQL's too",
    "an hour back, PostgreSQL's too",
    needs=_no_compiler,
)
def jump(scene: Scene, point: str) -> None:
    """Of workers and beat together. PostgreSQL's clock is the one that counts: leases run out, or lie far ahead."""
    ground = scene.ground
    clock = ground.clock()
    if "PostgreSQL" in point:
        ground.stop_postgres()
        ground.start_postgres(**clock)
    for name in ("worker-io", "worker-media", "beat"):
        ground.kill(name)
        ground.start(name, **clock)
    ground.wait_ready("worker-io", "worker-media", "beat", "api")
    scene.film()
    scene.phase_reached(scene.rng.choice(PHASES))
    scene.pause(0, 0.5)
    ground.set_clock({"an hour on": 3600, "an hour back": -3600, "a day on": 86400}[point.partition(",")[0]])
    scene.struck = True
    if scene.rng.random() < 0.5:
        ground.kill("worker-media")
        ground.start("worker-media", **clock)
    for _ in scene.settled_within(120 if "PostgreSQL" in point else 60):  # its clock is heeded every 30 s
        pass
    scene.check_settled("with the clocks still wrong")
    for name in ("worker-io", "worker-media", "beat"):
        ground.kill(name)
    if "PostgreSQL" in point:
        ground.stop_postgres()


# -- disks -----------------------------------------------------------------------------------------


def _no_disks(ground: Ground) -> str:
    return "" if ground.disks else "a small disk cannot be mounted here"


@contextmanager
def _held(scene: Scene) -> Iterator[None]:
    """Leave a disk broken for moments or until the job has given up, as the seed says."""
    yield
    scene.struck = True
    if scene.rng.random() < 0.7:
        scene.pause(0.5, 3)
    else:
        for _ in scene.settled_within(40):
            pass


@fault("the disk is full", "scratch", "store", may_fail=("disk_full", "disk", "bug"), needs=_no_disks)
def full(scene: Scene, which: str) -> None:
    scene.film()
    scene.phase_reached(scene.rng.choice(PHASES))
    with _held(scene):
        scene.ground.fill(getattr(scene.ground, which))


@fault("the store takes no writes", *PHASES, may_fail=("misconfigured", "disk"), needs=_no_disks)
def read_only(scene: Scene, phase: str) -> None:
    scene.film()
    scene.phase_reached(phase)
    with _held(scene):
        scene.ground.remount(scene.ground.store, "ro")


# -- people ----------------------------------------------------------------------------------------


@fault(
    "cancelled",
    "while a worker dies",
    "while it renders",
    "while the broker is down",
    may_fail=("cancelled",),
)
def cancel(scene: Scene, point: str) -> None:
    """It ends cancelled, and can be taken up again."""
    job = scene.film()
    scene.step_running(*MEDIA, "rank", "find_stock")
    if point == "while a worker dies":
        scene.ground.kill("worker-media")
    if point == "while the broker is down":
        scene.ground.stop_redis(signal.SIGKILL)
    answer = scene.post(f"/jobs/{job}/cancel")
    assert answer.status_code in (202, 409), answer.text
    scene.struck = True
    scene.pause(0, 1)


@fault("ffmpeg is killed", *RENDERS, may_fail=("ffmpeg", "bug", "failed"))
def kill_ffmpeg(scene: Scene, kind: str) -> None:
    scene.job_with(kind, bought=False)
    scene.step_running(kind)
    until = time.monotonic() + 3
    while not scene.struck and time.monotonic() < until:
        for process in scene.ground.ffmpegs():
            with suppress(psutil.NoSuchProcess):
                process.kill()
                scene.struck = True
