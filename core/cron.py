"""When a cron expression falls due on the clocks of a time zone.

The clock of a zone is not a steady one. Two rules say what happens where it jumps:

- An expression that names hours goes by the clock on the wall, once for every time it names. A time that
  a jump forward leaves out falls due at the first instant after the gap, together with its neighbours in
  the gap; a time that a jump back repeats falls due the first time only.
- An expression for every hour (`*/15 * * * *`) keeps its rhythm: it falls due whenever the clock
  reads so, the repeated hour included, and nothing stands in for minutes that were left out.

`cronsim` reads the expression and counts on a clock without a zone; what a zone makes of it is here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from core.errors import Invalid

FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day of the month": "1-31, or L for the last",
    "month": "1-12 or JAN-DEC",
    "day of the week": "0-7 or SUN-SAT (0 and 7 are Sunday)",
}
MOST_CHARACTERS = 100
_GRAMMAR = "`*`, a number, a range `1-5`, a list `1,3`, a step `*/15`"
_WIDEST_JUMP = timedelta(hours=3)
"""No clock has been put forward or back by more; only a move of the date line does, and then a day's
times fall due at its end."""
_EVERY_HOUR = set(range(24))


def check_cron(expression: str) -> None:
    """Refuse what is no cron expression of five fields, or never falls due; names the part at fault."""
    _read(expression)
    if next(_walls(expression, datetime(2024, 1, 1)), None) is None:  # noqa: DTZ001 (a wall clock)
        raise Invalid("No day fits this expression: it would never fall due.", field="cron")


def check_time_zone(name: str) -> None:
    """Refuse a time zone that is not in the IANA database; suggests the nearest names."""
    if name in _zones():
        return
    by_small_letters = {zone.lower(): zone for zone in _zones()}
    by_small_letters |= {zone.lower().rpartition("/")[2]: zone for zone in sorted(_zones()) if "/" in zone}
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), by_small_letters, n=3, cutoff=0.7)
    meant = list(dict.fromkeys(by_small_letters[match] for match in near))
    hint = f"did you mean {' or '.join(meant)}?" if meant else "use a name such as Europe/Berlin or UTC."
    raise Invalid(f"There is no time zone {name[:64]!r}: {hint}", field="time_zone")


def next_time(expression: str, time_zone: str, after: datetime) -> datetime | None:
    """The first instant later than `after` at which the expression falls due, in UTC; None if never.

    Raises Invalid for an expression or a zone that cannot be read any more.
    """
    zone = _zone(time_zone)
    steady = _read(expression).hours == _EVERY_HOUR
    best: datetime | None = None
    for wall in _walls(expression, after.astimezone(zone).replace(tzinfo=None) - _WIDEST_JUMP):
        first, *again = _instants(wall, zone)
        if best is not None and first >= best:
            break
        told = _told_by_clock(wall, first, zone)
        due = [first, *again] if steady and told else [] if steady else [first]
        later = [instant for instant in due if instant > after]
        best = min([*later, *([best] if best else [])], default=None)
    return best


def next_times(expression: str, time_zone: str, after: datetime, count: int) -> list[datetime]:
    """The next instants at which the expression falls due, at most `count`."""
    found: list[datetime] = []
    while len(found) < count:
        due = next_time(expression, time_zone, found[-1] if found else after)
        if due is None:
            break
        found.append(due)
    return found


def _read(expression: str) -> CronSim:
    parts = expression.split()
    if len(expression) > MOST_CHARACTERS or len(parts) != len(FIELDS):
        raise Invalid(
            f"Give five fields: {', '.join(FIELDS)}; it has {len(parts)}. Example: `30 6 * * MON-FRI`.",
            field="cron",
        )
    start = datetime(2024, 1, 1)  # noqa: DTZ001 (a wall clock)
    for position, (name, allowed) in enumerate(FIELDS.items()):
        alone = ["*"] * len(FIELDS)
        alone[position] = parts[position]
        try:
            CronSim(" ".join(alone), start)
        except (CronSimError, AssertionError) as error:
            raise Invalid(
                f"The {name} {parts[position]!r} cannot be read: {allowed}; as {_GRAMMAR}.", field="cron"
            ) from error
    try:
        return CronSim(expression, start)
    except CronSimError as error:
        raise Invalid("No day fits this expression: it would never fall due.", field="cron") from error


def _walls(expression: str, start: datetime) -> Iterator[datetime]:
    """Every time on an even clock that the expression names, later than `start`."""
    return CronSim(expression, start)


def _instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clock shows `wall`: once, twice, or, in a gap, the instant at which the gap ends."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first, second]
    return [_jump(second, first, zone)]


def _told_by_clock(wall: datetime, instant: datetime, zone: ZoneInfo) -> bool:
    return instant.astimezone(zone).replace(tzinfo=None) == wall


def _jump(before: datetime, later: datetime, zone: ZoneInfo) -> datetime:
    """The instant between the two at which the zone's offset changes."""
    old = before.astimezone(zone).utcoffset()
    while later - before > timedelta(seconds=1):
        middle = (before + (later - before) / 2).replace(microsecond=0)
        before, later = (middle, later) if middle.astimezone(zone).utcoffset() == old else (before, middle)
    return later


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"There is no time zone {name[:64]!r} here.", field="time_zone") from error


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
