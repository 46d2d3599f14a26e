"""An application over a store in the process of the tests, asked as over HTTP, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from dashapp.api import problems
from dashapp.api.health import Checkup
from dashapp.api.metrics import Metrics, RequestMetrics
from dashapp.api.routes import build_routes
from dashapp.config import Settings
from dashapp.ingest.health import read_health
from dashapp.ingest.scoring.explainer import Explainer
from dashapp.ingest.scoring.scorer import load_scorer
from dashapp.ingest.writer import ItemWriter
from dashapp.model.time import EpochUs
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader
from dashapp.rollup.jobs import records
from dashapp.store.store import Store
from tests.stores import series_reader


@dataclass
class Clock:
    """A clock that is set."""

    now_us: EpochUs

    def __call__(self) -> EpochUs:
        return self.now_us


@dataclass
class Api:
    """The API over a store: `get(path)` and its like give the response."""

    app: FastAPI
    reader: SeriesReader
    cache: ResponseCache
    clock: Clock
    portal: BlockingPortal

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """The response to GET."""
        return self.request("GET", path, headers)

    def json(self, path: str) -> Any:
        """The body of a good answer."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def request(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """The response to any method; a handler that fails answers as it does on a real server."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, headers=headers)

        return self.portal.call(ask)


@contextmanager
def api_over(store: Store, now_us: int, *, max_buckets: int = 50_000, default_scorer: str = "") -> Iterator[Api]:
    """The API over an open store."""
    reader = series_reader(store, max_buckets=max_buckets, default_scorer=default_scorer)
    cache = ResponseCache(store.data_dir / "cache", 50_000_000)
    clock = Clock(EpochUs(now_us))
    app = FastAPI(openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    metrics = Metrics(reader, cache, jobs=partial(records, store.data_dir), data_dir=store.data_dir)
    app.add_middleware(RequestMetrics, metrics=metrics)
    with ThreadPoolExecutor(4) as pool, start_blocking_portal() as portal:
        health = partial(read_health, store.data_dir)
        jobs = partial(records, store.data_dir)
        writer = ItemWriter(Settings(data_dir=store.data_dir), load_scorer("vader"), now_us=clock)
        checkup = Checkup(reader, store.data_dir, clock, jobs=jobs, sources=health, writer=writer)
        app.router.routes += build_routes(
            reader, cache, pool, pool, clock, metrics, health, jobs, Explainer().words, Settings().at, checkup
        )
        problems.add_not_found(app)
        yield Api(app, reader, cache, clock, portal)
    cache.close()
