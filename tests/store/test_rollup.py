"""Rollups: incremental equals full, twice equals once, beside whatever runs."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import CommitConflict, StoreDamaged
from dashapp.rollup import job
from dashapp.rollup.job import rollup
from dashapp.rollup.jobs import keep_up
from dashapp.store import attempts, durable
from dashapp.store import buckets as buckets_module
from dashapp.store import scores as scores_module
from dashapp.store.store import Store
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
    shown_buckets,
    stored_scores,
    verification,
    without_tail,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone

SCORES = [
    *same_day_scores(60, day_us=16_070 * DAY_US),
    *same_day_scores(40, start=100, day_us=16_071 * DAY_US),
    *same_day_scores(20, start=200, day_us=16_400 * DAY_US),
]


def batches(size: int) -> list[list[Any]]:
    rows = random.Random(3).sample(SCORES, len(SCORES))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def test_incremental_equals_full_at_every_step(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number, batch in enumerate(batches(25)):
        append(store, batch)
        result = rollup(store)
        assert result.revision == number + 1 == store.buckets.seen
        incremental = without_tail(store)
        assert incremental == expected_buckets(store)
        if number in (2, 4):
            full = rollup(store, full=True)
            assert (full.revision, full.buckets_changed) == (number + 1, len(incremental))
            assert without_tail(store) == incremental


def test_only_the_buckets_of_new_scores_change(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1), score("b", 90_000_000, 2), score("c", 40 * DAY_US, 3)])
    # Two minutes in one 5m, 10m ... 24h bucket, and another day: 3 at 1m, 2 at each of the others.
    assert rollup(store).buckets_changed == 3 + 7 * 2
    before = {file.path for file in store.buckets.table.files()}

    append(store, [score("d", 1, 4)])

    assert rollup(store).buckets_changed == 8
    kept = {file.path for file in store.buckets.table.files()} & before
    # 1m, 5m, 10m are kept by day and 1h, 3h, 6h by month, so those of the other day stay; 12h and 24h are kept by year.
    assert len(before) == 14
    assert len(kept) == 6
    assert without_tail(store) == expected_buckets(store)


def test_dates_are_folded_together_until_they_are_worth_it_and_large_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_BATCH_ROWS", 10)
    store = open_store(tmp_path)
    for day, rows in enumerate([4, 4, 4, 3, 12, 11, 2]):
        append(store, same_day_scores(rows, start=100 * day, day_us=(16_071 + day) * DAY_US))

    found = [[file.rows for file in batch.files] for batch in job.batches(store.scores.table.files())]

    assert found == [[4, 4, 4], [3], [12], [11], [2]]


def files_of_year(store: Store) -> dict[str, tuple[int, int]]:
    """The files of 12h of 2014, with their first and last day."""
    return {
        file.relative: tuple(moment // DAY_US - 16_071 for moment in file.bounds["start_us"])
        for file in sorted(store.buckets.table.files(), key=lambda file: file.bounds["start_us"])
        if file.partition == {"resolution": "12h", "period": "2014"}
    }


def test_a_year_lies_in_files_of_some_days_of_which_only_those_with_new_scores_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(buckets_module._PIECE_ROWS, "year", 6)
    store = open_store(tmp_path)

    def days(tag: str, *numbers: int) -> None:
        append(
            store,
            [
                score(f"{tag}{n}{ticker}", (16_071 + n) * DAY_US + len(tag), n, ticker=ticker)
                for n in numbers
                for ticker in "AB"
            ],
        )
        rollup(store)
        assert shown_buckets(store) == expected_buckets(store)

    days("a", 10, 11)
    days("b", 12)
    assert list(files_of_year(store).values()) == [(10, 12)]
    days("c", 13)  # the file before is large enough
    days("d", 13, 14)
    first, second = files_of_year(store)
    assert files_of_year(store) == {first: (10, 12), second: (13, 14)}
    days("e", 14, 15, 20)
    assert list(files_of_year(store)) == [first, (last := list(files_of_year(store))[1])]
    days("f", 11)  # late
    assert list(files_of_year(store).values()) == [(10, 12), (13, 20)]
    assert list(files_of_year(store))[1] == last
    days("g", 17, 30)  # between the days of one file, and after a large one
    days("h", 1, 40)  # before a large one, and after a small one
    assert list(files_of_year(store).values()) == [(1, 1), (10, 12), (13, 20), (30, 40)]
    days("i", 2, 11, 31)
    assert list(files_of_year(store).values()) == [(1, 2), (10, 12), (13, 20), (30, 40)]

    before = shown_buckets(store)
    rollup(store, full=True)
    assert shown_buckets(store) == before
    assert list(files_of_year(store).values()) == [(1, 10), (11, 13), (14, 17), (20, 40)]


def test_a_day_grows_by_files_so_that_live_scores_change_only_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(buckets_module._PIECE_ROWS, "day", 4)
    store = open_store(tmp_path)

    def minutes(tag: str, *numbers: int) -> list[tuple[str, int, int]]:
        """What lies in the files of 1m after these, with the first and last minute of each."""
        append(store, [score(f"{tag}{n}{ticker}", n * MINUTE_US, n, ticker=ticker) for n in numbers for ticker in "AB"])
        rollup(store)
        assert shown_buckets(store) == expected_buckets(store)
        files = [file for file in store.buckets.table.files() if file.partition["resolution"] == "1m"]
        return sorted((file.relative, *(each // MINUTE_US for each in file.bounds["start_us"])) for file in files)

    def spans(files: list[tuple[str, int, int]]) -> list[tuple[int, int]]:
        return sorted((first, last) for _, first, last in files)

    assert spans(minutes("a", 10)) == [(10, 10)]
    assert spans(begun := minutes("b", 11)) == [(10, 11)]
    assert spans(grown := minutes("c", 12, 13, 14)) == [(10, 11), (12, 14)]
    assert set(begun) < set(grown)
    again = minutes("d", 14, 15)  # within the last file and after it
    assert spans(again) == [(10, 11), (12, 14), (15, 15)]
    assert set(begun) < set(again)
    late = minutes("e", 10, 12, 16)
    assert spans(late) == [(10, 11), (12, 14), (15, 16)]
    assert not set(late) & set(again)

    tomorrow = 24 * 60
    assert spans(minutes("f", 11, tomorrow)) == [(10, 11), (12, 14), (15, 16), (tomorrow, tomorrow)]  # it is touched
    joined = minutes("g", tomorrow + 1)
    assert spans(joined) == [(10, 16), (tomorrow, tomorrow + 1)]  # it is over
    names = ("1m", "5m", "10m")
    yesterday = [file for file in store.buckets.table.files() if file.partition["period"] == "1970-01-01"]
    assert sorted(file.partition["resolution"] for file in yesterday) == sorted(names)
    assert set(joined[:1]) < set(minutes("h", tomorrow + 2)), "once"

    rollup(store, full=True)
    assert spans(minutes("i", 9))[:2] == [(9, 9), (10, 16)]  # made at once, and so as one


def test_a_day_has_as_many_files_as_times_it_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(buckets_module._PIECE_ROWS, "day", 2)
    store = open_store(tmp_path)
    for minute in range(33):
        append(store, [score(f"i{minute}", minute * MINUTE_US, minute)])
        rollup(store)
    files = [file for file in store.buckets.table.files() if file.partition["resolution"] == "1m"]
    assert sorted(file.rows for file in files) == [1, 2, 2, 4, 8, 16]
    assert shown_buckets(store) == expected_buckets(store)


def test_a_grown_day_that_cannot_be_read_holds_up_no_rollup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(buckets_module._PIECE_ROWS, "day", 1)
    store = open_store(tmp_path)
    for day in (0, 1, 2):
        for hour in (1, 2):
            append(store, [score(f"{day} {hour}", day * DAY_US + hour * HOUR_US, 1)])
            rollup(store)
            files = [file for file in store.buckets.table.files() if file.partition["resolution"] == "1m"]
            if (day, hour) == (0, 2):
                Path(files[0].path).write_bytes(b"PAR1")
    grown = [file.partition["period"] for file in files]
    assert sorted(grown) == ["1970-01-01", "1970-01-01", "1970-01-02", "1970-01-03", "1970-01-03"]


def test_what_is_kept_by_month_and_parts_of_a_day_have_small_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets_module, "_MONTH_GROUP_ROWS", 2)
    monkeypatch.setattr(buckets_module, "_SMALL_DAY_GROUP_ROWS", 4)
    store = open_store(tmp_path)
    append(store, [score(f"i{hour}", hour * HOUR_US, hour) for hour in range(6)])
    rollup(store)
    groups = {
        file.partition["resolution"]: pq.read_metadata(file.path).num_row_groups for file in store.buckets.table.files()
    }
    assert groups == {**dict.fromkeys(("1m", "5m", "10m"), 2), "1h": 3, **dict.fromkeys(("3h", "6h", "12h", "24h"), 1)}
    assert shown_buckets(store) == expected_buckets(store)

    monkeypatch.setitem(buckets_module._PIECE_ROWS, "day", 3)
    rollup(store, full=True)
    (minutes,) = [file for file in store.buckets.table.files() if file.partition["resolution"] == "1m"]
    assert pq.read_metadata(minutes.path).num_row_groups == 1  # a whole day


def test_a_full_rollup_removes_buckets_of_a_store_that_has_no_scores(tmp_path: Path) -> None:
    with_scores, without = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    append(with_scores, SCORES[:5])
    rollup(with_scores)
    shutil.rmtree(tmp_path / "b" / "buckets")
    shutil.copytree(tmp_path / "a" / "buckets", tmp_path / "b" / "buckets")
    without = open_store(tmp_path / "b")
    assert verification(without).differ == len(expected_buckets(with_scores))

    rollup(without, full=True)

    assert (verification(without).checked, shown_buckets(without)) == (0, {})
    append(without, SCORES[:5])
    rollup(without)
    assert without_tail(without) == expected_buckets(without)


def test_a_second_run_changes_nothing_and_commits_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, SCORES)
    rollup(store)
    version, files = store.buckets.table.refresh(), store.buckets.table.files()

    for opened in (store, open_store(tmp_path)):
        again = rollup(opened)
        assert (again.revision, again.buckets_changed) == (1, 0)
        assert opened.buckets.table.refresh() == version
        assert {file.path for file in opened.buckets.table.files()} == {file.path for file in files}


@pytest.mark.parametrize("full", [False, True])
def test_a_store_without_scores_has_nothing_to_roll_up(tmp_path: Path, full: bool) -> None:
    store = open_store(tmp_path)
    assert rollup(store, full=full).buckets_changed == 0
    assert (store.buckets.table.refresh(), shown_buckets(store)) == (0, {})


def test_scores_from_several_commits_on_one_date_open_and_close_by_time_not_by_commit(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for item_id, moment, value in (("m", 500, 3), ("z", 100, 1), ("a", 900, 5), ("b", 100, 2), ("y", 900, 4)):
        append(store, [score(item_id, moment, value)])
    rollup(store)
    (bucket,) = (bucket for key, bucket in without_tail(store).items() if key[2] == "24h")
    assert (bucket["open"], bucket["close"]) == ((100, "b", 2), (900, "y", 4))


@pytest.mark.parametrize("few", [0, 1_000])
@pytest.mark.parametrize("by", ["published_us", "item_id"])
def test_scores_that_somebody_else_has_put_into_another_order_are_counted_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, by: str
) -> None:
    monkeypatch.setattr(job, "_FEW_SCORES", few)
    store = open_store(tmp_path)
    append(store, SCORES)
    for file in store.scores.table.files():
        rows = pq.read_table(file.path, partitioning=None)
        pq.write_table(rows.sort_by([(by, "descending")]), file.path)
    rollup(store)
    assert without_tail(store) == expected_buckets(store)


@pytest.mark.parametrize("few", [0, 1_000])
def test_rows_of_every_file_are_by_ticker_scorer_and_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(job, "_FEW_SCORES", few)
    store = open_store(tmp_path)
    for rows in batches(60):  # the second is merged into what the first has made
        append(store, rows)
        rollup(store)
        for file in store.buckets.table.files():
            keys = pq.read_table(file.path, columns=["ticker", "scorer", "start_us"], partitioning=None)
            held = list(zip(*keys.to_pydict().values(), strict=True))
            assert held == sorted(set(held)), file.relative
    assert without_tail(store) == expected_buckets(store)


# Sets of sources are bits of numbers that are as narrow as can be, until there are too many.
@pytest.mark.parametrize("sources", [1, 2, 8, 9, 16, 17, 31, 32, 33, 70])
def test_sources_are_distinct_and_sorted_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: int
) -> None:
    monkeypatch.setattr(job, "_FEW_SCORES", 0)
    store = open_store(tmp_path)
    names = ["Z", "z", "ä", "\uffee", "😀", *(f"s{number}" for number in range(sources))][:sources]
    draw = random.Random(sources)
    rows = [
        score(f"i{row}", row // 3 * 2 * MINUTE_US, 0, ticker="AB"[row % 2], source=draw.choice(names))
        for row in range(300)
    ]
    append(store, [*rows, *(score(f"each {name}", 0, 0, source=name) for name in names)])
    rollup(store)
    assert without_tail(store) == expected_buckets(store)


def test_many_dates_are_folded_only_a_few_ahead_of_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_BATCH_ROWS", 1)
    store = open_store(tmp_path)
    append(store, [score(f"i{day}", day * DAY_US, 0) for day in range(30)])
    begun: list[int] = []

    def counted(*arguments: Any, **options: Any) -> list[Any]:
        begun.append(1)
        return []

    monkeypatch.setattr(job, "fold_dates", counted)
    work = job.Job(store, 0, merge=False)
    with ThreadPoolExecutor(2) as pool:
        parts = work._parts(pool, store.duck, store.scores.table.files())
        for taken, part in enumerate(parts, start=1):
            assert part.month == "1970-01"
            assert len(begun) <= taken + job._AHEAD
    assert taken == len(begun) == 30


def test_a_fold_that_fails_in_a_worker_ends_the_rollup_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    append(store, SCORES[:60])
    rollup(store)
    before = shown_buckets(store)
    append(store, [score(f"n{day}", day * DAY_US, 0) for day in range(16_000, 16_012)])
    real = job.fold_dates

    def failing(cursor: Any, files: Any, **options: Any) -> Any:
        if files[0].partition["date"] == "2013-10-26":
            raise StoreDamaged("this one")
        return real(cursor, files, **options)

    with nothing_is_few(), monkeypatch.context() as patch:
        patch.setattr(job, "fold_dates", failing)
        patch.setattr(job, "_BATCH_ROWS", 1)
        with pytest.raises(StoreDamaged, match="this one"):
            rollup(store)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rollup")]
    assert store.buckets.seen == 1
    assert {key: bucket for key, bucket in shown_buckets(store).items() if key in before} == before
    rollup(store)
    assert without_tail(store) == expected_buckets(store)


@pytest.mark.parametrize("harm", ["a column less", "not UTF-8"])
@pytest.mark.parametrize("table", ["scores", "buckets"])
def test_a_damaged_file_ends_the_rollup_and_is_named(tmp_path: Path, table: str, harm: str) -> None:
    store = open_store(tmp_path)
    append(store, SCORES[:60])
    if table == "buckets":
        rollup(store)
        append(store, same_day_scores(9, start=500, day_us=16_070 * DAY_US))
    path = Path((store.scores if table == "scores" else store.buckets).table.files()[0].path)
    rows = pq.ParquetFile(path).read()
    place = rows.schema.get_field_index("item_id" if table == "scores" else "open_item_id")
    broken = pa.array([b"\xff\xfe"] * rows.num_rows, pa.binary()).view(pa.string())
    pq.write_table(
        rows.remove_column(place) if harm == "a column less" else rows.set_column(place, rows.field(place), broken),
        path,
    )
    with nothing_is_few(), pytest.raises(StoreDamaged, match=re.escape(str(path))):
        rollup(store)


def test_a_large_fold_and_a_small_one_give_the_same_buckets(tmp_path: Path) -> None:
    """Few scores are folded in one query, many month by month and in portions; both ways must agree."""
    small, large = open_store(tmp_path / "small"), open_store(tmp_path / "large")
    for batch in batches(70):
        append(small, batch)
        append(large, batch)
        rollup(small)
        with nothing_is_few():
            rollup(large)
        assert without_tail(small) == without_tail(large) == expected_buckets(small)


def _run_together(count: int, task: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            task(number)
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _no_lock(_: Path) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def test_without_locks_writers_and_rollups_that_race_still_count_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between machines no lock holds, only the version that each commit insists on."""
    monkeypatch.setattr(attempts, "exclusive", _no_lock)
    monkeypatch.setattr(scores_module, "exclusive", _no_lock)
    conflicts = []

    def work(number: int) -> None:
        store = open_store(tmp_path)
        for batch in random.Random(number).sample(batches(15), len(batches(15))):
            for _ in range(100):
                try:
                    if number < 2:
                        append(store, batch)
                    else:
                        rollup(store)
                    break
                except CommitConflict as error:  # those who lose too often are told, and nothing was changed
                    conflicts.append(error)

    open_store(tmp_path).close()
    _run_together(4, work)

    store = open_store(tmp_path)
    assert sorted(row["item_id"] for row in stored_scores(store)) == sorted(each.item_id for each in SCORES)
    assert shown_buckets(store) == expected_buckets(store)
    rollup(store)
    assert without_tail(store) == expected_buckets(store)


def test_rollups_beside_an_ingest_leave_nothing_out(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    stored = threading.Event()

    def work(number: int) -> None:
        store = open_store(tmp_path)
        if number == 0:
            try:
                for batch in batches(10):
                    append(store, batch)
            finally:
                stored.set()
        else:
            while not stored.is_set():
                rollup(store, full=number == 2)
            rollup(store)

    _run_together(3, work)

    store = open_store(tmp_path)
    assert without_tail(store) == expected_buckets(store)
    assert len(stored_scores(store)) == len(SCORES)


def test_rollup_processes_at_once_do_the_work_once(tmp_path: Path, tickertone: Tickertone) -> None:
    store = open_store(tickertone.data_dir)
    for batch in batches(30):
        append(store, batch)
    started = [tickertone.start("rollup", "--json") for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in started]
    assert [(process.returncode, errors) for process, (_, errors) in zip(started, outputs, strict=True)] == [
        (0, "")
    ] * 3
    changed = sorted(int(output.split('"buckets_changed": ')[1].split(",")[0]) for output, _ in outputs)
    assert changed == [0, 0, len(expected_buckets(store))]
    store.buckets.table.refresh()
    assert without_tail(store) == expected_buckets(store)
    assert store.buckets.table.version == 1


def test_a_rollup_that_repeats_ends_when_told_and_reports_each_turn(tmp_path: Path) -> None:
    writer = open_store(tmp_path)
    stop = threading.Event()
    reports: list[dict[str, Any]] = []

    def report(name: str, did: dict[str, Any]) -> None:
        reports.append(did)
        if len(reports) == 3:
            stop.set()
        else:
            append(writer, [score(f"i{len(reports)}", 0, 1)])

    settings = Settings(data_dir=tmp_path)
    keep_up(settings, ["rollup"], stop, now_us, every_s=0.001, report=report)

    assert [(each["revision"], each["buckets_changed"]) for each in reports] == [(0, 0), (1, 8), (2, 8)]
    keep_up(settings, ["rollup"], stop, now_us, every_s=3_600, report=report)  # told beforehand: not even one
    assert len(reports) == 3


def test_a_repeated_rollup_outlives_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, stop = open_store(tmp_path), threading.Event()
    append(store, SCORES[:3])
    real, failing = durable.write_parquet, [OSError(28, "No space left on device")]

    def once_full(*arguments: Any, **options: Any) -> int:
        if failing:
            raise failing.pop()
        return real(*arguments, **options)

    def report(name: str, did: dict[str, Any]) -> None:
        assert did["buckets_changed"] > 0
        stop.set()

    monkeypatch.setattr(durable, "write_parquet", once_full)
    keep_up(Settings(data_dir=tmp_path), ["rollup"], stop, now_us, every_s=0.001, report=report)
    assert "failed and is tried again" in caplog.text
    assert "No space left on device" in caplog.text
    assert verification(store).differ == 0
