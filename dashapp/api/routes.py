"""The REST API, version 2, for reading: candles, their texts, tickers, exports, sources, jobs, health, metrics."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from fastapi import APIRouter, Depends
from starlette.routing import BaseRoute

from dashapp.api import docs, drilldown, export, health, jobs, metrics, sources, tickers, timeseries
from dashapp.api.bodies import ERRORS
from dashapp.api.desk import Desk
from dashapp.api.jobs import ReadJobs
from dashapp.api.metrics import Metrics
from dashapp.api.params import only_what_is_known
from dashapp.api.pool import nothing_is_urgent
from dashapp.api.sources import ReadHealth
from dashapp.model.time import EpochUs
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader


def build_routes(
    reader: SeriesReader,
    cache: ResponseCache,
    pool: Executor,
    state_pool: Executor,
    now_us: Callable[[], EpochUs],
    measured: Metrics,
    read_health: ReadHealth,
    read_jobs: ReadJobs,
    explain: drilldown.Explain,
    at: Callable[[str], str],
    checkup: health.Checkup,
    is_busy: Callable[[], bool] = nothing_is_urgent,
) -> list[BaseRoute]:
    """The routes for reading; everything that waits for the store runs in `pool`, never on the event loop, and what
    tells how the server is in `state_pool`, which has to answer when the other has too much to do.

    `at` gives the address of a path of the server. Exports give way while it `is_busy` with anything else.
    """
    desk, state_desk = (Desk(reader, cache, each, now_us) for each in (pool, state_pool))
    answers = APIRouter(responses=ERRORS, dependencies=[Depends(only_what_is_known)])
    timeseries.add_routes(answers, desk)
    drilldown.add_routes(answers, desk, explain)
    tickers.add_routes(answers, desk)
    export.add_routes(answers, desk, is_busy)
    sources.add_routes(answers, state_desk, read_health)
    jobs.add_routes(answers, state_desk, read_jobs)
    state = APIRouter(responses={503: ERRORS[503]})
    health.add_routes(state, state_desk)
    health.add_checkup_routes(state, state_desk, checkup, at)
    metrics.add_routes(state, state_desk, measured)
    docs.add_routes(state, at)
    return [*answers.routes, *state.routes]
