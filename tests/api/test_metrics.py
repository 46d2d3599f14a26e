"""Metrics: what Prometheus is told is what happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashapp.api.metrics import Metrics
from dashapp.ingest.health import SourceHealth
from dashapp.query.cache import ResponseCache
from dashapp.rollup.job import rollup
from tests.api.client import Api, api_over
from tests.api.conftest import FIRST, NOW
from tests.stores import append, open_store, score, series_reader


@dataclass
class Counts:
    commits: int = 3
    commit_seconds: float = 0.05
    accepted: int = 7
    duplicates: int = 2
    rejected: int = 1
    scores: int = 9
    waiting_scores: int = 4


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Each sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def shown(api: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = api.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return samples(response.text)


def test_requests_are_counted_by_route_and_status_and_never_by_what_was_asked_for(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", FIRST, 1)])
    with api_over(store, NOW) as api:
        for path in ("AAPL", "aapl", "NEVER", "AAPL?resolution=2m", "BTC/USD"):
            api.get(f"/api/v2/timeseries/{path}")
        for number in range(5):
            api.get(f"/api/v2/nope{number}")
            api.get(f"/nope{number}")
        api.request("HEAD", "/api/v2/tickers")
        told = shown(api)

    def count(method: str, route: str, status: str) -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return told["tickertone_http_request_seconds_count", labels]

    route = "/api/v2/timeseries/{ticker:path}"
    assert [count("GET", route, status) for status in ("200", "400", "404")] == [2, 1, 2]
    assert count("HEAD", "/api/v2/tickers", "200") == 1
    assert count("other", "other", "404") == 10
    routes = {dict(labels)["route"] for name, labels in told if name == "tickertone_http_request_seconds_count"}
    assert routes == {route, "/api/v2/tickers", "other"}


def test_the_rollup_lag_is_what_waits(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", FIRST, 1), score("b", FIRST, 2)])
    rollup(store)
    append(store, [score("c", FIRST, 1)])
    append(store, [score("d", FIRST, 1), score("e", FIRST, 1)])
    with api_over(store, NOW) as api:
        told = shown(api)
        names = ("store_up", "store_revision", "rollup_revision", "rollup_lag_revisions", "rollup_lag_scores")
        assert [told[f"tickertone_{name}", ()] for name in names] == [1, 3, 1, 2, 3]
        rollup(store)
        told = shown(api)
        assert [told[f"tickertone_{name}", ()] for name in names] == [1, 3, 3, 0, 0]


def test_the_hit_ratio_is_that_of_the_cache(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    append(store, [score("a", FIRST, 1)])
    with api_over(store, NOW) as api:
        for _ in range(4):
            api.get("/api/v2/timeseries/AAPL")
        told = shown(api)
    assert told["tickertone_cache_requests_total", (("outcome", "hit"),)] == 3
    assert told["tickertone_cache_requests_total", (("outcome", "miss"),)] == 1
    assert told["tickertone_cache_hit_ratio", ()] == 0.75
    assert told["tickertone_cache_entries", ()] == 1


def test_pushes_sources_and_streams_are_told(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    sources = [
        SourceHealth("tiingo", last_success_us=1_700_000_000_500_000, lag_s=2.5, failures=3, accepted=40),
        SourceHealth("rss", failures=1, consecutive_failures=1),
    ]
    cache = ResponseCache(tmp_path / "cache", 1_000_000)
    metrics = Metrics(series_reader(store), cache, writer=Counts, sources=lambda: sources)
    metrics.stream_clients.inc()
    metrics.stream_refused.inc()
    metrics.stream_events.labels("bucket_update").inc(5)
    metrics.stream_latency_seconds.observe(0.12)
    told = samples(metrics.exposition().decode())
    outcomes = {"accepted": 7, "duplicate": 2, "rejected": 1}
    for outcome, count in outcomes.items():
        assert told["tickertone_ingest_items_total", (("outcome", outcome),)] == count
    assert told["tickertone_ingest_scores_total", ()] == 9
    assert told["tickertone_ingest_waiting_scores", ()] == 4
    assert told["tickertone_commit_seconds_count", ()] == 3
    assert told["tickertone_commit_seconds_sum", ()] == pytest.approx(0.05)
    tiingo, rss = (("source", "tiingo"),), (("source", "rss"),)
    assert told["tickertone_source_last_success_timestamp_seconds", tiingo] == 1_700_000_000.5
    assert ("tickertone_source_last_success_timestamp_seconds", rss) not in told
    assert told["tickertone_source_lag_seconds", tiingo] == 2.5
    assert told["tickertone_source_failures_total", tiingo] == 3
    assert told["tickertone_source_consecutive_failures", rss] == 1
    assert told["tickertone_source_items_total", tiingo] == 40
    assert told["tickertone_stream_clients", ()] == 1
    assert told["tickertone_stream_refused_total", ()] == 1
    assert told["tickertone_stream_events_total", (("event", "bucket_update"),)] == 5
    assert told["tickertone_stream_latency_seconds_bucket", (("le", "0.125"),)] == 1
    assert told["tickertone_stream_latency_seconds_bucket", (("le", "0.1"),)] == 0
    cache.close()
