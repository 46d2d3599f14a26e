"""Resolutions: the eight, their names, the periods their buckets are kept in, and the choice for a screen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from dashapp.errors import UnknownResolution
from dashapp.model.resolution import FINEST, RESOLUTIONS, end_us, floor_us, parse_resolution, period_of, pick
from tests import oracle
from tests.unit.moments import moments_us, us

NAMES = ("1m", "5m", "10m", "1h", "3h", "6h", "12h", "24h")


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
