"""Resolutions: alignment to the UTC wall clock, progress, periods, and the choice for a screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import UnknownResolution
from dashapp.model.resolution import (
    FINEST,
    RESOLUTIONS,
    Resolution,
    ceil_us,
    end_us,
    floor_us,
    is_partial,
    parse_resolution,
    period_of,
    pick,
    progress_pct,
)
from dashapp.model.time import MAX_US, MIN_US, US_PER_DAY, from_datetime, to_iso

NAMES = ("1m", "5m", "10m", "1h", "3h", "6h", "12h", "24h")

moments_us = st.integers(MIN_US, MAX_US)
resolutions = st.sampled_from(RESOLUTIONS)


def us(iso: str) -> int:
    return from_datetime(datetime.fromisoformat(iso))


def starts(iso: str) -> tuple[str, ...]:
    return tuple(to_iso(floor_us(us(iso), parse_resolution(name))) for name in NAMES)


def test_there_are_eight_resolutions_finest_first() -> None:
    assert [(resolution.name, resolution.seconds) for resolution in RESOLUTIONS] == [
        ("1m", 60),
        ("5m", 300),
        ("10m", 600),
        ("1h", 3_600),
        ("3h", 10_800),
        ("6h", 21_600),
        ("12h", 43_200),
        ("24h", 86_400),
    ]
    assert FINEST.name == "1m"
    assert oracle.RESOLUTIONS == NAMES


def test_every_width_divides_a_day_and_holds_whole_minutes() -> None:
    assert [resolution.name for resolution in RESOLUTIONS if 86_400 % resolution.seconds] == []
    assert [resolution.name for resolution in RESOLUTIONS if resolution.seconds % FINEST.seconds] == []


# What a moment's bucket start is at 1m, 5m, 10m, 1h, 3h, 6h, 12h, 24h, written out.
ALIGNMENT = {
    "an ordinary moment": (
        "2024-03-13T17:47:31.250000Z",
        "2024-03-13T17:47:00Z",
        "2024-03-13T17:45:00Z",
        "2024-03-13T17:40:00Z",
        "2024-03-13T17:00:00Z",
        "2024-03-13T15:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "midnight opens all eight": (
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one microsecond before midnight closes all eight": (
        "2024-03-12T23:59:59.999999Z",
        "2024-03-12T23:59:00Z",
        "2024-03-12T23:55:00Z",
        "2024-03-12T23:50:00Z",
        "2024-03-12T23:00:00Z",
        "2024-03-12T21:00:00Z",
        "2024-03-12T18:00:00Z",
        "2024-03-12T12:00:00Z",
        "2024-03-12T00:00:00Z",
    ),
    "one microsecond after midnight": (
        "2024-03-13T00:00:00.000001Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one second before noon": (
        "2024-03-13T11:59:59Z",
        "2024-03-13T11:59:00Z",
        "2024-03-13T11:55:00Z",
        "2024-03-13T11:50:00Z",
        "2024-03-13T11:00:00Z",
        "2024-03-13T09:00:00Z",
        "2024-03-13T06:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "noon opens all but 24h": (
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one second before six": (
        "2024-03-13T05:59:59Z",
        "2024-03-13T05:59:00Z",
        "2024-03-13T05:55:00Z",
        "2024-03-13T05:50:00Z",
        "2024-03-13T05:00:00Z",
        "2024-03-13T03:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "six in the evening opens all but 12h and 24h": (
        "2024-03-13T18:00:00Z",
        "2024-03-13T18:00:00Z",
        "2024-03-13T18:00:00Z",
        "2024-03-13T18:00:00Z",
        "2024-03-13T18:00:00Z",
        "2024-03-13T18:00:00Z",
        "2024-03-13T18:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one microsecond before nine": (
        "2024-03-13T08:59:59.999999Z",
        "2024-03-13T08:59:00Z",
        "2024-03-13T08:55:00Z",
        "2024-03-13T08:50:00Z",
        "2024-03-13T08:00:00Z",
        "2024-03-13T06:00:00Z",
        "2024-03-13T06:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "nine opens 3h, not 6h": (
        "2024-03-13T09:00:00Z",
        "2024-03-13T09:00:00Z",
        "2024-03-13T09:00:00Z",
        "2024-03-13T09:00:00Z",
        "2024-03-13T09:00:00Z",
        "2024-03-13T09:00:00Z",
        "2024-03-13T06:00:00Z",
        "2024-03-13T00:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one microsecond before the hour": (
        "2024-03-13T13:59:59.999999Z",
        "2024-03-13T13:59:00Z",
        "2024-03-13T13:55:00Z",
        "2024-03-13T13:50:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "ten past opens 5m and 10m": (
        "2024-03-13T13:10:00Z",
        "2024-03-13T13:10:00Z",
        "2024-03-13T13:10:00Z",
        "2024-03-13T13:10:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one second before ten past": (
        "2024-03-13T13:09:59Z",
        "2024-03-13T13:09:00Z",
        "2024-03-13T13:05:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "five past opens 5m, not 10m": (
        "2024-03-13T13:05:00Z",
        "2024-03-13T13:05:00Z",
        "2024-03-13T13:05:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one microsecond before five past": (
        "2024-03-13T13:04:59.999999Z",
        "2024-03-13T13:04:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "one second after the minute": (
        "2024-03-13T13:01:01Z",
        "2024-03-13T13:01:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T13:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T12:00:00Z",
        "2024-03-13T00:00:00Z",
    ),
    "the first moment of 1970": (
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ),
    "one microsecond before 1970 goes down, not towards zero": (
        "1969-12-31T23:59:59.999999Z",
        "1969-12-31T23:59:00Z",
        "1969-12-31T23:55:00Z",
        "1969-12-31T23:50:00Z",
        "1969-12-31T23:00:00Z",
        "1969-12-31T21:00:00Z",
        "1969-12-31T18:00:00Z",
        "1969-12-31T12:00:00Z",
        "1969-12-31T00:00:00Z",
    ),
    "Black Tuesday, long before 1970": (
        "1929-10-29T14:36:07Z",
        "1929-10-29T14:36:00Z",
        "1929-10-29T14:35:00Z",
        "1929-10-29T14:30:00Z",
        "1929-10-29T14:00:00Z",
        "1929-10-29T12:00:00Z",
        "1929-10-29T12:00:00Z",
        "1929-10-29T12:00:00Z",
        "1929-10-29T00:00:00Z",
    ),
    "a leap day": (
        "2024-02-29T23:59:59Z",
        "2024-02-29T23:59:00Z",
        "2024-02-29T23:55:00Z",
        "2024-02-29T23:50:00Z",
        "2024-02-29T23:00:00Z",
        "2024-02-29T21:00:00Z",
        "2024-02-29T18:00:00Z",
        "2024-02-29T12:00:00Z",
        "2024-02-29T00:00:00Z",
    ),
    "the day after a leap day": (
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-01T00:00:00Z",
    ),
    "the leap day of a century": (
        "2000-02-29T06:00:00.000001Z",
        "2000-02-29T06:00:00Z",
        "2000-02-29T06:00:00Z",
        "2000-02-29T06:00:00Z",
        "2000-02-29T06:00:00Z",
        "2000-02-29T06:00:00Z",
        "2000-02-29T06:00:00Z",
        "2000-02-29T00:00:00Z",
        "2000-02-29T00:00:00Z",
    ),
    "the last second of a year": (
        "2023-12-31T23:59:59Z",
        "2023-12-31T23:59:00Z",
        "2023-12-31T23:55:00Z",
        "2023-12-31T23:50:00Z",
        "2023-12-31T23:00:00Z",
        "2023-12-31T21:00:00Z",
        "2023-12-31T18:00:00Z",
        "2023-12-31T12:00:00Z",
        "2023-12-31T00:00:00Z",
    ),
    "the first second of a year": (
        "2024-01-01T00:00:01Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
    ),
    "the second before a leap second": (
        "2016-12-31T23:59:59Z",
        "2016-12-31T23:59:00Z",
        "2016-12-31T23:55:00Z",
        "2016-12-31T23:50:00Z",
        "2016-12-31T23:00:00Z",
        "2016-12-31T21:00:00Z",
        "2016-12-31T18:00:00Z",
        "2016-12-31T12:00:00Z",
        "2016-12-31T00:00:00Z",
    ),
    "New York in March, the second before clocks go forward": (
        "2024-03-10T01:59:59-05:00",
        "2024-03-10T06:59:00Z",
        "2024-03-10T06:55:00Z",
        "2024-03-10T06:50:00Z",
        "2024-03-10T06:00:00Z",
        "2024-03-10T06:00:00Z",
        "2024-03-10T06:00:00Z",
        "2024-03-10T00:00:00Z",
        "2024-03-10T00:00:00Z",
    ),
    "New York in March, the first second after": (
        "2024-03-10T03:00:00-04:00",
        "2024-03-10T07:00:00Z",
        "2024-03-10T07:00:00Z",
        "2024-03-10T07:00:00Z",
        "2024-03-10T07:00:00Z",
        "2024-03-10T06:00:00Z",
        "2024-03-10T06:00:00Z",
        "2024-03-10T00:00:00Z",
        "2024-03-10T00:00:00Z",
    ),
    "New York in November, 01:30 the first time": (
        "2024-11-03T01:30:00-04:00",
        "2024-11-03T05:30:00Z",
        "2024-11-03T05:30:00Z",
        "2024-11-03T05:30:00Z",
        "2024-11-03T05:00:00Z",
        "2024-11-03T03:00:00Z",
        "2024-11-03T00:00:00Z",
        "2024-11-03T00:00:00Z",
        "2024-11-03T00:00:00Z",
    ),
    "New York in November, 01:30 the second time": (
        "2024-11-03T01:30:00-05:00",
        "2024-11-03T06:30:00Z",
        "2024-11-03T06:30:00Z",
        "2024-11-03T06:30:00Z",
        "2024-11-03T06:00:00Z",
        "2024-11-03T06:00:00Z",
        "2024-11-03T06:00:00Z",
        "2024-11-03T00:00:00Z",
        "2024-11-03T00:00:00Z",
    ),
    "Berlin in March, the first second after clocks go forward": (
        "2024-03-31T03:00:00+02:00",
        "2024-03-31T01:00:00Z",
        "2024-03-31T01:00:00Z",
        "2024-03-31T01:00:00Z",
        "2024-03-31T01:00:00Z",
        "2024-03-31T00:00:00Z",
        "2024-03-31T00:00:00Z",
        "2024-03-31T00:00:00Z",
        "2024-03-31T00:00:00Z",
    ),
    "Berlin in October, the last microsecond before clocks go back": (
        "2024-10-27T02:59:59.999999+02:00",
        "2024-10-27T00:59:00Z",
        "2024-10-27T00:55:00Z",
        "2024-10-27T00:50:00Z",
        "2024-10-27T00:00:00Z",
        "2024-10-27T00:00:00Z",
        "2024-10-27T00:00:00Z",
        "2024-10-27T00:00:00Z",
        "2024-10-27T00:00:00Z",
    ),
    "a zone whose offset is no whole hour": (
        "2024-03-13T05:31:00+05:45",
        "2024-03-12T23:46:00Z",
        "2024-03-12T23:45:00Z",
        "2024-03-12T23:40:00Z",
        "2024-03-12T23:00:00Z",
        "2024-03-12T21:00:00Z",
        "2024-03-12T18:00:00Z",
        "2024-03-12T12:00:00Z",
        "2024-03-12T00:00:00Z",
    ),
    "the first moment there is": (
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
    ),
    "the last moment there is": (
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:00Z",
        "9999-12-31T23:55:00Z",
        "9999-12-31T23:50:00Z",
        "9999-12-31T23:00:00Z",
        "9999-12-31T21:00:00Z",
        "9999-12-31T18:00:00Z",
        "9999-12-31T12:00:00Z",
        "9999-12-31T00:00:00Z",
    ),
}


@pytest.mark.parametrize("case", ALIGNMENT)
def test_the_start_of_a_bucket_at_all_eight_resolutions(case: str) -> None:
    moment, *expected = ALIGNMENT[case]
    assert starts(moment) == tuple(expected)


@pytest.mark.parametrize("case", ALIGNMENT)
def test_the_judge_agrees_with_what_is_written_out(case: str) -> None:
    moment, *expected = ALIGNMENT[case]
    assert tuple(to_iso(oracle.start_us(us(moment), name)) for name in NAMES) == tuple(expected)


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


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_its_resolution(name: str) -> None:
    assert parse_resolution(name).name == name


@pytest.mark.parametrize("name", ["2m", "1M", "1H", " 1m", "1m ", "60", "1d", "", "24", "1m,5m", "𝟏m"])
def test_an_unknown_resolution_is_refused_with_the_eight_valid_ones(name: str) -> None:
    with pytest.raises(UnknownResolution) as refused:
        parse_resolution(name)
    assert str(refused.value) == f"resolution {name!r} is unknown. Use one of: 1m, 5m, 10m, 1h, 3h, 6h, 12h, 24h."
    assert refused.value.details == {"resolution": name, "valid": list(NAMES)}
    assert (refused.value.exit_code, refused.value.http_status) == (2, 400)


@pytest.mark.parametrize("at", RESOLUTIONS, ids=lambda at: at.name)
def test_progress_is_0_at_the_start_below_100_until_the_end_and_100_from_then_on(at: Resolution) -> None:
    start_us = us("2024-02-29T00:00:00Z")
    assert progress_pct(start_us, at, start_us) == 0.0
    assert progress_pct(start_us, at, start_us + at.width_us // 4) == 25.0
    assert progress_pct(start_us, at, start_us + at.width_us // 2) == 50.0
    assert progress_pct(start_us, at, start_us + at.width_us - 1_000_000) < 100.0
    assert progress_pct(start_us, at, start_us + at.width_us - 1) == 99.99
    assert progress_pct(start_us, at, start_us + at.width_us) == 100.0
    assert progress_pct(start_us, at, start_us + at.width_us + 1) == 100.0
    assert progress_pct(start_us, at, start_us + 10 * at.width_us) == 100.0


@pytest.mark.parametrize("at", RESOLUTIONS, ids=lambda at: at.name)
def test_a_bucket_is_partial_until_its_end_and_not_at_it(at: Resolution) -> None:
    start_us = us("2024-02-29T00:00:00Z")
    assert is_partial(start_us, at, start_us)
    assert is_partial(start_us, at, start_us + at.width_us - 1)
    assert not is_partial(start_us, at, start_us + at.width_us)


def test_a_bucket_that_has_not_begun_has_no_progress() -> None:
    start_us = us("2024-02-29T00:00:00Z")
    assert progress_pct(start_us, FINEST, start_us - 1) == 0.0
    assert progress_pct(start_us, FINEST, start_us - US_PER_DAY) == 0.0


def test_progress_before_1970_is_progress_too() -> None:
    assert progress_pct(us("1969-12-31T23:59:00Z"), FINEST, us("1969-12-31T23:59:30Z")) == 50.0


@given(moments_us, resolutions, st.lists(st.integers(-1, 86_400 * 10**6 + 1), min_size=2))
def test_progress_never_goes_back_and_is_100_exactly_when_the_bucket_is_over(
    moment_us: int, at: Resolution, offsets_us: list[int]
) -> None:
    start_us = floor_us(moment_us, at)
    seen = [progress_pct(start_us, at, start_us + offset_us) for offset_us in sorted(offsets_us)]
    assert seen == sorted(seen)
    assert min(seen) >= 0.0
    for offset_us, progress in zip(sorted(offsets_us), seen, strict=True):
        assert (progress == 100.0) == (offset_us >= at.width_us)
        assert is_partial(start_us, at, start_us + offset_us) == (progress < 100.0)


@pytest.mark.parametrize(
    ("name", "start", "period"),
    [
        ("1m", "2024-02-29T23:59:00Z", "2024-02-29"),
        ("5m", "1969-12-31T23:55:00Z", "1969-12-31"),
        ("10m", "0001-01-01T00:00:00Z", "0001-01-01"),
        ("1h", "2024-02-29T23:00:00Z", "2024-02"),
        ("3h", "2024-12-31T21:00:00Z", "2024-12"),
        ("6h", "2024-03-01T00:00:00Z", "2024-03"),
        ("12h", "2023-12-31T12:00:00Z", "2023"),
        ("24h", "2024-01-01T00:00:00Z", "2024"),
    ],
)
def test_the_period_a_bucket_is_kept_in(name: str, start: str, period: str) -> None:
    assert period_of(us(start), parse_resolution(name)) == period


@given(moments_us)
def test_a_period_holds_whole_buckets(moment_us: int) -> None:
    for at in RESOLUTIONS:
        start_us = floor_us(moment_us, at)
        last_us = end_us(start_us, at) - 1
        assert period_of(start_us, at) == period_of(last_us, at)


@pytest.mark.parametrize(
    ("span", "width_px", "name"),
    [
        (timedelta(hours=1), 900, "1m"),
        (timedelta(hours=5), 900, "1m"),
        (timedelta(hours=6), 900, "5m"),
        (timedelta(days=1), 900, "5m"),
        (timedelta(days=2), 900, "10m"),
        (timedelta(days=7), 900, "1h"),
        (timedelta(days=365), 900, "24h"),
        (timedelta(days=36_500), 900, "24h"),
        (timedelta(0), 0, "1m"),
        (timedelta(days=1), 0, "24h"),
    ],
)
def test_the_resolution_for_a_span_leaves_a_candle_three_pixels(span: timedelta, width_px: int, name: str) -> None:
    assert pick(span // timedelta(microseconds=1), width_px).name == name


def test_alignment_is_that_of_utc_whatever_zone_the_moment_was_written_in() -> None:
    utc = datetime(2024, 3, 13, 23, 30, tzinfo=UTC)
    for zone in ("Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati"):
        there = utc.astimezone(ZoneInfo(zone))
        assert starts(there.isoformat()) == starts(utc.isoformat())
