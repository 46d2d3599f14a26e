"""Figures: the candles of one ticker over its counts, as plain dicts that Plotly draws.

The data (`chart_data`) depends on the series alone, so it is cached as bytes; the frame around it (`figure`) depends on
the moment, the window and the theme, is small, and is made anew. The candle columns are those of the series, digit for
digit.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson

from dashapp.model.resolution import Resolution, end_us, floor_us
from dashapp.model.time import MAX_US, EpochUs, to_datetime
from dashapp.query.series import Series
from dashapp.web.theme import PALETTES, Look, Palette, template
from dashapp.web.view import Window

# Room above +1 and below -1, so that a candle at the edge of the scale is seen whole.
SCORE_RANGE = [-1.04, 1.04]
CANDLE_FILL = 0.72  # of a bucket's width; the rest is the gap to the next
SOURCES_SHOWN = 4
# The line of averages leads over fewer missing buckets than these; a longer silence is a gap.
BRIDGED_WIDTHS = 3

# What stands where in a candle's customdata; the browser's readout uses the same places.
CUSTOM = ("avg", "count", "positive", "neutral", "negative", "sources", "interval")

_HOVER = (
    "<b>%{customdata[6]}</b><br>"
    "open  %{open:+.4f}   high %{high:+.4f}<br>"
    "close %{close:+.4f}   low  %{low:+.4f}<br>"
    "avg ━ %{customdata[0]:+.4f}   count %{customdata[1]:,}<br>"
    "%{customdata[2]:,} positive · %{customdata[3]:,} neutral · %{customdata[4]:,} negative<br>"
    "%{customdata[5]}<extra></extra>"
)


def chart_data(series: Series) -> bytes:
    """The traces of a series as JSON, after one line of JSON with what the frame needs to know of them."""
    rows = len(series.timestamp_us)
    about = {
        "rows": rows,
        "scorer": series.scorer,
        "has_more": series.has_more,
        "open": series.open[-1] if rows else None,
        "close": series.close[-1] if rows else None,
        "last_us": series.timestamp_us[-1] if rows else None,
        "count": sum(series.count),
        "most": max(series.count, default=0),
    }
    return orjson.dumps(about) + b"\n" + orjson.dumps(_traces(series))


def split_data(body: bytes) -> tuple[dict[str, Any], bytes]:
    """What `chart_data` made: about the data, and the traces as JSON."""
    about, _, traces = body.partition(b"\n")
    return orjson.loads(about), traces


def figure(
    ticker: str, resolution: Resolution, about: dict[str, Any], traces: Any, window: Window, now_us: int, look: Look
) -> dict[str, Any]:
    """The figure of one ticker: candles with a fixed scale of -1 to 1 above, counts below, one time axis in UTC.

    `traces` is what `split_data` gave, as JSON or wrapped for the encoder in use.
    """
    palette = PALETTES[look.theme]
    open_us = _open_bucket(resolution, window, now_us)
    shapes = [_level(0, palette.zero, "solid", "below")]
    annotations = []
    if about["rows"]:
        colour = _colour(about["open"], about["close"], palette)
        shapes.append(_level(about["close"], colour, "dot", "above"))
        annotations.append(_tag(about["close"], colour, palette.panel))
    if open_us is not None:
        shapes.append(_band(open_us, end_us(open_us, resolution), palette.open_bucket))
    return {
        "data": traces,
        "layout": {
            "template": template(look.theme),
            "xaxis": {
                "type": "date",
                "range": [_ms(window.start_us), _ms(window.end_us)],
                "anchor": "y2",
                # The page writes the labels itself, on the clocks the user reads (assets/axis.mjs).
                "showticklabels": False,
                "rangeslider": {"visible": False},
            },
            "yaxis": {
                "domain": [0.21, 1],
                "range": SCORE_RANGE,
                "fixedrange": True,
                "side": "right",
                "tickvals": [-1, -0.5, 0, 0.5, 1],
                "ticktext": ["−1", "−0.5", "0", "+0.5", "+1"],
            },
            "yaxis2": {
                "domain": [0, 0.16],
                "range": [0, about["most"] * 1.08 or 1],
                "fixedrange": True,
                "side": "right",
                "nticks": 3,
                "tickformat": "~s",
                "showgrid": False,
            },
            "shapes": shapes,
            "annotations": annotations,
            "margin": {"l": 6, "r": 50, "t": 6, "b": 24, "pad": 0},
            "showlegend": False,
            # A finger that drags scrolls the page; there are buttons for the rest.
            "dragmode": False if look.touch else "pan",
            "hovermode": "x",
            "hoversubplots": "axis",
            "hoverdistance": 24,
            "boxgap": 1 - CANDLE_FILL,
            # The user's pan and zoom outlive new data; a range the server chose anew replaces them.
            "uirevision": "keep",
            "meta": {
                "ticker": ticker,
                "resolution": resolution.name,
                "scorer": about["scorer"],
                "width_ms": resolution.width_us // 1_000,
                "open_bucket_ms": None if open_us is None else _ms(open_us),
            },
        },
    }


def interval_text(start_us: int, resolution: Resolution) -> str:
    """A bucket's start and end in UTC: 2014-06-03 09:00 – 10:00 UTC; the end has its date where that is another."""
    begin, stop = to_datetime(start_us), to_datetime(min(end_us(start_us, resolution), MAX_US))
    stop_format = "%H:%M" if stop.date() == begin.date() else "%m-%d %H:%M"
    return f"{begin:%Y-%m-%d %H:%M} – {stop:{stop_format}} UTC"


def sources_text(sources: list[str]) -> str:
    """The sources in one line; many are counted."""
    shown = ", ".join(sources[:SOURCES_SHOWN])
    return shown if len(sources) <= SOURCES_SHOWN else f"{shown} and {len(sources) - SOURCES_SHOWN} more"


def _traces(series: Series) -> list[dict[str, Any]]:
    width_ms = series.resolution.width_us // 1_000
    starts_ms = [_ms(start) for start in series.timestamp_us]
    # x is the bucket's start; the period makes Plotly draw it over its whole interval.
    period = {"xperiod": width_ms, "xperiod0": 0, "xperiodalignment": "middle"}
    candles = {
        "type": "candlestick",
        "name": series.ticker,
        "x": starts_ms,
        "open": series.open,
        "high": series.high,
        "low": series.low,
        "close": series.close,
        "customdata": [
            [avg, count, positive, neutral, negative, sources_text(sources), interval_text(start, series.resolution)]
            for avg, count, positive, neutral, negative, sources, start in zip(
                series.avg, series.count, series.positive, series.neutral, series.negative, series.sources,
                series.timestamp_us, strict=True,
            )
        ],
        "hovertemplate": _HOVER,
        **period,
    }  # fmt: skip
    counts = {
        "type": "bar",
        "name": "count",
        "x": starts_ms,
        "y": series.count,
        "yaxis": "y2",
        "offset": width_ms * (1 - CANDLE_FILL) / 2,
        "width": width_ms * CANDLE_FILL,
        "hoverinfo": "skip",
    }
    traces: list[dict[str, Any]] = [candles, counts, {**_averages(starts_ms, series.avg, width_ms), **period}]
    flat = [row for row, (high, low) in enumerate(zip(series.high, series.low, strict=True)) if high == low]
    if flat:
        # A bucket of one score, or of equal ones, has no body. A tick of fixed width keeps it visible at any zoom, and
        # without the colour of a direction it does not have.
        at = {"x": [starts_ms[row] for row in flat], "y": [series.close[row] for row in flat]}
        traces.append({"type": "scatter", "name": "flat", "mode": "markers", "hoverinfo": "skip", **at, **period})
    if width_ms not in (after - before for before, after in pairwise(starts_ms)):
        # Plotly makes candles as wide as the smallest gap between two. Where no two buckets touch, two candles without
        # values tell it how wide a bucket is.
        first_ms = _ms(series.start_us)
        nothing = [None, None]
        touching = {"x": [first_ms, first_ms + width_ms], **dict.fromkeys(("open", "high", "low", "close"), nothing)}
        traces.append({"type": "candlestick", "name": "width", "hoverinfo": "skip", **touching, **period})
    return traces


def _averages(starts_ms: list[int], avg: list[float], width_ms: int) -> dict[str, Any]:
    """The line that joins the averages, broken where more than BRIDGED_WIDTHS lie between two starts."""
    x: list[int] = []
    y: list[float | None] = []
    for start_ms, value in zip(starts_ms, avg, strict=True):
        if x and start_ms - x[-1] > BRIDGED_WIDTHS * width_ms:
            x.append(x[-1] + width_ms)
            y.append(None)
        x.append(start_ms)
        y.append(value)
    return {"type": "scatter", "name": "average", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip"}


def _colour(opened: float, closed: float, palette: Palette) -> str:
    if closed == opened:
        return palette.flat
    return palette.rising if closed > opened else palette.falling


def _open_bucket(resolution: Resolution, window: Window, now_us: int) -> EpochUs | None:
    start_us = floor_us(now_us, resolution)
    return start_us if window.first_us <= start_us < window.end_us else None


def _level(score: float, colour: str, dash: str, layer: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1, "dash": dash}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": score, "y1": score, "line": line, "layer": layer}


def _band(start_us: int, stop_us: int, colour: str) -> dict[str, Any]:
    return {
        "type": "rect", "name": "open bucket", "x0": _ms(start_us), "x1": _ms(stop_us), "yref": "paper", "y0": 0,
        "y1": 1, "fillcolor": colour, "line": {"width": 0}, "layer": "below",
    }  # fmt: skip


def _tag(score: float, colour: str, text_colour: str) -> dict[str, Any]:
    text = f"{score:+.3f}".replace("-", "−") if score else "0.000"
    return {
        "xref": "paper", "x": 1, "xanchor": "left", "y": score, "yanchor": "middle", "text": text, "showarrow": False,
        "bgcolor": colour, "borderpad": 2, "font": {"color": text_colour, "size": 11},
    }  # fmt: skip


def _ms(moment_us: int) -> int:
    return moment_us // 1_000
