"""The figures of charts: the numbers of the series, and frames that Plotly accepts."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import plotly.graph_objects as go
import pytest

from dashapp.model.resolution import RESOLUTIONS, Resolution, parse_resolution
from dashapp.model.time import EpochUs, parse_iso
from dashapp.query.series import Series
from dashapp.web import figure
from dashapp.web.theme import PALETTES, Look, Palette, css_variables, parse_look, template
from dashapp.web.view import Window
from tests.stores import candles_of

HOUR = parse_resolution("1h")
NINE = parse_iso("2014-06-03T09:00:00Z")
HOUR_US = HOUR.width_us


def series(starts: list[int], *, resolution: Resolution = HOUR, flat: bool = False) -> Series:
    """A series whose values are awkward on purpose: thirds, signs, the bounds of the scale."""
    rows = len(starts)
    return Series(
        ticker="BRK.B",
        scorer="vader@3.3.2",
        resolution=resolution,
        start_us=EpochUs(starts[0] if starts else 0),
        end_us=EpochUs(starts[-1] + resolution.width_us if starts else 0),
        candles=candles_of(
            {
                "timestamp_us": starts,
                "open": [0.1 + 1e-6 * row for row in range(rows)],
                "high": [0.1 + 1e-6 * row if flat else 1.0 for row in range(rows)],
                "low": [0.1 + 1e-6 * row if flat else -1.0 for row in range(rows)],
                "close": [0.1 + 1e-6 * row if flat else -0.333333 for row in range(rows)],
                "count": [3 + row for row in range(rows)],
                "sum": [0.1] * rows,
                "avg": [0.1 / 3] * rows,
                "positive": [1] * rows,
                "neutral": [2] * rows,
                "negative": list(range(rows)),
                "revision": [7] * rows,
            },
            sources=[["posts", "wire"]] * rows,
        ),
        has_more=False,
    )


def window(first: int, stop: int) -> Window:
    return Window(EpochUs(first), EpochUs(stop), EpochUs(first), EpochUs(stop), EpochUs(first))


def drawn(candles: Series, *, now_us: int = 0, look: Look | None = None) -> dict[str, Any]:
    """The figure as the browser gets it."""
    about, traces = figure.split_data(figure.chart_data(candles))
    first = candles.timestamp_us[0] if candles.timestamp_us else NINE
    shown = window(first, first + 10 * candles.resolution.width_us)
    made = figure.figure(candles.ticker, candles.resolution, about, json.loads(traces), shown, now_us, look or Look())
    return json.loads(json.dumps(made))


def trace(made: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((each for each in made["data"] if each["name"] == name), None)


def test_the_candles_are_those_of_the_series_to_the_last_digit() -> None:
    candles = series([NINE, NINE + HOUR_US, NINE + 3 * HOUR_US])
    made = drawn(candles)["data"][0]
    assert made["type"] == "candlestick"
    assert made["x"] == [start // 1000 for start in candles.timestamp_us]
    assert [made[name] for name in ("open", "high", "low", "close")] == [
        candles.open,
        candles.high,
        candles.low,
        candles.close,
    ]
    assert made["customdata"][1] == [
        0.1 / 3, 4, 1, 2, 1, "posts, wire", "2014-06-03 10:00 – 11:00 UTC"
    ]  # fmt: skip


def test_counts_stand_below_in_a_panel_of_their_own_on_the_same_time_axis() -> None:
    made = drawn(series([NINE, NINE + HOUR_US]))
    counts = trace(made, "count")
    assert counts is not None
    assert (counts["type"], counts["y"], counts["yaxis"]) == ("bar", [3, 4], "y2")
    layout = made["layout"]
    assert layout["yaxis2"]["domain"][1] < layout["yaxis"]["domain"][0]
    assert layout["xaxis"]["anchor"] == "y2"


@pytest.mark.parametrize(
    ("most", "end"),
    [(0, 1), (1, 2), (2, 3), (7, 8), (8, 10), (9, 10), (10, 20), (100, 200), (2_700, 3_000), (7_500, 10_000)],
)
def test_the_scale_of_counts_ends_at_a_round_number_with_room_above_the_highest(most: int, end: int) -> None:
    assert figure.scale_end(most) == end


def test_the_scale_is_fixed_around_minus_one_to_one() -> None:
    low, high = drawn(series([NINE]))["layout"]["yaxis"]["range"]
    assert -1.1 < low < -1
    assert 1 < high < 1.1


def test_hovering_tells_every_field_of_a_bucket() -> None:
    template_text = drawn(series([NINE]))["data"][0]["hovertemplate"]
    for value in ("%{open", "%{high", "%{low", "%{close", *(f"%{{customdata[{place}]" for place in range(7))):
        assert value in template_text
    assert len(drawn(series([NINE]))["data"][0]["customdata"][0]) == len(figure.CUSTOM)


@pytest.mark.parametrize(
    ("start", "resolution", "text"),
    [
        ("2014-06-03T09:00:00Z", "1m", "2014-06-03 09:00 – 09:01 UTC"),
        ("2014-06-03T23:00:00Z", "1h", "2014-06-03 23:00 – 06-04 00:00 UTC"),
        ("2014-12-31T00:00:00Z", "24h", "2014-12-31 00:00 – 01-01 00:00 UTC"),
        ("1969-12-31T12:00:00Z", "6h", "1969-12-31 12:00 – 18:00 UTC"),
        ("9999-12-31T23:00:00Z", "1h", "9999-12-31 23:00 – 23:59 UTC"),
    ],
)
def test_a_bucket_is_named_by_its_start_and_end(start: str, resolution: str, text: str) -> None:
    assert figure.interval_text(parse_iso(start), parse_resolution(resolution)) == text


def test_many_sources_are_counted() -> None:
    assert figure.sources_text(["a", "b"]) == "a, b"
    assert figure.sources_text(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d and 2 more"


def test_a_candle_without_a_body_gets_a_tick_that_is_seen_at_any_zoom() -> None:
    flat = trace(drawn(series([NINE], flat=True)), "flat")
    assert flat is not None
    assert (flat["x"][1:], flat["y"][1:]) == ([NINE // 1000], [0.1])
    bodied = trace(drawn(series([NINE])), "flat")
    assert bodied is not None
    assert bodied["y"] == [None], "a point that is not drawn keeps the trace there"


def test_the_line_of_averages_joins_buckets_and_breaks_where_several_are_missing() -> None:
    starts = [NINE + hours * HOUR_US for hours in (0, 1, 4, 8)]
    made = trace(drawn(series(starts)), "average")
    assert made is not None
    assert (made["type"], made["mode"], made["hoverinfo"]) == ("scatter", "lines", "skip")
    assert made["x"] == [(NINE + hours * HOUR_US) // 1000 for hours in (0, 1, 4, 5, 8)]
    assert made["y"] == [0.1 / 3, 0.1 / 3, 0.1 / 3, None, 0.1 / 3], "three widths are bridged, four are a gap"


def test_candles_are_as_wide_as_a_bucket_even_where_no_two_touch() -> None:
    apart = trace(drawn(series([NINE, NINE + 5 * HOUR_US])), "width")
    assert apart is not None
    assert apart["x"][1] - apart["x"][0] == HOUR.seconds * 1000
    assert apart["open"] == [None, None], "it has no candles of its own"


def test_a_candle_covers_its_interval() -> None:
    for resolution in RESOLUTIONS:
        made = drawn(series([0], resolution=resolution))["data"][0]
        assert (made["xperiod"], made["xperiodalignment"]) == (resolution.seconds * 1000, "middle")
        assert made["xperiod0"] == "1970-01-01"


def test_the_bucket_that_is_not_over_is_shaded() -> None:
    now_us = NINE + HOUR_US // 2
    made = drawn(series([NINE]), now_us=now_us)["layout"]
    (band,) = [shape for shape in made["shapes"] if shape.get("name") == "open bucket"]
    assert (band["x0"], band["x1"]) == ("2014-06-03 09:00:00.000", "2014-06-03 10:00:00.000")
    assert band["opacity"] == 1
    assert made["meta"]["open_bucket_ms"] == NINE // 1000


@pytest.mark.parametrize("now", ["2014-06-03T08:59:59.999999Z", "2014-06-03T19:00:00Z"])
def test_a_bucket_outside_the_window_is_not_shaded(now: str) -> None:
    made = drawn(series([NINE]), now_us=parse_iso(now))["layout"]
    assert [shape["opacity"] for shape in made["shapes"] if shape.get("name") == "open bucket"] == [0]
    assert made["meta"]["open_bucket_ms"] is None


@pytest.mark.parametrize(
    ("flat", "colour", "text"), [(False, PALETTES["light"].falling, "−0.333"), (True, PALETTES["light"].flat, "+0.100")]
)
def test_the_newest_close_is_tagged_on_the_scale_in_its_colour(flat: bool, colour: str, text: str) -> None:
    (tag,) = drawn(series([NINE], flat=flat))["layout"]["annotations"]
    assert (tag["bgcolor"], tag["text"]) == (colour, text)


def test_a_finger_scrolls_the_page_and_a_mouse_the_chart() -> None:
    assert drawn(series([NINE]))["layout"]["dragmode"] == "pan"
    assert drawn(series([NINE]), look=Look(touch=True))["layout"]["dragmode"] is False


def test_new_data_leave_the_pan_and_zoom_of_the_user_alone() -> None:
    before, after = drawn(series([NINE])), drawn(series([NINE, NINE + HOUR_US]))
    assert before["layout"]["uirevision"] == after["layout"]["uirevision"] == "keep"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("flat", [False, True])
def test_plotly_knows_every_attribute(theme: str, flat: bool) -> None:
    made = drawn(series([NINE, NINE + 2 * HOUR_US], flat=flat), now_us=NINE, look=parse_look({"theme": theme}))
    go.Figure(made)  # raises ValueError for any it does not know


def test_the_themes_differ_in_colours_only() -> None:
    light, dark = template("light"), template("dark")
    assert light != dark
    assert _without_colours(light) == _without_colours(dark)


def test_every_colour_reaches_the_style_sheet_in_both_themes() -> None:
    css = css_variables()
    for palette in PALETTES.values():
        for item in fields(Palette):
            assert f"--{item.name.replace('_', '-')}: {getattr(palette, item.name)};" in css


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_candles_stand_out_from_what_is_behind_them(theme: str) -> None:
    palette = PALETTES[parse_look({"theme": theme}).theme]
    for back in (palette.panel, palette.page, palette.raised):
        assert _contrast(palette.text, back) >= 7
        assert _contrast(palette.muted, back) >= 4.5  # WCAG AA for text
    assert _contrast(palette.warn, palette.warn_back) >= 4.5
    for candle in (palette.rising, palette.falling, palette.flat, palette.average):
        assert _contrast(candle, palette.panel) >= 3  # WCAG AA for graphics
    assert _contrast(palette.panel, palette.accent) >= 4.5, "the text of the button that matters"


def test_a_look_that_nobody_sent_is_light_and_a_mouse() -> None:
    assert parse_look(None) == parse_look({"theme": "sepia", "touch": "yes"}) == Look("light", touch=False)
    assert parse_look({"theme": "dark", "touch": True}) == Look("dark", touch=True)


def _without_colours(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_colours(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_colours(value) for value in node]
    return "colour" if isinstance(node, str) and re.match(r"#|rgba", node) else node


def _contrast(a: str, b: str) -> float:
    """The contrast ratio of WCAG 2 between two #rrggbb colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(a), luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
