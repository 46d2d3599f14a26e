"""A Parquet file read by columns and read row by row: the same scores, positions, commits, rejections and counts."""

from __future__ import annotations

import json
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashapp.ingest.columns import RowOptions, parse_mapping
from dashapp.ingest.scoring.scorer import load_scorer
from dashapp.ingest.service import Ingest
from dashapp.ingest.sources import parquet
from dashapp.ingest.sources.columnar import Columns
from dashapp.ingest.sources.file import read_columns, read_file
from dashapp.model.time import EpochUs
from tests.stores import examples, open_store, stored_scores

SCORER = load_scorer()
S = 1_400_000_000  # 2014-05-13, in seconds


def ints(kind: pa.DataType, *values: int) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    return kind, st.sampled_from(values)


def texts(*values: str) -> list[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    """The same texts in every type that holds texts."""
    kinds = [pa.string(), pa.string(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
    return [(kind, st.sampled_from(values)) for kind in kinds] + [
        (pa.binary(), st.sampled_from([value.encode() for value in values] + [b"\xff"]))
    ]


TIMES = [
    *(
        ints(pa.timestamp(unit, zone), S * per_s, (S + 1) * per_s, (S + 90_000) * per_s + 1)
        for unit, per_s in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9))
        for zone in ("UTC", "America/New_York", "+05:30")
    ),
    ints(pa.timestamp("us", "UTC"), S * 10**6, -1, -62_135_596_800 * 10**6, 253_402_300_800 * 10**6 - 1, 2**62),
    ints(pa.timestamp("ns", "UTC"), S * 10**9 + 999, -1, -(2**63) + 1, 2**63 - 1),
    ints(pa.timestamp("us", "Mars/Olympus"), S * 10**6),
    ints(pa.timestamp("us"), S * 10**6),
    ints(pa.int64(), S, S * 10**3, S * 10**6 + 1, S * 10**9 + 1, -S, 0),
    ints(pa.int64(), S, 20_140_513, 201_405_131_200, 10**11, 10**17, 2**62),
    ints(pa.int64(), 10**9, 10**10, 10**12, 10**13, 10**15, 10**16, 10**18, 9 * 10**18, 10**9 - 1),
    ints(pa.int64(), *range(S, S + 5)),
    ints(pa.uint64(), S, 2**64 - 1),
    ints(pa.int32(), S, 5),
    (pa.float64(), st.sampled_from([float(S), S + 0.5, float("nan")])),
    (pa.string(), st.sampled_from(["2014-05-13T16:53:20Z", "2014-05-13 16:53:20", "", "yesterday"])),
    (pa.date32(), st.just(date(2014, 5, 13))),
]  # fmt: skip
IDS = [
    *texts("a", "b", "c", "d e", " a", "", "ü", "x" * 512, "x" * 513, "bell\x07", "line\nbreak", "\u00a0b", "~", "!"),
    ints(pa.int64(), 1, 2, -3, 2**62),
    ints(pa.uint64(), 1, 2**64 - 1),
    (pa.float64(), st.sampled_from([1.0, 2.5])),
    (pa.bool_(), st.booleans()),
]
TICKERS = [
    *texts("AAPL", "MSFT", "aapl", "$tsla", " BRK.B ", "AAPL,MSFT", "AAPL AAPL", "", "!", "A" * 25, "['AA']", "^GSPC"),
    (pa.list_(pa.string()), st.lists(st.sampled_from(["AAPL", "MSFT", "?"]), max_size=3)),
    ints(pa.int64(), 700),
]  # fmt: skip
SCORES = [
    (pa.float64(), st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 0.1234565, 0.0000005, 0.0000015, 1.0000001, -2.0])),
    (pa.float64(), st.floats(-1, 1)),
    (pa.float64(), st.floats(-1, 1)),
    (pa.float64(), st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.25])),
    (pa.float32(), st.sampled_from([0.1, 0.3, -0.7, 1.0])),
    ints(pa.int8(), -1, 0, 1, 2),
    ints(pa.int64(), 0, 2**62),
    (pa.string(), st.sampled_from(["0.5", "", "much"])),
    (pa.decimal128(5, 3), st.sampled_from([Decimal("0.125"), Decimal("3.000")])),
    (pa.bool_(), st.booleans()),
]
NUMBERS = [
    (pa.float64(), st.sampled_from([0.0, 0.5, 1.0, 1.5, -0.1, float("nan"), float("inf")])),
    (pa.float32(), st.sampled_from([0.1, 0.9])),
    ints(pa.int64(), 0, 1, 7, 2**60 + 1),
    (pa.string(), st.sampled_from(["0.5", "", "high"])),
    (pa.null(), st.none()),
]
TEXTS = [
    *texts(
        "plain", "$AAPL up", "AT&T &amp; more", "A&B;C", " padded", "tab\tinside", "a\r\nb", "\u2003wide", "wide\u3000",
        "é😀", "nul\x00", "\x9fcontrol", "\x85next", "", "a" * 20_001, "ä" * 15_000, "&#x41;", "ends\n", "in\nside",
        "\x1f", "&;",
    ),
    ints(pa.int64(), 5),
]  # fmt: skip
SOURCES = [
    *texts("wire", "posts", " wire ", "a\nb", "&lt;b&gt;", "s" * 201, "", "\x07"),
    ints(pa.int64(), 5),
    (pa.struct([("title", pa.string())]), st.sampled_from([{"title": "app"}, {"title": None}])),
]
URLS = [
    *texts("https://x.com/a", "HTTP://X", "ftp://x", "", " https://x", "https://a b", "http://ü", "http:" + "/" * 2049),
    ints(pa.int64(), 5),
]  # fmt: skip
COLUMNS = {
    "id": IDS, "ts": TIMES, "ticker": TICKERS, "score": SCORES, "text": TEXTS, "source": SOURCES, "url": URLS,
    "confidence": NUMBERS, "relevance": NUMBERS,
}  # fmt: skip


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """An Arrow array; timestamps are given as whole numbers of their unit, so that any can be."""
    return pa.array(values, pa.int64()).view(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)


def drawn(values: st.SearchStrategy[Any], count: int) -> list[Any]:
    """That many of the values, the same ones every time."""
    found: list[Any] = []

    @settings(max_examples=count, database=None, derandomize=True)
    @given(values)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return (found * count)[:count]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 25))
    optional = [name for name in COLUMNS if name != "ts"]
    names = ["ts", *(name for name in optional if name in ("id", "ticker", "score") or draw(st.booleans()))]
    names = [name for name in names if name == "ts" or draw(st.integers(0, 15))]
    columns = {}
    for name in names:
        # Mostly the first kinds, which are those that columns are read by.
        kind, values = draw(st.one_of(st.sampled_from(COLUMNS[name]), st.just(COLUMNS[name][0])))
        nullable = st.one_of(st.none(), values) if draw(st.booleans()) else values
        columns[name] = array(draw(st.lists(nullable, min_size=rows, max_size=rows)), kind)
    return pa.table(columns)


@st.composite
def options(draw: st.DrawFn) -> RowOptions:
    return RowOptions(
        mapping=draw(st.sampled_from([None, None, None, parse_mapping("score="), parse_mapping("id=")])),
        zone=draw(st.sampled_from([None, None, ZoneInfo("America/New_York")])),
        date_only=draw(st.sampled_from([None, "noon"])),
        source=draw(st.sampled_from([None, "desk"])),
        scorer=draw(st.sampled_from([None, "model@2"])),
    )


def ingested(rows: Any, folder: Path, batch_rows: int) -> dict[str, Any]:
    """Everything that an ingest leaves behind."""
    store = open_store(folder)
    summary = Ingest(store, SCORER, batch_rows=batch_rows, now_us=lambda: EpochUs(0)).run(rows, "file", way="file")
    kept = summary.rejected_file.read_text() if summary.rejected_file else ""
    stored = sorted(stored_scores(store), key=lambda row: row["position"])
    store.close()
    return {
        "counts": (summary.accepted, summary.duplicates, summary.rejected, summary.scores, summary.revision),
        "reasons": summary.rejected_by_reason,
        "rejected": [json.loads(line) for line in kept.splitlines()],
        "stored": stored,
    }


@pytest.fixture(autouse=True)
def _short_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 8)


def same_both_ways(table: pa.Table, how: RowOptions, group_rows: int = 10, batch_rows: int = 6) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.parquet"
        pq.write_table(table, path, row_group_size=group_rows)
        by_row = ingested(read_file(path, options=how), Path(name) / "rows", batch_rows)
        by_column = ingested(read_columns(path, options=how), Path(name) / "columns", batch_rows)
    assert by_column == by_row
    return by_column


@examples(per_hundred=40)
@given(tables(), options(), st.integers(3, 30), st.integers(1, 30))
def test_columns_and_rows_leave_the_same_behind(
    table: pa.Table, how: RowOptions, group_rows: int, batch_rows: int
) -> None:
    same_both_ways(table, how, group_rows, batch_rows)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_kind_of_value_in_one_column_among_clean_ones(name: str) -> None:
    for kind, values in COLUMNS[name]:
        column = [None, *drawn(values, 40)]
        rows = len(column)
        table = pa.table(
            {
                "id": [f"i{number}" for number in range(rows)],
                "ts": pa.array([S * 10**6 + number for number in range(rows)], pa.timestamp("us", "UTC")),
                "ticker": ["AAPL"] * rows,
                "score": [0.5] * rows,
                "text": ["plain"] * rows,
            }
        )
        table = table.drop_columns([name]) if name in table.column_names else table
        same_both_ways(table.append_column(name, array(column, kind)), RowOptions())


def test_clean_rows_are_read_by_columns_and_only_the_others_one_by_one(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a", "b", "c", "d"],
            "published_at": pa.array([S * 10**6] * 4, pa.timestamp("us", "UTC")),
            "ticker": ["AAPL", "AAPL,MSFT", "aapl", "?"],
            "score": [0.5, 0.25, -1.0, 0.5],
            "source": ["wire", None, "wire", "wire"],
            "text": ["plain", "plain", None, "plain"],
        }
    )
    pq.write_table(table, tmp_path / "news.parquet")
    (columns,) = read_columns(tmp_path / "news.parquet")
    assert isinstance(columns, Columns)
    assert columns.scores.select(["item_id", "ticker", "score_e6", "source", "text", "scorer"]).to_pylist() == [
        {"item_id": "a", "ticker": "AAPL", "score_e6": 500_000, "source": "wire", "text": "plain", "scorer": "given@1"},
        {"item_id": "c", "ticker": "AAPL", "score_e6": -1_000_000, "source": "wire", "text": "", "scorer": "given@1"},
    ]
    assert columns.owners.tolist() == [0, 2]
    assert [row for row, _ in columns.others] == [1, 3]


def test_a_damaged_row_group_costs_the_same_rows_both_ways(tmp_path: Path) -> None:
    rows = 30
    table = pa.table(
        {"id": [f"i{n}" for n in range(rows)], "ts": [S] * rows, "ticker": ["A"] * rows, "score": [0.5] * rows}
    )
    path = tmp_path / "damaged.parquet"
    pq.write_table(table, path, row_group_size=10, compression="none", use_dictionary=False)
    metadata = pq.read_metadata(path).row_group(1)
    content = bytearray(path.read_bytes())
    at = metadata.column(0).data_page_offset
    content[at : at + 40] = b"\xff" * 40
    path.write_bytes(content)
    by_row = ingested(read_file(path), tmp_path / "rows", 7)
    by_column = ingested(read_columns(path), tmp_path / "columns", 7)
    assert by_column == by_row
    assert by_column["counts"][:3] == (20, 0, 1)


def test_a_file_cut_short_and_a_file_without_a_time_are_told_the_same_way(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"id": ["a"], "ticker": ["A"], "score": [0.5]}), whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-10])
    assert ingested(read_columns(cut), tmp_path / "columns", 7) == ingested(read_file(cut), tmp_path / "rows", 7)
    told = []
    for read in (read_file, read_columns):
        with pytest.raises(Exception, match="no column holds the time of publication") as error:
            list(read(whole))  # type: ignore[arg-type]
        told.append((type(error.value), str(error.value)))
    assert told[0] == told[1]
