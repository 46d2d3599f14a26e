"""Export: buckets or scores of any range as one file, made and sent in pieces, so that its size does not matter.

All pieces are of one state of the store. They are ascending by time, so a range exported twice gives the same rows in
the same order, and the older part of a growing store stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dashapp.model.resolution import Resolution, ceil_us
from dashapp.model.time import EpochUs
from dashapp.query import answer
from dashapp.query.reply import writer_of
from dashapp.query.series import SeriesReader
from dashapp.store import extracts
from dashapp.store.answers import BUCKETS, SCORES

EXPORT_FORMATS = ("parquet", "csv", "arrow")


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for: buckets of a resolution, or scores where it is None; of all tickers where they are None."""

    resolution: Resolution | None
    tickers: tuple[str, ...] | None = None
    start: str | None = None
    end: str | None = None
    scorer: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """An export under way: what state of the store it is of, and its bytes."""

    revision: int
    pieces: Iterator[bytes]


def export(reader: SeriesReader, question: Question, form: str, now_us: EpochUs) -> Export:
    """The export of a question in one of EXPORT_FORMATS.

    Raises UsageError, NotFound and StoreError before the first piece; a StoreError while pieces are taken means that
    the rest is missing. Each piece takes about 50,000 rows, some 0.3 s.
    """
    start_us, end_us = answer.open_range(question.start, question.end)
    view = reader.view()
    scorer = reader.scorer(question.scorer, view)
    if question.tickers is not None:
        reader.require(view, question.tickers, scorer)
    resolution = question.resolution
    if resolution is None:
        stretches = extracts.score_stretches(view, start_us, end_us)
        tables = (
            extracts.export_scores(reader.reader, view, question.tickers, scorer, begin, stop)
            for begin, stop in stretches
        )
        return Export(view.revision, _pieces(tables, SCORES, form))
    start_us, end_us = ceil_us(start_us, resolution), ceil_us(end_us, resolution)
    buckets = (
        extracts.export_buckets(reader.reader, view, question.tickers, scorer, resolution, begin, stop, now_us)
        for begin, stop in extracts.bucket_stretches(view, resolution, start_us, end_us)
    )
    return Export(view.revision, _pieces(buckets, BUCKETS, form))


def _pieces(tables: Iterator[Any], schema: Any, form: str) -> Iterator[bytes]:
    """The bytes of a file, none of the pieces empty; the first one holds rows where there are any."""
    writer = writer_of(schema, form)
    for table in tables:
        if piece := writer.write(table):
            yield piece
    if piece := writer.finish():
        yield piece
