"""The command line: parse, call one function, print.

Exit codes: 0 done, 1 failed, 2 bad usage. With --json one JSON object goes to stdout; progress and logs always go to
stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dashapp import __version__, config, embedded, logs
from dashapp.clock import now_us
from dashapp.commands.backup import add_backup_commands
from dashapp.commands.capacity import add_capacity_command
from dashapp.commands.doctor import add_doctor_command
from dashapp.commands.export import add_export_command, add_variant_option, check_exported
from dashapp.commands.output import emit, mute_stdout, standard_output, write
from dashapp.commands.rollup import add_rollup_command
from dashapp.commands.scorer import add_scorer_commands, chosen_scorer
from dashapp.commands.signals import stopped_by_signal
from dashapp.commands.upkeep import add_upkeep_commands, duration, job_lines
from dashapp.commands.users import add_users_command
from dashapp.config import Settings
from dashapp.errors import BadTime, StoreDamaged, TickertoneError, UsageError
from dashapp.ingest.columns import RowOptions, parse_mapping, parse_source
from dashapp.ingest.health import SourceHealth
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.scoring.scorer import DEFAULT_SCORER_IDENTITY, parse_scorer
from dashapp.ingest.service import Ingest, IngestSummary
from dashapp.ingest.sources.columnar import Columns
from dashapp.ingest.sources.file import read_columns
from dashapp.ingest.sources.simulated import load_feed
from dashapp.model.item import Item
from dashapp.model.resolution import parse_resolution
from dashapp.model.ticker import normalise_ticker
from dashapp.model.time import MIN_US, to_iso
from dashapp.model.variant import parse_variant
from dashapp.query import answer
from dashapp.query.series import SeriesReader
from dashapp.rollup.jobs import records
from dashapp.rollup.verify import sample, verify
from dashapp.store.apikeys import SCOPES, WRITE, ApiKey, ApiKeys
from dashapp.store.reader import PATIENT_MS, Reader
from dashapp.store.store import Store

DONE, FAILED, BAD_USAGE = 0, 1, 2
DEMO_DATA_DIR = Path("data/demo")

stderr = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    asked = parser.parse_args(arguments)
    try:
        settings = config.load({name: getattr(asked, name, None) for name in _OPTION_SETTINGS})
        logs.set_up(settings.log_level, settings.log_format)
        code: int = asked.command(asked, settings)
        return code
    except TickertoneError as error:
        more = " `tickertone doctor` says what it means and what to do." if isinstance(error, StoreDamaged) else ""
        _complain(f"{error}{more}")
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has heard enough
        mute_stdout()
        return DONE
    except KeyboardInterrupt:
        return FAILED


_OPTION_SETTINGS = (
    "data_dir",
    "host",
    "port",
    "log_level",
    "rollup_every_s",
    "ingest_batch_rows",
    "demo_seed",
    "demo_days",
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="tickertone", description="Live sentiment candles from texts that mention tickers."
    )
    parser.add_argument("--version", action="version", version=f"tickertone {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace, Settings], int], about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(command=run)
        sub.add_argument("--data-dir", metavar="DIR", help="where the store is (TICKERTONE_DATA_DIR)")
        sub.add_argument("--json", action="store_true", help="one JSON object on stdout")
        sub.add_argument("--log-level", help="debug, info, warning or error")
        return sub

    sub = command("ingest", ingest, "Score and store the texts of files (JSONL, CSV, Parquet; - is standard input).")
    sub.add_argument("files", nargs="+", metavar="FILE")
    sub.add_argument("--format", choices=["jsonl", "csv", "parquet"], help="format of the files; guessed otherwise")
    sub.add_argument("--map", metavar="ts=created_at,text=body", help="which column is what; guessed otherwise")
    sub.add_argument("--tz", metavar="ZONE", help="IANA zone of times that have none, such as UTC or America/New_York")
    sub.add_argument("--date-only", choices=["start", "noon", "end"], help="what moment a date without a time means")
    sub.add_argument("--source", metavar="NAME", help="source of rows that do not name one; the file's name otherwise")
    sub.add_argument("--given-scorer", metavar="NAME@VERSION", help="who made the scores of rows that come with one")
    sub.add_argument("--scorer", metavar="NAME", help="scorer for rows that come without a score")
    sub.add_argument("--reopen", action="store_true", help="add to periods that retention has sealed")
    sub.add_argument("--batch-rows", dest="ingest_batch_rows", type=int, metavar="N", help="scores in one commit")

    sub = command("feed", feed, "Poll the live sources that the settings choose, until stopped.")
    sub.add_argument("--stay", action="store_true", help="wait, doing nothing, where no live source is chosen")
    sub.add_argument("--once", action="store_true", help="bring each source up to date and end; 1 when all failed")

    add_rollup_command(command)
    add_upkeep_commands(command)
    add_backup_commands(command)

    sub = command("query", query, "Print the buckets of a ticker.")
    sub.add_argument("ticker")
    sub.add_argument("--resolution", default="1m", metavar="R", help="1m, 5m, 10m, 1h, 3h, 6h, 12h or 24h (default 1m)")
    sub.add_argument(
        "--start", metavar="TIME", help="ISO-8601 with Z or offset; a date alone is its first moment in UTC"
    )
    sub.add_argument("--end", metavar="TIME", help="exclusive; now when not given")
    sub.add_argument("--limit", type=int, metavar="N", help="most buckets")
    sub.add_argument("--cursor", metavar="C", help="next_cursor of the answer before")
    sub.add_argument("--scorer", metavar="NAME@VERSION", help="whose scores; the store's default otherwise")
    add_variant_option(sub)
    sub.add_argument("--format", choices=["table", "json", "csv"], help="table on a terminal, json with --json")

    add_export_command(command)

    sub = command("verify", check, "Recompute every bucket from the raw scores by another way and compare.")
    sub.add_argument(
        "--export", metavar="DIR|FILE", help="check an export instead: its hashes, and its rows by the store"
    )
    sub.add_argument("--sample", type=int, metavar="DAYS", help="only so many days, chosen at random, and the newest")
    add_doctor_command(command)
    command("status", status, "What the store holds and what waits for the rollup.")

    add_capacity_command(command)
    add_scorer_commands(command)

    sub = command("keys", keys, "Make, list or revoke API keys.")
    sub.add_argument("action", choices=["add", "list", "revoke"], help="`add` prints the key, which is shown only once")
    sub.add_argument("name", nargs="?", metavar="NAME", help="name of the key; `revoke` takes its id as well")
    sub.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="what the key may do, again for more: read what is there, write items (the default), or all as admin",
    )

    add_users_command(command)

    for name, run, about in (
        ("serve", serve, "Serve the web app and the API."),
        ("run", run_embedded, "Serve, poll live sources and roll up in one process: the embedded default."),
        ("demo", demo, "`run` on a simulated feed: a week of invented history, then live; needs no network."),
    ):
        sub = command(name, run, about)
        sub.add_argument("--host", help="address to listen on (default 127.0.0.1)")
        sub.add_argument("--port", type=int, help="port to listen on (default 8050; 0 takes a free one)")
        if name != "serve":
            sub.add_argument(
                "--every", dest="rollup_every_s", type=duration, metavar="30s", help="pause between rollups"
            )
        if name == "demo":
            sub.add_argument("--seed", dest="demo_seed", type=int, help="seed of the simulated feed")
            sub.add_argument("--days", dest="demo_days", type=float, help="days of history to begin with")
    return parser


def ingest(asked: argparse.Namespace, settings: Settings) -> int:
    """Ingest files, one after the other; an unreadable one does not stop the others."""
    options = RowOptions(
        mapping=parse_mapping(asked.map or ""),
        zone=_zone(asked.tz),
        date_only=asked.date_only,
        source=None if asked.source is None else parse_source(asked.source),
        scorer=None if asked.given_scorer is None else parse_scorer(asked.given_scorer),
    )
    scorer = chosen_scorer(asked.scorer, settings)
    job = Ingest(
        Store(settings, create=True),
        scorer,
        batch_rows=settings.ingest_batch_rows,
        now_us=now_us,
        reopen=asked.reopen,
    )
    unreadable: list[TickertoneError] = []

    def rows() -> Iterator[Item | Rejection | Columns]:
        for file in asked.files:
            with _progress("stdin" if file == "-" else Path(file).name) as advance:
                try:
                    yield from read_columns(file, file_format=asked.format, options=options, progress=advance)
                except UsageError as error:
                    unreadable.append(error)

    name = Path(asked.files[0]).name if len(asked.files) == 1 else f"{len(asked.files)}-files"
    summary = job.run(rows(), name, way="file")
    if not unreadable or len(asked.files) > 1:
        emit(asked, _summary_json(summary), _summary_text(summary))
    for error in unreadable:
        _complain(str(error))
    return max((error.exit_code for error in unreadable), default=DONE)


def feed(asked: argparse.Namespace, settings: Settings) -> int:
    """Poll live sources, once or until a signal; 1 when all that were called failed."""
    # Here, since its client for HTTP takes a quarter of a second to import.
    from dashapp.ingest.feed import Feed

    work = Feed(settings, now_us)
    if asked.stay and not work.names:  # managers of processes end all when one ends
        stop = stopped_by_signal()
        stderr.print("No live source is chosen; waiting to be stopped", highlight=False)
        stop.wait()
        return DONE
    work.require_sources()
    if asked.once:
        sources = work.once()
    else:
        stderr.print(f"Polling {', '.join(work.names)} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        sources = work.run(stopped_by_signal())
    body = {
        "sources": {source.name: dataclasses.asdict(source) for source in sources},
        "accepted": sum(source.accepted for source in sources),
        "duplicates": sum(source.duplicates for source in sources),
        "rejected": sum(source.rejected for source in sources),
        "ignored": sum(source.ignored for source in sources),
    }
    emit(asked, body, "\n".join(map(_source_text, sources)))
    return FAILED if all(source.is_failing and source.last_success_us is None for source in sources) else DONE


def _source_text(source: SourceHealth) -> str:
    counts = f"{source.accepted:>8,} new  {source.duplicates:>8,} known  {source.rejected:>6,} rejected"
    text = f"{source.name:24}  {counts}  {source.ignored:>6,} ignored"
    if source.is_failing:
        return f"{text}  failed: {source.last_error}"
    if not source.calls and source.next_poll_us is not None:
        return f"{text}  not called: its limit allows it from {to_iso(source.next_poll_us)} on"
    return text


def query(asked: argparse.Namespace, settings: Settings) -> int:
    """Print the buckets of a ticker as a table, JSON or CSV."""
    resolution = parse_resolution(asked.resolution)
    ticker = normalise_ticker(asked.ticker)
    moment = now_us()
    start_us, end_us = answer.range_of(resolution, asked.start, asked.end, moment)
    if asked.cursor is not None:
        start_us = answer.parse_cursor(asked.cursor)
    reader = SeriesReader.over(Store(settings), settings, preferred_scorer=DEFAULT_SCORER_IDENTITY)
    began = time.perf_counter()
    revision = reader.refresh()
    (series,) = reader.series(
        [ticker],
        resolution,
        start_us,
        end_us,
        scorer=asked.scorer,
        limit=asked.limit,
        variant=parse_variant(asked.variant),
    )
    query_time_ms = round((time.perf_counter() - began) * 1e3, 3)
    shape = "json" if asked.json else asked.format or "table"
    if shape == "csv":
        write(answer.to_csv(series, moment))
        return DONE
    body = answer.with_progress(answer.timeseries(series, moment), resolution, moment)
    if shape == "json":
        write(json.dumps({**body, "cache_hit": False, "query_time_ms": query_time_ms, "revision": revision}) + "\n")
        return DONE
    table = Table("timestamp", "open", "high", "low", "close", "avg", "count", "+", "0", "-", "sources", "")
    for row in answer.buckets(series, moment):
        scores = [f"{row[name]:+.4f}" for name in ("open", "high", "low", "close", "avg")]
        counts = [str(row["count"]), *(str(number) for number in row["label_counts"].values())]
        table.add_row(
            row["timestamp"], *scores, *counts, ", ".join(row["sources"]), "partial" if row["is_partial"] else ""
        )
    with standard_output():
        Console(width=None if sys.stdout.isatty() else 200).print(table)
    if series.complete_from_us is not None:
        stderr.print(f"Before {to_iso(series.complete_from_us)} texts are not kept: this variant cannot count them.")
    if series.has_more:
        stderr.print(f"There is more: --cursor {body['next_cursor']} goes on.")
    return DONE


def check(asked: argparse.Namespace, settings: Settings) -> int:
    """Verify the store, or an export; 1 when anything differs."""
    if asked.export is not None:
        return check_exported(asked, settings)
    if asked.sample is not None and asked.sample < 1:
        raise UsageError(f"--sample is {asked.sample}; it must be at least 1.")
    reader = Reader(Store(settings), timeout_ms=PATIENT_MS)
    spans = None if asked.sample is None else sample(asked.sample, random.Random())  # noqa: S311 - chooses days
    with stderr.status("reading the scores") as status_line:
        result = verify(reader, spans=spans, progress=lambda date: status_line.update(f"checking {date} and after"))
    sealed = f"; {result.sealed:,} are sealed, their scores were dropped" if result.sealed else ""
    lines = [f"{result.differ:,} of {result.checked:,} buckets differ{sealed}", *(f"  {line}" for line in result.worst)]
    if result.differ:
        lines.append("`tickertone rollup --full` builds all buckets anew from the scores.")
    body = {"checked": result.checked, "differ": result.differ, "sealed": result.sealed, "worst": result.worst}
    emit(asked, body, "\n".join(lines))
    return FAILED if result.differ else DONE


def status(asked: argparse.Namespace, settings: Settings) -> int:
    """Say what the store holds."""
    store = Store(settings)
    reader = SeriesReader.over(store, settings, preferred_scorer=DEFAULT_SCORER_IDENTITY)
    infos = reader.tickers()
    revision = reader.refresh()
    body = {
        "data_dir": str(store.data_dir),
        "revision": revision,
        "rolled_up_to": store.buckets.seen,
        "scores": sum(info.count for info in infos),
        "tickers": len({info.ticker for info in infos}),
        "scorers": sorted({info.scorer for info in infos}),
        "score_files": len(store.scores.table.files()),
        "bucket_files": len(store.buckets.table.files()),
        "bytes": sum(file.size_bytes for table in (store.scores.table, store.buckets.table) for file in table.files()),
        "simulated": store.is_simulated,
        "sealed_before": to_iso(store.scores.sealed_us) if store.scores.sealed_us > MIN_US else None,
    }
    told = [record.told(now_us()) for record in records(store.data_dir)]
    lines = [*(f"{name:14} {value}" for name, value in body.items()), "", *job_lines(told)]
    emit(asked, {**body, "jobs": told}, "\n".join(lines))
    return DONE


def keys(asked: argparse.Namespace, settings: Settings) -> int:
    """Make, list or revoke API keys."""
    held = ApiKeys(settings.data_dir)
    if (asked.name is None) != (asked.action == "list"):
        raise UsageError("tickertone keys add NAME | list | revoke NAME")
    if asked.action == "add":
        text, key = held.add(asked.name, now_us=now_us(), scopes=asked.scope or (WRITE,))
        emit(asked, {"key": text, **_key_json(key)}, text)
        stderr.print("Keep it now: it is not shown again.", highlight=False)
    elif asked.action == "revoke":
        key = held.revoke(asked.name, now_us=now_us())
        emit(asked, _key_json(key), f"{key.name} ({key.id}) is not valid any more.")
    else:
        found = [_key_json(key) for key in held.all()]
        lines = [f"{each['id']}  {each['created']:27}  {each['name']:20}  {_validity(each)}" for each in found]
        emit(asked, {"keys": found}, "\n".join(lines) or "There are no keys.")
    return DONE


def _key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created": to_iso(key.created_us),
        "revoked": None if key.revoked_us is None else to_iso(key.revoked_us),
    }


def _validity(key: dict[str, Any]) -> str:
    return f"revoked {key['revoked']}" if key["revoked"] else ", ".join(key["scopes"])


def serve(asked: argparse.Namespace, settings: Settings) -> int:
    """Serve until a signal."""
    return _serve(asked, settings, embedded.Background())


def run_embedded(asked: argparse.Namespace, settings: Settings) -> int:
    """Serve, poll and roll up until a signal."""
    background = embedded.Background()
    polled = embedded.start_feed(background, settings, now_us)
    stderr.print(f"Live sources: {', '.join(polled) or 'none chosen'}", highlight=False, soft_wrap=True)
    embedded.start_jobs(background, settings, now_us)
    return _serve(asked, settings, background)


def demo(asked: argparse.Namespace, settings: Settings) -> int:
    """Make or go on with a simulated store, and run on it."""
    if settings.data_dir == Settings().data_dir:
        settings = dataclasses.replace(settings, data_dir=DEMO_DATA_DIR)
    # What is pushed to a demo from the same machine needs no key: there is nothing to lose.
    settings = dataclasses.replace(settings, push_open_on_loopback="yes")
    feed = embedded.Demo(settings, load_feed(settings.demo_seed), now_us)
    with stderr.status(f"simulating {settings.demo_days:g} days of headlines"):
        added = feed.prepare()
    stderr.print(f"{added:,} simulated scores added to {settings.data_dir}; none of them is real.", highlight=False)
    background = embedded.Background()
    feed.start(background)
    embedded.start_jobs(background, settings, now_us)
    return _serve(asked, settings, background)


def _serve(asked: argparse.Namespace, settings: Settings, background: embedded.Background) -> int:
    # Here, since the web framework takes a second to import, which no other command should wait for.
    from dashapp.asgi import build
    from dashapp.web.server import free_port, serve_until_signal

    port = settings.port or free_port(settings.host)
    url = f"http://{settings.host}:{port}{settings.at('/')}"

    def started() -> None:
        emit(asked, {"url": url}, f"Tickertone is at {url} (Ctrl-C ends it)")

    try:
        if serve_until_signal(build(settings), settings, port=port, started=started):
            return DONE
    finally:
        background.stop()
    _complain(f"{settings.host}:{port} cannot be listened on. Choose another with --port.")
    return FAILED


def _summary_json(total: IngestSummary) -> dict[str, Any]:
    return {
        "accepted": total.accepted,
        "duplicates": total.duplicates,
        "rejected": total.rejected,
        "rejected_by_reason": dict(total.rejected_by_reason),
        "rejected_file": str(total.rejected_file) if total.rejected_file else None,
        "scores": total.scores,
        "revision": total.revision,
    }


def _summary_text(total: IngestSummary) -> str:
    lines = [
        f"accepted    {total.accepted:>10,}   ({total.scores:,} scores)",
        f"duplicates  {total.duplicates:>10,}",
        f"rejected    {total.rejected:>10,}",
        *(f"  {reason:20} {count:>8,}" for reason, count in total.rejected_by_reason.most_common()),
    ]
    if total.rejected_file:
        lines.append(f"rejected rows, with reasons: {total.rejected_file}")
    return "\n".join(lines)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields what is told bytes read and bytes in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadTime(f"--tz {name!r} is not an IANA time zone; examples: UTC, America/New_York.") from None


def _complain(message: str) -> None:
    stderr.print(f"tickertone: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
