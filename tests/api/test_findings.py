"""What is found wrong, and what is said to do about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dashapp.api.findings import Facts, findings
from dashapp.errors import StoreDamaged, StoreTooNew, StoreUnreachable
from dashapp.ingest.health import SourceHealth
from dashapp.model.time import EpochUs, parse_iso
from dashapp.store.lease import JobRecord

NOW = parse_iso("2026-03-01T12:00:00Z")
WELL = Facts(now_us=NOW, disk_free_bytes=500_000_000_000, disk_total_bytes=1_000_000_000_000, data_dir="/srv/store")


def ago(seconds: float) -> EpochUs:
    return EpochUs(NOW - int(seconds * 1_000_000))


def job(name: str, **told: Any) -> JobRecord:
    usual = {"last_start_us": ago(10), "last_end_us": ago(9), "last_success_us": ago(9), "next_run_us": ago(-20)}
    return JobRecord(name, **{**usual, **told})


def source(name: str, **told: Any) -> SourceHealth:
    usual = {"last_poll_us": ago(30), "last_success_us": ago(30), "next_poll_us": ago(-30), "accepted": 100}
    return SourceHealth(name, **{**usual, **told})


def test_where_all_is_well_nothing_is_found() -> None:
    assert findings(WELL) == []
    busy = replace(
        WELL, jobs=[job("rollup"), job("vacuum")], sources=[source("rss")], waiting_scores=50_000, taken=9_000
    )
    assert findings(busy) == []
    # A bad row now and then, a job that runs, one that nobody repeats, clocks that are a little apart.
    assert findings(replace(WELL, rejected=19, taken=0)) == []
    assert findings(replace(WELL, rejected=50, taken=1_000)) == []
    running = job("rollup", holder="a:1", started_us=ago(5), expires_us=ago(-55), next_run_us=ago(300))
    assert findings(replace(WELL, jobs=[running, job("verify", next_run_us=None)], waiting_scores=9_000_000)) == []
    assert findings(replace(WELL, jobs=[job("rollup", last_start_us=ago(-30))], clock_back_s=30)) == []


FAILED = job("rollup", consecutive_failures=3, last_error="Disk full.")
FAILED_ONCE = job("vacuum", consecutive_failures=1, last_error="No.")
HANGING = job("verify", holder="box:7", started_us=ago(9_000), expires_us=ago(-50))
REFUSED = source("tiingo", consecutive_failures=5, last_error="401.", last_success_us=None)
UNREACHABLE = source("rss", consecutive_failures=1, last_error="x")
DAMAGED, DISK, ROLLUP = StoreDamaged("a.parquet is cut short."), "disk_free_bytes", "job rollup"


@pytest.mark.parametrize(
    ("told", "severity", "about", "what", "remedy"),
    [
        ({"store_error": DAMAGED}, "bad", "store", "a.parquet is cut short", "tickertone doctor"),
        ({"store_error": StoreUnreachable("No answer.")}, "bad", "store", "No answer", "network"),
        ({"store_error": StoreTooNew("Format 9.")}, "bad", "store", "Format 9", "Install the version"),
        ({"is_writing": False}, "bad", "store", "not written", "Start the server anew"),
        ({"is_writable": False}, "bad", "disk", "/srv/store cannot be written", "user the server runs as"),
        ({DISK: 100_000_000}, "bad", "disk", "100.0 MB of 1.0 TB", "maintain vacuum"),
        ({DISK: 9_000_000_000}, "bad", "disk", "9.0 GB of 1.0 TB", "maintain vacuum"),
        ({DISK: 15_000_000_000}, "soon", "disk", "15.0 GB of 1.0 TB", "retention_scores_days"),
        ({DISK: 1_500_000_000, "disk_total_bytes": 3_000_000_000}, "soon", "disk", "1.5 GB", "Make room"),
        ({"jobs": [FAILED]}, "bad", ROLLUP, "failed 3 times in a row: Disk full", "`tickertone rollup`"),
        ({"jobs": [FAILED_ONCE]}, "bad", "job vacuum", "failed the last time: No", "`tickertone maintain vacuum`"),
        ({"jobs": [job("rollup", next_run_us=ago(600))]}, "bad", ROLLUP, "10 minutes late", "tickertone run"),
        ({"jobs": [job("logs", next_run_us=ago(10_000))]}, "soon", "job logs", "3 hours late", "maintain logs --every"),
        ({"jobs": [HANGING]}, "soon", "job verify", "box:7 has been at the verify for 2 hours", "end it"),
        ({"waiting_scores": 2_000_000}, "soon", "rollup", "2,000,000 scores wait", "rollup --every 30s"),
        ({"sources": [REFUSED]}, "bad", "source tiingo", "(5 tries): 401", "docs/sources.md"),
        ({"sources": [UNREACHABLE]}, "soon", "source rss", "since 2026-03-01T11:59:30Z", "asked again by itself"),
        ({"sources": [source("rss", next_poll_us=ago(900))]}, "bad", "source rss", "15 minutes ago", "feed --stay"),
        ({"sources": [source("rss", rejected=80)]}, "soon", "source rss", "80 of the last 180", "/srv/store/rejected"),
        ({"rejected": 40, "taken": 60}, "soon", "rejected items", "40 of 100 pushed items", "/srv/store/rejected"),
        ({"refused": 7}, "soon", "load", "7 requests", "query_threads"),
        ({"clock_back_s": 7_200.0}, "soon", "clock", "2 hours behind", "NTP"),
        ({"jobs": [job("rollup", last_start_us=ago(-3_600))]}, "soon", "clock", "60 minutes behind", "NTP"),
        ({"sources": [source("rss", last_poll_us=ago(-200_000))]}, "soon", "clock", "2 days behind", "NTP"),
    ],
)  # fmt: skip
def test_each_trouble_is_found_once_with_what_to_do(
    told: dict[str, Any], severity: str, about: str, what: str, remedy: str
) -> None:
    (found,) = findings(replace(WELL, **told))
    assert (found.severity, found.about) == (severity, about)
    assert what in found.what
    assert remedy in found.remedy


def test_the_worst_comes_first() -> None:
    found = findings(
        replace(WELL, refused=1, is_writable=False, clock_back_s=100, jobs=[job("rollup", next_run_us=ago(600))])
    )
    assert [each.severity for each in found] == ["bad", "bad", "soon", "soon"]
