"""Beat fires its duties whatever happens to the wall clock."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from celery import Celery

from tasks.ticking import SteadyScheduler


@pytest.fixture
def house(settings) -> Celery:  # Celery's schedules ask for the current application's settings
    app = Celery("ticking", broker="memory://", set_as_current=False)
    app.conf.update(
        task_default_queue="duties",
        beat_schedule={
            "often": {"task": "often", "schedule": 0.1},
            "seldom": {"task": "seldom", "schedule": 0.2},
        },
    )
    return app


@pytest.fixture
def make(house, tmp_path):
    made = []

    def begin() -> SteadyScheduler:
        made.append(SteadyScheduler(house, schedule_filename=str(tmp_path / "schedule")))
        return made[-1]

    yield begin
    for scheduler in made:
        scheduler.close()


def fired(app: Celery, scheduler: SteadyScheduler, wanted: int) -> set[str]:
    """Let beat tick until it sent this many messages, at most 400 times."""
    seen = []
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("duties")
        for _ in range(400):
            scheduler.tick()
            while len(queue):
                message = queue.get_nowait()
                message.ack()
                seen.append(message.headers["task"])
            if len(seen) >= wanted:
                break
            time.sleep(0.01)
    return set(seen)


def set_back(scheduler: SteadyScheduler, hours: float) -> None:
    """What an hour back looks like from inside: everything known lies an hour ahead."""
    for entry in scheduler.schedule.values():
        entry.last_run_at += timedelta(hours=hours)
    scheduler._heap = [event._replace(time=event.time + 3600 * hours) for event in scheduler._heap]
    scheduler._offset += 3600 * hours


def test_every_duty_goes_on_when_the_clock_is_set_back_an_hour(house, make):
    scheduler = make()
    assert fired(house, scheduler, 4) == {"often", "seldom"}
    set_back(scheduler, 1)
    assert fired(house, scheduler, 4) == {"often", "seldom"}


def test_a_schedule_kept_from_before_the_clock_was_set_back_is_counted_from_now(house, make):
    first = make()
    assert fired(house, first, 4) == {"often", "seldom"}
    for entry in first.schedule.values():
        entry.last_run_at += timedelta(hours=1)
    first.close()
    assert fired(house, make(), 4) == {"often", "seldom"}


def test_what_fired_lately_is_not_fired_again_by_a_restart(house, make):
    house.conf.beat_schedule = {"hourly": {"task": "hourly", "schedule": 3600.0}}
    first = make()
    first.tick()
    kept = first.schedule["hourly"].last_run_at
    first.close()
    again = make()
    again.tick()
    assert again.schedule["hourly"].last_run_at == kept
