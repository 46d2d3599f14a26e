"""The REST API, version 2: series of sentiment candles, and the health of the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from dashapp.errors import BadRange
from dashapp.model.resolution import floor_us, parse_resolution
from dashapp.model.ticker import normalise_ticker
from dashapp.model.time import EpochUs
from dashapp.query import answer
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader


def build_router(
    reader: SeriesReader, cache: ResponseCache, pool: Executor, now_us: Callable[[], EpochUs]
) -> APIRouter:
    """The routes of the API; everything that waits for the store runs in `pool`, never on the event loop."""
    router = APIRouter()

    @router.get("/api/v2/timeseries/{ticker}", tags=["series"])
    async def timeseries(
        request: Request,
        ticker: str,
        resolution: Annotated[str, Query(description="1m, 5m, 10m, 1h, 3h, 6h, 12h or 24h")] = "1m",
        start: Annotated[str | None, Query(description="First bucket start, ISO-8601 with Z")] = None,
        end: Annotated[str | None, Query(description="End, exclusive, ISO-8601 with Z")] = None,
        limit: Annotated[str | None, Query(description="Most buckets in the answer")] = None,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
        scorer: Annotated[str | None, Query(description="name@version; the store's default otherwise")] = None,
    ) -> Response:
        """Closed buckets ascending, and the partial bucket, of one ticker."""
        began = time.perf_counter()
        moment = now_us()
        body, hit, revision = await asyncio.get_running_loop().run_in_executor(
            pool, _timeseries, reader, cache, moment, ticker, resolution, start, end, limit, cursor, scorer
        )
        etag = f'"{revision}-{body.pop("variant")}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag and body["partial_bucket"] is None:
            return Response(status_code=304, headers=headers)
        body |= {
            "cache_hit": hit,
            "query_time_ms": round((time.perf_counter() - began) * 1e3, 3),
            "revision": revision,
        }
        return Response(orjson.dumps(body), media_type="application/json", headers=headers)

    @router.api_route("/healthz", methods=["GET", "HEAD"], tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @router.api_route("/readyz", methods=["GET", "HEAD"], tags=["health"])
    async def readyz() -> dict[str, Any]:
        """The store can be read; 503 when not."""
        revision = await asyncio.get_running_loop().run_in_executor(pool, reader.refresh)
        return {"status": "ok", "revision": revision}

    return router


def _timeseries(
    reader: SeriesReader,
    cache: ResponseCache,
    now_us: EpochUs,
    ticker: str,
    resolution_name: str,
    start: str | None,
    end: str | None,
    limit: str | None,
    cursor: str | None,
    scorer: str | None,
) -> tuple[dict[str, Any], bool, int]:
    resolution = parse_resolution(resolution_name)
    symbol = normalise_ticker(ticker)
    start_us, end_us = answer.range_of(resolution, start, end, now_us)
    if cursor is not None:
        start_us = answer.parse_cursor(cursor)
    revision = reader.refresh()
    # The answer changes with the store's revision, and when an interval ends and its bucket is no longer the open one.
    variant = f"{resolution.name}:{start_us}:{end_us}:{limit}:{scorer}:{floor_us(now_us, resolution)}"
    compute = lambda: orjson.dumps(  # noqa: E731
        answer.timeseries(
            reader.series([symbol], resolution, start_us, end_us, scorer=scorer, limit=_limit(limit))[0], now_us
        )
    )
    cached, hit = cache.get_or_compute(f"timeseries:{symbol}:{variant}:{revision}", compute)
    body = answer.with_progress(orjson.loads(cached), resolution, now_us)
    return {**body, "variant": variant}, hit, revision


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRange(f"limit {text[:40]!r} is not a whole number from 1 to 999999999.", limit=text[:40])
    return int(text)
