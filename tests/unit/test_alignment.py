"""Alignment: which bucket a moment lies in, by the UTC wall clock, at all eight resolutions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.resolution import FINEST, Resolution, ceil_us, end_us, floor_us, parse_resolution
from dashapp.model.time import MAX_US, MIN_US, US_PER_DAY, from_datetime, to_iso
from tests import oracle
from tests.unit.moments import moments_us, resolutions, us


def starts(iso: str) -> tuple[str, ...]:
    return tuple(to_iso(floor_us(us(iso), parse_resolution(name))) for name in oracle.RESOLUTIONS)


# A moment, and the day and the times of the starts of its buckets at 1m, 5m, 10m, 1h, 3h, 6h, 12h, 24h, written out.
ALIGNMENT = {
    "an ordinary moment": (
        "2024-03-13T17:47:31.250000Z",
        "2024-03-13 at 17:47 17:45 17:40 17:00 15:00 12:00 12:00 00:00",
    ),
    "midnight opens all eight": (
        "2024-03-13T00:00:00Z",
        "2024-03-13 at 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00",
    ),
    "one microsecond before midnight closes all eight": (
        "2024-03-12T23:59:59.999999Z",
        "2024-03-12 at 23:59 23:55 23:50 23:00 21:00 18:00 12:00 00:00",
    ),
    "one microsecond after midnight": (
        "2024-03-13T00:00:00.000001Z",
        "2024-03-13 at 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00",
    ),
    "one second before noon": (
        "2024-03-13T11:59:59Z",
        "2024-03-13 at 11:59 11:55 11:50 11:00 09:00 06:00 00:00 00:00",
    ),
    "noon opens all but 24h": (
        "2024-03-13T12:00:00Z",
        "2024-03-13 at 12:00 12:00 12:00 12:00 12:00 12:00 12:00 00:00",
    ),
    "one second before six": (
        "2024-03-13T05:59:59Z",
        "2024-03-13 at 05:59 05:55 05:50 05:00 03:00 00:00 00:00 00:00",
    ),
    "six in the evening opens all but 12h and 24h": (
        "2024-03-13T18:00:00Z",
        "2024-03-13 at 18:00 18:00 18:00 18:00 18:00 18:00 12:00 00:00",
    ),
    "one microsecond before nine": (
        "2024-03-13T08:59:59.999999Z",
        "2024-03-13 at 08:59 08:55 08:50 08:00 06:00 06:00 00:00 00:00",
    ),
    "nine opens 3h, not 6h": (
        "2024-03-13T09:00:00Z",
        "2024-03-13 at 09:00 09:00 09:00 09:00 09:00 06:00 00:00 00:00",
    ),
    "one microsecond before the hour": (
        "2024-03-13T13:59:59.999999Z",
        "2024-03-13 at 13:59 13:55 13:50 13:00 12:00 12:00 12:00 00:00",
    ),
    "ten past opens 5m and 10m": (
        "2024-03-13T13:10:00Z",
        "2024-03-13 at 13:10 13:10 13:10 13:00 12:00 12:00 12:00 00:00",
    ),
    "one second before ten past": (
        "2024-03-13T13:09:59Z",
        "2024-03-13 at 13:09 13:05 13:00 13:00 12:00 12:00 12:00 00:00",
    ),
    "five past opens 5m, not 10m": (
        "2024-03-13T13:05:00Z",
        "2024-03-13 at 13:05 13:05 13:00 13:00 12:00 12:00 12:00 00:00",
    ),
    "one microsecond before five past": (
        "2024-03-13T13:04:59.999999Z",
        "2024-03-13 at 13:04 13:00 13:00 13:00 12:00 12:00 12:00 00:00",
    ),
    "one second after the minute": (
        "2024-03-13T13:01:01Z",
        "2024-03-13 at 13:01 13:00 13:00 13:00 12:00 12:00 12:00 00:00",
    ),
    "the first moment of 1970": (
        "1970-01-01T00:00:00Z",
        "1970-01-01 at 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00",
    ),
    "one microsecond before 1970 goes down, not towards zero": (
        "1969-12-31T23:59:59.999999Z",
        "1969-12-31 at 23:59 23:55 23:50 23:00 21:00 18:00 12:00 00:00",
    ),
    "Black Tuesday, long before 1970": (
        "1929-10-29T14:36:07Z",
        "1929-10-29 at 14:36 14:35 14:30 14:00 12:00 12:00 12:00 00:00",
    ),
    "a leap day": (
        "2024-02-29T23:59:59Z",
        "2024-02-29 at 23:59 23:55 23:50 23:00 21:00 18:00 12:00 00:00",
    ),
    "the day after a leap day": (
        "2024-03-01T00:00:00Z",
        "2024-03-01 at 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00",
    ),
    "the leap day of a century": (
        "2000-02-29T06:00:00.000001Z",
        "2000-02-29 at 06:00 06:00 06:00 06:00 06:00 06:00 00:00 00:00",
    ),
    "the last second of a year": (
        "2023-12-31T23:59:59Z",
        "2023-12-31 at 23:59 23:55 23:50 23:00 21:00 18:00 12:00 00:00",
    ),
    "the first second of a year": (
        "2024-01-01T00:00:01Z",
        "2024-01-01 at 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00",
    ),
    "the second before a leap second": (
        "2016-12-31T23:59:59Z",
        "2016-12-31 at 23:59 23:55 23:50 23:00 21:00 18:00 12:00 00:00",
    ),
    "New York in March, the second before clocks go forward": (
        "2024-03-10T01:59:59-05:00",
        "2024-03-10 at 06:59 06:55 06:50 06:00 06:00 06:00 00:00 00:00",
    ),
    "New York in March, the first second after": (
        "2024-03-10T03:00:00-04:00",
        "2024-03-10 at 07:00 07:00 07:00 07:00 06:00 06:00 00:00 00:00",
    ),
    "New York in November, 01:30 the first time": (
        "2024-11-03T01:30:00-04:00",
        "2024-11-03 at 05:30 05:30 05:30 05:00 03:00 00:00 00:00 00:00",
    ),
    "New York in November, 01:30 the second time": (
        "2024-11-03T01:30:00-05:00",
        "2024-11-03 at 06:30 06:30 06:30 06:00 06:00 06:00 00:00 00:00",
    ),
    "Berlin in March, the first second after clocks go forward": (
        "2024-03-31T03:00:00+02:00",
        "2024-03-31 at 01:00 01:00 01:00 01:00 00:00 00:00 00:00 00:00",
    ),
    "Berlin in October, the last microsecond before clocks go back": (
        "2024-10-27T02:59:59.999999+02:00",
        "2024-10-27 at 00:59 00:55 00:50 00:00 00:00 00:00 00:00 00:00",
    ),
    "a zone whose offset is no whole hour": (
        "2024-03-13T05:31:00+05:45",
        "2024-03-12 at 23:46 23:45 23:40 23:00 21:00 18:00 12:00 00:00",
    ),
    "the first moment there is": (
        "0001-01-01T00:00:00Z",
        "0001-01-01 at 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00",
    ),
    "the last moment there is": (
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31 at 23:59 23:55 23:50 23:00 21:00 18:00 12:00 00:00",
    ),
}


def written_out(case: str) -> tuple[str, tuple[str, ...]]:
    """The moment of a case, and the eight starts."""
    moment, expected = ALIGNMENT[case]
    day, times = expected.split(" at ")
    return moment, tuple(f"{day}T{time}:00Z" for time in times.split())


@pytest.mark.parametrize("case", ALIGNMENT)
def test_the_start_of_a_bucket_at_all_eight_resolutions(case: str) -> None:
    moment, expected = written_out(case)
    assert starts(moment) == expected


@pytest.mark.parametrize("case", ALIGNMENT)
def test_the_judge_agrees_with_what_is_written_out(case: str) -> None:
    moment, expected = written_out(case)
    assert tuple(to_iso(oracle.start_us(us(moment), name)) for name in oracle.RESOLUTIONS) == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2024-03-10", 23),
        ("America/New_York", "2024-11-03", 25),
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
    ],
)
def test_a_day_of_23_or_25_hours_has_a_bucket_of_every_hour_once(zone: str, day: str, hours: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    next_midnight = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=ZoneInfo(zone))
    hour = parse_resolution("1h")
    found = {
        floor_us(moment, hour) for moment in range(from_datetime(midnight), from_datetime(next_midnight), 60 * 10**6)
    }
    assert len(found) == hours
    assert sorted(found) == list(range(min(found), min(found) + hours * hour.width_us, hour.width_us))


@given(moments_us, resolutions)
def test_alignment_agrees_with_the_calendar_at_any_moment(moment_us: int, resolution: Resolution) -> None:
    assert floor_us(moment_us, resolution) == oracle.start_us(moment_us, resolution.name)


@given(st.integers(MIN_US // US_PER_DAY + 1, MAX_US // US_PER_DAY - 1), st.integers(0, 1_439), resolutions)
def test_the_microsecond_before_a_boundary_belongs_to_the_bucket_before(day: int, minute: int, at: Resolution) -> None:
    boundary_us = floor_us(day * US_PER_DAY + minute * FINEST.width_us, at)
    assert floor_us(boundary_us, at) == boundary_us
    assert floor_us(boundary_us + 1, at) == boundary_us
    assert floor_us(boundary_us + 1_000_000, at) == boundary_us
    assert floor_us(boundary_us - 1, at) == boundary_us - at.width_us
    assert floor_us(boundary_us - 1_000_000, at) == boundary_us - at.width_us
    assert end_us(boundary_us - at.width_us, at) == boundary_us


@given(moments_us, resolutions)
def test_a_moment_lies_in_its_bucket(moment_us: int, at: Resolution) -> None:
    assert floor_us(moment_us, at) <= moment_us < end_us(floor_us(moment_us, at), at)


@given(moments_us, resolutions)
def test_rounding_up_finds_the_first_start_not_before(moment_us: int, at: Resolution) -> None:
    up_us = ceil_us(moment_us, at)
    assert floor_us(up_us, at) == up_us
    assert up_us - at.width_us < moment_us <= up_us


def test_alignment_is_that_of_utc_whatever_zone_the_moment_was_written_in() -> None:
    utc = datetime(2024, 3, 13, 23, 30, tzinfo=UTC)
    for zone in ("Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati"):
        there = utc.astimezone(ZoneInfo(zone))
        assert starts(there.isoformat()) == starts(utc.isoformat())
