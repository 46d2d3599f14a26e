"""The bar at the top of the page: what is shown, how, and how live it is."""

from __future__ import annotations

from dash import dcc, html

from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.variant import ALL
from dashapp.web.parts import button, label, pop
from dashapp.web.view import PRESETS

FEED_TITLE = "How the charts are kept up to date, and how long ago the server was heard of; press for the sources"
COUNTING_TITLE = "What is counted: which texts, and whose scores"
DATE_FORMAT = "YYYY-MM-DD"


def bar(*, simulated: bool, log_out: str | None) -> html.Header:
    """The whole bar. Menus that a module fills are empty until they are opened."""
    resolutions = [
        (each.name, each.name, f"{each.name} candles (key {key})") for key, each in enumerate(RESOLUTIONS, 1)
    ]
    ranges = [(each.name, each.label, each.title) for each in PRESETS]
    return html.Header(
        className="bar",
        children=[
            html.H1("Tickertone"),
            _simulated_badge() if simulated else None,
            html.Div(
                className="choice",
                children=[
                    dcc.Dropdown(
                        id="tickers",
                        className="tickers",
                        multi=True,
                        placeholder="Add tickers",
                        maxHeight=420,
                        labels={"select_all": "All that match", "deselect_all": "None", "search": "Search tickers"},
                    ),
                    pop("lists", None, None, title="Watchlists"),  # filled by assets/lists.mjs
                ],
            ),
            html.Div(_segments("resolution", resolutions), role="group", **label("Resolution")),
            html.Div(_segments("range", ranges), role="group", **label("Range")),
            _span(),
            html.Details(
                id="counting",
                className="pop counting",
                children=[
                    html.Summary(ALL.statement, title=COUNTING_TITLE),
                    html.Div(id="counting-menu", className="menu"),  # filled by assets/counting.mjs
                ],
            ),
            html.Div(
                className="icons",
                children=[
                    html.Details(
                        id="health",
                        className="pop",
                        children=[
                            html.Summary(id="feed", className="feed", title=FEED_TITLE),
                            html.Div(id="health-menu", className="menu"),  # filled by assets/sources.mjs
                        ],
                    ),
                    pop("share", None, None, title="Share and export"),  # filled by assets/share.mjs
                    button(None, "average", title="The line of averages (key a)"),
                    html.Button(
                        id="theme-toggle", className="icon icon-theme", title="Light or dark", **label("Light or dark")
                    ),
                    html.A(href=log_out, className="icon icon-leave", title="Log out", **label("Log out"))
                    if log_out
                    else None,
                ],
            ),
        ],
    )


def _span() -> html.Details:
    return html.Details(
        id="span",
        className="span pop",
        children=[
            html.Summary(id="span-text", title="From and to, and whose clocks"),
            html.Div(
                className="menu",
                children=[
                    _moment("from", "From"),
                    _moment("to", "To"),
                    html.Div(id="zone-menu", className="moment"),  # filled by assets/zones.mjs
                    html.Button("Show this range", id="apply", className="primary"),
                ],
            ),
        ],
    )


def _simulated_badge() -> html.Span:
    why = "These scores come from a simulated feed, not from the world."
    return html.Span("Simulated data", className="badge", title=why)


def _segments(name: str, options: list[tuple[str, str, str]]) -> dcc.RadioItems:
    return dcc.RadioItems(
        id=name,
        className="segments",
        inline=True,
        options=[{"value": value, "label": label, "title": title} for value, label, title in options],
    )


def _moment(name: str, text: str) -> html.Div:
    return html.Div(
        className="moment",
        children=[
            html.Label(text, htmlFor=f"{name}-date"),
            dcc.DatePickerSingle(
                id=f"{name}-date", display_format=DATE_FORMAT, placeholder=DATE_FORMAT, first_day_of_week=1
            ),
            dcc.Input(id=f"{name}-time", className="time", type="text", placeholder="HH:MM", maxLength=8),
        ],
    )
