"""Checking exports: that files are what their manifest says, and hold what the store says of that revision."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashapp.errors import BadExport
from dashapp.query.export import TYPED, Export, encoded, export
from dashapp.query.manifest import FileEntry, Manifest, manifests_of
from dashapp.query.series import SeriesReader
from dashapp.store.readback import differences, tables_in, text_of

# How many differences a report describes in full.
WORST = 10
_READ_BYTES = 1 << 20


@dataclass(slots=True)
class Checked:
    """`files` and `rows` that were read; `differ`: rows that are not what the store says of the revision, and files
    that are not what the manifest says; `worst`: some of them, in words.

    `changed_since`: rows that would be news to an export that goes on from the last revision; None for each story
    once, of which none goes on.
    """

    files: int = 0
    rows: int = 0
    differ: int = 0
    revision: int = 0
    changed_since: int | None = 0
    worst: list[str] = field(default_factory=list)

    def differs(self, texts: Iterator[str]) -> None:
        """Count and keep what differs."""
        for text in texts:
            self.differ += 1
            if len(self.worst) < WORST:
                self.worst.append(text)


def check_export(
    reader: SeriesReader, store: str, path: Path, progress: Callable[[str], None] = lambda file: None
) -> Checked:
    """Check an export to a file or folder; raises BadExport where it has no manifest or is of another store.

    Raises RevisionGone where the store cannot tell any more what it was.
    """
    checked = Checked()
    last: Manifest | None = None
    for folder, manifest in manifests_of(path):
        if manifest.store != store:
            raise BadExport(f"{path} is of another store than this one.", path=str(path))
        view = reader.view()
        for question in manifest.questions(since=manifest.since_revision, revision=manifest.revision):
            _check_one(export(reader, question, view), folder, manifest, progress, checked)
        last = manifest
    if last is not None:
        checked.revision = last.revision
        checked.changed_since = _news(reader, last)
    return checked


def _news(reader: SeriesReader, last: Manifest) -> int | None:
    """How many rows would be news to an export that goes on from this one; None where none can."""
    questions = last.questions(since=last.revision, revision=None)
    if any(question.variant.once for question in questions):
        return None
    tables = (table for question in questions for table in export(reader, question).tables())
    return sum(int(table.num_rows) for table in tables)


def _check_one(
    each: Export, folder: Path, manifest: Manifest, progress: Callable[[str], None], checked: Checked
) -> None:
    """Compare the files of one export with the store."""
    resolution = None if each.question.resolution is None else each.question.resolution.name
    entries = {entry.period: entry for entry in manifest.files if entry.resolution == resolution}
    parts: Iterator[tuple[str | None, Iterator[Any]]]
    if None in entries:
        parts = iter([(None, each.tables())])
    else:
        grouped = itertools.groupby(each.partitioned(), lambda part: part[0])
        parts = ((period, (table for _, table in group)) for period, group in grouped)
    for period, tables in itertools.chain(parts, ((period, iter(())) for period in list(entries))):
        entry = entries.pop(period, None)
        if entry is None:
            rows = sum(table.num_rows for table in tables)
            if period is not None:
                checked.differs(f"{resolution or 'date'} {period} is missing" for _ in range(rows))
            continue
        progress(entry.path)
        checked.files += 1
        if _is_whole(folder / entry.path, entry, checked):
            _compare(folder / entry.path, entry, each, tables, manifest.format, checked)


def _is_whole(path: Path, entry: FileEntry, checked: Checked) -> bool:
    """Whether a file has the size and the hash of its entry."""
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
                size_bytes += len(piece)
    except OSError as error:
        checked.differs(iter([f"{entry.path} cannot be read: {error.strerror}"]))
        return False
    if (size_bytes, digest.hexdigest()) != (entry.bytes, entry.sha256):
        checked.differs(iter([f"{entry.path} is not the file that was written: its size or SHA-256 is another"]))
        return False
    return True


def _compare(path: Path, entry: FileEntry, each: Export, tables: Iterator[Any], form: str, checked: Checked) -> None:
    """Compare the rows of a file with those of the store."""
    schema = each.schema(form, partitioned=entry.period is not None)
    expected = each.blocks(tables, schema, form)
    if form in TYPED:
        rows = _compare_tables(path, each.blocks(tables_in(path, schema.names), schema, form), expected, checked)
    else:
        plain = form.removesuffix(".gz")
        rows = _compare_texts(path, encoded(expected, schema, plain), packed=plain != form, checked=checked)
    checked.rows += rows
    if rows != entry.rows:
        checked.differs(iter([f"{entry.path} holds {rows} rows, its manifest says {entry.rows}"]))


def _compare_tables(path: Path, found: Iterator[Any], expected: Iterator[Any], checked: Checked) -> int:
    """Compare row by row, and return how many rows were found."""
    rows = 0
    for here, there in itertools.zip_longest(found, expected):
        held = 0 if here is None else here.num_rows
        right = 0 if there is None else there.num_rows
        rows += held
        common = min(held, right)
        if common:
            checked.differs(differences(here.slice(0, common), there.slice(0, common)))
        if held != right:
            more = "more" if held > right else "fewer"
            checked.differs(f"{path.name} has {more} rows than the store" for _ in range(abs(held - right)))
    return rows


def _compare_texts(path: Path, expected: Iterator[tuple[bytes, int]], *, packed: bool, checked: Checked) -> int:
    """Compare texts line by line, and return how many rows the store has in those that are the same in number."""
    rows = 0
    with text_of(path, packed=packed) as file:
        for piece, more in expected:
            found = file.read(len(piece))
            rows += more
            if found != piece:
                pairs = itertools.zip_longest(found.splitlines(), piece.splitlines(), fillvalue=b"")
                checked.differs(
                    f"{path.name}: a line is {_short(here)}, the store says {_short(there)}"
                    for here, there in pairs
                    if here != there
                )
        if file.read(1):
            checked.differs(iter([f"{path.name} has more rows than the store"]))
    return rows


def _short(line: bytes) -> str:
    return repr(line[:200].decode(errors="replace"))
