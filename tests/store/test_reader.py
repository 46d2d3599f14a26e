"""Readers: the same answer from tail and stored buckets, of one moment, in pages without gap or repeat."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.config import Settings
from dashapp.errors import BadRange, StoreError, UnknownScorer, UnknownTicker
from dashapp.model.resolution import RESOLUTIONS, Resolution, parse_resolution
from dashapp.model.score import Score
from dashapp.model.time import MAX_US, MIN_US, US_PER_SECOND
from dashapp.query import answer
from dashapp.query.series import Series
from dashapp.rollup.job import rollup
from dashapp.rollup.verify import verify
from dashapp.store import reader as reader_module
from dashapp.store.duck import Duck
from dashapp.store.reader import Reader
from dashapp.store.store import Store
from dashapp.store.tables import DataFile, NewFile
from tests import oracle
from tests.stores import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    append,
    expected_buckets,
    nothing_is_few,
    open_store,
    same_day_scores,
    score,
    series_reader,
    shown_buckets,
    verification,
)

# 2024-02-28 to 2024-03-02, over a leap day; and a month later.
SCORES = [
    *same_day_scores(120, day_us=19_781 * DAY_US),
    *same_day_scores(60, start=200, day_us=19_782 * DAY_US),
    *same_day_scores(30, start=300, day_us=19_784 * DAY_US),
    *same_day_scores(30, start=400, day_us=19_815 * DAY_US),
]


def in_batches(scores: list[Score], size: int) -> Iterator[list[Score]]:
    for start in range(0, len(scores), size):
        yield scores[start : start + size]


def shuffled(scores: list[Score]) -> list[Score]:
    return random.Random(7).sample(scores, len(scores))


def answers(store: Store) -> dict[tuple[str, str], Any]:
    """All that a user of a store can be shown of its buckets, through the series."""
    reader = series_reader(store)
    shown: dict[tuple[str, str], Any] = {
        ("tickers", ""): reader.tickers(),
        ("revision", ""): reader.refresh(),
        ("coverage", ""): [reader.coverage(ticker, scorer) for ticker, scorer in pairs(store)],
    }
    for resolution in RESOLUTIONS:
        for scorer in ("test@1", "other@2"):
            tickers = [ticker for ticker, by in pairs(store) if by == scorer]
            shown[resolution.name, scorer] = reader.series(tickers, resolution, MIN_US, MAX_US + 1, scorer=scorer)
    return shown


def pairs(store: Store) -> list[tuple[str, str]]:
    return [(info.ticker, info.scorer) for info in series_reader(store).tickers()]


def test_tail_in_memory_tail_in_files_and_rolled_up_give_identical_answers(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for batch in in_batches(shuffled(SCORES), 50):
        append(store, batch)
    in_memory, buckets = answers(store), shown_buckets(store)
    assert buckets == expected_buckets(store)
    with nothing_is_few():
        assert Reader(store, timeout_ms=60_000).view().tail_rows is None
        assert answers(store) == in_memory
        assert shown_buckets(store) == buckets

    rollup(store)

    assert answers(store) == in_memory
    assert shown_buckets(store) == buckets
    append(store, [score("late", SCORES[0].published_us - 1, 1)])
    late = answers(store)
    with nothing_is_few():
        assert answers(open_store(tmp_path)) == late


@pytest.mark.parametrize("rows_in_memory", [0, 1_000])
def test_a_late_score_is_in_the_very_next_answer_at_all_resolutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_in_memory: int
) -> None:
    monkeypatch.setattr(reader_module, "TAIL_ROWS_IN_MEMORY", rows_in_memory)
    writer, store = open_store(tmp_path), open_store(tmp_path)
    append(writer, SCORES[:150])
    rollup(writer)
    reader = series_reader(store)
    before = {each.name: total(reader.series(["AAPL"], each, MIN_US, MAX_US + 1)) for each in RESOLUTIONS}
    late = score("late", 19_781 * DAY_US + 5, -1_000_000)

    append(writer, [late])

    for resolution in RESOLUTIONS:
        (series,) = reader.series(["AAPL"], resolution, MIN_US, MAX_US + 1)
        assert total([series]) == before[resolution.name] + 1
        assert (series.timestamp_us[0], series.low[0], series.open[0]) == (19_781 * DAY_US, -1.0, -1.0)
        assert series.revision[0] == 2
        assert set(series.revision[1:]) <= {1}
    assert shown_buckets(store) == expected_buckets(store)


def total(series: list[Series]) -> int:
    return sum(sum(each.count) for each in series)


def test_one_reader_follows_appends_rollups_and_full_rollups_of_others(tmp_path: Path) -> None:
    writer, store = open_store(tmp_path), open_store(tmp_path)
    reader = Reader(store, timeout_ms=60_000)
    revisions = []
    for number, batch in enumerate(in_batches(shuffled(SCORES), 30)):
        append(writer, batch)
        if number % 3 == 1:
            rollup(writer, full=number == 4)
        view = reader.view()
        revisions.append(view.revision)
        shown = sum(reader.buckets(view, RESOLUTIONS[number % 8], MIN_US, MAX_US + 1).column("count").to_pylist())
        assert shown == min(len(SCORES), 30 * (number + 1))
        assert reader.view() is view  # nothing new: the same one
    assert revisions == list(range(1, len(revisions) + 1))


@pytest.mark.parametrize("rows_in_memory", [0, 1_000_000])
def test_every_answer_beside_writer_and_rollup_is_the_oracles_for_some_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_in_memory: int
) -> None:
    monkeypatch.setattr(reader_module, "TAIL_ROWS_IN_MEMORY", rows_in_memory)
    batches = list(in_batches(shuffled(SCORES), 20))
    expected = [prefix_buckets(batches[:version]) for version in range(len(batches) + 1)]
    open_store(tmp_path).close()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            store = open_store(tmp_path)
            for number, batch in enumerate(batches):
                append(store, batch)
                if number % 2:
                    rollup(store, full=number % 5 == 0)
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            failures.append(error)

    reader = Reader(open_store(tmp_path), timeout_ms=60_000)
    seen: dict[int, set[int]] = {}

    def read(number: int) -> None:
        pick = random.Random(number)
        last = 0
        try:
            while last < len(batches) and not failures:
                view = reader.view()
                assert view.revision >= last
                last = view.revision
                resolution = pick.choice(RESOLUTIONS)
                rows = reader.buckets(view, resolution, MIN_US, MAX_US + 1).to_pylist()
                shown = {(row["ticker"], row["scorer"], resolution.name, row["start_us"]): core(row) for row in rows}
                assert len(shown) == len(rows)
                assert shown == {key: row for key, row in expected[last].items() if key[2] == resolution.name}
                seen.setdefault(last, set()).add(view.seen)
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            failures.append(error)

    threads = [threading.Thread(target=write), *(threading.Thread(target=read, args=(number,)) for number in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    assert len(seen) > 3  # otherwise nothing was concurrent
    assert any(counted not in (0, revision) for revision, stored in seen.items() for counted in stored)


def core(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a bucket says, but for the order of acceptance."""
    return (
        (row["open_us"], row["open_item_id"], row["open_e6"]),
        (row["close_us"], row["close_item_id"], row["close_e6"]),
        row["high_e6"], row["low_e6"], row["count"], row["sum_e6"],
        row["positive"], row["neutral"], row["negative"],
    )  # fmt: skip


def prefix_buckets(batches: list[list[Score]]) -> dict[oracle.Key, tuple[Any, ...]]:
    rows = [
        {name: getattr(each, name) for name in ("item_id", "ticker", "scorer", "published_us", "score_e6", "source")}
        | {"position": position}
        for position, each in enumerate(each for batch in batches for each in batch)
    ]
    names = ("open", "close", "high_e6", "low_e6", "count", "sum_e6", "positive", "neutral", "negative")
    return {key: tuple(bucket[name] for name in names) for key, bucket in oracle.buckets(rows).items()}


def test_threads_share_one_reader_of_series(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, SCORES[:100])
    rollup(store)
    append(store, SCORES[100:])
    reader = series_reader(store)
    expected = {each.name: reader.series(["MSFT", "AAPL"], each, MIN_US, MAX_US + 1) for each in RESOLUTIONS}
    failures: list[str] = []

    def read(number: int) -> None:
        for turn in range(8):
            resolution = RESOLUTIONS[(number + turn) % 8]
            if reader.series(["MSFT", "AAPL"], resolution, MIN_US, MAX_US + 1) != expected[resolution.name]:
                failures.append(resolution.name)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose answers need stored buckets and tail; tests must not write to it."""
    store = open_store(tmp_path_factory.mktemp("mixed"))
    append(store, SCORES[::2])
    rollup(store)
    append(store, SCORES[1::2])
    return store


@pytest.mark.parametrize(("resolution", "limit"), [("1m", 7), ("10m", 20), ("1h", 3), ("24h", 1), ("24h", 1_000)])
def test_pages_follow_each_other_without_gap_or_repeat(mixed: Store, resolution: str, limit: int) -> None:
    reader, width = series_reader(mixed), parse_resolution(resolution)
    (whole,) = reader.series(["AAPL"], width, MIN_US, MAX_US + 1)
    assert not whole.has_more

    pages: list[Series] = []
    start_us = MIN_US
    while not pages or pages[-1].has_more:
        (page,) = reader.series(["AAPL"], width, start_us, MAX_US + 1, limit=limit)
        cursor = answer.timeseries(page, now_us=0)["next_cursor"]
        assert (cursor is None) == (not page.has_more)
        assert len(page.count) == limit or not page.has_more
        pages.append(page)
        if cursor is not None:
            start_us = answer.parse_cursor(cursor)

    for name in ("timestamp_us", "open", "high", "low", "close", "count", "sum", "sources", "revision"):
        assert [value for page in pages for value in getattr(page, name)] == getattr(whole, name)
    assert len(pages) == -(-len(whole.count) // limit)


def test_a_limit_holds_for_each_ticker_and_the_settings_bound_for_all_together(mixed: Store) -> None:
    hour = parse_resolution("1h")
    tickers = ["MSFT", "AAPL", "BRK-A"]
    whole = series_reader(mixed).series(tickers, hour, MIN_US, MAX_US + 1)
    assert [series.ticker for series in whole] == tickers
    limited = series_reader(mixed).series(tickers, hour, MIN_US, MAX_US + 1, limit=4)
    bounded = series_reader(mixed, max_buckets=12).series(tickers, hour, MIN_US, MAX_US + 1, limit=100)
    for all_of_it, some, bound in zip(whole, limited, bounded, strict=True):
        assert len(all_of_it.count) > 4
        assert some == bound
        assert (some.has_more, all_of_it.has_more) == (True, False)
        assert some.timestamp_us == all_of_it.timestamp_us[:4]
        assert (some.close, some.sources) == (all_of_it.close[:4], all_of_it.sources[:4])


def test_a_limit_of_just_as_many_as_there_are_says_that_there_are_no_more(mixed: Store) -> None:
    day = parse_resolution("24h")
    (whole,) = series_reader(mixed).series(["AAPL"], day, MIN_US, MAX_US + 1)
    (same,) = series_reader(mixed).series(["AAPL"], day, MIN_US, MAX_US + 1, limit=len(whole.count))
    assert same == whole


@pytest.mark.parametrize("rolled_up", [False, True])
def test_a_bucket_is_in_the_answer_when_its_start_is_in_the_range(tmp_path: Path, rolled_up: bool) -> None:
    store = open_store(tmp_path)
    append(store, [score(f"i{minute}", minute * MINUTE_US + 30_000_000, minute) for minute in range(10)])
    if rolled_up:
        rollup(store)

    def minutes(start_us: int, end_us: int, resolution: Resolution = RESOLUTIONS[0]) -> list[int]:
        (series,) = series_reader(store).series(["AAPL"], resolution, start_us, end_us)
        return [start // MINUTE_US for start in series.timestamp_us]

    assert minutes(2 * MINUTE_US, 4 * MINUTE_US) == [2, 3]
    assert minutes(2 * MINUTE_US + 1, 4 * MINUTE_US) == [3]  # it begins inside a bucket: with the next one
    assert minutes(2 * MINUTE_US - 1, 4 * MINUTE_US) == [2, 3]
    assert minutes(2 * MINUTE_US, 4 * MINUTE_US + 1) == [2, 3, 4]  # it ends inside a bucket: with that one, whole
    assert minutes(2 * MINUTE_US, 2 * MINUTE_US + 1) == [2]
    assert minutes(2 * MINUTE_US + 1, 2 * MINUTE_US + 2) == []
    assert minutes(11 * MINUTE_US, 12 * MINUTE_US) == []
    assert minutes(-DAY_US, 0) == []
    assert minutes(1, 10 * MINUTE_US, parse_resolution("5m")) == [5]
    (hour,) = series_reader(store).series(["AAPL"], parse_resolution("1h"), 0, 1)
    assert hour.count == [10]  # a bucket is never cut by the range
    (series,) = series_reader(store).series(["AAPL"], RESOLUTIONS[0], 1, HOUR_US - 1)
    assert (series.start_us, series.end_us) == (MINUTE_US, HOUR_US)  # what the answer is about


@pytest.mark.parametrize("rolled_up", [False, True])
def test_the_first_and_the_last_microsecond_that_can_be_told_are_answered(tmp_path: Path, rolled_up: bool) -> None:
    store = open_store(tmp_path)
    append(store, [score("first", MIN_US, 1), score("last", MAX_US, -1)])
    if rolled_up:
        rollup(store)
    assert verification(store).differ == 0
    for resolution in RESOLUTIONS:
        (series,) = series_reader(store).series(["AAPL"], resolution, MIN_US, MAX_US + 1)
        body = answer.timeseries(series, now_us=0)
        assert [row["timestamp"] for row in body["buckets"]] == [
            "0001-01-01T00:00:00Z",
            answer.to_iso(MAX_US + 1 - resolution.width_us),
        ]
    minute = RESOLUTIONS[0]
    for start, end in (
        ("9999-12-31T23:59:30Z", None),
        ("9999-12-31T23:59:30Z", "9999-12-31T23:59:40Z"),
        (None, "0001-01-01T00:00:10Z"),
        ("0001-01-01", None),
        (None, "9999-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00.5Z", "0001-01-01T00:00:00.6Z"),
    ):
        start_us, end_us = answer.range_of(minute, start, end, now_us=0)
        (series,) = series_reader(store).series(["AAPL"], minute, start_us, end_us)
        assert len(answer.timeseries(series, now_us=0)["buckets"]) == len(series.count)


@pytest.mark.parametrize(
    ("start_us", "end_us"),
    [(5, 5), (6, 5), (MIN_US - 1, 0), (0, MAX_US + 2), (10**30, 10**31), (-(10**30), 0)],
)
def test_a_range_that_is_none_is_refused(mixed: Store, start_us: int, end_us: int) -> None:
    with pytest.raises(BadRange, match="is not before end"):
        series_reader(mixed).series(["AAPL"], RESOLUTIONS[0], start_us, end_us)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(mixed: Store, limit: int) -> None:
    with pytest.raises(BadRange, match=f"limit is {limit}"):
        series_reader(mixed).series(["AAPL"], RESOLUTIONS[0], 0, 1, limit=limit)


def test_a_ticker_or_scorer_never_seen_is_unknown_and_not_empty(mixed: Store) -> None:
    reader = series_reader(mixed)
    with pytest.raises(UnknownTicker, match="'TSLA'"):
        reader.series(["AAPL", "TSLA"], RESOLUTIONS[0], 0, 1)
    with pytest.raises(UnknownTicker, match="'TSLA'"):
        reader.coverage("TSLA")
    with pytest.raises(UnknownScorer, match=r"'nobody@1'.*other@2, test@1"):
        reader.series(["AAPL"], RESOLUTIONS[0], 0, 1, scorer="nobody@1")
    with pytest.raises(UnknownScorer, match=r"'nobody@1'"):
        series_reader(mixed, default_scorer="nobody@1").series(["AAPL"], RESOLUTIONS[0], 0, 1)


def test_the_scorer_is_the_one_asked_for_then_the_one_set_then_the_preferred_one(tmp_path: Path, mixed: Store) -> None:
    assert series_reader(mixed).scorer() == "test@1"
    assert series_reader(mixed, default_scorer="other@2").scorer() == "other@2"
    assert series_reader(mixed, default_scorer="other@2").scorer("test@1") == "test@1"
    only = open_store(tmp_path)
    append(only, [score("a", 0, 1, scorer="x@9"), score("a", 0, 1, scorer="b@9")])
    assert series_reader(only).scorer() == "b@9"
    (series,) = series_reader(mixed).series(["AAPL"], parse_resolution("24h"), MIN_US, MAX_US + 1, scorer="other@2")
    by_other = [each for each in SCORES if each.ticker == "AAPL" and each.scorer == "other@2"]
    assert (series.scorer, sum(series.count)) == ("other@2", len(by_other))


def test_an_empty_store_has_no_tickers_and_knows_none(tmp_path: Path) -> None:
    reader = series_reader(open_store(tmp_path))
    assert (reader.refresh(), reader.tickers()) == (0, [])
    with pytest.raises(UnknownTicker):
        reader.series(["AAPL"], RESOLUTIONS[0], 0, 1)


def test_the_catalogue_counts_stored_and_tail(mixed: Store) -> None:
    infos = {(info.ticker, info.scorer): info for info in series_reader(mixed).tickers()}
    expected: dict[tuple[str, str], list[int]] = {}
    for each in SCORES:
        expected.setdefault((each.ticker, each.scorer), []).append(each.published_us)
    assert {key: (info.count, info.first_us, info.last_us) for key, info in infos.items()} == {
        key: (len(times), min(times), max(times)) for key, times in expected.items()
    }
    assert list(infos) == sorted(expected)


def test_coverage_bridges_a_week_without_scores_and_not_a_longer_time(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    days = [0, 1, 2, 10, 19, 50]
    append(store, [score(f"i{day}", day * DAY_US + 5, 1) for day in days[:3]])
    rollup(store)
    append(store, [score(f"i{day}", day * DAY_US + 5, 1) for day in days[3:]])
    assert series_reader(store).coverage("AAPL") == [
        (0, 11 * DAY_US, 4),  # 3 to 9 is a week
        (19 * DAY_US, 20 * DAY_US, 1),  # 11 to 18 is longer
        (50 * DAY_US, 51 * DAY_US, 1),
    ]


def test_sums_stay_exact_past_what_a_float_holds(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    scores = [score(f"i{number}", number, 999_999 - number % 2, source=f"s{number % 300}") for number in range(12_000)]
    append(store, scores[:11_900])
    rollup(store)
    append(store, scores[11_900:])
    shown = shown_buckets(store)
    squares = sum(each.score_e6**2 for each in scores)
    assert squares > 2**53
    assert {bucket["sumsq_e12"] for bucket in shown.values()} == {squares}
    assert {bucket["sum_e6"] for bucket in shown.values()} == {sum(each.score_e6 for each in scores)}
    assert {len(bucket["sources"]) for bucket in shown.values()} == {300}
    rollup(store)
    assert shown_buckets(store) == shown == expected_buckets(store)
    assert verification(store).differ == 0


def test_a_query_that_takes_too_long_is_stopped_and_says_so(tmp_path: Path) -> None:
    duck = Duck(threads=1, memory_bytes=Settings().duckdb_memory_bytes, spill_dir=tmp_path / "spill")
    began = time.monotonic()
    with pytest.raises(StoreError, match="too long"), duck.cursor() as cursor, cursor.limited(100):
        cursor.rows("SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b WHERE a.range % 7 = b.range % 5")
    assert time.monotonic() - began < 20
    with duck.cursor() as cursor:
        assert cursor.rows("SELECT 1") == [(1,)]


def test_times_that_leave_the_store_are_whole_and_scores_exact_to_the_millionth(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 59 * US_PER_SECOND + 999_999, 333_333), score("b", 60 * US_PER_SECOND, -1)])
    (series,) = series_reader(store).series(["AAPL"], RESOLUTIONS[0], 0, HOUR_US)
    assert series.timestamp_us == [0, MINUTE_US]
    assert (series.open, series.close) == ([0.333333, -0.000001], [0.333333, -0.000001])


def test_a_rollup_between_the_looks_at_the_two_tables_is_not_half_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, store = open_store(tmp_path), open_store(tmp_path)
    append(writer, SCORES[:30])
    turns = iter([SCORES[30:60], SCORES[60:90]])

    def interrupted(refresh: Callable[..., int]) -> Callable[..., int]:
        def look(**how: int) -> int:
            version = refresh(**how)
            batch = next(turns, None)
            if batch:
                append(writer, batch)
                rollup(writer)
            return version

        return look

    for table in (store.scores.table, store.buckets.table):
        monkeypatch.setattr(table, "refresh", interrupted(table.refresh))

    result = verify(Reader(store, timeout_ms=60_000))

    assert result.differ == 0
    assert result.checked > 0


def compact(store: Store) -> None:
    """Put one file in the place of all of a date, as upkeep will: positions stay, the version goes up by one."""
    table = store.scores.table
    table.refresh()
    by_date: dict[str, list[DataFile]] = {}
    for file in table.files():
        by_date.setdefault(file.partition["date"], []).append(file)
    new = []
    for date, files in by_date.items():
        rows = pa.concat_tables([pq.ParquetFile(file.path).read() for file in files])
        order = [(name, "ascending") for name in ("ticker", "scorer", "published_us", "item_id")]
        new.append(NewFile({"date": date}, rows.sort_by(order)))
    table.commit(table.write(new), table.files())


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("rolled_up_after", [False, True])
def test_compacted_files_that_hold_rows_from_before_and_after_a_rollup_change_nothing(
    tmp_path: Path, few: bool, rolled_up_after: bool
) -> None:
    with nullcontext() if few else nothing_is_few():
        writer, store = open_store(tmp_path), open_store(tmp_path)
        reader = Reader(store, timeout_ms=60_000)
        append(writer, SCORES[:80])
        reader.view()
        append(writer, SCORES[80:100])
        rollup(writer)
        append(writer, SCORES[100:200])
        before = shown_buckets(store)
        assert before == expected_buckets(store)
        if rolled_up_after:
            rollup(writer)

        compact(writer)

        view = reader.view()  # one that held the tail of long ago
        day = RESOLUTIONS[-1]
        assert sum(reader.buckets(view, day, MIN_US, MAX_US + 1).column("count").to_pylist()) == 200
        assert shown_buckets(store) == before == expected_buckets(store)
        assert append(open_store(tmp_path), SCORES[:201]) == [True] * 200 + [False]
        rollup(writer)
        assert shown_buckets(store) == expected_buckets(store)
        assert verification(store).differ == 0
        rollup(writer, full=True)
        assert shown_buckets(store) == expected_buckets(store)
