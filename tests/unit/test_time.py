"""Points in time: exact both ways, and no zone is guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import BadTime
from dashapp.model.time import MAX_US, MIN_US, date_of, from_datetime, parse_iso, to_datetime, to_iso


@given(st.integers(MIN_US, MAX_US))
def test_a_moment_survives_being_a_datetime_and_a_text(moment_us: int) -> None:
    assert from_datetime(to_datetime(moment_us)) == moment_us
    assert parse_iso(to_iso(moment_us)) == moment_us


@pytest.mark.parametrize(
    ("moment_us", "iso"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_709_164_800_000_000, "2024-02-29T00:00:00Z"),
        (1_709_164_800_500_000, "2024-02-29T00:00:00.500000Z"),
        (MIN_US, "0001-01-01T00:00:00Z"),
        (MAX_US, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_moment_as_text(moment_us: int, iso: str) -> None:
    assert to_iso(moment_us) == iso
    assert date_of(moment_us) == iso[:10]


def test_an_offset_is_taken_off() -> None:
    moment = datetime(2024, 3, 10, 1, 59, 59, tzinfo=timezone(-timedelta(hours=5)))
    assert from_datetime(moment) == from_datetime(datetime(2024, 3, 10, 6, 59, 59, tzinfo=UTC))


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        from_datetime(datetime(2024, 3, 10))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2024-03-13T10:00:00Z", "2024-03-13T10:00:00Z"),
        (" 2024-03-13T10:00:00Z\n", "2024-03-13T10:00:00Z"),
        ("2024-03-13 10:00:00+05:45", "2024-03-13T04:15:00Z"),
        ("2024-03-13T10:00:00.25-04:00", "2024-03-13T14:00:00.250000Z"),
        ("2024-03-13", "2024-03-13T00:00:00Z"),
        ("20240313", "2024-03-13T00:00:00Z"),
        ("2024-W11-3", "2024-03-13T00:00:00Z"),
    ],
)
def test_a_text_with_a_zone_or_a_date_alone_is_understood(text: str, iso: str) -> None:
    assert to_iso(parse_iso(text)) == iso


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "yesterday",
        "2024-03-13T10:00:00",
        "2024-03-13T10",
        "2024W01T05",
        "20240313T10",
        "1710324000",
        "nan",
        "2024-02-30",
        "2023-02-29T00:00:00Z",
        "2024-03-13T25:00:00Z",
        "2024-03-13T10:00:00 New York",
    ],
)
def test_what_would_need_a_guess_is_refused_naming_parameter_and_value(text: str) -> None:
    with pytest.raises(BadTime, match=r"^start .* is not an ISO-8601 time with a zone") as refused:
        parse_iso(text, "start")
    assert repr(text) in str(refused.value)
    assert refused.value.details == {"parameter": "start"}


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-00:01"])
def test_an_offset_that_leads_out_of_the_years_is_refused(text: str) -> None:
    with pytest.raises(BadTime, match="is outside the years 1 to 9999 in UTC"):
        parse_iso(text)
