"""Metrics in the form Prometheus reads, at /metrics: of this process, and of the store it serves.

What happens in the API is counted as it happens. What others count (the writer of pushed items, the cache, the live
sources) is asked of them when Prometheus asks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashapp import logs
from dashapp.api.desk import Desk, get
from dashapp.api.jobs import ReadJobs
from dashapp.api.pool import BoundedPool
from dashapp.api.sources import ReadHealth
from dashapp.errors import StoreError
from dashapp.model.time import US_PER_SECOND
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader
from dashapp.store import tally
from dashapp.store.faults import recoveries

log = logging.getLogger(__name__)

# Around the promises: 3 ms for what is kept, 8 ms for a series, 20 ms for ten.
_REQUEST_BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# Around the promises: 150 ms for half of the events, 250 ms for 95 of 100, 1 s where too many listen.
_STREAM_BUCKETS_S = (0.025, 0.05, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 30)

# The route of requests that no route of the API took, so that their paths make no series of their own.
_OTHER = "other"


class WriterCounts(Protocol):
    """What a writer of pushed items has done since it was started."""

    @property
    def commits(self) -> int: ...
    @property
    def commit_seconds(self) -> float: ...
    @property
    def accepted(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def scores(self) -> int: ...
    @property
    def waiting_scores(self) -> int: ...


class Metrics:
    """All metrics of one server process; safe for use by several threads."""

    def __init__(
        self,
        reader: SeriesReader,
        cache: ResponseCache,
        *,
        writer: Callable[[], WriterCounts] | None = None,
        sources: ReadHealth | None = None,
        jobs: ReadJobs | None = None,
        pools: Sequence[BoundedPool] = (),
        data_dir: Path | None = None,
    ) -> None:
        self._registry = registry = CollectorRegistry()
        self.request_seconds = Histogram(
            "tickertone_http_request_seconds",
            "From a request to the end of its answer, for a stream to its beginning.",
            ("method", "route", "status"),
            buckets=_REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.stream_clients = Gauge("tickertone_stream_clients", "Streams that are open.", registry=registry)
        self.stream_refused = Counter(
            "tickertone_stream_refused", "Streams refused since too many are open.", registry=registry
        )
        self.stream_events = Counter(
            "tickertone_stream_events", "Events sent to streams.", ("event",), registry=registry
        )
        self.stream_latency_seconds = Histogram(
            "tickertone_stream_latency_seconds",
            "From the acceptance of an item to the sending of the event it caused.",
            buckets=_STREAM_BUCKETS_S,
            registry=registry,
        )
        registry.register(_StoreCollector(reader))
        registry.register(_CacheCollector(cache))
        if writer is not None:
            registry.register(_WriterCollector(writer))
        if sources is not None:
            registry.register(_SourceCollector(sources))
        if jobs is not None:
            registry.register(_JobCollector(jobs))
        if data_dir is not None:
            registry.register(_StoredCollector(data_dir))
        if pools:
            registry.register(_PoolCollector(pools))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self) -> bytes:
        """All metrics as text; asks the store, so it belongs into a thread."""
        return generate_latest(self._registry)


class RequestMetrics:
    """ASGI middleware that measures requests and gives each an id, for `X-Request-ID` and what is logged meanwhile."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given_id = Headers(scope=scope).get("x-request-id")
        with logs.request(given_id) as request:
            await self._measured(scope, receive, send, request.id)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began_s = time.perf_counter()
        status = 503  # what is told when a handler fails in a way nobody foresaw
        is_told = False

        def tell() -> None:
            nonlocal is_told
            is_told = True
            path = getattr(scope.get("route"), "path", "")
            route = path if path.startswith(("/api/v2/", "/healthz", "/readyz", "/metrics")) else _OTHER
            labels = (scope["method"] if route != _OTHER else _OTHER, route, str(status))
            seconds = time.perf_counter() - began_s
            self._metrics.request_seconds.labels(*labels).observe(seconds)
            log.debug("%s %s: %s after %.1f ms", scope["method"], scope["path"], status, seconds * 1e3)

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
                if _is_stream(message):
                    tell()

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            log.error("%s %s failed: %s", scope["method"], scope["path"], type(error).__name__)
            raise
        finally:
            if not is_told:
                tell()


def add_routes(router: APIRouter, desk: Desk, metrics: Metrics) -> None:
    """Adds the route Prometheus asks."""

    @get(
        router,
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def show_metrics() -> Response:
        """Metrics in the text form of Prometheus."""
        body = await desk.call(metrics.exposition)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


def _is_stream(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"])


class _StoreCollector(Collector):
    def __init__(self, reader: SeriesReader) -> None:
        self._reader = reader

    def describe(self) -> Iterator[Metric]:
        """Nothing, which keeps the registry from asking the store when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The state of the store."""
        try:
            view = self._reader.view()
        except StoreError:
            yield GaugeMetricFamily("tickertone_store_up", "Whether the store can be read.", 0)
            return
        waiting = sum(file.rows for file in view.tail_files) if view.tail_rows is None else view.tail_rows.num_rows
        yield GaugeMetricFamily("tickertone_store_up", "Whether the store can be read.", 1)
        yield GaugeMetricFamily("tickertone_store_revision", "Version of the scores table.", view.revision)
        yield GaugeMetricFamily("tickertone_rollup_revision", "Version of scores the buckets count up to.", view.seen)
        yield GaugeMetricFamily(
            "tickertone_rollup_lag_revisions",
            "Versions of scores the rollup has not counted.",
            view.revision - view.seen,
        )
        yield GaugeMetricFamily("tickertone_rollup_lag_scores", "Scores that wait for the rollup.", waiting)


class _CacheCollector(Collector):
    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    def describe(self) -> Iterator[Metric]:
        """Nothing; see the store's."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The state of the cache."""
        stats = self._cache.stats()
        asked = CounterMetricFamily("tickertone_cache_requests", "Answers asked of the cache.", labels=["outcome"])
        asked.add_metric(["hit"], stats.hits)
        asked.add_metric(["miss"], stats.misses)
        yield asked
        total = stats.hits + stats.misses
        yield GaugeMetricFamily(
            "tickertone_cache_hit_ratio",
            "Hits among all that was asked of the cache.",
            stats.hits / total if total else 0,
        )
        yield GaugeMetricFamily("tickertone_cache_entries", "Answers in the cache.", stats.entries)
        yield GaugeMetricFamily("tickertone_cache_bytes", "Size of the cache on disk.", stats.size_bytes)


class _WriterCollector(Collector):
    def __init__(self, counts: Callable[[], WriterCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """What was pushed."""
        counts = self._counts()
        items = CounterMetricFamily("tickertone_ingest_items", "Items pushed to this process.", labels=["outcome"])
        items.add_metric(["accepted"], counts.accepted)
        items.add_metric(["duplicate"], counts.duplicates)
        items.add_metric(["rejected"], counts.rejected)
        yield items
        yield CounterMetricFamily("tickertone_ingest_scores", "Scores that pushed items brought.", counts.scores)
        yield GaugeMetricFamily(
            "tickertone_ingest_waiting_scores", "Scores that wait for a commit.", counts.waiting_scores
        )
        yield SummaryMetricFamily(
            "tickertone_commit_seconds", "Commits of pushed items.", counts.commits, counts.commit_seconds
        )


class _SourceCollector(Collector):
    def __init__(self, sources: ReadHealth) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """How the live sources are."""
        success = GaugeMetricFamily(
            "tickertone_source_last_success_timestamp_seconds", "Last good answer of a live source.", labels=["source"]
        )
        lag = GaugeMetricFamily(
            "tickertone_source_lag_seconds", "Age of a source's newest item when it was stored.", labels=["source"]
        )
        failing = GaugeMetricFamily(
            "tickertone_source_consecutive_failures", "Failures since the last good answer.", labels=["source"]
        )
        failures = CounterMetricFamily("tickertone_source_failures", "Failures of a live source.", labels=["source"])
        accepted = CounterMetricFamily("tickertone_source_items", "Items accepted from a source.", labels=["source"])
        for source in self._sources():
            if source.last_success_us is not None:
                success.add_metric([source.name], source.last_success_us / US_PER_SECOND)
            if source.lag_s is not None:
                lag.add_metric([source.name], source.lag_s)
            failing.add_metric([source.name], source.consecutive_failures)
            failures.add_metric([source.name], source.failures)
            accepted.add_metric([source.name], source.accepted)
        yield from (success, lag, failing, failures, accepted)


class _JobCollector(Collector):
    def __init__(self, jobs: ReadJobs) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """How the jobs of the store are; how late one is, is the present minus when it is due."""
        success = GaugeMetricFamily(
            "tickertone_job_last_success_timestamp_seconds", "End of the last good run of a job.", labels=["job"]
        )
        due = GaugeMetricFamily(
            "tickertone_job_next_run_timestamp_seconds", "When the next run of a job is due.", labels=["job"]
        )
        seconds = GaugeMetricFamily("tickertone_job_last_run_seconds", "Time the last run took.", labels=["job"])
        failing = GaugeMetricFamily(
            "tickertone_job_consecutive_failures", "Runs that failed since the last good one.", labels=["job"]
        )
        runs = CounterMetricFamily("tickertone_job_runs", "Runs of a job.", labels=["job"])
        failures = CounterMetricFamily("tickertone_job_failures", "Runs of a job that failed.", labels=["job"])
        for job in self._jobs():
            for family, moment_us in ((success, job.last_success_us), (due, job.next_run_us)):
                if moment_us is not None:
                    family.add_metric([job.name], moment_us / US_PER_SECOND)
            if job.seconds is not None:
                seconds.add_metric([job.name], job.seconds)
            failing.add_metric([job.name], job.consecutive_failures)
            runs.add_metric([job.name], job.runs)
            failures.add_metric([job.name], job.failures)
        yield from (success, due, seconds, failing, runs, failures)


class _StoredCollector(Collector):
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def collect(self) -> Iterator[Metric]:
        """What was rejected, and what was recovered from; none of them while the counts cannot be read."""
        items = CounterMetricFamily(
            "tickertone_rejected_items",
            "Items rejected on every way into the store, by any process.",
            labels=["way", "reason"],
        )
        try:
            rejected, recovered = tally.read(self._data_dir, tally.REJECTED), recoveries(self._data_dir)
        except OSError as error:
            log.warning("counts cannot be read: %s", error)
            return
        for labels, count in rejected.items():
            items.add_metric(labels, count)
        faults = CounterMetricFamily(
            "tickertone_recovered_faults", "Faults that were recovered from without help.", labels=["fault"]
        )
        for fault, count in recovered.items():
            faults.add_metric([fault], count)
        yield from (items, faults)


class _PoolCollector(Collector):
    def __init__(self, pools: Sequence[BoundedPool]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """How much is being done."""
        held = GaugeMetricFamily(
            "tickertone_work_held", "Requests in work or waiting for it, by what they want.", labels=["pool"]
        )
        refused = CounterMetricFamily(
            "tickertone_work_refused",
            "Requests refused since too many wait, or this one waited too long.",
            labels=["pool"],
        )
        for pool in self._pools:
            held.add_metric([pool.name], pool.held)
            refused.add_metric([pool.name], pool.refused)
        yield from (held, refused)
