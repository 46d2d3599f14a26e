"""Files of every format, whole and broken, as items and rejections that account for every row."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.errors import BadMapping, UnreadableInput
from dashapp.ingest.columns import RowOptions, parse_mapping
from dashapp.ingest.rejects import REASONS, Rejection
from dashapp.ingest.sources.csv import MAX_ROW_LINES
from dashapp.ingest.sources.file import read_file
from dashapp.ingest.sources.rows import MAX_ROWS_BEFORE_COLUMNS
from dashapp.ingest.sources.stream import MAX_ROW_BYTES
from dashapp.model.item import Item, Mention

TS = "2014-01-01T03:59:03Z"
UTC_OPTIONS = RowOptions(zone=ZoneInfo("UTC"))


class Folder:
    """Writes a file and reads it back as its rows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, name: str, content: bytes | str, **how: object) -> list[Item | Rejection]:
        file = self.path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read_file(file, **how))

    def brief(self, name: str, content: bytes | str, **how: object) -> list[str]:
        """Each row as its id, or as line:reason."""
        return [brief(row, self.path / name) for row in self(name, content, **how)]


def brief(row: Item | Rejection, file: Path) -> str:
    if isinstance(row, Item):
        return row.id
    assert row.place.startswith(f"{file}:")
    assert REASONS[row.reason] in row.message
    json.dumps([row.place, row.message, row.raw]).encode("utf-8")
    for text in (row.place, row.message, row.raw):
        text.encode("utf-8")
    return f"{row.place.removeprefix(str(file))[1:]}:{row.reason}"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def line(number: object, **more: object) -> str:
    return json.dumps({"id": number, "ts": TS, "text": "up", "ticker": "T", **more})


def parquet_bytes(table: pa.Table, **how: object) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, **how)
    return written.getvalue()


# JSON lines.


def test_json_lines_are_read_with_blank_lines_bom_and_crlf(folder: Folder) -> None:
    content = "\ufeff" + line(1) + "\r\n\r\n   \n" + line(2) + "\n\n" + line(3)
    assert folder.brief("a.jsonl", content) == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "A.JSONL", "a.json", "a.txt", "a", "a.jsonl.gz", "a.csv.gz.x"])
def test_json_lines_are_known_by_suffix_or_content(folder: Folder, name: str) -> None:
    content = (line(1) + "\n" + line(2) + "\n").encode()
    assert folder.brief(name, content) == ["1", "2"]
    assert folder.brief(name, gzip.compress(content)) == ["1", "2"]


def test_a_bad_line_never_stops_a_good_one(folder: Folder) -> None:
    content = b"\n".join(
        [
            line(1).encode(),
            b"nonsense",
            b'{"id": 3, "ts": "' + TS.encode() + b'", "text": "cut',
            b"\xff\xfe\x00",
            b'["a", "b"]',
            b"17",
            b"null",
            b"[" * 5_000,
            b'{"id": 9, "ts": "4 hours ago", "text": "up", "ticker": "T"}',
            b'{"id": 10, "ts": "' + TS.encode() + b'", "score": NaN, "ticker": "T"}',
            b'{"id": 11, "ts": "' + TS.encode() + b'", "text": "a\\ud83d b", "ticker": "T"}',
            b'{"id": 12, "ts": "' + TS.encode() + b'", "text": "tab\there", "ticker": "T"}',
            b"1" * 5_000,
            b"{}",
            line(15).encode(),
        ]
    )
    assert folder.brief("a.jsonl", content) == [
        *("1", "2:bad_json", "3:bad_json", "4:invalid_utf8", "5:not_an_object", "6:not_an_object", "7:not_an_object"),
        *("8:bad_json", "9:relative_time", "10:score_nan", "11", "12", "13:bad_json", "14:missing_time", "15"),
    ]


def test_a_rejection_keeps_the_line_as_it_came(folder: Folder) -> None:
    (rejection,) = folder("a.jsonl", b'{"text": "caf\xe9')
    assert isinstance(rejection, Rejection)
    assert rejection.raw == '{"text": "caf\\xe9'
    assert rejection.place == f"{folder.path / 'a.jsonl'}:1"


def test_rows_of_different_columns_are_each_read_by_their_own(folder: Folder) -> None:
    rows = [
        {"id": 1, "created_at": TS, "body": "$T"},
        {"uuid": 2, "time_published": "20140101T035903Z", "title": "$V"},
        {"id": 3, "when": TS, "text": "$T"},
        {"id": 4, "ts": TS, "ticker": "T", "score": 0.5},
    ]
    content = "\n".join(map(json.dumps, rows))
    assert folder.brief("a.jsonl", content) == ["1", "2", "3:missing_time", "4"]


def test_a_line_beyond_the_bound_is_rejected_and_not_held(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    content = line(1) + "\n" + line(2, pad="x" * MAX_ROW_BYTES) + "\n" + line(3) + "\n" + "y" * (5 * MAX_ROW_BYTES)
    assert folder.brief("a.jsonl", content) == ["1", "2:row_too_long", "3", "4:row_too_long"]


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a"])
def test_an_empty_file_has_no_rows(folder: Folder, name: str, content: bytes) -> None:
    assert folder(name, content) == []


# What a file must have.


def test_without_a_column_for_the_time_the_file_is_refused_naming_what_was_found(folder: Folder) -> None:
    rows = "".join(f'broken\n{{"when": 1, "text": "{number}"}}\n' for number in range(3))
    with pytest.raises(BadMapping, match=r"--map ts=COLUMN.*'text', 'when'"):
        folder("a.jsonl", rows)
    with pytest.raises(BadMapping, match=r"--map ts=COLUMN.*'when'"):
        folder("a.csv", "when,text\n")
    with pytest.raises(BadMapping, match=r"--map ts=COLUMN.*'when'"):
        folder("a.parquet", parquet_bytes(pa.table({"when": [1]})))
    with pytest.raises(BadMapping, match=r"--map ts=COLUMN.*'detail'"):
        folder("a.json", '{"detail":"You do not have permission to access the News API"}')


def test_a_mapped_column_that_does_not_occur_is_refused_before_any_item_is_handed_out(folder: Folder) -> None:
    options = RowOptions(mapping=parse_mapping("ts=ts,score=sentimnt"))
    for name, content in (("a.jsonl", line(1)), ("a.csv", f"ts,text\n{TS},$T\n")):
        (folder.path / name).write_text(content)
        with pytest.raises(BadMapping, match=r"'sentimnt' of --map does not occur.*'text', 'ticker'|'sentimnt'"):
            next(read_file(folder.path / name, options=options))


def test_a_mapped_column_may_first_occur_late_but_not_too_late(folder: Folder) -> None:
    options = RowOptions(mapping=parse_mapping("score=mood.value"))
    lines = [line(number) for number in range(MAX_ROWS_BEFORE_COLUMNS - 1)]
    late = "\n".join([*lines, line("late", mood={"value": 0.5})])
    assert folder.brief("a.jsonl", late, options=options)[-1] == "late"
    with pytest.raises(BadMapping, match=r"mood\.value"):
        folder("a.jsonl", "\n".join([line("first"), *lines, late]), options=options)


def test_a_file_of_broken_lines_only_is_no_matter_of_columns(folder: Folder) -> None:
    broken = "nonsense\n" * (MAX_ROWS_BEFORE_COLUMNS + 5)
    rows = folder.brief("a.jsonl", broken + line("good"))
    assert len(rows) == MAX_ROWS_BEFORE_COLUMNS + 6
    assert rows[-1] == "good"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.bin", bytes(range(256)), "no known format"),
        ("a.txt", b"plain words", "no known format"),
        ("a.jsonl", b"PK\x03\x04 zip", "zip archive"),
        ("a.csv", "ts,text\n".encode("utf-16"), "UTF-16"),
        ("a.parquet", line(1).encode(), "not a Parquet file"),
        ("a.parquet", b"", "not a Parquet file"),
        ("a.csv", b'"never closed\n1,2\n', "header"),
        ("a.csv", b"t\xffs,text\n1,2\n", "header"),
    ],
)
def test_what_is_of_no_known_format_is_refused_whole(folder: Folder, name: str, content: bytes, why: str) -> None:
    with pytest.raises(UnreadableInput, match=why) as caught:
        folder(name, content)
    assert name in str(caught.value)


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.jsonl", tmp_path / "nul\0.jsonl"):
        with pytest.raises(UnreadableInput, match="cannot be opened"):
            next(read_file(path))


def test_a_named_format_is_read_whatever_the_name_says(folder: Folder) -> None:
    assert folder.brief("a.csv", line(1), file_format="jsonl") == ["1"]
    assert folder.brief("a.jsonl", f"id,ts,text\n1,{TS},$T\n", file_format="csv") == ["1"]
    assert folder.brief("a.csv", parquet_bytes(pa.table({"id": ["1"], "ts": [TS], "text": ["$T"]}))) == ["1"]


# JSON documents.


def test_an_array_of_rows_is_read_row_by_row(folder: Folder) -> None:
    content = "[\n" + line(1) + ",\n" + line('2"[{,') + ', 3, "x", [4], {}\n, broken, ' + line(7) + "]\n"
    assert folder.brief("a.json", content) == [
        *("1", '2"[{,', "[2]:not_an_object", "[3]:not_an_object", "[4]:not_an_object", "[5]:missing_time"),
        *("[6]:bad_json", "7"),
    ]


@pytest.mark.parametrize("key", ["feed", "news", "messages", "data", "items", "results", "articles"])
def test_the_answer_of_an_api_is_read_by_the_name_of_its_list(folder: Folder, key: str) -> None:
    answer = {
        "count": "2",
        "page": {"next": [1, {"feed": []}], key: []},
        key: [json.loads(line(1)), {"id": 2}],
        "z": [9],
    }
    for layout in ({}, {"indent": 4}, {"separators": (",", ":")}):
        assert folder.brief("a.json", json.dumps(answer, **layout)) == ["1", f"{key}[1]:missing_time"]
        assert folder.brief("a", json.dumps(answer, **layout)) == ["1", f"{key}[1]:missing_time"]


def test_an_empty_answer_has_no_rows(folder: Folder) -> None:
    assert folder("a.json", '{"items": "0", "feed": []}') == []
    assert folder("a.json", "[]") == []


def test_documents_may_follow_each_other_and_run_over_lines(folder: Folder) -> None:
    pretty = [json.dumps(json.loads(line(number)), indent=2) for number in (1, 2)]
    assert folder.brief("a.json", "\n".join(pretty)) == ["1", "2"]
    assert folder.brief("a.json", "[" + line(1) + "]\n[" + line(2) + "] stray " + line(3)) == [
        "1",
        "2",
        "[0]:bad_json",
        "3",
    ]


def test_one_object_on_a_line_is_an_item_even_with_a_list_of_that_name(folder: Folder) -> None:
    assert folder.brief("a.json", line(1, data=[1, 2]) + "\n" + line(2)) == ["1", "2"]


def test_a_document_that_ends_early_gives_its_whole_rows_and_says_so(folder: Folder) -> None:
    whole = '{"feed": [' + line(1) + ", " + line(2) + "]}"
    assert folder.brief("a.json", whole[:-1]) == ["1", "2", "[0]:file_damaged"]
    assert folder.brief("a.json", whole[:-3]) == ["1", "feed[1]:file_damaged"]
    assert folder.brief("a.json", whole[: whole.index('"id": 2')]) == ["1", "feed[1]:file_damaged"]


def test_a_row_of_a_document_beyond_the_bound_is_rejected_and_not_held(folder: Folder) -> None:
    content = "[" + line(1) + "," + line(2, pad="x" * (3 * MAX_ROW_BYTES)) + "," + line(3) + "]"
    assert folder.brief("a.json", content) == ["1", "[1]:row_too_long", "3"]


class Pieces(io.BytesIO):
    """Standard input that hands out a few bytes at a time, as a pipe may."""

    size_bytes = 1

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self.size_bytes, size or self.size_bytes))


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["jsonl", "document", "csv", "parquet"])
def test_standard_input_may_come_in_pieces_of_any_size(
    monkeypatch: pytest.MonkeyPatch, form: str, packed: bool, size_bytes: int
) -> None:
    texts = ['say "hi"\\', "über\nzwei", "[{,}]"]
    rows = [{"id": str(number), "ts": TS, "text": text, "ticker": "T"} for number, text in enumerate(texts)]
    content = {
        "jsonl": "\ufeff" + "\r\n".join(json.dumps(row) for row in rows),
        "document": '\ufeff{"a": {"news": [1]}, "news" : ' + json.dumps(rows) + "}",
        "csv": "\ufeffid,ts,text,ticker\n"
        + "".join(f'{row["id"]},{TS},"{row["text"].replace(chr(34), chr(34) * 2)}",T\r\n' for row in rows),
        "parquet": parquet_bytes(pa.Table.from_pylist(rows)),
    }[form]
    data = content.encode() if isinstance(content, str) else content
    pieces = Pieces(gzip.compress(data) if packed else data)
    pieces.size_bytes = size_bytes
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pieces))
    read = list(read_file("-"))
    assert [row.text if isinstance(row, Item) else row for row in read] == texts
    assert {row.source for row in read if isinstance(row, Item)} == {"stdin"}


# CSV.


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_is_read_with_the_separator_of_its_header(folder: Folder, separator: str) -> None:
    rows = [["id", "ts", "text"], ["1", TS, "$T"], ["2", TS, "$V"]]
    content = "".join(separator.join(row) + "\r\n" for row in rows)
    assert folder.brief("a.csv", content) == ["1", "2"]
    assert folder.brief("a.txt", content) == ["1", "2"]


def test_csv_fields_may_hold_separators_quotes_and_newlines(folder: Folder) -> None:
    content = f'id,ts,text\n1,{TS},"$T, ""up""\n\nand, away"\n\n2,{TS},$T 5" drive\n'
    assert [row.text for row in folder("a.csv", content)] == ['$T, "up"\n\nand, away', '$T 5" drive']


def test_a_bad_row_of_csv_never_stops_a_good_one(folder: Folder) -> None:
    content = b"".join(
        [
            b"id,ts,text\n",
            b"2,%s,$T\n" % TS.encode(),
            b"3,%s\n" % TS.encode(),
            b"4,%s,$T,more\n" % TS.encode(),
            b"5,%s,$T caf\xe9\n" % TS.encode(),
            b'6,%s,"$T\xff\nsecond"\n' % TS.encode(),
            b'8,%s,"$T" after\n' % TS.encode(),
            b"9,%s,$T\n" % TS.encode(),
            b"10,%s,%s\n" % (TS.encode(), b"x" * MAX_ROW_BYTES),
            b"11,%s,no ticker\n" % TS.encode(),
            b"12,%s,$T\x00\n" % TS.encode(),
        ]
    )
    assert folder.brief("a.csv", content) == [
        *("2", "3:wrong_field_count", "4:wrong_field_count", "5:invalid_utf8", "6:invalid_utf8", "8:bad_csv", "9"),
        *("10:row_too_long", "11:no_ticker", "12"),
    ]


@pytest.mark.parametrize("rows_after", [3, MAX_ROW_LINES + 3])
def test_a_quote_that_is_never_closed_costs_its_own_row_only(folder: Folder, rows_after: int) -> None:
    content = f'id,ts,text\n1,{TS},$T\nx,{TS},"$T never closed\n' + "".join(
        f"{number},{TS},$T\n" for number in range(rows_after)
    )
    assert folder.brief("a.csv", content) == ["1", "3:bad_csv", *map(str, range(rows_after))]


def test_a_quote_too_many_does_not_hide_the_next_row_in_its_text(folder: Folder) -> None:
    content = f'id,ts,text\n1,{TS},"$T up\n2,{TS},"$V down"\n3,{TS},$T\n'
    assert folder.brief("a.csv", content) == ["2:bad_csv", "2", "3"]


def test_of_two_csv_columns_of_one_name_the_first_counts(folder: Folder) -> None:
    (item,) = folder("a.csv", f"ts, text ,text\n{TS},$T first,$V second\n")
    assert isinstance(item, Item)
    assert item.text == "$T first"


def test_a_csv_with_a_row_for_each_ticker_gives_one_item_id(folder: Folder) -> None:
    rows = folder("a.csv", f"ts,ticker,text\n{TS},T,up\n{TS},V,up\n{TS},,up\n")
    assert len({row.id for row in rows if isinstance(row, Item)}) == 1
    assert isinstance(rows[2], Rejection)


# Parquet.


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


# Gzip.


def test_gzip_may_have_several_members_and_padding(folder: Folder) -> None:
    members = gzip.compress((line(1) + "\n").encode()) + gzip.compress(b"", mtime=0) + gzip.compress(line(2).encode())
    assert folder.brief("a.jsonl.gz", members + b"\0" * 100) == ["1", "2"]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
def test_gzip_that_ends_early_gives_its_whole_rows_and_says_so(folder: Folder, name: str) -> None:
    numbers = range(5_000)
    content = {
        "a.jsonl.gz": "\n".join(map(line, numbers)),
        "a.json.gz": "[" + ",".join(map(line, numbers)) + "]",
        "a.csv.gz": "id,ts,text\n" + "\n".join(f"{number},{TS},$T" for number in numbers),
    }[name]
    packed = gzip.compress(content.encode())
    for cut, least in ((len(packed) // 2, 1_000), (len(packed) - 1, 4_999)):
        *rows, last = folder.brief(name, packed[:cut])
        assert last.endswith(":file_damaged")
        assert len(rows) >= least
        assert rows == list(map(str, range(len(rows))))


def test_damaged_gzip_says_that_rows_before_may_be_wrong(folder: Folder) -> None:
    packed = bytearray(gzip.compress("\n".join(map(line, range(5_000))).encode()))
    packed[len(packed) // 2] ^= 0xFF
    *rows, last = folder("a.jsonl.gz", bytes(packed))
    assert len(rows) > 1_000
    assert isinstance(last, Rejection)
    assert last.reason == "file_damaged"
    assert "may be wrong" in last.message


def test_a_little_gzip_that_unpacks_to_much_is_read_in_flat_memory(folder: Folder) -> None:
    (folder.path / "a.jsonl").write_bytes(gzip.compress(b"x" * (200 << 20)))
    tracemalloc.start()
    try:
        rows = list(read_file(folder.path / "a.jsonl"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row.reason for row in rows if isinstance(row, Rejection)] == ["row_too_long"]
    assert peak_bytes < 20 << 20


@pytest.mark.parametrize("form", ["jsonl", "document", "csv"])
def test_memory_does_not_grow_with_the_file(folder: Folder, form: str) -> None:
    def peak_bytes(count: int) -> int:
        file = folder.path / f"{count}.{'json' if form == 'document' else form}"
        with file.open("w") as out:
            out.write({"jsonl": "", "document": "[", "csv": "id,ts,text\n"}[form])
            for number in range(count):
                text = "$T " + "x" * 200
                out.write(f"{number},{TS},{text}\n" if form == "csv" else line(number, text=text))
                out.write("" if form == "csv" else "\n" if form == "jsonl" else "," if number < count - 1 else "]")
        tracemalloc.start()
        try:
            assert sum(isinstance(row, Item) for row in read_file(file)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak_bytes(3_000), peak_bytes(9_000)
    assert large < 1.2 * small + 500_000


# Progress.


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.csv", "a.parquet"])
def test_progress_rises_to_the_size_of_the_file(folder: Folder, name: str) -> None:
    numbers = range(10_000)
    lines = "\n".join(map(line, numbers))
    content = {
        "a.jsonl": lines.encode(),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "a.json": ("[" + lines.replace("\n", ",") + "]").encode(),
        "a.csv": ("id,ts,text\n" + "\n".join(f"{number},{TS},$T" for number in numbers)).encode(),
        "a.parquet": parquet_bytes(pa.table({"ts": [TS] * 10_000, "text": ["$T"] * 10_000})),
    }[name]
    seen: list[tuple[int, int | None]] = []
    rows = folder(name, content, progress=lambda done, total: seen.append((done, total)))
    assert len(rows) == 10_000
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(content), len(content))
    assert {total for _, total in seen} == {len(content)}


def test_progress_of_a_pipe_has_no_total(monkeypatch: pytest.MonkeyPatch) -> None:
    data = line(1).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    seen: list[tuple[int, int | None]] = []
    assert len(list(read_file("-", progress=lambda done, total: seen.append((done, total))))) == 1
    assert seen == [(len(data), None)]


# Real data.


def items(rows: Iterator[Item | Rejection]) -> list[Item]:
    read = list(rows)
    assert [row for row in read if isinstance(row, Rejection)] == []
    return [row for row in read if isinstance(row, Item)]


def test_every_real_tweet_becomes_an_item(real_data: Path) -> None:
    tweets = items(read_file(real_data / "tweets_2014" / "slim_dev_2014.jsonl.gz"))
    assert len(tweets) == 48_894
    assert sum(len(tweet.mentions) for tweet in tweets) == 48_894
    assert len({(tweet.id, tweet.mentions[0].ticker) for tweet in tweets}) == 48_860
    assert len({tweet.mentions[0].ticker for tweet in tweets}) == 86
    assert not any("&amp;" in tweet.text or "&#39;" in tweet.text for tweet in tweets)
    assert {tweet.source for tweet in tweets} == {"slim_dev_2014"}


def test_without_their_ticker_column_real_tweets_count_by_their_cashtags(real_data: Path) -> None:
    options = RowOptions(mapping=parse_mapping("ticker="))
    rows = list(read_file(real_data / "tweets_2014" / "slim_dev_2014.jsonl.gz", options=options))
    found = [row for row in rows if isinstance(row, Item)]
    assert len(rows) == 48_894
    assert {row.reason for row in rows if isinstance(row, Rejection)} == {"no_ticker"}
    assert len(found) > 40_000
    dollars = [row for row in found if "U$D" in row.text and "D" in {mention.ticker for mention in row.mentions}]
    assert all("$D " in row.text.replace("U$D", "") + " " or "$d" in row.text for row in dollars)


def test_the_real_alpha_vantage_answer_gives_every_given_score(real_data: Path) -> None:
    file = real_data / "alphavantage" / "mock_news_an_sentiment.json"
    news = items(read_file(file, options=UTC_OPTIONS))
    feed = json.loads(file.read_text())["feed"]
    assert len(news) == 56
    assert sum(len(item.mentions) for item in news) == 1_591
    assert [(mention.ticker, mention.score, mention.relevance) for item in news for mention in item.mentions] == [
        (given["ticker"], float(given["ticker_sentiment_score"]), float(given["relevance_score"]))
        for entry in feed
        for given in entry["ticker_sentiment"]
    ]
    assert {item.scorer for item in news} == {"given@1"}
    assert len({item.id for item in news}) == 56
    assert {row.reason for row in read_file(file) if isinstance(row, Rejection)} == {"no_zone"}


def test_the_real_stocktwits_messages_are_read(real_data: Path) -> None:
    for file in sorted((real_data / "stocktwits").glob("*.json")):
        messages = json.loads(file.read_text())
        read = items(read_file(file))
        assert [item.id for item in read] == [str(message["id"]) for message in messages]
        assert [[mention.ticker for mention in item.mentions] for item in read] == [
            [symbol["symbol"] for symbol in message["symbols"]] for message in messages
        ]


def test_the_real_tiingo_answers_are_read_and_a_refusal_is_refused(real_data: Path, folder: Folder) -> None:
    recorded = (real_data / "tiingo" / "news.yaml").read_text()
    (news,) = folder("news.json", recorded.split("body: {string: '")[1].split("'}\n")[0])
    assert isinstance(news, Item)
    assert [mention.ticker for mention in news.mentions] == ["GOOGL", "AAPL", "AMZN", "MSFT", "NFLX", "FB"]
    assert (news.id, news.published_us, news.source) == ("0", 1_452_553_980_000_000, "cnbc.com")
    assert news.text.startswith("Tech giants may be stronger than you think\nTechnology companies could soon rebound")
    refusal = (real_data / "tiingo" / "news_bulk.yaml").read_text()
    with pytest.raises(BadMapping, match="'detail'"):
        folder("refusal.json", refusal.split("body: {string: '")[1].split("'}\n")[0])
