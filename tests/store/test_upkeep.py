"""Upkeep: fewer files with the same rows, nothing taken from under readers and writers, nobody hears of it."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.errors import StoreDamaged
from dashapp.model.time import EpochUs
from dashapp.rollup.job import rollup
from dashapp.rollup.jobs import JOBS, run_job
from dashapp.store import compact as compact_module
from dashapp.store.compact import Compacted, compact
from dashapp.store.follow import Follower
from dashapp.store.reader import Reader
from dashapp.store.store import Store
from dashapp.store.tables import NewFile, Table
from tests.stores import (
    DAY_US,
    append,
    expected_buckets,
    open_store,
    same_day_scores,
    score,
    shown_buckets,
    stored_scores,
    verification,
)

if TYPE_CHECKING:
    from tests.conftest import Tickertone

LATER_US = EpochUs(now_us() + 10_000_000_000)


def filled(folder: Path, *, commits: int = 12, days: int = 2) -> Store:
    """A store of many small commits, out of order within their days."""
    store = open_store(folder)
    scores = [
        each for day in range(days) for each in same_day_scores(commits * 5, start=day * 1_000, day_us=day * DAY_US)
    ]
    random.Random(7).shuffle(scores)
    size = len(scores) // commits
    for number in range(commits):
        append(store, scores[number * size : (number + 1) * size])
    return store


def maintain(store: Store, *, vacuum_after_s: float, now_us: EpochUs) -> dict[str, Any]:
    """Compaction and vacuum, one after the other."""
    settings = Settings(data_dir=store.data_dir, vacuum_after_s=vacuum_after_s)
    did: dict[str, Any] = {}
    for name in ("compaction", "vacuum"):
        did |= run_job(store, settings, JOBS[name], lambda: now_us, wait_until=threading.Event())
    return did


def data_files(table: Table) -> set[Path]:
    return {path for path in Path(table.storage.name).rglob("*.parquet") if "_delta_log" not in path.parts}


def rows_by_position(store: Store) -> list[dict[str, object]]:
    return sorted(stored_scores(store), key=lambda row: row["position"])


def test_many_small_files_of_a_date_become_one_with_the_same_rows(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = rows_by_position(store)
    assert compact(store) == Compacted(files_before=24, files_after=2, rows=len(before))
    fresh = open_store(tmp_path)
    assert [file.rows for file in fresh.scores.table.files()] == [len(before) // 2] * 2
    assert rows_by_position(fresh) == before
    assert compact(fresh) == Compacted(0, 0, 0)


@pytest.mark.parametrize("rolled_up", [False, True], ids=["all in the tail", "half rolled up"])
def test_buckets_stay_the_same_before_and_after_rollups(tmp_path: Path, rolled_up: bool) -> None:
    store = filled(tmp_path)
    if rolled_up:
        rollup(store)
        append(store, [score(f"late{number}", number * 60_000_000, 1_000 * number) for number in range(40)])
    expected = expected_buckets(store)
    reader = open_store(tmp_path)
    assert shown_buckets(reader) == expected
    compact(store)
    assert shown_buckets(reader) == expected
    rollup(store)
    assert shown_buckets(reader) == expected
    rollup(store, full=True)
    assert shown_buckets(reader) == expected
    assert verification(store).differ == 0


def test_what_was_ingested_before_is_still_known_after(tmp_path: Path) -> None:
    scores = same_day_scores(60)
    store = open_store(tmp_path)
    for number in range(12):
        append(store, scores[number * 5 : number * 5 + 5])
    compact(store)
    for writer in (store, open_store(tmp_path)):
        assert all(append(writer, scores))


def test_followers_learn_of_no_scores(tmp_path: Path) -> None:
    store = filled(tmp_path)
    head = store.scores.table.version
    compact(store)
    follower = Follower(store, Reader(store, timeout_ms=60_000), timeout_ms=60_000)
    commits = follower.commits(head, None, most_rows=10)
    assert commits is not None
    assert [commit.scores for commit in commits] == [[], []]


def test_a_file_that_does_not_hold_the_same_rows_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)
    before = rows_by_position(store)
    real = Table.write

    def lossy(self: Table, new: list[NewFile], *, is_news: bool = True) -> object:
        return real(self, [NewFile(file.partition, file.rows.slice(1)) for file in new], is_news=is_news)

    monkeypatch.setattr(Table, "write", lossy)
    with pytest.raises(StoreDamaged, match="does not hold the rows of the 12 files"):
        compact(store)
    assert rows_by_position(open_store(tmp_path)) == before


def test_ingest_and_rollup_go_on_beside_it(tmp_path: Path) -> None:
    open_store(tmp_path).close()

    def ingest() -> int:
        store = open_store(tmp_path)
        accepted = 0
        for number in range(60):
            accepted += append(store, same_day_scores(3, start=number * 3)).count(False)
            if number % 10 == 0:
                rollup(store)
        return accepted

    store = open_store(tmp_path)
    files_put_together = 0
    with ThreadPoolExecutor(1) as pool:
        ingesting = pool.submit(ingest)
        while not ingesting.done():
            files_put_together += maintain(store, vacuum_after_s=600, now_us=now_us())["files_before"]
    assert ingesting.result() == 180
    assert files_put_together > 8
    fresh = open_store(tmp_path)
    rollup(fresh)
    assert len(stored_scores(fresh)) == 180
    assert verification(fresh).differ == 0


def test_a_second_compaction_at_the_same_time_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = filled(tmp_path), open_store(tmp_path)
    before = rows_by_position(store)
    real = compact_module._proof

    def meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(compact_module, "_proof", real)
        compact(other)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(compact_module, "_proof", meanwhile)
    compact(store)
    fresh = open_store(tmp_path)
    assert rows_by_position(fresh) == before
    assert len(fresh.scores.table.files()) == 2


def test_replaced_files_are_deleted_when_they_are_old_and_not_before(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for number in range(3):
        append(store, [score(f"more{number}", number * 60_000_000, 5)])
        rollup(store)
    tables = (store.scores.table, store.buckets.table)
    before = [data_files(table) for table in tables]
    young = maintain(store, vacuum_after_s=600, now_us=now_us())
    assert young["files_deleted"] == 0
    assert all(held <= data_files(table) for held, table in zip(before, tables, strict=True))
    old = maintain(store, vacuum_after_s=600, now_us=LATER_US)
    assert old["files_deleted"] > 24
    assert old["freed_bytes"] > 10_000
    for table in tables:
        assert data_files(table) == {Path(file.path) for file in table.files()}
    assert verification(open_store(tmp_path)).differ == 0


def test_a_file_replaced_just_now_is_kept_however_long_ago_it_was_written(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for path in data_files(store.scores.table):
        os.utime(path, (time.time() - 7_000, time.time() - 7_000))
    reader = Reader(open_store(tmp_path), timeout_ms=60_000)
    view = reader.view()
    done = maintain(store, vacuum_after_s=600, now_us=now_us())
    assert (done["files_before"], done["files_deleted"]) == (24, 0)
    assert reader.scores(view, 0, 2 * DAY_US).num_rows == 120


def test_files_that_killed_writers_left_are_deleted_when_they_are_old(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (named,) = [file.path for file in store.scores.table.files() if file.partition["date"] == "1970-01-01"][:1]
    orphan = Path(named).with_name("orphan.parquet")
    orphan.write_bytes(b"half a file")
    assert store.scores.table.vacuum(kept_s=600, now_s=time.time()).files == 0
    os.utime(orphan, (time.time() - 700, time.time() - 700))
    vacuumed = store.scores.table.vacuum(kept_s=600, now_s=time.time())
    assert (vacuumed.files, vacuumed.freed_bytes) == (1, 11)
    assert not orphan.exists()


def test_a_follower_that_slept_through_a_vacuum_is_told_to_begin_anew(tmp_path: Path) -> None:
    store = filled(tmp_path)
    follower = Follower(store, Reader(store, timeout_ms=60_000), timeout_ms=60_000)
    assert follower.commits(0, None, most_rows=10_000) is not None
    maintain(store, vacuum_after_s=600, now_us=LATER_US)
    assert follower.commits(0, None, most_rows=10_000) is None


def test_a_follower_whose_entries_were_cleaned_away_is_told_to_begin_anew(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(101):
        append(store, [score(f"i{number}", number, 5)])
    other = open_store(tmp_path)
    follower = Follower(other, Reader(other, timeout_ms=60_000), timeout_ms=60_000)
    assert store.scores.table.clean_log(kept_s=600, now_s=LATER_US / 1e6) == 99
    assert follower.commits(50, None, most_rows=10_000) is None
    assert [commit.version for commit in follower.commits(98, None, most_rows=10_000) or ()] == [99, 100, 101]
    assert follower.commits(101, None, most_rows=10_000) == []


def test_the_command_says_what_it_did(tickertone: Tickertone) -> None:
    store = filled(tickertone.data_dir)
    rows = len(stored_scores(store))
    done = tickertone.json("maintain")
    assert {**done, "seconds": 0} == {
        "compaction": {"files_before": 24, "files_after": 2, "rows": rows},
        "retention": {
            "scores": 0,
            "score_files": 0,
            "buckets": 0,
            "bucket_files": 0,
            "sealed_before": None,
            "kept_from": {},
        },
        "vacuum": {"files_deleted": 0, "freed_bytes": 0},
        "logs": {"entries_deleted": 0},
        "seconds": 0,
    }
    assert tickertone.json("maintain", "compaction")["compaction"]["files_before"] == 0
    assert "'sweeping' is not a job" in tickertone("maintain", "sweeping", code=2).stderr


def test_a_day_that_grows_by_small_commits_stays_a_handful_of_files_and_is_rewritten_a_few_times(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    written = most = 0
    for number in range(400):
        append(store, same_day_scores(1, start=number))
        if number % 10 == 9:
            written += compact(store).rows
            most = max(most, len(store.scores.table.files()))
    assert most <= 10
    assert written < 400 * 12
    assert len(stored_scores(store)) == 400
