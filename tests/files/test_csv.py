"""CSV, whole and broken, as items and rejections that account for every row."""

from __future__ import annotations

import pytest

from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources.csv import MAX_ROW_LINES
from dashapp.ingest.sources.stream import MAX_ROW_BYTES
from dashapp.model.item import Item
from tests.files.rows import TS, Folder


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
