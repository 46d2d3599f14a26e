"""The composition root of the web server: store -> query -> api -> web, in one ASGI application on one port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI

from dashapp import __version__, config
from dashapp.api import problems
from dashapp.api.routes import build_router
from dashapp.clock import now_us
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader
from dashapp.store.store import Store
from dashapp.web.app import build_app


def build(settings: config.Settings) -> FastAPI:
    """The application over one store, which is made when it is missing; nothing runs before the server starts it."""
    store = Store(settings, create=True)
    reader = SeriesReader.over(store, settings, preferred_scorer=DEFAULT_SCORER_IDENTITY)
    cache = ResponseCache(store.data_dir / "cache", size_bytes=settings.cache_size_bytes)
    pool = ThreadPoolExecutor(settings.query_threads, thread_name_prefix="query")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pool.shutdown(wait=True, cancel_futures=True)
        cache.close()
        store.close()

    server = FastAPI(
        title="Tickertone",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    problems.install(server)
    server.include_router(build_router(reader, cache, pool, now_us))
    problems.add_not_found(server)
    build_app(server, reader, cache, pool, now_us, simulated=store.is_simulated)
    return server


def factory() -> FastAPI:
    """For `uvicorn --factory dashapp.asgi:factory --workers N`: the application with the settings of the
    environment."""
    return build(config.load())
