"""Export: buckets, scores or items of any range, made in pieces, so that its size does not matter.

An export is of one state of the store: the buckets as they were, with all that had come, at a revision. It is
ascending by time, cut into row groups of a fixed size, and tells no time of its own. So the same question about the
same revision gives the same bytes, whatever has been rolled up, put together or added since.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from dashapp import __version__
from dashapp.errors import BadParameter, RevisionGone
from dashapp.model.resolution import Resolution, ceil_us
from dashapp.model.time import MIN_US, EpochUs, to_iso
from dashapp.model.variant import ALL, Variant
from dashapp.query import answer
from dashapp.query.series import SeriesReader
from dashapp.store import answers, extracts
from dashapp.store.extracts import Take
from dashapp.store.states import state_at
from dashapp.store.variants import complete_from

WHATS = ("buckets", "scores", "items")
# Good to scan, and to skip by their bounds; about 20 MB, also of rows that hold texts or are written as such.
BUCKETS_A_BLOCK = 131_072
TEXTS_A_BLOCK = 32_768

_WRITERS: dict[str, Callable[[Any], answers.Writer]] = {
    "parquet": answers.ParquetWriter,
    "csv": answers.CsvWriter,
    "csv.gz": lambda schema: answers.GzipWriter(answers.CsvWriter(schema)),
    "jsonl": answers.JsonlWriter,
    "jsonl.gz": lambda schema: answers.GzipWriter(answers.JsonlWriter(schema)),
    "arrow": answers.ArrowFileWriter,
    "arrows": answers.ArrowWriter,
}
FORMS = tuple(_WRITERS)
TYPED = ("parquet", "arrow", "arrows")


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for: `resolution` of buckets and of nothing else; all tickers where they are None; times and
    scorer as they came.

    `revision` is the newest where it is None. With `since`, only what is not the same as it was at that revision. Of
    scores and items there are those that `variant` counts, and buckets are of them.
    """

    what: str
    resolution: Resolution | None
    tickers: tuple[str, ...] | None = None
    start: str | None = None
    end: str | None = None
    scorer: str | None = None
    revision: int | None = None
    since: int | None = None
    variant: Variant = ALL


@dataclass(frozen=True, slots=True)
class Export:
    """An export to be made: what it is of, and its rows as often as they are asked for."""

    reader: SeriesReader
    question: Question
    take: Take
    start_us: EpochUs
    end_us: EpochUs

    @property
    def revision(self) -> int:
        """The revision of its state: the last commit that brought scores."""
        return self.take.state.revision

    @property
    def moment_us(self) -> int:
        """When that commit was accepted."""
        return self.take.state.moment_us

    @property
    def scorer(self) -> str:
        """Whose scores it is of."""
        return self.take.scorer

    def schema(self, form: str, *, partitioned: bool = False) -> Any:
        """Its columns in a form; CSV has those of `query`, and a file of a partition none that its folder names."""
        exact, plain = {
            "buckets": (answers.BUCKETS_EXACT, answers.BUCKETS),
            "scores": (answers.SCORES_EXACT, answers.SCORES),
            "items": (answers.TEXTS, answers.TEXTS),
        }[self.question.what]
        schema = plain if form.startswith("csv") else exact
        if partitioned and self.question.resolution is not None:
            schema = schema.remove(schema.get_field_index("resolution"))
        return schema.with_metadata({"tickertone": orjson.dumps(self.about(schema.names))})

    def about(self, columns: list[str]) -> dict[str, Any]:
        """What the files say of themselves."""
        question = self.question
        return {
            "software": f"tickertone {__version__}",
            "what": question.what,
            "resolution": None if question.resolution is None else question.resolution.name,
            "scorer": self.scorer,
            "variant": question.variant.name,
            "tickers": question.tickers,
            "start": question.start,
            "end": question.end,
            "since_revision": question.since,
            "revision": self.revision,
            "revision_accepted": None if self.moment_us == MIN_US else to_iso(self.moment_us),
            "units": {name: answers.UNITS[name] for name in columns if name in answers.UNITS},
        }

    def tables(self) -> Generator[Any, None, None]:
        """Its rows, some at a time, with all columns that any form has."""
        reader, take, resolution = self.reader.reader, self.take, self.question.resolution
        if resolution is not None:
            yield from extracts.tables_of_buckets(reader, take, resolution, self.start_us, self.end_us)
        else:
            yield from extracts.tables_of_scores(reader, take, self.start_us, self.end_us)

    def partitioned(self) -> Generator[tuple[str, Any], None, None]:
        """The same, cut by period in UTC, each piece with the name of its period; those of one period in a row."""
        moment, kind = "published", "day"
        if self.question.resolution is not None:
            moment, kind = "timestamp", self.question.resolution.period_kind
        for table in self.tables():
            yield from extracts.by_period(table, moment, kind)

    def blocks(self, tables: Iterator[Any], schema: Any, form: str) -> Iterator[Any]:
        """Rows as the row groups of a file of this schema and form."""
        rows = BUCKETS_A_BLOCK if self.question.what == "buckets" and form in TYPED else TEXTS_A_BLOCK
        selected = (table.select(schema.names).replace_schema_metadata(schema.metadata) for table in tables)
        return extracts.blocks(selected, rows)

    def pieces(self, form: str) -> Generator[bytes, None, None]:
        """The bytes of all of it as one file of one of FORMS, none of the pieces empty."""
        schema = self.schema(form)
        for piece, _ in encoded(self.blocks(self.tables(), schema, form), schema, form):
            yield piece


def encoded(blocks: Iterator[Any], schema: Any, form: str) -> Iterator[tuple[bytes, int]]:
    """The bytes of a file, none of the pieces empty, each with the number of rows that it brings."""
    writer = _WRITERS[form](schema)
    waiting = 0
    for block in blocks:
        waiting += block.num_rows
        if piece := writer.write(block):
            yield piece, waiting
            waiting = 0
    if piece := writer.finish():
        yield piece, waiting


def export(reader: SeriesReader, question: Question, view: Any = None) -> Export:
    """The export of a question about a view of the store, the newest where there is none.

    Raises UsageError, NotFound and StoreError; the last of them also while rows are taken, which means that the rest
    is missing.
    """
    if (question.resolution is None) == (question.what == "buckets"):
        raise BadParameter("Buckets have a resolution, scores and items have none.", parameter="resolution")
    require_whole(question.variant, since=question.since is not None)
    start_us, end_us = answer.open_range(question.start, question.end)
    view = reader.view() if view is None else view
    scorer = reader.scorer(question.scorer, view)
    if question.tickers is not None:
        reader.require(view, question.tickers, scorer)
    state = state_at(reader.reader, view, question.revision)
    since = None if question.since is None else state_at(reader.reader, view, question.since)
    if since is not None and since.revision > state.revision:
        raise BadParameter(
            f"since_revision {question.since} is later than revision {state.revision}.", parameter="since_revision"
        )
    if question.resolution is not None:
        start_us, end_us = ceil_us(start_us, question.resolution), ceil_us(end_us, question.resolution)
    _require_texts(question.variant, complete_from(view, question.variant), start_us)
    take = Take(state, question.tickers, scorer, since, question.variant)
    return Export(reader, question, take, start_us, end_us)


def require_whole(variant: Variant, *, since: bool) -> None:
    """Raise BadParameter where a variant can only be exported whole, and what came since a revision is asked for."""
    if since and variant.once:
        raise BadParameter(
            f"variant {variant.name} can only be exported whole: a text that comes late makes others reprints, which "
            "files that are there already would have to take back.",
            parameter="variant",
        )


def _require_texts(variant: Variant, complete_from_us: EpochUs | None, start_us: int) -> None:
    """Raise RevisionGone where texts of the range are not kept, or what they repeated is not."""
    if complete_from_us is not None and start_us < complete_from_us:
        raise RevisionGone(
            f"What variant {variant.name} counts cannot be told before {to_iso(complete_from_us)}, since texts are not "
            "kept. Export from then on, with a start.",
            complete_from=to_iso(complete_from_us),
        )
