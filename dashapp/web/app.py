"""The Dash application, on the FastAPI server that also carries the API."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from dash import Dash
from fastapi import FastAPI

from dashapp.model.time import EpochUs
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader
from dashapp.web import layout
from dashapp.web.callbacks import fail, register
from dashapp.web.charts import Charts
from dashapp.web.modules import PLAIN, modules_of
from dashapp.web.static import PrecompressedStatic

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def build_app(
    server: FastAPI,
    reader: SeriesReader,
    cache: ResponseCache,
    pool: Executor,
    now_us: Callable[[], EpochUs],
    *,
    at: Callable[[str], str],
    store: str,
    simulated: bool,
    is_bundled: bool = True,
    can_log_out: bool = False,
) -> Dash:
    """Adds the page to the server; its routes end with a catch-all, so the API's have to be there before.

    `simulated` labels the data as simulated on the screen; `is_bundled` lets it use the bundle of its scripts, if there
    is one; `can_log_out` where there is a login to leave; `store` tells the store from others, so that what browsers
    keep of one is never shown for another; `at` gives the address of a path of the server. Store and cache are read in
    the threads of `pool`; `now_us` is the clock that says which bucket is open.
    """
    modules = modules_of(ASSETS) if is_bundled else PLAIN
    app = Dash(
        "tickertone",
        server=server,  # type: ignore[arg-type]  # the FastAPI backend takes the app itself
        title="Tickertone",
        update_title=None,  # type: ignore[arg-type]  # None leaves the title alone
        assets_folder=str(ASSETS),
        requests_pathname_prefix=at("/"),
        routes_pathname_prefix="/",
        assets_ignore=layout.MODULE_FILES,
        index_string=layout.index(ASSETS, modules, store, at, simulated=simulated),
        on_error=fail,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        # Charts come and go with the view, so callbacks name components that the first layout does not have.
        suppress_callback_exceptions=True,
    )
    # Dash 4.4 opens a WebSocket on every page even where no callback uses it (plotly/dash#3939).
    app.backend.websocket_capability = False
    app.renderer = layout.RENDERER
    app.layout = layout.page(simulated=simulated, log_out=at("/logout") if can_log_out else None)
    charts = Charts(reader, cache, now_us)
    register(app, charts, pool)
    server.add_middleware(PrecompressedStatic, worker_scope=at("/"))
    return app
