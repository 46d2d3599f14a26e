"""What a file must be and have to be read: a format that is known, and the columns that are asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from dashapp.errors import BadMapping, UnreadableInput
from dashapp.ingest.columns import RowOptions, parse_mapping
from dashapp.ingest.sources.file import read_file
from dashapp.ingest.sources.rows import MAX_ROWS_BEFORE_COLUMNS
from tests.files.rows import TS, Folder, line, parquet_bytes


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a"])
def test_an_empty_file_has_no_rows(folder: Folder, name: str, content: bytes) -> None:
    assert folder(name, content) == []


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
    contents = {"a.jsonl": (line(1), "'ticker', 'ts'"), "a.csv": (f"ts,text\n{TS},$T\n", "'text', 'ts'")}
    for name, (content, found) in contents.items():
        (folder.path / name).write_text(content)
        with pytest.raises(BadMapping, match=f"'sentimnt' of --map does not occur.*{found}"):
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
