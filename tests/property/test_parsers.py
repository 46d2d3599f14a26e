"""Whatever stands in a file: only the promised errors, an account of every row, and one meaning in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dashapp.errors import BadMapping, RowRejected, UnreadableInput
from dashapp.ingest.columns import RowOptions, complete_mapping, parse_mapping, row_to_item
from dashapp.ingest.rejects import MAX_RAW_CHARS, REASONS, Rejection
from dashapp.ingest.sources.file import FileFormat, read_file
from dashapp.ingest.times import DateOnly, parse_time
from dashapp.model.item import MAX_ID_CHARS, MAX_TEXT_CHARS, Item
from dashapp.model.ticker import normalise_ticker
from dashapp.model.time import MAX_US, MIN_US, from_datetime, to_datetime

TS = "2014-01-01T03:59:03Z"
ALL = RowOptions(zone=ZoneInfo("Europe/Berlin"), date_only="noon")

# Bytes that have meaning to a reader, mixed with any others.
TELLING = [
    *(b"\n", b"\r\n", b'"', b"\\", b",", b";", b"\t", b"{", b"}", b"[", b"]", b":", b"\xef\xbb\xbf", b"\xff", b"\0"),
    *(b'"ts"', b'"text"', b'{"feed": [', b"PAR1", b"\x1f\x8b\x08", b"ts,text,ticker\n", b"NaN", b"\xed\xa0\x80"),
    *(b'{"ts": "2014-01-01T03:59:03Z", "text": "$T"}\n', b"2014-01-01T03:59:03Z,$T,T\n", b"\\ud800", b"1e999", b'""'),
]
anything = st.lists(st.sampled_from(TELLING) | st.binary(max_size=12), max_size=30).map(b"".join)


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(data))):
        yield


def read(data: bytes, file_format: FileFormat | None = None, options: RowOptions = ALL) -> list[Item | Rejection]:
    with standard_input(data):
        rows = list(read_file("-", file_format=file_format, options=options))
    for row in rows:
        check(row)
    return rows


def check(row: Item | Rejection) -> None:
    """What holds of every row, whatever it was made of."""
    if isinstance(row, Rejection):
        assert row.place.startswith("stdin:")
        assert row.reason in REASONS
        assert len(row.raw) <= MAX_RAW_CHARS
        json.dumps([row.place, row.message, row.raw], ensure_ascii=False).encode("utf-8")
        return
    assert MIN_US <= row.published_us <= MAX_US
    assert 1 <= len(row.id) <= MAX_ID_CHARS
    assert len(row.text) <= MAX_TEXT_CHARS
    assert row.text == row.text.strip()
    for text in (row.id, row.text, row.source, row.url or ""):
        text.encode("utf-8")
        assert not any(ord(character) < 32 and character not in "\n\t" for character in text)
    assert row.source
    tickers = [mention.ticker for mention in row.mentions]
    assert tickers
    assert tickers == list(dict.fromkeys(map(normalise_ticker, tickers)))
    for mention in row.mentions:
        assert mention.score is None or -1 <= mention.score <= 1
        assert row.text or mention.score is not None
    assert (row.scorer is not None) == any(mention.score is not None for mention in row.mentions)


@given(anything, st.sampled_from([None, "jsonl", "csv", "parquet"]), st.booleans())
@example(b"PAR1", "parquet", False)
@example(b'"', "csv", False)
@example(b'{"":', None, False)
@example(b"\x1f\x8b", None, False)
def test_any_bytes_are_read_or_refused_by_the_promised_errors(
    data: bytes, file_format: FileFormat | None, packed: bool
) -> None:
    try:
        read(gzip.compress(data, 1) if packed else data, file_format)
    except (UnreadableInput, BadMapping) as error:
        str(error).encode("utf-8")


@given(anything, st.booleans())
def test_every_line_of_json_lines_that_is_not_blank_is_one_item_or_one_rejection(data: bytes, packed: bool) -> None:
    data = b'{"ts": 0}\n' + data
    lines = [number for number, line in enumerate(data.split(b"\n"), 1) if line.strip(b" \t\r\x0b\x0c")]
    rows = read(gzip.compress(data, 1) if packed else data, "jsonl")
    assert len(rows) == len(lines)
    places = [row.place for row in rows if isinstance(row, Rejection)]
    assert set(places) <= {f"stdin:{number}" for number in lines}
    assert len(places) == len(set(places))


@given(anything, st.data())
def test_a_cut_anywhere_changes_no_row_before_it(data: bytes, choice: st.DataObject) -> None:
    whole = b'{"ts": 0}\n' + data
    cut = choice.draw(st.integers(10, len(whole)))
    before = read(whole, "jsonl")
    after = read(whole[:cut], "jsonl")
    complete = sum(1 for line in whole[:cut].split(b"\n")[:-1] if line.strip(b" \t\r\x0b\x0c"))
    assert after[:complete] == before[:complete]
    assert len(after) - complete in (0, 1)


@given(anything)
def test_every_good_line_of_csv_survives_whatever_stands_between(noise: bytes) -> None:
    good = [b"good%d,2014-01-01T03:59:03Z,$T\n" % number for number in range(3)]
    # The row after the noise may end a quote that the noise began; the next ones must be there.
    rows = read(
        b"id,ts,text\n" + good[0] + noise + b"\n" + b"".join(good[1:]) + b"end,2014-01-01T03:59:03Z,$T\n", "csv"
    )
    ids = [row.id for row in rows if isinstance(row, Item)]
    assert ids[0] == "good0"
    assert ids[-1] == "end"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "id",
        "ts",
        "date",
        "text",
        "title",
        "summary",
        "ticker",
        "symbols",
        "ticker_sentiment",
        "score",
        "confidence",
        "relevance",
        "source",
        "url",
        "x",
    ]
)
times = st.sampled_from([TS, 1_388_548_743, "Wed, 02 Oct 2002 13:00:00 GMT", "20140101T035903", "2014-01-01"])
plausible = st.fixed_dictionaries(
    {"ts": times | json_values},
    optional={
        "id": st.integers() | st.text(max_size=10) | json_values,
        "text": st.text(max_size=40) | st.just("$T &amp; $MSFT") | json_values,
        "ticker": st.sampled_from(["T", "T,V", ["t", "v"], [{"symbol": "T", "score": "0.5"}]]) | json_values,
        "score": st.floats(-1, 1) | st.sampled_from(["0.5", "", None]) | json_values,
        "source": st.text(max_size=5) | st.just({"title": "A"}) | json_values,
        "url": st.just("https://x.y/z") | json_values,
        "confidence": st.floats(0, 1) | json_values,
    },
)


@given(plausible | st.dictionaries(names, json_values, max_size=8))
def test_any_object_is_one_item_or_one_rejection(row: dict[str, object]) -> None:
    try:
        check(row_to_item(row, complete_mapping(None, row), ALL))
    except RowRejected as error:
        check(Rejection("stdin:1", error.reason, str(error), ""))


@given(st.lists(plausible, max_size=6), st.integers(0, 4), st.sampled_from(["", "feed"]), st.integers(1, 40))
def test_a_document_gives_the_rows_of_json_lines_however_it_is_laid_out_and_cut(
    values: list[dict[str, Any]], indent: int, name: str, piece_bytes: int
) -> None:
    lines = "\n".join(map(json.dumps, values)).encode()
    body = {"status": [1, {"feed": [2]}], name: values, "next": "[{"} if name else values
    document = json.dumps(body, indent=indent or None).encode()
    expected = read(lines, "jsonl")

    class Pieces(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return self.read(piece_bytes)

    with mock.patch.object(sys, "stdin", io.TextIOWrapper(Pieces(document))):
        rows = list(read_file("-", options=ALL))
    assert [strip(row) for row in rows] == [strip(row) for row in expected]


def strip(row: Item | Rejection) -> object:
    return row if isinstance(row, Item) else (row.reason, row.message)


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=30)
records = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=8),
        "ts": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "text": printable | st.sampled_from(['"', '""', 'a "b" c', ",", "$T\n\n,", "&amp;quot;"]),
        "ticker": st.sampled_from(["T", "AAPL, MSFT", "$t", "", "BRK-A|V"]),
        "score": st.sampled_from(["", "0.5", "-1", "2", "nan"]),
    }
)


@given(st.lists(records, min_size=1, max_size=6))
def test_the_same_rows_mean_the_same_in_every_format(rows: list[dict[str, str]]) -> None:
    as_csv = io.StringIO(newline="")
    writer = csv.DictWriter(as_csv, list(rows[0]), lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    as_parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), as_parquet)
    expected = [strip(row) for row in read("\n".join(map(json.dumps, rows)).encode(), "jsonl")]
    assert [strip(row) for row in read(json.dumps(rows).encode())] == expected
    assert [strip(row) for row in read(as_csv.getvalue().encode("utf-8"), "csv")] == expected
    assert [strip(row) for row in read(as_parquet.getvalue())] == expected
    assert [strip(row) for row in read(gzip.compress(as_parquet.getvalue(), 1))] == expected


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_damaged_parquet_is_read_or_rejected(rows: list[dict[str, str]], choice: st.DataObject) -> None:
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), written, row_group_size=2, compression="zstd")
    data = bytearray(written.getvalue())
    cut = choice.draw(st.integers(4, len(data)))
    try:
        read(bytes(data[:cut]))
        at = choice.draw(st.integers(4, len(data) - 9))  # the length of the layout and the mark at the end stay whole
        data[at] ^= choice.draw(st.integers(1, 255))
        read(bytes(data))
    except BadMapping:
        pass  # the damage hit the names of the columns


def outcome(value: object, *, zone: ZoneInfo | None = None, date_only: DateOnly | None = None) -> int | str:
    """The time a value means, or the reason why it is rejected."""
    try:
        return parse_time(value, zone=zone, date_only=date_only)
    except RowRejected as error:
        return error.reason


zones = st.sampled_from(
    ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]
)
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001 - given a zone below
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moments, offsets, st.sampled_from(["T", " "]), st.sampled_from(["", " "]))
def test_iso_times_read_back_with_any_offset(naive: datetime, offset: timezone, mark: str, blank: str) -> None:
    moment = naive.replace(tzinfo=offset)
    expected = from_datetime(moment)
    text = moment.isoformat(mark)
    assert parse_time(text[:-6] + blank + text[-6:], zone=None, date_only=None) == expected
    assert parse_time(moment, zone=None, date_only=None) == expected
    basic = moment.isoformat().replace("-", "").replace(":", "").split(".")[0][:15]
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    sign = "-" if moment.utcoffset() < timedelta(0) else "+"
    away = abs(moment.utcoffset()) // timedelta(minutes=1)
    text = f"{basic}{fraction}{sign}{away // 60:02d}{away % 60:02d}"
    assert parse_time(text, zone=None, date_only=None) == expected


@given(moments, offsets)
def test_mail_and_twitter_times_read_back(naive: datetime, offset: timezone) -> None:
    moment = naive.replace(microsecond=0, tzinfo=offset)
    assume(moment.year >= 1000)  # C libraries do not agree on zeros before the year
    assert parse_time(format_datetime(moment), zone=None, date_only=None) == from_datetime(moment)
    twitter = f"{moment:%a %b %d %H:%M:%S %z} {moment.year:04d}"
    assert parse_time(twitter, zone=None, date_only=None) == from_datetime(moment)


@given(moments, zones)
def test_a_local_time_reads_back_or_never_was(naive: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    local = naive.replace(tzinfo=zone)
    back = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    expected = from_datetime(local) if back == naive else "nonexistent_time"
    assert outcome(naive.isoformat(), zone=zone) == expected
    assert outcome(naive, zone=zone) == expected


@given(st.integers(100_000_000_001_000, 9_999_999_999_990_000), st.sampled_from([1, -1]))
def test_one_moment_as_a_number_in_any_unit_is_one_moment(size_us: int, sign: int) -> None:
    moment_us = sign * size_us
    in_us = {
        parse_time(value, zone=None, date_only=None)
        for value in (moment_us, str(moment_us), moment_us * 1_000, moment_us * 1_000 + 999)
    }
    assert in_us == {moment_us}
    whole_ms = moment_us // 1_000
    assert parse_time(whole_ms, zone=None, date_only=None) == whole_ms * 1_000
    seconds = f"{'-' if sign < 0 else ''}{size_us // 1_000_000}.{size_us % 1_000_000:06d}"
    assert parse_time(seconds, zone=None, date_only=None) == moment_us
    if size_us < 2**33 * 1_000_000:  # from 2242 on a float of seconds cannot hold microseconds
        assert parse_time(to_datetime(moment_us).timestamp(), zone=None, date_only=None) == moment_us


@given(json_values | st.text(max_size=70) | st.from_regex(r"[0-9TZ:+./ -]{1,40}", fullmatch=True))
def test_any_value_is_a_time_or_rejected_and_no_option_changes_one_that_needs_none(value: object) -> None:
    loose = outcome(value, zone=ALL.zone, date_only="noon")
    strict = outcome(value)
    if isinstance(loose, int):
        assert MIN_US <= loose <= MAX_US
        assert strict in (loose, "no_zone", "date_only", "ambiguous_time")
    else:
        assert loose in REASONS
        assert strict in (loose, "no_zone", "date_only", "ambiguous_time")


@given(st.text(max_size=60))
def test_any_mapping_is_understood_or_refused(text: str) -> None:
    try:
        mapping = parse_mapping(text)
    except BadMapping as error:
        str(error).encode("utf-8")
    else:
        assert complete_mapping(mapping, []) == mapping
