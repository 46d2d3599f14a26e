"""Tables: a commit is all or nothing, only from the newest state, and on the disk before it is reported."""

from __future__ import annotations

import os
import re
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.config import Settings
from dashapp.errors import CommitConflict, StoreDamaged, StoreMissing, StoreNotWritable
from dashapp.rollup.job import rollup
from dashapp.store.disk import Disk
from dashapp.store.faults import recoveries
from dashapp.store.store import Store
from dashapp.store.tables import CHECKPOINT_EVERY, DataFile, NewFile, Table
from tests.stores import (
    append,
    expected_buckets,
    open_store,
    path_of,
    score,
    shown_buckets,
    stored_scores,
    verification,
)

SCHEMA = pa.schema([pa.field("date", pa.string()), pa.field("position", pa.int64())])


def open_table(root: Path, *, create: bool = True) -> Table:
    return Table(Disk(root), SCHEMA, partition_by=["date"], bounded=["position"], compression="zstd", create=create)


def new_file(position: int, date: str = "2024-02-29") -> NewFile:
    return NewFile({"date": date}, pa.table({"position": pa.array([position], pa.int64())}))


def held(table: Table) -> list[tuple[str, int, int, tuple[int, int]]]:
    """What a table says of its files, without their names."""
    return sorted(
        (file.partition["date"], file.rows, file.size_bytes, file.bounds["position"]) for file in table.files()
    )


def entries(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "_delta_log").iterdir())


@contextmanager
def disk_full() -> Iterator[None]:
    """No file can grow: what a full disk is to a process, and it holds for root, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_commit_is_seen_by_those_who_refresh_and_by_those_who_come_later(tmp_path: Path) -> None:
    writer, reader = open_table(tmp_path / "t"), open_table(tmp_path / "t")
    written = writer.write([new_file(1, "2024-01-01"), new_file(2, "2024-01-02")])

    assert writer.commit(written) == 1

    assert (reader.version, reader.files()) == (0, ())  # a snapshot stays as it is until refreshed
    assert reader.refresh() == 1
    newcomer = open_table(tmp_path / "t", create=False)
    assert held(writer) == held(reader) == held(newcomer)
    assert [row[0] for row in held(newcomer)] == ["2024-01-01", "2024-01-02"]
    assert [row[3] for row in held(newcomer)] == [(1, 1), (2, 2)]


def test_a_commit_from_a_stale_snapshot_is_refused_and_leaves_no_trace_for_readers(tmp_path: Path) -> None:
    root = tmp_path / "t"
    first, second = open_table(root), open_table(root)
    # Another date, so nothing but the version tells that the second is late.
    late = second.write([new_file(2, "2024-01-02")])
    first.commit(first.write([new_file(1, "2024-01-01")]))
    before = entries(root)

    with pytest.raises(CommitConflict, match=re.escape(str(root))):
        second.commit(late, metadata={"late": True}, transactions={"rollup": 9})

    assert entries(root) == before
    newcomer = open_table(root)
    assert newcomer.version == 1
    assert held(newcomer) == held(first)
    assert newcomer.transaction_version("rollup") is None
    # What it has written is still there to be committed from the newest state.
    assert second.refresh() == 1
    assert second.commit(late, transactions={"rollup": 9}) == 2
    assert first.refresh() == 2
    assert [row[3] for row in held(first)] == [(1, 1), (2, 2)]
    assert first.transaction_version("rollup") == 9


def test_a_replacement_computed_from_a_stale_snapshot_is_refused(tmp_path: Path) -> None:
    first, second = open_table(tmp_path / "t"), open_table(tmp_path / "t")
    first.commit(first.write([new_file(1)]))
    second.refresh()
    old = second.files()
    first.commit(first.write([new_file(2)]), first.files())

    with pytest.raises(CommitConflict):
        second.commit(second.write([new_file(3)]), old)

    second.refresh()
    assert [row[3] for row in held(second)] == [(2, 2)]


def test_files_and_those_they_replace_change_places_in_one_step(tmp_path: Path) -> None:
    table, reader = open_table(tmp_path / "t"), open_table(tmp_path / "t")
    table.commit(table.write([new_file(1, "2024-01-01"), new_file(2, "2024-01-02")]))
    replaced = [file for file in table.files() if file.partition["date"] == "2024-01-01"]

    table.commit(table.write([new_file(7, "2024-01-01")]), replaced, transactions={"rollup": 3})

    reader.refresh()
    assert [row[3] for row in held(reader)] == [(7, 7), (2, 2)]
    # Readers of the version before still find their files.
    assert Path(replaced[0].path).exists()


def test_files_written_but_never_committed_are_invisible(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 100)])
    rollup(store)
    expected = shown_buckets(store)
    for table in (store.scores.table, store.buckets.table):
        for path in list(Path(table.storage.name).glob("**/*.parquet")):
            shutil.copy(path, path.with_name("orphan.parquet"))

    again = open_store(tmp_path)

    assert shown_buckets(again) == expected == expected_buckets(again)
    assert append(again, [score("a", 0, 100)]) == [True]
    rollup(again, full=True)
    assert shown_buckets(again) == expected


@pytest.mark.parametrize("version", [0, 1], ids=["creation", "first commit"])
def test_what_a_writer_killed_inside_a_commit_leaves_in_the_log_is_in_nobodys_way(tmp_path: Path, version: int) -> None:
    root = tmp_path / "t"
    log = root / "_delta_log"
    log.mkdir(parents=True)
    for number in (1, 2):
        (log / f"{version:020d}.json#{number}").write_bytes(b'{"add":{"pa')

    table = open_table(root)

    assert table.commit(table.write([new_file(1)])) == 1
    assert held(open_table(root)) == held(table)


LongLog = tuple[Path, list[tuple[str, int, int, tuple[int, int]]]]


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> LongLog:
    """A table after 130 commits, so past a checkpoint, of which every third replaced a file; and what it holds."""
    root = tmp_path_factory.mktemp("long") / "t"
    table = open_table(root)
    follower = open_table(root)
    for number in range(1, 131):
        old = table.files()[:1] if number % 3 == 0 else ()
        date = f"2024-01-{number % 28 + 1:02d}"
        assert table.commit(table.write([new_file(number, date)]), old, transactions={"rollup": number}) == number
        if number == 60:
            follower.refresh()
    assert follower.refresh() == 130
    assert held(follower) == held(table)
    assert len(held(table)) == 130 - 130 // 3
    return root, held(table)


def test_a_table_past_a_checkpoint_keeps_its_files_their_bounds_and_the_transaction(
    long_log: LongLog,
) -> None:
    root, expected = long_log
    checkpoints = sorted(name for name in entries(root) if name.endswith(".checkpoint.parquet"))
    # The newest three and every hundredth; each names all files, so all of them together would fill the disk.
    assert [int(name.rpartition("/")[2].partition(".")[0]) for name in checkpoints] == [99, 109, 119, 129]
    table = open_table(root, create=False)
    assert (table.version, table.transaction_version("rollup")) == (130, 130)
    assert held(table) == expected


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [_empty, _cut, Path.unlink], ids=["empty", "cut", "gone"])
@pytest.mark.parametrize("torn", ["*.checkpoint.parquet", "_last_checkpoint"])
def test_a_torn_checkpoint_costs_nothing_since_the_log_says_the_same(
    tmp_path: Path, long_log: LongLog, torn: str, damage: object
) -> None:
    root = tmp_path / "t"
    shutil.copytree(long_log[0], root)
    paths = sorted((root / "_delta_log").glob(torn))
    assert paths
    for path in paths:
        damage(path)  # type: ignore[operator]

    table = open_table(root, create=False)

    assert (table.version, table.transaction_version("rollup")) == (130, 130)
    assert held(table) == long_log[1]
    assert table.commit(table.write([new_file(131)])) == 131
    is_fault = torn == "*.checkpoint.parquet" and damage is not Path.unlink
    assert recoveries(tmp_path)["checkpoint_torn"] == is_fault


def numbers(root: Path, suffix: str) -> list[int]:
    """The versions of which the log has a file of this kind."""
    return [int(name.partition(".")[0]) for name in entries(root) if name.endswith(suffix)]


def test_entries_that_a_checkpoint_repeats_are_cleaned_away_once_they_are_old_and_the_table_is_the_same(
    tmp_path: Path, long_log: LongLog
) -> None:
    root = tmp_path / "t"
    shutil.copytree(long_log[0], root)
    table = open_table(root)
    follower, sleeper = open_table(root), open_table(root)
    assert table.clean_log(kept_s=600, now_s=time.time()) == 0

    assert table.clean_log(kept_s=600, now_s=time.time() + 700) == 99

    assert numbers(root, ".json") == list(range(99, 131))
    assert numbers(root, ".checkpoint.parquet") == [99, 109, 119, 129]
    assert table.clean_log(kept_s=600, now_s=time.time() + 700) == 0
    for number in range(131, 201):
        table.commit(table.write([new_file(number)]), table.files()[:1], transactions={"rollup": number})
        follower.refresh()
    # The second time it is compared with the checkpoint of the first.
    assert table.clean_log(kept_s=600, now_s=time.time() + 700) == 100
    assert numbers(root, ".json") == [199, 200]
    assert (table.is_cleaned(130), table.is_cleaned(198), table.is_cleaned(200)) == (True, False, False)
    for each in (follower, sleeper, open_table(root, create=False)):
        assert (each.refresh(), each.transaction_version("rollup")) == (200, 200)
        assert held(each) == held(table)
    assert sleeper.commit(sleeper.write([new_file(201)])) == 201


def test_a_checkpoint_that_does_not_say_what_the_log_says_is_not_relied_on(tmp_path: Path, long_log: LongLog) -> None:
    root = tmp_path / "t"
    shutil.copytree(long_log[0], root)
    log = root / "_delta_log"
    checkpoint = log / f"{99:020d}.checkpoint.parquet"
    rows = pq.read_table(checkpoint)
    (number, *_) = [number for number, add in enumerate(rows.column("add").to_pylist()) if add]
    pq.write_table(pa.concat_tables([rows.slice(0, number), rows.slice(number + 1)]), checkpoint)
    before = entries(root)

    with pytest.raises(StoreDamaged, match=f"{99:020d}.*does not say what the log says"):
        open_table(root).clean_log(kept_s=600, now_s=time.time() + 700)

    assert entries(root) == before


@pytest.mark.parametrize("left", [1, 50, 98])
def test_a_cleaning_that_was_killed_is_finished_by_the_next(
    tmp_path: Path, long_log: LongLog, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    root = tmp_path / "t"
    shutil.copytree(long_log[0], root)
    table = open_table(root)
    with monkeypatch.context() as patched:
        patched.setattr(table.storage, "delete", _failing_after(left, table.storage.delete))
        with pytest.raises(KeyboardInterrupt):
            table.clean_log(kept_s=600, now_s=time.time() + 700)
    assert numbers(root, ".json")[0] == left

    table = open_table(root, create=False)

    assert held(table) == long_log[1]
    assert table.clean_log(kept_s=600, now_s=time.time() + 700) == 99 - left
    assert held(open_table(root, create=False)) == long_log[1]


def _failing_after(times: int, function: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str]], None]:
    def failing(names: Sequence[str]) -> None:
        function(names[:times])
        if names:
            raise KeyboardInterrupt

    return failing


def test_a_missing_store_is_said_with_the_remedy_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=f"no store at {re.escape(str(tmp_path))}.*TICKERTONE_DATA_DIR"):
        Store(Settings(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_creation_was_cut_short_is_missing_to_readers_and_made_by_writers(tmp_path: Path) -> None:
    (tmp_path / "scores" / "_delta_log").mkdir(parents=True)
    with pytest.raises(StoreMissing):
        Store(Settings(data_dir=tmp_path))
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])
    shutil.rmtree(tmp_path / "buckets")  # buckets are derived: a reader alone makes their table
    assert shown_buckets(Store(Settings(data_dir=tmp_path))) == expected_buckets(store)


@pytest.mark.parametrize("place", ["", "scores", "locks", "keys"])
def test_a_file_where_a_folder_must_be_is_named_in_the_error(tmp_path: Path, place: str) -> None:
    blocked = tmp_path / "store" / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")

    with pytest.raises((StoreNotWritable, StoreDamaged), match=re.escape(str(blocked))):
        append(open_store(tmp_path / "store"), [score("a", 0, 1)])

    assert blocked.read_text() == "in the way"


def test_a_file_where_a_partition_must_be_stops_the_append_and_nothing_is_stored(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])
    (tmp_path / "scores" / "date=1970-01-02").write_text("in the way")

    with pytest.raises(StoreNotWritable, match="date=1970-01-02"):
        append(store, [score("b", 0, 1), score("c", 86_400_000_000, 1)])

    assert [row["item_id"] for row in stored_scores(open_store(tmp_path))] == ["a"]
    (tmp_path / "scores" / "date=1970-01-02").unlink()
    assert append(store, [score("b", 0, 1), score("c", 86_400_000_000, 1)]) == [False, False]


def test_a_full_disk_stops_append_and_rollup_with_nothing_changed_and_later_they_go_on(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])

    with disk_full(), pytest.raises(StoreNotWritable, match=re.escape(str(tmp_path))):
        append(store, [score("b", 0, 1)])
    with disk_full(), pytest.raises(StoreNotWritable, match=re.escape(str(tmp_path))):
        rollup(store)

    assert [row["item_id"] for row in stored_scores(store)] == ["a"]
    assert store.buckets.table.refresh() == 0
    assert append(store, [score("b", 0, 1), score("a", 0, 1)]) == [False, True]
    rollup(store)
    assert verification(store).differ == 0


def test_a_full_disk_at_the_log_entry_changes_nothing(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t")
    written = table.write([new_file(1)])

    with disk_full(), pytest.raises(StoreNotWritable, match=re.escape(str(tmp_path / "t"))):
        table.commit(written)

    assert open_table(tmp_path / "t").version == 0
    assert table.commit(written) == 1


def test_an_entry_that_cannot_be_flushed_is_not_acknowledged_and_the_next_to_know_it_flushes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])
    flushed = os.fsync

    def broken(descriptor: int) -> None:
        if path_of(descriptor).suffix == ".json":
            raise OSError(5, "Input/output error")
        flushed(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(StoreNotWritable, match="Input/output error"):
            append(store, [score("b", 0, 1)])
        # It stands in the log, but must not be called known before it is durable.
        with pytest.raises(StoreNotWritable, match="Input/output error"):
            append(open_store(tmp_path), [score("b", 0, 1)])

    assert append(open_store(tmp_path), [score("b", 0, 1)]) == [True]
    assert append(store, [score("b", 0, 1), score("c", 0, 1)]) == [True, False]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00garbage\n", b"[1]\n", b'{"add":{"path":5}}\n'])
@pytest.mark.parametrize("table", ["scores", "buckets"])
def test_a_garbage_log_entry_is_reported_as_damage_in_one_line(tmp_path: Path, table: str, content: bytes) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])
    rollup(store)
    (tmp_path / table / "_delta_log" / f"{1:020d}.json").write_bytes(content)

    with pytest.raises(StoreDamaged, match=re.escape(str(tmp_path / table))) as caught:
        open_store(tmp_path)

    assert "\n" not in str(caught.value)


def _no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def _no_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _broken_footer(path: Path) -> None:
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    for place in range(len(content) - 8 - length, len(content) - 8):
        content[place] ^= 0xA5
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_no_bytes, _no_end, _broken_footer, Path.unlink])
@pytest.mark.parametrize("files", ["scores/date=*/*.parquet", "buckets/resolution=1m/*/*.parquet"])
def test_a_damaged_data_file_is_reported_as_damage_in_one_line(tmp_path: Path, files: str, damage: object) -> None:
    store = open_store(tmp_path)
    append(store, [score(f"i{number}", number * 60_000_000, number) for number in range(100)])
    rollup(store)
    (path,) = tmp_path.glob(files)
    damage(path)  # type: ignore[operator]

    again = open_store(tmp_path)
    with pytest.raises(StoreDamaged, match="cannot be read") as caught:
        verification(again)

    assert "\n" not in str(caught.value)


def test_a_text_that_is_not_utf8_any_more_is_reported_as_damage(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("stable-item-id", 0, 1)])
    (path,) = tmp_path.glob("scores/date=*/*.parquet")
    content = path.read_bytes()
    assert b"stable-item-id" in content
    path.write_bytes(content.replace(b"stable-item-id", b"stable-item-\xff\xfe"))

    with pytest.raises(StoreDamaged):
        stored_scores(open_store(tmp_path))


def test_everything_is_flushed_in_order_before_an_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        fsync(descriptor)
        path = path_of(descriptor).relative_to(tmp_path)
        entry = tmp_path / "store" / "scores" / "_delta_log" / f"{1:020d}.json"
        flushed.append((str(path), entry.exists()))

    monkeypatch.setattr(os, "fsync", recorded)
    store = open_store(tmp_path / "store")
    append(store, [score("a", 0, 1), score("b", 86_400_000_000, 1)])

    paths = [path for path, _ in flushed]
    before = [path for path, committed in flushed if not committed]
    after = [path for path, committed in flushed if committed]
    # Before the entry exists: every data file, and every name on the way to it, each after what it names.
    for date in ("1970-01-01", "1970-01-02"):
        folder = f"store/scores/date={date}"
        (data,) = (place for place, path in enumerate(before) if path.startswith(folder) and path.endswith(".parquet"))
        assert data < before.index(folder)
        assert "store/scores" in before[data:]
    for name in (".", "store", "store/scores", "store/scores/_delta_log", f"store/scores/_delta_log/{0:020d}.json"):
        assert name in before
    # Then the entry, then its folder, and only then does the append return.
    assert after == [f"store/scores/_delta_log/{1:020d}.json", "store/scores/_delta_log"]
    assert paths == before + after


def test_the_folder_of_a_killed_writer_is_flushed_by_name_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])
    (tmp_path / "scores" / "date=1970-01-02").mkdir()  # made by another, which was killed before it flushed anything
    flushed: list[Path] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(path_of(descriptor)), fsync(descriptor)))

    append(store, [score("b", 86_400_000_000, 1)])

    entry = flushed.index(tmp_path / "scores" / "_delta_log" / f"{2:020d}.json")
    assert flushed.index(tmp_path / "scores") < entry
    assert flushed.index(tmp_path / "scores" / "date=1970-01-02") < entry
    flushed.clear()
    append(store, [score("c", 86_400_000_001, 1)])
    assert tmp_path / "scores" not in flushed  # once is enough


def test_a_checkpoint_is_flushed_with_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = open_table(tmp_path / "t")
    flushed: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(path_of(descriptor).name), fsync(descriptor)))
    for number in range(1, CHECKPOINT_EVERY + 1):
        table.commit(table.write([new_file(number)]))
    (checkpoint,) = (name for name in entries(tmp_path / "t") if name.endswith(".checkpoint.parquet"))
    assert checkpoint in flushed
    assert "_last_checkpoint" in flushed
    assert flushed.index("_last_checkpoint") < len(flushed) - 1 - flushed[::-1].index("_delta_log")


def test_a_data_file_knows_its_place_rows_and_bounds(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", -1, 1), score("b", 5, 1), score("c", 3, 1)])
    by_date = {file.partition["date"]: file for file in store.scores.table.files()}
    assert sorted(by_date) == ["1969-12-31", "1970-01-01"]
    file: DataFile = by_date["1970-01-01"]
    assert (file.rows, file.bounds["published_us"]) == (2, (3, 5))
    assert Path(file.path) == tmp_path / "scores" / file.relative
    assert Path(file.path).stat().st_size == file.size_bytes
