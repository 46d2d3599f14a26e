"""Exports to files: one file, a folder of partitions, or a folder that grows run by run.

A folder has the partitions of the store: `resolution=1m/period=2024-02-28`, or `date=2024-02-28` of scores and items.
A growing one has a state file that says up to which revision it holds everything. A run first writes there what it is
going to do, then makes its files, puts them in place, writes its manifest, and at last says that it is done. One that
was killed on the way is done again just as it was: the same revisions give the same names and the same bytes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dashapp.errors import BadExport, OutputExists
from dashapp.query.export import Export, Question, encoded, export, require_whole
from dashapp.query.manifest import IN_FOLDER, OF_RUNS, FileEntry, Manifest, beside, manifest_of, read_json
from dashapp.query.outfile import Written, claimed, put, put_folder, put_text, write_durable
from dashapp.query.series import SeriesReader
from dashapp.store.ahead import read_ahead

Progress = Callable[[int], None]
_STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What to export, for each resolution if there are any, in which of FORMS, and of the store of which identity."""

    reader: SeriesReader
    questions: Sequence[Question]
    form: str
    store: str
    progress: Progress

    def exports(self) -> list[Export]:
        """The exports, all of one state; raises as `export` does."""
        view = self.reader.view()
        return [export(self.reader, question, view) for question in self.questions]

    def pieces(
        self, each: Export, tables: Iterator[Any], *, partitioned: bool
    ) -> Generator[tuple[bytes, int], None, None]:
        """The bytes of a file with these rows."""
        schema = each.schema(self.form, partitioned=partitioned)
        for piece, rows in encoded(each.blocks(tables, schema, self.form), schema, self.form):
            self.progress(rows)
            yield piece, rows


def to_pieces(order: Order) -> tuple[Export, Generator[tuple[bytes, int], None, None]]:
    """The export of the one question and the bytes of its file, each piece with the rows that it brings."""
    (each,) = order.exports()
    return each, order.pieces(each, _ahead(each), partitioned=False)


def to_file(order: Order, path: Path, *, force: bool) -> Manifest:
    """Export to one file, with a manifest beside it; raises OutputExists, OutputNotWritable."""
    if path.exists() and not force:
        raise OutputExists(f"{path} exists. Add --force to replace it.")
    each, pieces = to_pieces(order)
    # Reading, encoding and writing each go on by themselves: on two cores a third less time.
    with claimed(path) as part, closing(read_ahead(pieces, 2)) as coming:
        written = write_durable(part / "data", coming)
        manifest = manifest_of([each], order.form, order.store, [_entry(path.name, each, None, written)])
        # Never a manifest beside a file that it is not of.
        beside(path).unlink(missing_ok=True)
        put(part / "data", path)
        put_text(beside(path), manifest.text())
    return manifest


def to_folder(order: Order, path: Path, *, force: bool) -> Manifest:
    """Export to a folder of partitions, with a manifest in it; raises OutputExists, OutputNotWritable."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if not force:
            raise OutputExists(f"{path} exists. Add --force to replace it, or export to another folder.")
        if not (path / IN_FOLDER).is_file():
            raise OutputExists(f"{path} is not an export to a folder ({IN_FOLDER} is missing), so it is not replaced.")
    exports = order.exports()
    with claimed(path) as part:
        files = _partitions(order, exports, part, "part-0")
        manifest = manifest_of(exports, order.form, order.store, files)
        put_text(part / IN_FOLDER, manifest.text())
        put_folder(part, path)
    return manifest


def append(order: Order, path: Path, state_file: Path) -> list[Manifest]:
    """Add to a folder what came, changed or was closed since the state file was last written, as new files.

    Returns the manifests of the runs that this took: none where nothing is new, two where the run before was killed.
    Raises BadExport where folder or state file are of another export, BadParameter for a variant that must be exported
    whole.
    """
    for question in order.questions:
        require_whole(question.variant, since=True)
    runs: list[Manifest] = []
    with claimed(path / "_run") as part:
        state = _read_state(order, path, state_file)
        while True:
            target = state["target"]
            exports = replace(
                order, questions=[_between(each, state["revision"], target) for each in order.questions]
            ).exports()
            revision = exports[0].revision
            if revision == (state["revision"] or 0):
                return runs
            if target is None:
                # The scorer is settled by the first run: later ones go on with it.
                state |= {"target": revision, "asked": {**state["asked"], "scorer": exports[0].scorer}}
                _write_state(state_file, state)
            runs.append(_run(order, exports, path, part, state["revision"] or 0, revision))
            state |= {"revision": revision, "target": None}
            _write_state(state_file, state)


def _run(order: Order, exports: Sequence[Export], path: Path, part: Path, since: int, revision: int) -> Manifest:
    name = f"{since:012d}-{revision:012d}"
    files = _partitions(order, exports, part, name)
    manifest = manifest_of(exports, order.form, order.store, files)
    for file in files:
        put(part / file.path, path / file.path)
    put_text(path / OF_RUNS / f"{name}.json", manifest.text())
    return manifest


def _partitions(order: Order, exports: Sequence[Export], folder: Path, name: str) -> list[FileEntry]:
    """Write the partitions of exports below a folder, each as one file, durable but for their names."""
    files = []
    for each in exports:
        with closing(read_ahead(each.partitioned(), 2)) as cut:
            for period, group in itertools.groupby(cut, lambda part: part[0]):
                place = f"{_folder(each, period)}/{name}.{order.form}"
                tables = (table for _, table in group)
                written = write_durable(folder / place, order.pieces(each, tables, partitioned=True))
                files.append(_entry(place, each, period, written))
    return files


def _folder(each: Export, period: str) -> str:
    resolution = each.question.resolution
    return f"date={period}" if resolution is None else f"resolution={resolution.name}/period={period}"


def _entry(place: str, each: Export, period: str | None, written: Written) -> FileEntry:
    resolution = each.question.resolution
    return FileEntry(
        place, None if resolution is None else resolution.name, period, written.rows, written.bytes, written.sha256
    )


def _ahead(each: Export) -> Iterator[Any]:
    with closing(read_ahead(each.tables(), 2)) as tables:
        yield from tables


def _between(question: Question, since: int | None, revision: int | None) -> Question:
    return replace(question, since=since, revision=revision)


def _asked(order: Order) -> dict[str, Any]:
    """What a state file remembers of an order, so that it is not gone on with by another."""
    first = order.questions[0]
    return {
        "what": first.what,
        "resolutions": [each.resolution.name for each in order.questions if each.resolution is not None],
        "tickers": None if first.tickers is None else list(first.tickers),
        "start": first.start,
        "end": first.end,
        "scorer": first.scorer,
        "variant": first.variant.name,
        "format": order.form,
    }


def _read_state(order: Order, path: Path, state_file: Path) -> dict[str, Any]:
    """What the last run wrote, or the beginning."""
    asked = _asked(order)
    if not state_file.exists():
        if (path / OF_RUNS).exists():
            raise BadExport(
                f"{path} holds runs already, but the state file {state_file} is missing. Export to another folder.",
                path=str(path),
            )
        return {"state_version": _STATE_VERSION, "store": order.store, "asked": asked, "revision": None, "target": None}
    state = read_json(state_file, "a state file of an export")
    if not isinstance(state, dict) or state.get("state_version") != _STATE_VERSION:
        raise BadExport(f"{state_file} is not a state file of an export.", path=str(state_file))
    if state["store"] != order.store:
        raise BadExport(f"{state_file} is of another store. Use another state file and folder.", path=str(state_file))
    if asked["scorer"] is None:
        asked["scorer"] = state["asked"]["scorer"]
    unlike = [name for name, value in asked.items() if state["asked"].get(name) != value]
    if unlike:
        raise BadExport(
            f"{state_file} is of an export with other {', '.join(unlike)}. Use another state file and folder.",
            path=str(state_file),
        )
    return state


def _write_state(state_file: Path, state: dict[str, Any]) -> None:
    put_text(state_file, json.dumps(state, indent=1, ensure_ascii=False) + "\n")
