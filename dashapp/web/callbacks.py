"""Callbacks: which change on the page asks for what.

Those that only move things about in the page run in the browser (assets/main.mjs), and so does the drawing of whatever
the browser holds (assets/board.mjs). Those that need the store are `async` and wait for threads, because Dash runs
callbacks on the event loop of the server. `draw` makes the charts that the browser asks for: of a first visit, and
where there is something to explain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar
from urllib.parse import parse_qs

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, no_update, set_props

from dashapp.errors import TickertoneError, UsageError
from dashapp.model.resolution import FINEST, floor_us
from dashapp.web import layout
from dashapp.web.charts import Charts, Drawn, Moment
from dashapp.web.theme import parse_look
from dashapp.web.view import parse_view

log = logging.getLogger(__name__)

T = TypeVar("T")

SERVER_FAILED = "The server could not answer; its log says why. What you see may be old."


def register(app: Dash, charts: Charts, pool: Executor) -> None:
    """Adds all callbacks to the app."""

    async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    @app.callback(
        Output("pulse", "data"),
        Output("known", "data"),
        Output("heard", "data"),
        Input("tick", "n_intervals"),
        State("pulse", "data"),
        State("known", "data"),
        State("url", "search"),
        on_error=fail_pulse,
        # The page asks when it is there (assets/main.mjs): what waits for an answer is drawn that much later.
        prevent_initial_call=True,
    )
    async def pulse(
        _: int | None, held: dict[str, Any] | None, known: list[Any] | None, search: str | None
    ) -> tuple[Any, ...]:
        try:
            moment = await in_thread(charts.moment, scorer_of(search))
        except TickertoneError as error:
            trouble = {"trouble": str(error)}
            return no_update if held == trouble else trouble, no_update, no_update
        heard = {
            "revision": moment.revision,
            "now_ms": moment.now_us // 1_000,
            "scorer": moment.scorer,
            "scorers": moment.scorers,
        }
        return *pulse_of(moment, held, known), heard

    @app.callback(
        Output({"type": "chart", "ticker": ALL}, "figure"),
        Output({"type": "plot", "ticker": ALL}, "children"),
        Output({"type": "strip", "ticker": ALL}, "children"),
        Output("notice", "children"),
        Input("asked", "data"),
        State("look", "data"),
        State({"type": "chart", "ticker": ALL}, "id"),
        State({"type": "plot", "ticker": ALL}, "id"),
        prevent_initial_call=True,
    )
    async def draw(
        asked: dict[str, Any] | None,
        look: dict[str, Any] | None,
        chart_ids: list[dict[str, str]],
        card_ids: list[dict[str, str]],
    ) -> tuple[Any, ...]:
        charted, cards = [_ticker(each) for each in chart_ids], [_ticker(each) for each in card_ids]
        if not asked:
            return as_is(charted, cards, no_update)
        wanted = [ticker for ticker in cards if ticker in asked["tickers"]]
        try:
            view = parse_view(asked["view"])
            moment = await in_thread(charts.moment, view.scorer)
        except UsageError as error:
            nothing = Drawn(note=layout.nothing_note())
            return (*answer(charted, cards, dict.fromkeys(wanted, nothing)), str(error))
        except TickertoneError as error:  # what is on the screen stays there
            return as_is(charted, cards, str(error))
        window = charts.window(view, moment)
        drawn = await asyncio.gather(
            *(
                in_thread(charts.draw, ticker, view.resolution, window, moment, parse_look(look), view.variant)
                for ticker in wanted
            )
        )
        return (
            *answer(charted, cards, dict(zip(wanted, drawn, strict=True))),
            None if view.tickers else layout.start_note(has_scores=bool(moment.known)),
        )

    _register_clientside(app)


def answer(charted: list[str], cards: list[str], news: Mapping[str, Drawn]) -> tuple[list[Any], ...]:
    """What `draw` sends for the charts on the page and for the cards: figures, plots and strips of what is new.

    A chart that is there gets its new figure, so that Plotly moves it; one that is not is brought as a new component.
    """
    bodies: list[Any] = []
    strips: list[Any] = []
    for ticker in cards:
        made = news.get(ticker)
        strips.append(made.strip if made else no_update)
        if made is None or (made.figure is not None and ticker in charted):
            bodies.append(no_update)
        else:
            bodies.append(made.note if made.figure is None else layout.canvas(ticker, made.figure))
    figures = [news[ticker].figure or no_update if ticker in news else no_update for ticker in charted]
    return figures, bodies, strips


def as_is(charted: list[str], cards: list[str], notice: Any) -> tuple[Any, ...]:
    """What `draw` sends when it has nothing to draw."""
    return (*answer(charted, cards, {}), notice)


def _ticker(component_id: Mapping[str, str]) -> str:
    return component_id["ticker"]


def fail(error: Exception) -> None:
    """Logs an error nobody expected and says on the page that there was one; what is on the screen stays there.

    Without it, Dash on FastAPI would tell neither the log nor the page.
    """
    log.error("a callback of the page failed", exc_info=error)
    set_props("notice", {"children": SERVER_FAILED})


def fail_pulse(error: Exception) -> tuple[Any, ...]:
    """The same for `pulse`; its answer makes the next one that succeeds draw anew and take the notice away."""
    fail(error)
    return {"trouble": SERVER_FAILED}, no_update, no_update


def scorer_of(search: str | None) -> str | None:
    """The scorer that the address of a page asks for; None for the default one."""
    asked = parse_qs((search or "").removeprefix("?")).get("scorer", [""])[0].strip()
    return asked or None


def pulse_of(moment: Moment, held: dict[str, Any] | None, known: list[Any] | None) -> tuple[Any, Any]:
    """What the page has to hear of a moment: nothing, or revision and minute, and the tickers where some are new."""
    beat = {"revision": moment.revision, "minute_ms": floor_us(moment.now_us, FINEST) // 1_000}
    if held is not None and {name: held.get(name) for name in beat} == beat:
        return no_update, no_update
    tickers = [
        [info.ticker, info.count, info.first_us // 1_000, info.last_us // 1_000] for info in moment.known.values()
    ]
    new_names = known is None or [row[0] for row in known] != [row[0] for row in tickers]
    return beat, tickers if new_names else no_update


def _register_clientside(app: Dash) -> None:
    add: Any = app.clientside_callback

    def in_browser(name: str, *arguments: Any, **options: Any) -> None:
        add(ClientsideFunction("tickertone", name), *arguments, **options)

    in_browser(
        "follow_view",
        Output("url", "search"),
        Output("tickers", "options"),
        Output("tickers", "value"),
        Output("resolution", "value"),
        Output("range", "value"),
        Output("view", "data"),
        Output("grid", "children"),
        Output("grid", "className"),
        Input("url", "search"),
        Input("known", "data"),
        Input("tickers", "value"),
        Input("resolution", "value"),
        Input("range", "value"),
        Input("action", "data"),
        Input("apply", "n_clicks"),
        Input("from-time", "n_submit"),
        Input("to-time", "n_submit"),
        State("table", "data"),
        State("view", "data"),
        State("grid", "children"),
        State("from-date", "date"),
        State("from-time", "value"),
        State("to-date", "date"),
        State("to-time", "value"),
    )
    in_browser(
        "fill_span",
        Output("span-text", "children"),
        Output("from-date", "date"),
        Output("from-time", "value"),
        Output("to-date", "date"),
        Output("to-time", "value"),
        Input("window", "data"),
        prevent_initial_call=True,
    )
    in_browser("press", Output("action", "data"), Input("keys", "event"), prevent_initial_call=True)
    in_browser("set_look", Output("look", "data"), Input("theme-toggle", "n_clicks"))
    in_browser("set_clock", Output("clock", "data"), Input("heard", "data"), prevent_initial_call=True)
    in_browser(
        "tell_trouble",
        Output("notice", "children", allow_duplicate=True),
        Input("pulse", "data"),
        prevent_initial_call=True,
    )
