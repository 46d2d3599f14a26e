"""JSON lines and documents, whole and broken, as items and rejections that account for every row."""

from __future__ import annotations

import gzip
import json

import pytest

from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources.stream import MAX_ROW_BYTES
from tests.files.rows import TS, Folder, line


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


def test_a_line_beyond_the_bound_is_rejected_and_not_held(folder: Folder) -> None:
    content = line(1) + "\n" + line(2, pad="x" * MAX_ROW_BYTES) + "\n" + line(3) + "\n" + "y" * (5 * MAX_ROW_BYTES)
    assert folder.brief("a.jsonl", content) == ["1", "2:row_too_long", "3", "4:row_too_long"]


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
