"""The command that takes data away, and the check of what was taken."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from dashapp.commands.output import emit, standard_output
from dashapp.commands.scorer import AddCommand
from dashapp.config import Settings
from dashapp.errors import BadParameter, UnknownFormat, UsageError
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.ticker import normalise_ticker
from dashapp.model.variant import ALL, VARIANTS, parse_variant
from dashapp.query.export import FORMS, WHATS, Question
from dashapp.query.exportcheck import check_export
from dashapp.query.manifest import Manifest
from dashapp.query.series import SeriesReader
from dashapp.query.takeout import Order, append, to_file, to_folder, to_pieces
from dashapp.store.reader import PATIENT_MS
from dashapp.store.store import Store

DONE, FAILED = 0, 1

_ENDINGS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv.gz", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl.gz", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".arrows": "arrows",
}  # fmt: skip


def add_export_command(command: AddCommand) -> None:
    """Add `export` to the parser of all commands."""
    sub = command("export", export, "Export buckets, scores or items to files: Parquet, CSV, Arrow or JSON lines.")
    sub.add_argument("what", choices=WHATS, help="candles, scores as they are stored, or texts to read")
    sub.add_argument(
        "--out", required=True, metavar="FILE|DIR|-", help="a file, a folder to be partitioned, or standard output"
    )
    sub.add_argument("--format", choices=FORMS, help="guessed from the name of a file; parquet for folders")
    sub.add_argument("--tickers", metavar="AAPL,MSFT", help="all tickers otherwise")
    sub.add_argument("--resolution", metavar="R", help="of buckets: 1m by default; for a folder also 1m,1h,... or all")
    sub.add_argument("--start", metavar="TIME", help="from this time on, ISO-8601 with Z or offset, or a date")
    sub.add_argument("--end", metavar="TIME", help="up to and without this time")
    sub.add_argument("--scorer", metavar="NAME@VERSION", help="whose scores; the store's default otherwise")
    add_variant_option(sub)
    sub.add_argument("--revision", type=int, metavar="N", help="as the store was at this revision; now otherwise")
    sub.add_argument("--since-revision", type=int, metavar="N", help="only what came or changed after this revision")
    sub.add_argument("--state", metavar="FILE", help="add to a folder what is new since the last run with this file")
    sub.add_argument("--force", action="store_true", help="replace what is there")


def add_variant_option(sub: argparse.ArgumentParser) -> None:
    """Add --variant to the parser of a command."""
    sub.add_argument(
        "--variant",
        default=ALL.name,
        metavar="V",
        help=f"which texts count: {', '.join(each.name for each in VARIANTS)} (default {ALL.name})",
    )


def export(asked: argparse.Namespace, settings: Settings) -> int:
    """Export to a file, a folder or standard output."""
    began_s = time.perf_counter()
    is_stream = asked.out == "-"
    out = Path(asked.out)
    form = asked.format or _form_of(out, is_stream=is_stream)
    is_folder = not is_stream and (asked.state is not None or _form_of_name(out) is None or out.is_dir())
    if asked.state is not None and (is_stream or asked.revision is not None or asked.since_revision is not None):
        raise UsageError("--state needs a folder, and says itself which revisions to export.")
    store, reader = _open(settings)
    questions = [
        Question(
            what=asked.what,
            resolution=resolution,
            tickers=None if asked.tickers is None else tuple(map(normalise_ticker, asked.tickers.split(","))),
            start=asked.start,
            end=asked.end,
            scorer=asked.scorer,
            revision=asked.revision,
            since=asked.since_revision,
            variant=parse_variant(asked.variant),
        )
        for resolution in _resolutions(asked, is_folder=is_folder)
    ]
    with _progress() as advance:
        order = Order(reader, questions, form, store.scores.table.identity, advance)
        if is_stream:
            body = _to_stdout(order)
        elif asked.state is not None:
            body = _summary(asked.out, append(order, out, Path(asked.state)))
        else:
            body = _summary(asked.out, [(to_folder if is_folder else to_file)(order, out, force=asked.force)])
    body["seconds"] = round(time.perf_counter() - began_s, 6)
    _report(asked, body, is_stream=is_stream)
    return DONE


def check_exported(asked: argparse.Namespace, settings: Settings) -> int:
    """Check an export against its manifest and the store; 1 when anything differs."""
    store, reader = _open(settings)
    with _progress() as advance:
        checked = check_export(reader, store.scores.table.identity, Path(asked.export), lambda _: advance(0))
    lines = [
        f"{checked.differ:,} of {checked.rows:,} rows in {checked.files:,} files differ at revision {checked.revision}",
        *(f"  {line}" for line in checked.worst),
        "what has changed in the store since is not told of each story once"
        if checked.changed_since is None
        else f"{checked.changed_since:,} rows have come or changed in the store since",
    ]
    emit(asked, dataclasses.asdict(checked), "\n".join(lines))
    return FAILED if checked.differ else DONE


def _open(settings: Settings) -> tuple[Store, SeriesReader]:
    store = Store(settings)
    patient = dataclasses.replace(settings, query_timeout_ms=PATIENT_MS)
    return store, SeriesReader.over(store, patient, preferred_scorer=DEFAULT_SCORER_IDENTITY)


def _resolutions(asked: argparse.Namespace, *, is_folder: bool) -> list[Any]:
    if asked.what != "buckets":
        if asked.resolution is not None:
            raise BadParameter(f"{asked.what} have no resolution; leave it out, or export buckets.")
        return [None]
    if asked.resolution == "all":
        found = list(RESOLUTIONS)
    else:
        found = [parse_resolution(name) for name in dict.fromkeys((asked.resolution or "1m").split(","))]
    if len(found) > 1 and not is_folder:
        raise BadParameter("A file holds one resolution; export several to a folder.")
    return found


def _form_of_name(out: Path) -> str | None:
    found = [form for ending, form in _ENDINGS.items() if out.name.lower().endswith(ending)]
    return found[-1] if found else None


def _form_of(out: Path, *, is_stream: bool) -> str:
    if is_stream:
        raise UnknownFormat(f"Say with --format what to write to standard output: {', '.join(FORMS)}.")
    form = _form_of_name(out)
    if form is None and out.suffix and not out.is_dir():
        raise UnknownFormat(
            f"The ending of {out.name!r} is that of no format. Use one of {', '.join(_ENDINGS)}, or --format."
        )
    return form or "parquet"


def _to_stdout(order: Order) -> dict[str, Any]:
    each, pieces = to_pieces(order)
    rows = size_bytes = 0
    with standard_output() as text:
        for piece, more in pieces:
            text.buffer.write(piece)
            rows, size_bytes = rows + more, size_bytes + len(piece)
    return {"out": "-", "rows": rows, "files": 1, "bytes": size_bytes, "revision": each.revision}


def _summary(out: str, manifests: Sequence[Manifest]) -> dict[str, Any]:
    return {
        "out": out,
        "rows": sum(each.rows for each in manifests),
        "files": sum(len(each.files) for each in manifests),
        "bytes": sum(each.bytes for each in manifests),
        "revision": manifests[-1].revision if manifests else None,
    }


def _report(asked: argparse.Namespace, body: dict[str, Any], *, is_stream: bool) -> None:
    if body["revision"] is None:
        text = "Nothing is new."
    else:
        text = (
            f"{body['rows']:,} rows in {body['files']:,} files, {body['bytes'] / 1e6:,.1f} MB, "
            f"revision {body['revision']}, {body['seconds']:.2f} s"
        )
    if is_stream:  # standard output is the data
        Console(stderr=True).print(text, highlight=False)
    else:
        emit(asked, body, text)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Rows done so far and how fast, on a terminal; yields what is told of more rows."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None)
        yield lambda rows: progress.advance(task, rows)
