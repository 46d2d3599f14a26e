"""The 48,894 tweets: an account for every line, nothing twice, and the same candles in whatever order they come."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dashapp.ingest.columns import RowOptions, parse_mapping
from dashapp.ingest.scoring.scorer import load_scorer
from dashapp.ingest.service import Ingest, IngestSummary
from dashapp.ingest.sources.file import read_file
from dashapp.model.time import EpochUs
from dashapp.rollup.job import rollup
from dashapp.store.store import Store
from tests import oracle
from tests.stores import open_store, shown_buckets, stored_scores, verification

LINES = 48_894
START_US = {"February": 1_391_212_800_000_000, "March": 1_393_632_000_000_000}  # of 2014, UTC
REPEATS = 34

pytestmark = pytest.mark.real

MAPPING = parse_mapping("ts=created_at,text=text,ticker=ticker,id=id")


def ingest(store: Store, *files: Path, batch_rows: int = 50_000) -> IngestSummary:
    job = Ingest(store, SCORER, batch_rows=batch_rows, now_us=lambda: EpochUs(0))
    rows = (row for file in files for row in read_file(file, options=RowOptions(mapping=MAPPING, source="tweets")))
    return job.run(rows, "tweets", way="file")


SCORER = load_scorer()  # it keeps what it has scored, so the texts are scored once for all tests


def facts(store: Store) -> dict[Any, Any]:
    """The buckets, but for the order in which their scores were accepted."""
    return {
        key: {name: value for name, value in bucket.items() if not name.endswith("_position")}
        for key, bucket in shown_buckets(store).items()
    }


@dataclass
class Tweets:
    """All of them in a store, as one file in its own order, rolled up once at the end."""

    file: Path
    lines: list[str]
    store: Store
    summary: IngestSummary
    buckets: dict[Any, Any]


@pytest.fixture(scope="module")
def tweets(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Tweets:
    file = real_data / "tweets_2014" / "slim_dev_2014.jsonl.gz"
    store = open_store(tmp_path_factory.mktemp("tweets"))
    summary = ingest(store, file)
    rollup(store)
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return Tweets(file, list(lines), store, summary, facts(store))


def test_every_line_is_accounted_for(tweets: Tweets) -> None:
    summary = tweets.summary
    assert len(tweets.lines) == LINES
    assert summary.accepted + summary.duplicates + summary.rejected == LINES
    assert (summary.duplicates, summary.rejected, dict(summary.rejected_by_reason)) == (REPEATS, 0, {})
    assert (summary.rejected_file, summary.scores) == (None, LINES - REPEATS)


def test_the_store_holds_each_tweet_and_ticker_once_with_its_time(tweets: Tweets) -> None:
    expected: dict[tuple[str, str], int] = {}
    for row in map(json.loads, tweets.lines):
        seconds = int(datetime.fromisoformat(row["created_at"]).timestamp())
        expected.setdefault((row["id"], row["ticker"]), seconds * 1_000_000)
    stored = stored_scores(tweets.store)
    assert len(stored) == len(expected) == LINES - REPEATS
    assert {(row["item_id"], row["ticker"]): row["published_us"] for row in stored} == expected
    assert len({row["ticker"] for row in stored}) == 86


def test_the_buckets_of_the_first_month_are_what_the_oracle_makes_of_its_scores(tweets: Tweets) -> None:
    names = next(iter(tweets.buckets.values())).keys()
    scores = [row for row in stored_scores(tweets.store) if row["published_us"] < START_US["February"]]
    expected = oracle.buckets(scores)
    assert len(scores) > 3_000
    assert {key: {name: bucket[name] for name in names} for key, bucket in expected.items()} == {
        key: bucket for key, bucket in tweets.buckets.items() if key[3] < START_US["February"]
    }


def test_verify_finds_no_difference(tweets: Tweets) -> None:
    result = verification(tweets.store)
    assert (result.differ, result.checked) == (0, len(tweets.buckets))
    assert len([key for key in tweets.buckets if key[2] == "24h"]) > 5_000


def test_all_of_them_again_are_duplicates_and_nothing_changes(tweets: Tweets) -> None:
    before = (tweets.store.scores.table.refresh(), tweets.store.buckets.table.refresh())

    again = ingest(open_store(tweets.store.data_dir), tweets.file)

    assert (again.accepted, again.duplicates, again.rejected, again.scores) == (0, LINES, 0, 0)
    assert again.revision == before[0]
    assert rollup(tweets.store).buckets_changed == 0
    assert (tweets.store.scores.table.refresh(), tweets.store.buckets.table.refresh()) == before
    assert facts(tweets.store) == tweets.buckets


def write(file: Path, lines: Iterable[str]) -> Path:
    file.write_text("".join(lines), encoding="utf-8")
    return file


def test_shuffled_they_give_the_same_buckets(tmp_path: Path, tweets: Tweets) -> None:
    file = write(tmp_path / "shuffled.jsonl", random.Random(1).sample(tweets.lines, LINES))
    store = open_store(tmp_path / "store")

    summary = ingest(store, file)

    assert (summary.accepted, summary.duplicates, summary.rejected) == (LINES - REPEATS, REPEATS, 0)
    assert facts(store) == tweets.buckets  # all of it tail
    rollup(store)
    assert facts(store) == tweets.buckets


def test_in_many_files_with_rollups_in_between_they_give_the_same_buckets(tmp_path: Path, tweets: Tweets) -> None:
    """Two months of them: each file holds tweets of every day, so each rollup touches every bucket's partition."""
    lines = [line for line in tweets.lines if json.loads(line)["created_at"] < "2014-03-01"]
    parts, order = 5, random.Random(2)
    files = [write(tmp_path / f"{part}.jsonl", lines[part::parts]) for part in range(parts)]
    order.shuffle(files)
    store = open_store(tmp_path / "store")
    accepted = duplicates = 0
    for number, file in enumerate(files):
        summary = ingest(store, file, batch_rows=700)
        accepted, duplicates = accepted + summary.accepted, duplicates + summary.duplicates
        if number != 1:
            rollup(store, full=number == 3)
        store = open_store(tmp_path / "store")
    assert accepted + duplicates == len(lines) > 5_000
    assert facts(store) == {key: bucket for key, bucket in tweets.buckets.items() if key[3] < START_US["March"]}
    assert verification(store).differ == 0
