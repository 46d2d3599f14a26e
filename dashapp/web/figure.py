"""Figures: the candles of one ticker over its counts, as plain dicts that Plotly draws.

The data (`chart_data`) depends on the series alone, so it is cached as bytes; the frame around it (`figure`) depends on
the moment, the window and the theme, is small, and is made anew. The candle columns are those of the series, digit for
digit.

A figure always has the same five traces, three shapes and one annotation, so that the browser can fill in other data
without making any anew: it gets them as `blanks` and fills them in assets/candles.mjs. A test holds both to one figure.
"""

from __future__ import annotations

from typing import Any

import orjson

from dashapp.model.resolution import RESOLUTIONS, Resolution, end_us, floor_us
from dashapp.model.time import MAX_US, EpochUs, to_datetime
from dashapp.query.series import Series
from dashapp.web.theme import PALETTES, Look, Palette, Theme, template
from dashapp.web.view import Window

# Room above +1 and below -1, so that a candle at the edge of the scale is seen whole.
SCORE_RANGE = [-1.04, 1.04]
CANDLE_FILL = 0.72  # of a bucket's width; the rest is the gap to the next
# The scale of counts ends at one of these times a power of ten, a little above the highest: it stays where it is while
# the newest candle grows, and a chart whose scale moves has to be drawn anew.
SCALE_STEPS = (1, 2, 3, 4, 5, 6, 8)
SOURCES_SHOWN = 4
TAG_WIDTH_PX = 40
# The line of averages leads over fewer missing buckets than these; a longer silence is a gap.
BRIDGED_WIDTHS = 3

# What a candle can be; the names of its colours.
_TONES = ("rising", "falling", "flat")

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
    candles, count = series.candles, series.count
    rows = len(candles)
    about = {
        "rows": rows,
        "scorer": series.scorer,
        "has_more": series.has_more,
        "open": candles.open[-1].item() if rows else None,
        "close": candles.close[-1].item() if rows else None,
        "last_us": candles.timestamp_us[-1].item() if rows else None,
        "count": sum(count),
        "most": max(count, default=0),
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
    open_us = _open_bucket(resolution, window, now_us)
    return {"data": traces, "layout": _layout(ticker, resolution, about, window, open_us, look)}


def blanks() -> dict[str, Any]:
    """Figures without data, for the browser to fill in: a layout for each theme, the traces of each resolution."""
    about = {"rows": 0, "scorer": "", "has_more": False, "open": None, "close": None, "most": 0}
    nothing = Window(EpochUs(0), EpochUs(0), EpochUs(0), EpochUs(0), EpochUs(0))
    themes: tuple[Theme, ...] = ("light", "dark")
    return {
        "layouts": {theme: _layout("", RESOLUTIONS[0], about, nothing, None, Look(theme)) for theme in themes},
        "traces": {each.name: _stubs("", each) for each in RESOLUTIONS},
        "tones": {theme: {tone: getattr(PALETTES[theme], tone) for tone in _TONES} for theme in themes},
        "bridged_widths": BRIDGED_WIDTHS,
        "scale_steps": SCALE_STEPS,
    }


def _layout(
    ticker: str, resolution: Resolution, about: dict[str, Any], window: Window, open_us: EpochUs | None, look: Look
) -> dict[str, Any]:
    palette = PALETTES[look.theme]
    close = about["close"] if about["rows"] else 0
    colour = _colour(about["open"], close, palette) if about["rows"] else palette.flat
    # What Plotly does not see has no attributes to fill in later, so what is not shown is there and transparent.
    shown = 1 if about["rows"] else 0
    return {
        "template": template(look.theme),
        "xaxis": {
            "type": "date",
            "range": [_moment(window.start_us), _moment(window.end_us)],
            "anchor": "y2",
            # The page writes the labels itself, on the clocks the user reads, and the lines at them (assets/axis.mjs).
            "showticklabels": False,
            "showgrid": False,
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
            "range": [0, scale_end(about["most"])],
            "fixedrange": True,
            "side": "right",
            # So are these: they change with every resolution, and Plotly would draw the whole layout anew.
            "showticklabels": False,
            "showgrid": False,
        },
        "shapes": [
            _level(0, palette.zero, "solid", "below"),
            {**_level(close, colour, "dot", "above"), "opacity": shown},
            _band(open_us, resolution, palette.open_bucket),
        ],
        "annotations": [{**_tag(close, colour, palette.panel), "opacity": shown}],
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
            "theme": look.theme,
            "resolution": resolution.name,
            "scorer": about["scorer"],
            "width_ms": resolution.width_us // 1_000,
            "open_bucket_ms": None if open_us is None else _ms(open_us),
        },
    }


def scale_end(most: int) -> int:
    """Where the scale of counts ends: at the first step with a twelfth of room above the highest count."""
    unit = 1
    while SCALE_STEPS[-1] * unit * 12 < most * 13:
        unit *= 10
    return next(step * unit for step in SCALE_STEPS if step * unit * 12 >= most * 13)


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
    first_ms = _ms(series.start_us)
    scores = {"open": series.open, "high": series.high, "low": series.low, "close": series.close}
    close = scores["close"]
    flat = [row for row, (high, low) in enumerate(zip(scores["high"], scores["low"], strict=True)) if high == low]
    custom = [
        [avg, count, positive, neutral, negative, sources_text(sources), interval_text(start, series.resolution)]
        for avg, count, positive, neutral, negative, sources, start in zip(
            series.avg, series.count, series.positive, series.neutral, series.negative, series.sources,
            series.timestamp_us, strict=True,
        )
    ]  # fmt: skip
    data: tuple[dict[str, Any], ...] = (
        {"x": starts_ms, **scores, "customdata": custom},
        {"x": starts_ms, "y": series.count},
        _averages(starts_ms, series.avg, width_ms),
        # Plotly takes a trace without a point for one that is not to be seen, and does not look at it again.
        {"x": [first_ms, *(starts_ms[row] for row in flat)], "y": [None, *(close[row] for row in flat)]},
        {"x": [first_ms, first_ms + width_ms], **{name: [None, None] for name in scores}},
    )
    return [{**stub, **filled} for stub, filled in zip(_stubs(series.ticker, series.resolution), data, strict=True)]


def _stubs(ticker: str, resolution: Resolution) -> list[dict[str, Any]]:
    """The traces without their data: candles, counts, line of averages, ticks of candles without a body, width."""
    width_ms = resolution.width_us // 1_000
    # x is the bucket's start; the period makes Plotly draw it over its whole interval.
    period = {"xperiod": width_ms, "xperiod0": "1970-01-01", "xperiodalignment": "middle"}
    return [
        {"type": "candlestick", "name": ticker, "hovertemplate": _HOVER, **period},
        {
            "type": "bar",
            "name": "count",
            "yaxis": "y2",
            "offset": width_ms * (1 - CANDLE_FILL) / 2,
            "width": width_ms * CANDLE_FILL,
            "hoverinfo": "skip",
        },
        {"type": "scatter", "name": "average", "mode": "lines", "hoverinfo": "skip", **period},
        # A bucket of one score, or of equal ones, has no body. A tick of fixed width keeps it visible at any zoom, and
        # without the colour of a direction it does not have.
        {"type": "scatter", "name": "flat", "mode": "markers", "hoverinfo": "skip", **period},
        # Plotly makes candles as wide as the smallest gap between two. Where no two buckets touch, two candles without
        # values tell it how wide a bucket is.
        {"type": "candlestick", "name": "width", "hoverinfo": "skip", **period},
    ]


def _averages(starts_ms: list[int], avg: list[float], width_ms: int) -> dict[str, list[Any]]:
    """The line that joins the averages, broken where more than BRIDGED_WIDTHS lie between two starts."""
    x: list[int] = []
    y: list[float | None] = []
    for start_ms, value in zip(starts_ms, avg, strict=True):
        if x and start_ms - x[-1] > BRIDGED_WIDTHS * width_ms:
            x.append(x[-1] + width_ms)
            y.append(None)
        x.append(start_ms)
        y.append(value)
    return {"x": x, "y": y}


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


def _band(open_us: EpochUs | None, resolution: Resolution, colour: str) -> dict[str, Any]:
    start_us = EpochUs(0) if open_us is None else open_us
    return {
        "type": "rect", "name": "open bucket", "opacity": 0 if open_us is None else 1, "x0": _moment(start_us),
        "x1": _moment(end_us(start_us, resolution)), "yref": "paper", "y0": 0, "y1": 1, "fillcolor": colour,
        "line": {"width": 0}, "layer": "below",
    }  # fmt: skip


def _tag(score: float, colour: str, text_colour: str) -> dict[str, Any]:
    shown = f"{score:+.3f}".replace("-", "−")
    text = "0.000" if shown[1:] == "0.000" else shown
    return {
        "xref": "paper", "x": 1, "xanchor": "left", "y": score, "yanchor": "middle", "text": text, "showarrow": False,
        # Of one width, so that it is not made anew with its text.
        "width": TAG_WIDTH_PX, "bgcolor": colour, "borderpad": 2, "font": {"color": text_colour, "size": 11},
    }  # fmt: skip


def _ms(moment_us: int) -> int:
    return moment_us // 1_000


def _moment(moment_us: int) -> str:
    # Plotly takes a number for a moment in the zone of the browser; in data, assets/painter.mjs sees to it.
    return to_datetime(min(moment_us, MAX_US)).replace(tzinfo=None).isoformat(" ", "milliseconds")
