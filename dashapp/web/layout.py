"""The page: what stands where. Nothing here reads the store; callbacks fill it in.

The resolutions, presets and limits reach the browser as the store `table`, made here from the tables in Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dash import dcc, html
from dash_extensions import EventListener
from plotly.utils import PlotlyJSONEncoder

from dashapp.errors import TickertoneError
from dashapp.model.resolution import RESOLUTIONS, Resolution, end_us
from dashapp.model.ticker import SYMBOL_PATTERN
from dashapp.model.time import EpochUs, to_datetime
from dashapp.model.variant import ALL, VARIANTS, Variant
from dashapp.web.bar import bar
from dashapp.web.figure import blanks
from dashapp.web.modules import Modules
from dashapp.web.parts import button, label, skeleton
from dashapp.web.theme import css_variables
from dashapp.web.view import (
    COMFORTABLE_CANDLES,
    DEFAULT_PRESET,
    DEFAULT_RESOLUTION,
    FEWEST_FIT_CANDLES,
    FIT_CANDLES,
    MAX_CANDLES,
    MAX_TICKERS,
    PRESETS,
    Window,
)

# How often a page asks whether the store has changed: what is ingested is on the screen within 3 s, drawing included.
PULSE_MS = 2_000
# A page opened without tickers shows the ones most written about: as many as a laptop's screen holds without scrolling.
DEFAULT_TICKERS = 4
STRETCHES_OFFERED = 4

# Stands for the ticker in the card the browser makes copies of.
TICKER_PLACE = "\u0000ticker\u0000"

# The same for what the browser puts into the templates below.
PLACES = {name: f"\u0000{name}\u0000" for name in ("resolution", "start", "end", "since", "coarser")}

# Of the chunks that browsers keep: another number, and none that was kept before is read again.
CHUNK_FORM = 1

# What the page will want before its first candle, and would else ask for one after the other.
DASH_SCRIPTS = ("dash/dcc/async-graph.js", "dash/dcc/async-dropdown.js")
PLOTLY_SCRIPT = "plotly/package_data/plotly.min.js"

# Dash would put each module on the page by itself.
MODULE_FILES = r"(\.mjs|first\.js)$"

GRAPH_CONFIG: Any = {
    "displayModeBar": False,
    "scrollZoom": True,
    "doubleClick": False,
    "doubleClickDelay": 500,  # as systems have it; 300 is hard for slow hands and slow machines
    "responsive": True,
    "showTips": False,
}


# Starts Dash, where assets/start.mjs puts it: once the functions are there that clientside callbacks name.
RENDERER = "new DashRenderer();"


def index(assets: Path, modules: Modules, store: str, at: Callable[[str], str], *, simulated: bool = False) -> str:
    """The HTML around the page, with the names Dash fills in; `modules` are those among the assets, `store` tells one
    store from another, and `at` gives the address of a path of the server.

    The table and the blank figures stand in it, so that the browser can draw before Dash has started. What it needs for
    that comes first; the scripts of Dash stand in a template, which assets/start.mjs brings to life. A build of Plotly
    among the assets (`plotly*.min.js`) is used instead of the full one that Dash brings.
    """
    scripts = DASH_SCRIPTS if any(assets.glob("plotly*.min.js")) else (*DASH_SCRIPTS, PLOTLY_SCRIPT)
    files = versions(assets, modules, at)

    def fetched_early(names: Sequence[str]) -> str:
        return "".join(f'<link rel="modulepreload" href="{files[at(f"/assets/{name}.mjs")]}">' for name in names)

    dash = "".join(
        f'<link rel="preload" as="script" href="{at(f"/_dash-component-suites/{path}")}">' for path in scripts
    )
    about = {"store": store, "form": CHUNK_FORM, "simulated": simulated}
    facts = {"table": table(), "blanks": blanks(), "about": about}
    # No text may end the element it stands in.
    told = json.dumps(facts, cls=PlotlyJSONEncoder, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
{{%metas%}}
<title>{{%title%}}</title>
{{%favicon%}}
<style>{css_variables()}</style>
<script src="{files[at("/assets/first.js")]}"></script>
<script type="importmap">{json.dumps({"imports": files}, separators=(",", ":"))}</script>
{fetched_early(modules.first)}
{{%css%}}
</head>
<body>
{{%app_entry%}}
<script type="application/json" id="facts">{told}</script>
<script type="module" src="{files[at(f"/assets/{modules.start}.mjs")]}"></script>
{{%config%}}
<template id="later">{fetched_early(modules.main)}{dash}{{%scripts%}}{{%renderer%}}</template>
</body>
</html>"""


def versions(assets: Path, modules: Modules, at: Callable[[str], str]) -> dict[str, str]:
    """The scripts of ours, by address, with the address that names what is in them: browsers need not ask for it again.

    Browsers are told as an import map, which makes one of the other wherever a module is named.
    """
    files = sorted([*(assets / f"{name}.mjs" for name in modules.all), assets / "first.js"])
    tags = {at(f"/assets/{file.name}"): hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in files}
    return {address: f"{address}?m={tag}" for address, tag in tags.items()}


def page(*, simulated: bool, log_out: str | None) -> html.Div:
    """The whole page, with the skeleton of one chart."""
    return html.Div(
        className="app",
        children=[
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="tick", interval=PULSE_MS),
            dcc.Store(id="table", data=table()),
            dcc.Store(id="known"),
            dcc.Store(id="pulse"),
            dcc.Store(id="view"),
            dcc.Store(id="window"),
            dcc.Store(id="look"),
            dcc.Store(id="heard"),
            dcc.Store(id="clock"),
            dcc.Store(id="action"),
            dcc.Store(id="asked"),
            EventListener(id="keys", events=[{"event": "keydown", "props": _KEY_PROPS}]),
            bar(simulated=simulated, log_out=log_out),
            html.Div(id="notice", className="notice", role="status"),
            html.Main(id="grid", className="grid", children=[_first_skeleton()]),
            html.Aside(id="reader", className="reader", hidden=True, **label("Texts of a candle")),
            html.Div(id="said", className="said", role="status"),
        ],
    )


def table() -> dict[str, Any]:
    """What the browser has to know of resolutions, ranges and limits."""
    return {
        "resolutions": [{"name": each.name, "width_ms": each.seconds * 1_000} for each in RESOLUTIONS],
        "presets": [
            {"name": each.name, "span_ms": None if each.span_us is None else each.span_us // 1_000} for each in PRESETS
        ],
        "variants": [{"name": each.name, "statement": each.statement} for each in VARIANTS],
        "default_resolution": DEFAULT_RESOLUTION.name,
        "default_preset": DEFAULT_PRESET.name,
        "default_tickers": DEFAULT_TICKERS,
        "fit_candles": FIT_CANDLES,
        "comfortable_candles": COMFORTABLE_CANDLES,
        "fewest_fit_candles": FEWEST_FIT_CANDLES,
        "max_candles": MAX_CANDLES,
        "max_tickers": MAX_TICKERS,
        "symbol_pattern": SYMBOL_PATTERN,
        "ticker_place": TICKER_PLACE,
        "card": card(TICKER_PLACE).to_plotly_json(),  # type: ignore[no-untyped-call]
        "canvas": canvas(TICKER_PLACE, None),
        "progress": progress(PLACES["resolution"], PLACES["start"], PLACES["end"]),
        "cut": cut_note(PLACES["since"], PLACES["resolution"], PLACES["coarser"]),
        "places": PLACES,
    }


def card(ticker: str) -> html.Article:
    """The place of one ticker's chart, with a skeleton until there is one."""
    named: dict[str, Any] = {"data-ticker": ticker}
    # A widget of its own, not a picture: its arrow keys walk candles, which a screen reader has to let through.
    widget: dict[str, Any] = {
        "role": "application",
        "aria-roledescription": "chart",
        "aria-label": f"Sentiment candles of {ticker}. Arrow keys walk candles, Enter opens their texts.",
        "tabIndex": 0,
    }
    hidden: dict[str, Any] = {"aria-hidden": "true"}
    return html.Article(
        className="card",
        children=[
            html.Header(
                className="card-head",
                children=[
                    html.H2(ticker),
                    html.Div(id={"type": "readout", "ticker": ticker}, className="readout"),
                    html.Div(
                        className="tools",
                        children=[
                            button(None, "move", title=f"Move {ticker}: drag, or arrow keys", ticker=ticker),
                            button(None, "picture", title=f"Picture of {ticker} (PNG)", ticker=ticker),
                            button(None, "focus", title=f"{ticker} large, the others small (key f)", ticker=ticker),
                            button(None, "remove", title=f"Remove {ticker}", ticker=ticker),
                        ],
                    ),
                ],
            ),
            html.Div(
                className="stage",
                children=[
                    html.Div(id={"type": "plot", "ticker": ticker}, className="plot", children=[skeleton()]),
                    html.Div(className="overlay", **hidden),  # filled by assets/axis.mjs and crosshair.mjs
                ],
                **widget,
            ),
            html.Div(id={"type": "strip", "ticker": ticker}, className="strip"),
        ],
        **named,
    )


def strip(resolution: Resolution, open_us: EpochUs | None, window: Window, coarser: Resolution) -> list[Any]:
    """What stands around a chart: how far its open bucket is, and a word where it shows less than was asked for."""
    open_ms = None if open_us is None else (open_us // 1_000, end_us(open_us, resolution) // 1_000)
    return [
        None if open_ms is None else progress(resolution.name, *open_ms),
        cut_note(moment_text(window.start_us), resolution.name, coarser.name) if window.is_cut else None,
    ]


def progress(resolution: str, start_ms: int | str, end_ms: int | str) -> html.Div:
    """How far the open bucket is; the browser counts (assets/clock.mjs)."""
    bounds: dict[str, Any] = {"data-start-ms": start_ms, "data-end-ms": end_ms}
    return html.Div(className="progress", title=f"The {resolution} bucket that is not over yet", role="timer", **bounds)


def canvas(ticker: str, figure: dict[str, Any] | None) -> list[Any]:
    """The chart of one ticker over a skeleton, which shows until Plotly has drawn."""
    chart = dcc.Graph(
        id={"type": "chart", "ticker": ticker},
        className="graph",
        figure=figure,
        config=GRAPH_CONFIG,
        clear_on_unhover=True,
        responsive=True,
    )
    return [skeleton(), chart]


def cut_note(since: str, resolution: str, coarser: str) -> html.Div:
    """Says that a chart shows the newest part of its range only, and offers the resolution that shows all."""
    return html.Div(
        className="cut",
        role="status",
        children=[
            html.Span(f"At {resolution} only the newest part of this range is shown, from {since} UTC."),
            button(f"Show all of it at {coarser}", "coarser", resolution=coarser),
        ],
    )


def empty_note(
    ticker: str,
    window: Window,
    stretches: list[tuple[EpochUs, EpochUs, int]],
    resolution: Resolution,
    variant: Variant = ALL,
) -> html.Div:
    """Says that a range has no scores, and offers stretches that have some."""
    start, end = moment_text(window.start_us), moment_text(window.end_us)
    return html.Div(
        className="empty",
        role="status",
        children=[
            html.P(["No scores of ", html.B(ticker), f" from {start} to {end} UTC."]),
            None if variant.is_all else html.P(f"Counted here: {variant.statement.lower()}.", className="quiet"),
            html.P("Ranges that have some:", className="quiet") if stretches else None,
            html.Div(
                className="offers",
                children=[
                    button(
                        [html.Span(_days_text(start, stop)), html.Span(_count_text(count), className="quiet")],
                        "range",
                        start=start // 1_000,
                        end=stop // 1_000,
                    )
                    for start, stop, count in stretches
                ],
            ),
            button(f"The newest at {resolution.name}", "preset", preset=DEFAULT_PRESET.name),
        ],
    )


def trouble_note(error: TickertoneError) -> html.Div:
    """Says why a ticker cannot be shown."""
    return html.Div(className="empty", role="alert", children=[html.P(str(error))])


def nothing_note() -> html.Div:
    """What a card says when the notice above explains why no card can show anything."""
    return html.Div(className="empty", children=[html.P("Nothing to show.", className="quiet")])


def start_note(*, has_scores: bool) -> list[Any]:
    """What the page says when no ticker is chosen."""
    if has_scores:
        return [html.P("Choose a ticker above to see its sentiment.")]
    how: list[Any] = [html.Code("tickertone ingest FILE"), " brings some in; they appear here by themselves."]
    return [html.P("This store has no scores yet."), html.P(how, className="quiet")]


def moment_text(moment_us: int) -> str:
    """A point in time in UTC, to the minute."""
    return f"{to_datetime(moment_us):%Y-%m-%d %H:%M}"


def offered(stretches: list[tuple[EpochUs, EpochUs, int]], window: Window) -> list[tuple[EpochUs, EpochUs, int]]:
    """The stretches worth offering, ascending: the ones nearest to the window."""

    def distance_us(stretch: tuple[EpochUs, EpochUs, int]) -> int:
        start, stop, _ = stretch
        return max(start - window.end_us, window.start_us - stop, 0)

    return sorted(sorted(stretches, key=distance_us)[:STRETCHES_OFFERED])


_KEY_PROPS = ["key", "altKey", "ctrlKey", "metaKey", "repeat", "target.tagName", "target.type"]


def _first_skeleton() -> html.Article:
    stage = html.Div(html.Div(skeleton(), className="plot"), className="stage")
    children = [html.Header(className="card-head"), stage]
    return html.Article(className="card", children=children)


def _days_text(start_us: int, stop_us: int) -> str:
    first, last = to_datetime(start_us).date(), to_datetime(stop_us - 1).date()
    return f"{first}" if first == last else f"{first} – {last}"


def _count_text(count: int) -> str:
    return f"{count:,} score" + ("" if count == 1 else "s")
