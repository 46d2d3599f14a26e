"""Scanning bucket files: the same rows as a plain filter over all of them, and errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import StoreDamaged, StoreError
from dashapp.store import durable, scan
from dashapp.store.disk import Disk
from dashapp.store.scan import Scanner, Wanted
from dashapp.store.schema import BUCKET_ROW_SCHEMA, ENCODED_BUCKET_ROW_SCHEMA
from dashapp.store.tables import DataFile
from tests.stores import examples

COLUMNS = ("ticker", "scorer", "start_us", "count", "sources", "sumsq_e12")
TICKERS = ("A", "AA", "B", "Z", "Ünï")  # in the order of the files
SCORERS = ("one@1", "two@1")


def bucket_rows(starts_us: list[int]) -> pa.Table:
    """A bucket for each ticker, scorer and start, in the order of the files."""
    keys = [(ticker, scorer, start_us) for ticker in TICKERS for scorer in SCORERS for start_us in starts_us]
    numbers = list(range(len(keys)))
    texts = [f"id{number}" for number in numbers]
    values = {
        "ticker": [key[0] for key in keys],
        "scorer": [key[1] for key in keys],
        "start_us": [key[2] for key in keys],
        "open_item_id": texts,
        "close_item_id": texts,
        "sources": [sorted({"wire", key[0]}) for key in keys],
    }
    return pa.table(
        [pa.array(values.get(field.name, numbers)).cast(field.type) for field in BUCKET_ROW_SCHEMA],
        schema=BUCKET_ROW_SCHEMA,
    )


def written(path: Path, rows: pa.Table) -> DataFile:
    size_bytes = durable.write_parquet(path, rows, compression="snappy")
    return DataFile(Disk(path.parent), path.name, {}, rows.num_rows, size_bytes, {})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[DataFile]:
    """Two periods in files of row groups that end anywhere within a ticker."""
    folder = tmp_path_factory.mktemp("scan")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "ROW_GROUP_ROWS", 7)
        return [
            written(folder / "first.parquet", bucket_rows(list(range(10)))),
            written(folder / "second.parquet", bucket_rows(list(range(10, 23)))),
        ]


@pytest.mark.parametrize("few_runs", [0, 64])
@given(
    tickers=st.sets(st.sampled_from([*TICKERS, "ABSENT"]), min_size=1),
    scorer=st.sampled_from([*SCORERS, "none@1", None]),
    bounds=st.tuples(st.integers(-2, 25), st.integers(-2, 25)).map(sorted),
)
@examples(50)
def test_a_scan_gives_the_rows_of_a_plain_filter_in_order(
    files: list[DataFile], few_runs: int, tickers: set[str], scorer: str | None, bounds: list[int]
) -> None:
    with mock.patch.object(scan, "_FEW_RUNS", few_runs):
        found = Scanner().rows(files, Wanted(tickers, scorer, bounds[0], bounds[1]), COLUMNS, timeout_ms=60_000)
    whole = bucket_rows(list(range(10))), bucket_rows(list(range(10, 23)))
    expected = [
        row
        for row in pa.concat_tables(whole).to_pylist()
        if row["ticker"] in tickers and scorer in (None, row["scorer"]) and bounds[0] <= row["start_us"] < bounds[1]
    ]
    expected.sort(key=lambda row: (row["ticker"], row["scorer"], row["start_us"]))
    assert found.to_pylist() == [{name: row[name] for name in COLUMNS} for row in expected]
    assert found.schema == pa.schema([BUCKET_ROW_SCHEMA.field(name) for name in COLUMNS])


def test_only_the_row_groups_that_can_hold_a_ticker_are_read(
    files: list[DataFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = scan.pq.ParquetFile.read_row_groups

    def counting(self: object, groups: list[int], **options: object) -> pa.Table:
        read.extend(groups)
        return real(self, groups, **options)

    monkeypatch.setattr(scan.pq.ParquetFile, "read_row_groups", counting)
    found = Scanner().rows(files[:1], Wanted({"A"}, None, 0, 10), ("start_us",), timeout_ms=60_000)
    assert found.num_rows == 20
    assert read == [0, 1, 2]  # of the fifteen groups of seven rows each


def test_a_text_that_is_not_utf8_is_damage(tmp_path: Path) -> None:
    rows = bucket_rows([0])
    broken = pa.array([b"\xff\xfe"] * rows.num_rows, pa.binary()).view(pa.string())
    file = written(tmp_path / "f.parquet", rows.set_column(5, BUCKET_ROW_SCHEMA.field(5), broken))
    with pytest.raises(StoreDamaged, match="cannot be read"):
        Scanner().rows([file], Wanted({"A"}, None, 0, 1), ("open_item_id",), timeout_ms=60_000)


def test_row_groups_of_a_writer_that_keeps_no_bounds_are_read_all(tmp_path: Path) -> None:
    rows = bucket_rows([0, 1, 2])
    path = tmp_path / "f.parquet"
    pq.write_table(rows, path, write_statistics=False, row_group_size=4)
    file = DataFile(Disk(path.parent), path.name, {}, rows.num_rows, 1, {})
    found = Scanner().rows([file], Wanted({"AA"}, "one@1", 1, 9), ("start_us",), timeout_ms=60_000)
    assert found.column("start_us").to_pylist() == [1, 2]


def _nullable(rows: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([field.with_nullable(True) for field in rows.schema]))


def _large_texts(rows: pa.Table) -> pa.Table:
    return rows.set_column(0, "ticker", rows.column(0).cast(pa.large_string()))


def _wide_numbers(rows: pa.Table) -> pa.Table:
    place = rows.column_names.index("open_e6")
    return rows.set_column(place, "open_e6", rows.column(place).cast(pa.int64()))


@pytest.mark.parametrize("other", [_nullable, _large_texts, _wide_numbers, lambda rows: rows.slice(0, 0)])
def test_files_of_other_writers_are_read_beside_ours(tmp_path: Path, other: Callable[[pa.Table], pa.Table]) -> None:
    ours, theirs = bucket_rows([0, 1]), other(bucket_rows([2, 3]))
    path = tmp_path / "theirs.parquet"
    for is_by_the_book in (True, False):  # of what is in a list, others say item, ours element
        pq.write_table(theirs, path, use_compliant_nested_type=is_by_the_book)
        files = [
            written(tmp_path / f"ours{is_by_the_book}.parquet", ours),
            DataFile(Disk(tmp_path), path.name, {}, theirs.num_rows, 1, {}),
        ]
        found = Scanner().rows(files, Wanted({"A"}, "one@1", 0, 9), COLUMNS, timeout_ms=60_000)
        assert found.column("start_us").to_pylist() == [0, 1, 2, 3][: 2 + bool(theirs.num_rows) * 2]
        assert found.column("sources").to_pylist() == [["A", "wire"]] * found.num_rows
        assert found.schema == pa.schema([BUCKET_ROW_SCHEMA.field(name) for name in COLUMNS])
        read = durable.read_parquet(str(path), ENCODED_BUCKET_ROW_SCHEMA)
        assert read.column("sources").to_pylist() == theirs.column("sources").to_pylist()


def test_a_bound_that_is_not_utf8_and_a_column_that_is_missing_are_damage(tmp_path: Path) -> None:
    rows = bucket_rows([0])
    broken = pa.array([b"\xff\xfe"] * rows.num_rows, pa.binary()).view(pa.string())
    for number, table in enumerate(
        [rows.set_column(0, rows.field(0), broken), rows.drop_columns("ticker"), rows.drop_columns("count")]
    ):
        file = written(tmp_path / f"{number}.parquet", table)
        with pytest.raises(StoreDamaged, match=file.relative):
            Scanner().rows([file], Wanted({"A"}, None, 0, 1), COLUMNS, timeout_ms=60_000)


@pytest.mark.parametrize("keep", [0, 4, 400])
def test_a_file_cut_short_is_damage(tmp_path: Path, keep: int) -> None:
    file = written(tmp_path / "f.parquet", bucket_rows([0]))
    Path(file.path).write_bytes(Path(file.path).read_bytes()[:keep])
    with pytest.raises(StoreDamaged, match="cannot be read"):
        Scanner().rows([file], Wanted({"A"}, None, 0, 1), COLUMNS, timeout_ms=60_000)


def test_a_flipped_bit_within_a_page_is_damage(tmp_path: Path) -> None:
    file = written(tmp_path / "f.parquet", bucket_rows(list(range(200))))
    whole = Path(file.path).read_bytes()
    footer_bytes = int.from_bytes(whole[-8:-4], "little") + 8
    wanted = Wanted(set(TICKERS), None, 0, 200)
    right = Scanner().rows([file], wanted, BUCKET_ROW_SCHEMA.names, timeout_ms=60_000)
    found, harmless, told = 0, 0, set[bool]()
    for place in range(4, len(whole) - footer_bytes, 197):
        Path(file.path).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            rows = Scanner().rows([file], wanted, BUCKET_ROW_SCHEMA.names, timeout_ms=60_000)
        except StoreDamaged as error:
            told.add(file.path in str(error))
            found += 1
        else:  # a checksum is of a page, not of what its header says beside it
            assert rows.equals(right)
            harmless += 1
    assert found > 20 * harmless
    assert found > 100
    assert told == {True}


def test_a_file_that_is_gone_is_damage(tmp_path: Path) -> None:
    gone = DataFile(Disk(tmp_path), "gone.parquet", {}, 1, 1, {})
    with pytest.raises(StoreDamaged, match=r"gone\.parquet"):
        Scanner().rows([gone], Wanted({"A"}, None, 0, 1), COLUMNS, timeout_ms=60_000)


def test_a_scan_that_takes_too_long_is_stopped(files: list[DataFile]) -> None:
    with pytest.raises(StoreError, match="took too long"):
        Scanner().rows(files, Wanted({"A"}, None, 0, 1), COLUMNS, timeout_ms=-1)


def test_footers_are_forgotten_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_FOOTERS", 2)
    files = [written(tmp_path / f"{number}.parquet", bucket_rows([number])) for number in range(4)]
    scanner = Scanner()
    for _ in range(2):
        rows = scanner.rows(files, Wanted({"B"}, "two@1", 0, 9), ("start_us",), timeout_ms=60_000)
        assert pc.sum(rows.column("start_us")).as_py() == np.arange(4).sum()
    assert len(scanner._footers) == 2


@pytest.mark.parametrize("how", ["scanned", "read"])
def test_a_file_of_others_with_nulls_where_there_are_none_is_named(tmp_path: Path, how: str) -> None:
    rows = bucket_rows([0])
    place = rows.column_names.index("count")
    field = rows.schema.field("count").with_nullable(True)
    rows = rows.set_column(place, field, pa.array([None, *range(1, rows.num_rows)], pa.int64()))
    pq.write_table(rows, tmp_path / "theirs.parquet")
    file = DataFile(Disk(tmp_path), "theirs.parquet", {}, rows.num_rows, 1, {})
    ways: dict[str, Callable[[], object]] = {
        "scanned": lambda: Scanner().rows([file], Wanted(None, None, 0, 1), COLUMNS, timeout_ms=1_000),
        "read": lambda: durable.read_parquet(file.path, BUCKET_ROW_SCHEMA),
    }
    with pytest.raises(StoreDamaged, match=r"theirs\.parquet.*count has 1 nulls"):
        ways[how]()
