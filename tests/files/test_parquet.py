"""Parquet, whole and broken, as items and rejections that account for every row."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.ingest.columns import RowOptions, parse_mapping
from dashapp.ingest.rejects import Rejection
from dashapp.model.item import Item, Mention
from tests.files.rows import TS, UTC_OPTIONS, Folder, brief, parquet_bytes


def test_parquet_is_read_with_its_types(folder: Folder) -> None:
    moment = datetime(2014, 1, 1, 3, 59, 3, 7, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "ts": pa.array([moment, moment], pa.timestamp("us", "America/New_York")),
            "text": pa.array(["up", None]),
            "tickers": pa.array([["T", "V"], ["T"]], pa.list_(pa.string())),
            "score": pa.array([None, 0.5]),
            "unused": pa.array([[{"a": 1}], None]),
        }
    )
    first, second = folder("a.parquet", parquet_bytes(table))
    assert first.mentions == (Mention("T"), Mention("V"))
    assert (first.published_us, second.published_us) == (1_388_548_743_000_007,) * 2
    assert (second.text, second.mentions) == ("", (Mention("T", score=0.5),))
    assert (first.id, first.source) == ("1", "a")


def test_parquet_times_are_cut_to_microseconds_and_need_a_zone_when_they_have_none(folder: Folder) -> None:
    for zone, options in (("UTC", None), (None, UTC_OPTIONS)):
        ns = pa.array([-1, 1_388_548_743_123_456_789], pa.timestamp("ns", zone))
        rows = folder("a.parquet", parquet_bytes(pa.table({"ts": ns, "text": ["$T", "$T"]})), options=options)
        assert [row.published_us for row in rows if isinstance(row, Item)] == [-1, 1_388_548_743_123_456]
    assert folder.brief("a.parquet", parquet_bytes(pa.table({"ts": ns, "text": ["$T", "$T"]}))) == [
        "1:no_zone",
        "2:no_zone",
    ]
    days = parquet_bytes(pa.table({"id": ["1"], "ts": pa.array([16_071], pa.date32()), "text": ["$T"]}))
    assert folder.brief("a.parquet", days) == ["1:date_only"]
    assert folder.brief("a.parquet", days, options=RowOptions(date_only="start")) == ["1"]


def test_a_value_of_parquet_that_cannot_be_read_costs_its_own_row(folder: Folder) -> None:
    ts = pa.array([0, 2**62, 0], pa.timestamp("ms", "UTC"))
    text = pa.array([b"$T", b"$T", b"\xff"], pa.binary())
    rows = parquet_bytes(pa.table({"id": ["1", "2", "3"], "ts": ts, "text": text}))
    assert folder.brief("a.parquet", rows) == ["1", "2:bad_value", "3:bad_text"]
    strings = pa.array([b"$T", b"\xff"], pa.binary()).view(pa.string())
    rows = parquet_bytes(pa.table({"id": ["1", "2"], "ts": ["2014-01-01T00:00:00Z"] * 2, "text": strings}))
    assert folder.brief("a.parquet", rows) == ["1", "2:bad_value"]


def test_only_the_needed_columns_of_parquet_are_read(folder: Folder) -> None:
    table = pa.table({"meta": [{"at": TS, "x": "y"}], "text": ["$T no!"], "secret": ["s"], "id": ["a\nb"]})
    (rejection,) = folder("a.parquet", parquet_bytes(table), options=RowOptions(mapping=parse_mapping("ts=meta.at")))
    assert isinstance(rejection, Rejection)
    assert json.loads(rejection.raw) == {"meta": {"at": TS, "x": "y"}, "text": "$T no!", "id": "a\nb"}


def test_parquet_that_ends_early_is_one_rejection(folder: Folder) -> None:
    whole = parquet_bytes(pa.table({"ts": [TS], "text": ["$T"]}))
    for cut in (4, 20, len(whole) // 2, len(whole) - 1):
        assert folder.brief("a.parquet", whole[:cut]) == ["1:file_damaged"]
    assert folder.brief("a.parquet", gzip.compress(whole)[:-30]) == ["1:file_damaged"]


def test_a_damaged_row_group_of_parquet_costs_no_other(folder: Folder) -> None:
    table = pa.table({"id": [str(number) for number in range(6)], "ts": [TS] * 6, "text": ["$T"] * 6})
    how = {"row_group_size": 2, "compression": "zstd", "use_dictionary": False}
    data = bytearray(parquet_bytes(table, **how))
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    rows = folder("a.parquet", bytes(data))
    assert [brief(row, folder.path / "a.parquet") for row in rows] == ["0", "1", "3:file_damaged", "4", "5"]
    assert isinstance(rows[2], Rejection)
    assert "2 rows cannot be read" in rows[2].message
