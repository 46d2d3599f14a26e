"""The manifest of an export: what it is of, and the size and SHA-256 of each of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dashapp import __version__
from dashapp.errors import BadExport, UnknownVariant
from dashapp.model.resolution import parse_resolution
from dashapp.model.variant import ALL, parse_variant
from dashapp.query.export import FORMS, WHATS, Export, Question

# Readers of folders of Parquet skip names that begin so.
IN_FOLDER = "_manifest.json"
OF_RUNS = "_manifests"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of an export; `path` is from the manifest's folder (for a run of an appended folder: from that folder),
    `resolution` and `period` are the partition, if it is one."""

    path: str
    resolution: str | None
    period: str | None
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export is of, and its files; it tells no time of its own, so it is reproducible as they are."""

    what: str
    format: str
    resolutions: tuple[str, ...]
    tickers: tuple[str, ...] | None
    start: str | None
    end: str | None
    scorer: str
    since_revision: int | None
    revision: int
    revision_accepted: str | None
    store: str
    files: tuple[FileEntry, ...]
    variant: str = ALL.name
    software: str = f"tickertone {__version__}"
    pyarrow: str = ""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)

    def text(self) -> str:
        """As a JSON text."""
        body = {"manifest_version": _VERSION, "rows": self.rows, "bytes": self.bytes, **asdict(self)}
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"

    def questions(self, *, since: int | None, revision: int | None) -> list[Question]:
        """The questions it answers, one for each resolution, between these revisions."""
        names = self.resolutions or (None,)
        return [
            Question(
                self.what,
                None if name is None else parse_resolution(name),
                self.tickers,
                self.start,
                self.end,
                self.scorer,
                revision,
                since,
                parse_variant(self.variant),
            )
            for name in names
        ]


def manifest_of(exports: Sequence[Export], form: str, store: str, files: Sequence[FileEntry]) -> Manifest:
    """The manifest of exports that differ in their resolutions only."""
    first = exports[0]
    question = first.question
    about = first.about([])
    return Manifest(
        what=question.what,
        format=form,
        resolutions=tuple(each.question.resolution.name for each in exports if each.question.resolution is not None),
        tickers=question.tickers,
        start=question.start,
        end=question.end,
        scorer=first.scorer,
        since_revision=question.since,
        revision=first.revision,
        revision_accepted=about["revision_accepted"],
        store=store,
        files=tuple(files),
        variant=question.variant.name,
        pyarrow=version("pyarrow"),
    )


def manifests_of(path: Path) -> Iterator[tuple[Path, Manifest]]:
    """The manifests of an export, in the order they were made, each with the folder that its files are named from.

    Raises BadExport where there are none, or one cannot be read.
    """
    if (path / OF_RUNS).is_dir():
        for each in sorted((path / OF_RUNS).glob("*.json")):
            yield path, read(each)
    elif path.is_dir():
        yield path, read(path / IN_FOLDER)
    else:
        yield path.parent, read(beside(path))


def beside(file: Path) -> Path:
    """Where the manifest of an export to one file is."""
    return file.with_name(f"{file.name}.manifest.json")


def read(path: Path) -> Manifest:
    """A manifest; raises BadExport."""
    body = read_json(path, "a manifest of an export")
    try:
        if body.pop("manifest_version") != _VERSION:
            raise ValueError("it is of another version")
        rows, size_bytes = body.pop("rows"), body.pop("bytes")
        files = tuple(FileEntry(**entry) for entry in body.pop("files"))
        body["resolutions"] = tuple(body["resolutions"])
        body["tickers"] = None if body["tickers"] is None else tuple(body["tickers"])
        manifest = Manifest(files=files, **body)
        if manifest.format not in FORMS or manifest.what not in WHATS:
            raise ValueError(f"{manifest.what} as {manifest.format} is nothing that is exported")
        parse_variant(manifest.variant)
        if (rows, size_bytes) != (manifest.rows, manifest.bytes):
            raise ValueError("its totals are not those of its files")
    except (KeyError, TypeError, ValueError, AttributeError, UnknownVariant) as error:
        raise BadExport(f"{path} is not a manifest of an export: {error}.", path=str(path)) from error
    return manifest


def read_json(path: Path, what: str) -> Any:
    """A JSON file that is `what`; raises BadExport."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadExport(
            f"{path} is not {what}: {getattr(error, 'strerror', None) or error}.", path=str(path)
        ) from error
