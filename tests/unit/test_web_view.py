"""Views: what a browser may ask for, and the window of time that answers it."""

from __future__ import annotations

from typing import Any

import pytest

from dashapp.errors import BadRange, BadTime, UnknownResolution, UsageError
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.time import MAX_US, MIN_US, US_PER_DAY, EpochUs, parse_iso, to_iso
from dashapp.query.series import TickerInfo
from dashapp.web.view import (
    FEWEST_FIT_CANDLES,
    FIT_CANDLES,
    MAX_CANDLES,
    MAX_TICKERS,
    PRESETS,
    Window,
    finest_for_all,
    parse_view,
    window_of,
)

NOW = parse_iso("2026-03-01T12:34:56Z")
DAY = US_PER_DAY


def asked(**changes: Any) -> dict[str, Any]:
    return {"tickers": ["AAPL"], "resolution": "1h", "range": "fit", "start": None, "end": None, **changes}


def info(first: str | int, last: str | int) -> TickerInfo:
    first_us, last_us = (parse_iso(each) if isinstance(each, str) else EpochUs(each) for each in (first, last))
    return TickerInfo("AAPL", "test@1", 5, first_us, last_us)


def span(window: Window) -> tuple[str, str]:
    return to_iso(window.start_us), to_iso(window.end_us)


LONG_KNOWN = info("2020-01-01T00:00:00Z", NOW - 60_000_000)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"resolution": "7m"}, UnknownResolution),
        ({"resolution": None}, UnknownResolution),
        ({"range": "2w"}, UsageError),
        ({"range": None}, UsageError),
        ({"range": "custom", "start": "yesterday", "end": "2014-06-13T00:00:00Z"}, BadTime),
        ({"range": "custom", "start": "2014-06-01T00:00:00", "end": "2014-06-13T00:00:00Z"}, BadTime),
        ({"range": "custom", "start": "2014-06-13T00:00:00Z"}, BadTime),
        ({"range": "custom", "start": "2014-06-13T00:00:00Z", "end": "2014-06-13T00:00:00Z"}, BadRange),
        ({"tickers": [f"T{number}" for number in range(MAX_TICKERS + 1)]}, BadRange),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_reason(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_view(asked(**changes))


def test_tickers_are_not_judged_together() -> None:
    assert parse_view(asked(tickers=["AAPL", "<script>"])).tickers == ("AAPL", "<script>")


@pytest.mark.parametrize("resolution", [each.name for each in RESOLUTIONS])
def test_the_default_range_fills_a_chart_and_ends_with_the_bucket_of_now(resolution: str) -> None:
    window = window_of(parse_view(asked(resolution=resolution)), [LONG_KNOWN], NOW)
    width_us = parse_resolution(resolution).width_us
    assert (window.end_us - window.start_us) // width_us == FIT_CANDLES
    assert window.end_us - width_us <= NOW < window.end_us
    assert (window.first_us, window.stop_us) == (window.start_us, window.end_us), "it is aligned already"
    assert not window.is_cut


def test_a_default_range_begins_with_the_first_score_but_not_with_a_handful_of_candles() -> None:
    hour_us = 3_600_000_000
    hundred = window_of(parse_view(asked()), [info(NOW - 100 * hour_us, NOW)], NOW)
    assert (hundred.end_us - hundred.start_us) // hour_us == 101
    two = window_of(parse_view(asked()), [info(NOW - 2 * hour_us, NOW)], NOW)
    assert (two.end_us - two.start_us) // hour_us == FEWEST_FIT_CANDLES


def test_a_store_of_old_texts_opens_on_its_texts() -> None:
    old = info("2014-01-01T00:00:00Z", "2014-06-13T15:20:00Z")
    assert span(window_of(parse_view(asked(range="1d")), [old], NOW)) == (
        "2014-06-12T16:00:00Z",
        "2014-06-13T16:00:00Z",
    )


def test_tickers_are_shown_the_same_time_the_one_that_lives_decides() -> None:
    old = info("2014-01-01T00:00:00Z", "2014-06-13T15:20:00Z")
    assert span(window_of(parse_view(asked(range="1d")), [old, LONG_KNOWN], NOW)) == (
        "2026-02-28T13:00:00Z",
        "2026-03-01T13:00:00Z",
    )


def test_a_score_from_the_future_does_not_move_the_window_there() -> None:
    assert (
        window_of(parse_view(asked()), [info("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z")], NOW).end_us < NOW + DAY
    )


@pytest.mark.parametrize(("name", "days"), [("1d", 1), ("1w", 7), ("1M", 30)])
def test_a_preset_is_as_long_as_its_name(name: str, days: int) -> None:
    window = window_of(parse_view(asked(range=name)), [LONG_KNOWN], NOW)
    assert window.end_us - window.start_us == days * DAY


def test_all_is_from_the_first_score_to_the_newest() -> None:
    known = [info("2014-01-05T03:10:00Z", "2014-03-01T00:00:00Z"), info("2014-02-01T00:00:00Z", "2014-06-13T15:20:00Z")]
    window = window_of(parse_view(asked(range="all", resolution="24h")), known, NOW)
    assert span(window) == ("2014-01-05T00:00:00Z", "2014-06-14T00:00:00Z")


def test_tickers_nobody_knows_are_shown_the_present() -> None:
    for preset in PRESETS:
        window = window_of(parse_view(asked(range=preset.name)), [], NOW)
        assert window.start_us < NOW < window.end_us


def test_a_fixed_range_is_shown_to_the_second_and_read_in_whole_buckets() -> None:
    view = parse_view(asked(range="custom", start="2014-06-01T00:10:20Z", end="2014-06-02T03:04:05Z"))
    window = window_of(view, [LONG_KNOWN], NOW)
    assert span(window) == ("2014-06-01T00:10:20Z", "2014-06-02T03:04:05Z")
    assert (to_iso(window.first_us), to_iso(window.stop_us)) == ("2014-06-01T00:00:00Z", "2014-06-02T04:00:00Z")


def test_more_candles_than_a_chart_can_hold_are_cut_at_the_old_end_and_said_so() -> None:
    view = parse_view(asked(range="custom", resolution="1m", start="2025-01-01T00:00:00Z", end="2025-02-01T00:00:00Z"))
    window = window_of(view, [LONG_KNOWN], NOW)
    assert window.is_cut
    assert to_iso(window.end_us) == "2025-02-01T00:00:00Z"
    assert (window.stop_us - window.first_us) // 60_000_000 == MAX_CANDLES
    assert window.start_us == window.first_us
    assert to_iso(window.asked_start_us) == "2025-01-01T00:00:00Z"
    assert finest_for_all(window).name == "1h", "31 days are 744 hours, and 4,464 spans of ten minutes"


def test_a_cut_keeps_what_there_is_and_not_years_of_nothing_after_it() -> None:
    view = parse_view(asked(range="custom", start="2014-01-01T00:00:00Z", end="2026-01-01T00:00:00Z"))
    window = window_of(view, [info("2013-01-01T00:00:00Z", "2014-06-13T15:20:00Z")], NOW)
    assert to_iso(window.end_us) == "2014-06-13T16:00:00Z"


def test_the_ends_of_the_calendar_are_no_error() -> None:
    ends = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}
    for resolution in RESOLUTIONS:
        window = window_of(parse_view(asked(range="custom", resolution=resolution.name, **ends)), [], NOW)
        assert MIN_US <= window.first_us <= window.start_us < window.end_us
        assert window.stop_us <= MAX_US + 1
        assert finest_for_all(window) in RESOLUTIONS
