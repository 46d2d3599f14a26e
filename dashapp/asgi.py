"""The composition root of the web server: store -> query -> api -> web, in one ASGI application on one port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from dashapp import __version__, config
from dashapp.access.gate import LOGIN_PATH, PUSH_PATH, Gate, check
from dashapp.access.headers import SafeHeaders, script_hashes
from dashapp.access.limits import BoundedBodies, NonsenseToDash
from dashapp.access.login import build_login_router
from dashapp.access.sessions import Sessions, read_secret
from dashapp.api import docs, problems
from dashapp.api.health import Checkup
from dashapp.api.hub import Hub
from dashapp.api.items import build_items_router
from dashapp.api.metrics import Metrics, RequestMetrics
from dashapp.api.pool import BoundedPool
from dashapp.api.routes import build_routes
from dashapp.api.stream import build_stream_router
from dashapp.api.termination import on_termination
from dashapp.clock import now_us
from dashapp.ingest.health import read_health
from dashapp.ingest.scoring.explainer import Explainer
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY, load_scorer
from dashapp.ingest.sources.push import read_push
from dashapp.ingest.writer import ItemWriter
from dashapp.query.cache import open_cache
from dashapp.query.series import SeriesReader
from dashapp.rollup.jobs import records
from dashapp.rollup.live import Live
from dashapp.store.apikeys import ApiKeys
from dashapp.store.ended import EndedSessions
from dashapp.store.follow import Follower
from dashapp.store.store import Store
from dashapp.store.users import Users
from dashapp.web.app import build_app
from dashapp.web.base import BasePath

# Reading and scoring hold the interpreter, so more threads would not do more; two let a short push pass a long one.
PUSH_THREADS = 2
# What readers of the stream missed is asked of the store beside all queries, so that neither waits for the other.
STREAM_THREADS = 2
# Comparing a password takes 64 MiB and a core for a while: twenty of them a second.
LOGIN_THREADS = 1
# How the server is has to be told above all when it has too much to do.
STATE_THREADS = 1
# What waits beside the queries: pushes, whose bodies are bounded by their size too; streams that come back; logins.
PUSH_QUEUE, STREAM_QUEUE, LOGIN_QUEUE, STATE_QUEUE = 256, 256, 40, 64


def build(settings: config.Settings) -> FastAPI:
    """The application over one store, which is made when it is missing; nothing runs before the server starts it.

    Raises BadSetting where it would let in whom it is meant to keep out.
    """
    check(settings)
    store = Store(settings, create=True)
    reader = SeriesReader.over(store, settings, preferred_scorer=DEFAULT_SCORER_IDENTITY)
    cache = open_cache(
        store.data_dir / "cache",
        settings.cache_size_bytes,
        url=settings.cache_url,
        store=store.scores.table.identity,
    )
    state_pool = BoundedPool(STATE_THREADS, name="state", most_waiting=STATE_QUEUE)
    live = Live(
        Follower(store, reader.reader, timeout_ms=settings.query_timeout_ms),
        now_us,
        poll_ms=settings.live_poll_ms,
        replay_max_rows=settings.live_replay_max_rows,
    )
    stream_pool = BoundedPool(STREAM_THREADS, name="stream", most_waiting=STREAM_QUEUE)
    writer = ItemWriter(settings, load_scorer(settings.ingest_scorer), now_us=now_us, on_commit=lambda _: live.wake())
    push_pool = BoundedPool(PUSH_THREADS, name="push", most_waiting=PUSH_QUEUE)

    def has_live() -> bool:
        return push_pool.held > 0 or writer.waiting_scores > 0

    def has_questions() -> bool:
        return has_live() or pool.held > 0

    # Live updates go before history, and history before exports.
    pool = BoundedPool(settings.query_threads, name="query", most_waiting=settings.query_queue, is_urgent=has_live)
    login_pool = BoundedPool(LOGIN_THREADS, name="login", most_waiting=LOGIN_QUEUE)
    health = partial(read_health, store.data_dir)
    jobs = partial(records, store.data_dir)
    pools = (pool, push_pool, stream_pool, login_pool, state_pool)
    metrics = Metrics(
        reader, cache, writer=writer.counts, sources=health, jobs=jobs, pools=pools, data_dir=store.data_dir
    )
    checkup = Checkup(reader, store.data_dir, now_us, jobs=jobs, sources=health, writer=writer, pools=pools)
    hub = Hub(
        live,
        now_us,
        reader.scorer,
        stream_pool,
        metrics,
        max_connections=settings.live_max_connections,
        heartbeat_s=settings.live_heartbeat_s,
    )
    read_rows = partial(read_push, max_items=settings.push_max_items, max_scores=settings.push_queue_scores)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        writer.start()
        hub.start()
        with on_termination(hub.end_soon):
            yield
        await hub.stop()
        stream_pool.shutdown(wait=False, cancel_futures=True)
        login_pool.shutdown(wait=False, cancel_futures=True)
        push_pool.shutdown(wait=True, cancel_futures=True)
        writer.close()
        for each in (pool, state_pool):
            each.shutdown(wait=True, cancel_futures=True)
        cache.close()
        store.close()

    server = FastAPI(
        title="Tickertone",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        servers=[{"url": settings.base_path}] if settings.base_path else None,
    )
    problems.install(server)
    keys, users = ApiKeys(store.data_dir), Users(store.data_dir)
    sessions = Sessions(read_secret(store.data_dir), EndedSessions(store.data_dir))
    # As they are: include_router would build each of them a second time, a third of a second at every start.
    routes = server.router.routes
    if settings.login == "password":
        routes += build_login_router(users, sessions, login_pool, now_us, settings.at).routes
    routes += build_routes(
        reader,
        cache,
        pool,
        state_pool,
        now_us,
        metrics,
        health,
        jobs,
        Explainer().words,
        settings.at,
        checkup,
        has_questions,
    )
    routes += build_items_router(writer, read_rows, keys, settings, push_pool).routes
    routes += build_stream_router(hub, reader.scorer, stream_pool).routes
    problems.add_not_found(server)
    identity = store.scores.table.identity
    app = build_app(
        server,
        reader,
        cache,
        pool,
        now_us,
        at=settings.at,
        store=identity,
        simulated=store.is_simulated,
        is_bundled=settings.scripts == "bundled",
        can_log_out=settings.login == "password",
    )
    # What is added later stands further out. Nobody reads of a request before the gate has let it through, neither does
    # Dash; and what the gate refuses is counted.
    server.add_middleware(NonsenseToDash)
    server.add_middleware(BoundedBodies, but=(PUSH_PATH, LOGIN_PATH))
    server.add_middleware(Gate, settings=settings, keys=keys, users=users, sessions=sessions, now_us=now_us)
    server.add_middleware(RequestMetrics, metrics=metrics)
    pages = (app.index_string, docs.page_html(server.title, settings.at))
    hashes = [*app.csp_hashes(), *(each for page in pages for each in script_hashes(page))]
    server.add_middleware(SafeHeaders, script_hashes=hashes)
    if settings.base_path:
        server.add_middleware(BasePath, base_path=settings.base_path)
    return server


def factory() -> FastAPI:
    """For `uvicorn --factory dashapp.asgi:factory --workers N`: the application with the settings of the
    environment."""
    return build(config.load())
