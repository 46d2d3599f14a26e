"""Whatever is sent or asked, against every parser that meets it first: steered by what of the code each input reaches.

    python -m tests.fuzz.parsers --seconds 300 --corpus FOLDER

Needs atheris. The first byte of an input chooses the parser, the rest is what it is given. An error that is none of
those promised, or a row that breaks what holds of all rows, ends it and leaves the input in FOLDER.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dashapp"]):
    from dashapp.api.events import parse_event_id
    from dashapp.api.upload import BodyMemory, unpack
    from dashapp.errors import BadMapping, RowRejected, TooLarge, UnreadableInput, UsageError
    from dashapp.ingest.columns import complete_mapping, parse_mapping
    from dashapp.ingest.mentions import parse_score
    from dashapp.ingest.sources.push import read_push
    from dashapp.ingest.text import clean_text, decode_entities
    from dashapp.ingest.times import parse_time
    from dashapp.model.resolution import parse_resolution
    from dashapp.model.ticker import cashtags, normalise_ticker
    from dashapp.model.time import MAX_US, MIN_US, parse_iso
    from dashapp.model.variant import parse_variant
    from dashapp.query.answer import open_range, parse_cursor
    from tests.property.test_parsers import ALL, check, read

from dashapp.model.item import Item

SEEDS = (
    b'{"ts": "2014-01-01T03:59:03Z", "text": "$T &amp; $MSFT rise"}\n{"ts": 1388548743, "ticker": "T,V", "score": 1}',
    b'[{"published_at": "Wed, 02 Oct 2002 13:00:00 GMT", "title": "a", "symbols": ["T"]}, {"ts": "NaN"}, 1e999]',
    b'{"feed": [{"time_published": "20140101T035903", "ticker_sentiment": [{"ticker": "T"}]}], "next": null}',
    b'id,ts,text,ticker\n1,2014-01-01T03:59:03Z,"a ""b"" c",T\n2,2014-01-01,"x\ny",AAPL|V\n',
    b"ts=created_at,text=title+summary,ticker=symbols",
    b"2024-02-29T23:59:60.123456+05:30",
    b"Sat Mar 01 12:00:00 +0000 2014",
    b"&lt;b&gt;$AAPL&#x24;MSFT&#0;&nbsp;&ampamp;",
    b"12-3-1700000000000",
    b"s-1700000000000000",
)
_MEMORY_BYTES = 10_000_000


def push(data: bytes) -> None:
    """A body of a push."""
    try:
        rows = read_push(data, "stdin", max_items=50, max_scores=200)
    except TooLarge:
        return
    for row in rows:
        if isinstance(row, Item):
            check(row)


def file(data: bytes) -> None:
    """A file of any format."""
    for form in (None, "jsonl", "csv"):
        try:
            read(data, form)  # type: ignore[arg-type]
        except (UnreadableInput, BadMapping) as error:
            str(error).encode("utf-8")


def packed(data: bytes) -> None:
    """A packed body."""
    for packing in ("gzip", "deflate"):
        with BodyMemory(_MEMORY_BYTES).share() as share:
            try:
                assert len(unpack(data, packing, share, max_bytes=100_000)) <= 100_000
            except UsageError as error:
                str(error).encode("utf-8")
    with BodyMemory(_MEMORY_BYTES).share() as share:
        assert unpack(gzip.compress(data, 1), "gzip", share, max_bytes=len(data)) == data


def time(data: bytes) -> None:
    """A time of a row."""
    text = data.decode("utf-8", "surrogateescape")
    for zone, date_only in ((ALL.zone, ALL.date_only), (None, None)):
        try:
            assert MIN_US <= parse_time(text, zone=zone, date_only=date_only) <= MAX_US
        except RowRejected as error:
            str(error).encode("utf-8")


def words(data: bytes) -> None:
    """A text: its entities, its cashtags; and a score and a mapping, which are short texts too."""
    text = data.decode("utf-8", "replace")
    decode_entities(text)
    for ticker in cashtags(clean_text(text)):
        assert normalise_ticker(ticker) == ticker
    try:
        value = parse_score(text)
        assert value is None or -1 <= value <= 1
    except RowRejected as error:
        str(error).encode("utf-8")
    try:
        mapping = parse_mapping(text)
    except BadMapping as error:
        str(error).encode("utf-8")
    else:
        assert complete_mapping(mapping, []) == mapping


def asked(data: bytes) -> None:
    """A parameter of the API."""
    text = data.decode("utf-8", "replace")
    half = len(text) // 2
    for parse in (parse_event_id, parse_cursor, parse_iso, parse_resolution, parse_variant, normalise_ticker):
        try:
            parse(text)  # type: ignore[operator]
        except UsageError as error:
            str(error).encode("utf-8")
    try:
        start_us, end_us = open_range(text[:half] or None, text[half:] or None)
        assert MIN_US <= start_us < end_us <= MAX_US + 1
    except UsageError as error:
        str(error).encode("utf-8")


TARGETS: tuple[Callable[[bytes], None], ...] = (push, file, packed, time, words, asked)


def one_input(data: bytes) -> None:
    """One input, against the parser that its first byte names."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def main() -> None:
    """Fuzz for so long; the process ends with 0, or with another code at the first input that breaks something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, required=True)
    given = parser.parse_args()
    given.corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        for target in range(len(TARGETS)):
            (given.corpus / f"seed-{number}-{target}").write_bytes(bytes([target]) + seed)
    options = [
        f"-max_total_time={given.seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048",
        "-print_final_stats=1", f"-artifact_prefix={given.corpus}/broken-", str(given.corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
