"""Cron expressions on the clocks of real time zones, through every way they jump."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cron import FIELDS, check_cron, check_time_zone, next_time, next_times
from core.errors import Invalid


def shown(cron, zone, start, count):
    """The next times as the zone's clock shows them, with its offset."""
    after = datetime.fromisoformat(start)
    return [
        t.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")
        for t in next_times(cron, zone, after, count)
    ]


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z",
         ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z",
         ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z",
         ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00", "2026-03-30T02:00+02:00"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-28T23:30Z",
         ["2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]),
        ("15 2 * * *", "America/New_York", "2026-03-07T12:00Z",
         ["2026-03-08T03:00-04:00", "2026-03-09T02:15-04:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00Z",
         ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00Z",
         ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"]),
        ("0 12 * * *", "Pacific/Apia", "2011-12-30T00:00Z",
         ["2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"]),
    ],
)  # fmt: skip
def test_a_time_that_does_not_exist_falls_due_once_at_the_end_of_the_gap(cron, zone, start, expected):
    assert shown(cron, zone, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z",
         ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z",
         ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T02:00Z",
         ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
        ("*/30 2 * * *", "Australia/Sydney", "2026-04-04T12:00Z",
         ["2026-04-05T02:00+11:00", "2026-04-05T02:30+11:00", "2026-04-06T02:00+10:00"]),
    ],
)  # fmt: skip
def test_a_time_that_occurs_twice_falls_due_the_first_time_only(cron, zone, start, expected):
    assert shown(cron, zone, start, len(expected)) == expected


def test_inside_the_repeated_hour_the_past_does_not_fall_due_again():
    second_two_ten = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert next_time("30 2 * * *", "Europe/Berlin", second_two_ten) == datetime(
        2026, 10, 26, 1, 30, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Europe/Berlin", "2026-03-28T23:00Z"),
        ("Europe/Berlin", "2026-10-24T23:00Z"),
        ("America/New_York", "2026-03-08T05:00Z"),
        ("America/New_York", "2026-11-01T04:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T13:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T13:30Z"),
        ("UTC", "2026-06-01T00:00Z"),
    ],
)
def test_every_quarter_of_an_hour_stays_a_quarter_of_an_hour_whatever_the_clock_does(zone, start):
    after = datetime.fromisoformat(start)
    quarter = timedelta(minutes=15)
    assert next_times("*/15 * * * *", zone, after, 24) == [after + quarter * n for n in range(1, 25)]


def test_every_hour_falls_due_whenever_the_clock_reads_so():
    assert shown("45 * * * *", "Australia/Lord_Howe", "2026-04-04T13:50Z", 3) == [
        "2026-04-05T01:45+11:00",
        "2026-04-05T01:45+10:30",
        "2026-04-05T02:45+10:30",
    ]
    assert shown("45 * * * *", "Australia/Lord_Howe", "2026-10-03T14:20Z", 3) == [
        "2026-10-04T01:45+10:30",
        "2026-10-04T02:45+11:00",
        "2026-10-04T03:45+11:00",
    ]


def test_utc_knows_no_jumps():
    assert shown("30 2 * * *", "UTC", "2026-03-28T12:00Z", 2) == [
        "2026-03-29T02:30+00:00",
        "2026-03-30T02:30+00:00",
    ]


def test_days_are_the_days_of_the_zone_and_leap_days_are_waited_for():
    assert shown("0 6 * * MON-FRI", "Asia/Tokyo", "2026-11-20T22:00Z", 1) == ["2026-11-23T06:00+09:00"]
    assert shown("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", 1) == ["2028-02-29T00:00+00:00"]


def truth(cron, zone, start, minutes):
    """Times by the plain words of the two rules, minute by minute of the calendar: slow and obvious."""
    minute, hour = cron.split()[:2]
    named = [
        start.replace(tzinfo=None) + timedelta(minutes=n)
        for n in range(-1600, minutes)
    ]  # fmt: skip
    named = [
        w
        for w in named
        if (minute == "*" or w.minute == int(minute)) and (hour == "*" or w.hour == int(hour))
    ]
    due = set()
    for wall in named:
        reads = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        real = [t for t in reads if t.astimezone(zone).replace(tzinfo=None) == wall]
        if hour == "*":
            due |= set(real)
        elif real:
            due.add(min(real))
        else:
            gap = min(reads)
            while gap.astimezone(zone).utcoffset() != max(reads).astimezone(zone).utcoffset():
                gap += timedelta(minutes=1)
            due.add(gap)
    return sorted(t for t in due if t > start.astimezone(UTC))


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["*", "0", "15", "30", "45"]),
    st.sampled_from(["*", "0", "1", "2", "3"]),
    st.sampled_from(ZONES),
    st.integers(0, 365 * 24 * 60),
)
def test_times_agree_with_the_plain_words_of_the_rules(minute, hour, name, minutes):
    zone = ZoneInfo(name)
    start = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)).astimezone(zone)
    cron = f"{minute} {hour} * * *"
    expected = truth(cron, zone, start, 1600)[:3] or truth(cron, zone, start, 5000)[:1]
    assert next_times(cron, name, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "part"),
    [
        ("60 * * * *", "minute '60'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'"),
        ("* * * 13 *", "month '13'"),
        ("* * * * 8", "day of the week '8'"),
        ("*/0 * * * *", "minute '*/0'"),
        ("\u0661 * * * *", "minute"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("", "five fields"),
        ("0 0 31 2 *", "never fall due"),
        ("0 0 30 feb *", "never fall due"),
    ],
)
def test_a_bad_expression_is_told_which_part_is_bad(cron, part):
    with pytest.raises(Invalid, match=part.replace("*", r"\*")) as caught:
        check_cron(cron)
    assert caught.value.field == "cron"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("0123456789*/-,#LWMONFEB ?", min_size=1, max_size=6), min_size=5, max_size=5))
def test_any_text_is_either_refused_or_falls_due(parts):
    cron = " ".join(parts)
    with suppress(Invalid):
        check_cron(cron)
        after = datetime(2026, 1, 1, tzinfo=UTC)
        assert next_time(cron, "Europe/Berlin", after) > after
        assert len(cron.split()) == len(FIELDS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berlinn", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("utc", "UTC"),
        ("../etc/passwd", "Europe/Berlin or UTC"),
        ("CEST", "CET"),
    ],
)
def test_an_unknown_time_zone_is_told_what_may_be_meant(name, meant):
    with pytest.raises(Invalid, match=meant) as caught:
        check_time_zone(name)
    assert caught.value.field == "time_zone"
    check_time_zone("Europe/Berlin")
